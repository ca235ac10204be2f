"""Block orders in a call auction over many intervals (domain rules §1.2): what a right result is, in integers.

A block has a profile over the intervals, one limit, a minimum acceptance ratio, perhaps a parent (it is accepted at
most as much as its parent) and an exclusive group (their ratios sum to one at most). It is divided in equal steps of
whole lots: `steps_of` is how many there are. An accepted block never loses at the published prices; a surplus of
exactly zero is accepted. A block may stay out although the prices would suit it (paradoxical rejection), because with
it there would be no such prices.

The proposer says how good the result is: nothing gains more than `bound`, and the gap to it is published. Everything
else is judged (`block_check`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import gcd
from typing import Protocol

from domain.market.clearing import PPM, AuctionRules, Clearing, Offer, price_in


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """`profile_wh` is the energy of each interval at full acceptance, in whole lots, not all zero.

    `parent` is the place of another block in the auction, `group` any number that an exclusive group shares.
    """

    buys: bool
    limit_price_nano_per_kwh: int
    profile_wh: tuple[int, ...]
    minimum_ppm: int
    parent: int | None = None
    group: int | None = None


class Auctioned(Protocol):
    """What is asked of an auction by who does not look into its books."""

    @property
    def rules(self) -> AuctionRules: ...
    @property
    def min_price_nano_per_kwh(self) -> int: ...
    @property
    def max_price_nano_per_kwh(self) -> int: ...
    @property
    def intervals(self) -> int: ...
    @property
    def blocks(self) -> Sequence[BlockOrder]: ...


@dataclass(frozen=True, slots=True)
class BlockAuction:
    """The frozen offers of each interval, each in the order of sequence, and the blocks, also in that order."""

    rules: AuctionRules
    min_price_nano_per_kwh: int
    max_price_nano_per_kwh: int
    books: tuple[Sequence[Offer], ...]
    blocks: tuple[BlockOrder, ...]

    @property
    def intervals(self) -> int:
        """How many there are."""
        return len(self.books)


@dataclass(frozen=True, slots=True)
class BlockResult:
    """Accepted steps of each block; the clearing of each interval and its fills; welfare and bound in 10⁻¹² units."""

    steps: tuple[int, ...]
    clearings: tuple[Clearing, ...]
    fills: tuple[Sequence[int], ...]
    welfare_pico: int
    bound_pico: int
    gap_ppm: int


class BlockFlaw(StrEnum):
    """Why a result is wrong, in the order of the checks."""

    LIST = "list"
    RATIO = "ratio"
    LINK = "link"
    GROUP = "group"
    BALANCE = "balance"
    FILL = "fill"
    VOLUME = "volume"
    PRICE = "price"
    SURPLUS = "surplus"
    WELFARE = "welfare"


def steps_of(block: BlockOrder, lot_wh: int) -> int:
    """In how many equal steps of whole lots the block can be accepted."""
    return gcd(*(energy // lot_wh for energy in block.profile_wh))


def least_steps(block: BlockOrder, lot_wh: int) -> int:
    """The fewest steps that its minimum acceptance ratio allows, at least one."""
    return max(1, -(-block.minimum_ppm * steps_of(block, lot_wh) // PPM))


def surplus_pico(block: BlockOrder, steps: int, lot_wh: int, prices_nano_per_kwh: Sequence[int | None]) -> int:
    """What the owner of a block gains at the prices, against its limit; an interval without a price has no energy."""
    sign = -1 if block.buys else 1
    gains = (
        (price - block.limit_price_nano_per_kwh) * energy
        for price, energy in zip(prices_nano_per_kwh, block.profile_wh, strict=True)
        if price is not None
    )
    return sign * sum(gains) * steps // steps_of(block, lot_wh)


def net_sold_wh(auction: Auctioned, steps: Sequence[int]) -> list[int]:
    """What the accepted blocks sell more than they buy, by interval."""
    net = [0] * auction.intervals
    for block, accepted in zip(auction.blocks, steps, strict=True):
        if accepted:
            of = steps_of(block, auction.rules.lot_wh)
            for n, energy in enumerate(block.profile_wh):
                net[n] += (-1 if block.buys else 1) * energy * accepted // of
    return net


def traded_in(auction: Auctioned, steps: Sequence[int], interval: int) -> bool:
    """Whether an accepted block has energy in this interval."""
    return any(n and block.profile_wh[interval] for block, n in zip(auction.blocks, steps, strict=True))


def welfare_of_offers(book: Sequence[Offer], filled_wh: Sequence[int]) -> int:
    """Limits of what buys less limits of what sells, of simple orders (10⁻¹² units)."""
    return sum(
        (offer.price_nano_per_kwh if offer.buys else -offer.price_nano_per_kwh) * filled
        for offer, filled in zip(book, filled_wh, strict=True)
    )


def welfare_of_blocks(auction: Auctioned, steps: Sequence[int]) -> int:
    """Limits of what buys less limits of what sells, of accepted blocks (10⁻¹² units)."""
    welfare = 0
    for block, accepted in zip(auction.blocks, steps, strict=True):
        energy = sum(block.profile_wh) * accepted // steps_of(block, auction.rules.lot_wh)
        welfare += (1 if block.buys else -1) * block.limit_price_nano_per_kwh * energy
    return welfare


def welfare_pico(auction: BlockAuction, steps: Sequence[int], fills: Iterable[Sequence[int]]) -> int:
    """Over all offers and blocks."""
    offers = sum(welfare_of_offers(book, row) for book, row in zip(auction.books, fills, strict=True))
    return offers + welfare_of_blocks(auction, steps)


def gap_ppm(welfare: int, bound: int) -> int:
    """How much more than this welfare there may be, in millionths of it, rounded up; at most all."""
    if bound <= welfare:
        return 0
    return min(PPM, -(-(bound - welfare) * PPM // max(1, abs(welfare))))


def wished_price(lowest: int | None, highest: int | None, auction: Auctioned) -> int:
    """The rule's price of an interval while no block needs another one; a missing end is the other end.

    Where both are missing it is the price on the tick nearest to 0.
    """
    if lowest is None and highest is None:
        tick = auction.rules.tick_nano_per_kwh
        first, last = -(-auction.min_price_nano_per_kwh // tick) * tick, auction.max_price_nano_per_kwh // tick * tick
        return min(max(0, first), last)
    low = highest if lowest is None else lowest
    high = lowest if highest is None else highest
    assert low is not None, "one of the ends is there"
    assert high is not None, "one of the ends is there"
    return price_in(low, high, auction.rules)


def loses(auction: Auctioned, steps: Sequence[int], prices: Sequence[int | None]) -> bool:
    """Whether an accepted block would lose at these prices."""
    lot = auction.rules.lot_wh
    return any(
        accepted and surplus_pico(block, accepted, lot, prices) < 0
        for block, accepted in zip(auction.blocks, steps, strict=True)
    )


def flaw_of_steps(auction: Auctioned, steps: Sequence[int]) -> BlockFlaw | None:
    """What is wrong with an acceptance of the blocks by itself: a ratio, a link, a group."""
    lot = auction.rules.lot_wh
    ratios = []
    for block, accepted in zip(auction.blocks, steps, strict=True):
        if accepted and not least_steps(block, lot) <= accepted <= steps_of(block, lot):
            return BlockFlaw.RATIO
        ratios.append(Fraction(accepted, steps_of(block, lot)))
    for block, ratio in zip(auction.blocks, ratios, strict=True):
        if block.parent is not None and ratio > ratios[block.parent]:
            return BlockFlaw.LINK
    groups: dict[int, Fraction] = {}
    for block, ratio in zip(auction.blocks, ratios, strict=True):
        if block.group is not None:
            groups[block.group] = groups.get(block.group, Fraction(0)) + ratio
    return BlockFlaw.GROUP if any(ratio > 1 for ratio in groups.values()) else None
