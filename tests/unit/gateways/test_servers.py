"""Names of deployments: drawn once for a folder, and one rule for everything that is made under them."""

import threading
from pathlib import Path

import pytest

from gateways.app.backends import memory_backend, postgres_backend
from gateways.servers import Servers, deployment_name
from infra.deployment import InvalidDeployment, checked


def test_a_folder_has_one_name_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    name = deployment_name(folder)
    assert deployment_name(folder) == name == checked(name)
    assert checked(f"{name}_kafka")
    assert deployment_name(tmp_path / "another") != name
    assert [path.name for path in folder.iterdir()] == ["deployment"]


def test_all_who_draw_at_once_get_the_same_name(tmp_path: Path) -> None:
    for n in range(20):
        names: list[str] = []
        gate = threading.Barrier(4)

        def draw(folder: Path = tmp_path / str(n), gate: threading.Barrier = gate, names: list[str] = names) -> None:
            gate.wait()
            names.append(deployment_name(folder))

        threads = [threading.Thread(target=draw) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(names) == 4
        assert len(set(names)) == 1


@pytest.mark.parametrize(
    "name", ["", "Abc", "a-b", "a.b", "log", "pg_a", "vault", "switchboard", "a_rebuilt", "a" * 41]
)
def test_a_log_takes_the_names_that_views_take(name: str) -> None:
    with pytest.raises(InvalidDeployment):
        memory_backend(name)
    with pytest.raises(InvalidDeployment):
        postgres_backend("", name)
    with pytest.raises(InvalidDeployment):
        Servers("", None, name, Path()).backend()
