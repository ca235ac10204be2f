"""The mixed-integer model of a block auction and the solver that works on it; what it finds is judged elsewhere."""

from collections.abc import Collection, Sequence
from math import floor, gcd, lcm
from typing import TYPE_CHECKING, Any, Final

from domain.market.block_hull import lower_lines, upper_lines
from domain.market.block_problem import BlockProblem, Row, Steps
from domain.market.blocks import BlockOrder

if TYPE_CHECKING:
    from highspy import Highs

Terms = dict[int, int]
"""Coefficients by column."""

INFINITY: Final = 10**30

MOST_WHOLE: Final = 10**9
"""A larger coefficient is nothing to a solver whose numbers are told with an error."""

PRICES_LIMIT_S: Final = 5
"""Seconds of one look for prices; a solution without prices by then counts as one that has none."""


class BlockModel:
    """The solver's side: columns of lots in the rows of intervals, and columns of blocks."""

    def __init__(self, problem: BlockProblem, time_limit_s: int) -> None:
        self.problem, self.limit_s = problem, time_limit_s
        self.solver = _solver()
        self.spent_s_of_prices: Any = 0
        self.objective: Terms = {}
        self.constant = 0
        self.columns = 0
        auction = problem.auction
        self.taken = [self._binary() for _ in auction.blocks]
        self.steps: list[Terms] = []
        for place, taken in enumerate(self.taken):
            most, least = problem.most[place], problem.least[place]
            if least == most:
                self.steps.append({taken: most})
            else:
                steps = self._column(0, most, integer=True)
                self.steps.append({steps: 1})
                self._condition(0, INFINITY, {steps: 1, taken: -least})
                self._condition(-INFINITY, 0, {steps: 1, taken: -most})
            self._add(self.objective, self.steps[place], problem.own_worth(place))
        self._links(auction.blocks)
        self._groups(auction.blocks)
        self.priced: dict[int, tuple[int, int, int]] = {}
        self.watched = set[int]()
        for n, row in enumerate(problem.rows):
            self._interval(n, row)
        for column, worth in self.objective.items():
            self.solver.changeColCost(column, worth)

    def best(self) -> tuple[Steps, int, bool] | None:
        """(steps, bound, whether nothing is better) of the most welfare; none if the time is over without anything.

        Accepting nothing is always right; a solver that says otherwise has lost itself in large numbers, and what was
        found before stands.
        """
        import highspy

        status = self._run()
        if status is None:
            return None
        if status == highspy.HighsModelStatus.kModelEmpty:
            return (), 0, True
        if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            return None
        info = self.solver.getInfo()
        if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        bound = floor(8 * info.mip_dual_bound + 1) // 8 - self.constant  # whole numbers, told with an error
        return self._found(), bound, status == highspy.HighsModelStatus.kOptimal

    def leave_out(self, places: set[int]) -> None:
        """These blocks stay out until it is said again."""
        for place, taken in enumerate(self.taken):
            self.solver.changeColBounds(taken, 0, 0 if place in places else 1)

    def less(self, steps: Steps) -> None:
        """At least one of the accepted blocks is accepted less than this."""
        literals: Terms = {}
        needed = 1
        for place, accepted in enumerate(steps):
            if not accepted:
                continue
            if accepted == self.problem.least[place]:
                literals[self.taken[place]] = -1
                needed -= 1
                continue
            literals[self._less_than(place, accepted)] = 1
        self._condition(needed, INFINITY, literals)

    def unless(self, place: int, steps: Steps) -> None:
        """In no later solution does the block lose as in this one: it is out, or what makes it lose is otherwise."""
        if place not in self.watched:
            self.watched.add(place)
            self._gains(place)
        less, more, itself = self.problem.needed(place, steps)
        literals: Terms = {self.taken[place]: -1}
        needed = 0
        for other in (*less, place) if itself and steps[place] > self.problem.least[place] else less:
            if other != place and steps[other] == self.problem.least[other]:
                literals[self.taken[other]] = -1
                needed -= 1
            else:
                literals[self._less_than(other, steps[other])] = 1
        for other in more:
            if steps[other]:
                literals[self._more_than(other, steps[other])] = 1
            else:
                literals[self.taken[other]] = 1
        self._condition(needed, INFINITY, literals)

    def keep_worth(self, worth: int) -> None:
        """From now on only what is worth as much is a solution."""
        twice = {column: 2 * n for column, n in self.objective.items()}
        self._condition(2 * (self.constant + worth) - 1, INFINITY, twice)

    def can_gain(self, steps: Steps) -> bool:
        """Whether another solution accepts any block more."""
        literals: Terms = {}
        columns = []
        for place, accepted in enumerate(steps):
            if accepted == self.problem.most[place]:
                continue
            more = self._more_than(place, accepted)
            columns.append(more)
            literals[more] = 1
        if not literals:
            return False
        self._aim(literals)
        found = self._run()
        value = self.solver.getInfo().objective_function_value
        for column in columns:
            self.solver.changeColBounds(column, 0, 0)
        return _is_optimal(found) and 2 * value > 1

    def most_of(self, place: int, steps: Steps) -> Steps | None:
        """A solution that accepts a block as much as can be; what was fixed before stays."""
        self._aim(self.steps[place])
        return self._found() if _is_optimal(self._run()) else None

    def fix(self, place: int, steps: int) -> None:
        """The block is accepted so much in every later solution."""
        self._condition(steps, steps, self.steps[place])

    def prices(
        self, steps: Steps, boxes: Sequence[tuple[int, int]], wished: Sequence[int | None]
    ) -> list[int | None] | None:
        """On-tick prices in their boxes that suit all accepted blocks, least away from those that are wished."""
        problem, solver = self.problem, _solver()
        intervals = [n for n, price in enumerate(wished) if price is not None]
        for n in intervals:
            low, high = boxes[n]
            solver.addVar(low, high)
        away = len(intervals)
        solver.changeObjectiveSense(_smallest())
        for column, n in enumerate(intervals):
            solver.changeColIntegrality(column, _integer())
            solver.addVar(0, INFINITY)  # in the order of columns: away, away + 1, …
            solver.changeColCost(away + column, 1)
            target = (wished[n] or 0) // problem.tick
            solver.addRow(target, INFINITY, 2, [column, away + column], [1, 1])
            solver.addRow(-INFINITY, target, 2, [column, away + column], [1, -1])
        for block, accepted in zip(problem.auction.blocks, steps, strict=True):
            if accepted:
                lots = [block.profile_wh[n] // problem.lot for n in intervals]
                owed = block.limit_price_nano_per_kwh // problem.tick * sum(lots)
                limits = (-INFINITY, owed) if block.buys else (owed, INFINITY)
                used = [(column, n) for column, n in enumerate(lots) if n]
                solver.addRow(*limits, len(used), [c for c, _ in used], [n for _, n in used])
        solver.setOptionValue("time_limit", solver.getRunTime() + PRICES_LIMIT_S)
        solver.run()
        self.spent_s_of_prices += solver.getRunTime()
        if not _is_optimal(solver.getModelStatus()):
            return None
        values = solver.getSolution().col_value
        found: list[int | None] = [None] * len(wished)
        for column, n in enumerate(intervals):
            found[n] = round(values[column]) * problem.tick
        return found

    def _less_than(self, place: int, steps: int) -> int:
        """A column that may be 1 only where the block is accepted less."""
        less, most = self._binary(), self.problem.most[place]
        self._condition(-INFINITY, most, {**self.steps[place], less: most - steps + 1})
        return less

    def _more_than(self, place: int, steps: int) -> int:
        """A column that may be 1 only where the block is accepted more."""
        more = self._binary()
        self._condition(0, INFINITY, {**self.steps[place], more: -(steps + 1)})
        return more

    def _interval(self, n: int, row: Row) -> None:
        """What each lot is worth that blocks can reach; what they cannot reach is a constant."""
        per_step = self._per_step(n)
        bought, sold = self._reach(per_step)
        first, last = max(0, row.asked + bought), row.asked + sold
        terms: Terms = {}
        before = 0
        for price, reached in zip(row.prices, row.reached, strict=True):
            inside = min(reached, last) - max(before, first)
            if inside > 0:
                column = self._column(0, inside)
                terms[column] = 1
                self.objective[column] = price
            self.constant += price * max(0, min(reached, row.asked) - max(before, first))
            before = reached
        for place, lots in enumerate(per_step):
            if lots:
                self._add(terms, self.steps[place], -lots)
        self._condition(row.asked - first, row.asked - first, terms)

    def _price(self, n: int) -> tuple[int, int, int]:
        """The column of an interval's price, between the lines, with the lowest and the highest that it may be."""
        known = self.priced.get(n)
        if known is not None:
            return known
        problem, row = self.problem, self.problem.rows[n]
        per_step = self._per_step(n)
        bought, sold = self._reach(per_step)
        low, high = row.ends(sold)[0], row.ends(bought)[1]
        lowest, highest = problem.lowest if low is None else low, problem.highest if high is None else high
        price = self._column(lowest, highest)
        for sign, lines in (
            (1, upper_lines(row, bought, sold, problem.highest)),
            (-1, lower_lines(row, bought, sold, problem.lowest)),
        ):
            for run, rise, at in lines:
                terms: Terms = {price: sign * run}
                for place, lots in enumerate(per_step):
                    if lots:
                        self._add(terms, self.steps[place], -sign * rise * lots)
                self._condition(-INFINITY, sign * at, terms)
        self.priced[n] = price, lowest, highest
        return self.priced[n]

    def _gains(self, place: int) -> None:
        """Where the block is accepted, prices between the lines do not make it lose."""
        block, lot = self.problem.auction.blocks[place], self.problem.lot
        lots = {n: energy // lot for n, energy in enumerate(block.profile_wh) if energy}
        owed = block.limit_price_nano_per_kwh // self.problem.tick * sum(lots.values())
        sign = 1 if block.buys else -1
        terms: Terms = {}
        worst = 0
        for n, wanted in lots.items():
            price, lowest, highest = self._price(n)
            terms[price] = sign * wanted
            worst += wanted * (highest if block.buys else lowest)
        loss = sign * (worst - owed)
        self._condition(-INFINITY, sign * owed + loss, {**terms, self.taken[place]: loss})

    def _per_step(self, n: int) -> list[int]:
        """What a step of each block sells (+) or buys (-) of an interval, in lots."""
        problem = self.problem
        return [
            (-1 if block.buys else 1) * block.profile_wh[n] // problem.lot // problem.most[place]
            for place, block in enumerate(problem.auction.blocks)
        ]

    def _reach(self, per_step: Sequence[int]) -> tuple[int, int]:
        """How many lots more the blocks may buy (-) and sell."""
        all_of = [lots * most for lots, most in zip(per_step, self.problem.most, strict=True)]
        return sum(lots for lots in all_of if lots < 0), sum(lots for lots in all_of if lots > 0)

    def _links(self, blocks: Sequence[BlockOrder]) -> None:
        for place, block in enumerate(blocks):
            if block.parent is not None:
                most = self.problem.most
                terms: Terms = {}
                self._add(terms, self.steps[place], most[block.parent])
                self._add(terms, self.steps[block.parent], -most[place])
                shared = gcd(*terms.values())
                self._condition(-INFINITY, 0, {column: n // shared for column, n in terms.items()})

    def _groups(self, blocks: Sequence[BlockOrder]) -> None:
        groups: dict[int, list[int]] = {}
        for place, block in enumerate(blocks):
            if block.group is not None:
                groups.setdefault(block.group, []).append(place)
        for places in groups.values():
            # Whoever is accepted whole or not at all is a 1 of itself, and the others share what is left of it.
            parts = {place: self.problem.most[place] for place in places if self._is_divided(place)}
            whole = _whole(parts.values())
            terms: Terms = {}
            for place in places:
                if place in parts:
                    self._add(terms, self.steps[place], whole // parts[place])
                else:
                    self._add(terms, {self.taken[place]: 1}, whole)
            self._condition(-INFINITY, whole, terms)

    def _is_divided(self, place: int) -> bool:
        """Whether the block may be accepted in part."""
        return self.problem.least[place] < self.problem.most[place]

    def _run(self) -> Any:
        left = self.limit_s - self.solver.getRunTime() - self.spent_s_of_prices
        if left <= 0:
            return None
        self.solver.setOptionValue("time_limit", self.solver.getRunTime() + left)
        self.solver.run()
        return self.solver.getModelStatus()

    def _found(self) -> Steps:
        values = self.solver.getSolution().col_value
        found = []
        for terms in self.steps:
            [(column, size)] = terms.items()
            found.append(round(values[column]) * size)
        return tuple(found)

    def _aim(self, at: Terms) -> None:
        for column in self.objective:
            self.solver.changeColCost(column, 0)
        for column in range(self.columns):
            self.solver.changeColCost(column, at.get(column, 0))

    def _binary(self) -> int:
        return self._column(0, 1, integer=True)

    def _column(self, low: int, high: int, *, integer: bool = False) -> int:
        self.solver.addVar(low, high)
        if integer:
            self.solver.changeColIntegrality(self.columns, _integer())
        self.columns += 1
        return self.columns - 1

    def _condition(self, low: Any, high: Any, terms: Terms) -> None:
        self.solver.addRow(low, high, len(terms), list(terms), list(terms.values()))

    @staticmethod
    def _add(to: Terms, terms: Terms, times: int) -> None:
        for column, n in terms.items():
            to[column] = to.get(column, 0) + n * times


def _whole(parts: Collection[int]) -> int:
    """What all of these numbers of steps divide, or nearly where that is too large for a solver's arithmetic."""
    exact = lcm(*parts)
    return exact if exact <= MOST_WHOLE else max(MOST_WHOLE, 1000 * max(parts))


def _solver() -> "Highs":
    """A silent solver that gives the same answer every time; its number of threads is one for the whole process."""
    import highspy
    import numpy as np

    solver: Highs = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 1)
    solver.setOptionValue("mip_rel_gap", np.float64(0))
    solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
    return solver


def _integer() -> Any:
    import highspy

    return highspy.HighsVarType.kInteger


def _smallest() -> Any:
    import highspy

    return highspy.ObjSense.kMinimize


def _is_optimal(status: Any) -> bool:
    import highspy

    return bool(status == highspy.HighsModelStatus.kOptimal)
