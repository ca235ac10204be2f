"""What is kept of resting block orders."""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.market.book import Order
from schemas.values import MINUTE_US

Span = tuple[int, int, int]
"""First delivery start (UTC µs), duration of each delivery (minutes), number of deliveries."""


@dataclass(slots=True)
class Block:
    """A resting block; the quantity of `order` is that of each delivery, its exposure that of each Wh."""

    order: Order
    span: Span


def span_of(span: Span) -> Iterator[tuple[int, int]]:
    """The keys of a block's instruments."""
    first, duration_min, intervals = span
    for n in range(intervals):
        yield first + n * duration_min * MINUTE_US, duration_min


def span_name(span: Span) -> str:
    """The subject of a timer of the blocks of these deliveries."""
    return "/".join(map(str, span))


def covers(span: Span, start_at: int, duration_min: int) -> bool:
    """Whether the delivery is one of a block's."""
    first, each_min, intervals = span
    return duration_min == each_min and first <= start_at < first + intervals * each_min * MINUTE_US
