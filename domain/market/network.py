"""Zones and the lines between them (domain rules §10, "Lines"): which way energy goes from one zone to another.

Lines close no ring, so there is one way between two zones, and what crosses each line of it is a matter of counting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.market.capability import Slot
from domain.market.refusal import Refusal
from schemas.market.events import RuleSet
from schemas.market.reasons import MarketRefusal
from schemas.market.rules import Line

Path = tuple[tuple[str, int], ...]
"""The lines of a way in order, each with +1 where it is gone from its first zone to its second, else −1."""

MAX_ZONES: Final = 64


def zones_of(rules: RuleSet) -> tuple[str, ...]:
    """Every zone of a market, its home zone first."""
    return (rules.zone, *rules.network.zones) if rules.network else (rules.zone,)


def refuse_network(rules: RuleSet) -> Refusal | None:
    """Zones named twice, more than `MAX_ZONES`, a line to nowhere, named twice, or one that closes a ring."""
    if rules.network is None:
        return None
    zones, lines = zones_of(rules), rules.network.lines
    names = {line.line for line in lines}
    if len(zones) > MAX_ZONES or len(set(zones)) != len(zones) or len(names) != len(lines):
        return Refusal(MarketRefusal.INVALID_RULES, MAX_ZONES, len(zones))
    islands = {zone: zone for zone in zones}
    for number, line in enumerate(lines):
        if line.from_zone not in islands or line.to_zone not in islands:
            return Refusal(MarketRefusal.INVALID_RULES, 0, number)
        one, other = islands[line.from_zone], islands[line.to_zone]
        if one == other:
            return Refusal(MarketRefusal.INVALID_RULES, 0, number)
        islands = {zone: one if island == other else island for zone, island in islands.items()}
    return None


def paths_of(rules: RuleSet) -> dict[tuple[str, str], Path]:
    """The way from each zone to each other one that it is connected to; of a zone to itself there is none."""
    lines: tuple[Line, ...] = rules.network.lines if rules.network else ()
    ways: dict[str, list[tuple[str, str, int]]] = {zone: [] for zone in zones_of(rules)}
    for line in lines:
        ways[line.from_zone].append((line.to_zone, line.line, 1))
        ways[line.to_zone].append((line.from_zone, line.line, -1))
    found: dict[tuple[str, str], Path] = {}
    for first in ways:
        open_: list[tuple[str, Path]] = [(first, ())]
        while open_:
            zone, path = open_.pop()
            for onward, line_id, sign in ways[zone]:
                if onward != first and (first, onward) not in found:
                    found[first, onward] = (*path, (line_id, sign))
                    open_.append((onward, found[first, onward]))
    return found


@dataclass(slots=True)
class Crossing:
    """What can still cross the lines for a delivery, while an order walks through the book.

    `paths` are those of the rules, `slots` the settlement intervals of the delivery; an order's quantity is split
    over `intervals` of them, each a whole number of lots. `planned_wh` is what the walk, or several walks of one wish,
    have sent over a line in a settlement interval so far.
    """

    paths: Mapping[tuple[str, str], Path]
    slots: Sequence[Slot]
    intervals: int
    lot_wh: int
    planned_wh: dict[tuple[int, str], int] = field(default_factory=dict)

    def room_wh(self, zone: str, other: str, buys: bool) -> int:
        """What an order in `zone` can trade with one in `other`: the least that is left of a line on the way."""
        path = self.paths.get((other, zone) if buys else (zone, other))
        if path is None:
            return 0
        planned = self.planned_wh
        room = min(
            left_wh(slot, line, sign) - sign * planned.get((slot.start_at, line), 0)
            for slot in self.slots
            for line, sign in path
        )
        return max(room, 0) // self.lot_wh * self.lot_wh * self.intervals

    def take(self, zone: str, other: str, buys: bool, energy_wh: int) -> None:
        """So much goes from one to the other."""
        if zone != other:
            for slot in self.slots:
                for line, sign in self.paths[(other, zone) if buys else (zone, other)]:
                    place = slot.start_at, line
                    self.planned_wh[place] = self.planned_wh.get(place, 0) + sign * energy_wh // self.intervals


def left_wh(slot: Slot, line: str, sign: int) -> int:
    """What can still cross a line in a settlement interval that way: published capacity less what crosses net and what
    is held for auctions; below 0 where less was published later than crosses already."""
    forward, backward = slot.capacity_wh.get(line, (0, 0))
    held_forward, held_backward = slot.held_wh.get(line, (0, 0))
    flow = slot.flow_wh.get(line, 0)
    return forward - flow - held_forward if sign > 0 else backward + flow - held_backward


def hold(slots: Iterable[Slot], line: str, forward_wh: int, backward_wh: int) -> None:
    """So much more of a line is kept for an auction each way in every settlement interval; < 0 gives it back."""
    for slot in slots:
        forward, backward = slot.held_wh.get(line, (0, 0))
        slot.held_wh[line] = forward + forward_wh, backward + backward_wh


def flow(slots: Iterable[Slot], path: Path, energy_wh: int) -> None:
    """So much more goes this way in every settlement interval; < 0 gives it back."""
    for slot in slots:
        for line, sign in path:
            slot.flow_wh[line] = slot.flow_wh.get(line, 0) + sign * energy_wh
