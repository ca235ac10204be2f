"""Parties and what they applied for."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied
from schemas.envelope import Recorded
from schemas.party.events import MarketApplied, MembershipApplied, PartyRegistered


def _membership(fact: Recorded[MembershipApplied]) -> Iterable[Row]:
    yield {"party": fact.body.party, "kind": "community", "applied_to": fact.body.community}


def _market(fact: Recorded[MarketApplied]) -> Iterable[Row]:
    yield {"party": fact.body.party, "kind": "market", "applied_to": fact.body.market}


PARTIES = View(
    name="parties",
    mode=Mode.CURRENT,
    columns={"party": "text", "roles": "text[]"},
    key=("party",),
    on={PartyRegistered: copied("party", "roles")},
)

APPLICATIONS = View(
    name="applications",
    mode=Mode.HISTORY,
    columns={"party": "text", "kind": "text", "applied_to": "text"},
    on={MembershipApplied: _membership, MarketApplied: _market},
    indexes=("party",),
)

VIEWS = (PARTIES, APPLICATIONS)

QUESTIONS = (
    Question("parties", "SELECT party, roles FROM parties ORDER BY party"),
    Question("applications", "SELECT party, kind, applied_to, at FROM applications ORDER BY party, at, partition, seq"),
)
