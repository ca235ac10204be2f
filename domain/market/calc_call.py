"""The calculation `market.clearing`: the result of a call auction, in the parts that the market checks."""

from collections.abc import Iterator
from typing import Any, Final

from domain.calculation import Calculation, Inputs
from domain.market.auctions import CALCULATION_NAME, MAX_LISTED
from domain.market.calc_clearing import Book, clear_book
from domain.market.clearing import AuctionRules, Offer, clear
from domain.market.coupling import couple
from domain.market.mcafee import mcafee
from domain.market.unit_check import unit_price
from domain.market.zones_check import ONE_ZONE, called_price
from schemas.envelope import Recorded
from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import AuctionStarted, CalledPrice, Mechanism
from schemas.values import Side

BOOK: Final = "book"

FEW: Final = 2_000
"""Orders that are cleared one by one; more of them as arrays."""


def compute(fact: Recorded[Any], inputs: Inputs) -> Iterator[ProposeClearing]:
    """The parts of the result.

    Raises:
        ValueError: the slate does not hold the whole book; without a result the market goes on by itself.
    """
    started: AuctionStarted = fact.body
    orders: list[str] = []
    offers: list[Offer] = []
    zones: list[str] = []
    for row in inputs[BOOK]:
        orders += row["orders"]
        zones += row["zones"] or ()
        # Their places are in the order of acceptance, which is all that a sequence is asked for.
        sequences = range(len(offers), len(offers) + len(row["orders"]))
        values = zip(row["sides"], row["limit_prices_nano_per_kwh"], row["rests_wh"], sequences, strict=True)
        offers += [Offer(side == Side.BUY, price, rest_wh, n) for side, price, rest_wh, n in values]
    if len(orders) != started.resting:
        raise ValueError(f"the book of {started.auction} has {started.resting} orders, the slate {len(orders)}")
    rules = AuctionRules(started.tick_nano_per_kwh, started.lot_wh, started.k_ppm, started.rationing)
    if started.mechanism is Mechanism.MCAFEE:
        called, filled = _units(offers, rules)
    elif started.zones:
        called, filled = _coupled(started, zones, offers, rules)
    else:
        clearing, filled = clear(offers, rules) if len(offers) <= FEW else _many(offers, rules)
        called = called_price({ONE_ZONE: clearing}, {})
    parts = max(1, -(-len(orders) // MAX_LISTED))
    about = started.auction, started.delivery_start_at, started.interval_min
    for n in range(parts):
        part = slice(n * MAX_LISTED, (n + 1) * MAX_LISTED)
        yield ProposeClearing(*about, n + 1, parts, called, tuple(orders[part]), tuple(filled[part]))


def _units(offers: list[Offer], rules: AuctionRules) -> tuple[CalledPrice, list[int]]:
    """Of equal prices the earlier one trades: sorting keeps the order of acceptance."""
    bids = sorted((o for o in offers if o.buys), key=lambda offer: -offer.price_nano_per_kwh)
    asks = sorted((o for o in offers if not o.buys), key=lambda offer: offer.price_nano_per_kwh)
    dear, cheap = ([offer.price_nano_per_kwh for offer in side] for side in (bids, asks))
    traded = mcafee(dear, cheap, rules.tick_nano_per_kwh)
    filled = [0] * len(offers)
    for side in (bids, asks):
        for offer in side[: traded.trades]:
            filled[offer.sequence] = offer.quantity_wh
    prices = traded.buyer_pays_nano_per_kwh, traded.seller_gets_nano_per_kwh
    return unit_price(*prices, traded.trades * rules.lot_wh), filled


def _coupled(
    started: AuctionStarted, zones: list[str], offers: list[Offer], rules: AuctionRules
) -> tuple[CalledPrice, list[int]]:
    books: dict[str, list[Offer]] = {zone: [] for zone in started.zones}
    for zone, offer in zip(zones, offers, strict=True):
        books[zone].append(offer)
    found = couple(books, started.lines, rules)
    filled = [0] * len(offers)
    for zone, book in books.items():
        for offer, filled_wh in zip(book, found.fills[zone], strict=True):
            filled[offer.sequence] = filled_wh
    return called_price(found.clearings, found.flow_wh), filled


def _many(offers: list[Offer], rules: AuctionRules) -> Any:
    clearing, filled = clear_book(Book.of(offers), rules)
    return clearing, filled.tolist()


def _cutoff(fact: Recorded[Any]) -> int:
    """The slices of the book may stand in the same tick as the fact."""
    return fact.meta.tick.n + 1


CALCULATION = Calculation(
    name=CALCULATION_NAME,
    family="market",
    on=AuctionStarted,
    needs=("market",),
    cutoff=_cutoff,
    compute=compute,
)
