"""The lines of a run while its energy is attributed, interval by interval."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.settlement.imbalance import cash_micro
from domain.settlement.lines import DELIVERED, RESTS, difference_micro, line_id, points_micro, priced_micro
from schemas.settlement.events import LineKind, SettlementLine


@dataclass(frozen=True, slots=True)
class Account:
    """Whose line it is, what for, and at which price: one line of a run.

    The price of a difference is on top of what the seller gets.
    """

    kind: LineKind
    connection: str
    party: str
    counterparty: str
    reference: str
    price_nano_per_kwh: int = 0
    seller_price_nano_per_kwh: int = 0


@dataclass(slots=True)
class _Entry:
    energy_wh: dict[int, int] = field(default_factory=dict)
    settled_wh: int = 0
    points_micro: int = 0
    imbalance: list[tuple[int, int]] = field(default_factory=list)


class LineBook:
    """Collects energy by account; `lines` makes the settlement lines of it."""

    def __init__(self, from_at: int) -> None:
        self._from_at = from_at
        self._entries: dict[Account, _Entry] = {}

    def attribute(
        self, account: Account, interval: int, energy_wh: int, settled_wh: int | None = None, points_per_kwh: int = 0
    ) -> None:
        """Energy of one interval. `settled_wh` is what the price applies to where it is not that energy.

        Nothing is written for 0 Wh, except under a contract: that it delivered nothing is an answer too.
        """
        if not energy_wh and account.kind not in DELIVERED:
            return
        entry = self._entries.setdefault(account, _Entry())
        settled = energy_wh if settled_wh is None else settled_wh
        entry.energy_wh[interval] = energy_wh
        entry.settled_wh += settled
        if points_per_kwh:
            entry.points_micro += points_micro(account.kind, points_per_kwh, settled)

    def imbalance(self, account: Account, interval: int, energy_wh: int, price_nano_per_kwh: int) -> None:
        """Imbalance of one interval at that interval's price."""
        if energy_wh:
            self.attribute(account, interval, energy_wh)
            self._entries[account].imbalance.append((energy_wh, price_nano_per_kwh))

    def response(self, account: Account, first: int, energy_wh: list[int], paid_wh: int) -> None:
        """The measured response of an event from interval `first` on, and what of it is paid."""
        if paid_wh or any(energy_wh):
            entry = self._entries.setdefault(account, _Entry())
            entry.energy_wh.update(enumerate(energy_wh, first))
            entry.settled_wh += paid_wh

    def lines(self) -> Iterator[SettlementLine]:
        """Every line, in order of connection, kind, reference, counterparty, party and price."""
        order = list(LineKind).index
        for account in sorted(
            self._entries,
            key=lambda a: (
                a.connection, order(a.kind), a.reference, a.counterparty, a.party, a.price_nano_per_kwh
            ),
        ):  # fmt: skip
            yield self._line(account, self._entries[account])

    def _line(self, account: Account, entry: _Entry) -> SettlementLine:
        kind, price = account.kind, account.price_nano_per_kwh
        first = min(entry.energy_wh, default=0)
        end = max(entry.energy_wh, default=-1) + 1
        if kind is LineKind.IMBALANCE:
            amount = cash_micro(entry.imbalance)
        elif kind is LineKind.PRICE_DIFFERENCE:
            amount = difference_micro(account.seller_price_nano_per_kwh, price, entry.settled_wh)
        else:
            amount = 0 if kind in RESTS else priced_micro(kind, price, entry.settled_wh)
        return SettlementLine(
            line=line_id(
                self._from_at, kind, account.connection, account.party, account.counterparty, account.reference, price
            ),
            kind=kind,
            party=account.party,
            connection=account.connection,
            counterparty=account.counterparty,
            reference=account.reference,
            first_interval=first,
            energy_wh=tuple(entry.energy_wh.get(i, 0) for i in range(first, end)),
            settled_wh=entry.settled_wh,
            price_nano_per_kwh=price,
            amount_micro=amount,
            points_micro=entry.points_micro,
        )
