"""What a programme remembers: its terms, the sites' offers, its events and the measurements that run."""

from dataclasses import dataclass, field
from typing import Final

from domain.programme.terms import MAX_LOOK_BACK_DAYS
from schemas.programme.events import Terms
from schemas.values import MINUTE_US

DAY_US: Final = 1440 * MINUTE_US

MEASURABLE_DAYS: Final = 900
"""For so long a completed event can be measured: the last dispute run ends after 28 months (domain rules, 4.6)."""

_PAST_US: Final = (MAX_LOOK_BACK_DAYS + 2) * DAY_US
"""Past events within it may lie in a look-back; two days for the local days' edges."""

Window = tuple[int, int]
"""Start and end (UTC µs) of an event, the end not included."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a site offers, and where its response is metered."""

    party: str
    metering_point: str
    reduction_w: int


@dataclass(slots=True)
class AskedSite:
    """A site in an event: its offer when the event was called, and what it is asked for unless it opted out."""

    offer: Offer
    set_point_w: int
    opted_out: bool = False


@dataclass(slots=True)
class DrEvent:
    """An event with the terms it was called under.

    `earlier` are the windows before it (known once it starts: nothing can be called before it any more),
    `measurements` counts them, `measured_cutoff` is the cut-off of the last complete one (-1: none).
    """

    id: str
    start_at: int
    end_at: int
    target_w: int
    terms_version: int
    terms: Terms
    sites: dict[str, AskedSite]
    started: bool = False
    set_points_version: int = 1
    earlier: tuple[Window, ...] = ()
    measurements: int = 0
    measured_cutoff: int = -1

    @property
    def intervals(self) -> int:
        """How many intervals of the terms the event has."""
        return (self.end_at - self.start_at) // (self.terms.interval_min * MINUTE_US)

    @property
    def followers(self) -> dict[str, AskedSite]:
        """The sites that did not opt out."""
        return {connection: site for connection, site in self.sites.items() if not site.opted_out}


@dataclass(slots=True)
class Measurement:
    """A running measurement: whom it still owes (connection → party), and the sums of what is recorded."""

    id: str
    event: str
    version: int
    cutoff_tick: int
    deadline_at: int
    sites: int
    owed: dict[str, str]
    parts: int = 0
    response_wh: int = 0
    paid_wh: int = 0


@dataclass(slots=True)
class Programme:
    """State of one programme; `terms` are none before the first ones.

    `live` are events that are called or started, `completed` those that can still be measured, `past` the
    windows of all started events that may lie in a look-back.
    """

    key: str
    terms: Terms | None = None
    terms_version: int = 0
    offers: dict[str, Offer] = field(default_factory=dict)
    live: dict[str, DrEvent] = field(default_factory=dict)
    completed: dict[str, DrEvent] = field(default_factory=dict)
    past: list[Window] = field(default_factory=list)
    running: dict[str, Measurement] = field(default_factory=dict)

    def event(self, id_: str) -> DrEvent | None:
        """The event of this id, unless it is unknown or forgotten."""
        return self.live.get(id_) or self.completed.get(id_)

    def windows_before(self, at: int, days: int) -> list[Window]:
        """Windows of started events that begin before `at` and end less than `days` before it, give or take a day."""
        return [w for w in self.past if w[0] < at and w[1] > at - (days + 2) * DAY_US]

    def start(self, event: DrEvent) -> None:
        """The event begins; what lies too far back for any look-back is forgotten."""
        event.started = True
        event.earlier = tuple(self.windows_before(event.start_at, event.terms.baseline.look_back_days))
        self.past = [w for w in self.past if w[1] > event.start_at - _PAST_US]
        self.past.append((event.start_at, event.end_at))

    def complete(self, event: DrEvent, at: int) -> None:
        """The event is over; what is too old to be measured at `at` is forgotten, unless it is being measured."""
        del self.live[event.id]
        self.completed[event.id] = event
        measured = {measurement.event for measurement in self.running.values()}
        oldest = at - MEASURABLE_DAYS * DAY_US
        for old in [e.id for e in self.completed.values() if e.end_at < oldest and e.id not in measured]:
            del self.completed[old]
