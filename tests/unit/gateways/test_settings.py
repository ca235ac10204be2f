"""Settings: every one has a meaning, a default and bounds; what is none, or not as it may be, is refused."""

import os
import runpy
from pathlib import Path

import pytest

from consumers.layout import Layout
from gateways.settings import PREFIX, InvalidSettings, Settings, read_settings, table, variable
from schemas.catalog import FAMILIES


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX) or name in ("DATABASE_URL", "KAFKA_BOOTSTRAP"):
            monkeypatch.delenv(name)


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as invalid:
        read_settings()
    assert "\n" not in str(invalid.value)
    return str(invalid.value)


def test_without_any_variable_everything_has_its_default() -> None:
    settings = read_settings()
    assert settings.data == Path(".gridbook/demo")
    assert settings.layout() == Layout.of(dict.fromkeys(FAMILIES, 1))
    assert settings.copies(local_broker=False) == (3, 2)
    assert settings.copies(local_broker=True) == (1, 1)
    assert settings.tick_ms == 1_000
    multiples = settings.tick_multiples()
    assert (multiples.pop("market"), multiples.pop("programme")) == (1, 1)
    assert set(multiples.values()) == {60}
    assert settings.snapshot_folder() == Path(".gridbook/demo/snapshots")
    assert settings.snapshot_folder(Path("/other")) == Path("/other/snapshots")
    assert (settings.health_host, settings.health_port) == ("127.0.0.1", 0)
    assert (settings.database_url, settings.kafka_bootstrap, settings.deployment) == (None, None, None)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GRIDBOOK_DATA": "/somewhere",
        "GRIDBOOK_DEPLOYMENT": "gb_1",
        "GRIDBOOK_PARTITIONS": "4",
        "GRIDBOOK_FAMILY_PARTITIONS": "market=8, meter = 4 + 16",
        "GRIDBOOK_FAMILIES": "market, meter",
        "GRIDBOOK_FAMILY_TICK_EVERY": "site=2",
        "GRIDBOOK_STANDBY": "true",
        "GRIDBOOK_SNAPSHOTS": "/snapshots",
        "GRIDBOOK_HEALTH_PORT": "none",
        "GRIDBOOK_LOG_FORMAT": "json",
        "GRIDBOOK_TICK_EVERY": "",
        "DATABASE_URL": "postgresql://ann:s3cret@h/d",
        "KAFKA_BOOTSTRAP": "a:1,b:2",
    }.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.data == Path("/somewhere")
    assert settings.deployment == "gb_1"
    counts = dict(settings.layout().families)
    assert (counts.pop("market"), counts.pop("meter")) == ((8,), (4, 16))
    assert set(counts.values()) == {(4,)}
    assert settings.families == ("market", "meter")
    assert settings.tick_multiples() == dict.fromkeys(FAMILIES, 60) | {"site": 2}
    assert settings.standby
    assert settings.snapshot_folder(Path("/other")) == Path("/snapshots")
    assert settings.health_port is None
    assert settings.log_format == "json"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://ann:s3cret@h/d"
    assert settings.kafka_bootstrap == "a:1,b:2"
    assert "s3cret" not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GRIDBOOK_PARTITION", "did you mean GRIDBOOK_PARTITIONS?"),
        ("GRIDBOOK_HEALTHPORT", "did you mean GRIDBOOK_HEALTH_PORT?"),
        ("gridbook_snapshot", "did you mean GRIDBOOK_SNAPSHOTS?"),
        ("GRIDBOOK_QZX", "remove it; `python -m gateways.settings` lists them all"),
    ],
)
def test_what_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    sentence = refused(monkeypatch, **{name: "1"})
    assert sentence.startswith(f"{name} is no setting")
    assert sentence.endswith(meant)


def test_what_the_supervisor_tells_its_children_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDBOOK_PARENT", "7")
    monkeypatch.setenv("GRIDBOOKS", "not ours")
    read_settings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PARTITIONS", "0", "it should be greater than or equal to 1, found '0'"),
        ("PARTITIONS", "1.5", "it should be a valid integer"),
        ("TICK_MS", "5", "greater than or equal to 10"),
        ("APPEND_DEADLINE_S", "9", "less than 9"),
        ("HEALTH_PORT", "70000", "less than or equal to 65535"),
        ("LOG_FORMAT", "xml", "'auto', 'json' or 'console', found 'xml'"),
        ("DEPLOYMENT", "Mine", "match pattern"),
        ("FAMILIES", "market,metre", "expected a family, found 'metre': did you mean meter?"),
        ("FAMILIES", "qqq", "found 'qqq': one of party,"),
        ("FAMILY_PARTITIONS", "markt=2", "expected a family, found 'markt': did you mean market?"),
        ("FAMILY_PARTITIONS", "market=2000", "expected 1 to 1000 for market, found 2000"),
        ("FAMILY_PARTITIONS", "market", "expected family=number,family=number, found 'market'"),
        ("FAMILY_TICK_EVERY", "market=-1", "expected family=number,family=number, found 'market=-1'"),
        ("FAMILY_TICK_EVERY", "market=0", "expected 1 to 86400 for market, found 0"),
        ("REPLICATION_FACTOR", "1", "MIN_INSYNC_REPLICAS: expected at most the 1 of GRIDBOOK_REPLICATION_FACTOR"),
    ],
)
def test_what_a_setting_may_not_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    sentence = refused(monkeypatch, **{f"{PREFIX}{name}": value})
    assert says in sentence
    assert PREFIX in sentence


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = refused(monkeypatch, GRIDBOOK_PARTITION="1", GRIDBOOK_TICK_MS="x", GRIDBOOK_BATCH_MS="0")
    named = [part.split(" ")[0].rstrip(":") for part in sentence.split("; ")]
    assert sorted(named) == ["GRIDBOOK_BATCH_MS", "GRIDBOOK_PARTITION", "GRIDBOOK_TICK_MS"]


def test_every_setting_is_described_and_bounded() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").strip().endswith("."), f"{name} has no meaning"
        if field.annotation in (int, float, int | None):
            assert len(field.metadata) >= 2, f"{name} has no bounds"
    for name in ("tick_ms", "batch_ms", "batch_bytes", "append_deadline_s"):
        extra = Settings.model_fields[name].json_schema_extra
        assert isinstance(extra, dict)
        assert extra["unit"]


def test_the_table_has_a_row_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(RuntimeWarning, match="found in sys.modules"):
        runpy.run_module("gateways.settings", run_name="__main__")
    printed = capsys.readouterr().out.strip()
    assert printed == table()
    head, line, *rows = printed.splitlines()
    assert {row.count("|") - row.count("\\|") for row in (head, line, *rows)} == {5}
    assert [row.split("`")[1] for row in rows] == [variable(name) for name in Settings.model_fields]
    assert "| `GRIDBOOK_TICK_MS` | `1000` | ≥ 10 ≤ 3600000 ms | Length of a tick. |" in rows
    assert "| `GRIDBOOK_LOG_FORMAT` | `auto` | `auto`, `json`, `console` |" in printed
    assert "`market=1,programme=1`" in printed


def test_the_operators_page_lists_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    assert page.endswith(table() + "\n"), "write it again: python -m gateways.settings"
