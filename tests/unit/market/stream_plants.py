"""Mistakes in the streams beside the books, each planted by itself (`tests/unit/market/plants.py` says how)."""

from dataclasses import replace
from typing import Any

from domain.market import (
    allotment,
    auction_trades,
    auctions,
    awards,
    credit,
    default,
    enquiry_evolution,
    enquiry_table,
    mandate_plan,
    product_orders,
    products,
    trading,
)
from domain.market.allotment import Allotment
from domain.market.mandate_state import Mandates
from domain.market.state import Market
from domain.rounding import largest_remainder
from schemas.market.listing_events import ListingFormat
from tests.unit.market.plants import Plant, Soil


def _anybody(soil: Soil) -> None:
    """The next seller, also where it is the buyer himself: the buyer has no name while he is looked for."""

    def wrong(right: Any, state: Any, instrument: Any, auction: Any, left: Any, buy: str) -> Any:
        said = right(state, instrument, auction, left, buy)
        order = state.orders[buy]
        party, order.party = order.party, ""
        found = right(state, instrument, auction, left, buy)
        order.party = party
        return soil.if_other(found, said)

    soil.instead(auction_trades._partner, wrong)


def _all_or_none_called(soil: Soil) -> None:
    soil.instead(
        auctions._frozen, lambda right, instrument: soil.if_other(auctions._in_order(instrument), right(instrument))
    )


def _own_price(soil: Soil) -> None:
    def wrong(right: Any, mode: Any, *rest: Any) -> Any:
        return soil.if_other(right(ListingFormat.SEALED_FIRST_PRICE, *rest), right(mode, *rest))

    soil.instead(awards.payable, wrong)


def _any_part(soil: Soil) -> None:
    def wrong(right: Any, bids: Any, lots: int) -> Any:
        row = list(bids)
        return soil.if_other(right([replace(bid, minimum_lots=0) for bid in row], lots), right(row, lots))

    soil.instead(awards.allocate, wrong)


def _next_window(soil: Soil) -> None:
    def wrong(right: Any, held: Any, at: int) -> Any:
        return soil.if_other(right(held, max(0, at - 1)), right(held, at))

    soil.method(Allotment, "_step", wrong)


def _no_losses(soil: Soil) -> None:
    def wrong(right: Any, stored: Any, *rest: Any) -> int:
        return soil.if_other(right(replace(stored, charge_efficiency_ppm=10**6), *rest), right(stored, *rest))

    soil.instead(allotment._after, wrong)


def _stays(soil: Soil) -> None:
    soil.instead(products._is_too_much, lambda right, *args: soil.if_other(False, right(*args)))


def _unverified(soil: Soil) -> None:
    def wrong(right: Any, product: Any, *rest: Any) -> Any:
        said = right(product, *rest)
        held, product.verified = product.verified, True
        found = right(product, *rest)
        product.verified = held
        return soil.if_other(found, said)

    soil.instead(product_orders._standing, wrong)


def _by_heads(soil: Soil) -> None:
    def wrong(right: Any, total: int, weights: Any) -> Any:
        return soil.if_other(right(total, dict.fromkeys(weights, 1)), right(total, weights))

    soil.instead(largest_remainder, wrong)


def _no_collateral(soil: Soil) -> None:
    def wrong(right: Any, *args: Any) -> Any:
        said = right(*args)
        rest = said.fund_micro + said.collateral_micro
        return soil.if_other(replace(said, collateral_micro=0, fund_micro=rest), said)

    soil.instead(default._settled, wrong)


def _never_met(soil: Soil) -> None:
    def wrong(right: Any, state: Any) -> None:
        soil.reached += 1

    soil.instead(credit.notice, wrong)


def _fee_for_short(soil: Soil) -> None:
    def wrong(right: Any, enquiry: Any) -> Any:
        sellers = dict.fromkeys(enquiry.offers[offer].seller for offer in enquiry.table)
        return soil.if_other(tuple(sellers), right(enquiry))

    soil.instead(enquiry_table.creditors, wrong)


def _reserved_for_ever(soil: Soil) -> None:
    def wrong(right: Any, state: Any, enquiry: Any, offer: Any, sign: int) -> None:
        soil.reached += sign < 0
        right(state, enquiry, offer, max(0, sign))

    soil.instead(enquiry_evolution._reserve, wrong)


def _budget_each(soil: Soil) -> None:
    """Each delivery has the whole budget of its day."""

    def wrong(right: Any, mandate: Any, plan: Any, day: int) -> int:
        return soil.if_other(right(mandate, replace(plan, left_pico={}), day), right(mandate, plan, day))

    soil.instead(mandate_plan._left_pico, wrong)


def _ordered_again(soil: Soil) -> None:
    def wrong(right: Any, *args: Any) -> None:
        soil.reached += 1

    soil.method(Mandates, "filled", wrong)


def _forgotten_timers(soil: Soil) -> None:
    def wrong(right: Any, market: Any) -> Any:
        plain, timers, *rest = right(market)
        soil.reached += bool(timers)
        return (plain, [], *rest)

    soil.method(Market, "__getstate__", wrong)


def _counted_while_judged(soil: Soil) -> None:
    """A decision that changes the state: what restarts from facts does not know of it."""

    def wrong(right: Any, state: Any, *rest: Any) -> Any:
        state.sequence += 1
        soil.reached += 1
        return right(state, *rest)

    soil.instead(trading.cancel, wrong)


PLANTED: dict[str, Plant] = {
    name: Plant(planted, seen_by)
    for name, planted, seen_by in (
        ("auction_trades_with_oneself", _anybody, "call days"),
        ("all_or_none_in_an_auction", _all_or_none_called, "call days"),
        ("second_price_is_the_own", _own_price, "listing days"),
        ("minimum_of_a_bid_ignored", _any_part, "listing days"),
        ("window_one_interval_late", _next_window, "capability days"),
        ("storage_without_losses", _no_losses, "capability days"),
        ("amended_product_keeps_its_orders", _stays, "product days"),
        ("unverified_product_sells", _unverified, "product days"),
        ("loss_shared_by_heads", _by_heads, "credit days"),
        ("collateral_bears_nothing", _no_collateral, "credit days"),
        ("margin_call_never_met", _never_met, "credit days"),
        ("fee_for_a_short_offer", _fee_for_short, "enquiry days"),
        ("offer_reserves_for_ever", _reserved_for_ever, "enquiry days"),
        ("budget_for_each_delivery", _budget_each, "mandate days"),
        ("forecast_ordered_again", _ordered_again, "mandate days"),
        ("snapshot_without_timers", _forgotten_timers, "restarts"),
        ("decision_changes_the_state", _counted_while_judged, "restarts"),
    )
}
