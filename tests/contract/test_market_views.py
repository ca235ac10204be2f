"""The market's computed views and questions on real tables, filled from the golden day's facts."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.postgres.views import PostgresViews
from projections.market.auctions import AUCTION_QUESTIONS
from projections.market.contracts import CONTRACT_QUESTIONS
from projections.market.credit import CREDIT_QUESTIONS
from projections.market.outlets import OUTLET_QUESTIONS
from projections.market.sessions import SESSION_QUESTIONS
from projections.market.views import QUESTIONS, SQL_VIEWS, VIEWS
from schemas.market.events import ContractConcluded
from schemas.market.product_events import ProductSuspended
from tests.unit.given import Scenario, only
from tests.unit.market.offered import tradable
from tests.unit.market.test_golden_agreements import day as agreements_day
from tests.unit.market.test_golden_day import EVENING, day, negotiate, prepare, trade
from tests.unit.market.world import CENT, MARKET, NOON, QUARTER, buy, submit
from tests.unit.written import recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")


ASKED: dict[str, int | str] = {
    "party": "ann",
    "market": MARKET,
    "partition": -1,
    "seq": -1,
    "limit": 1000,
    "carrier": "any",
    "zone": "any",
    "power_w": 0,
    "price_nano_per_kwh": 0,
    "from_at": 0,
    "to_at": 0,
}
OVER = ("depth", "block_depth_changes", "alerts", "tradable_products")
"""What has an answer only while a book is open or a product on offer."""


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


AGREEMENTS = CONTRACT_QUESTIONS + CREDIT_QUESTIONS + OUTLET_QUESTIONS


async def test_every_question_has_an_answer(slates: PostgresViews) -> None:
    await fill(slates, day())
    for question in QUESTIONS:
        if question not in AGREEMENTS + AUCTION_QUESTIONS + SESSION_QUESTIONS:  # a day without an auction
            answer = await slates(question.sql, {name: ASKED[name] for name in question.parameters})
            assert bool(answer) is (question.name not in OVER), f"{question.name} after the last gate"
            assert_plain(question.name, answer)


async def test_every_question_about_agreements_has_an_answer(slates: PostgresViews) -> None:
    market = agreements_day()
    await fill(slates, market)
    for question in AGREEMENTS:
        answer = await slates(question.sql, {})
        assert answer, question.name
        assert_plain(question.name, answer)
    states = {row["state"] for row in await slates(AGREEMENTS[2].sql, {})}
    assert states == {"agreed", "refused", "default"}
    bought = {row["party"]: row["bought_wh"] for row in await slates("SELECT * FROM positions", {})}
    assert bought == {"cyd": 2000, "bob": 0}, "what is cancelled or closed out is nobody's position"


def assert_plain(name: str, answer: Any) -> None:
    plain = (int, str, list, type(None))
    assert all(isinstance(value, plain) for row in answer for value in row.values()), name


async def test_products_are_found_by_what_they_are(slates: PostgresViews) -> None:
    await fill(slates, tradable())
    [question] = [q for q in QUESTIONS if q.name == "tradable_products"]
    fits = {"power_w": 8_000, "price_nano_per_kwh": 10 * CENT, "from_at": NOON, "to_at": NOON + 4 * QUARTER}
    for changes in ({}, {"carrier": "solar"}, {"zone": "z"}, {"power_w": "8000"}):
        [found] = await slates(question.sql, {**ASKED, **fits, **changes})
        assert (found["product"], found["version"], found["connections"]) == ("roof", 1, ["bob-cp"])
    for changes in (
        {"carrier": "wind"},
        {"zone": "y"},
        {"power_w": 8_001},
        {"price_nano_per_kwh": 10 * CENT - 1},
        {"from_at": NOON - 1},
        {"to_at": NOON + 4 * QUARTER + 1},
    ):
        assert not await slates(question.sql, {**ASKED, **fits, **changes}), changes
    await fill(slates, tradable().given(ProductSuspended(MARKET, "roof", "bob", "bob")))
    assert not await slates(question.sql, {**ASKED, **fits})
