"""The door: what is no command is refused with a sentence, whatever it is, and nothing else comes out of it."""

import json
import random
from dataclasses import fields, replace
from typing import Any

import pytest

from consumers.limits import MAX_RECORD_BYTES
from gateways.door import Door, DoorCommand, InvalidCommand
from infra.schemas import load_codec
from schemas.catalog import FAMILIES, messages_of
from schemas.envelope import Moment
from schemas.message import Kind
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import Role
from schemas.settlement.commands import StartRun

NOW = Moment(1, 1_466_460_000_000_000)
GOOD = DoorCommand("party", "ann", "ann", "c1", RegisterParty((Role.SUPPLIER,)))


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(load_codec(), dict.fromkeys(FAMILIES, 3), lambda: NOW)


@pytest.mark.parametrize(
    ("family", "command", "payload", "place"),
    [
        ("party", "ApplyForMembership", {"community": "x", "expires_att": 5}, "expires_att"),
        ("market", "AdoptRuleSet", {"effective_from": 1, "rules": {"surprise": 1}}, "rules.surprise"),
        ("billing", "AccrueLines", {"lines": [{"surprise": 1}]}, "lines.0.surprise"),
    ],
)
def test_a_field_that_does_not_exist_is_named(
    door: Door, family: str, command: str, payload: dict[str, Any], place: str
) -> None:
    """Also in the values within a message."""
    adapter = door._adapters[f"{family}.{command}"]
    with pytest.raises(InvalidCommand) as refused:
        door.read(family, command, json.dumps(complete(adapter, payload)))
    found = f"{family}.{command}.{place}: expected no such field, found {payload_at(payload, place)}"
    assert str(refused.value) == f"{found}; correct it and send again"


def complete(adapter: Any, payload: Any) -> Any:
    """The payload without what is missing mattering: pydantic reports in the order of fields, extras last."""
    schema = adapter.json_schema()
    return _filled(schema, schema, payload)


def _filled(schema: Any, root: Any, payload: Any) -> Any:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return None if payload is None else _filled(schema["anyOf"][0], root, payload)
    match schema.get("type"):
        case "object":
            given = payload or {}
            known = {n: _filled(part, root, given.get(n)) for n, part in schema["properties"].items()}
            return {**given, **known}
        case "array":
            return [_filled(schema["items"], root, item) for item in payload or []]
        case "string":
            return payload or schema.get("enum", ["x" * schema.get("minLength", 1)])[0]
        case "integer":
            return payload or schema.get("minimum", 0)
        case _:
            return payload or False


def payload_at(payload: Any, place: str) -> Any:
    for part in place.split("."):
        payload = payload[int(part)] if isinstance(payload, list) else payload[part]
    return payload


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
    run = next(c for c in messages_of("settlement") if c.cls is StartRun)
    values = {f.name: 1 for f in fields(StartRun)}
    assert run.kind is Kind.COMMAND
    assert values
    many = RegisterParty((Role.SUPPLIER,) * MAX_RECORD_BYTES)
    with pytest.raises(InvalidCommand, match=f"expected at most {MAX_RECORD_BYTES} bytes, found 9000"):
        door.admit([replace(GOOD, body=many)])


def test_a_family_that_is_not_served_has_no_door() -> None:
    party_only = Door(load_codec(), {"party": 1}, lambda: NOW)
    with pytest.raises(InvalidCommand, match="expected one of party, found market"):
        party_only.read("market", "CancelOrder", "{}")
    with pytest.raises(InvalidCommand, match="check family and name"):
        party_only.admit([replace(GOOD, family="market")])


def test_what_was_found_is_told_in_short(door: Door) -> None:
    with pytest.raises(InvalidCommand) as refused:
        door.read("party", "ApplyForMembership", '"' + "x" * 100_000 + '"')
    assert len(str(refused.value)) < 400


# ------------------------------------------------------------------------------------------ anything at all

ODD: list[Any] = [None, True, 0, -1, 2**63, 2**70, 1.5, float("nan"), "", "x" * 97, "x" * 5000, "\0", "\ud800", "é"]
ODD += [
    "policy:x",
    b"x",
    (),
    (1,),
    (None, 1),
    [],
    [1],
    {},
    {"a": 1},
    object(),
    RegisterParty,
    Role.SUPPLIER,
    "supplier",
]
COMMANDS = [m for family in FAMILIES for m in messages_of(family) if m.kind is Kind.COMMAND]
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
    rng, refused = random.Random(5), 0
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
            refused += 1
            assert "expected" in str(error) or "Invalid JSON" in str(error) or "should" in str(error), error
            assert "found" in str(error)
            assert "send again" in str(error) or "check family and name" in str(error)
            assert str(error).isprintable()
    assert refused > 9_900
