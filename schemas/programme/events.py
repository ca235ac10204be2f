"""Facts about a programme. Key: the programme."""

from enum import StrEnum

from schemas.message import event, value
from schemas.values import (
    Count,
    Currency,
    EnergySumWh,
    Id,
    Minutes,
    Name,
    PowerW,
    PriceNanoPerKwh,
    SignedEnergyWh,
    TickNumber,
    TimeUs,
)


class Netting(StrEnum):
    """How interval responses become the paid response: floored at 0 each, or netted over the event and floored."""

    INTERVAL_FLOOR = "interval_floor"
    EVENT_TOTAL = "event_total"


class PerformanceStatus(StrEnum):
    """Whether a site's response could be measured, and if not, why; in the order of the checks."""

    MEASURED = "measured"
    CALENDAR_MISSING = "calendar_missing"
    MISSING_EVENT_DATA = "missing_event_data"
    ESTIMATED_EVENT_DATA = "estimated_event_data"
    TOO_FEW_REFERENCE_DAYS = "too_few_reference_days"


class ProgrammeRefusal(StrEnum):
    """Why a wish of this family was refused, in the order of the checks."""

    PROGRAMME_UNKNOWN = "programme_unknown"
    NOT_AUTHORISED = "not_authorised"
    WRONG_ZONE = "wrong_zone"
    INVALID_TERMS = "invalid_terms"
    ALREADY_ENROLLED = "already_enrolled"
    PROGRAMME_FULL = "programme_full"
    EVENT_UNKNOWN = "event_unknown"
    SITE_NOT_ASKED = "site_not_asked"
    ALREADY_OPTED_OUT = "already_opted_out"
    EVENT_STARTED = "event_started"
    EVENT_NOT_COMPLETED = "event_not_completed"
    EVENT_OFF_GRID = "event_off_grid"
    EVENT_TOO_LONG = "event_too_long"
    TOO_MANY_EVENTS = "too_many_events"
    EVENT_OVERLAPS = "event_overlaps"
    NOTICE_TOO_SHORT = "notice_too_short"
    TARGET_ZERO = "target_zero"
    TARGET_ABOVE_ENROLLED = "target_above_enrolled"
    CUTOFF_IN_THE_FUTURE = "cutoff_in_the_future"
    CUTOFF_NOT_AFTER_LAST = "cutoff_not_after_last"
    MEASUREMENT_RUNNING = "measurement_running"
    MEASUREMENT_UNKNOWN = "measurement_unknown"
    PART_UNEXPECTED = "part_unexpected"
    SITES_DIFFER = "sites_differ"
    ARITHMETIC = "arithmetic"


@value
class BaselineMethod:
    """A customer baseline as a parameter set: KPX Mid(6/10) is pool 20, reference 10, drop 2 and 2, low usage 75 %.

    Days are the weekdays of the `look_back_days` before the event that are no holidays of the calendar
    series, no earlier event days of the programme and have all their data; of the `pool_days` most
    recent ones (of all, if there are fewer) those below `low_usage_percent` of the pool's mean
    (over the event hours) are dropped, the `reference_days` most recent of the rest are ranked by
    their mean over the event hours, `drop_highest` and `drop_lowest` fall, the others are averaged.
    """

    name: Name
    version: Count
    calendar: Id
    look_back_days: Count
    pool_days: Count
    reference_days: Count
    drop_highest: Count
    drop_lowest: Count
    low_usage_percent: Count


@value
class Terms:
    """A programme's terms. The response is a reduction; `incentive` is paid per kWh of it.

    A measurement that is not complete `measurement_wait_min` after its start is abandoned.
    """

    operator: Id
    zone: Id
    currency: Currency
    interval_min: Minutes
    min_notice_min: Count
    measurement_wait_min: Count
    incentive_nano_per_kwh: PriceNanoPerKwh
    netting: Netting
    baseline: BaselineMethod


@value
class SitePerformance:
    """Baseline, metered net withdrawal and response of one site, per interval of the event.

    `paid_wh` follows the terms' netting; days are local ISO dates. `reference_days` are the averaged
    days (the few that were found, if they are too few), `excluded_days` all others that were considered,
    each with its reason. Of a site that is not `measured` the arrays of energy are empty and nothing is
    paid: missing data are no zero load.
    """

    connection: Id
    party: Id
    status: PerformanceStatus
    reference_days: tuple[Name, ...]
    excluded_days: tuple[Name, ...]
    exclusion_reasons: tuple[Name, ...]
    baseline_wh: tuple[SignedEnergyWh, ...]
    metered_wh: tuple[SignedEnergyWh, ...]
    response_wh: tuple[SignedEnergyWh, ...]
    paid_wh: EnergySumWh


@event
class TermsAdopted:
    """Version `version` of the programme's terms holds for events called from now on."""

    programme: Id
    version: Count
    terms: Terms


@event
class SiteEnrolled:
    """The site offers this reduction."""

    programme: Id
    connection: Id
    party: Id
    metering_point: Id
    reduction_w: PowerW


@event
class EventCalled:
    """The sites are asked to reduce; the set-points sum to the target. This fact is their notification."""

    programme: Id
    event: Id
    terms_version: Count
    start_at: TimeUs
    end_at: TimeUs
    target_w: PowerW
    connections: tuple[Id, ...]
    parties: tuple[Id, ...]
    set_points_w: tuple[PowerW, ...]


@event
class SiteOptedOut:
    """The site does not follow; the others' new set-points, version `version`, follow as `SetPointsAssigned`."""

    programme: Id
    event: Id
    version: Count
    connection: Id
    party: Id


@event
class SetPointsAssigned:
    """Version `version` of an event's set-points (1 stands in `EventCalled`), of all sites that still follow.

    `unserved_w` is what the remaining sites cannot take over. A set-point of 0 asks the site for nothing.
    """

    programme: Id
    event: Id
    version: Count
    connections: tuple[Id, ...]
    parties: tuple[Id, ...]
    set_points_w: tuple[PowerW, ...]
    unserved_w: PowerW


@event
class EventStarted:
    """The event's time has come; nobody can opt out any more."""

    programme: Id
    event: Id


@event
class EventCompleted:
    """The event is over."""

    programme: Id
    event: Id


@event
class MeasurementStarted:
    """Freezes the inputs of a measurement: the event, its sites, the method and the cut-off.

    The sites are those that were asked and did not opt out. `earlier_events_…` are the programme's
    events within the method's look-back. At `deadline_at` an incomplete measurement is abandoned.
    """

    programme: Id
    measurement: Id
    event: Id
    version: Count
    cutoff_tick: TickNumber
    start_at: TimeUs
    end_at: TimeUs
    connections: tuple[Id, ...]
    parties: tuple[Id, ...]
    metering_points: tuple[Id, ...]
    earlier_events_start_at: tuple[TimeUs, ...]
    earlier_events_end_at: tuple[TimeUs, ...]
    terms_version: Count
    terms: Terms
    deadline_at: TimeUs


@event
class PerformanceRecorded:
    """A checked part of a measurement; it counts once the measurement is completed."""

    programme: Id
    measurement: Id
    event: Id
    version: Count
    part: Count
    operator: Id
    zone: Id
    currency: Currency
    incentive_nano_per_kwh: PriceNanoPerKwh
    start_at: TimeUs
    interval_min: Minutes
    sites: tuple[SitePerformance, ...]


@event
class MeasurementCompleted:
    """Every asked site is measured; this version replaces earlier ones of the event."""

    programme: Id
    measurement: Id
    event: Id
    version: Count
    sites: Count
    response_wh: SignedEnergyWh
    paid_wh: EnergySumWh


@event
class MeasurementAbandoned:
    """The measurement did not come in time: its parts never count, an earlier version of the event stays in force."""

    programme: Id
    measurement: Id
    event: Id
    version: Count


@event
class CommandRefused:
    """A wish that a rule of this family forbids; nothing else changed."""

    command: Name
    subject: Id
    reason: ProgrammeRefusal
    limit: int
    found: int
