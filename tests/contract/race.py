"""Claims against appends in flight: the check, which must itself catch a broken fence."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.ports import EventLog, Fenced, LogUnavailable, NewRecord, Owner, Partition, StoredRecord
from tests.contract.backends import DEADLINE, read_all

MOST_RECORDS = 30  # in one append: enough that it takes a while


@dataclass(slots=True)
class _Reign:
    """One owner: where its claim found the end, what it was told was stored, what it does not know."""

    end: int
    challenged: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: list[list[bytes]] = field(default_factory=list)
    unknown: list[list[bytes]] = field(default_factory=list)


async def race(logs: Sequence[EventLog], partition: Partition, claims: int, rng: random.Random) -> list[str]:
    """Claims one after the other, through each log object in turn, while all earlier owners go on appending.

    Returns:
        what is wrong with the log afterwards: one sentence for each violation.
    """
    reigns: list[_Reign] = []
    writers = []
    for n in range(claims):
        owner = await logs[n % len(logs)].claim(partition)
        reign = _Reign(await logs[n % len(logs)].end(partition))
        reigns.append(reign)
        writers.append(asyncio.create_task(_append_until_fenced(owner, reign, n, rng)))
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * 0.004)
        # From here on the owner appends without a pause; the next claim comes a few turns of the loop later.
        reign.challenged.set()
        await _turns(rng.randint(0, 15))
    last = await logs[0].claim(partition)
    reigns.append(_Reign(await logs[0].end(partition)))
    await asyncio.gather(*writers)
    await last.close()
    return [wrong for log in (logs[0], logs[-1]) for wrong in _violations(await read_all(log, partition), reigns)]


async def _append_until_fenced(owner: Owner, reign: _Reign, n: int, rng: random.Random) -> None:
    calm = rng.randint(0, 2)
    for k in range(10_000):
        if k == calm:
            await reign.challenged.wait()
            await _turns(rng.randint(0, 15))
        count = rng.choice((1, MOST_RECORDS))
        values = [f"{n} {k} {i} {count}".encode() for i in range(count)]
        try:
            await owner.append([NewRecord(b"key", value) for value in values], DEADLINE)
        except Fenced:
            return
        except LogUnavailable:
            reign.unknown.append(values)
            return
        reign.acknowledged.append(values)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _violations(stored: Sequence[StoredRecord], reigns: Sequence[_Reign]) -> list[str]:
    wrong = []
    by_owner: dict[int, list[bytes]] = {}
    newest = 0
    for one in stored:
        owner = int(one.value.split()[0])
        if owner < newest:
            wrong.append(f"position {one.position}: a record of owner {owner} behind one of owner {newest}")
        newest = max(newest, owner)
        if one.position < reigns[owner].end:
            wrong.append(f"position {one.position}: owner {owner} wrote before its claim found the end")
        if owner + 1 < len(reigns) and one.position >= reigns[owner + 1].end:
            wrong.append(f"position {one.position}: owner {owner} wrote behind the end of the next claim")
        by_owner.setdefault(owner, []).append(one.value)
    for n, reign in enumerate(reigns):
        told = [value for values in reign.acknowledged for value in values]
        perhaps = [value for values in reign.unknown for value in values]
        if by_owner.get(n, []) not in (told, told + perhaps):
            wrong.append(f"owner {n}: acknowledged {len(told)} records, found {len(by_owner.get(n, []))}")
    return wrong
