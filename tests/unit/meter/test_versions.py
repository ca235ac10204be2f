"""Readings against a naive dictionary: versions, what is unchanged, and the newest value of each interval."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.meter.commands import RecordReadings
from schemas.meter.events import MeteringPointRegistered, MeterKind, Quality, ReadingsRecorded, ReadingsUnchanged
from schemas.values import Direction
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.written import only_judges, rebuilt

HOUR = 60 * MINUTE
POINT = MeteringPointRegistered("mp-1", "gcp-1", MeterKind.UTILITY, 60)

BATCHES = st.builds(
    RecordReadings,
    st.just("head-end"),
    st.just("b"),
    st.sampled_from([Direction.IMPORT_FROM_GRID, Direction.EXPORT_TO_GRID]),
    # Around a midnight, so that batches reach over two or three days.
    st.integers(18, 30).map(lambda hour: hour * HOUR),
    st.just(60),
    st.sampled_from([Quality.VALID, Quality.ESTIMATED]),
    st.lists(st.integers(0, 1), min_size=1, max_size=30).map(tuple),
)

Interval = tuple[Direction, int]


@given(st.lists(BATCHES, max_size=12))
def test_versions_and_values_are_those_of_a_dictionary(wishes: list[RecordReadings]) -> None:
    mp1 = Scenario("meter", "mp-1", at=100 * 24 * HOUR).given(POINT)
    values: dict[Interval, tuple[int, Quality]] = {}
    versions: dict[Interval, int] = {}
    for wish in wishes:
        (fact,) = only_judges(mp1, wish, "head-end")
        touched = [(wish.direction, wish.start_at + n * HOUR) for n in range(len(wish.energy_wh))]
        wished = {t: (wh, wish.quality) for t, wh in zip(touched, wish.energy_wh, strict=True)}
        if all(values.get(t) == wished[t] for t in touched):
            assert type(fact) is ReadingsUnchanged
        else:
            assert type(fact) is ReadingsRecorded
            assert fact.version == 1 + max(versions.get(t, 0) for t in touched)
            values |= wished
            versions |= dict.fromkeys(touched, fact.version)
    assert rebuilt(mp1) == mp1.state
    assert newest(mp1) == values


def newest(mp1: Scenario) -> dict[Interval, tuple[int, Quality]]:
    """What the slate `current_readings` shows: of each interval the value of the highest version."""
    found: dict[Interval, tuple[int, int, Quality]] = {}
    for fact in only(mp1.facts, ReadingsRecorded):
        for n, wh in enumerate(fact.energy_wh):
            interval = (fact.direction, fact.start_at + n * HOUR)
            assert interval not in found or found[interval][0] != fact.version, "two values of one version"
            if interval not in found or found[interval][0] < fact.version:
                found[interval] = (fact.version, wh, fact.quality)
    return {interval: (wh, quality) for interval, (_, wh, quality) in found.items()}
