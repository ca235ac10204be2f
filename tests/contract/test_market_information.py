"""Who asks only for changes knows what the slates say after every step of a day; who acknowledged gets the rest."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final

import pytest
import pytest_asyncio

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from domain.market.calc_surveillance import CALCULATION
from domain.market.surveillance import ACTOR
from domain.rounding import half_up
from infra.postgres.views import PostgresViews
from projections.market.surveillance import INPUTS, parameters
from projections.market.views import QUESTIONS, SQL_VIEWS, VIEWS
from schemas.envelope import Moment
from schemas.market.commands import AmendOrder
from schemas.market.enquiry_events import EnquiryOpened
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    GateClosed,
    OrderAccepted,
    OrderReduced,
    Restriction,
    SelfTradeMode,
    TradeMade,
)
from schemas.market.information_commands import AcknowledgeNotifications
from schemas.market.package_commands import SubmitBlock
from schemas.market.phase_commands import SuspendTrading
from schemas.market.product_commands import RegisterProduct, VerifyProduct
from schemas.market.surveillance_events import SuspicionKind
from schemas.values import Side
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.offered import ROOF, terms
from tests.unit.market.test_coupled_auctions import bound, cleared
from tests.unit.market.test_default_wishes import ask
from tests.unit.market.test_golden_day import EVENING, day, prepare, trade
from tests.unit.market.test_surveillance import watched
from tests.unit.market.world import CENT, KWH, MARKET, NOON, OPERATOR, QUARTER, buy, open_market, sell, submit
from tests.unit.written import recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED: Final = {question.name: question for question in QUESTIONS}
KEYS: Final = {
    "depth_changes": ("delivery_start_at", "interval_min", "side", "price_nano_per_kwh", "aon"),
    "block_depth_changes": ("first_start_at", "intervals", "interval_min", "side", "price_nano_per_kwh"),
    "trade_changes": ("trade", "state"),
    "price_changes": ("delivery_start_at", "interval_min"),
    "session_changes": ("delivery_start_at", "interval_min"),
    "advertisement_changes": ("listing",),
    "enquiry_changes": ("enquiry",),
    "product_changes": ("product",),
    "session_results": ("delivery_start_at", "interval_min"),
    "auction_changes": ("auction",),
    "auction_zone_changes": ("auction", "zone"),
    "auction_line_changes": ("auction", "line"),
}
"""Questions about changes, and by which columns a row takes the place of one that was read before."""
START: Final = (-1, -1)
AON: Final = Restriction.AON


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="slates")
async def opened(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    store = PostgresViews(postgres_dsn, "test_market_information", VIEWS, SQL_VIEWS)
    yield store
    await store.drop()
    await store.close()


class Told:
    """Projects a market's facts step by step; the tick is the fact's place."""

    def __init__(self, store: PostgresViews) -> None:
        self.store, self.done = store, 0

    async def begin(self) -> "Told":
        await self.store.drop()
        await self.store.start()
        return self

    async def up_to(self, market: Scenario, end: int | None = None) -> None:
        last = len(market.facts) if end is None else end
        rows: dict[str, list[NewRow]] = {view.name: [] for view in VIEWS}
        for seq in range(self.done, last):
            body = market.facts[seq]
            for view in VIEWS:
                made: Callable[..., Any] = view.on.get(type(body), lambda _: ())
                for n, row in enumerate(made(recorded("market", MARKET, body, seq))):
                    rows[view.name].append(NewRow("market", 0, seq, seq, market.moments[seq].at, n, row))
        self.done = last
        await self.store.apply(rows, {Partition("market", 0): Reached(last, 0)})

    async def ask(self, name: str, since: tuple[int, int] = START, **more: Any) -> list[dict[str, Any]]:
        given = {"market": MARKET, "partition": since[0], "seq": since[1], "limit": 10**6, **more}
        question = ASKED[name]
        return [dict(row) for row in await self.store(question.sql, {p: given[p] for p in question.parameters})]


class Reader:
    """Knows only what it was told since it last asked."""

    def __init__(self, name: str) -> None:
        self.name, self.position = name, START
        self.known: dict[tuple[Any, ...], dict[str, Any]] = {}

    async def read(self, told: Told) -> None:
        for row in await told.ask(self.name, self.position):
            self.known[tuple(row[column] for column in KEYS[self.name])] = what(row)
            self.position = max(self.position, (row["partition"], row["seq"]))

    async def agrees(self, told: Told) -> bool:
        now = {tuple(row[c] for c in KEYS[self.name]): what(row) for row in await told.ask(self.name)}
        return self.known == now


def what(row: dict[str, Any]) -> dict[str, Any]:
    """The row without its position and the market's next gate, which moves without it."""
    return {name: value for name, value in row.items() if name not in ("partition", "seq", "next_gate_at")}


def busy_day() -> Scenario:
    """Amendments, a block, all-or-none beside others at one price, suspensions; then the gate of noon."""
    market = open_market("ann", "bob", "cyd", "dan", self_trade=SelfTradeMode.DECREMENT)
    submit(market, sell("bob", 4, 12))
    submit(market, sell("cyd", 5, 10))
    first = only(market.facts, OrderAccepted)[0].order
    market.when(AmendOrder(first, 4000, 11 * CENT, None), "bob")
    submit(market, buy("ann", 7, 11.5))
    market.when(SubmitBlock("dan", "dan-cp", Side.SELL, NOON, 2, 15, 1000, 9 * CENT, AON, None), "dan")
    submit(market, sell("dan", 3, 14, restriction=AON))
    submit(market, sell("cyd", 2, 14))
    submit(market, sell("cyd", 2, 14, start=NOON + QUARTER))
    submit(market, buy("cyd", 1, 14, start=NOON + QUARTER))
    assert only(market.facts, OrderReduced)
    market.when(SuspendTrading(NOON, 15), OPERATOR)
    market.when(SuspendTrading(None, None), OPERATOR)
    market.later(NOON)
    return market


def called_day() -> Scenario:
    """Two zones are called together."""
    market, facts = bound()
    cleared(market, facts)
    return market


@pytest.mark.parametrize("market", [day(), busy_day(), called_day()], ids=["golden", "busy", "called"])
async def test_changes_add_up_to_the_slates_after_every_step(slates: PostgresViews, market: Scenario) -> None:
    told = await Told(slates).begin()
    readers = [Reader(name) for name in KEYS]
    for end in [*range(1, len(market.facts), 2), len(market.facts)]:
        await told.up_to(market, end)
        for reader in readers:
            await reader.read(told)
            assert await reader.agrees(told), f"{reader.name} after fact {end}"
        known = {place: row["open_wh"] for place, row in readers[0].known.items() if row["open_wh"]}
        assert known == await open_levels(told), f"after fact {end}"
    assert all(reader.known for reader in readers if reader.name in ("depth_changes", "trade_changes", "price_changes"))


async def open_levels(told: Told) -> dict[tuple[Any, ...], int]:
    """The book as the slate of orders has it, asked at once."""
    sql = """
        SELECT delivery_start_at, interval_min, side, limit_price_nano_per_kwh AS price, restriction = 'aon' AS aon,
            sum(rest_wh)::bigint AS open_wh
        FROM orders WHERE state = 'open' GROUP BY 1, 2, 3, 4, 5
    """
    rows = await told.store(sql, {})
    return {(r["delivery_start_at"], r["interval_min"], r["side"], r["price"], r["aon"]): r["open_wh"] for r in rows}


async def test_nothing_new_is_said_twice(slates: PostgresViews) -> None:
    told = await Told(slates).begin()
    await told.up_to(day())
    for name in KEYS:
        rows = await told.ask(name)
        last = max(((row["partition"], row["seq"]) for row in rows), default=START)
        assert await told.ask(name, last) == []


async def test_prices_are_those_of_the_trades(slates: PostgresViews) -> None:
    market = Scenario("market", MARKET, at=EVENING)
    prepare(market)
    trade(market)
    told = await Told(slates).begin()
    await told.up_to(market)
    made = only(market.facts, TradeMade)
    for row in await told.ask("price_changes"):
        own = [
            t for t in made if (t.delivery_start_at, t.interval_min) == (row["delivery_start_at"], row["interval_min"])
        ]
        volume = sum(t.quantity_wh for t in own)
        assert row["trades"] == len(own)
        assert row["volume_wh"] == volume
        assert row["last_nano_per_kwh"] == own[-1].price_nano_per_kwh
        assert row["high_nano_per_kwh"] == max(t.price_nano_per_kwh for t in own)
        assert row["low_nano_per_kwh"] == min(t.price_nano_per_kwh for t in own)
        value = sum(t.quantity_wh * t.price_nano_per_kwh for t in own)
        assert row["average_nano_per_kwh"] == half_up(value, volume)
    assert any(row["average_nano_per_kwh"] < 0 for row in await told.ask("price_changes"))


async def test_the_public_sees_no_names(slates: PostgresViews) -> None:
    names = {"ann", "bob", "cyd", "dan", "eve", "fay"}
    for market in (busy_day(), called_day()):
        told = await Told(slates).begin()
        await told.up_to(market)
        for name in KEYS:
            for row in await told.ask(name):
                assert not names & {value for value in row.values() if isinstance(value, str)}, name


async def test_a_coupled_auction_is_told_by_zone_and_by_line(slates: PostgresViews) -> None:
    market = called_day()
    told = await Told(slates).begin()
    await told.up_to(market)
    [auction] = await told.ask("auction_changes")
    assert (auction["state"], auction["mechanism"], auction["volume_wh"]) == ("ended", "uniform", 10 * KWH)
    assert auction["income_micro"] == 600_000
    zones = {row["zone"]: row["price_nano_per_kwh"] for row in await told.ask("auction_zone_changes")}
    assert zones == {"z": 20 * CENT, "y": 5 * CENT, "x": None}
    lines = [(r["line"], r["backward_wh"], r["flow_wh"]) for r in await told.ask("auction_line_changes")]
    assert lines == [("yx", 0, 0), ("zy", 4 * KWH, -4 * KWH)]
    [crossing] = [row for row in await told.ask("trade_changes") if row["seller_price_nano_per_kwh"] is not None]
    assert (crossing["price_nano_per_kwh"], crossing["seller_price_nano_per_kwh"]) == (20 * CENT, 5 * CENT)
    for party, price in (("ann", 20 * CENT), ("bob", 5 * CENT)):
        rows = [row for row in await told.ask("my_notifications", party=party) if row["kind"] == "traded"]
        assert rows[0]["price_nano_per_kwh"] == price, "everybody is told his own price"


async def test_what_is_asked_of_all_and_what_there_is_to_sell_is_advertised(slates: PostgresViews) -> None:
    market = open_market("ann", "bob")
    market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 400_000, ("pv",), "z", equipment=(ROOF,)))
    market.when(RegisterProduct("roof", terms()), "bob")
    [asked] = only(market.when(ask("ann", NOON - 30 * MINUTE), "ann"), EnquiryOpened)
    market.when(replace(ask("ann", NOON - 30 * MINUTE), addressed=("bob",)), "ann")
    told = await Told(slates).begin()
    await told.up_to(market)
    [enquiry] = await told.ask("enquiry_changes")
    assert (enquiry["enquiry"], enquiry["quantity_wh"], enquiry["state"]) == (asked.enquiry, [2 * KWH], "open")
    [product] = await told.ask("product_changes")
    assert (product["product"], product["version"], product["verification"]) == ("roof", 1, "waiting")
    seen = max((row["partition"], row["seq"]) for row in (enquiry, product))
    market.when(VerifyProduct("roof", 1), OPERATOR)
    market.later(NOON - 30 * MINUTE)
    await told.up_to(market)
    assert [row["verification"] for row in await told.ask("product_changes", seen)] == ["verified"]
    assert [row["state"] for row in await told.ask("enquiry_changes", seen)] == ["closed"]
    for row in [*await told.ask("product_changes"), *await told.ask("enquiry_changes")]:
        assert not {"ann", "bob", "bob-cp", "pv"} & {value for value in row.values() if isinstance(value, str)}


async def test_states_of_instruments(slates: PostgresViews) -> None:
    market = open_market("ann", "bob")
    told = await Told(slates).begin()
    market.when(SuspendTrading(NOON, 15), OPERATOR)
    await told.up_to(market)
    rows = await told.ask("session_changes")
    assert [row["state"] for row in rows] == ["suspended", "open", "open", "open"]
    assert {row["next_gate_at"] for row in rows} == {NOON - 5 * 60_000_000}
    market.when(SuspendTrading(None, None), OPERATOR)
    await told.up_to(market)
    assert [row["state"] for row in await told.ask("session_changes")] == ["suspended"] * 4
    market.later(NOON)
    await told.up_to(market)
    # The gates of the first two deliveries are closed at noon, five minutes before the next one's.
    assert [row["state"] for row in await told.ask("session_changes")] == ["closed", *["suspended"] * 3]


async def test_everybody_is_told_the_results_and_their_own(slates: PostgresViews) -> None:
    market = day()
    told = await Told(slates).begin()
    await told.up_to(market)
    gates = len(only(market.facts, GateClosed))
    for party in ("ann", "bob", "cyd", "dan"):
        rows = await told.ask("my_notifications", party=party)
        assert sum(row["kind"] == "results" for row in rows) == gates > 0
        refused = [f for f in only(market.facts, CommandRefused) if f.party == party]
        said = [row["said"] for row in rows if row["kind"] == "refused"]
        assert len(said) == len(refused)
        assert all(said)
        assert not any("{" in text for text in said)
    assert await told.ask("my_notifications", party="eve")
    assert {row["kind"] for row in await told.ask("my_notifications", party="eve")} == {"refused"}
    everything = {
        row["kind"] for party in ("ann", "bob", "cyd", "dan") for row in await told.ask("my_notifications", party=party)
    }
    assert {"admitted", "accepted", "traded", "cancelled", "contract_concluded", "proposal_waiting"} <= everything
    assert {"proposal_lapsed", "bid_placed", "bid_withdrawn", "award", "listing_closed", "results"} <= everything


async def test_whose_order_the_gate_took_out_is_told(slates: PostgresViews) -> None:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 4, 12))
    market.later(NOON)
    told = await Told(slates).begin()
    await told.up_to(market)
    kinds = [(row["kind"], row["reason"]) for row in await told.ask("my_notifications", party="bob")]
    assert ("cancelled", "gate_closed") in kinds
    assert not any(row["kind"] == "cancelled" for row in await told.ask("my_notifications", party="ann"))


async def test_a_limit_never_breaks_off_inside_a_fact(slates: PostgresViews) -> None:
    market = open_market("ann", "bob")
    for cents in (12, 13, 14):
        submit(market, sell("bob", 1, cents))
    market.later(NOON)
    told = await Told(slates).begin()
    await told.up_to(market)
    whole = await told.ask("my_notifications", party="bob")
    found, position = [], START
    while page := await told.ask("my_notifications", position, party="bob", limit=1):
        found += page
        position = page[-1]["partition"], page[-1]["seq"]
    assert found == whole


async def test_what_was_acknowledged_is_not_told_again(slates: PostgresViews) -> None:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 4, 12))
    told = await Told(slates).begin()
    await told.up_to(market)
    rows = await told.ask("my_unread", party="bob")
    assert rows == await told.ask("my_notifications", party="bob")
    market.when(AcknowledgeNotifications("bob", 0, rows[-1]["seq"]), "bob")
    await told.up_to(market)
    assert await told.ask("my_unread", party="bob") == []
    assert await told.ask("my_unread", party="ann")
    submit(market, buy("ann", 1, 12))
    await told.up_to(market)
    assert [row["kind"] for row in await told.ask("my_unread", party="bob")] == ["traded", "contract_concluded"]


async def test_surveillance_finds_on_the_slates_what_is_in_the_facts(slates: PostgresViews) -> None:
    """The questions of the calculation, asked as of the gate: what comes later is not in them."""
    market = watched("ann", "bob", self_trade=SelfTradeMode.OFF, withheld_wh=10_000, fair_price_nano_per_kwh=0)
    submit(market, sell("bob", 2, 10))
    submit(market, buy("bob", 2, 10))
    submit(market, sell("ann", 1, 10, start=NOON + QUARTER))
    gate = len(market.facts)
    market.later(NOON)
    told = await Told(slates).begin()
    await told.up_to(market)
    closed = next(seq for seq, fact in enumerate(market.facts) if isinstance(fact, GateClosed))
    assert closed == gate
    # In this test a fact's tick is its place.
    fact = recorded("market", MARKET, market.facts[closed], closed, Moment(closed, market.moments[closed].at))
    asked = parameters(fact)
    inputs = {name: await slates(question.sql, asked) for name, question in INPUTS.items()}
    wash, withheld_ann, withheld_bob = CALCULATION.compute(fact, inputs)
    assert (wash.kind, wash.parties) == (SuspicionKind.WASH_TRADE, ("bob",))
    assert set(wash.orders) == {order.order for order in only(market.facts, OrderAccepted) if order.party == "bob"}
    assert {withheld_ann.parties, withheld_bob.parties} == {("ann",), ("bob",)}
    assert len(inputs["orders"]) == 4
    market.when(wash, ACTOR)
    await told.up_to(market)
    (row,) = await slates(ASKED["alerts"].sql, {})
    assert (row["kind"], row["parties"], row["delivery_utc"]) == ("wash_trade", "bob", "2026-01-01 12:00")
    assert row["orders"] == ", ".join(wash.orders)
