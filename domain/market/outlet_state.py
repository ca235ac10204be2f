"""What is kept of outlets: until they ended, or their period is settled."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.market.outlet_events import OutletProposed


@dataclass(slots=True)
class Outlet:
    """An outlet; `waiting` until it is agreed. `references` are its trades elsewhere by venue and reference."""

    proposed: OutletProposed
    number: int
    waiting: bool = True
    references: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Outlets:
    """The outlets of a market by id; `number` counts them."""

    known: dict[str, Outlet] = field(default_factory=dict)
    number: int = 0

    def of(self, connection: str, from_at: int, to_at: int) -> Iterator[Outlet]:
        """Those that buy, or would buy, what the connection feeds in at some time of a period."""
        for outlet in self.known.values():
            terms = outlet.proposed
            if connection in terms.connections and terms.from_at < to_at and from_at < terms.to_at:
                yield outlet

    def forget_until(self, at: int) -> None:
        """Drops what ended before."""
        for name in [name for name, outlet in self.known.items() if outlet.proposed.to_at <= at]:
            del self.known[name]
