"""What a run reads of contracts, and what its lines sum to, on real tables."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.postgres.views import PostgresViews
from projections.families import SQL_VIEWS
from projections.families import VIEWS as BY_FAMILY
from projections.settlement.inputs import INPUTS, parameters
from projections.settlement.views import VIEWS as OWN_VIEWS
from schemas.settlement.events import RunPartRecorded
from tests.unit.settlement.world import AREA, World, started
from tests.unit.written import recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "elsewhere"
VIEWS = [view for views in BY_FAMILY.values() for view in views]


@pytest_asyncio.fixture(loop_scope="module", name="slates")
async def opened(postgres_dsn: str) -> AsyncIterator[PostgresViews]:
    store = PostgresViews(postgres_dsn, "test_settlement_views", VIEWS, SQL_VIEWS)
    await store.drop()
    await store.start()
    yield store
    await store.drop()
    await store.close()


async def write(store: PostgresViews, family: str, rows: dict[str, list[NewRow]]) -> None:
    everywhere: dict[str, list[NewRow]] = {view.name: [] for view in VIEWS}
    await store.apply({**everywhere, **rows}, {Partition(family, 0): Reached(100, 0)})


def crossing() -> World:
    """`s` sells to `b` in the other area; another contract is assigned away, a third is of the other area only."""
    world = World().connect("s").connect("b", zone=OTHER).price(2_000_000)
    world.read("s", [0], [900]).read("b", [1200], [0])
    world.contract("k", "s", "b", 1000, mode="firm", zone=AREA, buyer_zone=OTHER)
    world.contract("moved", "s", "s", 100, mode="firm")
    world.contract("moved", "b", "b", 100, mode="firm", zone=OTHER, version=2)
    world.contract("far", "b", "b", 100, mode="firm", zone=OTHER)
    return world


async def known(slates: PostgresViews, area: str, cutoff: int) -> list[tuple[str, int]]:
    question = INPUTS["contracts"]
    asked = parameters(recorded("settlement", area, started(area=area, cutoff_tick=cutoff)))
    rows = await slates(question.sql, {name: asked[name] for name in question.parameters})
    return [(row["contract"], row["version"]) for row in rows]


async def test_a_run_finds_every_version_of_what_touches_its_area(slates: PostgresViews) -> None:
    """A version that left the area is among them: without it the one before would count."""
    fixed: dict[str, Any] = {"market": "market", "trade": None, "rules_version": 1}
    rows = []
    for seq, row in enumerate(crossing().inputs["contracts"]):
        terms = {name: value for name, value in row.items() if name not in ("tick", "seq", "row")}
        rows.append(NewRow("market", 0, seq, seq, seq, 0, {**fixed, **terms}))
    await write(slates, "market", {"contracts": rows})
    assert await known(slates, AREA, 100) == [("k", 1), ("moved", 1), ("moved", 2)]
    assert await known(slates, OTHER, 100) == [("far", 1), ("k", 1), ("moved", 1), ("moved", 2)]
    assert await known(slates, AREA, 2) == [("k", 1), ("moved", 1)]


async def test_energy_flows_and_balances_across_areas(slates: PostgresViews) -> None:
    rows: dict[str, list[NewRow]] = {view.name: [] for view in OWN_VIEWS}
    for seq, area in enumerate((AREA, OTHER)):
        world = crossing()
        del world.inputs["contracts"][1:]
        world.inputs["contracts"][0]["seller_price_nano_per_kwh"] = 60_000_000
        result = world.result(area)
        run = started(run=area, area=area)
        part = RunPartRecorded(area, area, 1, 0, 0, 15, "EUR", tuple(result.balances), tuple(result.lines))
        for view in OWN_VIEWS:
            for body in (run, part):
                made = view.on.get(type(body), lambda _: ())
                for n, row in enumerate(made(recorded("settlement", area, body))):
                    rows[view.name].append(NewRow("settlement", 0, seq, seq, seq, n, row))
    await write(slates, "settlement", rows)
    flows = await slates(
        "SELECT * FROM energy_flows WHERE cause IN ('transit', 'contract', 'price_difference') ORDER BY giver, cause",
        {},
    )
    assert [(f["area"], f["giver"], f["taker"], f["cause"], f["energy_wh"], f["amount_micro"]) for f in flows] == [
        (OTHER, "market-operator", "party-b", "price_difference", 0, 40_000),
        (OTHER, "market-operator", "party-b", "transit", 1000, 60_000),
        (AREA, "party-s", "market-operator", "transit", 1000, 60_000),
    ]
    balances = await slates("SELECT * FROM energy_balances ORDER BY area", {})
    assert [(b["area"], b["transit_wh"], b["unattributed_wh"]) for b in balances] == [
        (OTHER, 1000, 0),
        (AREA, -1000, 0),
    ]
