"""The door for commands: validates, stamps, chooses the partition. What fails here never reaches the log."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from consumers.limits import VALIDITY_US
from consumers.ports import NewRecord, Partition
from consumers.reading import COMMAND_ID
from schemas.actors import INSIDE
from schemas.catalog import LOG, all_messages
from schemas.codec import Codec
from schemas.envelope import CommandMeta, Moment
from schemas.message import Kind
from schemas.partition import partition_of
from schemas.shape import InvalidMessage


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
        partitions: family → number of partitions.
        time: the last tick that the door has read; a door knows no other time.
    """

    def __init__(self, codec: Codec, partitions: Mapping[str, int], time: Callable[[], Moment]) -> None:
        self._codec, self._partitions, self._time = codec, partitions, time
        self._adapters: dict[tuple[str, str], TypeAdapter[Any]] = {
            (m.family, m.cls.__name__): TypeAdapter(m.cls)
            for m in all_messages()
            if m.kind is Kind.COMMAND and m.family != LOG
        }
        self._kinds = {(m.family, m.cls) for m in all_messages() if m.kind is Kind.COMMAND and m.family != LOG}

    def read(self, family: str, command: str, payload: str) -> Any:
        """The body of a command given as JSON, strictly: no text for a number, no number for a truth.

        Raises:
            InvalidCommand: unknown command, or a field that does not fit.
        """
        adapter = self._adapters.get((family, command))
        if adapter is None:
            known = sorted(name for f, name in self._adapters if f == family) or sorted(self._partitions)
            raise InvalidCommand(f"{family}.{command}: expected one of {', '.join(known)}; check family and name")
        try:
            return adapter.validate_json(payload, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or command
            raise InvalidCommand(
                f"{command}: {place}: {first['msg']}, found {first['input']!r}; correct the field and send again"
            ) from error

    def admit(self, commands: Sequence[DoorCommand]) -> list[tuple[Partition, NewRecord]]:
        """The commands as records, all or none.

        Raises:
            InvalidCommand: one of them is invalid; none may be sent.
        """
        return [self._admit(command) for command in commands]

    def _admit(self, command: DoorCommand) -> tuple[Partition, NewRecord]:
        name = f"{command.family}.{type(command.body).__name__}"
        if (command.family, type(command.body)) not in self._kinds:
            raise InvalidCommand(f"{name}: expected a command of this family; check family and name")
        if command.actor.startswith(INSIDE):
            raise InvalidCommand(f"{name}: actor: expected a party, found {command.actor!r}; sign in as yourself")
        if not 0 < len(command.key) <= 96:
            raise InvalidCommand(f"{name}: key: expected 1 to 96 characters, found {command.key!r}; correct it")
        now = self._time()
        meta = CommandMeta(command.command_id, command.actor, command.command_id, now.at + VALIDITY_US, None, None)
        try:
            value = self._codec.encode(meta, command.body)
        except InvalidMessage as error:
            raise InvalidCommand(f"{name}: {error}; correct the field and send again") from error
        partition = Partition(command.family, partition_of(command.key, self._partitions[command.family]))
        headers = ((COMMAND_ID, command.command_id.encode()),)
        return partition, NewRecord(command.key.encode(), value, headers)
