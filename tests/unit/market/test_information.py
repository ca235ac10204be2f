"""A party acknowledges what it has read: only itself, only forward, never beyond what there is."""

import pytest

from schemas.market.events import CommandRefused, MarketRefusal
from schemas.market.information_commands import AcknowledgeNotifications
from schemas.market.information_events import NotificationsAcknowledged
from tests.unit.given import Scenario
from tests.unit.market.world import MARKET, open_market, sell, submit
from tests.unit.written import only_judges, rebuilt


@pytest.fixture(name="market")
def with_an_order() -> Scenario:
    market = open_market("ann", "bob")
    submit(market, sell("bob", 1, 10))
    return market


def last(market: Scenario) -> int:
    return len(market.facts) - 1


def refused(market: Scenario, party: str, partition: int, seq: int, actor: str = "") -> tuple[MarketRefusal, int, int]:
    wish = AcknowledgeNotifications(party, partition, seq)
    (fact,) = only_judges(market, wish, actor or party)
    assert isinstance(fact, CommandRefused)
    assert (fact.command, fact.subject, fact.party) == ("AcknowledgeNotifications", party, party)
    return fact.reason, fact.limit, fact.found


def test_up_to_the_last_fact_and_then_further(market: Scenario) -> None:
    end = last(market)
    assert market.when(AcknowledgeNotifications("bob", 0, end - 1), "bob") == [
        NotificationsAcknowledged(MARKET, "bob", 0, end - 1)
    ]
    # The acknowledgement is a fact, too.
    assert market.when(AcknowledgeNotifications("bob", 0, end + 1), "bob")[0].seq == end + 1
    assert market.state.acknowledged == {"bob": (0, end + 1)}
    again = rebuilt(market)
    assert again == market.state
    assert (again.partition, again.reached_seq) == (0, last(market))


def test_market_unknown() -> None:
    assert refused(Scenario("market", MARKET), "bob", 0, 0) == (MarketRefusal.MARKET_UNKNOWN, 0, 0)


def test_not_authorised(market: Scenario) -> None:
    assert refused(market, "bob", 0, 1, "ann") == (MarketRefusal.NOT_AUTHORISED, 0, 0)


def test_participant_unknown(market: Scenario) -> None:
    assert refused(market, "eve", 0, 1) == (MarketRefusal.PARTICIPANT_UNKNOWN, 0, 0)


def test_only_forward(market: Scenario) -> None:
    market.when(AcknowledgeNotifications("bob", 0, 3), "bob")
    assert refused(market, "bob", 0, 3) == (MarketRefusal.NOT_FORWARD, 3, 3)
    assert refused(market, "bob", 0, 2) == (MarketRefusal.NOT_FORWARD, 3, 2)
    assert market.when(AcknowledgeNotifications("ann", 0, 2), "ann")[0].seq == 2


def test_never_beyond_what_exists(market: Scenario) -> None:
    end = last(market)
    assert refused(market, "bob", 0, end + 1) == (MarketRefusal.POSITION_UNKNOWN, end, end + 1)
    assert refused(market, "bob", 1, 0) == (MarketRefusal.POSITION_UNKNOWN, 0, 1)
