"""What a settlement run posts is accrued in the ledger of the issuer that bills it."""

from collections.abc import Iterable

from domain.policy import ENDS_HERE, Policy, Wish
from schemas.billing.commands import AccrueLines
from schemas.billing.events import AccruedLine, Charge, CommandRefused, LinesAccrued
from schemas.envelope import Recorded
from schemas.settlement.events import LineKind, LinesPosted, PostedLine


def accrue(fact: Recorded[LinesPosted]) -> Iterable[Wish]:
    """The counterparty's ledger is asked to accrue the slice, line by line.

    A rest that is paid as imbalance goes along with amount 0 and its reference `PRICED_AS_IMBALANCE`:
    billing shows it and does not price it. Transit is left out, it is the issuer's with itself: what the
    ledger's clearing of contracts holds of it goes to zero with the run of the other area. A price difference is the
    issuer's too, and is booked: it is what buyers pay more than sellers get.
    """
    posted = fact.body
    lines = tuple(_accrued(line) for line in posted.lines if line.kind is not LineKind.TRANSIT)
    if not lines:
        return
    yield (
        posted.counterparty,
        AccrueLines(
            area=posted.area,
            run=posted.run,
            run_number=posted.number,
            from_at=posted.from_at,
            to_at=posted.to_at,
            currency=posted.currency,
            lines=lines,
        ),
    )


def _accrued(line: PostedLine) -> AccruedLine:
    return AccruedLine(
        line=line.line,
        party=line.party,
        connection=line.connection,
        charge=Charge(line.kind.value),
        reference=line.reference,
        energy_wh=line.energy_wh,
        amount_micro=line.amount_micro,
        points_micro=line.points_micro,
    )


POLICIES = (
    Policy(
        name="settlement_to_billing.accrue",
        source="settlement",
        on=LinesPosted,
        target="billing",
        sends=AccrueLines,
        commands=accrue,
        # Refused only where the run's currency is not the ledger's: that stands in the view `answers`, and
        # the posted lines stay on the log, but no later run posts them again.
        answers={LinesAccrued: ENDS_HERE, CommandRefused: ENDS_HERE},
    ),
)
