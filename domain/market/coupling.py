"""One call auction over zones coupled by lines (domain rules §1.2, §10): a price a zone, the same where no line binds.

A certificate is the clearing of each zone and the flow of each line. It is right if every zone's fills follow from its
price, energy is conserved, no line carries more than it has room for, and there are prices that fit all offers and
lines at once: where a line has room left, energy is not dearer at its far end; where it is full, it may be. The
lowest and the highest such prices follow from the accepted and rejected offers alone; the rule's price is between them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from domain.market.clearing import AuctionRules, Clearing, Offer, clearing_at, fills, price_in
from domain.market.clearing_check import ClearingCheck, Ends, Flaw
from schemas.market.auction_events import CalledLine

Flows = Mapping[str, int]
"""Wh by line, positive from its first zone to its second."""


@dataclass(frozen=True, slots=True)
class Coupled:
    """What coupled zones clear to: by zone, and the filled Wh of each of its offers in the order of sequence."""

    clearings: Mapping[str, Clearing]
    fills: Mapping[str, Sequence[int]]
    flow_wh: Flows


def couple(books: Mapping[str, Sequence[Offer]], lines: Sequence[CalledLine], rules: AuctionRules) -> Coupled:
    """The largest welfare, and of that the largest volume. Each book stands in the order of sequence.

    Again and again the pair of zones trades whose best open bid and ask are furthest apart and between which the
    lines have room (room is also what flows the other way). Among equal pairs: in one zone, then as buyers' zones are
    listed.
    """
    open_ = {zone: _Depth(book) for zone, book in books.items()}
    flow = {line.line: 0 for line in lines}
    hops = _hops(books, lines)
    while True:
        pair = _furthest(open_, hops, flow)
        if pair is None:
            break
        seller, buyer, way = pair
        asks, bids = open_[seller].asks, open_[buyer].bids
        rooms = (_room(line, sign, flow) for line, sign in way)
        traded = min(asks[-1][1], bids[-1][1], *rooms)
        open_[seller].sold_wh += traded
        open_[seller].ask_accepted = asks[-1][0]
        open_[buyer].bought_wh += traded
        open_[buyer].bid_accepted = bids[-1][0]
        for levels in (asks, bids):
            levels[-1][1] -= traded
            if not levels[-1][1]:
                levels.pop()
        for line, sign in way:
            flow[line.line] += sign * traded
    return _priced(books, open_, lines, flow, rules)


def congestion_income_pico(clearings: Mapping[str, Clearing], lines: Iterable[CalledLine], flow_wh: Flows) -> int:
    """What buyers pay more than sellers get: flow times the difference in price, in 10⁻¹² currency units."""
    income = 0
    for line in lines:
        flow = flow_wh[line.line]
        if flow:
            here, there = (clearings[zone].price_nano_per_kwh for zone in (line.from_zone, line.to_zone))
            assert here is not None, "a zone with a flow has a price"
            assert there is not None, "a zone with a flow has a price"
            income += flow * (there - here)
    return income


def finish(
    checks: Mapping[str, ClearingCheck],
    counts: Mapping[str, int],
    lines: Sequence[CalledLine],
    flow_wh: Flows,
    rules: AuctionRules,
) -> Flaw | None:
    """What is wrong with a proposal whose parts have all been taken into the `checks` of their zones."""
    for zone, check in checks.items():
        flaw = check.totals(counts[zone])
        if flaw is not None:
            return flaw
    if set(flow_wh) != {line.line for line in lines}:
        return Flaw.TOTALS
    surplus = {zone: check.sold_wh - check.bought_wh for zone, check in checks.items()}
    for line in lines:
        if not -line.backward_wh <= flow_wh[line.line] <= line.forward_wh:
            return Flaw.TOTALS
        surplus[line.from_zone] -= flow_wh[line.line]
        surplus[line.to_zone] += flow_wh[line.line]
    if any(surplus.values()):
        return Flaw.TOTALS
    ends = {zone: check.ends() for zone, check in checks.items()}
    if not _nobody_is_left(ends, lines, flow_wh):
        return Flaw.VOLUME
    traded = {zone for zone, check in checks.items() if check.bought_wh or check.sold_wh}
    prices = prices_of(ends, traded, lines, flow_wh, rules)
    right = all(check.clearing.price_nano_per_kwh == prices[zone] for zone, check in checks.items())
    return None if right else Flaw.PRICE


def prices_of(
    ends: Mapping[str, Ends], traded: set[str], lines: Sequence[CalledLine], flow_wh: Flows, rules: AuctionRules
) -> dict[str, int | None]:
    """The rule's price of each zone that trades or is passed through; the others have none."""
    passed = {zone for line in lines if flow_wh[line.line] for zone in (line.from_zone, line.to_zone)}
    lowest = {zone: end.lowest() for zone, end in ends.items()}
    highest = {zone: end.highest() for zone, end in ends.items()}
    for cheap, dear in _ordered(lines, flow_wh) * len(ends):
        lowest[dear] = _nearer(max, lowest[dear], lowest[cheap])
        highest[cheap] = _nearer(min, highest[cheap], highest[dear])
    found: dict[str, int | None] = {}
    for zone in ends:
        low, high = lowest[zone], highest[zone]
        found[zone] = None
        if zone in traded or zone in passed:
            assert low is not None, "what flows comes from an accepted ask"
            assert high is not None, "what flows goes to an accepted bid"
            found[zone] = price_in(low, high, rules)
    return found


class _Depth:
    """A zone's open offers by price, the best at the end."""

    def __init__(self, book: Iterable[Offer]) -> None:
        levels: dict[bool, dict[int, int]] = {True: {}, False: {}}
        for offer in book:
            side = levels[offer.buys]
            side[offer.price_nano_per_kwh] = side.get(offer.price_nano_per_kwh, 0) + offer.quantity_wh
        self.bids = [[price, levels[True][price]] for price in sorted(levels[True])]
        self.asks = [[price, levels[False][price]] for price in sorted(levels[False], reverse=True)]
        self.bought_wh = self.sold_wh = 0
        self.bid_accepted: int | None = None
        self.ask_accepted: int | None = None

    def ends(self) -> Ends:
        bid_rejected = self.bids[-1][0] if self.bids else None
        ask_rejected = self.asks[-1][0] if self.asks else None
        return Ends(self.bid_accepted, bid_rejected, self.ask_accepted, ask_rejected)


_Way = list[tuple[CalledLine, int]]
_Hop = tuple[str, str, CalledLine, int]


def _hops(zones: Iterable[str], lines: Sequence[CalledLine]) -> list[_Hop]:
    """Every line each way, in an order in which what is known of a zone reaches all others: to the roots, and back."""
    outward: list[_Hop] = []
    for root in zones:
        reached = [root]
        if any(root in hop[:2] for hop in outward):
            continue
        for here in reached:
            for line in lines:
                for near, there, sign in ((line.from_zone, line.to_zone, 1), (line.to_zone, line.from_zone, -1)):
                    if near == here and there not in reached:
                        outward.append((here, there, line, sign))
                        reached.append(there)
    return [*((there, here, line, -sign) for here, there, line, sign in reversed(outward)), *outward]


def _furthest(open_: Mapping[str, _Depth], hops: Iterable[_Hop], flow: Flows) -> tuple[str, str, _Way] | None:
    """A seller's zone, a buyer's, and the lines between them, the last one first."""
    cheapest = {zone: depth.asks[-1][0] if depth.asks else None for zone, depth in open_.items()}
    via: dict[str, tuple[str, CalledLine, int]] = {}
    for from_, to, line, sign in hops:
        ask, best = cheapest[from_], cheapest[to]
        if ask is not None and (best is None or ask < best) and _room(line, sign, flow) > 0:
            cheapest[to], via[to] = ask, (from_, line, sign)
    buyer = None
    most = (-1, False)
    for zone, depth in open_.items():
        ask = cheapest[zone]
        if depth.bids and ask is not None:
            apart = (depth.bids[-1][0] - ask, zone not in via)
            if apart[0] >= 0 and apart > most:
                most, buyer = apart, zone
    if buyer is None:
        return None
    seller, way = buyer, []
    while seller in via:
        seller, line, sign = via[seller]
        way.append((line, sign))
    return seller, buyer, way


def _room(line: CalledLine, sign: int, flow: Flows) -> int:
    return line.forward_wh - flow[line.line] if sign > 0 else line.backward_wh + flow[line.line]


def _priced(
    books: Mapping[str, Sequence[Offer]],
    open_: Mapping[str, _Depth],
    lines: Sequence[CalledLine],
    flow: Flows,
    rules: AuctionRules,
) -> Coupled:
    ends = {zone: depth.ends() for zone, depth in open_.items()}
    traded = {zone for zone, depth in open_.items() if depth.bought_wh or depth.sold_wh}
    clearings, filled = {}, {}
    for zone, price in prices_of(ends, traded, lines, flow, rules).items():
        depth, book = open_[zone], books[zone]
        if price is None:
            clearings[zone] = Clearing(None, 0, 0)
        else:
            clearings[zone] = clearing_at(book, price, depth.bought_wh, depth.sold_wh, rules)
        filled[zone] = fills(book, clearings[zone], rules)
    return Coupled(clearings, filled, flow)


def _ordered(lines: Iterable[CalledLine], flow: Flows) -> list[tuple[str, str]]:
    """Pairs of zones of which the first may not be dearer than the second."""
    pairs = (
        ((line.to_zone, line.from_zone) if sign > 0 else (line.from_zone, line.to_zone))
        for line, sign in chain.from_iterable(((line, 1), (line, -1)) for line in lines)
        if _room(line, sign, flow) > 0
    )
    return list(pairs)


def _nobody_is_left(ends: Mapping[str, Ends], lines: Sequence[CalledLine], flow: Flows) -> bool:
    """No rejected bid can be reached by a rejected ask that is not dearer, and there are supporting prices.

    Without supporting prices an accepted offer could be given up for a better one, or flow otherwise.
    """
    pairs = _ordered(lines, flow)
    cheapest = {zone: end.ask_rejected for zone, end in ends.items()}
    highest = {zone: end.highest() for zone, end in ends.items()}
    for cheap, dear in pairs * len(ends):
        cheapest[cheap] = _nearer(min, cheapest[cheap], cheapest[dear])
        highest[cheap] = _nearer(min, highest[cheap], highest[dear])
    for zone, end in ends.items():
        low, high, ask = end.lowest(), highest[zone], cheapest[zone]
        if low is not None and high is not None and low > high:
            return False
        if end.bid_rejected is not None and ask is not None and end.bid_rejected >= ask:
            return False
    return True


def _nearer(of: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return of(one, other)
