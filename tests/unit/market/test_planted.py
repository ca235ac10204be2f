"""Every planted mistake is reached and seen by the check that is named for it (table in `docs/market.md`)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.market import clearing
from schemas.market.auction_events import Rationing
from schemas.market.events import Restriction, SelfTradeMode
from tests.unit.market import test_coupled_auctions as coupled
from tests.unit.market import test_unit_auctions as in_units
from tests.unit.market.plants import PLANTED, Soil
from tests.unit.market.test_amending import test_another_price_loses_the_priority_also_back_to_the_old_one as v_m2b
from tests.unit.market.test_amending import test_v_m2_less_keeps_its_priority_more_loses_it as v_m2
from tests.unit.market.test_exchange import long_day
from tests.unit.market.test_session_auctions import (
    test_v_m7_a_block_that_would_lose_stays_out_and_its_owner_is_told as v_m7,
)
from tests.unit.market.test_session_blocks import test_a_default_waits_for_the_end_of_an_auction as frozen_default
from tests.unit.market.test_session_blocks import (
    test_the_credit_of_several_deliveries_is_that_of_their_worst_prices as block_credit,
)
from tests.unit.market.test_vectors import test_v_m1_price_time_priority_and_the_resting_price as v_m1
from tests.unit.market.world import CENT, KWH, buy, resting, submit, trades

BOOK = Path(__file__).parents[3] / "docs" / "market.md"
DAYS = 6


def _v_m1b() -> None:
    """V-M1b: ann's purchase stands before bob's offer and behind her own."""
    market = resting(("ann", 10, 12), ("bob", 5, 12), self_trade=SelfTradeMode.CANCEL_NEWEST)
    assert trades(submit(market, buy("ann", 8, 12))) == []


def _own_fok() -> None:
    """Ann wants 10 kWh at once or nothing; of the 10 on offer 5 are her own."""
    market = resting(("ann", 5, 12), ("bob", 5, 12), self_trade=SelfTradeMode.CANCEL_OLDEST)
    assert trades(submit(market, buy("ann", 10, 12, restriction=Restriction.FOK))) == []


def _v_m2() -> None:
    v_m2()
    v_m2b()


def _cleared(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> tuple[int | None, list[int]]:
    book = [(True, *bid) for bid in bids] + [(False, *ask) for ask in asks]
    offers = [clearing.Offer(buys, price * CENT, wh * KWH, n) for n, (buys, price, wh) in enumerate(book)]
    found, fills = clearing.clear(offers, clearing.AuctionRules(1, KWH, 500_000, Rationing.TIME))
    price = found.price_nano_per_kwh
    return None if price is None else price // CENT, [wh // KWH for wh in fills]


def _v_m3() -> None:
    bids, asks = [(14, 30), (12, 25), (11, 20), (8, 40)], [(6, 20), (9, 30), (10, 13), (10, 17), (10, 21), (13, 50)]
    assert _cleared(bids, asks) == (10, [30, 25, 20, 0, 20, 30, 13, 12, 0, 0])


def _v_m3b() -> None:
    bids, asks = [(15, 10), (12, 10), (7, 10)], [(5, 10), (8, 10), (13, 10)]
    assert _cleared(bids, asks) == (10, [10, 10, 0, 10, 10, 0])


def _v_m5() -> None:
    for vector in in_units.VECTORS:
        in_units.test_the_vectors_of_the_rule_book(*vector)


def _oracle(world: str) -> Callable[[], None]:
    def days() -> None:
        for seed in range(DAYS):
            long_day(world, seed)

    return days


CHECKS: dict[str, Callable[[], None]] = {
    "V-M1": v_m1,
    "V-M1b": _v_m1b,
    "own FOK": _own_fok,
    "V-M2": _v_m2,
    "V-M3": _v_m3,
    "V-M3b": _v_m3b,
    "V-M7": v_m7,
    "block credit": block_credit,
    "frozen default": frozen_default,
    "V-M5": _v_m5,
    "held lines": coupled.test_what_is_held_for_an_auction_nobody_else_takes,
    "two zones": coupled.test_a_line_that_binds_parts_the_prices_and_the_difference_is_told,
    "wrong results": coupled.test_each_wrong_result_is_refused_and_changes_nothing,
    "left out": in_units.test_what_the_auction_leaves_out_goes_before_the_book_trades_on,
    "one unit": in_units.test_a_party_has_one_open_order_a_side,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = PLANTED[name]
    check = CHECKS.get(plant.seen_by) or _oracle(plant.seen_by.removeprefix("oracle "))
    soil = Soil(monkeypatch)
    plant.plant(soil)
    with pytest.raises((AssertionError, KeyError, StopIteration)):
        check()
    assert soil.reached, "planted where nobody comes by"


@pytest.mark.parametrize("name", CHECKS)
def test_without_a_mistake_the_checks_say_nothing(name: str) -> None:
    CHECKS[name]()


def test_every_planted_mistake_stands_in_the_table() -> None:
    text = BOOK.read_text()
    assert [name for name in PLANTED if f"| `{name}` |" not in text] == []
