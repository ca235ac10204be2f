"""A whole run: every metered Wh to its cause, and the money that contracts, keys and programmes fix.

Per interval: sharing first, then contracts (firm before as-delivered), then what is left: residual from
the supplier, surplus to the off-taker. At a connection with a firm contract in the interval what is left
is paid as imbalance instead (domain rules §4.1, §9 rule 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.calculation import Inputs, Row
from domain.settlement.communities import Communities
from domain.settlement.contracts import Promised, promises
from domain.settlement.delivery import Promise, deliver_as_metered, deliver_firm
from domain.settlement.imbalance import imbalance_wh
from domain.settlement.known import InputMissing, Period, prices
from domain.settlement.linebook import Account, LineBook
from domain.settlement.lines import PRICED_BY_TARIFF
from domain.settlement.responses import add_responses
from domain.settlement.sites import Site, sites
from schemas.settlement.events import ConnectionBalance, LineKind, RunStarted, SettlementLine
from schemas.values import PRICED_AS_IMBALANCE


@dataclass(frozen=True, slots=True)
class Attributed:
    """One connection's part of a run."""

    balance: ConnectionBalance
    lines: tuple[SettlementLine, ...]


def attribute(run: RunStarted, inputs: Inputs) -> list[Attributed]:
    """Every connection of the area with its lines, in order of their ids.

    The order of the inputs' rows means nothing: what decides is what they say and when it was recorded.

    Raises:
        InputMissing: names the first thing that is missing or does not fit.
    """
    period, book = Period.of(run), LineBook(run.from_at)
    found = sites(run.area, inputs, period)
    _Intervals(run, period, found, inputs, book).attribute_all()
    add_responses(run, period, found, inputs, book)
    lines: dict[str, list[SettlementLine]] = {connection: [] for connection in found}
    for line in book.lines():
        lines[line.connection].append(line)
    return [Attributed(site.balance(), tuple(lines[connection])) for connection, site in found.items()]


@dataclass(slots=True)
class _Meters:
    """One interval: who stands behind each connection, and what of its energy is not attributed yet.

    `unpromised_wh` is the net injection that sharing and as-delivered contracts took.
    """

    interval: int
    masters: dict[str, Row]
    import_left: dict[str, int]
    export_left: dict[str, int]
    unpromised_wh: dict[str, int] = field(default_factory=dict)

    def withdraw(self, connection: str, energy_wh: int) -> None:
        """Attributes imported energy that nobody promised."""
        self.import_left[connection] -= energy_wh
        self.unpromised_wh[connection] = self.unpromised_wh.get(connection, 0) - energy_wh

    def inject(self, connection: str, energy_wh: int) -> None:
        """Attributes exported energy that nobody promised."""
        self.export_left[connection] -= energy_wh
        self.unpromised_wh[connection] = self.unpromised_wh.get(connection, 0) + energy_wh


class _Intervals:
    """Attributes interval by interval into the book."""

    def __init__(
        self, run: RunStarted, period: Period, found: Mapping[str, Site], inputs: Inputs, book: LineBook
    ) -> None:
        self._run, self._period, self._sites, self._book = run, period, found, book
        self._promises = promises(inputs, run.area, period, run.currency)
        self._communities = Communities(inputs, period, run.currency)
        self._prices = prices(
            [row for row in inputs["prices"] if row["series"] == run.imbalance_series], period, run.currency
        )

    def attribute_all(self) -> None:
        for interval, promised in enumerate(self._promises):
            meters = self._meters(interval)
            self._check_ends(meters, [*promised.firm, *promised.as_delivered])
            self._share(meters)
            positions = self._deliver_firm(meters, promised.firm)
            self._deliver_as_metered(meters, promised.as_delivered)
            self._imbalance(meters, positions)
            self._leave_the_rest(meters, positions)

    def _meters(self, interval: int) -> _Meters:
        present = {c: (site, m) for c, site in self._sites.items() if (m := site.masters[interval]) is not None}
        return _Meters(
            interval,
            {c: master for c, (_, master) in present.items()},
            {c: site.import_wh[interval] for c, (site, _) in present.items()},
            {c: site.export_wh[interval] for c, (site, _) in present.items()},
        )

    def _check_ends(self, meters: _Meters, promised: list[Promised]) -> None:
        for promise in promised:
            for end in promise.ends():
                if end not in meters.masters:
                    raise InputMissing("connection", end, self._period.start_of(meters.interval))

    def _share(self, meters: _Meters) -> None:
        for shared in self._communities.share(meters.interval, meters.import_left, meters.export_left):
            for connection, wh in shared.shares.allocated_wh.items():
                meters.withdraw(connection, wh)
                self._shared_line(LineKind.SHARED_CONSUMPTION, meters, shared.rules, connection, wh)
            for connection, wh in shared.shares.used_wh.items():
                meters.inject(connection, wh)
                self._shared_line(LineKind.SHARED_PRODUCTION, meters, shared.rules, connection, wh)

    def _shared_line(self, kind: LineKind, meters: _Meters, rules: Row, connection: str, wh: int) -> None:
        consumes = kind is LineKind.SHARED_CONSUMPTION
        price = rules["consumer_price_nano_per_kwh" if consumes else "producer_price_nano_per_kwh"]
        party = meters.masters[connection]["customer"]
        account = Account(kind, connection, party, rules["organiser"], rules["community"], price)
        self._book.attribute(account, meters.interval, wh, points_per_kwh=rules["points_per_kwh"])

    def _deliver_firm(self, meters: _Meters, promised: list[Promised]) -> dict[str, int]:
        """Delivers what is metered of the firm contracts; returns the position (sold - bought) by connection."""
        positions: dict[str, int] = {}
        buyers = [promise for promise in promised if promise.buyer_inside]
        sellers = [promise for promise in promised if promise.seller_inside]
        for kind, at_ends, end, left, sign in (
            (LineKind.DELIVERED_PURCHASE, buyers, "buyer_connection", meters.import_left, -1),
            (LineKind.DELIVERED_SALE, sellers, "seller_connection", meters.export_left, 1),
        ):
            at_end: dict[str, dict[str, Promised]] = {}
            for promise in at_ends:
                at_end.setdefault(promise.terms[end], {})[promise.contract] = promise
            for connection, mine in at_end.items():
                contracted = {contract: promise.quantity_wh for contract, promise in mine.items()}
                positions[connection] = positions.get(connection, 0) + sign * sum(contracted.values())
                for contract, wh in deliver_firm(contracted, left[connection]).items():
                    left[connection] -= wh
                    self._contract_line(kind, meters, mine[contract], wh, contracted[contract])
        self._transit(meters, promised)
        return positions

    def _transit(self, meters: _Meters, promised: list[Promised]) -> None:
        """The operator's stand for the ends in other areas; it is metered nowhere and attributes nothing."""
        for promise in promised:
            if promise.entering_wh:
                terms, (end,) = promise.terms, promise.ends()
                operator, price = terms["operator"], promise.seller_gets_nano_per_kwh
                account = Account(LineKind.TRANSIT, end, operator, operator, promise.contract, price)
                points = terms["points_per_kwh"]
                self._book.attribute(account, meters.interval, promise.entering_wh, points_per_kwh=points)

    def _deliver_as_metered(self, meters: _Meters, promised: list[Promised]) -> None:
        delivered = deliver_as_metered(
            [
                Promise(p.contract, p.terms["seller_connection"], p.terms["buyer_connection"], p.quantity_wh)
                for p in promised
            ],
            meters.export_left,
            meters.import_left,
        )
        for promise in promised:
            wh = delivered[promise.contract]
            meters.withdraw(promise.terms["buyer_connection"], wh)
            meters.inject(promise.terms["seller_connection"], wh)
            self._contract_line(LineKind.DELIVERED_PURCHASE, meters, promise, wh, wh)
            self._contract_line(LineKind.DELIVERED_SALE, meters, promise, wh, wh)

    def _contract_line(self, kind: LineKind, meters: _Meters, promise: Promised, wh: int, settled_wh: int) -> None:
        terms = promise.terms
        buys = kind is LineKind.DELIVERED_PURCHASE
        side, price = ("buyer", terms["price_nano_per_kwh"]) if buys else ("seller", promise.seller_gets_nano_per_kwh)
        connection, operator = terms[f"{side}_connection"], terms["operator"]
        account = Account(kind, connection, terms[side], operator, promise.contract, price)
        self._book.attribute(account, meters.interval, wh, settled_wh, terms["points_per_kwh"])
        gets = promise.seller_gets_nano_per_kwh
        if buys and price != gets:
            operators = operator, operator, promise.contract, price - gets, gets
            self._book.attribute(
                Account(LineKind.PRICE_DIFFERENCE, connection, *operators), meters.interval, settled_wh
            )

    def _imbalance(self, meters: _Meters, positions: Mapping[str, int]) -> None:
        series, interval = self._run.imbalance_series, meters.interval
        for connection, position in positions.items():
            price = self._prices[interval]
            if price is None:
                raise InputMissing("price", series, self._period.start_of(interval))
            site = self._sites[connection]
            net = site.export_wh[interval] - site.import_wh[interval]
            deviation = imbalance_wh(net, position, meters.unpromised_wh.get(connection, 0))
            party = meters.masters[connection]["customer"]
            account = Account(LineKind.IMBALANCE, connection, party, self._run.operator, series)
            self._book.imbalance(account, interval, deviation, price)

    def _leave_the_rest(self, meters: _Meters, positions: Mapping[str, int]) -> None:
        for connection, master in meters.masters.items():
            if connection in positions:
                reference, supplier, off_taker = PRICED_AS_IMBALANCE, self._run.operator, self._run.operator
            else:
                reference, supplier, off_taker = PRICED_BY_TARIFF, master["supplier"], master["off_taker"]
            for kind, counterparty, left in (
                (LineKind.RESIDUAL, supplier, meters.import_left[connection]),
                (LineKind.SURPLUS, off_taker, meters.export_left[connection]),
            ):
                account = Account(kind, connection, master["customer"], counterparty, reference)
                self._book.attribute(account, meters.interval, left)
