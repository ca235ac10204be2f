"""Credit allotments on their way to the market."""

from domain.policies.billing_to_market import POLICIES
from schemas.billing.events import CreditAllotted
from schemas.envelope import FactMeta, Moment, Recorded
from schemas.market.commands import RecordCredit


def test_the_market_is_told_the_limit():
    (policy,) = POLICIES
    meta = FactMeta(0, Moment(1, 0), "c", 0, "issuer", "correlation", None, 1)
    allotted = CreditAllotted("issuer", "alice", "market", "EUR", 25_000_000)
    assert list(policy.commands(Recorded("billing", 0, "issuer", meta, allotted))) == [
        ("market", RecordCredit("issuer", "alice", "EUR", 25_000_000))
    ]
