"""What each acceptance of an auction's blocks means, in ticks and lots: its welfare, its prices, who loses."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import ceil

from domain.market.blocks import BlockAuction, least_steps, net_sold_wh, steps_of, surplus_pico
from domain.market.clearing import Offer

Steps = tuple[int, ...]
"""Accepted steps of each block."""


@dataclass(frozen=True, slots=True)
class Row:
    """An interval's prices (ticks), each once, dearest first, and the lots up to and with each; `asked` lots of it."""

    prices: tuple[int, ...]
    lots: tuple[int, ...]
    reached: tuple[int, ...]
    asked: int

    def ends(self, net_sold: int) -> tuple[int | None, int | None]:
        """The lowest and highest supporting price when blocks sell so much more than they buy."""
        at = self.asked + net_sold
        last, following = bisect_left(self.reached, at), bisect_right(self.reached, at)
        highest = None if at <= 0 else self.prices[min(last, len(self.prices) - 1)] if self.prices else None
        return (self.prices[following] if following < len(self.prices) else None), highest

    def worth(self, net_sold: int) -> int:
        """Price times lots of everything up to that point."""
        left, found = self.asked + net_sold, 0
        for price, lots in zip(self.prices, self.lots, strict=True):
            taken = min(left, lots)
            found, left = found + price * taken, left - taken
        return found


def row_of(book: Sequence[Offer], tick: int, lot: int) -> Row:
    """The row of one interval's offers."""
    levels: dict[int, int] = {}
    for offer in book:
        price = offer.price_nano_per_kwh // tick
        levels[price] = levels.get(price, 0) + offer.quantity_wh // lot
    prices = tuple(sorted(levels, reverse=True))
    lots = tuple(levels[price] for price in prices)
    return Row(prices, lots, tuple(accumulate(lots)), sum(o.quantity_wh for o in book if not o.buys) // lot)


class BlockProblem:
    """An auction as the search sees it. `most` and `least` are the steps of each block; welfare counts in ticks times
    lots, above what there is without blocks."""

    def __init__(self, auction: BlockAuction) -> None:
        self.auction = auction
        self.tick, self.lot = auction.rules.tick_nano_per_kwh, auction.rules.lot_wh
        self.rows = [row_of(book, self.tick, self.lot) for book in auction.books]
        self.most = [steps_of(block, self.lot) for block in auction.blocks]
        self.least = [least_steps(block, self.lot) for block in auction.blocks]
        self.lowest = -(-auction.min_price_nano_per_kwh // self.tick)
        self.highest = auction.max_price_nano_per_kwh // self.tick
        self.without = [row.worth(0) for row in self.rows]

    def lawful(self, steps: Steps) -> Steps:
        """What a solver says within its tolerance, so that links, groups and ratios hold exactly: a few steps less.

        What is lawful stays as it is.
        """
        blocks, found = self.auction.blocks, list(steps)
        groups: dict[int, list[int]] = {}
        for place, block in enumerate(blocks):
            if block.group is not None:
                groups.setdefault(block.group, []).append(place)
        before: list[int] = []
        while before != found:
            before = list(found)
            for place, block in enumerate(blocks):
                if block.parent is not None:
                    found[place] = min(found[place], found[block.parent] * self.most[place] // self.most[block.parent])
            for places in groups.values():
                self._share(found, places)
            found = [n if n >= least else 0 for n, least in zip(found, self.least, strict=True)]
        return tuple(found)

    def _share(self, steps: list[int], places: Sequence[int]) -> None:
        """Takes back what a group's blocks are accepted more than once together: the later ones have less."""
        for last in (self.least, [0] * len(steps)):
            for place in reversed(places):
                over = sum(Fraction(steps[p], self.most[p]) for p in places) - 1
                if over > 0 and steps[place]:
                    steps[place] -= max(0, min(steps[place] - last[place], ceil(over * self.most[place])))

    def never(self) -> set[int]:
        """The blocks that lose even when all that trades against them is accepted and nothing else on their side.

        Their children stay out, too, and what is out does not help others any more.
        """
        blocks, out = self.auction.blocks, set[int]()
        while True:
            sides = {
                side: [0 if block.buys != side or p in out else self.most[p] for p, block in enumerate(blocks)]
                for side in (True, False)
            }
            against = {side: net_sold_wh(self.auction, sides[not side]) for side in (True, False)}
            more = {
                place
                for place, block in enumerate(blocks)
                if place not in out and (block.parent in out or not self.may_gain(place, against[block.buys]))
            }
            if not more:
                return out
            out |= more

    def may_gain(self, place: int, net_against: Sequence[int]) -> bool:
        """Whether the block does not lose at its fewest steps when all others sell so much more than they buy."""
        block, least, most = self.auction.blocks[place], self.least[place], self.most[place]
        sign = -1 if block.buys else 1
        net = [
            other + sign * energy * least // most for other, energy in zip(net_against, block.profile_wh, strict=True)
        ]
        kindest = [(low if block.buys else high) * self.tick for low, high in self.boxes_at(net)]
        return surplus_pico(block, most, self.lot, kindest) >= 0

    def losing(self, steps: Steps) -> set[int]:
        """The accepted blocks that lose at whatever prices."""
        kindest = self.kindest(steps)
        return {
            place
            for place, (block, n) in enumerate(zip(self.auction.blocks, steps, strict=True))
            if n and surplus_pico(block, n, self.lot, kindest[block.buys]) < 0
        }

    def needed(self, place: int, steps: Steps) -> tuple[list[int], list[int], bool]:
        """What of a solution must change so that a block which loses in it does not: (blocks of which one has to be
        accepted less, blocks of which one has to be accepted more, whether the block itself could do with less).

        Prices of its deliveries suit it better only where the other side asks for more, or its own for less. Whatever
        changes nothing about its loss, although it goes as far as it can, is left out.
        """
        block, lot = self.auction.blocks[place], self.lot
        used = [n for n, energy in enumerate(block.profile_wh) if energy]
        net = [wh for n, wh in enumerate(net_sold_wh(self.auction, steps)) if n in set(used)]
        sign = -1 if block.buys else 1

        def loses(net: list[int]) -> bool:
            gain = 0
            for n, wh in zip(used, net, strict=True):
                low, high = self.rows[n].ends(wh // lot)
                price = (
                    (self.lowest if low is None else low) if block.buys else (self.highest if high is None else high)
                )
                gain += sign * (price * self.tick - block.limit_price_nano_per_kwh) * block.profile_wh[n]
            return gain < 0

        def moved(other: int, to: int) -> list[int]:
            side = -1 if self.auction.blocks[other].buys else 1
            profile, most = self.auction.blocks[other].profile_wh, self.most[other]
            return [wh + side * profile[n] * (to - steps[other]) // most for n, wh in zip(used, net, strict=True)]

        blocks = self.auction.blocks
        reach = {
            other: sum(blocks[other].profile_wh[n] for n in used) for other in range(len(blocks)) if other != place
        }
        less: list[int] = []
        more: list[int] = []
        for other in sorted(reach, key=lambda other: reach[other]):
            same = blocks[other].buys == block.buys
            to = 0 if same else self.most[other]
            if steps[other] == to or not reach[other]:
                continue
            tried = moved(other, to)
            if loses(tried):
                net = tried
            else:
                (less if same else more).append(other)
        return less, more, not loses(moved(place, self.least[place]))

    def dearest(self) -> int:
        """More than this nothing gains, whatever is accepted."""
        simple = sum(
            max(0, price) * lots for row in self.rows for price, lots in zip(row.prices, row.lots, strict=True)
        )
        own = sum(max(0, self.own_worth(place)) * most for place, most in enumerate(self.most))
        return simple - sum(self.without) + own

    def worth(self, steps: Steps) -> int:
        """Welfare in ticks times lots, above that without blocks."""
        found = 0
        for row, without, net in zip(self.rows, self.without, net_sold_wh(self.auction, steps), strict=True):
            if net:
                found += row.worth(net // self.lot) - without
        return found + sum(self.own_worth(place) * n for place, n in enumerate(steps))

    def own_worth(self, place: int) -> int:
        """What a step of a block is worth to its owner, in ticks times lots."""
        block = self.auction.blocks[place]
        sign = 1 if block.buys else -1
        return sign * block.limit_price_nano_per_kwh // self.tick * self.per_step(place)

    def per_step(self, place: int) -> int:
        """The lots of all intervals in one step of a block."""
        return sum(self.auction.blocks[place].profile_wh) // self.lot // self.most[place]

    def worst(self, steps: Steps) -> int:
        """The block that loses most at the prices that suit it best; the last one where not all can be delivered."""
        accepted = [place for place, n in enumerate(steps) if n]
        if not self.balances(steps):
            return accepted[-1]
        kindest, blocks = self.kindest(steps), self.auction.blocks
        return min(accepted, key=lambda p: surplus_pico(blocks[p], steps[p], self.lot, kindest[blocks[p].buys]))

    def balances(self, steps: Steps) -> bool:
        """Whether the simple orders can take what the blocks sell more than they buy, or give what they buy more."""
        net = net_sold_wh(self.auction, steps)
        return all(0 <= row.asked + sold // self.lot <= sum(row.lots) for row, sold in zip(self.rows, net, strict=True))

    def unlink(self, left: list[int]) -> None:
        """Children of what is left out go, too, however long the chain is."""
        orphans = [0]
        while orphans:
            orphans = [
                place
                for place, block in enumerate(self.auction.blocks)
                if left[place] and block.parent is not None and not left[block.parent]
            ]
            for place in orphans:
                left[place] = 0

    def kindest(self, steps: Steps) -> dict[bool, list[int | None]]:
        """The prices that suit buyers and sellers best, each by themselves."""
        found: dict[bool, list[int | None]] = {True: [], False: []}
        for low, high in self.boxes(steps):
            found[True].append(low * self.tick)
            found[False].append(high * self.tick)
        return found

    def boxes(self, steps: Steps) -> Iterator[tuple[int, int]]:
        """The lowest and highest price of each interval, in ticks, inside the market's range."""
        return self.boxes_at(net_sold_wh(self.auction, steps))

    def boxes_at(self, net_wh: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The same where blocks sell so much more than they buy."""
        for row, net in zip(self.rows, net_wh, strict=True):
            low, high = row.ends(net // self.lot)
            yield (self.lowest if low is None else low), (self.highest if high is None else high)
