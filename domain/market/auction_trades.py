"""The trades of an auction's result: who sells to whom, and over which lines.

Buyers come in the order of acceptance; each meets sellers in the order of acceptance whom what has to cross the lines
still reaches, nobody himself while there is somebody else. In every zone what is left to buy and to send out equals
what is left to sell and to come in, so whatever is chosen the rest fits together to the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.identity import derived_id
from domain.market.auction_state import Auction
from domain.market.network import Path
from domain.market.session_state import Fill
from domain.market.state import Instrument, Market
from domain.market.trading import contract_of
from domain.market.zones_check import ONE_ZONE
from schemas.market.auction_events import AuctionCleared
from schemas.market.events import ContractConcluded, TradeMade
from schemas.values import Side

_HERE: Path = ()


@dataclass(slots=True)
class _Left:
    """What of a result is not said yet."""

    bids: list[tuple[str, int]]
    asks: dict[str, list[tuple[str, int]]]
    flow_wh: dict[str, int]
    rests: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Met:
    """A seller by zone and place there, and over which lines at most how much can come from him."""

    zone: str
    place: int
    path: Path
    most_wh: int


def trades(
    state: Market, instrument: Instrument, auction: Auction, room: int
) -> Iterator[TradeMade | ContractConcluded]:
    """The next trades, each with its contract, in at most `room` facts."""
    result = auction.cleared
    assert result is not None, "trades without a result are over"
    asks = {zone: list(sellers) for zone, sellers in auction.asks.items()}
    left = _Left(list(auction.bids), asks, dict(auction.flow_wh), {})
    while left.bids and room > 1:
        buy, buy_wh = left.bids[-1]
        met = _partner(state, instrument, auction, left, buy)
        sellers = left.asks[met.zone]
        sell, sell_wh = sellers[met.place]
        energy_wh = min(buy_wh, sell_wh, met.most_wh)
        for side, at, order, wh in ((left.bids, len(left.bids) - 1, buy, buy_wh), (sellers, met.place, sell, sell_wh)):
            if wh == energy_wh:
                del side[at]
            else:
                side[at] = order, wh - energy_wh
            left.rests[order] = left.rests.get(order, state.orders[order].rest_wh) - energy_wh
        for line, sign in met.path:
            left.flow_wh[line] -= sign * energy_wh
        zones = state.orders[sell].zone, state.orders[buy].zone
        prices = _prices(result, auction.zone_of(zones[1]), met.zone)
        rests_wh = left.rests[buy], left.rests[sell]
        trade = auctioned(state, result.auction, instrument, buy, sell, energy_wh, prices, rests_wh)
        room -= 2
        yield trade
        yield contract_of(instrument, trade, derived_id(trade.trade, "contract"), *zones)


def next_seller(state: Market, party: str, sellers: Sequence[tuple[str, int] | Fill]) -> int:
    """The place of the next one, who is last, that is somebody else than this buyer; the last where all are he."""
    last = len(sellers) - 1
    return next((n for n in range(last, -1, -1) if state.orders[sellers[n][0]].party != party), last)


def auctioned(
    state: Market,
    auction: str,
    instrument: Instrument,
    buy: str,
    sell: str,
    energy_wh: int,
    prices_nano_per_kwh: tuple[int, int],
    rests_wh: tuple[int, int],
) -> TradeMade:
    """The trade of two orders at the buyer's and the seller's price; the later one counts as the one that came."""
    buyer, seller = state.orders[buy], state.orders[sell]
    pays, gets = prices_nano_per_kwh
    return TradeMade(
        state.market,
        derived_id(auction, "trade", buy, sell),
        *instrument.key,
        buy,
        sell,
        buyer.party,
        seller.party,
        buyer.connection,
        seller.connection,
        Side.BUY if buyer.sequence > seller.sequence else Side.SELL,
        energy_wh,
        pays,
        *rests_wh,
        None if gets == pays else gets,
    )


def _partner(state: Market, instrument: Instrument, auction: Auction, left: _Left, buy: str) -> _Met:
    """The next seller who is somebody else; the next one where all are the buyer himself."""
    buyer = state.orders[buy]
    party, here = buyer.party, auction.zone_of(buyer.zone)
    found: list[tuple[bool, int, _Met]] = []
    for zone, sellers in left.asks.items():
        if not sellers:
            continue
        path, most_wh = _HERE, left.bids[-1][1]
        if zone != here:
            path = (instrument.paths or {}).get((zone, here), _HERE)
            most_wh = min((sign * left.flow_wh[line] for line, sign in path), default=0)
        if most_wh <= 0:
            continue
        place = next_seller(state, party, sellers)
        seller = state.orders[sellers[place][0]]
        found.append((seller.party == party, seller.sequence, _Met(zone, place, path, most_wh)))
    assert found, "what is left to buy is left to sell where the flows come from"
    return min(found, key=lambda met: met[:2])[2]


def _prices(result: AuctionCleared, to: str, from_: str) -> tuple[int, int]:
    """What the buyer pays in its zone, and what the seller gets in its."""
    pays, gets = result.price_nano_per_kwh, result.seller_price_nano_per_kwh
    if to != ONE_ZONE:
        by_zone = {zone.zone: zone.price_nano_per_kwh for zone in result.zones}
        pays, gets = by_zone[to], by_zone[from_]
    assert pays is not None, "what trades has a price"
    return pays, pays if gets is None else gets
