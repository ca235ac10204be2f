"""A frozen book comes back from its slate as it was written out, and the result that is calculated from it is right."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from domain.market.auctions import CALCULATOR
from domain.market.calc_call import CALCULATION
from infra.postgres.views import PostgresViews
from projections.market.auctions import AUCTION_VIEWS
from projections.market.inputs import INPUTS, parameters
from schemas.market.auction_events import AuctionCleared, AuctionStarted
from tests.unit.given import Scenario, only
from tests.unit.market.test_auctions import V_M3, called
from tests.unit.market.world import CENT, KWH, MARKET
from tests.unit.written import recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="slates")
async def opened(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    store = PostgresViews(postgres_dsn, "test_auction_inputs", AUCTION_VIEWS, ())
    yield store
    await store.drop()
    await store.close()


async def fill(store: PostgresViews, market: Scenario) -> None:
    """Projects every fact about the auction."""
    rows: dict[str, list[NewRow]] = {view.name: [] for view in AUCTION_VIEWS}
    for seq, body in enumerate(market.facts):
        for view in AUCTION_VIEWS:
            made: Callable[..., Any] = view.on.get(type(body), lambda _: ())
            for n, row in enumerate(made(recorded("market", MARKET, body, seq))):
                rows[view.name].append(NewRow("market", 0, seq, seq, seq, n, row))
    await store.drop()
    await store.start()
    await store.apply(rows, {Partition("market", 0): Reached(len(market.facts), 0)})


async def test_the_result_is_calculated_from_the_slate_of_the_frozen_book(slates: PostgresViews) -> None:
    market, facts = called(*V_M3, lot_wh=KWH)
    await fill(slates, market)
    started = recorded("market", MARKET, only(facts, AuctionStarted)[0])
    inputs = {name: await slates(question.sql, parameters(started)) for name, question in INPUTS.items()}
    for part in CALCULATION.compute(started, inputs):
        facts += market.when(part, CALCULATOR)
    market.later(market.at)
    [cleared] = only(facts, AuctionCleared)
    assert (cleared.price_nano_per_kwh, cleared.volume_wh) == (10 * CENT, 75 * KWH)
    await fill(slates, market)
    [row] = await slates("SELECT state, price_nano_per_kwh, volume_wh, rationing FROM auctions", {})
    assert dict(row) == {
        "state": "ended",
        "price_nano_per_kwh": 10 * CENT,
        "volume_wh": 75 * KWH,
        "rationing": "time",
    }
    [row] = await slates("SELECT sum(wh)::bigint AS filled_wh FROM auction_fills, unnest(filled_wh) AS wh", {})
    assert row["filled_wh"] == 150 * KWH
