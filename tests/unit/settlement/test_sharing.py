"""The dynamic key against the vectors of domain rules §9, and what every split must keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.settlement.sharing import community_parts, share_dynamically
from schemas.settlement.events import LineKind
from tests.unit.settlement.world import World

# CS1, domain rules §9, column "dynamic": G, C of A/B/C, allocated, residual, surplus of P1 and P2.
# P1 feeds 70 %, P2 30 % of G (t4: 1 and 1).
CS1 = {
    "t1 shortage": ((700, 300), (900, 800, 1300), (300, 267, 433), (600, 533, 867), (0, 0)),
    "t2 surplus": ((1400, 600), (600, 900, 400), (600, 900, 400), (0, 0, 0), (70, 30)),
    "t3 A small": ((1050, 450), (200, 900, 700), (167, 750, 583), (33, 150, 117), (0, 0)),
    "t4 crumbs": ((1, 1), (0, 5, 5), (0, 1, 1), (0, 4, 4), (0, 0)),
}


@pytest.mark.parametrize("name", CS1)
def test_cs1_one_interval(name):
    feed_in, consumption, allocated, residual, surplus = CS1[name]
    c, g = dict(zip("ABC", consumption, strict=True)), dict(zip(("P1", "P2"), feed_in, strict=True))
    shares = share_dynamically(c, g)
    assert tuple(shares.allocated_wh[i] for i in "ABC") == allocated
    assert tuple(c[i] - shares.allocated_wh[i] for i in "ABC") == residual
    assert tuple(g[p] - shares.used_wh[p] for p in ("P1", "P2")) == surplus


def cs1() -> World:
    world = World(len(CS1)).connect("A", "B", "C", "P1", "P2").rules("eeg")
    world.join("eeg", 1_000_000, "A", "B", "C", "P1", "P2")
    rows = list(CS1.values())
    for n, member in enumerate("ABC"):
        world.read(member, [row[1][n] for row in rows], [0] * len(rows))
    for n, producer in enumerate(("P1", "P2")):
        world.read(producer, [0] * len(rows), [row[0][n] for row in rows])
    return world


def test_cs1_whole_run_allocates_intervals_and_never_sums():
    """CS1, row "sum": 1067/1918/1417 shared (4402 Wh; on the sums it would be 4502)."""
    result = cs1().result()
    assert [result.wh(LineKind.SHARED_CONSUMPTION, m) for m in "ABC"] == [1067, 1918, 1417]
    assert [result.wh(LineKind.RESIDUAL, m) for m in "ABC"] == [633, 687, 988]
    assert [result.wh(LineKind.SURPLUS, p) for p in ("P1", "P2")] == [70, 30]
    assert result.totals.shared_wh == 4402


def test_cs1_money_and_points_of_the_community():
    """The pot (12 - 10 ct) is the community's; what consumers give in points producers gain."""
    result = cs1().result()
    line = result.one(LineKind.SHARED_CONSUMPTION, "A")
    assert (line.party, line.counterparty, line.reference) == ("party-A", "organiser-eeg", "eeg")
    assert line.amount_micro == -128_040  # 1067 Wh x 0.12 EUR/kWh
    assert line.points_micro == -2_134_000  # 1067 Wh x 2 points/kWh
    produced = result.of(LineKind.SHARED_PRODUCTION)
    assert sum(line.amount_micro for line in produced) == 440_200  # 4402 Wh x 0.10 EUR/kWh
    shared = result.of(LineKind.SHARED_CONSUMPTION) + produced
    assert sum(line.points_micro for line in shared) == 0


def test_cs2_one_connection_in_two_communities():
    """CS2: I = 1001 Wh, X 60 %, Y 40 %: C 601 / 400; X has 200, Y 1000 to give: 200 + 400, residual 401."""
    assert community_parts(1001, {"X": 600_000, "Y": 400_000}) == {"X": 601, "Y": 400}
    world = World().connect("i", "x", "y").rules("X").rules("Y")
    world.join("X", 600_000, "i").join("Y", 400_000, "i").join("X", 1_000_000, "x").join("Y", 1_000_000, "y")
    world.read("i", [1001], [0]).read("x", [0], [200]).read("y", [0], [1000])
    result = world.result()
    shared = {line.reference: sum(line.energy_wh) for line in result.of(LineKind.SHARED_CONSUMPTION, "i")}
    assert shared == {"X": 200, "Y": 400}
    assert result.wh(LineKind.RESIDUAL, "i") == 401
    assert result.wh(LineKind.SURPLUS, "y") == 600


def test_what_factors_leave_over_is_nobodys():
    assert community_parts(1000, {"X": 250_000}) == {"X": 250}
    assert community_parts(1, {"X": 500_000}) == {"X": 1}, "an equal remainder serves the community first"
    assert community_parts(1, {"X": 499_999}) == {"X": 0}
    assert community_parts(1, {"X": 300_000, "Y": 300_000}) == {"X": 0, "Y": 0}, "the rest of 40 % is larger"


def test_factors_above_the_whole_are_refused():
    with pytest.raises(ValueError, match="1000001"):
        community_parts(1000, {"X": 600_000, "Y": 400_001})


ENERGIES = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 5_000), max_size=6)


@given(ENERGIES, ENERGIES)
def test_nobody_gets_more_than_he_consumed_nor_gives_more_than_he_fed_in(consumption, feed_in):
    shares = share_dynamically(consumption, feed_in)
    assert all(0 <= shares.allocated_wh[i] <= c for i, c in consumption.items())
    assert all(0 <= shares.used_wh[g] <= wh for g, wh in feed_in.items())
    assert sum(shares.allocated_wh.values()) == sum(shares.used_wh.values())
    assert sum(shares.allocated_wh.values()) == min(sum(consumption.values()), sum(feed_in.values()))


@given(st.integers(0, 10**6), st.lists(st.integers(0, 250_000), min_size=1, max_size=4))
def test_parts_are_within_one_wh_of_the_factor(energy, factors):
    parts = community_parts(energy, {f"c{n}": factor for n, factor in enumerate(factors)})
    assert sum(parts.values()) <= energy
    for n, factor in enumerate(factors):
        assert abs(parts[f"c{n}"] * 1_000_000 - energy * factor) < 1_000_000
