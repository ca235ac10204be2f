"""Who wins how many lots of a listing, and at which price. Best price first, then the earliest; nothing is drawn."""

from collections.abc import Iterable, Mapping

from domain.market.listing_state import Bid
from schemas.market.listing_events import ListingFormat


def allocate(bids: Iterable[Bid], lots: int) -> dict[str, int]:
    """Lots by bid, in the order of their winning.

    A bid that would get fewer than its minimum gets none, and what it leaves goes to the next ones.
    """
    won: dict[str, int] = {}
    for bid in in_order(bids):
        given = min(bid.lots, lots)
        if given and given >= bid.minimum_lots:
            won[bid.bid] = given
            lots -= given
    return won


def in_order(bids: Iterable[Bid]) -> list[Bid]:
    """The bids, the dearest first and the earliest of one price first."""
    return sorted(bids, key=lambda bid: (-bid.price_nano_per_kwh, bid.sequence))


def payable(
    mode: ListingFormat, bids: Mapping[str, Bid], won: Mapping[str, int], reserve_nano_per_kwh: int
) -> dict[str, int]:
    """What each winner pays per kWh.

    Of a sealed second-price listing the one price for all is the highest of a bid of which anything lost (in units of
    lots: the highest losing bid), at least the reserve. A dearer bid whose minimum did not fit may have lost, so the
    price is never above the lowest winning bid: nobody pays more than he bid.
    """
    own = {bid: bids[bid].price_nano_per_kwh for bid in won}
    if mode is not ListingFormat.SEALED_SECOND_PRICE or not won:
        return own
    losing = (bid.price_nano_per_kwh for bid in bids.values() if won.get(bid.bid, 0) < bid.lots)
    uniform = min(max(losing, default=reserve_nano_per_kwh), *own.values())
    return dict.fromkeys(won, uniform)
