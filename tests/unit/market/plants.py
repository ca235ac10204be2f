"""Mistakes that others made or that are easily made, each planted in the product by itself.

A plant puts a wrong function in the place of a right one, wherever the market's modules know it, and counts how often
what it says differs from what is right: a plant that is never reached proves nothing.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from domain.market import (
    amending,
    auction_trades,
    auctions,
    baskets,
    blocks,
    book,
    clearing,
    coupling,
    evolution,
    exposure,
    leaving,
    matching,
    mcafee,
    network,
    session_claims,
    trading,
    units,
    validation,
)
from domain.market.matching import Matching
from schemas.envelope import Moment
from schemas.market.events import Restriction, SelfTradeMode, TradeMade
from schemas.values import MINUTE_US

Wrong = Callable[..., Any]


class Soil:
    """Where mistakes are planted; everything is put back by pytest."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.reached = patch, 0

    def instead(self, right: Callable[..., Any], wrong: Wrong) -> None:
        """`wrong(right, …)` is called wherever a module of the market calls `right(…)`."""

        def planted(*args: Any, **kwargs: Any) -> Any:
            return wrong(right, *args, **kwargs)

        places = [m for name, m in sys.modules.items() if name.startswith("domain.market")]
        found = [m for m in places if getattr(m, right.__name__, None) is right]
        assert found, f"nobody calls {right.__name__}"
        for module in found:
            self.patch.setattr(module, right.__name__, planted)

    def method(self, of: type, name: str, wrong: Wrong) -> None:
        right = getattr(of, name)
        self.patch.setattr(of, name, lambda *args, **kwargs: wrong(right, *args, **kwargs))

    def if_other(self, said: Any, right: Any) -> Any:
        self.reached += said != right
        return said


@dataclass(frozen=True)
class Plant:
    """What is planted, and which check sees it (`tests/unit/market/test_planted.py: CHECKS`)."""

    plant: Callable[[Soil], None]
    seen_by: str


def _priced(price: Callable[[Any, Any], int]) -> Callable[[Soil], None]:
    """Trades at another price than the resting order's."""

    def plant(soil: Soil) -> None:
        def wrong(right: Any, entering: Any, resting: Any, *more: Any) -> TradeMade:
            trade = right(entering, resting, *more)
            return soil.if_other(replace(trade, price_nano_per_kwh=price(entering, resting)), trade)

        soil.instead(trading._trade, wrong)

    return plant


def _matched(change: Callable[[list[Any]], None]) -> Callable[[Soil], None]:
    """Matches as if something else had been asked: (book, party, buys, Wh, limit, restriction, self-trade, now, …)."""

    def plant(soil: Soil) -> None:
        def wrong(right: Any, *args: Any) -> Matching:
            asked = [*args, *(0, None)[len(args) - 8 :]]
            other = list(asked)
            change(other)
            soil.reached += other != asked
            return right(*other)

        soil.instead(matching.match, wrong)

    return plant


def _as(place: int, value: Any, when: Any = None) -> Callable[[list[Any]], None]:
    def change(asked: list[Any]) -> None:
        if when is None or asked[place] is when:
            asked[place] = value

    return change


def _no_execution_band(asked: list[Any]) -> None:
    if asked[9] is not None and asked[9].execution_band_nano_per_kwh:
        asked[9] = replace(asked[9], execution_band_nano_per_kwh=0)


def _own_liquidity(soil: Soil) -> None:
    def wrong(right: Any, held: Any, *rest: Any) -> Matching:
        asked = list(rest)
        if asked[4] is Restriction.FOK and asked[5] is not SelfTradeMode.OFF:
            counted = right(held, *asked[:4], Restriction.FOK, SelfTradeMode.OFF, *asked[6:])
            if counted.meetings:
                asked[4] = Restriction.IOC
                soil.reached += 1
        return right(held, *asked)

    soil.instead(matching.match, wrong)


def _halt_unrecorded(soil: Soil) -> None:
    def wrong(right: Any, *args: Any) -> Matching:
        plan = right(*args)
        return soil.if_other(replace(plan, halted_at=None), plan)

    soil.instead(matching.match, wrong)


def _rank(of: Callable[[Any], Any]) -> Callable[[Soil], None]:
    """Orders of one price stand in another order than that of their acceptance."""

    def plant(soil: Soil) -> None:
        def wrong(right: Any, ladder: Any, order: Any) -> None:
            right(ladder, order)
            level = [n for n, key in enumerate(ladder.keys) if key == order.key]
            row = [ladder.orders[n] for n in level]
            row.sort(key=of)
            soil.reached += row != [ladder.orders[n] for n in level]
            for n, held in zip(level, row, strict=True):
                ladder.orders[n] = held

        soil.method(book.Ladder, "add", wrong)

    return plant


def _partial_fill_lost(soil: Soil) -> None:
    def wrong(right: Any, *filled: Any) -> None:
        *asked, rest_wh = filled
        soil.reached += rest_wh > 0
        right(*asked, 0)

    soil.instead(evolution._filled, wrong)


def _wall_clock(soil: Soil) -> None:
    def wrong(right: Any, state: Any, instrument: Any, wish: Any, actor: str, now: Moment, *more: Any) -> Any:
        late = replace(now, at=now.at + 3 * MINUTE_US)
        said = right(state, instrument, wish, actor, late, *more)
        return soil.if_other(said, right(state, instrument, wish, actor, now, *more))

    soil.instead(validation.refuse_order, wrong)


def _first_quarter_only(soil: Soil) -> None:
    def wrong(right: Any, slots: Any, connection: str, energy_wh: int) -> None:
        soil.reached += len(slots) > 1
        right(slots[:1], connection, energy_wh)

    soil.instead(evolution.use, wrong)


def _nothing_bought_back(soil: Soil) -> None:
    def wrong(right: Any, state: Any, fact: Any) -> Any:
        said = right(state, fact)
        instrument = state.instruments[fact.delivery_start_at, fact.interval_min]
        evolution.use(instrument.slots, fact.buyer_connection, fact.quantity_wh // len(instrument.slots))
        soil.reached += 1
        return said

    soil.instead(evolution.traded, wrong)


def _one_way_flow(soil: Soil) -> None:
    def wrong(right: Any, slots: Any, path: Any, energy_wh: int) -> None:
        forward = tuple((line, sign) for line, sign in path if sign > 0)
        soil.reached += forward != path
        right(slots, forward, energy_wh)

    soil.instead(network.flow, wrong)


def _endless_line(soil: Soil) -> None:
    soil.method(network.Crossing, "room_wh", lambda right, *args: soil.if_other(10**9, right(*args)))


def _decrement_one_side(soil: Soil) -> None:
    def wrong(right: Any, state: Any, entering: Any, resting: Any, both_wh: int, rest_wh: int) -> list[Any]:
        facts = list(right(state, entering, resting, both_wh, rest_wh))
        return soil.if_other(facts[:1], facts)

    soil.instead(trading._prevented, wrong)


def _amended_in_place(soil: Soil) -> None:
    def wrong(right: Any, state: Any, command: Any, now: Moment) -> list[Any]:
        before = state.orders[command.body.order].sequence
        facts = right(state, command, now)
        return soil.if_other([replace(facts[0], sequence=before), *facts[1:]], facts)

    soil.instead(amending._amend, wrong)


def _credit_twice(soil: Soil) -> None:
    def wrong(right: Any, state: Any, order: Any, energy_wh: int) -> None:
        right(state, order, energy_wh)
        if energy_wh > 0:
            state.account(order.party).exposure_pico -= energy_wh * order.exposure_pico_per_wh
            soil.reached += 1

    soil.instead(evolution._lessen, wrong)


def _capability_kept(soil: Soil) -> None:
    def wrong(right: Any, state: Any, order: Any, energy_wh: int) -> None:
        right(state, order, energy_wh)
        if energy_wh > 0 and not order.buys:
            slots = state.instruments[order.instrument].slots
            evolution.use(slots, order.connection, energy_wh // len(slots))
            soil.reached += 1

    soil.instead(evolution._lessen, wrong)


def _basket_in_parts(soil: Soil) -> None:
    def wrong(right: Any, state: Any, orders: Any, command: Any, now: Moment) -> list[Any]:
        said = right(state, tuple(replace(o, restriction=Restriction.IOC) for o in orders), command, now)
        return soil.if_other(said, right(state, orders, command, now))

    soil.instead(baskets.submit_together, wrong)


def _younger_price(soil: Soil) -> None:
    right = trading.enter

    def wrong(state: Any, instrument: Any, entering: Any, facts: list[Any], *more: Any) -> int:
        n = right(state, instrument, entering, facts, *more)
        for place, fact in enumerate(facts):
            if isinstance(fact, TradeMade):
                price = entering.limit_price_nano_per_kwh
                facts[place] = soil.if_other(replace(fact, price_nano_per_kwh=price), fact)
        return n

    soil.patch.setattr("domain.market.phases.enter", wrong)


def _negative_credit(soil: Soil) -> None:
    soil.instead(
        exposure.bought_pico_per_wh,
        lambda right, price, rules: soil.if_other(right(price, rules) + min(price, 0), right(price, rules)),
    )


def _collar_turned(soil: Soil) -> None:
    soil.instead(
        validation.refuse_collar,
        lambda right, i, buys, price: soil.if_other(right(i, not buys, price), right(i, buys, price)),
    )


def _suspension_ignored(soil: Soil) -> None:
    soil.instead(validation._phase, lambda right, *args: soil.if_other(None, right(*args)))


def _limits_before_price(soil: Soil) -> None:
    """The last refusal is told, not the first: credit before the price."""

    def wrong(right: Any, state: Any, instrument: Any, wish: Any, *more: Any) -> Any:
        said = right(state, instrument, wish, *more)
        poor = validation.refuse_credit(state, wish.party, max(0, wish.quantity_wh * wish.limit_price_nano_per_kwh))
        return soil.if_other(poor if said is not None and poor is not None else said, said)

    soil.instead(validation.refuse_order, wrong)


def _lowest_price(soil: Soil) -> None:
    soil.instead(clearing.price_in, lambda right, lo, hi, rules: soil.if_other(lo, right(lo, hi, rules)))


def _stops_at_an_order(soil: Soil) -> None:
    def wrong(right: Any, offer: Any, *more: Any) -> int:
        filled = right(offer, *more)
        return soil.if_other(filled if filled == offer.quantity_wh else 0, filled)

    soil.instead(clearing.fill, wrong)


def _losing_block(soil: Soil) -> None:
    def wrong(right: Any, *asked: Any) -> int:
        surplus = right(*asked)
        return soil.if_other(max(0, surplus), surplus)

    soil.instead(blocks.surplus_pico, wrong)


def _credit_at_the_limit(soil: Soil) -> None:
    wrong = exposure.open_pico_per_wh
    soil.instead(session_claims.worst_pico_per_wh, lambda right, *asked: soil.if_other(wrong(*asked), right(*asked)))


def _default_in_a_frozen_book(soil: Soil) -> None:
    soil.instead(leaving.is_frozen, lambda right, *asked: soil.if_other(False, right(*asked)))


def _lines_not_held(soil: Soil) -> None:
    def wrong(right: Any, slots: Any, line: str, *held_wh: int) -> None:
        soil.reached += any(held_wh)

    soil.instead(network.hold, wrong)


def _one_price_for_both(soil: Soil) -> None:
    def wrong(right: Any, *args: Any) -> tuple[int, int]:
        pays, gets = right(*args)
        return soil.if_other((pays, pays), (pays, gets))

    soil.instead(auction_trades._prices, wrong)


def _first_to_come_sells(soil: Soil) -> None:
    """Whether what has to cross the lines reaches him or not."""

    def wrong(right: Any, state: Any, instrument: Any, auction: Any, left: Any, buy: str) -> Any:
        everywhere = {flow.line: flow.flow_wh for flow in auction.cleared.flows}
        soil.reached += everywhere != left.flow_wh
        return right(state, instrument, auction, replace(left, flow_wh=everywhere), buy)

    soil.instead(auction_trades._partner, wrong)


def _last_pair_trades(soil: Soil) -> None:
    soil.instead(mcafee.suits, lambda right, *args: soil.if_other(True, right(*args)))


def _left_out_stay(soil: Soil) -> None:
    soil.instead(auctions._left, lambda right, *args: soil.if_other([], right(*args)))


def _unit_split(soil: Soil) -> None:
    soil.instead(units.refuse_unit, lambda right, *args: soil.if_other(None, right(*args)))


def _flows_not_judged(soil: Soil) -> None:
    soil.instead(coupling.finish, lambda right, *args: soil.if_other(None, right(*args)))


def _minimum_dropped(asked: list[Any]) -> None:
    asked[8] = 0


PLANTED: dict[str, Plant] = {
    "aggressors_price": Plant(_priced(lambda new, old: new.limit_price_nano_per_kwh), "V-M1"),
    "midpoint_price": Plant(
        _priced(lambda new, old: (new.limit_price_nano_per_kwh + old.limit_price_nano_per_kwh) // 2), "V-M1"
    ),
    "newest_first": Plant(_rank(lambda order: order.sequence), "V-M1"),
    "tie_broken_by_chance": Plant(_rank(lambda order: order.order), "oracle newest"),
    "priority_by_the_clients_stamp": Plant(_rank(lambda order: order.expires_at or 0), "oracle newest"),
    "fok_filled_partly": Plant(_matched(_as(5, Restriction.IOC, Restriction.FOK)), "oracle newest"),
    "fok_counts_own_orders": Plant(_own_liquidity, "own FOK"),
    "aon_filled_partly": Plant(_matched(_as(5, Restriction.NONE, Restriction.AON)), "oracle newest"),
    "minimum_ignored": Plant(_matched(_minimum_dropped), "oracle newest"),
    "self_trades": Plant(_matched(_as(6, SelfTradeMode.OFF)), "V-M1b"),
    "decrement_from_one_side": Plant(_decrement_one_side, "oracle decrement"),
    "partial_fill_lost": Plant(_partial_fill_lost, "V-M1"),
    "wall_clock": Plant(_wall_clock, "oracle newest"),
    "capacity_sold_twice": Plant(_first_quarter_only, "oracle newest"),
    "bought_energy_not_sold_again": Plant(_nothing_bought_back, "oracle newest"),
    "capability_not_given_back": Plant(_capability_kept, "oracle newest"),
    "line_counted_one_way": Plant(_one_way_flow, "oracle zones"),
    "line_without_limit": Plant(_endless_line, "oracle zones"),
    "amended_keeps_its_priority": Plant(_amended_in_place, "V-M2"),
    "credit_released_twice": Plant(_credit_twice, "oracle newest"),
    "negative_price_makes_credit": Plant(_negative_credit, "oracle newest"),
    "basket_filled_partly": Plant(_basket_in_parts, "oracle off"),
    "halt_not_recorded": Plant(_halt_unrecorded, "oracle halts"),
    "execution_band_ignored": Plant(_matched(_no_execution_band), "oracle bands"),
    "collar_on_the_cheap_side": Plant(_collar_turned, "oracle off"),
    "uncrossed_at_the_younger_price": Plant(_younger_price, "oracle zones"),
    "suspension_ignored": Plant(_suspension_ignored, "oracle newest"),
    "last_refusal_told": Plant(_limits_before_price, "oracle both"),
    "clearing_at_the_last_ask": Plant(_lowest_price, "V-M3b"),
    "clearing_stops_at_an_order": Plant(_stops_at_an_order, "V-M3"),
    "block_accepted_at_a_loss": Plant(_losing_block, "V-M7"),
    "block_credit_at_its_limit": Plant(_credit_at_the_limit, "block credit"),
    "default_in_a_frozen_book": Plant(_default_in_a_frozen_book, "frozen default"),
    "lines_not_held_for_an_auction": Plant(_lines_not_held, "held lines"),
    "one_price_for_both_zones": Plant(_one_price_for_both, "two zones"),
    "flow_spent_twice": Plant(_first_to_come_sells, "two zones"),
    "flows_not_judged": Plant(_flows_not_judged, "wrong results"),
    "mcafees_last_pair_trades": Plant(_last_pair_trades, "V-M5"),
    "mcafees_left_out_trade_on": Plant(_left_out_stay, "left out"),
    "unit_split_into_orders": Plant(_unit_split, "one unit"),
}
