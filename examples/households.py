"""What an agent may know of a household of the sample: its meters on the days before the one it bids for."""

from examples.agents import Household
from examples.world import Place

_WORKING_DAYS, _DAYS = 5, 7
_SATURDAY = 5


def household(place: Place, connection: str) -> Household:
    """The household behind a connection."""
    community = place.community
    energy = place.energy.connections[connection]
    earlier = [community.day_slice(day) for day in range(community.delivery_day_index)]
    dates = zip(earlier, community.local_dates, strict=False)
    working = [day for day, date in dates if date.weekday() < _SATURDAY]
    return Household(
        place.party_of(connection),
        connection,
        [energy.import_from_grid_wh[day] for day in working[-_WORKING_DAYS:]],
        [energy.export_to_grid_wh[day] for day in earlier[-_DAYS:]],
        place.injects(connection),
    )


def sellers_by_export(place: Place) -> list[str]:
    """The connections that feed in, the largest of the day before first."""
    yesterday = place.community.day_slice(place.community.delivery_day_index - 1)
    energy = place.energy.connections
    connections = [c.connection for c in place.community.connections if place.injects(c.connection)]
    return sorted(connections, key=lambda c: (sum(energy[c].export_to_grid_wh[yesterday]), c), reverse=True)


def buyers_by_import(place: Place) -> list[str]:
    """The connections that only consume, the largest of the day before first."""
    yesterday = place.community.day_slice(place.community.delivery_day_index - 1)
    energy = place.energy.connections
    connections = [c.connection for c in place.community.connections if not place.injects(c.connection)]
    return sorted(connections, key=lambda c: (sum(energy[c].import_from_grid_wh[yesterday]), c), reverse=True)
