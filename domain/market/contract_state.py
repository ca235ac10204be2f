"""What is kept of concluded contracts until the last of their deliveries is settled."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

from schemas.columns import repeated, repeated_of, texts, texts_of
from schemas.market.contract_events import ContractRevised, ContractState, RevisedTerms, RevisionProposed
from schemas.market.events import ContractConcluded, TradeMade

Key = tuple[int, int]

Version = ContractConcluded | ContractRevised
"""A contract whole: as it was concluded, or as it was revised."""


def seller_gets(terms: Version | RevisedTerms | TradeMade) -> int:
    """The price of the seller, in 10⁻⁹ per kWh; the buyer's is `price_nano_per_kwh`."""
    price = terms.seller_price_nano_per_kwh
    return terms.price_nano_per_kwh if price is None else price


_CONCLUDED: Final[Any] = ContractConcluded  # which is no dataclass to who compiles it
_REPEATED: Final = tuple(f.name for f in fields(_CONCLUDED) if f.name not in ("contract", "trade"))


@dataclass(slots=True)
class Claims:
    """What a contract, or what it would have more, takes of the limits of its market.

    All by start of the settlement interval: capability by connection, credit by party, room on lines by line (+ from
    its first zone to its second). `zones` are the seller's and the buyer's.
    """

    capability_wh: dict[tuple[int, str], int] = field(default_factory=dict)
    credit_pico: dict[tuple[int, str], int] = field(default_factory=dict)
    flow_wh: dict[tuple[int, str], int] = field(default_factory=dict)
    zones: tuple[str, str] = ("", "")


@dataclass(slots=True)
class Revision:
    """A proposed version that waits, and what is reserved for it."""

    proposed: RevisionProposed
    number: int
    reserved: Claims


@dataclass(slots=True)
class Held:
    """A contract: its newest version, when it was concluded, and what waits to become its next version."""

    version: Version
    concluded_at: int
    revision: Revision | None = None

    @property
    def number(self) -> int:
        """Of the newest version."""
        return self.version.version if isinstance(self.version, ContractRevised) else 1

    @property
    def concluded(self) -> bool:
        """Whether it is still to be delivered, as far as it is not delivered yet."""
        version = self.version
        return not isinstance(version, ContractRevised) or version.state is ContractState.CONCLUDED


@dataclass(slots=True)
class Agreements:
    """The contracts of a market by id, each until the last of its deliveries is settled."""

    contracts: dict[str, Held] = field(default_factory=dict)
    revisions: int = 0

    def of(self, party: str) -> Iterator[Held]:
        """The contracts of a party that are not cancelled, in the order of their conclusion."""
        for held in self.contracts.values():
            if party in (held.version.seller, held.version.buyer) and held.concluded:
                yield held

    def __getstate__(self) -> tuple[Any, ...]:
        """Contracts as they were concluded are written down as columns, the few others as they are."""
        plain = [h for h in self.contracts.values() if type(h.version) is ContractConcluded and h.revision is None]
        versions: list[Any] = [held.version for held in plain]
        columns = [repeated(getattr(version, name) for version in versions) for name in _REPEATED]
        trades = texts([version.trade or "" for version in versions])
        packed = texts([version.contract for version in versions]), trades, columns
        others = {c: h for c, h in self.contracts.items() if type(h.version) is not ContractConcluded or h.revision}
        order = texts(list(self.contracts)) if others else None
        return packed, repeated(held.concluded_at for held in plain), others, order, self.revisions

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (contracts, trades, columns), concluded, others, order, self.revisions = state
        names, whens = texts_of(contracts), repeated_of(concluded)
        values = [repeated_of(column) for column in columns]
        found: dict[str, Held] = {}
        for contract, trade, at, *rest in zip(names, texts_of(trades), whens, *values, strict=True):
            terms = dict(zip(_REPEATED, rest, strict=True))
            found[contract] = Held(ContractConcluded(contract=contract, trade=trade or None, **terms), at)
        found.update(others)
        self.contracts = {contract: found[contract] for contract in texts_of(order)} if order else found
