"""Is the proposed result of a block auction right? It comes in parts, and each is judged by itself.

First the acceptance of all blocks with the prices, then interval after interval the fills of its orders, at last what
only the whole shows. What is remembered between the parts is some integers an interval, however large the books are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.market.blocks import (
    Auctioned,
    BlockAuction,
    BlockFlaw,
    BlockOrder,
    BlockResult,
    flaw_of_steps,
    gap_ppm,
    loses,
    net_sold_wh,
    steps_of,
    traded_in,
    welfare_of_blocks,
    welfare_of_offers,
    wished_price,
)
from domain.market.clearing import AuctionRules, Clearing, Offer
from domain.market.clearing_check import ClearingCheck


@dataclass(slots=True)
class Called:
    """An auction without its books."""

    rules: AuctionRules
    min_price_nano_per_kwh: int
    max_price_nano_per_kwh: int
    intervals: int
    blocks: tuple[BlockOrder, ...]


@dataclass(slots=True)
class BlockCheck:
    """What is known of a proposal behind the parts that have been taken.

    `wished` are the rule's prices of the intervals that are whole, `book` the check of the one that is not.
    """

    auction: Auctioned
    steps: tuple[int, ...]
    prices: tuple[int | None, ...]
    net_wh: list[int]
    welfare_pico: int
    volume_wh: int
    wished: list[int | None] = field(default_factory=list)
    book: ClearingCheck | None = None

    @property
    def interval(self) -> int:
        """The place of the interval whose fills come next."""
        return len(self.wished)

    @property
    def count(self) -> int:
        """How many orders of that interval have been taken."""
        return 0 if self.book is None else self.book.count

    def take(self, clearing: Clearing, offers: Sequence[Offer], filled_wh: Sequence[int]) -> BlockFlaw | None:
        """Takes in the next offers of the interval; behind a flaw nothing of it is taken."""
        if clearing.price_nano_per_kwh != self.prices[self.interval]:
            return BlockFlaw.PRICE
        book = ClearingCheck(self.auction.rules, clearing) if self.book is None else self.book
        if book.clearing != clearing or book.take(offers, filled_wh) is not None:
            return BlockFlaw.FILL
        self.book = book
        self.welfare_pico += welfare_of_offers(offers, filled_wh)
        return None

    def close(self, count: int) -> BlockFlaw | None:
        """The interval is whole, with `count` offers; the first thing wrong with it."""
        book, n = self.book, self.interval
        assert book is not None, "an interval is closed behind its last part"
        if book.totals(count) is not None:
            return BlockFlaw.FILL
        if book.sold_wh + self.net_wh[n] != book.bought_wh:
            return BlockFlaw.BALANCE
        ends = book.ends()
        if ends.bid_rejected is not None and ends.ask_rejected is not None and ends.bid_rejected >= ends.ask_rejected:
            return BlockFlaw.VOLUME
        wished = None
        if book.bought_wh or book.sold_wh or traded_in(self.auction, self.steps, n):
            wished = wished_price(ends.lowest(), ends.highest(), self.auction)
        if (self.prices[n] is None) != (wished is None):
            return BlockFlaw.PRICE
        self.wished.append(wished)
        self.volume_wh += book.bought_wh
        self.book = None
        return None

    def finish(self) -> BlockFlaw | None:
        """What is wrong with the whole: prices that are not the rule's although nobody would lose at those."""
        if len(self.wished) != len(self.prices):
            return BlockFlaw.LIST
        if list(self.prices) != self.wished and not loses(self.auction, self.steps, self.wished):
            return BlockFlaw.PRICE
        return None

    def copy(self) -> "BlockCheck":
        """The same, to go on with by itself."""
        book = None if self.book is None else self.book.copy()
        sums = self.welfare_pico, self.volume_wh
        return BlockCheck(self.auction, self.steps, self.prices, self.net_wh, *sums, list(self.wished), book)


def begun(auction: Auctioned, steps: Sequence[int], prices: Sequence[int | None]) -> BlockCheck | BlockFlaw:
    """The check of a result behind its first part, or the first thing wrong with that."""
    if (len(steps), len(prices)) != (len(auction.blocks), auction.intervals):
        return BlockFlaw.LIST
    wrong = flaw_of_steps(auction, steps)
    if wrong is not None:
        return wrong
    if not all(_is_possible(price, auction) for price in prices):
        return BlockFlaw.PRICE
    if loses(auction, steps, prices):
        return BlockFlaw.SURPLUS
    lot = auction.rules.lot_wh
    bought = sum(
        sum(block.profile_wh) * accepted // steps_of(block, lot)
        for block, accepted in zip(auction.blocks, steps, strict=True)
        if block.buys
    )
    welfare = welfare_of_blocks(auction, steps)
    return BlockCheck(auction, tuple(steps), tuple(prices), net_sold_wh(auction, steps), welfare, bought)


def flaw_of(auction: BlockAuction, result: BlockResult) -> BlockFlaw | None:
    """The first thing wrong with a whole result; that nothing gains more than `bound` is the proposer's word."""
    if (len(result.clearings), len(result.fills)) != (auction.intervals, auction.intervals):
        return BlockFlaw.LIST
    check = begun(auction, result.steps, [clearing.price_nano_per_kwh for clearing in result.clearings])
    if isinstance(check, BlockFlaw):
        return check
    for book, clearing, filled in zip(auction.books, result.clearings, result.fills, strict=True):
        flaw = check.take(clearing, book, filled) or check.close(len(book))
        if flaw is not None:
            return flaw
    flaw = check.finish()
    if flaw is not None:
        return flaw
    welfare = check.welfare_pico
    if result.welfare_pico != welfare or result.bound_pico < welfare:
        return BlockFlaw.WELFARE
    return None if result.gap_ppm == gap_ppm(welfare, result.bound_pico) else BlockFlaw.WELFARE


def _is_possible(price: int | None, auction: Auctioned) -> bool:
    return price is None or (
        price % auction.rules.tick_nano_per_kwh == 0
        and auction.min_price_nano_per_kwh <= price <= auction.max_price_nano_per_kwh
    )
