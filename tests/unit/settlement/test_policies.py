"""What a run posts reaches ledgers and markets, one to one."""

from dataclasses import asdict

from domain.policies.settlement_to_billing import accrue
from domain.policies.settlement_to_market import settle
from schemas.billing.commands import AccrueLines
from schemas.billing.events import AccruedLine, Charge
from schemas.market.commands import SettleDelivery
from schemas.settlement.events import LineKind, LinesPosted, PostedLine, RunPosted
from schemas.values import PRICED_AS_IMBALANCE
from tests.unit.written import recorded


def test_every_posted_line_is_accrued_at_its_counterparty():
    lines = tuple(
        PostedLine(f"l{n}", kind, "party", "c", "issuer", "reference", n, -n, 1000 * n)
        for n, kind in enumerate(LineKind, 1)
        if kind is not LineKind.TRANSIT
    )
    fact = recorded("settlement", "zone", LinesPosted("zone", "run", 3, 0, "issuer", 5, 9, "EUR", lines))
    ((key, wish),) = accrue(fact)
    assert key == "issuer"
    assert wish == AccrueLines("zone", "run", 3, 5, 9, "EUR", wish.lines)
    for posted, accrued in zip(lines, wish.lines, strict=True):
        fields = {**asdict(posted), "charge": Charge(posted.kind.value)}
        del fields["kind"], fields["counterparty"]
        assert accrued == AccruedLine(**fields)


def test_a_rest_paid_as_imbalance_goes_along_under_its_reference():
    line = PostedLine("l", LineKind.SURPLUS, "party", "c", "operator", PRICED_AS_IMBALANCE, 7, 0, 0)
    fact = recorded("settlement", "zone", LinesPosted("zone", "run", 1, 0, "operator", 0, 9, "EUR", (line,)))
    ((_, wish),) = accrue(fact)
    (accrued,) = wish.lines
    assert (accrued.charge, accrued.reference, accrued.amount_micro) == (Charge.SURPLUS, "imbalance", 0)


def test_transit_stays_with_its_issuer():
    """What an issuer owes to itself is on no account of a party; a slice of nothing else asks for nothing."""
    transit = PostedLine("t", LineKind.TRANSIT, "issuer", "c", "issuer", "k", 7, 8, 9)
    bought = PostedLine("b", LineKind.DELIVERED_PURCHASE, "party", "c", "issuer", "k", 7, -8, -9)
    for lines, accrued in (((transit, bought), ["b"]), ((transit,), None)):
        fact = recorded("settlement", "zone", LinesPosted("zone", "run", 1, 0, "issuer", 0, 9, "EUR", lines))
        wishes = [[line.line for line in wish.lines] for _, wish in accrue(fact)]
        assert wishes == ([] if accrued is None else [accrued])


def test_each_market_of_a_posted_run_is_told():
    fact = recorded("settlement", "zone", RunPosted("zone", "run", 1, "approver", 5, 9, ("m", "n"), 0))
    assert list(settle(fact)) == [("m", SettleDelivery(5, 9, "zone")), ("n", SettleDelivery(5, 9, "zone"))]
