"""An owner that is killed beside its snapshots, and a folder that refuses them: work is lost, and nothing else."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.follow import Follower
from consumers.limits import OwnerLimits
from consumers.owner import PartitionOwner
from consumers.ports import NewRecord
from consumers.snapshot import Position
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.event_log import KafkaEventLog
from infra.snapshots import FolderSnapshots
from schemas.catalog import FAMILIES
from tests.faults.inside import MARKET, OwnerLife, Story
from tests.faults.load import Load
from tests.faults.recording import Recording, recording

LIMITS = OwnerLimits(commands=20, snapshot_every=60)
KILLS = 6
_LOOK_SECONDS = 0.002


@pytest.fixture(scope="module")
def recorded() -> Recording:
    load = Load(2, markets=1, homes=5, orders=40, whole=False)
    return asyncio.run(recording(load, dict.fromkeys(FAMILIES, 1)))


@pytest.fixture
async def logs(kafka_bootstrap: str) -> AsyncIterator[tuple[KafkaEventLog, KafkaCommandLog]]:
    deployment = f"f_{uuid.uuid4().hex[:12]}"
    events, commands = KafkaEventLog(kafka_bootstrap, deployment), KafkaCommandLog(kafka_bootstrap, deployment)
    await asyncio.gather(events.start(), commands.start())
    await asyncio.gather(events.create([MARKET]), commands.create([MARKET]))
    yield events, commands
    await asyncio.gather(events.close(), commands.close())


Logs = tuple[KafkaEventLog, KafkaCommandLog]


def life(logs: Logs, recorded: Recording, folder: Path, owner: type[PartitionOwner] = PartitionOwner) -> OwnerLife:
    return OwnerLife(recorded, *logs, LIMITS, owner=owner, snapshots=FolderSnapshots(folder))


async def changed(file: Path, was: object) -> object:
    """Returns when a snapshot is there that is another one."""

    def look() -> object:
        return file.stat().st_ino if file.exists() else None

    while (now := look()) == was or now is None:
        await asyncio.sleep(_LOOK_SECONDS)
    return now


def kills(folder: Path) -> Story:
    """Kills the owner as soon as a snapshot is there, at once or a moment later."""

    async def story(it: OwnerLife) -> None:
        rng, seen = random.Random(3), None
        for n in range(KILLS):
            seen = await changed(folder / "market-0.snapshot", seen)
            if n % 2:
                await asyncio.sleep(rng.uniform(0, 0.02))
            it.kill()

    return story


async def test_whoever_is_killed_beside_a_snapshot_goes_on_from_it(
    logs: Logs, recorded: Recording, tmp_path: Path
) -> None:
    it = life(logs, recorded, tmp_path)
    assert await it.live(kills(tmp_path)) == []
    assert "snapshot ignored" not in it.report.said
    assert it.report.counts["claims"] > KILLS


class Hasty(PartitionOwner):
    """Saves the memory before the log holds it, under the position of that moment."""

    async def _append(self, records: list[NewRecord], commands: int) -> None:
        if self._snapshot_due():
            await self._save()
        await super()._append(records, commands)


async def test_a_snapshot_that_is_ahead_of_the_log_is_not_believed(
    logs: Logs, recorded: Recording, tmp_path: Path
) -> None:
    it = life(logs, recorded, tmp_path, Hasty)
    assert await it.live(kills(tmp_path)) == []
    assert "snapshot ignored" in it.report.said


async def test_a_snapshot_that_is_ahead_of_the_log_is_found(
    logs: Logs, recorded: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def believed(follower: Follower, place: Position) -> None: ...

    monkeypatch.setattr(Follower, "_recognise", believed)
    found = await life(logs, recorded, tmp_path, Hasty).live(kills(tmp_path), seconds=15)
    assert any("not as recorded" in one for one in found)


async def test_a_folder_that_refuses_costs_snapshots_only(logs: Logs, recorded: Recording, tmp_path: Path) -> None:
    folder, aside = tmp_path / "snapshots", tmp_path / "aside"

    async def said(it: OwnerLife, what: str) -> None:
        while what not in it.report.said:
            await asyncio.sleep(_LOOK_SECONDS)

    async def story(it: OwnerLife) -> None:
        await changed(folder / "market-0.snapshot", None)
        folder.rename(aside)
        folder.touch()  # a file in its place: neither to be read nor to be written, also by root
        await said(it, "snapshot not written")
        it.kill()
        await said(it, "snapshot ignored")
        await asyncio.sleep(0.2)
        folder.unlink()
        await changed(folder / "market-0.snapshot", None)
        it.kill()

    it = life(logs, recorded, folder)
    assert await it.live(story) == []
    assert it.report.counts["claims"] >= 3
