"""What a market or a programme is allotted over the delivery time: steps, each holding up to the next one."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Capability:
    """Power that the site can inject into the grid, or by which it can reduce its withdrawal (W), and what its
    storage may give back (Wh)."""

    injection_w: int
    reduction_w: int
    stored_wh: int = 0

    def or_more(self, other: "Capability") -> "Capability":
        """The higher of both, number by number."""
        return Capability(
            max(self.injection_w, other.injection_w),
            max(self.reduction_w, other.reduction_w),
            max(self.stored_wh, other.stored_wh),
        )


NOTHING = Capability(0, 0)


class Window(NamedTuple):
    """Deliveries in [from_at, to_at), UTC µs; none as the end is for ever."""

    from_at: int
    to_at: int | None


@dataclass(slots=True)
class Timeline:
    """`starts` sorted, the first 0; `held[i]` from `starts[i]` up to the next one."""

    starts: list[int] = field(default_factory=lambda: [0])
    held: list[Capability] = field(default_factory=lambda: [NOTHING])

    def at(self, at: int) -> Capability:
        """What is held at a time."""
        return self.held[bisect_right(self.starts, at) - 1]

    def steps_in(self, window: Window) -> Iterator[int]:
        """The times in the window at which what is held may be another: its beginning, and each step in it."""
        yield window.from_at
        for start in self.starts[bisect_right(self.starts, window.from_at) :]:
            if window.to_at is not None and start >= window.to_at:
                return
            yield start

    def put(self, window: Window, held: Capability, over_at: int) -> None:
        """Replaces what is held in the window; steps that end at or before `over_at` are forgotten."""
        starts = [s for s in self.starts if s < window.from_at]
        kept = self.held[: len(starts)]
        starts.append(window.from_at)
        kept.append(held)
        if window.to_at is not None:
            starts.append(window.to_at)
            kept.append(self.at(window.to_at))
            later = bisect_right(self.starts, window.to_at)
            starts += self.starts[later:]
            kept += self.held[later:]
        over = max(0, bisect_right(starts, over_at) - 1)
        self.starts, self.held = [0, *starts[over + 1 :]], kept[over:]
