"""What must hold of a deployment whatever was done to it: asked of the whole log and of every view, at the end.

Proofs come first (decisions decided again, views rebuilt); then the same log is counted in another way, by what was
sent and by what follows from it, so that a log that is consistent and lacks something is found too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.calculate import WiredCalculation
from consumers.layout import Layout
from consumers.ports import Partition
from consumers.react import Reactor
from consumers.reading import SOURCE, between, recorded
from domain.policies.table import POLICIES
from gateways.app import CALCULATIONS, App
from schemas.actors import CALCULATION, CAUSED
from schemas.codec import Codec
from schemas.envelope import CommandMeta, Recorded
from schemas.log.commands import Tick
from schemas.log.events import CommandRepeated, CommandSetAside, LogicAdopted, TimePassed
from tests.faults.load import Sent

QUESTIONS: Final = (
    "SELECT issuer FROM ledger GROUP BY issuer, currency HAVING sum(amount_micro) <> 0",
    "SELECT run FROM energy_balances WHERE unattributed_wh <> 0",
    "SELECT party FROM positions WHERE bought_wh < 0 OR sold_wh < 0",
    "SELECT command_id, reason FROM answers WHERE event = 'CommandSetAside'",
)
"""None of them may have an answer."""

_SHOWN: Final = 5
"""Problems of one kind that are told; the others are counted."""


@dataclass(slots=True)
class Found:
    """What stands on the log of a deployment."""

    commands: int = 0
    records: int = 0
    problems: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    """Type of a fact → how many."""

    def tell(self, what: str, found: Iterable[object]) -> None:
        """Adds the problems of one kind."""
        all_of_them = [f"{what}: {one}" for one in found]
        self.problems += all_of_them[:_SHOWN]
        if len(all_of_them) > _SHOWN:
            self.problems.append(f"{what}: {len(all_of_them) - _SHOWN} more")


@dataclass(frozen=True, slots=True)
class Answered:
    """A command with the facts that name its position."""

    position: int
    meta: CommandMeta
    body: Any
    facts: tuple[Recorded[Any], ...]

    @property
    def repeated(self) -> bool:
        """Whether it was answered as one that was decided before."""
        return len(self.facts) == 1 and isinstance(self.facts[0].body, CommandRepeated)

    @property
    def decided(self) -> bool:
        """Whether it was judged here."""
        return bool(self.facts) and not isinstance(self.facts[-1].body, CommandRepeated | CommandSetAside)


async def examine(app: App, sent: Mapping[Sent, int]) -> Found:
    """Every promise, held against the log of a deployment at rest.

    Args:
        app: opened, and has written nothing.
        sent: what doors have sent → how often at least.
    """
    found = Found()
    verdicts = await app.verify_decisions()
    found.tell("decided again", [d for v in verdicts for d in v.differences])
    found.tell("not held", [str(v.partition) for v in verdicts if not v.holds and not v.differences])
    found.tell("unanswered", [f"{v.partition}: {v.unanswered}" for v in verdicts if v.unanswered])
    views = await app.verify_projections()
    found.tell("view", [f"{name}: live {live}, rebuilt {rebuilt}" for name, (live, rebuilt) in views.items()])
    log = {p: await _partition(app, p, found) for p in app.layout.partitions}
    found.tell("sent", _lost(log, sent))
    found.tell("policy", _policies(app.codec, app.layout, log))
    found.tell("calculation", _calculations(CALCULATIONS, app.layout, log))
    for question in QUESTIONS:
        found.tell(question, [dict(row) for row in await app.views(question, {})])
    return found


Log = Mapping[Partition, Sequence[Answered]]


async def _partition(app: App, partition: Partition, found: Found) -> list[Answered]:
    """Reads a partition: numbers without a gap, every command answered where it stands, decided once."""
    facts: dict[int, list[Recorded[Any]]] = {}
    name, seq, last = str(partition), 0, -1
    async for stored in between(app.backend.events, partition, 0):
        fact = recorded(app.codec, partition, stored)
        source = int(dict(stored.headers)[SOURCE])
        if fact.meta.seq != seq:
            found.tell(name, [f"position {stored.position} has seq {fact.meta.seq}, expected {seq}"])
        if source < last:
            found.tell(name, [f"seq {fact.meta.seq} answers {source}, behind it stood {last}"])
        seq, last = fact.meta.seq + 1, source
        facts.setdefault(source, []).append(fact)
        found.records += 1
        found.events[type(fact.body).__name__] += 1
    answered = []
    async for stored in between(app.backend.commands, partition, 0):
        meta, body = app.codec.decode(stored.value)
        mine = [fact for fact in facts.pop(stored.position, []) if not isinstance(fact.body, LogicAdopted)]
        answered.append(Answered(stored.position, meta, body, tuple(mine)))
    found.commands += len(answered)
    found.tell(f"{name}: answers to no command", facts)
    found.tell(f"{name}: no answer to", [(a.position, a.meta.command_id) for a in answered if not a.facts])
    found.tell(f"{name}: another id", [a.position for a in answered if any(_foreign(a, f) for f in a.facts)])
    found.tell(f"{name}: decided", _not_once(answered))
    return answered


def _foreign(answered: Answered, fact: Recorded[Any]) -> bool:
    return (fact.meta.command_id, fact.meta.actor) != (answered.meta.command_id, answered.meta.actor)


def _not_once(answered: Sequence[Answered]) -> Iterator[str]:
    """The first copy of a command is decided, all others are told so."""
    times = dict[tuple[str, str], int]()
    for one in answered:
        who = one.meta.actor, one.meta.command_id
        times[who] = times.get(who, 0) + 1
        if times[who] == 1 and not one.decided:
            yield f"not at all: {who} at {one.position} ({[type(f.body).__name__ for f in one.facts]})"
        if times[who] > 1 and not one.repeated:
            yield f"again: {who} at {one.position}"
        if isinstance(one.body, Tick) and one.decided and not isinstance(one.facts[-1].body, TimePassed):
            yield f"without passing: {who}"


def _lost(log: Log, sent: Mapping[Sent, int]) -> Iterator[str]:
    """What a door has sent and the log does not hold, or not as often."""
    for partition, answered in log.items():
        there = Counter((one.meta.actor, one.meta.command_id) for one in answered)
        mine = {(s.actor, s.command_id): times for s, times in sent.items() if s.partition == partition}
        for who, times in mine.items():
            if there[who] < times:
                yield f"{who} to {partition}: {there[who]} of {times} are on the log"
        for one in answered:
            inside = one.meta.actor.startswith(CAUSED) or isinstance(one.body, Tick)
            if not inside and (one.meta.actor, one.meta.command_id) not in mine:
                yield f"{(one.meta.actor, one.meta.command_id)} in {partition} was sent by nobody"


def _policies(codec: Codec, layout: Layout, log: Log) -> Iterator[str]:
    """Every command that follows from a fact is decided, once, where it belongs; no other one is on the log."""
    reactor, wanted = Reactor(POLICIES, codec, layout), Counter[tuple[Partition, str]]()
    for answered in log.values():
        for fact in (fact for one in answered for fact in one.facts):
            for target, record in reactor.commands([fact]):
                wanted[target, record.headers[0][1].decode()] += 1
    decided = Counter[tuple[Partition, str]]()
    for partition, answered in log.items():
        for one in answered:
            if one.meta.causation is None or one.meta.actor.startswith(CALCULATION):
                continue
            if (partition, one.meta.command_id) not in wanted:
                yield f"{one.meta.actor} {one.meta.command_id} in {partition} follows from no fact"
            decided[partition, one.meta.command_id] += one.decided
    for (partition, command_id), times in wanted.items():
        if times != 1 or decided[partition, command_id] != 1:
            yield f"{command_id} follows {times} times, decided in {partition} {decided[partition, command_id]} times"


def _calculations(wired: Sequence[WiredCalculation], layout: Layout, log: Log) -> Iterator[str]:
    """Every fact that starts a calculation whose inputs are complete has a whole proposal, and each part is once."""
    passed = {family: min(_passed(log[p]) for p in layout.of_family(family)) for family in layout.families}
    starting, parts = dict[tuple[str, int, int], WiredCalculation](), dict[tuple[str, int, int], list[int]]()
    for partition, answered in log.items():
        for one in answered:
            for fact in one.facts:
                for each in wired:
                    if (each.calculation.family, each.calculation.on) == (fact.family, type(fact.body)):
                        complete = all(passed[f] >= each.calculation.cutoff(fact) for f in each.calculation.needs)
                        if complete:
                            starting[partition.family, partition.number, fact.meta.seq] = each
            cause = one.meta.causation
            if cause is not None and one.meta.actor.startswith(CALCULATION) and one.decided:
                parts.setdefault((cause.family, cause.partition, cause.seq), []).append(cause.n)
    for place in starting.keys() | parts.keys():
        numbers = parts.get(place, [])
        if not numbers and place in starting and starting[place].calculation.may_find_nothing:
            continue
        if place not in starting or not numbers or numbers != list(range(len(numbers))):
            yield f"of the fact {place}: parts {numbers}"


def _passed(answered: Sequence[Answered]) -> int:
    return max((f.body.n for one in answered for f in one.facts if isinstance(f.body, TimePassed)), default=0)
