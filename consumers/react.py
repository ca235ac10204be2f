"""Reactors: a fact in one family becomes a wish in another, by the policy table.

A reactor has no memory: it may die, run twice or start at zero, because receivers keep a cursor per
policy and source partition. Its position is a hint that saves work, never a promise.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from consumers.hints import Hints, Notes
from consumers.layout import Layout
from consumers.limits import MAX_BATCH, SEND_DEADLINE_S
from consumers.newer import NewerSchemas
from consumers.ports import Batch, CommandLog, EventLog, Group, Headers, NewRecord, Partition
from consumers.reading import COMMAND_ID, USUAL_HEADERS, handed_on, news, recorded
from consumers.report import REACTED, Condition, Report
from consumers.workers import Place, Workers
from domain.identity import derived_id
from domain.policy import Policy
from schemas.actors import POLICY
from schemas.codec import Codec
from schemas.envelope import Causation, CommandMeta, Recorded
from schemas.log.events import TimePassed

Traces = Mapping[int, Headers]
"""Number of a fact in its partition → its trace context; most have none."""


def inside_command(
    codec: Codec,
    fact: Recorded[Any],
    actor: str,
    n: int,
    key: str,
    body: Any,
    there: Partition,
    trace: Headers = (),
) -> tuple[Partition, NewRecord]:
    """A command caused by a fact, as it goes on the log; the same fact gives the same bytes for ever.

    `there` is where its key is; `trace` goes into its headers. Its id is a function of actor, `n`, family, key, and the
    causing command with its tick and the fact's place among that command's facts: nothing physical, so a moved log
    stays the same log.
    """
    here, meta = Partition(fact.family, fact.partition), fact.meta
    cause = Causation(fact.family, here.generation, fact.partition, meta.seq, n)
    who = (meta.actor, meta.command_id, meta.tick.n, meta.index)
    command_id = derived_id(actor, n, there.family, key, fact.family, fact.key, *who)
    envelope = CommandMeta(command_id, actor, meta.correlation, None, meta.tick, cause)
    record = NewRecord(key.encode(), codec.encode(envelope, body), ((COMMAND_ID, command_id.encode()), *trace))
    return there, record


def heard(
    codec: Codec, partition: Partition, batch: Batch, listens_to: Callable[[str, type | None], bool]
) -> tuple[list[Recorded[Any]], Traces]:
    """The facts of a batch that a reader listens to, and those that tell the time; the others are not decoded.

    With them the trace context of those that have one.

    Raises:
        UnknownSchema, UndecodableRecord: a fact of a newer release may be one that has to be heard.
    """
    facts, traces = list[Recorded[Any]](), dict[int, Headers]()
    for stored in batch.records:
        kind = codec.type_of(stored.value)
        if kind is TimePassed or listens_to(partition.family, kind):
            facts.append(recorded(codec, partition, stored))
            if len(stored.headers) > USUAL_HEADERS and (trace := handed_on(stored.headers)):
                traces[facts[-1].meta.seq] = trace
    return facts, traces


class Reactor:
    """Runs the policies of a deployment over facts, in the order in which they stand."""

    def __init__(self, policies: Iterable[Policy], codec: Codec, layout: Layout) -> None:
        self._codec, self._layout = codec, layout
        self._by_fact: dict[tuple[str, type], list[Policy]] = {}
        for policy in policies:
            self._by_fact.setdefault((policy.source, policy.on), []).append(policy)

    def listens_to(self, family: str, kind: type | None) -> bool:
        """Whether facts of this type can cause a command; also true for a type that this release does not know."""
        return kind is None or (family, kind) in self._by_fact

    def commands(
        self, facts: Sequence[Recorded[Any]], traces: Traces | None = None
    ) -> list[tuple[Partition, NewRecord]]:
        """The commands that these facts (of one partition, where they have traces) cause, in order."""
        return [command for fact in facts for command in self._of(fact, traces or {})]

    def _of(self, fact: Recorded[Any], traces: Traces) -> Iterable[tuple[Partition, NewRecord]]:
        for policy in self._by_fact.get((fact.family, type(fact.body)), ()):
            actor = f"{POLICY}{policy.name}"
            trace = traces.get(fact.meta.seq, ())
            for n, (key, body) in enumerate(policy.commands(fact)):
                there = self._layout.route(policy.target, key)
                yield inside_command(self._codec, fact, actor, n, key, body, there, trace)


class Reactors:
    """`gridbook run react`: a reactor for each events partition that this process is asked for."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        reactor: Reactor,
        codec: Codec,
        events: EventLog,
        commands: CommandLog,
        group: Group,
        hints: Hints,
        report: Report,
        newer: NewerSchemas | None = None,
        *,
        note_every_s: float,
    ) -> None:
        self._notes = Notes("react", hints, report, note_every_s)
        self._reactor, self._codec, self._events, self._commands = reactor, codec, events, commands
        self._report = report
        self._places: dict[Partition, Place] = {}
        self._workers = Workers("react", group, partitions, self._react, report, self._places.get, events, newer=newer)

    @property
    def working(self) -> tuple[Partition, ...]:
        """The partitions that this process reacts to."""
        return self._workers.working

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await self._workers.run(stop)

    async def _react(self, partition: Partition, ends: asyncio.Event) -> None:
        """What this raises is tried again from the last position noted: receivers know what they have had."""
        position = await self._notes.load(partition)
        tick = 0
        self._report.condition(str(partition), Condition.RUNNING)
        while not ends.is_set():
            batch = await self._events.read(partition, position, MAX_BATCH)
            facts, traces = heard(self._codec, partition, batch, self._reactor.listens_to)
            commands = self._reactor.commands(facts, traces)
            if commands:
                with self._report.span("react", links=traces.values(), family=partition.family):
                    await self._commands.send(commands, SEND_DEADLINE_S)
                self._report.add(REACTED, partition.family, value=len(commands))
            position = batch.next
            if facts:
                tick = facts[-1].meta.tick.n
            self._places[partition] = position, tick
            await self._notes.note(partition, position)
            if not batch.records:
                await news(self._events, partition, position, ends, self._notes.patience(partition, position))
        await self._notes.note(partition, position, last=True)
