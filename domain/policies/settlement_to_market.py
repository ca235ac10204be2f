"""A posted run tells its markets that what its area settled no longer counts as exposure."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.envelope import Recorded
from schemas.market.commands import SettleDelivery
from schemas.market.events import CommandRefused, DeliverySettled
from schemas.settlement.events import RunPosted


def settle(fact: Recorded[RunPosted]) -> Iterable[Wish]:
    """Each market that the run names is told once per posted run."""
    posted = fact.body
    for market in posted.markets:
        yield market, SettleDelivery(from_at=posted.from_at, to_at=posted.to_at, area=posted.area)


POLICIES = (
    Policy(
        name="settlement_to_market.settle",
        source="settlement",
        on=RunPosted,
        target="market",
        sends=SettleDelivery,
        commands=settle,
        # Refused when the market does not exist: a mistake of who started the run, seen in `answers`.
        answers={DeliverySettled: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
