"""Releases side by side under load: upgraded twice, and rolled back, while processes of both work on one deployment."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.ports import Partition
from consumers.reading import between
from infra.schemas import load_entries
from tests.faults.load import Load
from tests.faults.processes import Nursery, Place
from tests.faults.releases import read_first, then_written
from tests.faults.trial import Life, lived

ORDER = "gridbook.market.OrderAccepted"
FEW = 6
"""Sends before a release is changed, and while it is."""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Nursery, Nursery]]:
    """The folder of the next release, and where processes of the next two come from."""
    folder = tmp_path_factory.mktemp("releases")
    second = read_first(folder / "second")
    third = then_written(second, folder / "third")
    with Nursery("brisk", checkout=second) as reading, Nursery("brisk", checkout=third) as writing:
        yield second, reading, writing


async def versions(place: Place, ids: dict[int, int]) -> list[int]:
    """The versions in which orders were accepted, as they follow each other in the first market's partition."""
    app, found = place.app(), list[int]()
    try:
        await app.open_logs()
        async for stored in between(app.backend.events, Partition("market", 0), 0):
            version = ids.get(int.from_bytes(stored.value[1:5], "big"))
            if version is not None and found[-1:] != [version]:
                found.append(version)
    finally:
        await app.close()
    return found


@pytest.mark.long
async def test_releases_work_side_by_side_and_can_be_rolled_back(
    place: Place, nursery: Nursery, releases: tuple[Path, Nursery, Nursery]
) -> None:
    second, reading, writing = releases

    async def story(life: Life) -> None:
        fleet, sender = life.fleet, life.sender
        await sender.reached(life.founded)
        for release, names in (
            (reading, ["second", "react"]),  # beside the first release
            (reading, ["decide", "project", "calculate"]),
            (writing, ["second", "react", "project"]),  # beside the one that reads already
            (writing, ["decide", "calculate"]),
            (reading, ["decide", "second", "react", "project", "calculate"]),  # and back
        ):
            sender.allow(2 * FEW)
            await sender.reached(sender.sends + FEW)
            fleet.spawn = release
            await asyncio.gather(*(fleet.restart(name, how=signal.SIGTERM) for name in names))
            await sender.quiet()  # each pair of releases has decided something together
        sender.allow()

    found = await lived(place, nursery, Load(8, whole=False), story, more={"second": "decide"}, witnessed=True)
    assert found.problems == []
    ids = {entry.id: entry.version for entry in load_entries(second / "schemas" / "published") if entry.name == ORDER}
    assert await versions(place, ids) == [1, 2, 1]


@pytest.mark.long
async def test_a_release_that_does_not_look_up_what_a_newer_one_writes_is_found(
    place: Place, nursery: Nursery, releases: tuple[Path, Nursery, Nursery]
) -> None:
    *_, writing = releases

    async def story(life: Life) -> None:
        await life.sender.reached(life.sends // 3)
        life.fleet.spawn = writing
        await life.fleet.restart("decide", how=signal.SIGTERM)

    load = Load(8, markets=1, orders=15, whole=False)
    with pytest.raises(AssertionError, match="a part has stopped for good"):
        await lived(place, nursery, load, story, plants={"react": ["deaf"]})
