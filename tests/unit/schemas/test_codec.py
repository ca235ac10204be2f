"""Messages and bytes: strict, framed, readable for ever."""

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.schemas import load_ledger, unpublished
from schemas.catalog import all_messages
from schemas.codec import Codec, UndecodableRecord, UnknownSchema, avro_schema
from schemas.envelope import CommandMeta, FactMeta, Moment
from schemas.lint import problems
from schemas.market.commands import SubmitOrder
from schemas.market.events import Restriction
from schemas.message import Kind, event
from schemas.meter.events import MeterKind, Quality, ReadingsRecorded
from schemas.shape import InvalidMessage, record_shape
from schemas.values import Direction, Side

LEDGER = {n: avro_schema(m) for n, m in enumerate(all_messages(), 1)}
CODEC = Codec(LEDGER)
META = CommandMeta("c1", "ann", "c1", 5, None, None)
FACT = FactMeta(7, Moment(1, 2), "c1", 0, "ann", "c1", None, 1)
ORDER = SubmitOrder("ann", "site", 900_000_000, Side.SELL, 250, -5, Restriction.IOC, None)


def readings(values: tuple[int, ...]) -> ReadingsRecorded:
    return ReadingsRecorded(
        "p", "c", MeterKind.UTILITY, "s", "b", Direction.IMPORT_FROM_GRID, 0, 15, Quality.VALID, 1, values
    )


def test_every_message_has_a_schema_with_meta_first() -> None:
    for message in all_messages():
        schema = avro_schema(message)
        assert schema["fields"][0]["name"] == "meta"
        fastavro.parse_schema(schema)


def test_a_record_comes_back_as_it_went() -> None:
    assert CODEC.decode(CODEC.encode(META, ORDER)) == (META, ORDER)
    assert CODEC.decode(CODEC.encode(FACT, readings((1, 2)))) == (FACT, readings((1, 2)))


@given(st.lists(st.integers(0, 10**10)).map(tuple))
def test_any_readings_come_back(values: tuple[int, ...]) -> None:
    assert CODEC.decode(CODEC.encode(FACT, readings(values)))[1].energy_wh == values


def test_the_frame_is_that_of_confluent_clients() -> None:
    value = CODEC.encode(META, ORDER)
    schema_id = next(n for n, s in LEDGER.items() if s["name"] == "gridbook.market.SubmitOrder")
    assert value[:5] == b"\x00" + schema_id.to_bytes(4, "big")
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), LEDGER[schema_id], None)
    assert found["quantity_wh"] == 250
    assert found["meta"]["actor"] == "ann"


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"quantity_wh": 1.9}, "quantity_wh"),
        ({"quantity_wh": True}, "quantity_wh"),
        ({"quantity_wh": -1}, "quantity_wh"),
        ({"limit_price_nano_per_kwh": 2**63}, "limit_price"),
        ({"side": "sell"}, "side"),
        ({"party": ""}, "party"),
        ({"party": 7}, "party"),
        ({"party": "x" * 97}, "party"),
        ({"expires_at": -1}, "expires_at"),
    ],
)
def test_what_avro_would_bend_is_refused(wrong: dict[str, Any], place: str) -> None:
    fields = {name: getattr(ORDER, name) for name in SubmitOrder.__dataclass_fields__} | wrong  # type: ignore[attr-defined]
    with pytest.raises(InvalidMessage, match=place):
        CODEC.encode(META, SubmitOrder(**fields))


def test_an_array_item_out_of_range_is_named() -> None:
    with pytest.raises(InvalidMessage, match=r"energy_wh\[\]"):
        CODEC.encode(FACT, readings((1, -1)))


@pytest.mark.parametrize("value", [b"", b"\x00\x00", b"\x01\x00\x00\x00\x01", b"hello world"])
def test_bytes_without_a_frame_are_undecodable(value: bytes) -> None:
    with pytest.raises((UndecodableRecord, UnknownSchema)):
        CODEC.decode(value)


def test_an_unknown_schema_is_named() -> None:
    with pytest.raises(UnknownSchema, match="99999"):
        CODEC.decode(b"\x00" + (99999).to_bytes(4, "big"))


@given(st.integers(0, 60), st.binary(max_size=3))
def test_truncated_or_padded_records_never_pass(cut: int, more: bytes) -> None:
    value = CODEC.encode(META, ORDER)
    damaged = value[: max(5, len(value) - 1 - cut)] + more
    try:
        meta, body = CODEC.decode(damaged)
    except (UndecodableRecord, UnknownSchema):
        return
    assert CODEC.encode(meta, body) == damaged, "only another whole record may pass"


@event
class Noted:
    """A fact with a field that came later."""

    name: str
    energy_wh: int = 7
    remark: str | None = None


def test_a_record_written_before_a_field_existed_is_read_with_the_fields_default() -> None:
    shape = record_shape(Noted, "gridbook.x")
    older = {**shape.schema, "fields": shape.schema["fields"][:1]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(older), {"name": "old"})
    out.seek(0)
    datum = fastavro.schemaless_reader(out, fastavro.parse_schema(older), fastavro.parse_schema(shape.schema))
    assert shape.from_datum(datum) == Noted("old", 7, None)


def test_a_record_that_lacks_a_field_without_default_is_undecodable() -> None:
    today = avro_schema(next(m for m in all_messages() if m.cls is SubmitOrder))
    older = {**today, "fields": [f for f in today["fields"] if f["name"] != "expires_at"]}
    datum = {n: getattr(ORDER, n) for n in SubmitOrder.__dataclass_fields__}  # type: ignore[attr-defined]
    datum |= {"side": "sell", "restriction": "ioc", "meta": {"command_id": "c", "actor": "a", "correlation": "c"}}
    datum["meta"] |= {"valid_until": 1, "tick": None, "causation": None}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(older), datum)
    with pytest.raises(UndecodableRecord, match="expires_at"):
        Codec({1: older, 2: today}).decode(b"\x00\x00\x00\x00\x01" + out.getvalue())


def test_nothing_drifted_from_the_published_schemas() -> None:
    assert unpublished() == [], "a message changed: publish the new version with `python -m infra.schemas`"


def test_the_ledger_never_gives_an_id_twice() -> None:
    ledger = load_ledger()
    assert sorted(ledger) == list(range(1, len(ledger) + 1))


def test_messages_keep_the_house_rules() -> None:
    assert [p for m in all_messages() for p in problems(m)] == []


def test_the_lint_sees_a_number_without_a_unit() -> None:
    from schemas.catalog import MessageType

    @event
    class PriceSet:
        """A fact."""

        amount: int
        ratio: bool

    assert any("amount" in p for p in problems(MessageType("gridbook.x.PriceSet", "x", Kind.EVENT, PriceSet)))
