"""The arithmetic of a measured response: what the calculation computes and the decider checks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from schemas.programme.events import Netting, PerformanceStatus, SitePerformance, Terms

CALCULATION_NAME: Final = "programme.baseline"
"""The calculation whose proposals are accepted."""

Difference = tuple[int, int]
"""What was expected and what was found."""


def response_of(baseline_wh: Iterable[int], metered_wh: Iterable[int]) -> tuple[int, ...]:
    """What the site withdrew less than its baseline, per interval; negative where it withdrew more."""
    return tuple(b - m for b, m in zip(baseline_wh, metered_wh, strict=True))


def paid_of(netting: Netting, response_wh: Sequence[int]) -> int:
    """The response that is paid: +50, -20, +30 give 80 floored per interval, 60 netted (domain rules, 3.1)."""
    if netting is Netting.INTERVAL_FLOOR:
        return sum(max(0, wh) for wh in response_wh)
    return max(0, sum(response_wh))


def averaged_days(terms: Terms) -> int:
    """How many days a measured baseline is the mean of."""
    method = terms.baseline
    return method.reference_days - method.drop_highest - method.drop_lowest


def first_difference(site: SitePerformance, intervals: int, terms: Terms) -> Difference | None:
    """Where a proposed performance contradicts itself or the terms, or none."""
    return next(((expected, found) for expected, found in _pairs(site, intervals, terms) if expected != found), None)


def _pairs(site: SitePerformance, intervals: int, terms: Terms) -> Iterator[Difference]:
    """Pairs of numbers that must be equal; a later pair may rely on the ones before."""
    yield len(site.excluded_days), len(site.exclusion_reasons)
    if site.status is PerformanceStatus.MEASURED:
        yield averaged_days(terms), len(site.reference_days)
    else:
        intervals = 0
    yield intervals, len(site.baseline_wh)
    yield intervals, len(site.metered_wh)
    yield intervals, len(site.response_wh)
    yield from zip(response_of(site.baseline_wh, site.metered_wh), site.response_wh, strict=True)
    yield paid_of(terms.netting, site.response_wh), site.paid_wh
