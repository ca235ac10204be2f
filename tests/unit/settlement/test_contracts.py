"""Which version of a contract a run settles, and a contract between two areas."""

from schemas.settlement.events import LineKind
from tests.unit.settlement.world import AREA, OPERATOR, World

OTHER = "elsewhere"


def sold(*quantity_wh, **overrides):
    """`s` sells to `b`, who meters all of it, and so does `c`; versions may follow."""
    world = World(len(quantity_wh)).connect("s", "b", "c").price(*[1] * len(quantity_wh))
    world.read("s", [0] * len(quantity_wh), quantity_wh)
    for buyer in "bc":
        world.read(buyer, quantity_wh, [0] * len(quantity_wh))
    return world.contract("k", "s", "b", *quantity_wh, **overrides)


def crossing(seller_wh, buyer_wh, contracted_wh):
    """`s` in one area sells to `b` in the other."""
    world = World().connect("s").connect("b", zone=OTHER).price(2_000_000)
    world.read("s", [0], [seller_wh]).read("b", [buyer_wh], [0])
    return world.contract("k", "s", "b", contracted_wh, mode="firm", zone=AREA, buyer_zone=OTHER)


def test_the_newest_version_is_settled():
    world = sold(500).contract("k", "s", "b", 300, version=2, price_nano_per_kwh=200_000_000)
    (line,) = world.result().of(LineKind.DELIVERED_PURCHASE)
    assert (line.settled_wh, line.price_nano_per_kwh, line.amount_micro) == (300, 200_000_000, -60_000)
    assert world.result().wh(LineKind.RESIDUAL, "b") == 200


def test_a_cancelled_contract_promises_nothing():
    world = sold(500).contract("k", "s", "b", 500, version=2, state="cancelled")
    assert not world.result().of(LineKind.DELIVERED_PURCHASE)
    assert world.result().wh(LineKind.RESIDUAL, "b") == world.result().wh(LineKind.SURPLUS, "s") == 500


def test_an_assigned_contract_is_delivered_to_the_new_party():
    world = sold(500).contract("k", "s", "c", 500, version=2)
    assert world.result().one(LineKind.DELIVERED_PURCHASE, "c").party == "party-c"
    assert world.result().wh(LineKind.RESIDUAL, "b") == 500


def test_what_was_delivered_before_a_contract_ended_stays():
    """A version keeps the quantity of the intervals that it does not end."""
    world = sold(500, 400).contract("k", "s", "b", 500, 0, version=2)
    assert world.result().one(LineKind.DELIVERED_SALE, "s").energy_wh == (500,)


def test_a_contract_assigned_to_the_other_area_leaves_this_one():
    world = sold(500).contract("k", "x", "y", 500, version=2, zone=OTHER)
    assert not world.result().of(LineKind.DELIVERED_SALE)


def test_each_area_settles_its_own_end():
    world = crossing(seller_wh=900, buyer_wh=1200, contracted_wh=1000)
    here, there = world.result(), world.result(OTHER)
    sale = here.one(LineKind.DELIVERED_SALE, "s")
    assert (sale.energy_wh, sale.settled_wh, sale.amount_micro) == ((900,), 1000, 100_000)
    assert here.one(LineKind.IMBALANCE, "s").energy_wh == (-100,)
    bought = there.one(LineKind.DELIVERED_PURCHASE, "b")
    assert (bought.energy_wh, bought.settled_wh, bought.amount_micro) == ((1000,), 1000, -100_000)
    assert there.one(LineKind.IMBALANCE, "b").energy_wh == (-200,)
    assert not here.of(LineKind.DELIVERED_PURCHASE)
    assert not there.of(LineKind.DELIVERED_SALE)


def test_the_operator_stands_in_for_the_end_outside():
    world = crossing(seller_wh=900, buyer_wh=1200, contracted_wh=1000)
    out, into = world.result().one(LineKind.TRANSIT, "s"), world.result(OTHER).one(LineKind.TRANSIT, "b")
    assert (out.settled_wh, out.amount_micro, out.points_micro) == (-1000, -100_000, -3_000_000)
    assert (into.settled_wh, into.amount_micro, into.points_micro) == (1000, 100_000, 3_000_000)
    assert {out.party, out.counterparty, into.party, into.counterparty} == {"market-operator"} != {OPERATOR}
    assert out.reference == into.reference == "k"


def test_a_contract_within_the_area_has_no_transit():
    world = sold(500, mode="firm", buyer_zone=AREA)
    assert not world.result().of(LineKind.TRANSIT)


def test_a_crossing_is_firm_or_not_settled_at_all():
    """As delivered means min(seller's meter, buyer's meter): no run sees both."""
    world = crossing(1, 1, 1)
    world.inputs["contracts"][0]["delivery_mode"] = "as_delivered"
    assert world.missing() == "contract_delivery_mode/k"


def test_each_side_of_a_contract_has_its_price_and_the_operator_the_rest():
    """Rounded each by itself: 0.000001 of 333 Wh is nobody's gain."""
    world = sold(333, price_nano_per_kwh=200_001_000, seller_price_nano_per_kwh=100_002_000)
    result = world.result()
    bought, sale = result.one(LineKind.DELIVERED_PURCHASE, "b"), result.one(LineKind.DELIVERED_SALE, "s")
    kept = result.one(LineKind.PRICE_DIFFERENCE, "b")
    assert (bought.amount_micro, sale.amount_micro, kept.amount_micro) == (-66_600, 33_301, 33_299)
    assert (kept.party, kept.counterparty, kept.reference) == ("market-operator", "market-operator", "k")
    assert (kept.price_nano_per_kwh, kept.settled_wh, kept.energy_wh) == (99_999_000, 333, (333,))


def test_between_areas_the_difference_stands_where_the_buyer_is_and_transit_is_at_the_sellers_price():
    world = crossing(seller_wh=900, buyer_wh=1200, contracted_wh=1000)
    world.inputs["contracts"][0]["seller_price_nano_per_kwh"] = 60_000_000
    here, there = world.result(), world.result(OTHER)
    assert here.one(LineKind.DELIVERED_SALE, "s").amount_micro == 60_000
    assert here.one(LineKind.TRANSIT, "s").amount_micro == -60_000
    assert not here.of(LineKind.PRICE_DIFFERENCE)
    assert there.one(LineKind.DELIVERED_PURCHASE, "b").amount_micro == -100_000
    assert there.one(LineKind.TRANSIT, "b").amount_micro == 60_000
    assert there.one(LineKind.PRICE_DIFFERENCE, "b").amount_micro == 40_000


def test_a_seller_who_gets_more_than_the_buyer_pays_gets_it_from_the_operator():
    result = sold(500, seller_price_nano_per_kwh=120_000_000).result()
    assert result.one(LineKind.PRICE_DIFFERENCE, "b").amount_micro == -10_000


def test_nothing_is_left_of_what_was_not_delivered():
    world = World().connect("s", "b").price(1).read("s", [0], [0]).read("b", [9], [0])
    world.contract("k", "s", "b", 500, seller_price_nano_per_kwh=0)
    assert not world.result().of(LineKind.PRICE_DIFFERENCE)
