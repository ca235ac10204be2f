"""The calculation `market.surveillance`: when a gate has closed, what in the book of its instrument looks like abuse.

It reads what happened to orders in the order of the facts; the thresholds are the rules'. What is sold or offered in
other ways than by single orders counts as sold once it is a contract.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from json import loads
from typing import Any, Final

from domain.calculation import Calculation, Inputs, Row
from domain.market.capability import capability_wh
from domain.market.surveillance import CALCULATION_NAME, MAX_EVIDENCE
from domain.rounding import half_up
from schemas.envelope import Recorded
from schemas.market.events import GateClosed
from schemas.market.reasons import CancelReason
from schemas.market.surveillance_commands import ReportSuspicion
from schemas.market.surveillance_events import SurveillanceRules, SuspicionKind
from schemas.values import MINUTE_US, Side

_TAKEN_BACK: Final = (CancelReason.OWNER.value, CancelReason.MASS_CANCELLATION.value)


@dataclass(slots=True)
class _Order:
    """An order as far as the facts have been read; `behind` says that a better one stood when it came in."""

    order: str
    party: str
    buys: bool
    delivery: tuple[int, int]
    price_nano_per_kwh: int
    whole_wh: int
    rest_wh: int
    behind: bool
    taken_back_at: int | None = None
    offered: bool = True

    @property
    def key(self) -> int:
        """The greater, the better for the other side."""
        return self.price_nano_per_kwh if self.buys else -self.price_nano_per_kwh


@dataclass(frozen=True, slots=True)
class _Trade:
    """Who traded with whom; `standing` are the layers (large orders behind a better one) that stood then."""

    at: int
    buyer: str
    seller: str
    price_nano_per_kwh: int
    quantity_wh: int
    orders: tuple[str, str]
    standing: tuple[_Order, ...]


@dataclass(slots=True)
class _Books:
    """The orders of the instrument and of those that touch the same time; trades of the instrument alone."""

    instrument: tuple[int, int]
    layering_wh: int
    orders: dict[str, _Order] = field(default_factory=dict)
    open: dict[str, _Order] = field(default_factory=dict)
    layers: dict[str, _Order] = field(default_factory=dict)
    trades: list[_Trade] = field(default_factory=list)

    def read(self, rows: Iterable[Row]) -> None:
        """Goes through the facts; the two rows of a trade follow each other, the buyer's first."""
        bought: Row | None = None
        for row in rows:
            if row["event"] == "accepted":
                self._accept(row)
                continue
            order = self.orders[row["order"]]
            if row["event"] == "traded":
                if row["side"] == "buy":
                    bought = row
                elif bought is not None and order.delivery == self.instrument:
                    self._trade(bought, row)
            self._change(order, row)

    def _accept(self, row: Row) -> None:
        delivery, buys = (row["delivery_start_at"], row["interval_min"]), row["side"] == Side.BUY.value
        order = _Order(
            row["order"],
            row["party"],
            buys,
            delivery,
            row["price_nano_per_kwh"],
            row["quantity_wh"],
            row["quantity_wh"],
            behind=False,
        )
        self.orders[order.order] = order
        if delivery == self.instrument and order.whole_wh >= self.layering_wh:
            # Only a large order is held against the book: to look at the book for each would take its square.
            order.behind = any(
                o.buys is buys and o.delivery == delivery and o.key > order.key for o in self.open.values()
            )
            if order.behind:
                self.layers[order.order] = order
        self.open[order.order] = order

    def _trade(self, bought: Row, sold: Row) -> None:
        parties = bought["party"], sold["party"]
        standing = tuple(o for o in self.layers.values() if o.party in parties and o.order in self.open)
        self.trades.append(
            _Trade(
                sold["at"],
                *parties,
                sold["price_nano_per_kwh"],
                sold["quantity_wh"],
                (bought["order"], sold["order"]),
                standing,
            )
        )

    def _change(self, order: _Order, row: Row) -> None:
        order.rest_wh = row["rest_wh"]
        if row["event"] == "amended":
            order.price_nano_per_kwh = row["price_nano_per_kwh"]
        if row["event"] == "cancelled" or not order.rest_wh:
            self.open.pop(order.order, None)
        if row["event"] == "cancelled":
            # An order that the market took out at its gate was on offer as long as it could be.
            order.offered = row["reason"] == CancelReason.GATE_CLOSED.value
            if row["reason"] in _TAKEN_BACK:
                order.taken_back_at = row["at"]


def compute(fact: Recorded[Any], inputs: Inputs) -> Iterator[ReportSuspicion]:
    """The alerts of the closed instrument, each once per kind and parties."""
    closed: GateClosed = fact.body
    found = inputs["rules"]
    if not found or found[0]["surveillance"] is None:
        return
    rules = SurveillanceRules(**loads(found[0]["surveillance"]))
    key = closed.delivery_start_at, closed.interval_min
    books = _Books(key, rules.layering_wh)
    books.read(inputs["orders"])
    if rules.wash_wh:
        for parties, orders in _wash_trades(books.trades, rules).items():
            yield _report(key, SuspicionKind.WASH_TRADE, parties, orders)
    if rules.layering_wh:
        for party, orders in _layers(books.trades, rules).items():
            if len(set(orders)) >= rules.layering_orders:
                yield _report(key, SuspicionKind.LAYERING, (party,), orders)
    if rules.withheld_wh and closed.interval_min == found[0]["interval_min"]:
        for party, orders in _withheld(key, books, inputs, rules).items():
            yield _report(key, SuspicionKind.WITHHELD_CAPABILITY, (party,), orders)


def _report(
    key: tuple[int, int], kind: SuspicionKind, parties: tuple[str, ...], orders: Sequence[str]
) -> ReportSuspicion:
    return ReportSuspicion(*key, kind, parties, tuple(dict.fromkeys(orders))[:MAX_EVIDENCE])


def _wash_trades(trades: Sequence[_Trade], rules: SurveillanceRules) -> dict[tuple[str, ...], list[str]]:
    """Trades with oneself, and trades that two parties soon turn round at the same price."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    before: dict[tuple[str, str, int], list[_Trade]] = defaultdict(list)
    for trade in trades:
        if trade.quantity_wh < rules.wash_wh:
            continue
        if trade.buyer == trade.seller:
            found[(trade.buyer,)] += trade.orders
            continue
        for earlier in before[trade.seller, trade.buyer, trade.price_nano_per_kwh]:
            if trade.at - earlier.at <= rules.round_trip_min * MINUTE_US:
                parties = min(trade.buyer, trade.seller), max(trade.buyer, trade.seller)
                found[parties] += (*earlier.orders, *trade.orders)
        before[trade.buyer, trade.seller, trade.price_nano_per_kwh].append(trade)
    return found


def _layers(trades: Sequence[_Trade], rules: SurveillanceRules) -> dict[str, list[str]]:
    """Layers that stood while their party traded on the other side, and that it took back soon after."""
    found: dict[str, list[str]] = defaultdict(list)
    for trade in trades:
        for layer in trade.standing:
            other_side = trade.seller if layer.buys else trade.buyer
            gone_at = layer.taken_back_at
            if layer.party != other_side or gone_at is None:
                continue
            if trade.at <= gone_at <= trade.at + rules.layering_min * MINUTE_US:
                found[layer.party].append(layer.order)
    return found


def _withheld(key: tuple[int, int], books: _Books, inputs: Inputs, rules: SurveillanceRules) -> dict[str, list[str]]:
    """Who sold or offered much less than allotted while it was dear, with the orders that asked for more."""
    volume_wh = sum(trade.quantity_wh for trade in books.trades)
    value = sum(trade.quantity_wh * trade.price_nano_per_kwh for trade in books.trades)
    if not volume_wh or half_up(value, volume_wh) <= rules.fair_price_nano_per_kwh:
        return {}
    start, interval_min = key
    allotted_wh: dict[str, int] = defaultdict(int)
    # The last thing told of a connection holds.
    for row in {row["connection"]: row for row in inputs["capabilities"]}.values():
        allotted_wh[row["party"]] += capability_wh(row["injection_w"], interval_min)
    used_wh: dict[str, int] = defaultdict(int)
    owners = {row["connection"]: row["party"] for row in inputs["capabilities"]}
    for row in {row["contract"]: row for row in inputs["contracts"]}.values():
        place, off = divmod(start - row["first_start_at"], row["interval_min"] * MINUTE_US)
        if row["state"] == "concluded" and not off and row["seller_connection"] in owners:
            used_wh[owners[row["seller_connection"]]] += row["quantity_wh"][place]
    dear: dict[str, list[str]] = defaultdict(list)
    for order in books.orders.values():
        if order.buys or not order.rest_wh or not order.offered:
            continue
        if order.price_nano_per_kwh <= rules.fair_price_nano_per_kwh:
            used_wh[order.party] += order.rest_wh * interval_min // order.delivery[1]
        else:
            dear[order.party].append(order.order)
    return {
        party: dear[party]
        for party, capability in sorted(allotted_wh.items())
        if capability - used_wh[party] >= rules.withheld_wh
    }


def _cutoff(fact: Recorded[Any]) -> int:
    """A gate closes before anything else of its tick: what came to the book has an earlier one."""
    return fact.meta.tick.n


CALCULATION = Calculation(
    name=CALCULATION_NAME,
    family="market",
    on=GateClosed,
    needs=("market",),
    cutoff=_cutoff,
    compute=compute,
    may_find_nothing=True,
    concerns=lambda fact: fact.body.watched,
)
