"""Contracts after their conclusion (Y.2072 8.2.1: change of terms, cancellation before execution, each with lineage).

Both sides agree on another version, or one withdraws and owes a fee, or the operator voids a trade. What a proposed
version takes more is reserved while it waits; it lapses at the rules' approval deadline, at the latest at the first
gate. Every version names the one before, and the first of them is the contract as it was concluded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market.claims import claims_of, growth, instruments_of, replace_claims, take
from domain.market.contract_refusals import (
    Own,
    next_version,
    refuse_answer,
    refuse_own,
    refuse_trade_cancellation,
)
from domain.market.contract_state import Held, Revision
from domain.market.contract_versions import agreed, ended, terms_of
from domain.market.evolution import forget_when_written_out, last_of
from domain.market.exposure import PICO_PER_MICRO
from domain.market.refusal import refused
from domain.market.state import FAMILY, Market, starts
from domain.market.timers import Ahead, Timed, Timer
from domain.rounding import half_up
from schemas.envelope import Command, Moment
from schemas.market.contract_commands import (
    AgreeRevision,
    AssignContract,
    CancelTrade,
    ProposeCancellation,
    ProposeChange,
    RefuseRevision,
    WithdrawContract,
)
from schemas.market.contract_events import (
    CancellationFeeCharged,
    ContractRevised,
    RevisionEnded,
    RevisionEnding,
    RevisionProposed,
    RevisionReason,
)
from schemas.market.events import CommandRefused
from schemas.values import MINUTE_US

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    ProposeChange: (RevisionProposed, CommandRefused),
    ProposeCancellation: (RevisionProposed, CommandRefused),
    AssignContract: (RevisionProposed, CommandRefused),
    AgreeRevision: (ContractRevised, CommandRefused),
    RefuseRevision: (RevisionEnded, CommandRefused),
    WithdrawContract: (ContractRevised, CancellationFeeCharged, CommandRefused),
    CancelTrade: (RevisionEnded, ContractRevised, CommandRefused),
}
FACTS: Final = (RevisionProposed, RevisionEnded, ContractRevised, CancellationFeeCharged)

REVISION: Final = 41
"""The kind of timer at which a proposed version lapses."""


Wish = Own | AgreeRevision | RefuseRevision | CancelTrade
Fact = RevisionProposed | RevisionEnded | ContractRevised | CancellationFeeCharged


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """A proposal that waits, another version, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case AgreeRevision() | RefuseRevision():
            refusal = refuse_answer(state, wish, actor, now)
        case CancelTrade():
            refusal = refuse_trade_cancellation(state, wish, actor, now)
        case _:
            refusal = refuse_own(state, wish, actor, now)
    if refusal is not None:
        return refused(wish, wish.contract, actor, refusal)
    held = state.agreements.contracts[wish.contract]
    match wish:
        case AgreeRevision():
            assert held.revision is not None, "an answer to nothing is refused"
            return [agreed(held, held.revision.proposed)]
        case RefuseRevision():
            return _overtaken(held, RevisionEnding.REFUSED)
        case CancelTrade():
            void = ended(held, RevisionReason.MANIFEST_ERROR)
            return [*_overtaken(held, RevisionEnding.OVERTAKEN), void]
        case WithdrawContract():
            return [next_version(state, held, wish, actor), *_fee(state, held, actor)]
        case _:
            return [_proposed(state, held, command, now)]


def _proposed(state: Market, held: Held, command: Command[Any], now: Moment) -> RevisionProposed:
    wish, proposer = command.body, command.meta.actor
    version, first = held.version, instruments_of(state, held.version)[0]
    assert first is not None, "a contract whose first gate is open has its instrument"
    follows = next_version(state, held, wish, proposer)
    other = version.buyer if proposer == version.seller else version.seller
    return RevisionProposed(
        state.market,
        version.contract,
        born_id(FAMILY, command, 0),
        held.number,
        follows.reason,
        proposer,
        wish.party if isinstance(wish, AssignContract) else other,
        terms_of(follows),
        min(now.at + first.rules.approval_deadline_min * MINUTE_US, first.gate_at),
    )


def _overtaken(held: Held, ending: RevisionEnding) -> list[RevisionEnded]:
    return [ended_revision(held, ending)] if held.revision is not None else []


def ended_revision(held: Held, ending: RevisionEnding) -> RevisionEnded:
    """The fact that ends what waits to become the contract's next version."""
    assert held.revision is not None, "only what waits can end"
    proposed = held.revision.proposed
    return RevisionEnded(proposed.market, proposed.contract, proposed.revision, proposed.version_before, ending)


def _fee(state: Market, held: Held, debtor: str) -> list[CancellationFeeCharged]:
    """What who leaves owes to the other side; without such a rule, nothing."""
    version, first = held.version, instruments_of(state, held.version)[0]
    rules = first.rules.contracts if first is not None else None
    if rules is None or not rules.cancellation_fee_nano_per_kwh:
        return []
    fee, whole_wh = rules.cancellation_fee_nano_per_kwh, sum(version.quantity_wh)
    return [
        CancellationFeeCharged(
            state.market,
            version.contract,
            held.number + 1,
            debtor,
            version.buyer if debtor == version.seller else version.seller,
            version.currency,
            whole_wh,
            fee,
            half_up(fee * whole_wh, PICO_PER_MICRO),
        )
    ]


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about a concluded contract."""
    held = state.agreements.contracts[fact.contract]
    match fact:
        case RevisionProposed():
            _waits(state, held, fact)
        case RevisionEnded():
            _release(state, held)
        case ContractRevised():
            replace_claims(state, held.version, fact)
            held.version = fact
            _release(state, held)
        case CancellationFeeCharged():
            pass
        case _:
            assert_never(fact)


def _waits(state: Market, held: Held, fact: RevisionProposed) -> None:
    more = growth(claims_of(state, held.version), claims_of(state, agreed(held, fact)))
    state.agreements.revisions += 1
    number = state.agreements.revisions
    held.revision = Revision(fact, number, more)
    take(state, more, committed=False)
    state.remind(fact.lapses_at, REVISION, number, fact.contract)


def _release(state: Market, held: Held) -> None:
    if held.revision is None:
        return
    take(state, held.revision.reserved, -1, committed=False)
    held.revision = None
    if (last := last_of(state, held.version)) is not None:
        forget_when_written_out(state, last)


def _is_answered(state: Market, timer: Timer) -> bool:
    held = state.agreements.contracts.get(timer[3])
    return held is None or held.revision is None or held.revision.number != timer[2]


def _lapse(state: Market, timer: Timer, ahead: Ahead) -> Iterator[RevisionEnded]:
    held = state.agreements.contracts[timer[3]]
    if held.revision is not None and timer[3] not in ahead.gone:
        ahead.room -= 1
        yield ended_revision(held, RevisionEnding.LAPSED)


TIMED: Final = {REVISION: Timed(_is_answered, _lapse)}


def undelivered(held: Held, now_at: int) -> tuple[bool, ...]:
    """Of each interval of a contract, whether its delivery has not begun."""
    version = held.version
    return tuple(s >= now_at for s in starts(version.first_start_at, version.interval_min, len(version.quantity_wh)))
