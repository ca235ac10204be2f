"""Energy products: registered, verified, named by orders, amended, suspended, retired; one test for each refusal."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from domain.market.trading import accept
from projections.market.products import PRODUCT_VERSIONS, PRODUCTS
from schemas.equipment import ElectricalRating, EnergyCarrier, Phases
from schemas.market.commands import AmendOrder
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    OrderAccepted,
    OrdersCancelled,
    OrderTerms,
    ParticipantAdmitted,
    SessionOpened,
    TradeMade,
)
from schemas.market.listing_commands import OpenListing
from schemas.market.listing_events import ListingFormat, ListingOpened, ListingTerms
from schemas.market.phase_events import TradingResumed, TradingSuspended
from schemas.market.product_commands import (
    AmendProduct,
    RegisterProduct,
    ResumeProduct,
    RetireProduct,
    SuspendProduct,
    VerifyProduct,
)
from schemas.market.product_events import (
    ProductAmended,
    ProductMember,
    ProductRegistered,
    ProductResumed,
    ProductRetired,
    ProductSuspended,
    ProductVerified,
)
from schemas.market.quality import QualityRules
from schemas.market.reasons import CancelReason, MarketRefusal
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.offered import NAMES_IT, ROOF, SOLAR, registered, roofed, terms, tradable
from tests.unit.market.test_capability import HOURS
from tests.unit.market.world import (
    CENT,
    GATE,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    QUARTER,
    buy,
    open_market,
    sell,
    submit,
)
from tests.unit.written import rebuilt, recorded

R = MarketRefusal
Act = Callable[[Scenario], Any]


def refusal(facts: list[Any]) -> tuple[MarketRefusal, int, int]:
    (fact,) = facts
    assert type(fact) is CommandRefused
    return fact.reason, fact.limit, fact.found


def offer(market: Scenario, kwh: float, cents: float = 12, named: OrderTerms | None = NAMES_IT, **more: Any) -> Any:
    """Bob sells, naming his product unless it is said otherwise."""
    return submit(market, sell("bob", kwh, cents, terms=named, **more))


def accepted(facts: list[Any]) -> bool:
    return type(facts[0]) is OrderAccepted


def test_from_registration_to_trade() -> None:
    market = roofed("ann")
    assert registered(market) == [ProductRegistered(MARKET, "roof", "bob", 1, 15, SOLAR)]
    assert refusal(offer(market, 1)) == (R.PRODUCT_NOT_VERIFIED, 0, 1)
    assert market.when(VerifyProduct("roof", 1), OPERATOR) == [ProductVerified(MARKET, "roof", "bob", 1)]
    (order,) = offer(market, 1)
    assert order.terms.product == "roof"
    assert only(submit(market, buy("ann", 1, 12)), TradeMade)[0].sell_order == order.order
    assert rebuilt(market) == market.state


RULES_OF_TERMS: tuple[tuple[dict[str, Any], MarketRefusal, int, int], ...] = (
    ({"members": ()}, R.PRODUCT_WITHOUT_MEMBERS, 500, 0),
    ({"members": SOLAR.members * 2}, R.PRODUCT_WITHOUT_MEMBERS, 500, 2),
    ({"members": tuple(ProductMember("c", f"r{n}") for n in range(501))}, R.PRODUCT_WITHOUT_MEMBERS, 500, 501),
    ({"zone": "elsewhere", "max_power_w": 0}, R.ZONE_UNKNOWN, 0, 0),
    ({"max_power_w": 0, "lowest_price_nano_per_kwh": 1}, R.POWER_ZERO, 1, 0),
    ({"lowest_price_nano_per_kwh": 1, "bids_until_at": NOW}, R.PRICE_OFF_TICK, CENT // 10, 1),
    ({"lowest_price_nano_per_kwh": 101 * CENT}, R.PRICE_OUT_OF_RANGE, 100 * CENT, 101 * CENT),
    ({"bids_until_at": NOW, "max_power_w": 11_086}, R.EXPIRY_IN_THE_PAST, NOW, NOW),
    ({"max_power_w": 11_086, "schedule_from_at": 1}, R.POWER_ABOVE_ELECTRICAL, 11_085, 11_086),
    ({"schedule_from_at": NOON + 1, "schedule_wh": (2_001,) * 501}, R.SCHEDULE_OFF_GRID, QUARTER, NOON + 1),
    ({"schedule_wh": (2_001,) * 501}, R.TOO_MANY_INTERVALS, 500, 501),
    ({"schedule_wh": (2_000, 2_001, 2_000, 2_000)}, R.SCHEDULE_ABOVE_POWER, 2_000, 2_001),
    ({"schedule_wh": (2_000, 2_000, 2_000, 2_000, 1)}, R.SCHEDULE_ABOVE_CAPACITY, 8_000, 8_001),
)


@pytest.mark.parametrize(("changes", "reason", "limit", "found"), RULES_OF_TERMS, ids=lambda value: str(value)[:40])
def test_terms_that_cannot_be(changes: dict[str, Any], reason: MarketRefusal, limit: int, found: int) -> None:
    assert refusal(registered(roofed(), **changes)) == (reason, limit, found)
    assert refusal(tradable().when(AmendProduct("roof", terms(**changes)), "bob")) == (reason, limit, found)


def test_terms_that_just_can_be() -> None:
    assert not only(registered(roofed(), max_power_w=11_085, schedule_wh=(2_000,) * 4), CommandRefused)
    assert not only(registered(roofed(), electrical=None, schedule_wh=(), schedule_from_at=1), CommandRefused)


def test_who_may_register() -> None:
    assert refusal(registered(Scenario("market", MARKET))) == (R.MARKET_UNKNOWN, 0, 0)
    market = roofed()
    assert refusal(market.when(RegisterProduct("roof", SOLAR), "eve")) == (R.PARTICIPANT_UNKNOWN, 0, 0)
    registered(market)
    assert refusal(registered(market)) == (R.PRODUCT_KNOWN, 0, 0)


ABOUT_ONE: tuple[Any, ...] = (
    VerifyProduct("roof", 1),
    AmendProduct("roof", terms(quality_class=3)),
    SuspendProduct("roof"),
    ResumeProduct("roof"),
    RetireProduct("roof"),
)


@pytest.mark.parametrize("wish", ABOUT_ONE, ids=lambda wish: type(wish).__name__)
def test_wishes_about_a_product(wish: Any) -> None:
    assert refusal(Scenario("market", MARKET).when(wish, OPERATOR)) == (R.MARKET_UNKNOWN, 0, 0)
    assert refusal(roofed().when(wish, "bob")) == (R.PRODUCT_UNKNOWN, 0, 0)
    market = tradable("ann")
    assert refusal(market.when(wish, "ann")) == (R.NOT_AUTHORISED, 0, 0)
    wrong = "bob" if isinstance(wish, VerifyProduct) else OPERATOR
    if isinstance(wish, VerifyProduct | AmendProduct):
        assert refusal(market.when(wish, wrong)) == (R.NOT_AUTHORISED, 0, 0)
    market.when(RetireProduct("roof"), "bob")
    right = OPERATOR if isinstance(wish, VerifyProduct) else "bob"
    assert refusal(market.when(wish, right)) == (R.PRODUCT_ENDED, 0, 0)


def test_an_operator_does_not_verify_his_own() -> None:
    market = roofed()
    market.given(ParticipantAdmitted(MARKET, OPERATOR))
    market.when(RegisterProduct("roof", SOLAR), OPERATOR)
    assert refusal(market.when(VerifyProduct("roof", 1), OPERATOR)) == (R.NOT_AUTHORISED, 0, 0)


def test_what_changes_nothing() -> None:
    market = tradable()
    for wish, actor in (
        (VerifyProduct("roof", 1), OPERATOR),
        (AmendProduct("roof", SOLAR), "bob"),
        (ResumeProduct("roof"), "bob"),
    ):
        assert refusal(market.when(wish, actor)) == (R.NOTHING_CHANGED, 0, 0)
    market.when(SuspendProduct("roof"), "bob")
    assert refusal(market.when(SuspendProduct("roof"), "bob")) == (R.NOTHING_CHANGED, 0, 0)


def test_only_the_newest_version_is_verified() -> None:
    market = tradable()
    market.when(AmendProduct("roof", terms(quality_class=3)), "bob")
    assert refusal(market.when(VerifyProduct("roof", 1), OPERATOR)) == (R.PRODUCT_VERSION_OLD, 2, 1)
    assert market.when(VerifyProduct("roof", 2), OPERATOR) == [ProductVerified(MARKET, "roof", "bob", 2)]


def verified_as(change: Act | None = None, **changes: Any) -> list[Any]:
    """What the operator's finding is answered, of a product with changed terms in a changed market."""
    market = roofed()
    registered(market, **changes)
    if change is not None:
        change(market)
    return market.when(VerifyProduct("roof", 1), OPERATOR)


def test_verification_is_against_the_resources_that_sites_brought() -> None:
    other = {"members": (ProductMember("another-cp", "pv"),)}
    assert refusal(verified_as(**other)) == (R.CONNECTION_UNKNOWN, 0, 0)

    def elsewhere(market: Scenario) -> None:
        market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 1, ("pv",), "another zone", equipment=(ROOF,)))

    assert refusal(verified_as(elsewhere)) == (R.WRONG_ZONE, 0, 0)
    assert refusal(verified_as(members=(ProductMember("bob-cp", "wind"),))) == (R.RESOURCE_NOT_VERIFIED, 0, 0)
    assert refusal(verified_as(carrier=EnergyCarrier.WIND)) == (R.SOURCE_DIFFERS, 0, 0)
    strong = {"max_power_w": 10_001, "electrical": None}
    assert refusal(verified_as(**strong)) == (R.POWER_ABOVE_RESOURCES, 10_000, 10_001)
    for carrier in (EnergyCarrier.SOLAR, EnergyCarrier.MIXED, EnergyCarrier.UNSPECIFIED):
        assert type(verified_as(carrier=carrier, max_power_w=10_000)[0]) is ProductVerified


def test_an_aggregators_product_has_the_power_of_all_its_members() -> None:
    market = roofed("ann")
    market.given(CapabilityRecorded(MARKET, "ann-cp", "ann", 400_000, ("pv",), "z", equipment=(ROOF,)))
    members = (ProductMember("bob-cp", "pv"), ProductMember("ann-cp", "pv"))
    market.given(ParticipantAdmitted(MARKET, "pool"))
    pool = terms(members=members, max_power_w=20_000, electrical=None)
    market.when(RegisterProduct("roof", pool), "pool")
    assert market.when(VerifyProduct("roof", 1), OPERATOR) == [ProductVerified(MARKET, "roof", "pool", 1)]
    assert accepted(offer(market, 1))
    assert accepted(submit(market, sell("ann", 1, 12, terms=NAMES_IT)))


def unverified(market: Scenario) -> None:
    market.when(AmendProduct("roof", terms(quality_class=3)), "bob")


def suspended(market: Scenario) -> None:
    market.when(SuspendProduct("roof"), "bob")


def retired(market: Scenario) -> None:
    market.when(RetireProduct("roof"), OPERATOR)


@pytest.mark.parametrize(
    ("before", "order", "expected"),
    [
        (None, {"kwh": 1, "named": OrderTerms(product="unknown")}, (R.PRODUCT_UNKNOWN, 0, 0)),
        (suspended, {"kwh": 1}, (R.PRODUCT_ENDED, 0, 0)),
        (retired, {"kwh": 1}, (R.PRODUCT_ENDED, 0, 0)),
        (unverified, {"kwh": 1}, (R.PRODUCT_NOT_VERIFIED, 0, 2)),
        (None, {"kwh": 1, "cents": 9.9}, (R.PRICE_BELOW_PRODUCT, 10 * CENT, 99 * CENT // 10)),
        (None, {"kwh": 2.1}, (R.QUANTITY_ABOVE_PRODUCT, 2_000, 2_100)),
        (None, {"kwh": 1.6, "start": NOON + QUARTER}, (R.QUANTITY_ABOVE_PRODUCT, 1_500, 1_600)),
        (None, {"kwh": 2.4, "duration_min": 60}, (R.QUANTITY_ABOVE_PRODUCT, 500, 600)),
        (None, {"kwh": 0.1, "start": NOON + 4 * QUARTER}, (R.PRODUCT_EXPIRED, NOON + 4 * QUARTER, GATE + 5 * QUARTER)),
    ],
)
def test_an_order_that_the_product_forbids(before: Act | None, order: dict[str, Any], expected: Any) -> None:
    market = tradable(intervals=8, trading=HOURS)
    market.given(*hour())
    if "start" in order and order["start"] == NOON + 4 * QUARTER:
        order = {**order, "start": NOON + 5 * QUARTER}
    if before is not None:
        before(market)
    assert refusal(offer(market, **order)) == expected


def hour() -> tuple[Any, ...]:
    return (SessionOpened(MARKET, "z", NOON, 2, 60, 1),)


def test_an_order_that_just_fits() -> None:
    market = tradable(trading=HOURS)
    market.given(*hour())
    for n, kwh in enumerate((2, 1.5, 1, 0.5)):
        assert accepted(offer(market, kwh, 10, start=NOON + n * QUARTER))
    assert accepted(offer(market, 2, duration_min=60))


def test_outside_of_its_schedule_a_product_sells_nothing() -> None:
    market = tradable(intervals=8)
    market.when(AmendProduct("roof", terms(schedule_from_at=NOON + QUARTER, bids_until_at=NOON + 99 * QUARTER)), "bob")
    market.when(VerifyProduct("roof", 2), OPERATOR)
    for start in (NOON, NOON + 5 * QUARTER):
        assert refusal(offer(market, 0.1, start=start)) == (R.QUANTITY_ABOVE_PRODUCT, 0, 100)
    assert accepted(offer(market, 2, start=NOON + QUARTER))


def test_bids_expire_with_the_product() -> None:
    market = tradable()
    market.when(AmendProduct("roof", terms(bids_until_at=NOON - 30 * 60 * 10**6)), "bob")
    market.when(VerifyProduct("roof", 2), OPERATOR)
    until = NOON - 30 * 60 * 10**6
    assert refusal(offer(market, 1)) == (R.PRODUCT_EXPIRED, until, GATE)
    assert accepted(offer(market, 1, expires_at=until))


def test_a_product_is_of_its_connections_and_sold_only() -> None:
    market = tradable("ann")
    assert refusal(submit(market, sell("ann", 1, 12, terms=NAMES_IT))) == (R.PRODUCT_OF_OTHERS, 0, 0)
    assert refusal(submit(market, buy("ann", 1, 12, terms=NAMES_IT))) == (R.PRODUCT_OF_A_PURCHASE, 0, 0)


GREEN = QualityRules((EnergyCarrier.SOLAR, EnergyCarrier.WIND), ("z",), 950_000, 2)


@pytest.mark.parametrize(
    ("quality", "limit", "found"),
    [
        (replace(GREEN, carriers=(EnergyCarrier.WIND,)), 0, 0),
        (replace(GREEN, zones=("y",)), 0, 0),
        (replace(GREEN, minimum_availability_ppm=950_001), 950_001, 950_000),
        (replace(GREEN, minimum_class=3), 3, 2),
    ],
)
def test_a_book_that_requires_a_quality_takes_nothing_else(quality: QualityRules, limit: int, found: int) -> None:
    assert refusal(offer(tradable(quality=quality), 1)) == (R.QUALITY_NOT_MET, limit, found)


def test_a_book_that_requires_a_quality_is_for_named_products() -> None:
    market = tradable("ann", quality=GREEN)
    assert refusal(offer(market, 1, named=None)) == (R.QUALITY_NOT_MET, 0, 0)
    assert refusal(offer(market, 1, named=OrderTerms())) == (R.QUALITY_NOT_MET, 0, 0)
    assert accepted(offer(market, 1))
    assert accepted(submit(market, buy("ann", 1, 12)))
    anything = QualityRules((), (), 0, 0)
    assert accepted(offer(tradable(quality=anything), 1))
    assert refusal(offer(tradable(quality=anything), 1, named=None)) == (R.QUALITY_NOT_MET, 0, 0)


def test_open_orders_keep_their_version_and_those_with_too_much_power_go() -> None:
    market = tradable()
    small, large = offer(market, 1)[0], offer(market, 1.2, start=NOON + QUARTER)[0]
    other = offer(market, 2, named=None)[0]
    weaker = terms(max_power_w=4_000, schedule_wh=(), quality_class=9)
    assert market.when(AmendProduct("roof", weaker), "bob") == [ProductAmended(MARKET, "roof", "bob", 2, 15, weaker)]
    assert market.later(market.at) == [
        OrdersCancelled(MARKET, NOON + QUARTER, CancelReason.PRODUCT_AMENDED, (large.order,), (1_200,), 15)
    ]
    assert set(market.state.orders) == {small.order, other.order}
    # The small one stays though its product is not verified any more; asking for more needs the newest version.
    assert not only(market.when(AmendOrder(small.order, 900, 12 * CENT, None), "bob"), CommandRefused)
    assert refusal(market.when(AmendOrder(small.order, 1_000, 12 * CENT, None), "bob"))[0] is R.PRODUCT_NOT_VERIFIED
    assert rebuilt(market) == market.state


def test_an_hour_counts_by_its_quarters() -> None:
    market = tradable(trading=HOURS)
    market.given(*hour())
    (order,) = offer(market, 2, duration_min=60)
    market.when(AmendProduct("roof", terms(max_power_w=2_000, schedule_wh=())), "bob")
    assert market.later(market.at) == []
    market.when(AmendProduct("roof", terms(max_power_w=1_999, schedule_wh=())), "bob")
    assert market.later(market.at)[0].orders == (order.order,)


def test_what_is_left_of_an_order_counts() -> None:
    market = tradable("ann")
    (order,) = offer(market, 2)
    submit(market, buy("ann", 1, 12))
    market.when(AmendProduct("roof", terms(max_power_w=4_000, schedule_wh=())), "bob")
    assert market.later(market.at) == []
    assert set(market.state.orders) == {order.order}


@pytest.mark.parametrize(
    ("wish", "actor", "fact"),
    [
        (SuspendProduct("roof"), "bob", ProductSuspended(MARKET, "roof", "bob", "bob")),
        (SuspendProduct("roof"), OPERATOR, ProductSuspended(MARKET, "roof", "bob", OPERATOR)),
        (RetireProduct("roof"), "bob", ProductRetired(MARKET, "roof", "bob")),
        (RetireProduct("roof"), OPERATOR, ProductRetired(MARKET, "roof", "bob")),
    ],
)
def test_a_product_that_ends_takes_its_open_orders_along(wish: Any, actor: str, fact: Any) -> None:
    market = tradable("ann")
    first, second = offer(market, 1)[0], offer(market, 0.5, 13)[0]
    other = offer(market, 1, named=None)[0]
    assert market.when(wish, actor) == [fact]
    assert market.later(market.at) == [
        OrdersCancelled(MARKET, NOON, CancelReason.PRODUCT_ENDED, (second.order, first.order), (500, 1_000), 15)
    ]
    assert set(market.state.orders) == {other.order}
    assert market.state.slots[NOON].used_wh["bob-cp"] == 1_000
    assert rebuilt(market) == market.state


def test_many_open_orders_go_in_slices() -> None:
    market = tradable(lot_wh=1)
    for n in range(250):
        offer(market, 0.001, 12, start=NOON + n % 2 * QUARTER)
    market.when(RetireProduct("roof"), "bob")
    due = market.decider.due(market.state)
    assert due is not None
    assert due <= market.at
    before = deepcopy(market.state)
    first = list(market.decider.advance(market.state, market.now, 2))
    assert market.state == before
    assert [len(fact.orders) for fact in first] == [100, 25]
    assert sum(len(fact.orders) for fact in market.later(market.at)) == 250
    assert market.state.orders == {}
    assert market.decider.due(market.state) == GATE


def test_orders_that_ended_are_forgotten() -> None:
    market = tradable("ann", lot_wh=1)
    for _ in range(200):
        offer(market, 0.001)
        submit(market, buy("ann", 0.001, 12))
    assert len(market.state.products["roof"].orders) <= 65


def test_who_suspended_resumes_or_the_operator() -> None:
    market = tradable()
    for suspends, resumes in (("bob", "bob"), ("bob", OPERATOR), (OPERATOR, OPERATOR)):
        market.when(SuspendProduct("roof"), suspends)
        assert market.when(ResumeProduct("roof"), resumes)[-1] == ProductResumed(MARKET, "roof", "bob")
        assert accepted(offer(market, 0.1))
    market.when(SuspendProduct("roof"), OPERATOR)
    assert refusal(market.when(ResumeProduct("roof"), "bob")[-1:]) == (R.NOT_AUTHORISED, 0, 0)


def test_slates_tell_the_newest_version_and_all_of_them() -> None:
    market = tradable()
    plain = terms(electrical=None, schedule_wh=())
    for wish, actor in (
        (AmendProduct("roof", plain), "bob"),
        (VerifyProduct("roof", 2), OPERATOR),
        (SuspendProduct("roof"), "bob"),
    ):
        market.when(wish, actor)
    found: dict[str, Any] = {}
    for fact in market.facts:
        for row in PRODUCTS.on.get(type(fact), lambda _: ())(recorded("market", MARKET, fact)):
            found |= row
    assert (found["status"], found["verification"], found["suspended_by"]) == ("suspended", "verified", "bob")
    assert (found["version"], found["connections"], found["resources"]) == (2, ["bob-cp"], ["pv"])
    assert (found["voltage_mv"], found["phases"], found["schedule_to_at"]) == (0, "", NOON)
    versions = [
        row
        for fact in market.facts
        for row in PRODUCT_VERSIONS.on.get(type(fact), lambda _: ())(recorded("market", MARKET, fact))
    ]
    assert [(row["version"], row["voltage_mv"], row["schedule_to_at"]) for row in versions] == [
        (1, 400_000, NOON + 4 * QUARTER),
        (2, 0, NOON),
    ]


def test_a_product_with_the_weakest_rating_that_carries_it() -> None:
    """230 V × 35 A × 0.994 is 8 001.7 W."""
    rating = ElectricalRating(230_000, 35_000, 994_000, Phases.SINGLE)
    assert refusal(registered(roofed(), electrical=rating, max_power_w=8_002))[1:] == (8_001, 8_002)
    assert not only(registered(roofed(), electrical=rating), CommandRefused)
    assert refusal(registered(open_market(), electrical=rating)) == (R.PARTICIPANT_UNKNOWN, 0, 0)


LISTED = OpenListing(
    "bob",
    "bob-cp",
    NOON,
    (1_000, 1_500),
    NOW + 30 * MINUTE,
    ListingTerms(ListingFormat.SEALED_FIRST_PRICE, 12 * CENT, 40_000, "solar", lots=1),
    "roof",
)


@pytest.mark.parametrize(
    ("changes", "product", "reason"),
    [
        ({}, {}, None),
        ({"product": "shed"}, {}, R.PRODUCT_UNKNOWN),
        ({"product": None}, {}, R.QUALITY_NOT_MET),
        ({}, {"quality_class": 1}, R.QUALITY_NOT_MET),
        ({}, {"bids_until_at": NOW + 20 * MINUTE}, R.PRODUCT_EXPIRED),
        ({}, {"lowest_price_nano_per_kwh": 13 * CENT}, R.PRICE_BELOW_PRODUCT),
        ({"quantity_wh": (1_000, 1_600)}, {}, R.QUANTITY_ABOVE_PRODUCT),
        ({"connection": "bob-2"}, {}, R.PRODUCT_OF_OTHERS),
    ],
)
def test_the_product_of_a_listing_is_checked_like_an_orders(
    changes: dict[str, Any], product: dict[str, Any], reason: MarketRefusal | None
) -> None:
    market = roofed("ann", quality=QualityRules((EnergyCarrier.SOLAR,), (), 0, 2))
    market.given(CapabilityRecorded(MARKET, "bob-2", "bob", 400_000, ("more",), "z"))
    registered(market, **product)
    assert market.when(replace(LISTED, **changes), "bob")[0].reason is (
        R.PRODUCT_NOT_VERIFIED if changes.get("product", "roof") == "roof" else reason
    )
    market.when(VerifyProduct("roof", 1), OPERATOR)
    (fact,) = market.when(replace(LISTED, **changes), "bob")
    assert getattr(fact, "reason", None) is reason
    if reason is None:
        assert type(fact) is ListingOpened
        market.when(RetireProduct("roof"), "bob")
        assert market.when(LISTED, "bob")[0].reason is R.PRODUCT_ENDED


def test_what_a_product_takes_along_is_not_met_in_the_same_call() -> None:
    """A book goes on in which ann could meet bob and cyd; bob's order leaves with its product at the same time."""
    market = tradable("ann", "cyd")
    market.given(TradingSuspended(MARKET, NOON, 15))
    for sequence, wish in enumerate(
        (sell("bob", 1, 10, terms=NAMES_IT), sell("cyd", 1, 11), buy("ann", 1, 12)), market.state.sequence + 1
    ):
        zone = market.state.connections[wish.connection].zone
        instrument = market.state.instruments[NOON, 15]
        market.given(accept(market.state, instrument, wish, f"o{sequence}", sequence, zone))
    market.given(ProductRetired(MARKET, "roof", "bob"), TradingResumed(MARKET, NOON, 15))
    facts = market.later(market.at)
    assert [f.reason for f in only(facts, OrdersCancelled)] == [CancelReason.PRODUCT_ENDED]
    assert [(t.seller, t.quantity_wh) for t in only(facts, TradeMade)] == [("cyd", 1_000)]


def test_what_was_to_go_goes_though_the_product_is_amended_meanwhile() -> None:
    """The amendment asks for no less power; it comes while the orders of the suspension wait for their slice."""
    market = tradable("ann")
    (order,) = offer(market, 1)
    market.given(ProductSuspended(MARKET, "roof", "bob", "bob"))
    market.given(ProductAmended(MARKET, "roof", "bob", 2, 15, replace(SOLAR, quality_class=9)))
    (gone,) = market.later(market.at + 1)
    assert (gone.orders, gone.reason) == ((order.order,), CancelReason.PRODUCT_ENDED)
