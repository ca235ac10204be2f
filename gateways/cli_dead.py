"""`gridbook dead list|show|retry`: commands that were set aside, and how one is decided after all."""

import json
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from consumers.clock import last_tick
from consumers.dead import CannotRetry, Dead, DeadCommands, Decided, ToDoor, ToLog
from consumers.limits import SEND_DEADLINE_S
from consumers.ports import NewRecord, Partition
from gateways.app import App
from gateways.cli_log import answers_of, partitions_of
from gateways.door import Door, DoorCommand
from gateways.figures import utc
from gateways.terminal import Data, Json, Kafka, complain, console, on, print_rows

dead_commands = typer.Typer(help="Commands that were set aside: look at them, have them decided again.")

Place = Annotated[str, typer.Argument(help="The partition, for example `market/0`.")]
Seq = Annotated[
    int, typer.Argument(help="The number of the record that set it aside (see `gridbook dead list`).", min=0)
]

_LIMIT: Final = 50


@dead_commands.command("list")
def list_dead(
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1, max=100_000)] = _LIMIT,
    as_json: Json = False,
    data: Data = None,
    kafka: Kafka = False,
) -> None:
    """Prints the commands that were set aside, newest first."""

    async def show(made: App) -> bool:
        dead = await _dead(made).newest(limit)
        print_rows("set aside", [_row(one) for one in dead], as_json)
        return True

    on(data, kafka, show)


@dead_commands.command("show")
def show_dead(place: Place, seq: Seq, as_json: Json = False, data: Data = None, kafka: Kafka = False) -> None:
    """Prints one command that was set aside: why, by which logic, its bytes, and its fields where they can be read."""

    async def show(made: App) -> bool:
        one = await _at(made, place, seq)
        if one is None:
            return False
        told = _row(one) | _told(one)
        if as_json:
            typer.echo(json.dumps(told, default=str))
            return True
        for name, value in told.items():
            console().print(f"{name:>12}: {_text(value)}", highlight=False, markup=False)
        return True

    on(data, kafka, show)


@dead_commands.command("retry")
def retry_dead(place: Place, seq: Seq, data: Data = None, kafka: Kafka = False) -> None:
    """Sends a command that was set aside once more, so that it is judged; asking twice decides it once.

    Where processes run the deployment they decide it; else it is decided here and now.
    """

    async def again(made: App) -> bool:
        one = await _at(made, place, seq)
        if one is None:
            return False
        try:
            sent = await _dead(made).retry(one)
        except CannotRetry as reason:
            complain(reason)
            return False
        if isinstance(sent, Decided):
            where = f"{sent.place.partition} seq {sent.place.seq}"
            _say(
                f"nothing is sent: {sent.command_id} was decided ({where}); if this is another wish, send it under"
                " another id"
            )
            return True
        partition, record = await _sendable(made, sent)
        if await made.runs_elsewhere():
            await made.backend.commands.send([(partition, record)], SEND_DEADLINE_S)
        else:
            await made.begin()
            await made.drive.send([(partition, record)])
            await made.drive.settle()
        why = f"`gridbook why {sent.command_id}` tells what becomes of it"
        _say(f"sent to {partition} as {sent.command_id}: {why}")
        return True

    on(data, kafka, again)


def _dead(made: App) -> DeadCommands:
    return DeadCommands(made.backend.events, made.backend.commands, made.codec, made.layout, answers_of(made))


async def _at(made: App, place: str, seq: int) -> Dead | None:
    [partition, *more] = partitions_of(made, place)
    if more:
        raise typer.BadParameter(f"{place!r} has several partitions: name one, as {place}/0")
    try:
        return await _dead(made).at(partition, seq)
    except LookupError as missing:
        complain(missing)
        return None


async def _sendable(made: App, sent: ToDoor | ToLog) -> tuple[Partition, NewRecord]:
    if isinstance(sent, ToLog):
        return sent.partition, sent.record
    now = await last_tick(made.layout.partitions, made.codec, made.backend.events, made.backend.commands)
    door = Door(made.codec, made.layout, lambda: now)
    [admitted] = door.admit([DoorCommand(sent.family, sent.key, sent.actor, sent.command_id, sent.body)])
    return admitted


def _say(sentence: str) -> None:
    console().print(sentence, highlight=False, markup=False)


def _row(one: Dead) -> dict[str, Any]:
    meta, body = one.record.fact.meta, one.body
    return {
        "partition": str(one.record.partition),
        "seq": one.seq,
        "time": utc(meta.tick.at),
        "reason": body.reason.value,
        "detail": body.detail,
        "command": body.command,
        "key": one.record.key,
        "actor": meta.actor,
        "id": meta.command_id,
    }


def _told(one: Dead) -> dict[str, Any]:
    command = one.command
    told: dict[str, Any] = {
        "logic": one.record.fact.meta.logic,
        "tick": one.record.fact.meta.tick.n,
        "position": command.stored.position,
        "headers": {name: value.decode(errors="replace") for name, value in command.stored.headers},
    }
    if command.unreadable:
        told["unreadable"] = command.unreadable
    else:
        told |= {"meta": asdict(command.meta), "body": {"type": type(command.body).__name__} | asdict(command.body)}
    return told | {"key bytes": command.stored.key.hex(), "value bytes": command.stored.value.hex()}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, default=str)
    return str(value)
