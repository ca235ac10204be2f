"""The ledger's credit allotments reach the market, which checks exposure against them."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.billing.events import CreditAllotted
from schemas.envelope import Recorded
from schemas.market.commands import RecordCredit
from schemas.market.events import CommandRefused, CreditRecorded


def record_credit(fact: Recorded[CreditAllotted]) -> Iterable[Wish]:
    """The market is told the party's newest limit."""
    body = fact.body
    yield body.market, RecordCredit(body.issuer, body.party, body.currency, body.limit_micro)


POLICIES = (
    Policy(
        name="billing_to_market.record_credit",
        source="billing",
        on=CreditAllotted,
        target="market",
        sends=RecordCredit,
        commands=record_credit,
        # Refused (no such market, not its operator's ledger, another currency): without a limit the party
        # cannot trade there; the issuer reads the answer in the view `answers` and allots again.
        answers={CreditRecorded: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
