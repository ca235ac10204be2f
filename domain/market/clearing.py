"""Uniform-price call auction of one book (domain rules §1.2): what it clears to, exactly and in integers.

Who pays at least the price and who asks for at most the price trades. Put all offers, bids and asks, in one row from
the dearest to the cheapest and go as many Wh into it as are asked: before that point stand the accepted bids and
the rejected asks, behind it the rejected bids and the accepted asks. The prices on both sides of the point are the
supporting interval [max(a_acc, b_rej), min(b_acc, a_rej)]; every other price makes somebody lose or leaves a
willing pair untraded. Where nothing is rejected on a side, its accepted end alone limits the interval.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.rounding import half_up
from schemas.market.auction_events import Rationing

PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """An open order of the frozen book; `quantity_wh` is what is open of it, above zero and in whole lots."""

    buys: bool
    price_nano_per_kwh: int
    quantity_wh: int
    sequence: int


@dataclass(frozen=True, slots=True)
class AuctionRules:
    """The price is lo + k (hi - lo), rounded half up to the tick: `k_ppm` 0 is its lowest, 1,000,000 its highest."""

    tick_nano_per_kwh: int
    lot_wh: int
    k_ppm: int
    rationing: Rationing


@dataclass(frozen=True, slots=True)
class Level:
    """The offers of one side at exactly the price, together, and how much of them is filled.

    Pro rata every offer has the floor of its share in lots. An offer whose remainder is above `cut` has a lot
    more, and so have the first `at_cut` in sequence of those whose remainder is `cut`.
    """

    quantity_wh: int = 0
    filled_wh: int = 0
    cut: int = 0
    at_cut: int = 0


@dataclass(frozen=True, slots=True)
class Clearing:
    """What a book clears to; it decides the fill of every offer. Without a trade there is no price.

    In one book `bought_wh` and `sold_wh` are equal; coupled zones differ by what flows between them.
    """

    price_nano_per_kwh: int | None
    bought_wh: int
    sold_wh: int
    bids: Level = field(default_factory=Level)
    asks: Level = field(default_factory=Level)


@dataclass(slots=True)
class LevelSoFar:
    """What has been listed of one side's offers: at the price, and the nearest on both sides of it.

    `better` is the worst price that is better than the price, `worse` the best one that is worse.
    """

    quantity_wh: int = 0
    filled_wh: int = 0
    at_cut: int = 0
    better_nano_per_kwh: int | None = None
    worse_nano_per_kwh: int | None = None


def clear(offers: Sequence[Offer], rules: AuctionRules) -> tuple[Clearing, list[int]]:
    """The clearing of one book and the filled Wh of each offer. `offers` stand in the order of their sequence.

    The volume is the largest that any price allows; of what is indifferent at the price as much trades as can.
    """
    interval = supporting(offers)
    if interval is None:
        return Clearing(None, 0, 0), [0] * len(offers)
    price = price_in(*interval, rules)
    bought, sold = (
        sum(o.quantity_wh for o in offers if o.buys == buys and not _worse(o, price)) for buys in (True, False)
    )
    volume = min(bought, sold)
    clearing = clearing_at(offers, price, volume, volume, rules)
    return clearing, fills(offers, clearing, rules)


def supporting(offers: Iterable[Offer]) -> tuple[int, int] | None:
    """The lowest and the highest price at which the largest volume trades; none if nothing can trade."""
    row = sorted(offers, key=lambda offer: -offer.price_nano_per_kwh)
    ahead = sum(offer.quantity_wh for offer in row if not offer.buys)
    best_bid = max((o.price_nano_per_kwh for o in row if o.buys), default=None)
    best_ask = min((o.price_nano_per_kwh for o in row if not o.buys), default=None)
    if best_bid is None or best_ask is None or best_bid < best_ask:
        return None
    highest = row[0].price_nano_per_kwh
    for offer in row:
        if ahead <= 0:
            return (highest if ahead < 0 else offer.price_nano_per_kwh), highest
        highest = offer.price_nano_per_kwh
        ahead -= offer.quantity_wh
    return highest, highest


def price_in(lowest: int, highest: int, rules: AuctionRules) -> int:
    """The rule's price of a supporting interval; with both ends on the tick it stays inside."""
    tick = rules.tick_nano_per_kwh
    return half_up(lowest * PPM + rules.k_ppm * (highest - lowest), PPM * tick) * tick


def clearing_at(
    offers: Iterable[Offer], price_nano_per_kwh: int, bought_wh: int, sold_wh: int, rules: AuctionRules
) -> Clearing:
    """The clearing at a price where so much is bought and sold: better offers in full, the rest from the level."""
    better = {True: 0, False: 0}
    level: dict[bool, list[Offer]] = {True: [], False: []}
    for offer in offers:
        if offer.price_nano_per_kwh == price_nano_per_kwh:
            level[offer.buys].append(offer)
        elif not _worse(offer, price_nano_per_kwh):
            better[offer.buys] += offer.quantity_wh
    bids = _level(level[True], bought_wh - better[True], rules)
    asks = _level(level[False], sold_wh - better[False], rules)
    return Clearing(price_nano_per_kwh, bought_wh, sold_wh, bids, asks)


def fills(offers: Iterable[Offer], clearing: Clearing, rules: AuctionRules) -> list[int]:
    """The filled Wh of each offer, in the order of sequence."""
    so_far = {True: LevelSoFar(), False: LevelSoFar()}
    found = []
    for offer in offers:
        filled = fill(offer, clearing, so_far[offer.buys], rules)
        take(offer, filled, clearing, so_far[offer.buys], rules)
        found.append(filled)
    return found


def fill(offer: Offer, clearing: Clearing, so_far: LevelSoFar, rules: AuctionRules) -> int:
    """The Wh that the offer has behind those that are listed so far of its side: the whole rule of rationing."""
    price = clearing.price_nano_per_kwh
    if price is None or _worse(offer, price):
        return 0
    if offer.price_nano_per_kwh != price:
        return offer.quantity_wh
    level = clearing.bids if offer.buys else clearing.asks
    if rules.rationing is Rationing.TIME:
        return min(offer.quantity_wh, max(0, level.filled_wh - so_far.filled_wh))
    lots, remainder = _share(offer, level, rules)
    more = remainder > level.cut or (remainder == level.cut and so_far.at_cut < level.at_cut)
    return (lots + more) * rules.lot_wh


def take(offer: Offer, filled_wh: int, clearing: Clearing, so_far: LevelSoFar, rules: AuctionRules) -> None:
    """Counts an offer as listed; judges nothing."""
    at, price = offer.price_nano_per_kwh, clearing.price_nano_per_kwh
    if at == price:
        so_far.quantity_wh += offer.quantity_wh
        so_far.filled_wh += filled_wh
        if rules.rationing is Rationing.PRO_RATA:
            level = clearing.bids if offer.buys else clearing.asks
            lots, remainder = _share(offer, level, rules)
            so_far.at_cut += remainder == level.cut and filled_wh > lots * rules.lot_wh
    elif price is None or _worse(offer, price):
        nearest = so_far.worse_nano_per_kwh
        so_far.worse_nano_per_kwh = at if nearest is None else max(nearest, at) if offer.buys else min(nearest, at)
    else:
        nearest = so_far.better_nano_per_kwh
        so_far.better_nano_per_kwh = at if nearest is None else min(nearest, at) if offer.buys else max(nearest, at)


def _worse(offer: Offer, price: int) -> bool:
    return offer.price_nano_per_kwh < price if offer.buys else offer.price_nano_per_kwh > price


def _share(offer: Offer, level: Level, rules: AuctionRules) -> tuple[int, int]:
    """(whole lots, remainder) of a proportional share; a level of nothing has no share to give."""
    lot = rules.lot_wh
    return divmod((level.filled_wh // lot) * (offer.quantity_wh // lot), max(1, level.quantity_wh // lot))


def _level(offers: Sequence[Offer], filled_wh: int, rules: AuctionRules) -> Level:
    level = Level(sum(offer.quantity_wh for offer in offers), filled_wh)
    if rules.rationing is Rationing.TIME:
        return level
    shares = [_share(offer, level, rules) for offer in offers]
    left = filled_wh // rules.lot_wh - sum(lots for lots, _ in shares)
    remainders = sorted((remainder for _, remainder in shares), reverse=True)
    if not left:
        return Level(level.quantity_wh, filled_wh, remainders[0] if remainders else 0, 0)
    cut = remainders[left - 1]
    return Level(level.quantity_wh, filled_wh, cut, left - sum(remainder > cut for remainder in remainders))
