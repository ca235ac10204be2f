"""The market's computed views and questions on real tables, filled from the golden day's facts."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.postgres.views import PostgresViews
from projections.market.views import QUESTIONS, SQL_VIEWS, VIEWS
from schemas.market.events import ContractConcluded
from tests.unit.given import Scenario, only
from tests.unit.market.test_golden_day import EVENING, day, negotiate, prepare, trade
from tests.unit.market.world import MARKET, QUARTER, buy, submit
from tests.unit.written import recorded

ASKED: dict[str, int | str] = {"party": "ann", "market": MARKET, "partition": -1, "seq": -1, "limit": 1000}
EMPTY = {"depth", "block_depth_changes", "alerts", "contract_versions", "cancellation_fees", "revisions", "rebids"}
"""What a day without blocks, revisions and suspicions leaves nothing in after its last gate."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", name="slates")
async def opened(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    store = PostgresViews(postgres_dsn, "test_market_views", VIEWS, SQL_VIEWS)
    yield store
    await store.drop()
    await store.close()


async def fill(store: PostgresViews, market: Scenario) -> None:
    """Projects the facts in two batches, the way a projector may find them."""
    await store.drop()
    await store.start()
    half = len(market.facts) // 2
    for first, last in ((0, half), (half, len(market.facts))):
        rows: dict[str, list[NewRow]] = {view.name: [] for view in VIEWS}
        for seq, body in enumerate(market.facts[first:last], first):
            for view in VIEWS:
                made: Callable[..., Any] = view.on.get(type(body), lambda _: ())
                for n, row in enumerate(made(recorded("market", MARKET, body, seq))):
                    rows[view.name].append(NewRow("market", 0, seq, seq, seq, n, row))
        await store.apply(rows, {Partition("market", 0): Reached(last, 0)})


async def test_depth_is_the_open_book(slates: PostgresViews) -> None:
    market = Scenario("market", MARKET, at=EVENING)
    prepare(market)
    trade(market)
    submit(market, buy("dan", 1, 9))
    submit(market, buy("dan", 2, 8))
    await fill(slates, market)
    expected: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for order in market.state.orders.values():
        if order.rest_wh:
            side = "buy" if order.buys else "sell"
            level = expected[order.instrument[0], side, order.limit_price_nano_per_kwh]
            level[0] += order.rest_wh
            level[1] += 1
    found = {
        (row["delivery_start_at"], row["side"], row["price_nano_per_kwh"]): [row["open_wh"], row["orders"]]
        for row in await slates("SELECT * FROM depth", {})
    }
    assert found == expected
    assert sorted(orders for _, orders in found.values()) == [1, 1, 1, 2]


async def test_positions_are_those_of_the_contracts(slates: PostgresViews) -> None:
    market = Scenario("market", MARKET, at=EVENING)
    for part in (prepare, trade, negotiate):
        part(market)
    await fill(slates, market)
    expected: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    for contract in only(market.facts, ContractConcluded):
        for n, wh in enumerate(contract.quantity_wh):
            start = contract.first_start_at + n * QUARTER
            expected[contract.buyer, contract.buyer_connection, start][0] += wh
            expected[contract.seller, contract.seller_connection, start][1] += wh
    found = {
        (row["party"], row["connection"], row["delivery_start_at"]): [row["bought_wh"], row["sold_wh"]]
        for row in await slates("SELECT * FROM positions", {})
    }
    assert found == expected
    for (_, connection, start), (bought, sold) in found.items():
        resting = sum(
            o.rest_wh
            for o in market.state.orders.values()
            if (o.connection, o.instrument[0], o.buys) == (connection, start, False)
        )
        assert market.state.slots[start].used_wh.get(connection, 0) == sold + resting - bought


async def test_every_question_has_an_answer(slates: PostgresViews) -> None:
    await fill(slates, day())
    for question in QUESTIONS:
        answer = await slates(question.sql, {name: ASKED[name] for name in question.parameters})
        assert bool(answer) is (question.name not in EMPTY), f"{question.name} after the last gate"
        plain = (int, str, list, type(None))
        assert all(isinstance(value, plain) for row in answer for value in row.values()), question.name
