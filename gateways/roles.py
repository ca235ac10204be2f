"""The processes of a deployment, one role each: which loop a role is, and a process's life from start to signal."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.calculate import Calculators, CompleteViews, WiredCalculation
from consumers.clock import Clocks
from consumers.decide import Deciders, of_families
from consumers.limits import OwnerLimits
from consumers.newer import NewerSchemas
from consumers.ports import (
    CommandLog,
    EventLog,
    Group,
    LogDiffers,
    Partition,
    ProcessReport,
    Snapshots,
    Switchboard,
    SwitchboardUnavailable,
)
from consumers.project import Projectors, StartedViews
from consumers.react import Reactor, Reactors
from consumers.report import Report
from consumers.workers import kept, until
from domain.policies.table import POLICIES
from gateways.deployment import Deployment
from projections.families import EVERYWHERE, VIEWS

ROLES: Final = ("decide", "react", "project", "calculate", "clock")
READS_COMMANDS: Final = frozenset({"decide", "clock"})
"""Roles whose group is over the command topics; the others' is over the events."""

_REPORT_S: Final = 5.0


class SlateStore(StartedViews, CompleteViews, Protocol):
    """The views as all roles need them together."""


class Role(Protocol):
    """A loop that works until it is told to stop."""

    @property
    def working(self) -> tuple[Partition, ...]: ...

    async def run(self, stop: asyncio.Event) -> None: ...


@dataclass(frozen=True, slots=True)
class Pipes:
    """Everything that one process is connected to.

    `open` connects the logs and makes their partitions exist, `close` ends every connection.
    """

    events: EventLog
    commands: CommandLog
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    group: Group
    views: SlateStore
    snapshots: Snapshots
    switchboard: Switchboard
    report: Report
    newer: NewerSchemas


@dataclass(frozen=True, slots=True)
class Choices:
    """What an operator chooses for a process. `families` empty: all; `multiples`: family → every m-th tick."""

    families: tuple[str, ...]
    standby: bool
    limits: OwnerLimits
    tick_us: int
    note_every_s: float
    multiples: Mapping[str, int]


def machine_time_us() -> int:
    """The machine's clock, UTC µs: only the clock process and measurements look at it."""
    return time.time_ns() // 1_000


def made(role: str, deployment: Deployment, pipes: Pipes, choices: Choices, wired: Sequence[WiredCalculation]) -> Role:
    """The loop of a role over the chosen families."""
    events, commands, group, report, newer = pipes.events, pipes.commands, pipes.group, pipes.report, pipes.newer
    codec, layout = deployment.codec, deployment.layout
    mine = of_families(layout.partitions, choices.families)
    if role == "decide":
        return Deciders(
            of_families(layout.current, choices.families),
            deployment.decider,
            events,
            commands,
            group,
            pipes.snapshots,
            pipes.switchboard,
            report,
            choices.standby,
            choices.limits,
            newer,
        )
    if role == "react":
        return Reactors(
            mine,
            Reactor(POLICIES, codec, layout),
            codec,
            events,
            commands,
            group,
            pipes.views,
            report,
            newer,
            note_every_s=choices.note_every_s,
        )
    if role == "project":
        return Projectors(
            mine, layout, VIEWS, EVERYWHERE, pipes.views, codec, events, group, report, machine_time_us, newer
        )
    if role == "calculate":
        return Calculators(
            mine,
            wired,
            codec,
            layout,
            events,
            commands,
            group,
            pipes.views,
            report,
            newer,
            note_every_s=choices.note_every_s,
        )
    assert role == "clock", f"no role {role}"
    return Clocks(
        layout,
        codec,
        events,
        commands,
        group,
        report,
        machine_time_us,
        choices.tick_us,
        choices.multiples,
        newer,
    )


async def live(name: str, role: str, loop: Role, pipes: Pipes, release: str, stop: asyncio.Event) -> None:
    """A process's life: connects, works until `stop`, tells the switchboard every few seconds how it is.

    Raises:
        LogDiffers: the log on this pipe is not the deployment's; the process must not work on it.
    """
    refused: list[LogDiffers] = []

    async def connect() -> None:
        try:
            await pipes.open()
        except LogDiffers as differs:
            refused.append(differs)

    await kept("log", connect, stop, pipes.report)
    if refused:
        raise refused[0]
    pipes.report.gone("log")
    telling = asyncio.create_task(_tell(name, role, loop, pipes, release, stop))
    try:
        await loop.run(stop)
    finally:
        telling.cancel()


def on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT end the process in order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _tell(name: str, role: str, loop: Role, pipes: Pipes, release: str, stop: asyncio.Event) -> None:
    host, pid = socket.gethostname(), os.getpid()
    while not stop.is_set():
        with suppress(SwitchboardUnavailable):  # nothing is decided from it
            await pipes.switchboard.report(ProcessReport(name, role, host, pid, release, loop.working, "running"))
        await until(stop, _REPORT_S)
