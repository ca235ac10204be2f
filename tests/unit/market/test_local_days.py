"""Local days of Europe/Berlin: 92 quarter-hours in March, 100 in October, the repeated hour being two deliveries."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from schemas.market.commands import OpenSession
from schemas.market.events import RuleSetAdopted, SessionOpened
from schemas.market.rules import TradingRules
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.world import MARKET, OPERATOR, QUARTER, joined, rules, sell, submit

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 4 * QUARTER


def midnight(year: int, month: int, day: int) -> int:
    """Of the local day, in UTC µs."""
    return round(datetime(year, month, day, tzinfo=BERLIN).astimezone(UTC).timestamp()) * 10**6


def local(start: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)).astimezone(BERLIN).strftime("%H:%M")


DAYS = [((2026, 3, 29), 92, 23), ((2026, 7, 1), 96, 24), ((2026, 10, 25), 100, 25)]


def listed(date: tuple[int, int, int], count: int, duration_min: int) -> tuple[Scenario, list[int]]:
    """The market with the local day listed, and its starts."""
    first = midnight(*date)
    market = Scenario("market", MARKET, at=first - 600 * MINUTE)
    market.given(RuleSetAdopted(MARKET, 1, 0, rules(trading=TradingRules((60,), 0, 0, 0, 0, 0, 0))), *joined("ann"))
    (fact,) = market.when(OpenSession(first, count, duration_min), OPERATOR)
    assert type(fact) is SessionOpened
    return market, sorted(start for start, _ in market.state.instruments)


@pytest.mark.parametrize(("date", "quarters", "hours"), DAYS)
def test_a_local_day_has_92_or_96_or_100_quarter_hours(date: tuple[int, int, int], quarters: int, hours: int) -> None:
    year, month, day = date
    end = midnight(year, month, day + 1)
    for count, minutes in ((quarters, 15), (hours, 60)):
        _, starts = listed(date, count, minutes)
        assert len(starts) == count == (end - midnight(*date)) // (minutes * MINUTE)
        assert [b - a for a, b in pairwise(starts)] == [minutes * MINUTE] * (count - 1)
        assert (local(starts[0]), starts[-1] + minutes * MINUTE) == ("00:00", end)


def test_the_hour_that_is_missing_in_march_is_no_delivery() -> None:
    _, starts = listed((2026, 3, 29), 92, 15)
    assert [local(start) for start in starts][4:12] == [
        "01:00", "01:15", "01:30", "01:45", "03:00", "03:15", "03:30", "03:45"
    ]  # fmt: skip


def test_the_hour_that_is_repeated_in_october_is_two_deliveries() -> None:
    """Each has its own book, and a connection sells its capability in each of them."""
    market, starts = listed((2026, 10, 25), 100, 15)
    twice = [start for start in starts if local(start) == "02:00"]
    assert twice == [starts[8], starts[12]]
    assert twice[1] - twice[0] == HOUR
    orders = [submit(market, sell("ann", 100, 10, start=start))[0] for start in twice]
    assert [order.delivery_start_at for order in orders] == twice
    market, starts = listed((2026, 10, 25), 25, 60)
    assert [local(start) for start in starts][1:5] == ["01:00", "02:00", "02:00", "03:00"]
