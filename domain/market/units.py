"""Books of traders who want one unit each (McAfee's auction): the size of an order, and one of a side for each party.

Whoever split what he wants into several orders could gain by a false price (domain rules §1.3).
"""

from domain.market.refusal import Refusal
from domain.market.state import Instrument
from schemas.market.auction_events import Mechanism
from schemas.market.reasons import MarketRefusal


def unit_of(instrument: Instrument) -> int | None:
    """The size of every order of the book (Wh); none where orders may be of any size."""
    called = instrument.rules.auction
    if called is None or called.mechanism is not Mechanism.MCAFEE:
        return None
    return (called.unit_wh or instrument.rules.lot_wh) * len(instrument.slots)


def refuse_size(instrument: Instrument, quantity_wh: int) -> Refusal | None:
    """Another size than the unit."""
    unit_wh = unit_of(instrument)
    if unit_wh is None or quantity_wh == unit_wh:
        return None
    return Refusal(MarketRefusal.NOT_ONE_UNIT, unit_wh, quantity_wh)


def refuse_unit(instrument: Instrument, party: str, buys: bool, quantity_wh: int) -> Refusal | None:
    """Another size than the unit; an open order of the party on this side already (a walk along the side)."""
    if unit_of(instrument) is None:
        return None
    if (broken := refuse_size(instrument, quantity_wh)) is not None:
        return broken
    side = instrument.book.bids if buys else instrument.book.asks
    stands = any(order.party == party and order.rest_wh for order in side.orders)
    return Refusal(MarketRefusal.UNIT_STANDS, 1, 2) if stands else None
