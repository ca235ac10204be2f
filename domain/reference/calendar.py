"""Local dates of a calendar, read strictly: `YYYY-MM-DD` of the Gregorian calendar and nothing else."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_date(text: str) -> bool:
    """True for an existing day written as ISO 8601's extended calendar date.

    `date.fromisoformat` alone also takes `20250501` and `2025-W18-4`: two spellings of one day would
    then be two days to whoever compares text.
    """
    if _FORM.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def first_that_is_no_date(texts: Iterable[str]) -> str | None:
    """The first text that is no date, or none."""
    return next((text for text in texts if not is_date(text)), None)


def count_outside(days: Iterable[str], first_day: str, last_day: str) -> int:
    """How many days lie outside [first_day, last_day]; all are dates, whose text sorts by time."""
    return sum(not first_day <= day <= last_day for day in days)
