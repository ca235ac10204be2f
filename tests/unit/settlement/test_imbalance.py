"""Imbalance at a single price: domain rules §4.1 and Annex V, vector V-S1 (single)."""

import pytest

from domain.settlement.imbalance import cash_micro, imbalance_wh
from schemas.settlement.events import LineKind
from tests.unit.settlement.world import OPERATOR, SERIES, World

KWH, MWH = 1_000, 1_000_000
EUR_PER_MWH = 1_000_000  # in 10⁻⁹ EUR per kWh
EUR = 1_000_000  # in 10⁻⁶ EUR

# Domain rules §4.1, in kWh: sold, bought, exported, imported, imbalance.
VECTORS = [
    (10_000, 0, 9_400, 0, -600),
    (0, 10_000, 0, 12_000, -2_000),
    (0, 10_000, 0, 9_000, 1_000),
    (3_000, 1_000, 1_500, 200, -700),
]


@pytest.mark.parametrize(("sold", "bought", "exported", "imported", "expected"), VECTORS)
def test_the_vectors_of_the_rules(sold, bought, exported, imported, expected):
    assert imbalance_wh(exported - imported, sold - bought) == expected


@pytest.mark.parametrize(("sold", "bought", "exported", "imported", "expected"), VECTORS)
def test_the_vectors_through_a_run(sold, bought, exported, imported, expected):
    """The other ends of the contracts deliver exactly, so they have no imbalance."""
    world = World().connect("x", "s", "b").price(95 * EUR_PER_MWH).read("x", [imported], [exported])
    world.read("b", [sold], [0]).read("s", [0], [bought])
    world.contract("sale", "x", "b", sold, mode="firm").contract("purchase", "s", "x", bought, mode="firm")
    (line,) = world.result().of(LineKind.IMBALANCE)
    assert (line.connection, line.energy_wh) == ("x", (expected,))
    assert (line.party, line.counterparty, line.reference) == ("party-x", OPERATOR, SERIES)


@pytest.mark.parametrize(
    ("energy_mwh", "price_eur_per_mwh", "cash_eur"), [(-5, 95, -475), (2, 95, 190), (-3, 20, -60), (4, 20, 80)]
)
def test_v_s1_single_price(energy_mwh, price_eur_per_mwh, cash_eur):
    """V-S1, column "single: cash"."""
    assert cash_micro([(energy_mwh * MWH, price_eur_per_mwh * EUR_PER_MWH)]) == cash_eur * EUR


def test_v_s1_sum_over_parties_through_a_run():
    """V-S1: the single prices of both hours sum to -265 over the parties A and B."""
    prices = (95 * EUR_PER_MWH, 20 * EUR_PER_MWH)
    world = World(2).connect("A", "B", "a", "b").price(*prices)
    # Both sold 10 MWh in each hour; A is short by 5 and 3, B long by 2 and 4; the buyers take 10 each.
    world.contract("KA", "A", "a", 10 * MWH, 10 * MWH, mode="firm")
    world.contract("KB", "B", "b", 10 * MWH, 10 * MWH, mode="firm")
    world.read("A", [0, 0], [5 * MWH, 7 * MWH]).read("B", [0, 0], [12 * MWH, 14 * MWH])
    world.read("a", [10 * MWH] * 2, [0, 0]).read("b", [10 * MWH] * 2, [0, 0])
    cash = {line.connection: line.amount_micro for line in world.result().of(LineKind.IMBALANCE)}
    assert cash == {"A": (-475 - 60) * EUR, "B": (190 + 80) * EUR}
    assert sum(cash.values()) == -265 * EUR


def test_money_is_rounded_once_per_line():
    """Two intervals of half a micro make one, not two."""
    assert cash_micro([(1, 500_000), (1, 500_000)]) == 1
    assert cash_micro([(1, 500_000)]) == 1
    assert cash_micro([(-1, 500_000)]) == -1


def firm_household() -> World:
    """Bought 10 kWh firm in the first of two intervals and used 12; in the second nothing was bought."""
    world = World(2).connect("h", "s").price(95 * EUR_PER_MWH).contract("k", "s", "h", 10 * KWH, mode="firm")
    return world.read("h", [12 * KWH, 3 * KWH], [0, 0]).read("s", [0, 0], [10 * KWH, 0])


def test_firm_pays_the_contract_in_full_and_the_deviation_once():
    """Domain rules §4.1: the contracted volume is paid, both deviations go to the imbalance, never also a tariff."""
    world = World().connect("s", "b").price(80 * EUR_PER_MWH)
    world.contract("k", "s", "b", 10 * KWH, mode="firm").read("s", [0], [9_400]).read("b", [12 * KWH], [0])
    result = world.result()
    sale, purchase = result.one(LineKind.DELIVERED_SALE, "s"), result.one(LineKind.DELIVERED_PURCHASE, "b")
    assert (sale.energy_wh, sale.settled_wh, sale.amount_micro) == ((9_400,), 10 * KWH, EUR)
    assert (purchase.energy_wh, purchase.settled_wh, purchase.amount_micro) == ((10 * KWH,), 10 * KWH, -EUR)
    assert sale.points_micro == -purchase.points_micro == 30 * EUR
    assert result.one(LineKind.IMBALANCE, "s").amount_micro == -48_000  # 0.6 kWh x 0.08 EUR/kWh
    assert result.one(LineKind.IMBALANCE, "b").amount_micro == -160_000


def test_the_rest_of_a_firm_point_stays_in_the_identity_and_is_priced_by_nobody_else():
    result = firm_household().result()
    lines = {line.reference: line for line in result.of(LineKind.RESIDUAL, "h")}
    assert {r: (li.counterparty, li.first_interval, li.energy_wh) for r, li in lines.items()} == {
        "imbalance": (OPERATOR, 0, (2 * KWH,)),
        "tariff": ("supplier", 1, (3 * KWH,)),
    }
    assert all(line.amount_micro == 0 for line in lines.values())
    assert result.one(LineKind.IMBALANCE, "h").amount_micro == -190_000


def test_shared_and_as_delivered_energy_is_no_imbalance():
    """E_net - position - what sharing and as-delivered contracts took (domain rules §4.1, §9)."""
    world = World().connect("x", "m", "f", "d").rules("eeg").join("eeg", 1_000_000, "x", "m").price(EUR_PER_MWH)
    world.contract("firm", "x", "f", 1_000, mode="firm").contract("soft", "x", "d", 200)
    world.read("x", [0], [1_600]).read("m", [300], [0]).read("f", [1_000], [0]).read("d", [200], [0])
    line = world.result().one(LineKind.IMBALANCE, "x")
    assert line.energy_wh == (100,), "1600 exported - 300 shared - 1000 firm - 200 as delivered"
