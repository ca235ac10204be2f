"""Is a proposed result of coupled zones right? Each zone's offers are judged as they are listed, the lines at the end.

A book of one zone is a market without lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from domain.market.clearing import AuctionRules, Clearing, Level, Offer
from domain.market.clearing_check import ClearingCheck, Flaw
from domain.market.coupling import congestion_income_pico, finish
from schemas.market.auction_events import CalledLevel, CalledLine, CalledPrice, CalledZone, LineFlow

ONE_ZONE: Final = ""
"""The name of the zone of a market without a network."""


@dataclass(slots=True)
class ZonesCheck:
    """What is known of a proposal behind the parts that have been taken: a check by zone."""

    rules: AuctionRules
    lines: tuple[CalledLine, ...]
    flow_wh: dict[str, int]
    checks: dict[str, ClearingCheck]

    @property
    def count(self) -> int:
        """How many offers have been listed."""
        return sum(check.count for check in self.checks.values())

    @property
    def called(self) -> CalledPrice:
        """What the proposal says, in the terms of messages."""
        return called_price({zone: check.clearing for zone, check in self.checks.items()}, self.flow_wh)

    def take(self, zones: Sequence[str], offers: Sequence[Offer], filled_wh: Sequence[int]) -> Flaw | None:
        """Takes in the next part; the first thing wrong with it, behind which nothing of it is taken."""
        if len(offers) != len(filled_wh):
            return Flaw.LIST
        for zone, check in self.checks.items():
            mine = [n for n, of in enumerate(zones) if of == zone]
            flaw = check.take([offers[n] for n in mine], [filled_wh[n] for n in mine])
            if flaw is not None:
                return flaw
        return None

    def finish(self, count: int) -> Flaw | None:
        """What is wrong with the whole, of a book of `count` offers."""
        if self.count != count:
            return Flaw.LIST
        if ONE_ZONE in self.checks:
            return self.checks[ONE_ZONE].finish(count)
        counts = {zone: check.count for zone, check in self.checks.items()}
        return finish(self.checks, counts, self.lines, self.flow_wh, self.rules)

    def income_pico(self) -> int:
        """What all buyers pay more than all sellers get, in 10⁻¹² currency units."""
        clearings = {zone: check.clearing for zone, check in self.checks.items()}
        return congestion_income_pico(clearings, self.lines, self.flow_wh)

    def copy(self) -> "ZonesCheck":
        """The same, to go on with by itself."""
        return ZonesCheck(
            self.rules, self.lines, self.flow_wh, {zone: check.copy() for zone, check in self.checks.items()}
        )


def zones_check(
    rules: AuctionRules, zones: Sequence[str], lines: tuple[CalledLine, ...], called: CalledPrice
) -> ZonesCheck:
    """The check of a proposal before its first part. What it leaves out has no price and no flow."""
    clearings = {zone: Clearing(None, 0, 0) for zone in zones}
    for told in called.zones:
        if told.zone in clearings:
            bids, asks = level_of(told.bids), level_of(told.asks)
            clearings[told.zone] = Clearing(told.price_nano_per_kwh, told.bought_wh, told.sold_wh, bids, asks)
    if not zones:
        volume_wh, bids, asks = called.volume_wh, level_of(called.bids), level_of(called.asks)
        clearings[ONE_ZONE] = Clearing(called.price_nano_per_kwh, volume_wh, volume_wh, bids, asks)
    flow_wh = {flow.line: flow.flow_wh for flow in called.flows}
    flows = {line.line: flow_wh.get(line.line, 0) for line in lines}
    return ZonesCheck(rules, lines, flows, {zone: ClearingCheck(rules, found) for zone, found in clearings.items()})


def called_price(clearings: Mapping[str, Clearing], flow_wh: Mapping[str, int]) -> CalledPrice:
    """A result in the terms of messages: of all zones the volume, and the price of the first."""
    first = next(iter(clearings.values()))
    if ONE_ZONE in clearings:
        return CalledPrice(
            first.price_nano_per_kwh, first.bought_wh, called_level(first.bids), called_level(first.asks)
        )
    zones = tuple(
        CalledZone(zone, c.price_nano_per_kwh, c.bought_wh, c.sold_wh, called_level(c.bids), called_level(c.asks))
        for zone, c in clearings.items()
    )
    nothing = called_level(Level())
    return CalledPrice(
        first.price_nano_per_kwh,
        sum(c.bought_wh for c in clearings.values()),
        nothing,
        nothing,
        None,
        zones,
        tuple(LineFlow(line, wh) for line, wh in flow_wh.items()),
    )


def level_of(called: CalledLevel) -> Level:
    """A level in the terms of the check."""
    return Level(called.quantity_wh, called.filled_wh, called.cut, called.at_cut)


def called_level(level: Level) -> CalledLevel:
    """A level in the terms of messages."""
    return CalledLevel(level.quantity_wh, level.filled_wh, level.cut, level.at_cut)
