"""The tail of what a process wrote: it may forget, and never says anything wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.ports import NewRecord, StoredRecord
from infra.embedded import tail as module
from infra.embedded.tail import Tail

WRITES = st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(0, 40)), min_size=3, max_size=20)


@given(WRITES, st.integers(1, 10))
def test_tail_reads_like_the_log(writes: list[tuple[int, bool, int]], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TAIL_RECORDS", 10)
        patch.setattr(module, "TAIL_BYTES", 100)
        tail, log = Tail(), list[NewRecord]()
        for count, ours, size in writes:
            records = [NewRecord(b"%d" % (len(log) + k), bytes(size)) for k in range(count)]
            if ours:  # otherwise another process wrote
                tail.wrote("stream", len(log), records)
            log += records
        whole = [StoredRecord(n, one.key, one.value, one.headers) for n, one in enumerate(log)]
        for position in range(len(log) + 2):
            found = tail.read("stream", position, limit)
            assert list(found) == whole[position : position + limit][: len(found)]
        assert len(tail._last.get("stream", ())) <= 10
        assert sum(len(one.value) for one in tail._last.get("stream", ())) <= 100


def test_tail_knows_what_was_just_written() -> None:
    tail = Tail()
    tail.wrote("a", 5, [NewRecord(b"k", b"1"), NewRecord(b"k", b"2")])
    tail.wrote("a", 7, [NewRecord(b"k", b"3")])
    assert [one.value for one in tail.read("a", 6, 10)] == [b"2", b"3"]
    assert tail.read("a", 4, 10) == ()
    assert tail.read("a", 8, 10) == ()
    assert tail.read("b", 5, 10) == ()
