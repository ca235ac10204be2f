"""What time alone brings about in a programme: events start and end, measurements that never came are abandoned."""

from collections.abc import Iterator

from domain.programme.state import Programme
from schemas.programme.events import EventCompleted, EventStarted, MeasurementAbandoned

TimeFact = EventStarted | EventCompleted | MeasurementAbandoned

_ENDS, _LAPSES, _STARTS = range(3)
"""At one time the old ends before the new begins."""


def reached(state: Programme, at: int) -> list[TimeFact]:
    """The facts that are due at `at`, in the order of their times."""
    found = sorted((step for step in _steps(state) if step[0] <= at), key=lambda step: step[:3])
    return [fact for *_, fact in found]


def next_at(state: Programme) -> int | None:
    """The time of the next fact that time brings about, or none."""
    return min((step[0] for step in _steps(state)), default=None)


def _steps(state: Programme) -> Iterator[tuple[int, int, str, TimeFact]]:
    for event in state.live.values():
        if not event.started:
            yield event.start_at, _STARTS, event.id, EventStarted(state.key, event.id)
        yield event.end_at, _ENDS, event.id, EventCompleted(state.key, event.id)
    for each in state.running.values():
        abandoned = MeasurementAbandoned(state.key, each.id, each.event, each.version)
        yield each.deadline_at, _LAPSES, each.id, abandoned
