"""Frozen books: while a book waits for the result of an auction, nothing leaves it. What was to leave waits."""

from collections.abc import Iterable

from domain.market.evolution import uncross
from domain.market.state import Instrument, Market
from domain.market.timers import AT_ONCE, DEFAULT, EXPIRY, PRODUCT
from schemas.market.events import Phase


def is_frozen(state: Market, order: str) -> bool:
    """Whether an open order stands in an auction that is under way."""
    return state.instruments[state.orders[order].instrument].phase is Phase.AUCTION


def has_frozen(state: Market, party: str) -> bool:
    """Whether anything of the party stands in an auction that is under way."""
    return any(
        order.party == party and state.instruments[order.instrument].phase is Phase.AUCTION
        for order in state.orders.values()
    ) or any(
        auction.called is not None and auction.blocks_of(party) for auction in state.session_auctions.known.values()
    )


def thaw(state: Market, instruments: Iterable[Instrument]) -> None:
    """For `evolve`: continuous trading again. Expiries, ended products and defaults that waited are due now."""
    for instrument in instruments:
        instrument.phase = Phase.CONTINUOUS
        for order in instrument.book.best_first():
            if order.expires_at is not None:
                state.remind(order.expires_at, EXPIRY, order.sequence, order.order)
        uncross(state, instrument)
    for product in state.products.values():
        if any(order in state.orders for order in product.leaving):
            state.remind(AT_ONCE, PRODUCT, 0, product.product)
    for party, found in state.standing.defaults.items():
        if not found.over:
            state.remind(AT_ONCE, DEFAULT, found.number, party)
