"""A broker that was cut off, and does not know yet that others have made another leader, is not believed.

Such a moment cannot be made at will; so a real broker's answers are replaced by what it would have said before.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import OffsetOutOfRangeError

from consumers.ports import LogUnavailable, Partition
from infra.kafka import reader
from infra.kafka.connection import Fetched
from infra.kafka.errors import PositionOutOfLog
from infra.kafka.event_log import KafkaEventLog
from tests.contract.backends import append, numbers

MARKET = Partition("market", 0)


class Stale:
    """Answers as before, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = 0
        self.end = 0
        self.error: type[Exception] | None = None
        ends, fetch = reader.stable_ends, reader.fetch

        async def stable_ends(client: Any, node: int, wanted: Any) -> Any:
            found = await ends(client, node, wanted)
            return dict.fromkeys(found, self.end) if self._is_stale() else found

        async def fetched(*arguments: Any) -> list[Fetched]:
            found = await fetch(*arguments)
            if not self._is_stale():
                return found
            return [replace(one, error=self.error, stable_end=self.end, data=b"") for one in found]

        monkeypatch.setattr(reader, "stable_ends", stable_ends)
        monkeypatch.setattr(reader, "fetch", fetched)

    def _is_stale(self) -> bool:
        self.answers -= 1
        return self.answers >= 0


@pytest.fixture
async def logs(kafka_bootstrap: str, deployment: str) -> AsyncIterator[list[KafkaEventLog]]:
    made = [KafkaEventLog(kafka_bootstrap, deployment) for _ in range(2)]
    for log in made:
        await log.start()
        await log.create([MARKET])
    yield made
    for log in made:
        await log.close()


@pytest.fixture
def stale(logs: list[KafkaEventLog], monkeypatch: pytest.MonkeyPatch) -> Stale:
    return Stale(monkeypatch)


async def test_who_restored_from_a_stale_end_does_not_write(logs: list[KafkaEventLog], stale: Stale) -> None:
    here, elsewhere = logs
    await append(await elsewhere.claim(MARKET), 1, 2)
    stale.answers = 1
    owner = await here.claim(MARKET)
    with pytest.raises(LogUnavailable, match=r"expected to write at 0, and would at 3: .* claim again and restore"):
        await append(owner, 3)
    assert not owner.alive
    owner = await here.claim(MARKET)
    assert await numbers(here) == [1, 2], "nothing of it stands"
    await append(owner, 3)
    await append(owner, 4)
    assert await numbers(here) == [1, 2, 3, 4]


async def test_an_end_never_goes_back(logs: list[KafkaEventLog], stale: Stale, monkeypatch: pytest.MonkeyPatch) -> None:
    await append(await logs[0].claim(MARKET), 1, 2)
    assert await logs[0].end(MARKET) == 3
    stale.answers = 3
    assert await logs[0].end(MARKET) == 3
    monkeypatch.setattr(reader, "_PATIENCE_SECONDS", 0.2)
    stale.answers = 1_000
    with pytest.raises(LogUnavailable, match="it ends at 0, and has ended at 3"):
        await logs[0].end(MARKET)


async def test_below_a_known_end_something_is_found(
    logs: list[KafkaEventLog], stale: Stale, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(await logs[0].claim(MARKET), 1, 2)
    assert await logs[0].end(MARKET) == 3
    stale.answers = 3
    assert len((await logs[0].read(MARKET, 0, 10)).records) == 2
    stale.answers = 1
    assert (await logs[0].read(MARKET, 3, 10)).records == (), "at the end there is nothing"
    monkeypatch.setattr(reader, "_PATIENCE_SECONDS", 0.2)
    stale.answers = 1_000
    with pytest.raises(LogUnavailable, match="nothing stands at 0, where something has stood"):
        await logs[0].read(MARKET, 0, 10)


async def test_a_position_that_was_there_is_looked_for_again(
    logs: list[KafkaEventLog], stale: Stale, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(await logs[0].claim(MARKET), 1, 2)
    assert await logs[0].end(MARKET) == 3
    stale.error, stale.answers = OffsetOutOfRangeError, 2
    assert len((await logs[0].read(MARKET, 0, 10)).records) == 2
    monkeypatch.setattr(reader, "_UNKNOWN_SECONDS", 0.1)
    stale.answers = 1_000
    with pytest.raises(PositionOutOfLog):
        await asyncio.wait_for(logs[0].read(MARKET, 0, 10), 2)
