"""Wishes about a programme. Key: the programme."""

from schemas.message import command
from schemas.programme.events import SitePerformance, Terms
from schemas.values import Count, Id, PowerW, TickNumber, TimeUs


@command
class AdoptTerms:
    """The operator's terms of the programme; the first ones open it. The actor becomes its operator."""

    terms: Terms


@command
class EnrolSite:
    """A site offers this reduction to the programme (sent by a policy); it replaces what it offered before."""

    connection: Id
    party: Id
    metering_point: Id
    reduction_w: PowerW
    zone: Id


@command
class CallEvent:
    """The operator asks for `target_w` of reduction in [start_at, end_at)."""

    start_at: TimeUs
    end_at: TimeUs
    target_w: PowerW


@command
class OptOut:
    """A site will not follow this event."""

    event: Id
    connection: Id


@command
class MeasurePerformance:
    """Asks for baseline and response of a completed event, from what was known at tick `cutoff_tick`.

    A later measurement replaces the one before, so its cut-off lies after that one's.
    """

    event: Id
    cutoff_tick: TickNumber


@command
class ProposePerformance:
    """Part `part` (1, 2, … `parts`) of a computed measurement, sent by the calculation; the last completes it."""

    measurement: Id
    part: Count
    parts: Count
    sites: tuple[SitePerformance, ...]
