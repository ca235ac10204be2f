"""How the supporting prices of an interval hang on what blocks sell more than they buy, as straight lines.

Both ends of the supporting prices fall in steps. A solver takes lines only: no step is above the upper ones or below
the lower ones, so whatever prices a result may have are between them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from domain.market.block_problem import Row

Point = tuple[int, int]
"""(lots that blocks sell more than they buy, price in ticks)."""


class Line(NamedTuple):
    """`run` × price is at most (of a lower line: at least) `rise` × lots + `at`; `run` is above zero."""

    run: int
    rise: int
    at: int


def upper_lines(row: Row, first: int, last: int, highest: int) -> list[Line]:
    """No supporting price is above these where blocks sell between `first` and `last` lots more than they buy."""
    # A step goes up to and with the last lot of its price, so it is highest there.
    ends = [first, *(end for end in _borders(row) if first < end < last), last]
    return _hull([(end, _high(row, end, highest)) for end in ends], 1)


def lower_lines(row: Row, first: int, last: int, lowest: int) -> list[Line]:
    """No supporting price is below these."""
    begins = [first, *(begin for begin in _borders(row) if first < begin < last), last]
    return _hull([(begin, _low(row, begin, lowest)) for begin in begins], -1)


def _borders(row: Row) -> list[int]:
    return sorted({-row.asked, *(reached - row.asked for reached in row.reached)})


def _high(row: Row, net: int, highest: int) -> int:
    found = row.ends(net)[1]
    return highest if found is None else found


def _low(row: Row, net: int, lowest: int) -> int:
    found = row.ends(net)[0]
    return lowest if found is None else found


def _hull(points: Sequence[Point], side: int) -> list[Line]:
    """The lines of the hull above (1) or below (-1) the points, which come from left to right."""
    hull: list[Point] = []
    for point in dict(points).items():
        while len(hull) > 1 and side * _turn(hull[-2], hull[-1], point) >= 0:
            hull.pop()
        hull.append(point)
    if len(hull) == 1:
        return [Line(1, 0, hull[0][1])]
    return [Line(x2 - x1, y2 - y1, (x2 - x1) * y1 - (y2 - y1) * x1) for (x1, y1), (x2, y2) in pairwise(hull)]


def _turn(a: Point, b: Point, c: Point) -> int:
    """Above zero where the way over three points turns to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
