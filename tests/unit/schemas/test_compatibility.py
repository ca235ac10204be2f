"""The gate: a published message changes only in ways that every reader of every version can take."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra import schemas as published
from infra.schemas import (
    BreakingChange,
    Entry,
    breaking,
    incompatible,
    load_entries,
    load_ledger,
    publish,
    unpublished,
    untimely,
)
from schemas.catalog import MessageType, all_messages
from schemas.compatibility import breaks
from schemas.message import Kind, event
from schemas.record_schema import avro_schema

SCHEMA = avro_schema(next(m for m in all_messages() if m.name == "gridbook.market.OrderAccepted"))
RULES = avro_schema(next(m for m in all_messages() if m.name == "gridbook.market.RuleSetAdopted"))


def field(schema: Any, *path: str) -> Any:
    """A field of a record, through the records that contain it."""
    for name in path:
        (found,) = (f for f in schema["fields"] if f["name"] == name)
        schema = found["type"]
    return found


def changed(change: Callable[[Any], Any], schema: Any = SCHEMA) -> Any:
    made = copy.deepcopy(schema)
    change(made)
    return made


def rename(*path: str, to: str) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        field(schema, *path)["name"] = to

    return change


def retype(*path: str, to: Any) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        field(schema, *path)["type"] = to

    return change


def add(at: int | None = None, **new: Any) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        schema["fields"].insert(len(schema["fields"]) if at is None else at, new)

    return change


def symbols(*path: str, change: Callable[[list[str]], Any]) -> Callable[[Any], None]:
    return lambda schema: change(field(schema, *path)["type"]["symbols"])


def drop(name: str) -> Callable[[Any], None]:
    return lambda schema: schema["fields"].remove(field(schema, name))


def swap(schema: Any) -> None:
    fields = schema["fields"]
    fields[2], fields[3] = fields[3], fields[2]


BREAKING = [
    ("unit", rename("quantity_wh", to="quantity_w"), "unit or scale changed, it is quantity_w now"),
    (
        "scale",
        rename("limit_price_nano_per_kwh", to="limit_price_micro"),
        "unit or scale changed, it is limit_price_micro",
    ),
    ("name", rename("party", to="owner"), r"party: the field is gone"),
    ("field removed", drop("sequence"), r"sequence: the field is gone"),
    ("field reordered", swap, "its fields stand in another order"),
    ("nested field", rename("meta", "tick", "at", to="time"), r"meta\.tick\.at: the field is gone"),
    ("long to double", retype("quantity_wh", to="double"), "long became double"),
    ("long to string", retype("quantity_wh", to="string"), "long became string"),
    ("string to bytes", retype("party", to="bytes"), "string became bytes"),
    ("required to optional", retype("party", to=["null", "string"]), "what was required"),
    ("optional to required", retype("expires_at", to="long"), "what was optional"),
    ("inside a union", retype("expires_at", to=["null", "double"]), "expires_at: long became double"),
    ("another branch", retype("expires_at", to=["null", "long", "string"]), "branches of its union"),
    ("array to item", retype("party", to={"type": "array", "items": "string"}), "string became array"),
    ("symbol removed", symbols("restriction", change=lambda s: s.pop()), "aon is gone"),
    ("symbol renamed", symbols("restriction", change=lambda s: s.__setitem__(1, "iok")), "ioc is gone"),
    ("symbols reordered", symbols("restriction", change=list.reverse), "symbols stand in another order"),
    (
        "symbol in between",
        symbols("restriction", change=lambda s: s.insert(1, "gtc")),
        "symbols stand in another order",
    ),
    ("namespace of an enum", lambda s: field(s, "side")["type"].update(name="gridbook.values.Side"), "is now called"),
    ("namespace of the message", lambda s: s.update(name="gridbook.exchange.OrderAccepted"), "is now called"),
    ("new field without a default", add(name="urgent", type="boolean"), "urgent: a new field without a default"),
]


@pytest.mark.parametrize(("what", "change", "said"), BREAKING, ids=[kind for kind, *_ in BREAKING])
def test_a_breaking_change_is_refused_with_what_to_do(what: str, change: Any, said: str) -> None:
    found = incompatible(changed(change), SCHEMA)
    assert len(found) >= 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError("\n".join(found))
    assert any(": " in reason and any(word in reason for word in (";", "keep", "put", "give")) for reason in found)


def test_types_inside_arrays_and_repeated_types_are_compared() -> None:
    array = {"type": "array", "items": {"type": "record", "name": "gridbook.market.Leg", "fields": []}}
    older = changed(add(name="legs", type=array, default=[]))
    field(older, "legs")["type"]["items"]["fields"].append({"name": "a_wh", "type": "long"})
    field(older, "meta")  # the envelope's types come first and are named again by the body's
    newer = copy.deepcopy(older)
    field(newer, "legs")["type"]["items"]["fields"][0]["type"] = "double"
    assert breaks(older, newer) == [
        "gridbook.market.OrderAccepted.legs[].a_wh: long became double; "
        "keep it as it was and add a new field with a default beside it"
    ]


def test_another_default_is_refused_and_the_same_is_not() -> None:
    older = changed(add(name="urgent", type="boolean", default=False))
    for newer, said in (
        (changed(add(name="urgent", type="boolean", default=True)), "its default was False and now is True"),
        (changed(add(name="urgent", type="boolean")), "its default was False and now has none"),
    ):
        assert any(said in reason for reason in breaks(older, newer))
    assert incompatible(older, older) == []


@pytest.mark.parametrize(
    "change",
    [
        add(name="urgent", type="boolean", default=False),
        add(2, name="remark", type=["null", "string"], default=None),
        symbols("restriction", change=lambda s: s.append("gtc")),
        lambda s: s.update(doc="Better words."),
    ],
)
def test_what_every_reader_can_take_passes(change: Any) -> None:
    assert incompatible(changed(change), SCHEMA) == []


def test_avros_own_checker_is_asked_both_ways() -> None:
    """Of what our rules find it sees a part, and it sees nothing where they see a changed meaning."""
    avros = {what: [r for r in incompatible(changed(c), SCHEMA) if "Avro's rules" in r] for what, c, _ in BREAKING}
    assert any("this release could not read" in r for r in avros["new field without a default"])
    assert any("its readers could not read" in r for r in avros["field removed"])
    assert any("its readers could not read" in r for r in avros["long to double"])
    for unseen in ("field reordered", "symbols reordered", "symbol in between"):
        assert avros[unseen] == []


# -- the ledger ------------------------------------------------------------------------------------


def test_every_published_version_can_stand_beside_every_earlier_one() -> None:
    assert breaking() == []


def test_every_entry_is_read_one_release_before_it_is_written() -> None:
    assert untimely(load_entries()) == []


def test_entries_that_are_written_too_early_are_found() -> None:
    entry = Entry(7, "gridbook.market.PriceSet", 2, 3, 4)
    first = replace(entry, version=1, readable_since=1, written_since=1)
    assert untimely([first, entry], release=3) == []
    assert "runs beside it and cannot read it; write it since 4" in untimely([replace(entry, written_since=3)], 3)[0]
    assert "but this is release 2" in untimely([entry], release=2)[0]
    assert "earlier than the version before it" in untimely([replace(first, written_since=5), entry], 3)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Today's schemas, published for the first time."""
    publish(tmp_path / "published", 1)
    return tmp_path / "published"


def schema_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.1.avsc"


def edit(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    file = schema_file(folder, name)
    schema = json.loads(file.read_text())
    change(schema)
    file.write_text(json.dumps(schema))


def test_what_did_not_change_is_not_published(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert publish(folder) == []
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_breaking_change_is_not_published(folder: Path) -> None:
    edit(folder, "market.OrderAccepted", add(name="venue", type="string"))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(BreakingChange, match=r"today's class beside version 1: .*venue: the field is gone"):
        publish(folder, 2)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_message_without_a_class_is_not_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "all_messages", lambda: [m for m in all_messages() if m.cls.__name__ != "Tick"])
    with pytest.raises(BreakingChange, match=r"gridbook\.log\.Tick has no class any more"):
        publish(folder)


@event
class PriceSet:
    """A fact of a later release."""

    price_nano_per_kwh: int


def test_a_new_message_is_written_one_release_after_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = MessageType("gridbook.market.PriceSet", "market", Kind.EVENT, PriceSet)
    monkeypatch.setattr(published, "all_messages", lambda: [*all_messages(), new])
    assert unpublished(folder) == [new.name]
    number = len(load_ledger(folder)) + 1
    assert publish(folder, 4) == [Entry(number, new.name, 1, 4, 5)]
    assert unpublished(folder) == []
    assert load_ledger(folder)[number] == avro_schema(new)
    assert untimely(load_entries(folder), 4) == []


def test_a_changed_message_is_a_new_version(folder: Path) -> None:
    gone = "gridbook.market.OrderAccepted"
    edit(folder, "market.OrderAccepted", symbols("restriction", change=lambda s: s.pop()))
    assert [(e.name, e.version, e.readable_since, e.written_since) for e in publish(folder, 2)] == [(gone, 2, 2, 3)]
    edit(folder, "market.OrderAccepted", drop("expires_at"))
    with pytest.raises(BreakingChange) as caught:
        publish(folder, 2)
    pairs = {reason.partition(":")[0] for reason in caught.value.reasons}
    assert pairs == {"version 2 beside version 1", "today's class beside version 1"}, "all pairs, not neighbours alone"


def test_the_first_release_writes_what_it_reads(tmp_path: Path) -> None:
    entries = publish(tmp_path / "new", 1)
    assert [e.id for e in entries] == list(range(1, len(all_messages()) + 1))
    assert {(e.readable_since, e.written_since) for e in entries} == {(1, 1)}
