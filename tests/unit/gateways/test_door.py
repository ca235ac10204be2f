"""The door: what is no command is refused with a sentence, whatever it is, and nothing else comes out of it."""

import json
import random
import re
from contextlib import suppress
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.layout import Layout
from consumers.limits import MAX_RECORD_BYTES
from gateways.door import Door, DoorCommand, InvalidCommand
from infra.schemas import load_codec
from schemas.catalog import FAMILIES, messages_of
from schemas.envelope import Moment
from schemas.message import Kind
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import Role
from tests.unit.any_message import any_message

NOW = Moment(1, 1_466_460_000_000_000)
COMMANDS = [m for family in FAMILIES for m in messages_of(family) if m.kind is Kind.COMMAND]
GOOD = DoorCommand("party", "ann", "ann", "c1", RegisterParty((Role.SUPPLIER,)))


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(load_codec(), Layout.of(dict.fromkeys(FAMILIES, 3)), lambda: NOW)


def places(payload: Any) -> list[dict[str, Any]]:
    """The payload itself and every value in it that has fields."""
    parts = payload.values() if isinstance(payload, dict) else payload if isinstance(payload, tuple) else ()
    return [*([payload] if isinstance(payload, dict) else []), *(place for part in parts for place in places(part))]


@given(st.data())
def test_json_gives_the_message_and_a_field_that_does_not_exist_is_named(door: Door, data: st.DataObject) -> None:
    """Also a field in a value within a message."""
    message = data.draw(st.sampled_from(COMMANDS))
    body = data.draw(any_message(message.cls))
    payload = asdict(body)
    assert door.read(message.family, message.cls.__name__, json.dumps(payload)) == body
    data.draw(st.sampled_from(places(payload)))["surprise"] = 7
    with pytest.raises(InvalidCommand, match=r"surprise: expected no such field, found 7; correct it and send again"):
        door.read(message.family, message.cls.__name__, json.dumps(payload))


@pytest.mark.parametrize("actor", ["clock", "owner", "unknown", "policy:a", "policy:", "calc:run", "log:clock"])
def test_nobody_wishes_as_the_platform_itself(door: Door, actor: str) -> None:
    with pytest.raises(InvalidCommand, match=f"actor: expected a party or an operator, found '{actor}'; correct it"):
        door.admit([replace(GOOD, actor=actor)])


@pytest.mark.parametrize("field", ["key", "actor", "command_id"])
@pytest.mark.parametrize("value", ["", "a" * 97, "a\0", "a\n", "a\udcff", "a\u202e", None, 7, b"ann"])
def test_names_are_checked_as_the_fields_of_messages_are(door: Door, field: str, value: Any) -> None:
    with pytest.raises(InvalidCommand) as refused:
        door.admit([GOOD, replace(GOOD, **{field: value})])
    assert str(refused.value).startswith(f"party.RegisterParty: {field}: expected ")
    assert f"found {value!r}"[:200] in str(refused.value)


def test_the_longest_names_pass(door: Door) -> None:
    long = "ü" * 96
    [(partition, record)] = door.admit([DoorCommand("party", long, long, long, ApplyForMembership(long))])
    assert (partition.family, record.key) == ("party", long.encode())


def test_a_command_too_large_for_a_record_is_refused(door: Door) -> None:
    many = RegisterParty((Role.SUPPLIER,) * MAX_RECORD_BYTES)
    with pytest.raises(InvalidCommand, match=f"expected at most {MAX_RECORD_BYTES} bytes, found 9000"):
        door.admit([replace(GOOD, body=many)])


def test_a_family_that_is_not_served_has_no_door() -> None:
    party_only = Door(load_codec(), Layout.of({"party": 1}), lambda: NOW)
    with pytest.raises(InvalidCommand, match=r"command: expected one of party, found 'market\.C"):
        party_only.read("market", "CancelOrder", "{}")
    with pytest.raises(InvalidCommand, match="command: expected one of its family, found 'mark"):
        party_only.admit([replace(GOOD, family="market")])


def test_what_was_found_is_told_in_short(door: Door) -> None:
    with pytest.raises(InvalidCommand) as refused:
        door.read("party", "ApplyForMembership", '"' + "x" * 100_000 + '"')
    assert len(str(refused.value)) < 400


# ------------------------------------------------------------------------------------------ anything at all

ODD: list[Any] = [None, True, 0, -1, 2**63, 2**70, 1.5, float("nan"), "", "x" * 97, "x" * 5000, "\0", "\ud800", "é"]
ODD += ["policy:x", b"x", (), (1,), (None, 1), [], [1], {}, {"a": 1}, object(), RegisterParty, Role.SUPPLIER]
JSON_ODD = [value for value in ODD if isinstance(value, int | float | str | list | dict | None) and value != "\ud800"]


def any_payload(rng: random.Random, names: list[str]) -> Any:
    if rng.random() < 0.1:
        return rng.choice([None, "\ud800", b"\xff", 5, "[" * 3000, '{"a":' * 200, "", "nul", '{"a":"\\ud800"}'])
    some = {name: rng.choice(JSON_ODD) for name in names if rng.random() < 0.9}
    if rng.random() < 0.3:
        some[rng.choice(["meta", "x", "", "key", "\u202e"])] = rng.choice(JSON_ODD)
    text = json.dumps(some)
    if rng.random() < 0.3:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", '"', "\\", "\udfff", "\0", "}", "9" * 400]) + text[at + rng.randrange(2) :]
    return text


def any_command(rng: random.Random) -> DoorCommand:
    message = rng.choice(COMMANDS)
    body = message.cls(*(rng.choice(ODD) for _ in fields(message.cls))) if rng.random() < 0.9 else rng.choice(ODD)
    command = DoorCommand(message.family, "ann", "ann", "c1", body)
    if rng.random() < 0.5:
        command = replace(command, **{rng.choice(["family", "key", "actor", "command_id"]): rng.choice(ODD)})
    return command


def test_nothing_but_invalid_command_escapes(door: Door) -> None:
    """10,000 malformed commands, as JSON and as objects; a few are none by chance."""
    rng, said = random.Random(5), list[str]()
    for n in range(10_000):
        message = rng.choice(COMMANDS)
        try:
            if n % 2:
                family, name = (message.family, message.cls.__name__) if rng.random() < 0.95 else ("x", rng.choice(ODD))
                body = door.read(family, name, any_payload(rng, [f.name for f in fields(message.cls)]))
                door.admit([replace(GOOD, family=family, body=body)])
            else:
                door.admit([any_command(rng)])
        except InvalidCommand as error:
            said.append(str(error))
    assert len(said) > 9_800
    for sentence in said:
        assert re.fullmatch(r"[^:]+: .*(expected|should|Invalid|less).*, found .*; correct it and send again", sentence)
        assert sentence.isprintable()


@settings(max_examples=300)
@given(st.data())
def test_nothing_else_escapes_where_only_one_field_is_odd(door: Door, data: st.DataObject) -> None:
    message = data.draw(st.sampled_from([m for m in COMMANDS if fields(m.cls)]))
    body, name = data.draw(any_message(message.cls)), data.draw(st.sampled_from([f.name for f in fields(message.cls)]))
    with suppress(InvalidCommand):
        odd = replace(body, **{name: data.draw(st.sampled_from(ODD))})
        door.admit([replace(GOOD, family=message.family, body=odd)])
    with suppress(InvalidCommand):
        payload = json.dumps({**asdict(body), name: data.draw(st.sampled_from(JSON_ODD))})
        door.read(message.family, message.cls.__name__, payload)
