"""Calculations wait for their inputs, in order, and stay waiting until their commands are on the log."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from consumers.calculate import Calculator, WiredCalculation
from consumers.layout import Layout
from domain.calculation import Calculation, Inputs
from projections.view import Question
from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.party.commands import ApplyForMembership
from schemas.party.events import MembershipApplied, PartyRegistered

CODEC = Codec({n: avro_schema(m) for n, m in enumerate(all_messages(), 1)})


def compute(fact: Recorded[MembershipApplied], inputs: Inputs) -> Sequence[Any]:
    return [ApplyForMembership(f"{fact.body.community}-{row['n']}") for row in inputs["rows"]]


WIRED = WiredCalculation(
    Calculation("party.sum", "party", MembershipApplied, ("site", "meter"), lambda f: int(f.body.community), compute),
    {"rows": Question("rows", "SELECT", ("cutoff",))},
    lambda fact: {"cutoff": int(fact.body.community)},
)


class Asked:
    """Answers every question and remembers it."""

    def __init__(self) -> None:
        self.parameters: list[Mapping[str, Any]] = []

    async def __call__(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        self.parameters.append(parameters)
        return [{"n": 0}, {"n": 1}]


def started(seq: int, cutoff: int, partition: int = 0) -> Recorded[Any]:
    meta = FactMeta(seq, Moment(cutoff, cutoff), f"c{seq}", 0, "ann", "x", None, 1)
    return Recorded("party", partition, "ann", meta, MembershipApplied("ann", str(cutoff)))


def calculator() -> tuple[Calculator, Asked]:
    asked = Asked()
    return Calculator([WIRED], CODEC, Layout.of({"party": 1}), asked), asked


async def run(calc: Calculator, ticks: Mapping[str, int]) -> list[str]:
    commands = await calc.run_ready(lambda family: ticks[family])
    return [CODEC.decode(record.value)[1].community for _, record in commands]


async def test_it_waits_until_every_family_is_complete_up_to_the_cutoff() -> None:
    calc, asked = calculator()
    calc.offer([started(1, 5), Recorded("party", 0, "x", started(2, 0).meta, PartyRegistered("x", ()))])
    assert await run(calc, {"site": 5, "meter": 4}) == []
    assert asked.parameters == []
    assert await run(calc, {"site": 5, "meter": 5}) == ["5-0", "5-1"]
    assert asked.parameters == [{"cutoff": 5}]


async def test_what_ran_waits_until_it_was_sent_and_gives_the_same_bytes_again() -> None:
    calc, _ = calculator()
    calc.offer([started(1, 5)])
    first = await calc.run_ready(lambda family: 9)
    assert calc.waiting == 1
    assert await calc.run_ready(lambda family: 9) == first
    calc.sent()
    assert calc.waiting == 0
    meta = CODEC.decode(first[1][1].value)[0]
    assert (meta.actor, meta.causation.seq, meta.causation.n, meta.tick) == ("calc:party.sum", 1, 1, Moment(5, 5))


async def test_a_later_fact_never_overtakes_an_earlier_one_of_its_partition() -> None:
    calc, _ = calculator()
    calc.offer([started(10, 9), started(11, 5), started(3, 5, partition=1)])
    assert await run(calc, {"site": 6, "meter": 6}) == ["5-0", "5-1"], "the other partition's only"
    calc.sent()
    assert await run(calc, {"site": 9, "meter": 9}) == ["9-0", "9-1", "5-0", "5-1"]


async def test_it_listens_to_the_families_of_its_facts_and_forgets_when_told() -> None:
    calc, _ = calculator()
    assert calc.listens_to("party")
    assert not calc.listens_to("site")
    calc.offer([started(1, 5)])
    calc.forget()
    assert calc.waiting == 0


async def test_a_calculation_that_fails_stops_nobody_else() -> None:
    def compute(fact: Recorded[MembershipApplied], inputs: Inputs) -> Sequence[Any]:
        return [ApplyForMembership("x" * (200 if fact.body.community == "5" else 2))]

    broken = WiredCalculation(replace(WIRED.calculation, compute=compute), WIRED.questions, WIRED.parameters)
    calc = Calculator([broken], CODEC, Layout.of({"party": 1}), Asked())
    calc.offer([started(1, 5), started(2, 6)])
    assert await run(calc, {"site": 9, "meter": 9}) == ["xx"]
    calc.sent()
    assert calc.waiting == 0
    assert calc.failures[0].startswith("party.sum for party/0 seq 1: InvalidMessage")
