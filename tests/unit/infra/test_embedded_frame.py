"""The frame in which the embedded logs store a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.ports import NewRecord, StoredRecord
from infra.embedded.frame import UnreadableFrame, pack, unpack

HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=5).map(tuple)
RECORDS = st.builds(NewRecord, st.binary(max_size=50), st.binary(max_size=200), HEADERS)


@given(RECORDS, st.integers(0, 2**62))
def test_what_is_packed_comes_back(record: NewRecord, position: int) -> None:
    assert unpack(position, pack(record)) == StoredRecord(position, record.key, record.value, record.headers)


def test_version_1_is_this() -> None:
    """Written once, read for ever."""
    frame = bytes.fromhex("01 00000003 0002  6b6579  0001 00000002 61 3132  0002 00000000 c3a4  76616c7565")
    record = NewRecord(b"key", b"value", (("a", b"12"), ("ä", b"")))
    assert pack(record) == frame
    assert unpack(7, frame) == StoredRecord(7, b"key", b"value", (("a", b"12"), ("ä", b"")))


def test_another_version_is_refused() -> None:
    with pytest.raises(UnreadableFrame, match="version 1, found 2"):
        unpack(0, b"\x02" + pack(NewRecord(b"key", b"value"))[1:])


@given(RECORDS, st.data())
def test_a_frame_cut_in_its_headers_is_refused(record: NewRecord, data: st.DataObject) -> None:
    frame = pack(record)
    cut = data.draw(st.integers(0, len(frame) - len(record.value) - 1))
    with pytest.raises(UnreadableFrame):
        unpack(0, frame[:cut])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pack(NewRecord(b"", b"", (("n" * 65_536, b""),)))
    with pytest.raises(ValueError, match="do not fit"):
        pack(NewRecord(b"", b"", (("n", b""),) * 65_536))
