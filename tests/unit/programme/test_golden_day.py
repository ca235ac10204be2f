"""A day that never changes: whoever changes what the decider says raises `LOGIC` and adds a digest."""

from hashlib import blake2b
from random import Random

from domain.programme import decider
from schemas.programme.commands import CallEvent, EnrolSite, MeasurePerformance, OptOut
from schemas.programme.events import (
    CommandRefused,
    EventCalled,
    MeasurementCompleted,
    MeasurementStarted,
    SetPointsAssigned,
)
from schemas.shape import record_shape
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.programme.programmes import (
    CALCULATION,
    HOUR,
    NOON,
    OPERATOR,
    POLICY,
    measuring,
    performance,
    programme,
    proposal,
)

GOLDEN = {1: "c0e3d21f174ffd08656e3ffba02f3ade"}
"""The digest of the day's facts by `LOGIC`."""


def day() -> Scenario:
    """60 sites, ten events one after the other with opt-outs and changed offers, every second one measured twice."""
    draw = Random(2072)
    sites = [f"c{n:02}" for n in range(60)]
    p1 = programme(offers={site: draw.randrange(500, 9_000) for site in sites})
    for n in range(10):
        start_at = NOON + (4 * n + 2) * HOUR
        p1.at = start_at - 100 * MINUTE
        *_, fact = p1.when(CallEvent(start_at, start_at + HOUR, draw.randrange(150_000, 295_000)), OPERATOR)
        for site in draw.sample(sites, 8):
            offer = EnrolSite(site, f"party-{site}", f"mp-{site}", draw.randrange(0, 9_000), "lv5-201")
            p1.when(offer, POLICY)
        for site in draw.sample(sites, 6):
            if isinstance(fact, EventCalled):
                p1.when(OptOut(fact.event, site), f"party-{draw.choice([site] * 400 + sites)}")
        p1.later(start_at + HOUR)
        if not isinstance(fact, EventCalled) or n % 2:
            continue
        for _ in range(2):
            p1.later(p1.at + MINUTE)
            started = measuring(p1, fact.event, p1.now.n)
            names = started.connections
            for part in range(2):
                metered = [tuple(draw.randrange(-200, 300) for _ in range(4)) for _ in names[part::2]]
                found = [performance(c, metered_wh=m) for c, m in zip(names[part::2], metered, strict=True)]
                p1.when(proposal(started, part + 1, 2, *found), CALCULATION)
        p1.when(MeasurePerformance(fact.event, p1.now.n), OPERATOR)
    lapsing = measuring(p1, only(p1.facts, EventCalled)[1].event)
    p1.later(lapsing.deadline_at)
    return p1


def test_the_golden_day() -> None:
    facts = day().facts
    assert len(only(facts, MeasurementCompleted)) == 10
    assert len(only(facts, MeasurementStarted)) == 11
    assert len(only(facts, SetPointsAssigned)) > 40
    assert any(fact.unserved_w for fact in only(facts, SetPointsAssigned))
    assert len(only(facts, CommandRefused)) > 10
    digest = blake2b("\n".join(map(repr, facts)).encode(), digest_size=16).hexdigest()
    assert digest == GOLDEN.get(decider.LOGIC)


def test_every_fact_fits_its_schema() -> None:
    for fact in day().facts:
        record_shape(type(fact), "gridbook.programme").to_datum(fact, type(fact).__name__)
