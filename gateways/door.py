"""The door for commands: validates, stamps, chooses the partition. What fails here never reaches the log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypeAliasType

from consumers.layout import Layout
from consumers.limits import MAX_RECORD_BYTES, VALIDITY_US
from consumers.ports import Headers, NewRecord, Partition
from consumers.reading import COMMAND_ID, SENT
from schemas.actors import INSIDE
from schemas.catalog import all_messages
from schemas.codec import Codec
from schemas.envelope import CommandMeta, Moment
from schemas.message import Kind
from schemas.shape import InvalidMessage, shape_of
from schemas.values import Id

_ID: Final = shape_of(Id, "door")
_RUNTIME: Final = frozenset({"clock", "owner", "unknown"})
"""What the runtime called itself before its names began with `log:`; records of that time stay true."""

_SAID: Final = {"unexpected_keyword_argument": "expected no such field", "missing": "expected this field"}
_LENGTH: Final = 200


class InvalidCommand(ValueError):
    """A command that no decider may see: says what, what was expected, what was found, what to do."""


@dataclass(frozen=True, slots=True)
class DoorCommand:
    """A wish as it comes in: who, under which id, to which family and key."""

    family: str
    key: str
    actor: str
    command_id: str
    body: Any


class Door:
    """Turns wishes into commands on the log.

    Args:
        codec: bytes and messages.
        layout: the deployment's partitions.
        time: the last tick that the door has read; a door knows no other time.
        now: the machine's time (UTC µs), to measure how long answers take; nothing is decided by it.
    """

    def __init__(
        self,
        codec: Codec,
        layout: Layout,
        time: Callable[[], Moment],
        now: Callable[[], int] | None = None,
    ) -> None:
        self._codec, self._layout, self._time, self._now = codec, layout, time, now
        commands = [m for m in all_messages() if m.kind is Kind.COMMAND and m.family in layout.families]
        self._families = {m.cls: m.family for m in commands}
        self._classes = {f"{m.family}.{m.cls.__name__}": m.cls for m in commands}

    def read(self, family: str, command: str, payload: str) -> Any:
        """The body of a command given as JSON, strictly: no text for a number, no field that does not exist.

        Raises:
            InvalidCommand: unknown command, or a field that does not fit.
        """
        name = f"{family}.{command}"
        cls = self._classes.get(name)
        if cls is None:
            known = [known for known in self._classes if known.startswith(f"{family}.")] or self._layout.families
            raise _invalid("command", f"expected one of {', '.join(sorted(known))}", name)
        try:
            return _strict(cls).validate_json(payload, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join([name, *map(str, first["loc"])])
            said = _SAID.get(first["type"], first["msg"].replace("Input should be", "expected"))
            raise _invalid(place, said, first["input"]) from error

    def admit(self, commands: Sequence[DoorCommand], trace: Headers = ()) -> list[tuple[Partition, NewRecord]]:
        """The commands as records, all or none; `trace` goes with each, and the last one tells when it was sent.

        Raises:
            InvalidCommand: one of them is invalid; none may be sent.
        """
        admitted = [self._admit(command, trace) for command in commands]
        if admitted and self._now is not None:
            partition, record = admitted[-1]
            sent = (SENT, str(self._now()).encode())
            admitted[-1] = partition, record._replace(headers=(*record.headers, sent))
        return admitted

    def _admit(self, command: DoorCommand, trace: Headers) -> tuple[Partition, NewRecord]:
        name = f"{command.family}.{type(command.body).__name__}"
        if self._families.get(type(command.body), self) != command.family:
            raise _invalid("command", "expected one of its family", name)
        try:
            for place in ("key", "actor", "command_id"):
                _ID.to_datum(getattr(command, place), place)
            if command.actor.startswith(INSIDE) or command.actor in _RUNTIME:
                raise InvalidMessage("actor", "a party or an operator", command.actor)
            now = self._time()
            meta = CommandMeta(command.command_id, command.actor, command.command_id, now.at + VALIDITY_US, None, None)
            value = self._codec.encode(meta, command.body)
        except InvalidMessage as error:
            raise _invalid(f"{name}: {error.path}", f"expected {error.expected}", error.found) from error
        if len(value) > MAX_RECORD_BYTES:
            raise _invalid(name, f"expected at most {MAX_RECORD_BYTES} bytes", len(value))
        headers = ((COMMAND_ID, command.command_id.encode()), *trace)
        return self._layout.route(command.family, command.key), NewRecord(command.key.encode(), value, headers)


@cache
def _strict(cls: type) -> TypeAdapter[Any]:
    # Made when the command is first read: most processes have a door and never read JSON at it.
    # pydantic takes no config for a dataclass, but for a type that stands for one, and hands it on to nested ones.
    alias: Any = TypeAliasType(cls.__name__, cls)
    return TypeAdapter(alias, config=ConfigDict(extra="forbid"))


def _invalid(place: str, said: str, found: object) -> InvalidCommand:
    shown = place if place.isprintable() else repr(place)
    return InvalidCommand(f"{shown[:_LENGTH]}: {said}, found {repr(found)[:_LENGTH]}; correct it and send again")
