"""Two releases side by side: what a newer one writes an older one reads, or says clearly that it cannot."""

import json
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from infra.schemas import load_codec, load_entries
from schemas import codec as module
from schemas.catalog import MessageType
from schemas.codec import ClashingSchema, Codec, UndecodableRecord, UnknownMessage, UnknownSchema
from schemas.envelope import CommandMeta, FactMeta, Moment
from schemas.message import Kind, command, event, value
from schemas.record_schema import avro_schema
from schemas.shape import InvalidMessage

META = FactMeta(7, Moment(1, 2), "c1", 0, "ann", "c1", None, 1)


class Colour(StrEnum):
    """Of a note."""

    RED = "red"
    BLUE = "blue"


@value
class Place:
    """Where a note is."""

    room: str
    shelf: str | None = None


@event
class NoteTaken:
    """A fact with fields that came later."""

    name: str
    colour: Colour
    places: tuple[Place, ...]
    main: Place | None
    energy_wh: int = 7
    parts_wh: tuple[int, ...] = (1,)


@command
class TakeNote:
    """A wish with a field that came later."""

    name: str
    energy_wh: int = 7


NOTE = MessageType("gridbook.x.NoteTaken", "x", Kind.EVENT, NoteTaken)
WISH = MessageType("gridbook.x.TakeNote", "x", Kind.COMMAND, TakeNote)
PLAIN = NoteTaken("n", Colour.RED, (Place("a"), Place("b")), Place("c"))


def older(message: MessageType) -> dict[str, Any]:
    """The message's schema before `energy_wh`, `parts_wh`, the shelf and the colour blue came."""

    def cut(schema: Any) -> Any:
        if isinstance(schema, list):
            return [cut(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        made = {name: cut(part) for name, part in schema.items() if name not in ("symbols", "default")}
        if "fields" in made:
            made["fields"] = [f for f in made["fields"] if f["name"] not in ("energy_wh", "parts_wh", "shelf")]
        return made | (
            {"symbols": ["red"]}
            if schema.get("name") == "gridbook.x.Colour"
            else {"symbols": schema["symbols"]}
            if "symbols" in schema
            else {}
        )

    return cut(avro_schema(message))


MakeCodec = Callable[..., Codec]


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch) -> MakeCodec:
    """Makes a codec of a release that has these messages."""

    def make(messages: list[MessageType], *args: Any) -> Codec:
        monkeypatch.setattr(module, "all_messages", lambda: messages)
        return Codec(*args)

    return make


LEDGER = {1: older(NOTE), 2: avro_schema(NOTE), 3: older(WISH), 4: avro_schema(WISH)}
SINCE = {1: 1, 2: 3, 3: 1, 4: 3}


@pytest.fixture
def between(knowing: MakeCodec) -> Codec:
    """The release that reads the new schemas and writes the old ones still."""
    return knowing([NOTE, WISH], LEDGER, SINCE, 2)


@pytest.fixture
def after(knowing: MakeCodec) -> Codec:
    """The release that writes the new schemas."""
    return knowing([NOTE, WISH], LEDGER, SINCE, 3)


def number(record: bytes) -> int:
    return int.from_bytes(record[1:5], "big")


# -- read first, written a release later -----------------------------------------------------------


def test_the_newest_schema_that_this_release_writes_is_written(between: Codec, after: Codec) -> None:
    assert number(between.encode(META, PLAIN)) == 1
    assert number(after.encode(META, PLAIN)) == 2
    for record in (between.encode(META, PLAIN), after.encode(META, PLAIN)):
        for codec in (between, after):
            assert codec.decode(record) == (META, PLAIN)
            assert codec.type_of(record) is NoteTaken


def test_facts_behind_a_stem_are_written_in_the_same_schema(between: Codec) -> None:
    stem = between.stem(META)
    assert between.encode_fact(stem, 9, 3, PLAIN) == between.encode(replace(META, seq=9, index=3), PLAIN)
    assert number(between.encode_fact(stem, 9, 3, PLAIN)) == 1


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"energy_wh": 8}, r"NoteTaken\.energy_wh: expected 7: the schema in use lacks the field, found 8"),
        ({"parts_wh": (1, 2)}, r"NoteTaken\.parts_wh: expected \[1\]"),
        ({"colour": Colour.BLUE}, r"NoteTaken\.colour: expected one of red: the schema in use knows no other"),
        ({"places": (Place("a"), Place("b", "top"))}, r"NoteTaken\.places\[\]\.shelf: expected None"),
        ({"main": Place("a", "top")}, r"NoteTaken\.main\.shelf: expected None"),
    ],
)
def test_what_the_older_schema_cannot_say_is_not_lost_in_silence(
    between: Codec, after: Codec, change: dict[str, Any], place: str
) -> None:
    body = replace(PLAIN, **change)
    with pytest.raises(InvalidMessage, match=place):
        between.encode(META, body)
    between.check(META, body)
    assert between.decode(after.encode(META, body)) == (META, body)


def test_a_message_is_not_written_before_its_release(knowing: MakeCodec) -> None:
    codec = knowing([NOTE], {2: avro_schema(NOTE)}, {2: 3}, 2)
    with pytest.raises(InvalidMessage, match="expected a message that release 2 writes, found 'NoteTaken'"):
        codec.encode(META, PLAIN)
    with pytest.raises(InvalidMessage, match="a message that release 2 writes"):
        codec.encode_fact(codec.stem(META), 1, 1, PLAIN)
    assert codec.decode(knowing([NOTE], {2: avro_schema(NOTE)}).encode(META, PLAIN)) == (META, PLAIN)


def test_a_record_is_encoded_again_in_the_schema_of_another(between: Codec, after: Codec) -> None:
    old, new = between.encode(META, PLAIN), after.encode(META, PLAIN)
    assert after.encode_as(old, *after.decode(new)) == old
    assert between.encode_as(new, *between.decode(old)) == new
    with pytest.raises(InvalidMessage, match=r"energy_wh"):
        after.encode_as(old, META, replace(PLAIN, energy_wh=8))
    with pytest.raises(InvalidMessage, match=r"gridbook\.x\.NoteTaken"):
        after.encode_as(old, META, TakeNote("n"))


def test_an_older_command_is_read_and_checked(between: Codec) -> None:
    meta = CommandMeta("c", "a", "c", 1, None, None)
    record = between.encode(meta, TakeNote("n"))
    assert number(record) == 3
    assert between.decode_command(record) == (meta, TakeNote("n"))
    worse = record.replace(b"\x02n", b"\x02\n")
    assert between.decode(worse) == (meta, TakeNote("\n"))
    with pytest.raises(InvalidMessage, match=r"TakeNote\.name"):
        between.decode_command(worse)
    with pytest.raises(UndecodableRecord, match="no command"):
        between.decode_command(between.encode(META, PLAIN))


def test_the_ledgers_releases_are_those_of_the_codec() -> None:
    codec = load_codec()
    for entry in load_entries():
        assert codec.type_of(b"\0" + entry.id.to_bytes(4, "big")).__name__ == entry.name.rpartition(".")[2]  # type: ignore[union-attr]


# -- what a newer release wrote --------------------------------------------------------------------


def test_an_unknown_id_is_said_with_its_number(after: Codec) -> None:
    for read in (after.decode, after.decode_command, after.decode_meta):
        with pytest.raises(UnknownSchema, match="schema id 77 is neither in the ledger") as caught:
            read(b"\0\0\0\0\x4d")
        assert caught.value.schema_id == 77
        assert not isinstance(caught.value, UnknownMessage)


def test_a_learned_version_of_a_known_message_is_read_as_todays_class(knowing: MakeCodec, after: Codec) -> None:
    record = after.encode(META, replace(PLAIN, energy_wh=0))
    codec = knowing([NOTE], {1: avro_schema(NOTE)})
    newer = avro_schema(NOTE) | {
        "fields": [*avro_schema(NOTE)["fields"], {"name": "more", "type": "long", "default": 0}]
    }
    ours = b"\0\0\0\0\x09" + record[5:] + b"\x04"
    with pytest.raises(UnknownSchema):
        codec.decode(ours)
    codec.learn(9, newer)
    assert codec.decode(ours) == (META, replace(PLAIN, energy_wh=0))
    assert codec.decode_meta(ours) == META
    assert codec.type_of(ours) is NoteTaken
    assert number(codec.encode(META, PLAIN)) == 1, "what was learned is read, never written"
    for cut in range(5, len(ours)):
        with pytest.raises(UndecodableRecord):
            codec.decode(ours[:cut])


def test_a_symbol_that_came_later_is_not_taken_for_another(knowing: MakeCodec) -> None:
    wider = json.loads(json.dumps(avro_schema(NOTE)).replace('["red", "blue"]', '["red", "blue", "green"]'))
    assert wider != avro_schema(NOTE)
    codec = knowing([NOTE], {1: avro_schema(NOTE)})
    codec.learn(9, wider)
    red = b"\0\0\0\0\x09" + codec.encode(META, PLAIN)[5:]
    assert codec.decode(red) == (META, PLAIN)
    with pytest.raises(UndecodableRecord, match=r"schema id 9.*green"):
        codec.decode(red.replace(b"\x02n\x00", b"\x02n\x04"))


def test_an_unknown_message_is_passed_over_by_its_envelope(knowing: MakeCodec, after: Codec) -> None:
    record = after.encode(META, PLAIN)
    codec = knowing([WISH], {4: avro_schema(WISH)})
    codec.learn(2, avro_schema(NOTE))
    for read in (codec.decode, codec.decode_command):
        with pytest.raises(
            UnknownMessage, match=r"schema id 2 is gridbook\.x\.NoteTaken.*run that release here"
        ) as caught:
            read(record)
        assert (caught.value.schema_id, caught.value.name, caught.value.family) == (2, NOTE.name, "x")
    assert codec.decode_meta(record) == META
    assert codec.type_of(record) is None
    for damaged in (record[:9], record + b"\0"):
        with pytest.raises(UndecodableRecord):
            codec.decode_meta(damaged)


def test_an_unknown_command_keeps_its_envelope(knowing: MakeCodec, after: Codec) -> None:
    meta = CommandMeta("c", "a", "c", 1, Moment(1, 2), None)
    record = after.encode(meta, TakeNote("n"))
    codec = knowing([NOTE], {2: avro_schema(NOTE)})
    codec.learn(4, avro_schema(WISH))
    assert codec.decode_meta(record) == meta


def test_a_published_message_without_a_class_is_unknown_too(knowing: MakeCodec, after: Codec) -> None:
    codec = knowing([WISH], LEDGER)
    with pytest.raises(UnknownMessage):
        codec.decode(after.encode(META, PLAIN))


def test_what_is_known_is_not_learned_again(after: Codec) -> None:
    after.learn(2, avro_schema(NOTE) | {"doc": "Better words."})
    with pytest.raises(
        ClashingSchema, match=r"schema id 2 is gridbook\.x\.TakeNote on the log and gridbook\.x\.NoteTaken"
    ):
        after.learn(2, avro_schema(WISH))
    after.learn(9, avro_schema(WISH))
    with pytest.raises(ClashingSchema):
        after.learn(9, avro_schema(NOTE))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "record", "name": "gridbook.x.NoteTaken", "fields": []},
        {"type": "record", "name": "NoteTaken", "fields": avro_schema(NOTE)["fields"]},
        {"type": "record", "name": "gridbook.x.NoteTaken", "fields": avro_schema(NOTE)["fields"][1:]},
        {
            "type": "record",
            "name": "gridbook.x.N",
            "fields": [avro_schema(NOTE)["fields"][0], {"name": "b", "type": "gone"}],
        },
    ],
)
def test_what_is_no_record_of_ours_is_not_learned(after: Codec, schema: Any) -> None:
    with pytest.raises(ValueError, match="schema id 9 is no"):
        after.learn(9, schema)
    with pytest.raises(UnknownSchema) as caught:
        after.decode(b"\0\0\0\0\x09")
    assert not isinstance(caught.value, UnknownMessage)
