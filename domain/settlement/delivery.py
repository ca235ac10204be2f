"""What of the contracted energy of an interval the meters show (domain rules §4.1, §9 rule 5). Whole Wh."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.rounding import largest_remainder

_Meter = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Promise:
    """A contract's quantity in one interval, between the export of one connection and the import of another."""

    contract: str
    seller_connection: str
    buyer_connection: str
    quantity_wh: int


def deliver_firm(contracted_wh: Mapping[str, int], left_wh: int) -> dict[str, int]:
    """What of a meter's energy counts as delivered under its firm contracts: min(contracted, metered left).

    Several share it in proportion to their quantities. It is the same money in every split: a firm
    contract is paid in full, the deviation goes to the connection's imbalance.
    """
    return largest_remainder(min(sum(contracted_wh.values()), left_wh), contracted_wh)


def deliver_as_metered(
    promises: Iterable[Promise], export_wh: Mapping[str, int], import_wh: Mapping[str, int]
) -> dict[str, int]:
    """Delivered Wh by contract: pro rata with redistribution, within both meters of every contract.

    The meter that can serve the smallest part of what is asked of it splits what it has in proportion
    (largest remainder, tie by id, no more than the other meter holds); its contracts are settled, and
    what they do not take is left to the others of their other meter; and so on, until every other
    contract can be served in full. At the end no contract could take one Wh more (vector CS6).
    """
    asked = sorted((p for p in promises if p.quantity_wh > 0), key=lambda p: p.contract)
    filling = _Filling(asked, export_wh, import_wh)
    while (scarcest := filling.scarcest()) is not None:
        filling.split(scarcest)
    filling.serve_the_rest()
    return filling.given


class _Filling:
    """Contracts and meters of one interval while energy is handed out."""

    def __init__(self, asked: list[Promise], export_wh: Mapping[str, int], import_wh: Mapping[str, int]) -> None:
        self.given: dict[str, int] = {}
        self._asked = asked
        self._meters: dict[str, tuple[_Meter, _Meter]] = {}
        self._room: dict[_Meter, int] = {}
        self._demand: dict[_Meter, int] = {}
        self._waiting: dict[_Meter, list[Promise]] = {}
        for promise in asked:
            ends = ("export", promise.seller_connection), ("import", promise.buyer_connection)
            self._meters[promise.contract] = ends
            self._room[ends[0]] = export_wh[promise.seller_connection]
            self._room[ends[1]] = import_wh[promise.buyer_connection]
            for meter in ends:
                self._demand[meter] = self._demand.get(meter, 0) + promise.quantity_wh
                self._waiting.setdefault(meter, []).append(promise)
        # A meter that can serve all stays so: every contract takes at most what it asked for.
        self._scarce = {meter for meter, demand in self._demand.items() if self._room[meter] < demand}

    def scarcest(self) -> _Meter | None:
        """The meter with the smallest room / demand, tie by side and id; none when all can be served."""
        best: _Meter | None = None
        for meter in self._scarce:
            if best is None:
                best = meter
                continue
            mine, its = self._room[meter] * self._demand[best], self._room[best] * self._demand[meter]
            if mine < its or (mine == its and meter < best):
                best = meter
        return best

    def split(self, meter: _Meter) -> None:
        """Hands out what the meter has to its waiting contracts, in proportion to what they asked for.

        All of it is placed: every other meter can serve at least this proportion of what is asked of it,
        so beside the floors it has room for the fractions of its contracts, rounded up.
        """
        room, demand = self._room[meter], self._demand[meter]
        waiting = [p for p in self._waiting[meter] if p.contract not in self.given]
        parts = {p.contract: room * p.quantity_wh // demand for p in waiting}
        rest = room - sum(parts.values())
        for promise in waiting:
            self._give(promise, parts[promise.contract])
        for promise in sorted(waiting, key=lambda p: (-(room * p.quantity_wh % demand), p.contract)):
            if not rest:
                break
            rest -= self._one_more(promise)

    def serve_the_rest(self) -> None:
        """Full service for who still waits."""
        for promise in self._asked:
            if promise.contract not in self.given:
                self._give(promise, promise.quantity_wh)

    def _give(self, promise: Promise, energy_wh: int) -> None:
        self.given[promise.contract] = energy_wh
        for meter in self._meters[promise.contract]:
            self._room[meter] -= energy_wh
            self._demand[meter] -= promise.quantity_wh
            if self._room[meter] >= self._demand[meter]:
                self._scarce.discard(meter)

    def _one_more(self, promise: Promise) -> int:
        ends = self._meters[promise.contract]
        if not all(self._room[meter] for meter in ends):
            return 0
        self.given[promise.contract] += 1
        for meter in ends:
            self._room[meter] -= 1
            if self._room[meter] < self._demand[meter]:
                self._scarce.add(meter)
        return 1
