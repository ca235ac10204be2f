"""A settlement is a sequence of runs, each posts only what it changes (domain rules §4.6, vector V-S4)."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.settlement.posting import differences
from schemas.settlement.events import LineKind, PostedLine, RunType
from tests.unit.settlement.runs import area, balance, completed, line, named, part, posted, started, trade


def settled(scenario, volumes, number, price, approve=True):
    """One run of the sequence; returns what it posts."""
    first = not scenario.state.posted
    run_type = RunType.INITIAL if first else RunType.CORRECTION
    run = started(scenario, cutoff_tick=number, run_type=run_type).run
    completed(scenario, run, trade(run, volumes, price))
    return posted(scenario, run) if approve else []


def test_v_s4():
    """V-S4, Annex V: volumes in 1/10 MWh and money in cents of a price of 55.25 EUR/MWh.

    The information run II is never approved. R2 posts round(5596.825) - 5525.00 = 71.83, RF
    round(5574.725) - 5596.83 = -22.10: the difference of rounded totals, never a rounded difference.
    """
    scenario, found = area(), []
    sequence = [("II", 984), ("SF", 1000), ("R1", 1000), ("R2", 1013), ("R3", 1013), ("RF", 1009)]
    for number, (name, volume) in enumerate(sequence, 1):
        lines = settled(scenario, {"k": volume}, number, price=552_500_000, approve=name != "II")
        found.append(sum(ln.amount_micro for ln in lines if ln.kind is LineKind.DELIVERED_SALE))
    assert found == [0, 552_500, 0, 7_183, 0, -2_210]
    assert sum(found) == 557_473


def test_a_run_repeated_posts_nothing():
    scenario = area()
    assert len(settled(scenario, {"k": 7, "l": 3}, 1, 1_000)) == 4
    assert settled(scenario, {"k": 7, "l": 3}, 2, 1_000) == []
    assert scenario.decider.due(scenario.state) is None


def test_a_line_that_vanished_is_taken_back_and_equal_ones_are_left_out():
    scenario = area()
    settled(scenario, {"k": 7, "l": 3}, 1, 10**6)
    lines = settled(scenario, {"l": 3, "m": 2}, 2, 10**6)
    changes = {(ln.kind.value, ln.reference): (ln.energy_wh, ln.amount_micro, ln.points_micro) for ln in lines}
    assert changes == {
        ("delivered_sale", "k"): (-7, -7, -7_000),
        ("delivered_purchase", "k"): (-7, 7, 7_000),
        ("delivered_sale", "m"): (2, 2, 2_000),
        ("delivered_purchase", "m"): (2, -2, -2_000),
    }


def test_another_supplier_takes_over_and_the_first_gives_back():
    """A back-dated change of supplier: the energy moves from one counterparty's books to the other's."""
    scenario = area()
    for number, supplier in enumerate(("first", "second"), 1):
        run_type = RunType.INITIAL if number == 1 else RunType.CORRECTION
        run = started(scenario, cutoff_tick=number, run_type=run_type).run
        rest = named(replace(line(LineKind.RESIDUAL, "c", 9), counterparty=supplier))
        completed(scenario, run, part(run, [balance("c", (9, 0), (0, 0))], [rest]))
        lines = posted(scenario, run)
    assert [(ln.counterparty, ln.energy_wh) for ln in lines] == [("first", -9), ("second", 9)]


def test_periods_do_not_mix():
    scenario = area()
    settled(scenario, {"k": 7}, 1, 10**6)
    run = started(scenario, from_at=1_800_000_000, to_at=3_600_000_000).run
    lines = [named(replace(ln, line=""), 1_800_000_000) for ln in trade(run, {"k": 7}, 10**6).lines]
    completed(scenario, run, replace(trade(run, {"k": 7}, 10**6), lines=tuple(lines)))
    assert [ln.energy_wh for ln in posted(scenario, run)] == [7, 7], "nothing of another period is taken back"
    assert len(scenario.state.posted) == 2


VOLUMES = st.dictionaries(st.sampled_from("klm"), st.integers(1, 10**6), max_size=3)


@given(st.lists(st.tuples(VOLUMES, st.booleans()), min_size=1, max_size=5), st.integers(-(10**9), 10**9))
def test_the_postings_of_any_sequence_sum_to_its_last_run(sequence, price):
    """Also with runs in between that nobody approved; and money, energy and points are zero-sum per contract."""
    scenario, sums, last = area(), Counter(), {}
    for number, (volumes, approve) in enumerate(sequence, 1):
        for ln in settled(scenario, volumes, number, price, approve):
            sums[ln.line, "energy"] += ln.energy_wh
            sums[ln.line, "money"] += ln.amount_micro
            sums[ln.line, "points"] += ln.points_micro
        if approve:
            last = volumes
    lines = trade("run", last, price).lines
    expected = Counter()
    for ln in lines:
        expected[ln.line, "energy"] = ln.settled_wh
        expected[ln.line, "money"] = ln.amount_micro
        expected[ln.line, "points"] = ln.points_micro
    assert {k: v for k, v in sums.items() if v} == {k: v for k, v in expected.items() if v}
    assert sum(v for (_, what), v in sums.items() if what in ("money", "points")) == 0


LINES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9)),
    max_size=12,
).map(
    lambda found: {
        name: PostedLine(name, LineKind.SURPLUS, "p", "c", f"x{len(name)}", "tariff", *numbers)
        for name, numbers in found.items()
    }
)


@given(LINES, LINES)
def test_before_and_differences_make_after(before, after):
    made = differences(before, after)
    assert [(ln.counterparty, ln.line) for ln in made] == sorted((ln.counterparty, ln.line) for ln in made)
    by_line = {ln.line: ln for ln in made}
    for field in ("energy_wh", "amount_micro", "points_micro"):
        for name in before.keys() | after.keys():
            was, is_now, change = (getattr(d[name], field) if name in d else 0 for d in (before, after, by_line))
            assert was + change == is_now
