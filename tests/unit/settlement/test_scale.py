"""A large day: parts stay within a record, and a connection that does not fit is named."""

from random import Random

from domain.settlement.decider import CALCULATOR
from domain.settlement.parts import PART_BYTES, encoded_size, packed
from schemas.settlement.events import LineKind, RunCompleted, RunPartRecorded
from tests.unit.given import Scenario, only
from tests.unit.settlement.runs import line
from tests.unit.settlement.world import AREA, QUARTER, World, started
from tests.unit.written import codec, recorded

INTERVALS = 96


def large_day(connections: int = 118, contracts: int = 6_000) -> World:
    """The demo's size: half of the contracts firm, every connection in a community, ids as long as real ones."""
    draw, world = Random(2072), World(INTERVALS)
    ids = [f"{n:032}" for n in range(connections)]
    world.connect(*ids).rules("x").rules("y").price(*[draw.randrange(10**9) for _ in range(INTERVALS)])
    world.join("x", 700_000, *ids).join("y", 300_000, *ids[:60])
    for connection in ids:
        for_sale = draw.random() < 0.4
        world.read(
            connection,
            [draw.randrange(2_000) for _ in range(INTERVALS)],
            [draw.randrange(5_000) if for_sale else 0 for _ in range(INTERVALS)],
        )
    for n in range(contracts):
        seller, buyer = draw.sample(ids, 2)
        start = draw.randrange(INTERVALS) * QUARTER
        mode = "firm" if n % 2 else "as_delivered"
        world.contract(f"k{n:031}", seller, buyer, draw.randrange(1, 900), mode=mode, first_start_at=start)
    return world


def test_a_large_day_is_recorded_in_parts_below_the_limit():
    world = large_day()
    *parts, whole = world.proposals()
    assert (whole.connections, len(parts) > 3) == (118, True)
    assert sum(len(p.lines) for p in parts) > 12_000
    scenario = Scenario("settlement", AREA).given(started(INTERVALS))
    meta = recorded("settlement", AREA, started()).meta
    for proposal in parts:
        (fact,) = scenario.when(proposal, CALCULATOR)
        assert isinstance(fact, RunPartRecorded), fact
        estimate = sum(map(encoded_size, fact.balances)) + sum(map(encoded_size, fact.lines))
        assert len(codec().encode(meta, fact)) <= estimate + 1_000
        assert estimate <= PART_BYTES
    scenario.when(whole, CALCULATOR)
    assert len(only(scenario.facts, RunCompleted)) == 1


def test_the_estimate_holds_for_the_largest_line():
    huge = line(
        LineKind.DELIVERED_SALE, "c" * 96, 10**15, reference="r" * 96, party="p" * 96, counterparty="x" * 96,
        amount_micro=10**18, points_micro=10**18, first_interval=499, price=10**12,
    )  # fmt: skip
    part = RunPartRecorded("a", "r", 1, 0, 0, 15, "EUR", (), (huge,))
    empty = RunPartRecorded("a", "r", 1, 0, 0, 15, "EUR", (), ())
    meta = recorded("settlement", AREA, part).meta
    assert len(codec().encode(meta, part)) - len(codec().encode(meta, empty)) <= encoded_size(huge)


def test_connections_are_packed_in_order_and_never_split():
    third = PART_BYTES // 3
    sizes = {"a": third, "b": third, "c": third, "d": third, "e": PART_BYTES, "f": 1}
    assert list(packed(sizes)) == [["a", "b", "c"], ["d"], ["e"], ["f"]]


def test_a_connection_that_does_not_fit_into_a_part_is_named():
    world = World(1).connect("b", "s").read("b", [9_000], [0]).read("s", [0], [9_000])
    for n in range(4_000):
        world.contract(f"k{n:031}", "s", "b", 1)
    assert world.missing() == "part_size/b"
