"""The best acceptance of block orders, with a mixed-integer solver; `block_check.flaw_of` judges what it says.

In every interval bids and asks stand in one row from the dearest to the cheapest; so many lots are gone into it as are
asked and as accepted blocks sell more than they buy. What each lot there is worth is the solver's objective, blocks
are its integers. Whatever it finds is put into integers first; then prices are looked for at which no accepted block
loses. Where there are none, at least one of these blocks has to be accepted less: the solution gains as much as every
right one that is left, so if a right one accepted all of them as much, its prices would suit this one, too. With this
as a further condition the solver looks again; the first solution with prices is the best one.

A block that loses by itself, at the prices that suit it best, tells more: the solver learns what these prices are at
most (`block_hull`), and which few of the others keep the block losing however much the rest moves.
"""

from collections.abc import Callable, Sequence

from domain.market.block_problem import BlockProblem, Steps
from domain.market.blocks import (
    BlockAuction,
    BlockResult,
    flaw_of_steps,
    gap_ppm,
    loses,
    net_sold_wh,
    traded_in,
    welfare_pico,
    wished_price,
)
from domain.market.calc_block_model import BlockModel
from domain.market.clearing import Clearing, Offer, clearing_at, fills

Tell = Callable[[str], None]


def solve(auction: BlockAuction, time_limit_s: int = 20, tell: Tell = lambda _: None) -> BlockResult:
    """The best result, or the best that is found in `time_limit_s` of the solver's time, with its bound.

    Of equal results the one that accepts the earliest block most, and so on; as long as the time lasts.
    """
    search = _Search(auction, time_limit_s, tell)
    search.run()
    return search.result()


class _Search:
    def __init__(self, auction: BlockAuction, time_limit_s: int, tell: Tell) -> None:
        self.auction, self.tell = auction, tell
        self.problem = BlockProblem(auction)
        self.model = BlockModel(self.problem, time_limit_s)
        self.best: Steps = (0,) * len(auction.blocks)
        self.best_prices = self.prices_for(self.best)
        self.best_worth = 0
        self.bound = self.problem.dearest()
        self.hopeless = self.problem.never()
        self.model.leave_out(self.hopeless)

    def run(self) -> None:
        """Looks for the best result, and then for an equal one that is earlier in the order of blocks."""
        dived = False
        while True:
            found = self.model.best()
            if found is None:
                return
            said, bound, optimal = found
            self.bound = min(bound, self.bound)
            steps = self.problem.lawful(said)
            has_prices = self.offer(steps)
            if steps != said:
                return  # the solver cannot tell such numbers apart: what it says next is no better
            if has_prices and optimal:
                self.bound = self.best_worth
            if not optimal or self.best_worth >= self.bound:
                break
            self.model.less(steps)
            if not dived:
                self.dive(steps)
                dived = True
        if self.best_worth >= self.bound:
            self.earliest()

    def offer(self, steps: Steps) -> bool:
        """Whether there are prices for it; keeps what is better than what was found before, or can be made so."""
        prices, worth = self.prices_for(steps), self.problem.worth(steps)
        if prices is None:
            for place in sorted(self.problem.losing(steps)):
                self.model.unless(place, steps)
            self.repair(steps)
        else:
            self.keep(steps, prices)
        said = "no prices" if prices is None else "has prices"
        self.tell(f"welfare {worth} {said}, best {self.best_worth}, bound {self.bound}")
        return prices is not None

    def dive(self, steps: Steps) -> None:
        """Quickly to a good result: the best without the block that loses most, again and again, until nobody loses."""
        out = set(self.hopeless)
        while any(steps):
            out.add(self.problem.worst(steps))
            self.model.leave_out(out)
            found = self.model.best()
            if found is None or self.offer(self.problem.lawful(found[0])):
                break
            steps = self.problem.lawful(found[0])
        self.model.leave_out(self.hopeless)

    def earliest(self) -> None:
        """Moves to the first of the equal results; without another one there is nothing to move to."""
        self.model.keep_worth(self.best_worth)
        if not self.model.can_gain(self.best):
            return
        for place in range(len(self.best)):
            while self.best[place] < self.problem.most[place]:
                steps = self.model.most_of(place, self.best)
                if steps is None or steps[place] <= self.best[place]:
                    break
                prices = self.prices_for(steps)
                if prices is None:
                    self.model.less(steps)
                elif self.problem.worth(steps) == self.best_worth:
                    self.tell(f"an equal result accepts block {place} more")
                    self.best, self.best_prices = steps, prices
                else:
                    break
            self.model.fix(place, self.best[place])

    def repair(self, steps: Steps) -> None:
        """From a solution without prices to one with them: leaves out the block that loses most, again and again."""
        left = list(steps)
        while any(left):
            left[self.problem.worst(tuple(left))] = 0
            self.problem.unlink(left)
            if self.problem.balances(tuple(left)):
                prices = self.prices_for(tuple(left))
                if prices is not None:
                    self.keep(tuple(left), prices)
                    return

    def keep(self, steps: Steps, prices: list[int | None]) -> None:
        worth = self.problem.worth(steps)
        if worth > self.best_worth:
            self.best, self.best_prices, self.best_worth = steps, prices, worth

    def prices_for(self, steps: Steps) -> list[int | None] | None:
        """Prices at which no accepted block loses, as near to the rule's as can be; none where there are none."""
        auction = self.auction
        if flaw_of_steps(auction, steps) is not None or not self.problem.balances(steps):
            return None
        wished: list[int | None] = []
        for n, (row, net) in enumerate(zip(self.problem.rows, net_sold_wh(auction, steps), strict=True)):
            low, high = (None if end is None else end * self.problem.tick for end in row.ends(net // self.problem.lot))
            trades = traded_in(auction, steps, n) or _trades(auction.books[n])
            wished.append(wished_price(low, high, auction) if trades else None)
        if not loses(auction, steps, wished):
            return wished
        if self.problem.losing(steps):
            return None
        found = self.model.prices(steps, list(self.problem.boxes(steps)), wished)
        return None if found is None or loses(auction, steps, found) else found

    def result(self) -> BlockResult:
        """The best result so far, with the clearing of every interval."""
        auction, rules = self.auction, self.auction.rules
        assert self.best_prices is not None, "without blocks there are always prices"
        net = net_sold_wh(auction, self.best)
        clearings, filled = [], []
        for book, price, sold_wh in zip(auction.books, self.best_prices, net, strict=True):
            if price is None:
                clearings.append(Clearing(None, 0, 0))
            else:
                demand = sum(o.quantity_wh for o in book if o.buys and o.price_nano_per_kwh >= price)
                supply = sum(o.quantity_wh for o in book if not o.buys and o.price_nano_per_kwh <= price)
                bought = min(demand, supply + sold_wh)
                clearings.append(clearing_at(book, price, bought, bought - sold_wh, rules))
            filled.append(fills(book, clearings[-1], rules))
        welfare = welfare_pico(auction, self.best, filled)
        more = max(0, self.bound - self.best_worth) * self.problem.tick * self.problem.lot
        return BlockResult(
            self.best, tuple(clearings), tuple(filled), welfare, welfare + more, gap_ppm(welfare, welfare + more)
        )


def _trades(book: Sequence[Offer]) -> bool:
    dearest = max((o.price_nano_per_kwh for o in book if o.buys), default=None)
    cheapest = min((o.price_nano_per_kwh for o in book if not o.buys), default=None)
    return dearest is not None and cheapest is not None and dearest >= cheapest
