"""What is kept of a call auction while it lasts."""

from dataclasses import dataclass, field

from domain.market.clearing import AuctionRules
from domain.market.network import Path
from domain.market.unit_check import UnitCheck
from domain.market.zones_check import ONE_ZONE, ZonesCheck, zones_check
from schemas.market.auction_events import AuctionCalled, AuctionCleared, CalledPrice, Mechanism


@dataclass(slots=True)
class Auction:
    """An auction of one book. `orders` is the frozen book in the order of acceptance, `listed` of it written out.

    `parts` of a proposal are taken into the `check`. `bids` and, by zone, `asks` are (order, Wh) that still have to
    trade, the next one last; `flow_wh` is what still has to cross each line.
    """

    called: AuctionCalled
    orders: list[str]
    listed: int = 0
    started: bool = False
    parts: int = 0
    proposed: CalledPrice | None = None
    check: ZonesCheck | UnitCheck | None = None
    bids: list[tuple[str, int]] = field(default_factory=list)
    asks: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    flow_wh: dict[str, int] = field(default_factory=dict)
    cleared: AuctionCleared | None = None

    def check_of(self, proposed: CalledPrice) -> ZonesCheck | UnitCheck:
        """The check behind the parts that have been taken; before the first one, that of what is proposed."""
        if self.check is not None:
            return self.check
        called = self.called
        if called.mechanism is Mechanism.MCAFEE:
            return UnitCheck(called.tick_nano_per_kwh, called.lot_wh, proposed)
        rules = AuctionRules(called.tick_nano_per_kwh, called.lot_wh, called.k_ppm, called.rationing)
        return zones_check(rules, called.zones, called.lines, proposed)

    def zone_of(self, zone: str) -> str:
        """The zone of an order as the auction knows it."""
        return zone if self.called.zones else ONE_ZONE

    def traded(self, buy_order: str, sell_order: str, zone: str, energy_wh: int) -> None:
        """So much of two orders has traded; both are at the end of what is left, or near it."""
        for side, order in ((self.bids, buy_order), (self.asks[self.zone_of(zone)], sell_order)):
            place = next(n for n in range(len(side) - 1, -1, -1) if side[n][0] == order)
            left = side[place][1] - energy_wh
            if left:
                side[place] = order, left
            else:
                del side[place]

    def crossed(self, path: Path, energy_wh: int) -> None:
        """So much of what has to cross these lines stands."""
        for line, sign in path:
            self.flow_wh[line] -= sign * energy_wh
