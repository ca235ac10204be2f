"""The slates of a session's auction: the calculation finds its books and blocks, owners what became of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain.market.calc_session import CALCULATION
from domain.market.session_auctions import CALCULATOR
from infra.postgres.views import PostgresViews
from projections.market.sessions import INPUTS, parameters
from projections.market.views import SQL_VIEWS, VIEWS
from schemas.market.session_events import SessionAuctionStarted
from tests.contract.test_market_information import Told
from tests.unit.given import MINUTE, only
from tests.unit.market.session_world import CALLED, buys, collecting, proposals, said, sells
from tests.unit.market.world import CENT, KWH, MARKET, NOON, QUARTER, buy, sell, submit
from tests.unit.written import recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="slates")
async def opened(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    store = PostgresViews(postgres_dsn, "test_market_sessions", VIEWS, SQL_VIEWS)
    yield store
    await store.drop()
    await store.close()


async def test_a_session_is_calculated_from_and_told_by_the_slates(slates: PostgresViews) -> None:
    market = collecting(intervals=2)
    for wish in (buy("ann", 5, 40), buy("ann", 5, 50, start=NOON + QUARTER), sell("bob", 5, 90)):
        submit(market, wish)
    sold = said(market, sells("cyd", (5, 5), 45))
    linked = said(market, buys("cyd", (2,), 90, parent=sold.block, exclusive_group="g"))
    out = said(market, sells("dan", (0, 5), 60, start=NOON))
    told = await Told(slates).begin()
    await told.up_to(market)
    states = await told.ask("session_changes")
    assert {(row["state"], row["opens_at"]) for row in states} == {("open", NOON - 150 * MINUTE)}
    facts = market.later(CALLED)
    await told.up_to(market)
    assert {row["state"] for row in await told.ask("session_changes")} == {"auction"}
    [started] = only(facts, SessionAuctionStarted)
    fact = recorded("market", MARKET, started)
    rows = {name: await slates(question.sql, parameters(fact)) for name, question in INPUTS.items()}
    parts = list(CALCULATION.compute(fact, rows))
    assert parts == list(proposals(facts))
    for part in parts:
        market.when(part, CALCULATOR)
    market.later(market.at)
    await told.up_to(market)
    assert {row["state"] for row in await told.ask("session_changes")} == {"open"}
    [auction] = await told.ask("session_auctions")
    assert (auction["state"], auction["accepted"], auction["gap_ppm"], auction["blocks"]) == ("ended", 2, 0, 3)
    first, second = await told.ask("session_auction_results")
    assert first["price_nano_per_kwh"] >= 40 * CENT
    assert second["price_nano_per_kwh"] <= 60 * CENT
    traded = dict.fromkeys((NOON, NOON + QUARTER), 0)
    for row in await slates("SELECT delivery_start_at, quantity_wh FROM trades", {}):
        traded[row["delivery_start_at"]] += row["quantity_wh"]
    assert [first["volume_wh"], second["volume_wh"]] == list(traded.values())
    assert (first["blocks_bought_wh"], first["blocks_sold_wh"]) == (2 * KWH, 5 * KWH)
    mine = {row["block"]: row for row in await told.ask("my_call_blocks", party="cyd")}
    assert {name: row["state"] for name, row in mine.items()} == {sold.block: "accepted", linked.block: "accepted"}
    assert mine[sold.block]["quantities_wh"] == [5 * KWH, 5 * KWH]
    [lost] = await told.ask("my_call_blocks", party="dan")
    assert (lost["block"], lost["state"], lost["reason"]) == (out.block, "ended", "block_outpriced")
    kinds = [row["kind"] for row in await told.ask("my_notifications", party="dan")]
    assert {"accepted", "cancelled", "session_results"} <= set(kinds)
    kinds = [row["kind"] for row in await told.ask("my_notifications", party="cyd")]
    assert kinds.count("traded") >= 2
    assert await slates("SELECT 1 FROM orders WHERE market IS NULL OR party IS NULL", {}) == []
