"""The walk from a bill line to its cause, on real tables that are projected from hand-made facts.

One hour with two runs: `ann` at connection `c1` shares, buys (bought on the market, negotiated, firm), takes
residual, answers a demand response event and causes imbalance; one issuer bills it all.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row

from consumers.ports import Partition
from consumers.project import Projector
from domain.policies.settlement_to_billing import accrue
from domain.rounding import half_up
from domain.settlement.lines import priced_micro
from infra.postgres.views import PostgresViews
from projections.billing.views import QUESTIONS
from projections.explain import BillLineUnknown, explain
from projections.explained import MAX_CHILDREN, ExplainNode
from projections.families import SQL_VIEWS, VIEWS
from projections.view import Question
from schemas.billing.commands import AdoptTariff, OpenLedger, StartBilling
from schemas.billing.events import InvoiceIssued
from schemas.community.events import SharingKey, SharingRulesAdopted
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.events import ContractConcluded, OrderAccepted, Restriction, TradeMade
from schemas.meter.events import MeterKind, Quality, ReadingsRecorded
from schemas.programme.events import PerformanceRecorded, PerformanceStatus, SitePerformance
from schemas.reference.events import PricesPublished, SeriesKind, ValueQuality
from schemas.settlement.events import (
    LineKind,
    LinesPosted,
    PostedLine,
    RunPartRecorded,
    RunPosted,
    RunStarted,
    RunType,
    SettlementLine,
)
from schemas.values import PRICED_AS_IMBALANCE, DeliveryMode, Direction, Side
from tests.unit.given import Scenario

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = "test_explain"
QUARTER, HOUR = 900_000_000, 3_600_000_000
SHARED_PRICE, TARIFF_PRICE, TRADE_PRICE = 123_456_789, 312_345_678, 99_999_999
SELLER_PRICE = 88_888_888
"""What the seller of the traded contract gets."""
INCENTIVE, NEGOTIATED_PRICE = 1_234_567_891, 87_654_321
IMBALANCE_PRICES = (95_000_001, 60_000_001, 60_000_003, 20_000_007)
SMALL = [f"small-{n:02}" for n in range(40)]
"""Contracts of 3 Wh each: more than are shown."""

RUN_1, RUN_2 = 100, 200
"""The cut-offs of the two runs."""


def line(kind: LineKind, reference: str, energy_wh: list[int], price: int = 0, **more: int) -> SettlementLine:
    settled = more.get("settled_wh", sum(energy_wh))
    amount = more.get("amount_micro")
    if amount is None:
        amount = priced_micro(kind, price, settled) if price else 0
    name = f"{kind.value}/{reference}"
    first = more.get("first_interval", 0)
    return SettlementLine(name, kind, "ann", "c1", "org", reference, first, tuple(energy_wh), settled, price, amount, 0)


def lines(run: int) -> list[SettlementLine]:
    """What run 1 or 2 settled. Run 2 shares 6 Wh more, leaves 6 Wh less and takes the contract `gone` back."""
    more = 6 if run == 2 else 0
    deviations = [-20, 0, 7, 5]
    exact = sum(wh * price for wh, price in zip(deviations, IMBALANCE_PRICES, strict=True))
    found = [
        line(LineKind.SHARED_CONSUMPTION, "village", [100, 50, 0, 30 + more], SHARED_PRICE),
        line(LineKind.DELIVERED_PURCHASE, "traded", [70], TRADE_PRICE, first_interval=1),
        line(LineKind.DELIVERED_PURCHASE, "firm", [480], NEGOTIATED_PRICE, settled_wh=500),
        *(line(LineKind.DELIVERED_PURCHASE, c, [3], TRADE_PRICE, first_interval=3) for c in SMALL),
        line(LineKind.RESIDUAL, "tariff", [10, 20, 30, 40 - more]),
        line(LineKind.RESIDUAL, PRICED_AS_IMBALANCE, [13], first_interval=2),
        line(LineKind.IMBALANCE, "prices", deviations, amount_micro=half_up(exact, 1_000_000)),
        line(LineKind.RESPONSE, "event", [200, 133], INCENTIVE),
    ]
    if run == 1:
        found.append(line(LineKind.DELIVERED_PURCHASE, "gone", [9], TRADE_PRICE))
    return found


def posted(run: int) -> list[PostedLine]:
    """The differences of run 1 against nothing, or of run 2 against run 1."""
    now = {x.line: x for x in lines(run)}
    before = {x.line: x for x in lines(run - 1)} if run > 1 else {}
    found = []
    for name in {**before, **now}:
        x = now.get(name) or before[name]
        wh = (now[name].settled_wh if name in now else 0) - (before[name].settled_wh if name in before else 0)
        micro = (now[name].amount_micro if name in now else 0) - (before[name].amount_micro if name in before else 0)
        if wh or micro:
            found.append(PostedLine(name, x.kind, "ann", "c1", "org", x.reference, wh, micro, 0))
    return found


def settlement(run: int) -> list[tuple[int, Any]]:
    name, cutoff = f"run-{run}", RUN_1 if run == 1 else RUN_2
    run_type = RunType.INITIAL if run == 1 else RunType.CORRECTION
    return [
        (
            cutoff,
            RunStarted("zone", name, run, run_type, "op", 0, HOUR, 15, cutoff, "EUR", "org", "prices", (), 10 * HOUR),
        ),
        (cutoff + 1, RunPartRecorded("zone", name, run, 0, 0, 15, "EUR", (), tuple(lines(run)))),
        (cutoff + 2, RunPosted("zone", name, run, "boss", 0, HOUR, (), len(posted(run)))),
        (cutoff + 3, LinesPosted("zone", name, run, 0, "org", 0, HOUR, "EUR", tuple(posted(run)))),
    ]


def contract(name: str, trade: str | None, quantity: int, price: int, mode: DeliveryMode, at: int) -> Any:
    gets = SELLER_PRICE if trade else None
    return ContractConcluded(
        "market", "zone", "org", name, trade, "bob", "ann", "c2", "c1", at, 15, (quantity,), "EUR", price, 0, mode, 1,
        seller_price_nano_per_kwh=gets,
    )  # fmt: skip


def order(name: str, sequence: int, party: str, side: Side, limit: int) -> Any:
    return OrderAccepted("market", name, sequence, party, "c", QUARTER, 15, side, 100, limit, Restriction.NONE, None)


def readings(batch: str, version: int, start: int, values: list[int], quality: Quality) -> Any:
    return ReadingsRecorded(
        "mp", "c1", MeterKind.UTILITY, "head-end", batch, Direction.IMPORT_FROM_GRID, start, 15, quality, version,
        tuple(values),
    )  # fmt: skip


def world() -> dict[str, list[tuple[int, Any]]]:
    """Facts by family with the tick at which they were recorded."""
    prices = ("prices", SeriesKind.IMBALANCE_PRICE, "zone", "EUR", 15)
    measured = SitePerformance(
        "c1", "ann", PerformanceStatus.MEASURED, ("2026-01-07", "2026-01-08"), ("2026-01-10",), ("weekend",),
        (700, 700), (500, 567), (200, 133), 333,
    )  # fmt: skip
    return {
        "community": [
            (1, SharingRulesAdopted("village", "org", 1, SharingKey.DYNAMIC, 15, "EUR", 1, 1, 0, 0, 0)),
            (2, SharingRulesAdopted("village", "org", 2, SharingKey.DYNAMIC, 15, "EUR", SHARED_PRICE, 1, 0, 0, 0)),
            # Known only after both runs.
            (300, SharingRulesAdopted("village", "org", 3, SharingKey.DYNAMIC, 15, "EUR", 7, 1, 0, 0, 0)),
        ],
        "market": [
            (3, order("ask", 4, "bob", Side.SELL, TRADE_PRICE)),
            (4, order("bid", 9, "ann", Side.BUY, TRADE_PRICE + 1)),
            (4, TradeMade("market", "trade", QUARTER, 15, "bid", "ask", "ann", "bob", "c1", "c2", Side.BUY, 100,
                          TRADE_PRICE, 0, 0, SELLER_PRICE)),
            (4, contract("traded", "trade", 100, TRADE_PRICE, DeliveryMode.AS_DELIVERED, QUARTER)),
            (5, contract("firm", None, 500, NEGOTIATED_PRICE, DeliveryMode.FIRM, 0)),
            *((5, contract(c, None, 3, TRADE_PRICE, DeliveryMode.AS_DELIVERED, 3 * QUARTER)) for c in (*SMALL, "gone")),
        ],
        "programme": [
            (6, PerformanceRecorded("dr", "m1", "event", 1, 0, "org", "zone", "EUR", INCENTIVE, 0, 15, (measured,))),
        ],
        "reference": [
            (7, PricesPublished(*prices, 0, ValueQuality.PRELIMINARY, 1, (1, *IMBALANCE_PRICES[1:]))),
            (8, PricesPublished(*prices, 0, ValueQuality.FINAL, 2, IMBALANCE_PRICES[:1])),
        ],
        "meter": [
            (9, readings("b1", 1, 0, [600, 200, 100, 100], Quality.VALID)),
            (110, readings("b2", 2, 3 * QUARTER, [300], Quality.EDITED)),
            (310, readings("b3", 3, 0, [9, 9, 9, 9], Quality.EDITED)),
            (10, ReadingsRecorded("mp", "c1", MeterKind.UTILITY, "head-end", "e1", Direction.EXPORT_TO_GRID, 0, 15,
                                  Quality.VALID, 1, (0, 0, 0, 0))),
        ],
        "settlement": [*settlement(1), *settlement(2)],
    }  # fmt: skip


def billed(settled: Iterable[tuple[int, Any]]) -> list[Any]:
    """The issuer's facts: everything that was posted is accrued and billed after each run."""
    books = Scenario("billing", "org", 10 * HOUR)
    books.when(OpenLedger("EUR", 2, 190_000), "org")
    books.when(AdoptTariff(1, 1, 0), "org")
    books.when(AdoptTariff(TARIFF_PRICE, 1, 0), "org")
    for tick, fact in settled:
        if isinstance(fact, LinesPosted):
            meta = FactMeta(0, Moment(tick, 0), "c", 0, "a", "c", None, 1)
            for _, wish in accrue(Recorded("settlement", 0, "zone", meta, fact)):
                books.when(wish, "policy:settlement_to_billing.accrue")
            books.when(StartBilling(0, HOUR), "org")
            books.later(books.at)
    return books.facts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slates(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    views = [view for family in VIEWS.values() for view in family]
    store = PostgresViews(postgres_dsn, SCHEMA, views, SQL_VIEWS)
    await store.drop()
    await store.start()
    projector = Projector(VIEWS, (), store)
    facts = world()
    facts["billing"] = [(400 + n, body) for n, body in enumerate(billed(facts["settlement"]))]
    for number, (family, bodies) in enumerate(facts.items()):
        recorded = [
            Recorded(family, number, "key", FactMeta(seq, Moment(tick, tick), "c", 0, "a", "c", None, 1), body)
            for seq, (tick, body) in enumerate(bodies)
        ]
        await projector.project({Partition(family, number): (recorded, len(recorded))})
    yield store
    await store.drop()
    await store.close()


@pytest.fixture(scope="module")
def invoices() -> list[InvoiceIssued]:
    found = [f for f in billed(world()["settlement"]) if isinstance(f, InvoiceIssued)]
    assert len(found) == 2
    return found


def number_of(invoice: InvoiceIssued, charge: str, by_tariff: bool = False) -> int:
    (found,) = [x for x in invoice.lines if x.charge == charge and bool(x.tariff_version) == by_tariff]
    return found.number


def below(node: ExplainNode) -> Iterable[ExplainNode]:
    yield node
    for child in node.children:
        yield from below(child)


def titled(node: ExplainNode, title: str) -> ExplainNode:
    """The one node whose title begins so; a test that finds none or several fails."""
    (found,) = [x for x in below(node) if x.title.startswith(title)]
    return found


async def test_every_line_of_both_invoices_adds_up(slates: PostgresViews, invoices: list[InvoiceIssued]) -> None:
    for invoice in invoices:
        for x in invoice.lines:
            root = await explain(slates, invoice.invoice, x.number)
            wrong = [node.title for node in below(root) if not node.adds_up]
            assert not wrong, (x, wrong)
            assert sum(leaf.amount_pico or 0 for leaf in root.leaves()) == x.amount_minor * 10**10
            assert all(abs(n.amount_pico or 0) <= 5 * 10**9 for n in root.children if n.title == "rounding")


async def test_shared_energy_comes_from_rules_and_readings_as_the_run_knew_them(
    slates: PostgresViews, invoices: list[InvoiceIssued]
) -> None:
    first, second = invoices
    number = number_of(first, "shared_consumption")
    before, after = [await explain(slates, i.invoice, number) for i in (first, second)]
    for root in (before, after):
        rules = titled(root, "sharing rules")
        assert rules.figures["version"] == 2
        assert (rules.position.family, rules.position.seq, rules.position.tick) == ("community", 1, 2)
    assert titled(before, "readings").figures == {"energy_wh": 900, "intervals": 3}
    assert [n.title for n in below(before) if n.title.startswith("batch")] == ["batch b1"]
    # Interval 3 was read again before the second run's cut-off, all of it again after that.
    assert titled(after, "readings").figures == {"energy_wh": 1100, "intervals": 3}
    corrected = titled(after, "batch b2")
    assert (corrected.position.family, corrected.position.partition, corrected.position.seq) == ("meter", 4, 1)
    assert corrected.figures == {"energy_wh": 300, "intervals": 1, "version": 2}
    assert "edited" in corrected.what
    # Two runs posted: 180 Wh, then 6 Wh more.
    assert [n.figures["energy_wh"] for n in below(after) if n.title.startswith("posted by")] == [180, 6]


async def test_a_purchase_leads_to_contract_trade_and_both_orders(
    slates: PostgresViews, invoices: list[InvoiceIssued]
) -> None:
    root = await explain(slates, invoices[1].invoice, number_of(invoices[1], "delivered_purchase"))
    traded = titled(root, "contract traded")
    assert traded.position.family == "market"
    assert traded.figures["seller_price_nano_per_kwh"] == SELLER_PRICE
    assert "beyond the seller's price is the operator's" in traded.what
    assert "operator" not in titled(root, "contract firm").what
    trade = titled(traded, "trade trade")
    assert (trade.figures["traded_wh"], trade.figures["price_nano_per_kwh"]) == (100, TRADE_PRICE)
    assert trade.what == "An auction gave each side its price."
    orders = [(n.title, n.figures["sequence"], n.figures["limit_price_nano_per_kwh"]) for n in trade.children]
    assert orders == [("buy order bid", 9, TRADE_PRICE + 1), ("sell order ask", 4, TRADE_PRICE)]
    assert "ann" in trade.children[0].what
    assert titled(titled(root, "contract firm"), "negotiated").position is None


async def test_many_lines_are_summed_and_lose_nothing(slates: PostgresViews, invoices: list[InvoiceIssued]) -> None:
    root = await explain(slates, invoices[1].invoice, number_of(invoices[1], "delivered_purchase"))
    # 42 contracts and the one that the second run took back.
    more = titled(root, f"{43 - MAX_CHILDREN} more settlement lines")
    assert more.figures["count"] == 43 - MAX_CHILDREN
    assert len([n for n in root.children if n.title.startswith("settlement line")]) == MAX_CHILDREN
    energy = sum(n.figures.get("energy_wh", 0) for n in root.children if n.title != "rounding")
    assert energy == root.figures["energy_wh"] == 70 + 500 + 3 * len(SMALL)


async def test_a_line_that_a_run_took_back_explains_nothing_left(
    slates: PostgresViews, invoices: list[InvoiceIssued]
) -> None:
    root = await explain(slates, invoices[1].invoice, number_of(invoices[1], "delivered_purchase"))
    gone = titled(root, "settlement line gone")
    assert (gone.amount_pico, gone.figures["energy_wh"]) == (0, 0)
    assert [n.figures["energy_wh"] for n in gone.children] == [9, -9]


async def test_residual_is_priced_by_the_tariff_unless_it_is_imbalance(
    slates: PostgresViews, invoices: list[InvoiceIssued]
) -> None:
    number = number_of(invoices[1], "residual", by_tariff=True)
    root = await explain(slates, invoices[1].invoice, number)
    assert titled(root, "tariff version").figures["residual_price_nano_per_kwh"] == TARIFF_PRICE
    assert titled(root, "energy × price").amount_pico == 94 * TARIFF_PRICE
    free = await explain(slates, invoices[1].invoice, number_of(invoices[1], "residual"))
    assert (free.amount_pico, free.figures["energy_wh"]) == (0, 13)
    assert not [n for n in below(free) if n.title.startswith("tariff")]


async def test_a_response_leads_to_its_measurement(slates: PostgresViews, invoices: list[InvoiceIssued]) -> None:
    root = await explain(slates, invoices[1].invoice, number_of(invoices[1], "response"))
    event = titled(root, "demand response event")
    assert (event.figures["baseline_wh"], event.figures["paid_wh"], event.figures["version"]) == (1400, 333, 1)
    days = [n.title for n in event.children]
    assert days == ["reference day 2026-01-07", "reference day 2026-01-08", "excluded day 2026-01-10"]
    assert root.amount_pico is not None
    assert root.amount_pico < 0


async def test_imbalance_is_priced_interval_by_interval(slates: PostgresViews, invoices: list[InvoiceIssued]) -> None:
    root = await explain(slates, invoices[1].invoice, number_of(invoices[1], "imbalance"))
    leaves = [n for n in below(root) if n.title == "energy × price"]
    versions = [(n.figures["energy_wh"], n.figures["price_version"]) for n in leaves]
    assert versions == [(-20, 2), (7, 1), (5, 1)]
    assert [n.amount_pico for n in leaves] == [
        20 * IMBALANCE_PRICES[0],
        -7 * IMBALANCE_PRICES[2],
        -5 * IMBALANCE_PRICES[3],
    ]
    assert titled(root, "contract firm").figures["contracted_wh"] == 500


@pytest.mark.parametrize(
    ("charge", "tampering"),
    [
        ("shared_consumption", "UPDATE invoice_lines SET amount_minor = amount_minor + 1"),
        ("shared_consumption", "UPDATE invoice_lines SET energy_wh = energy_wh + 1"),
        ("shared_consumption", "UPDATE accruals SET amount_micro = amount_micro + 1"),
        ("shared_consumption", "UPDATE posted_lines SET energy_wh = energy_wh + 1"),
        (
            "shared_consumption",
            "UPDATE settlement_lines SET price_nano_per_kwh = price_nano_per_kwh + 10000000",
        ),
        ("shared_consumption", "UPDATE settlement_lines SET settled_wh = settled_wh + 1"),
        ("shared_consumption", "UPDATE sharing_rules SET consumer_price_nano_per_kwh = 5"),
        ("shared_consumption", "UPDATE readings SET energy_wh = '{1,1,1,1}' WHERE batch = 'b1'"),
        ("shared_consumption", "DELETE FROM readings"),
        ("shared_consumption", "DELETE FROM sharing_rules"),
        ("shared_consumption", "DELETE FROM settlement_lines"),
        ("shared_consumption", "DELETE FROM posted_lines"),
        ("delivered_purchase", "UPDATE contracts SET price_nano_per_kwh = 1 WHERE contract = 'traded'"),
        ("delivered_purchase", "DELETE FROM contracts WHERE contract = 'traded'"),
        ("delivered_purchase", "DELETE FROM trades"),
        ("delivered_purchase", """DELETE FROM orders WHERE "order" = 'ask'"""),
        # One of the lines that are only summed.
        ("delivered_purchase", "UPDATE settlement_lines SET amount_micro = 0 WHERE reference = 'small-39'"),
        ("imbalance", "UPDATE prices SET price_nano_per_kwh = '{0,0,0,0}'"),
        ("imbalance", "DELETE FROM prices"),
        ("response", "UPDATE performances SET paid_wh = paid_wh + 1"),
        ("response", "DELETE FROM performances"),
    ],
)
async def test_whatever_is_changed_behind_a_line_is_noticed(
    slates: PostgresViews, postgres_dsn: str, invoices: list[InvoiceIssued], charge: str, tampering: str
) -> None:
    number = number_of(invoices[1], charge)
    assert (await explain(slates, invoices[1].invoice, number)).adds_up
    # In a transaction that never ends well: the other tests do not see it.
    with psycopg.connect(postgres_dsn, row_factory=dict_row, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute(tampering)

        async def ask(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
            return connection.execute(sql, parameters).fetchall()

        assert not (await explain(ask, invoices[1].invoice, number)).adds_up
        connection.rollback()


async def test_a_line_that_is_not_there_is_said_so(slates: PostgresViews, invoices: list[InvoiceIssued]) -> None:
    for invoice, number in ((invoices[0].invoice, 99), ("nobody", 1)):
        with pytest.raises(BillLineUnknown, match=str(number)):
            await explain(slates, invoice, number)


async def test_the_books_are_in_the_views(slates: PostgresViews, invoices: list[InvoiceIssued]) -> None:
    assert {r["sum_micro"] for r in await slates("SELECT * FROM trial_balance", {})} == {0}
    balances = {r["account"]: r["balance_micro"] for r in await slates("SELECT * FROM balances", {})}
    assert balances["receivable:ann"] == invoices[1].total_minor * 10_000
    assert balances["accrued:ann"] == 0
    kinds: dict[str, int] = defaultdict(int)
    for row in await slates("SELECT * FROM invoices ORDER BY number", {}):
        kinds[row["kind"]] += row["total_minor"]
    assert sum(kinds.values()) == invoices[1].total_minor
    assert kinds["credit_note"] == -invoices[0].total_minor


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
async def test_people_get_answers(slates: PostgresViews, question: Question) -> None:
    invoice = (await slates("SELECT invoice FROM invoices WHERE replaces IS NOT NULL", {}))[0]["invoice"]
    asked = {"party": "ann", "invoice": invoice}
    found = await slates(question.sql, {name: asked[name] for name in question.parameters})
    assert bool(found) == (question.name != "credit_allotments"), "nobody was allotted credit here"
    if question.name == "bills_of_party":
        assert [row["invoice"] for row in found] == [invoice], "the reversed one is no bill any more"
