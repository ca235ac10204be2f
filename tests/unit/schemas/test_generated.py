"""The generated codec against fastavro and the shapes: the same bytes, the same messages, the same refusals."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, replace
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import codec_varints
from schemas.catalog import MessageType, all_messages
from schemas.codec import Codec, UndecodableRecord
from schemas.codec_functions import Functions
from schemas.envelope import Causation, CommandMeta, FactMeta, Moment
from schemas.form import Part, part_of
from schemas.message import Kind, event, value
from schemas.record_schema import METAS, avro_schema, body_shape, meta_shape
from schemas.shape import InvalidMessage
from schemas.values import Name, TimeUs
from tests.unit.any_message import any_message
from tests.unit.schemas.other_bytes import (
    FRAME,
    by_fastavro,
    datum_of,
    extreme,
    extremes,
    oddly,
    read_by_fastavro,
    varint,
    zigzag,
)

MESSAGES = all_messages()
NUMBERS = {m.name: n for n, m in enumerate(MESSAGES, 1)}
FUNCTIONS = Functions()
CODEC = Codec({n: avro_schema(m) for n, m in enumerate(MESSAGES, 1)})
WRONG: list[Any] = [
    True,
    1.5,
    None,
    2**63,
    -(2**63) - 1,
    "",
    "x" * 5000,
    "a\nb",
    "\ud800",
    b"x",
    [1],
    (True,),
    (1.5,) * 20,
]


@value
class Leaf:
    """Everything that today's messages do not combine."""

    flag: bool
    raw: bytes | None
    text: Name
    many: tuple[bytes, ...]


@event
class AllKindsNoted:
    """A fact with every form inside every other, and names that are nearly those of other fields' parts."""

    remark: str
    leaf: Leaf
    leaves: tuple[Leaf, ...]
    perhaps: Leaf | None
    free: int
    flags: tuple[bool, ...]
    maybes: tuple[int | None, ...]
    numbers: tuple[int, ...]
    nested: tuple[tuple[int, ...], ...]
    leaf_text: int
    remark_b: bool
    free_z: int
    perhaps_u: TimeUs | None


ODD = MessageType("gridbook.x.AllKindsNoted", "x", Kind.EVENT, AllKindsNoted)
EVERY = [*MESSAGES, ODD]
each = pytest.mark.parametrize("message", EVERY, ids=lambda m: m.name)


def encoded(message: MessageType, meta: Any, body: Any) -> bytes | None:
    head = FUNCTIONS.meta_encoder(message.kind)(FRAME, meta)
    return None if head is None else FUNCTIONS.encoder(message)(head, body)


def holds(message: MessageType, meta: Any, body: Any) -> None:
    reference = by_fastavro(message, datum_of(message, meta, body))
    assert encoded(message, meta, body) == FRAME + reference
    assert read_by_fastavro(message, reference) == (meta, body)
    assert FUNCTIONS.decoder(message)(FRAME + reference) == (meta, body, True)
    odd = oddly(message, meta, body)
    assert read_by_fastavro(message, odd) == (meta, body)
    assert FUNCTIONS.decoder(message)(FRAME + odd) == (meta, body, True)


@each
@settings(max_examples=10)
@given(st.data())
def test_bytes_and_messages_are_those_of_fastavro(message: MessageType, data: st.DataObject) -> None:
    holds(message, data.draw(any_message(METAS[message.kind])), data.draw(any_message(message.cls)))


@each
def test_extreme_values_are_those_of_fastavro(message: MessageType) -> None:
    for meta, body in extremes(message):
        holds(message, meta, body)


@settings(max_examples=40)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30).map(tuple))
@example(tuple(range(8180, 8200)))
@example((2**63 - 1, -(2**63)) * 8)
def test_arrays_of_any_integers_are_those_of_fastavro(numbers: tuple[int, ...]) -> None:
    [(meta, body), *_] = extremes(ODD)
    holds(ODD, meta, replace(body, numbers=numbers, nested=(numbers, (), numbers), free=sum(numbers) // 30))


# -- what does not fit -----------------------------------------------------------------------------


def with_wrong_parts(form: Part, good: Any) -> Iterator[Any]:
    for name, part in form.fields:
        for wrong in [*WRONG, _outside(part, -1), _outside(part, 1)]:
            yield replace(good, **{name: wrong})
        if isinstance(part, Part):
            for worse in with_wrong_parts(part, getattr(good, name)):
                yield replace(good, **{name: worse})


def _outside(part: Any, step: int) -> Any:
    return (part.high if step > 0 else part.low) + step if hasattr(part, "high") else object()


def refusal(check: Any, *args: Any) -> tuple[str, str, str] | None:
    try:
        check(*args)
    except InvalidMessage as error:
        return error.path, error.expected, repr(error.found)
    return None


@each
def test_the_encoders_refuse_exactly_what_the_shapes_refuse(message: MessageType) -> None:
    for meta, body in list(extremes(message))[1::3]:
        name = message.cls.__name__
        for bad in [None, meta, *with_wrong_parts(part_of(message.cls), body)]:
            refused = refusal(body_shape(message).to_datum, bad, name)
            assert (encoded(message, meta, bad) is None) == (refused is not None), bad
            if refused is not None and message is not ODD and type(bad) is message.cls:
                assert refusal(CODEC.encode, meta, bad) == refused
                assert refusal(CODEC.check, meta, bad) == refused


@pytest.mark.parametrize("kind", list(METAS))
def test_the_encoders_of_envelopes_refuse_exactly_what_their_shapes_refuse(kind: Kind) -> None:
    message = next(m for m in MESSAGES if m.kind is kind)
    body = extreme(part_of(message.cls), True, 1)
    for high in (False, True):
        good = extreme(part_of(METAS[kind]), high, 0)
        for bad in [None, body, *with_wrong_parts(part_of(METAS[kind]), good)]:
            refused = refusal(meta_shape(kind).to_datum, bad, "meta")
            assert (encoded(message, bad, body) is None) == (refused is not None), bad
            assert refusal(CODEC.encode, bad, body) == refused
            if kind is Kind.EVENT and not (refused and refused[0] in ("meta.seq", "meta.index")):
                assert refusal(CODEC.stem, bad) == refused  # a stem leaves both to `encode_fact`


@pytest.mark.parametrize("message", [m for m in MESSAGES if m.kind is Kind.COMMAND], ids=lambda m: m.name)
def test_a_command_out_of_range_is_decoded_and_said_to_be_so(message: MessageType) -> None:
    number = NUMBERS[message.name]
    for meta, body in list(extremes(message))[1::3]:
        datum = datum_of(message, meta, body)
        for place, field in [(datum, f) for f in _bent(message.cls)] + [(datum["meta"], f) for f in _bent(CommandMeta)]:
            kept = place[field[0]]
            for worse in field[1:]:
                place[field[0]] = worse
                value = b"\0" + number.to_bytes(4, "big") + by_fastavro(message, datum)
                found = CODEC.decode(value)
                assert found == read_by_fastavro(message, value[5:])
                said = refusal(CODEC.decode_command, value)
                assert said is not None
                assert said[0].endswith(field[0])
                assert said == refusal(CODEC.check, *found)
            place[field[0]] = kept


def _bent(cls: Any) -> Iterator[tuple[Any, ...]]:
    """Fields with values beside their ranges, as Avro would write them."""
    for name, form in part_of(cls).fields:
        if hasattr(form, "low") and not hasattr(form, "cls"):
            if type(form).__name__ == "Text":
                yield name, "x" * (form.high + 1), "a\x00b", *([""] if form.low else [])
            else:
                over = [v for v in (form.low - 1, form.high + 1) if -(2**63) <= v < 2**63]
                yield name, *over


# -- bytes that are no record ----------------------------------------------------------------------


@each
def test_a_record_that_is_cut_or_padded_is_undecodable(message: MessageType) -> None:
    decode = FUNCTIONS.decoder(message)
    for high in (False, True):
        meta = replace(extreme(part_of(METAS[message.kind]), high, 0), correlation="c", actor="a", command_id="i")
        record = encoded(message, meta, _short(extreme(part_of(message.cls), high, 2)))
        assert record is not None
        for cut in range(len(FRAME), len(record)):
            with pytest.raises((ValueError, IndexError)):
                decode(record[:cut])
        with pytest.raises(ValueError, match="1 bytes left over"):
            decode(record + b"\0")


def _short(body: Any) -> Any:
    """The message with texts of few bytes, so that each of them can be cut."""
    texts = {f.name: "ä€s" for f in fields(body) if type(getattr(body, f.name)) is str}
    return replace(body, **texts)


@settings(max_examples=200)
@given(st.sampled_from(EVERY), st.data())
def test_damaged_bytes_raise_nothing_else(message: MessageType, data: st.DataObject) -> None:
    meta, body = list(extremes(message))[data.draw(st.sampled_from([0, 1, 4]))]
    record = bytearray(encoded(message, meta, body) or b"")
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(len(FRAME), len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        FUNCTIONS.decoder(message)(bytes(record))
    except (ValueError, IndexError):
        return


ORDER = next(m for m in MESSAGES if m.name == "gridbook.market.OrderAccepted")
READINGS = next(m for m in MESSAGES if m.name == "gridbook.meter.ReadingsRecorded")


def damaged(message: MessageType, old: bytes, new: bytes) -> bytes:
    """A record in which these bytes, the last of their kind, are others."""
    _, (meta, body), *_ = extremes(message)
    record = by_fastavro(message, datum_of(message, meta, body))
    at = record.rindex(old)
    return b"\0" + NUMBERS[message.name].to_bytes(4, "big") + record[:at] + new + record[at + len(old) :]


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("enum number too large", damaged(ORDER, b"\0\0", b"\x06\0")),
        ("enum number negative", damaged(ORDER, b"\0\0", b"\x01\0")),
        ("enum number of two bytes", damaged(ORDER, b"\0\0", b"\x80\x01\0")),
        ("no branch of the union", damaged(ORDER, b"\0\0", b"\0\x04")),
        ("negative branch of the union", damaged(ORDER, b"\0\0", b"\0\x01")),
        ("text that is no UTF-8", damaged(ORDER, "é".encode(), b"\xff\xff")),
        ("text of negative length", damaged(ORDER, b"\x04" + "é".encode(), b"\x03" + "é".encode())),
        ("text of absurd length", damaged(ORDER, b"\x04" + "é".encode(), varint(2**63) + "é".encode())),
        ("integer of more than 64 bits", damaged(READINGS, b"\x02\0\0", b"\x02" + b"\xff" * 9 + b"\x02\0")),
        ("integer that never ends", damaged(READINGS, b"\x02\0\0", b"\x02" + b"\xff" * 200)),
        ("integer of eleven bytes", damaged(READINGS, b"\x02\0\0", b"\x02" + b"\x80" * 10 + b"\0\0")),
        ("array of absurd length", damaged(READINGS, b"\x02\0\0", varint(zigzag(2**62)) + b"\0\0")),
        ("array of absurd negative length", damaged(READINGS, b"\x02\0\0", varint(zigzag(-(2**63))) + b"\x02\0\0")),
        ("array without an end", damaged(READINGS, b"\x02\0\0", b"\x02\0")),
    ],
)
def test_bytes_that_are_no_record_are_undecodable_and_cost_nothing(what: str, value: bytes) -> None:
    CODEC.decode(damaged(ORDER, b"\0\0", b"\0\0"))
    CODEC.decode(damaged(READINGS, b"\x02\0\0", b"\x02\0\0"))
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableRecord, match=f"schema id {int.from_bytes(value[1:5], 'big')}"):
            CODEC.decode(value)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_boolean_is_zero_or_one() -> None:
    decode = FUNCTIONS.decoder(ODD)
    (meta, body), *_ = extremes(ODD)
    record = encoded(ODD, meta, replace(body, flags=(True,)))
    assert record is not None
    assert decode(record)[1].flags == (True,)
    with pytest.raises(ValueError, match="boolean"):
        decode(record.replace(b"\x02\x01\x00", b"\x02\x02\x00"))


def test_many_small_blocks_cost_about_what_one_large_block_costs() -> None:
    """An array in blocks is no way to make a reader copy the record again and again."""
    (meta, body), *_ = extremes(READINGS)
    items = b"\x02" * 12
    blocks = 40_000
    start = by_fastavro(READINGS, datum_of(READINGS, meta, body))[:-1]
    one = FRAME + start + varint(zigzag(12 * blocks)) + items * blocks + b"\0"
    many = FRAME + start + (varint(zigzag(12)) + items) * blocks + b"\0"
    decode = FUNCTIONS.decoder(READINGS)
    seconds = []
    for record in (one, many):
        begun = process_time()
        assert decode(record)[1].energy_wh == (1,) * (12 * blocks)
        seconds.append(process_time() - begun)
    assert seconds[1] < 10 * seconds[0]


def test_what_is_remembered_of_times_stays_small() -> None:
    tick = next(m for m in MESSAGES if m.name == "gridbook.log.Tick")
    meta = extreme(part_of(CommandMeta), False, 0)
    for at in range(2**50, 2**50 + 3 * codec_varints.MAX_MOMENTS):
        record = encoded(tick, meta, tick.cls(1, at))
        assert record is not None
        assert FUNCTIONS.decoder(tick)(record)[1].at == at
    assert 0 < len(codec_varints.MOMENTS) <= codec_varints.MAX_MOMENTS
    assert 0 < len(codec_varints.MOMENTS_READ) <= codec_varints.MAX_MOMENTS


# -- envelopes that share their bytes --------------------------------------------------------------


@settings(max_examples=50)
@given(any_message(FactMeta), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_fact_behind_a_stem_has_the_bytes_of_its_envelope(meta: FactMeta, seq: int, index: int) -> None:
    body = extreme(part_of(ORDER.cls), True, 1)
    fact = CODEC.encode_fact(CODEC.stem(meta), seq, index, body)
    assert fact == CODEC.encode(replace(meta, seq=seq, index=index), body)


@pytest.mark.parametrize(
    ("seq", "index", "place"), [(-1, 0, "seq"), (True, 0, "seq"), (0, 2**63, "index"), (0, 1.0, "index")]
)
def test_a_fact_behind_a_stem_is_checked(seq: Any, index: Any, place: str) -> None:
    stem = CODEC.stem(FactMeta(1, Moment(1, 2), "c", 0, "a", "c", Causation("site", 1, 0, 5, 0), 1))
    body = extreme(part_of(ORDER.cls), True, 1)
    with pytest.raises(InvalidMessage, match=f"meta.{place}"):
        CODEC.encode_fact(stem, seq, index, body)
    with pytest.raises(InvalidMessage, match=r"OrderAccepted\.market"):
        CODEC.encode_fact(stem, 1, 1, replace(body, market=""))
    with pytest.raises(InvalidMessage, match="meta"):
        CODEC.encode_fact(stem, 1, 1, extreme(part_of(MESSAGES[0].cls), True, 1))
