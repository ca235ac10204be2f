"""What is kept of the auctions of whole sessions, from the listing of a session until its auction is over."""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from domain.market.block_check import BlockCheck, Called
from domain.market.blocks import BlockOrder
from domain.market.clearing import AuctionRules
from schemas.market.reasons import CancelReason
from schemas.market.session_events import (
    CallBlockAccepted,
    CallBlocksEnded,
    CalledBlock,
    SessionAuctionCalled,
    SessionAuctionCleared,
)
from schemas.values import MINUTE_US, Side

Key = tuple[int, int]
Fill = tuple[str, int, int]
"""(order, Wh that still have to trade, sequence)."""


@dataclass(slots=True)
class CallBlock:
    """A call block that stands. `profile_wh` is what it may still trade: all of it, behind a result what is accepted.

    `pool` is shared by blocks of which at most one whole is accepted together.
    """

    accepted: CallBlockAccepted
    profile_wh: tuple[int, ...]
    pool: str


@dataclass(slots=True)
class SessionAuction:
    """The auction of the session that begins at `first_start_at`.

    `books` are the frozen orders of each delivery as far as they are listed, `listed` whether all is. `bids` and `asks`
    are what still has to trade of each delivery, the next one last. A part of a delivery's result is the next one
    behind `parts`.
    """

    first_start_at: int
    intervals: int
    interval_min: int
    blocks: dict[str, CallBlock] = field(default_factory=dict)
    called: SessionAuctionCalled | None = None
    books: list[list[str]] = field(default_factory=list)
    listed_blocks: int = 0
    listed: bool = False
    check: BlockCheck | None = None
    more_micro: int = 0
    parts: int = 0
    bids: list[list[Fill]] = field(default_factory=list)
    asks: list[list[Fill]] = field(default_factory=list)
    cleared: SessionAuctionCleared | None = None

    @property
    def name(self) -> str:
        """The subject of its timers."""
        return f"{self.first_start_at}/{self.interval_min}"

    @property
    def about(self) -> tuple[int, int, int]:
        """First delivery start, number of deliveries and their duration, as facts say them."""
        return self.first_start_at, self.intervals, self.interval_min

    @property
    def frozen(self) -> SessionAuctionCalled:
        """What it was called with."""
        assert self.called is not None, "it is called"
        return self.called

    @property
    def key(self) -> Key:
        """Of the session's first delivery."""
        return self.first_start_at, self.interval_min

    @property
    def keys(self) -> Iterator[Key]:
        """Of the session's deliveries."""
        for n in range(self.intervals):
            yield self.first_start_at + n * self.interval_min * MINUTE_US, self.interval_min

    def place_of(self, start_at: int) -> int:
        """The place of a delivery in the session; none of its own is below 0 or beyond the last."""
        return (start_at - self.first_start_at) // (self.interval_min * MINUTE_US)

    def trades(self, start_at: int, interval_min: int) -> bool:
        """Whether a delivery belongs to the session."""
        return interval_min == self.interval_min and 0 <= self.place_of(start_at) < self.intervals

    def blocks_of(self, party: str) -> tuple[str, ...]:
        """The blocks of a party that stand."""
        return tuple(name for name, block in self.blocks.items() if block.accepted.party == party)

    def with_children(self, blocks: Iterable[str]) -> tuple[str, ...]:
        """These blocks and all that are linked to them, in the order of acceptance."""
        found = set(blocks)
        for name, block in self.blocks.items():  # a parent is accepted before its children
            if block.accepted.parent in found:
                found.add(name)
        return tuple(name for name in self.blocks if name in found)

    def ended(self, market: str, blocks: Iterable[str], reason: CancelReason) -> CallBlocksEnded:
        """The fact that ends these blocks, and those that are linked to them."""
        gone = self.with_children(blocks)
        return CallBlocksEnded(market, reason, gone, tuple(self.blocks[name].accepted.party for name in gone))

    def auctioned(self) -> Called:
        """The frozen auction as it is judged."""
        called = self.frozen
        rules = AuctionRules(called.tick_nano_per_kwh, called.lot_wh, called.k_ppm, called.rationing)
        prices = called.min_price_nano_per_kwh, called.max_price_nano_per_kwh
        return Called(rules, *prices, self.intervals, block_orders(self.called_blocks(), self.intervals))

    def called_blocks(self) -> tuple[CalledBlock, ...]:
        """The blocks as they are listed, in the order of acceptance."""
        return tuple(
            CalledBlock(
                name,
                block.accepted.side,
                self.place_of(block.accepted.first_start_at),
                block.accepted.profile_wh,
                block.accepted.limit_price_nano_per_kwh,
                block.accepted.minimum_ppm,
                block.accepted.parent,
                None if block.pool == name else block.pool,
            )
            for name, block in self.blocks.items()
        )

    def enter(self, start_at: int, buys: bool, fill: Fill) -> None:
        """So much of an order is to trade, in the order of acceptance."""
        side = (self.bids if buys else self.asks)[self.place_of(start_at)]
        insort(side, fill, key=lambda fill: -fill[2])

    def traded(self, start_at: int, buy_order: str, sell_order: str, energy_wh: int) -> None:
        """So much of two orders has traded; both are at the end of what is left, or near it."""
        place = self.place_of(start_at)
        for side, order in ((self.bids[place], buy_order), (self.asks[place], sell_order)):
            at = next(n for n in range(len(side) - 1, -1, -1) if side[n][0] == order)
            left = side[at][1] - energy_wh
            if left:
                side[at] = order, left, side[at][2]
            else:
                del side[at]


@dataclass(slots=True)
class SessionAuctions:
    """By the key of a session's first delivery."""

    known: dict[Key, SessionAuction] = field(default_factory=dict)

    def of(self, start_at: int, interval_min: int) -> SessionAuction | None:
        """The auction that a delivery belongs to; none where there is none, or where it is over."""
        for auction in self.known.values():
            if auction.trades(start_at, interval_min):
                return auction
        return None

    def with_block(self, block: str) -> SessionAuction | None:
        """The auction that a call block stands in."""
        return next((auction for auction in self.known.values() if block in auction.blocks), None)

    def traded(self, start_at: int, interval_min: int, buy_order: str, sell_order: str, energy_wh: int) -> None:
        """For `evolve`: a trade of a frozen book is one of a session's result."""
        auction = self.of(start_at, interval_min)
        if auction is not None and auction.cleared is not None:
            auction.traded(start_at, buy_order, sell_order, energy_wh)


def block_orders(blocks: Sequence[CalledBlock], intervals: int) -> tuple[BlockOrder, ...]:
    """Listed blocks as they are auctioned over so many deliveries."""
    places = {block.block: place for place, block in enumerate(blocks)}
    groups = {group: n for n, group in enumerate(dict.fromkeys(block.exclusive_group for block in blocks))}
    return tuple(
        BlockOrder(
            block.side is Side.BUY,
            block.limit_price_nano_per_kwh,
            _spread(block.first_interval, block.profile_wh, intervals),
            block.minimum_ppm,
            None if block.parent is None else places[block.parent],
            None if block.exclusive_group is None else groups[block.exclusive_group],
        )
        for block in blocks
    )


def _spread(first: int, profile_wh: Sequence[int], intervals: int) -> tuple[int, ...]:
    return (0,) * first + tuple(profile_wh) + (0,) * (intervals - first - len(profile_wh))
