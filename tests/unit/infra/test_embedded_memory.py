"""The store in memory beyond the logs' contract: threads, and the library's own questions."""

import asyncio
import threading

import pytest

from consumers.ports import Fenced, NewRecord, Partition
from infra.embedded.memory import MemoryEventLog, MemoryStore
from infra.embedded.stream import Fence

P = Partition("market", 0)


def test_threads_fence_each_other() -> None:
    store = MemoryStore()
    store.create(["d.events.market/0"])
    acknowledged: list[bytes] = []

    async def contend(name: int) -> None:
        log = MemoryEventLog("d", store)
        await log.start()
        for claim in range(50):
            owner = await log.claim(P)
            try:
                for n in range(10):
                    values = [f"{name} {claim} {n} {k}".encode() for k in range(3)]
                    await owner.append([NewRecord(b"", value) for value in values], 1)
                    acknowledged.extend(values)
            except Fenced:
                pass
        await log.close()

    threads = [threading.Thread(target=lambda n=n: asyncio.run(contend(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def read() -> list[bytes]:
        log = MemoryEventLog("d", store)
        await log.start()
        return [one.value for one in (await log.read(P, 0, 1_000_000)).records]

    stored = asyncio.run(read())
    assert sorted(stored) == sorted(acknowledged)
    for n in range(0, len(stored), 3):
        assert [value.rsplit(b" ", 1)[1] for value in stored[n : n + 3]] == [b"0", b"1", b"2"]


async def test_write_of_another_thread_wakes() -> None:
    store = MemoryStore()
    log = MemoryEventLog("d", store)
    await log.start()
    await log.create([P])
    row = store.claim("d.events.market/0")
    waiting = asyncio.create_task(log.wait(P, 0, 30))
    await asyncio.sleep(0.01)
    fence = Fence("d.events.market/0", row.epoch, 0, 1)
    await asyncio.to_thread(store.append, [b"\x01" + bytes(6)], fence)
    assert await asyncio.wait_for(waiting, 5)


def test_write_without_a_fence_fails() -> None:
    store = MemoryStore()
    with pytest.raises(TypeError, match="fence"):
        store.insert_events([])


def test_the_library_reads_the_store() -> None:
    store = MemoryStore()
    store.create(["s/0"])
    store.append([b"a", b"b", b"c"], Fence("s/0", store.claim("s/0").epoch, 0, 3))
    assert [event.state for event in store.select_events("s/0", gt=0)] == [b"b", b"c"]
