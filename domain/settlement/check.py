"""The cheap check of a computed run: integers only, no input is read again (domain rules §9 rule 5, §4.1, §4.9)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domain.settlement.lines import (
    CARRIED,
    DELIVERED,
    INJECTIONS,
    PRICED_BY_TARIFF,
    RESTS,
    SHARED,
    SIGN,
    WITHDRAWALS,
    line_id,
    priced_micro,
)
from domain.settlement.parts import PART_BYTES, encoded_size
from domain.settlement.state import Draft, Run
from schemas.settlement.commands import ProposeRunPart, ProposeRunTotals
from schemas.settlement.events import ConnectionBalance, LineKind, SettlementLine, SettlementRefusal
from schemas.values import PRICED_AS_IMBALANCE


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a proposal is refused: the rule, what it is about, what the rule asks for and what was found."""

    reason: SettlementRefusal
    subject: str
    limit: int = 0
    found: int = 0


def check_part(run: Run, draft: Draft, part: ProposeRunPart) -> Objection | None:
    """The first rule that a part breaks, in the order of `SettlementRefusal`."""
    guards = (_in_order, _connections_once, _lines_once, _lines_named, _energy_attributed, _priced)
    return next((found for guard in guards for found in guard(run, draft, part)), None)


def _in_order(run: Run, draft: Draft, part: ProposeRunPart) -> Iterator[Objection]:
    unexpected = SettlementRefusal.PART_UNEXPECTED
    if part.part != draft.parts:
        yield Objection(unexpected, part.run, draft.parts, part.part)
    size = sum(map(encoded_size, part.balances)) + sum(map(encoded_size, part.lines))
    if size > PART_BYTES:
        yield Objection(unexpected, part.run, PART_BYTES, size)


def _connections_once(run: Run, draft: Draft, part: ProposeRunPart) -> Iterator[Objection]:
    seen: set[str] = set()
    for balance in part.balances:
        if balance.connection in draft.connections or balance.connection in seen:
            yield Objection(SettlementRefusal.CONNECTION_TWICE, balance.connection)
        seen.add(balance.connection)


def _lines_once(run: Run, draft: Draft, part: ProposeRunPart) -> Iterator[Objection]:
    seen: set[str] = set()
    for line in part.lines:
        if line.line in draft.totals or line.line in seen:
            yield Objection(SettlementRefusal.LINE_TWICE, line.line)
        seen.add(line.line)


def _lines_named(run: Run, draft: Draft, part: ProposeRunPart) -> Iterator[Objection]:
    """A line keeps its name in every run, or differences would be taken between different things."""
    for line in part.lines:
        name = line_id(
            run.started.from_at, line.kind, line.connection, line.party, line.counterparty, line.reference,
            line.price_nano_per_kwh,
        )  # fmt: skip
        if line.line != name:
            yield Objection(SettlementRefusal.LINE_MISNAMED, line.line)


def _energy_attributed(run: Run, draft: Draft, part: ProposeRunPart) -> Iterator[Objection]:
    """Every metered Wh exactly once, per connection, direction and interval; deviations are in the imbalance."""
    reason = SettlementRefusal.ENERGY_NOT_ATTRIBUTED
    lines: dict[str, list[SettlementLine]] = {balance.connection: [] for balance in part.balances}
    for line in part.lines:
        if line.connection not in lines:
            yield Objection(reason, line.line)
        elif not _energy_possible(line, run.intervals):
            yield Objection(reason, line.line, sum(line.energy_wh), line.settled_wh)
        else:
            lines[line.connection].append(line)
    for balance in part.balances:
        mine = lines[balance.connection]
        for metered, kinds in ((balance.import_wh, WITHDRAWALS), (balance.export_wh, INJECTIONS)):
            if len(metered) != run.intervals:
                yield Objection(reason, balance.connection, run.intervals, len(metered))
            else:
                yield from _identity(balance, metered, (line for line in mine if line.kind in kinds))
        owed, found = _imbalance_owed(mine), sum(li.settled_wh for li in mine if li.kind is LineKind.IMBALANCE)
        if owed != found:
            yield Objection(reason, balance.connection, owed, found)


def _energy_possible(line: SettlementLine, intervals: int) -> bool:
    """The line lies within the run, has no negative energy, and is settled for what its kind allows."""
    energy = sum(line.energy_wh)
    if line.kind is LineKind.RESPONSE:
        return line.settled_wh >= 0
    if not line.energy_wh or line.first_interval + len(line.energy_wh) > intervals:
        return False
    if line.kind is LineKind.IMBALANCE:
        return line.settled_wh == energy
    if line.kind is LineKind.TRANSIT:
        return line.settled_wh == energy and (min(line.energy_wh) >= 0 or max(line.energy_wh) <= 0)
    settled = line.settled_wh >= energy if line.kind in DELIVERED else line.settled_wh == energy
    return settled and min(line.energy_wh) >= 0


def _identity(
    balance: ConnectionBalance, metered: tuple[int, ...], lines: Iterable[SettlementLine]
) -> Iterator[Objection]:
    left = list(metered)
    for line in lines:
        for interval, energy in enumerate(line.energy_wh, line.first_interval):
            left[interval] -= energy
    for interval, rest in enumerate(left):
        if rest:
            reason = SettlementRefusal.ENERGY_NOT_ATTRIBUTED
            yield Objection(reason, balance.connection, metered[interval], metered[interval] - rest)


def _imbalance_owed(lines: Iterable[SettlementLine]) -> int:
    """What the imbalance of a connection must sum to.

    E_net - position - what nobody promised, written with the energy identity: surplus less residual in
    the intervals with firm contracts, and what is paid under contracts beyond what was metered.
    """
    owed = 0
    for line in lines:
        if line.kind in RESTS and line.reference == PRICED_AS_IMBALANCE:
            owed += line.settled_wh if line.kind is LineKind.SURPLUS else -line.settled_wh
        elif line.kind in DELIVERED:
            missed = line.settled_wh - sum(line.energy_wh)
            owed += missed if line.kind is LineKind.DELIVERED_PURCHASE else -missed
    return owed


def _priced(run: Run, draft: Draft, part: ProposeRunPart) -> Iterator[Objection]:
    """Money is price x energy with the sign of the kind; a tariff's or the imbalance's is not invented here.

    A price difference is the rest of two rounded amounts: it may be 10⁻⁶ off, and the contract's sum pins it.
    """
    reason = SettlementRefusal.AMOUNT_NOT_PRICE_TIMES_ENERGY
    operator = run.started.operator
    for line in part.lines:
        if line.kind in SIGN:
            amount = priced_micro(line.kind, line.price_nano_per_kwh, line.settled_wh)
            if abs(line.amount_micro - amount) > (line.kind is LineKind.PRICE_DIFFERENCE):
                yield Objection(reason, line.line, amount, line.amount_micro)
        elif line.price_nano_per_kwh or (line.kind in RESTS and line.amount_micro):
            yield Objection(reason, line.line, 0, line.amount_micro)
        if not _points_possible(line):
            yield Objection(reason, line.line, 0, line.points_micro)
        if not _pricer_possible(line, operator):
            yield Objection(reason, line.line)


def _points_possible(line: SettlementLine) -> bool:
    if line.kind in SHARED or line.kind in DELIVERED:
        return line.points_micro * SIGN[line.kind] >= 0
    if line.kind is LineKind.TRANSIT:
        return line.points_micro * line.settled_wh >= 0
    return line.points_micro == 0


def _pricer_possible(line: SettlementLine, operator: str) -> bool:
    if line.kind is LineKind.IMBALANCE:
        return line.counterparty == operator
    if line.kind in (LineKind.TRANSIT, LineKind.PRICE_DIFFERENCE):
        return line.counterparty == line.party
    if line.kind in RESTS and line.reference == PRICED_AS_IMBALANCE:
        return line.counterparty == operator
    return line.kind not in RESTS or line.reference == PRICED_BY_TARIFF


def check_totals(draft: Draft, totals: ProposeRunTotals) -> Objection | None:
    """The first rule that a whole run breaks, in the order of `SettlementRefusal`."""
    return next((found for guard in (_sums, _balanced) for found in guard(draft, totals)), None)


def _sums(draft: Draft, totals: ProposeRunTotals) -> Iterator[Objection]:
    settled = draft.settled_wh
    for expected, found in (
        (max(draft.parts, 1), totals.parts),
        (len(draft.connections), totals.connections),
        (len(draft.totals), totals.lines),
        (settled[LineKind.SHARED_CONSUMPTION], totals.shared_wh),
        (settled[LineKind.DELIVERED_PURCHASE], totals.delivered_wh),
        (settled[LineKind.RESIDUAL], totals.residual_wh),
        (settled[LineKind.SURPLUS], totals.surplus_wh),
    ):
        if expected != found:
            yield Objection(SettlementRefusal.TOTALS_DIFFER, totals.run, expected, found)


def _balanced(draft: Draft, totals: ProposeRunTotals) -> Iterator[Objection]:
    """What one gets another gave: per community and interval, and per contract in energy, money and points."""
    reason = SettlementRefusal.NOT_BALANCED
    for community, net in draft.shared_net_wh.items():
        for energy in net:
            if energy:
                yield Objection(reason, community, 0, energy)
    for contract, lines in draft.contracts.items():
        for found in _contract_imbalances(lines):
            if found:
                yield Objection(reason, contract, 0, found)


def _contract_imbalances(lines: list[SettlementLine]) -> Iterator[int]:
    carried = [line for line in lines if line.kind in CARRIED]
    yield sum(line.settled_wh * SIGN[line.kind] for line in carried)
    yield sum(line.amount_micro for line in lines)
    yield sum(line.points_micro for line in lines)
    # The operator's difference is of what is bought.
    over = [line.settled_wh for line in lines if line.kind is LineKind.PRICE_DIFFERENCE]
    if over:
        yield sum(over) - sum(line.settled_wh for line in lines if line.kind is LineKind.DELIVERED_PURCHASE)
    # Delivered in full on both sides (as-delivered always is): then in the same intervals.
    if all(line.settled_wh == sum(line.energy_wh) for line in carried):
        net: dict[int, int] = {}
        for line in carried:
            for interval, energy in enumerate(line.energy_wh, line.first_interval):
                net[interval] = net.get(interval, 0) + energy * SIGN[line.kind]
        yield from net.values()
