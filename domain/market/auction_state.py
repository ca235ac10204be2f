"""What is kept of a call auction while it lasts."""

from dataclasses import dataclass, field

from domain.market.clearing import AuctionRules
from domain.market.clearing_check import ClearingCheck
from schemas.market.auction_events import AuctionCalled, AuctionCleared, CalledPrice


@dataclass(slots=True)
class Auction:
    """An auction of one book. `orders` is the frozen book in the order of acceptance, `listed` of it written out.

    `parts` of a proposal are taken into the `check`. `bids` and `asks` are (order, Wh) that still have to trade, the
    next one last.
    """

    called: AuctionCalled
    orders: list[str]
    listed: int = 0
    started: bool = False
    parts: int = 0
    proposed: CalledPrice | None = None
    check: ClearingCheck | None = None
    bids: list[tuple[str, int]] = field(default_factory=list)
    asks: list[tuple[str, int]] = field(default_factory=list)
    cleared: AuctionCleared | None = None

    @property
    def rules(self) -> AuctionRules:
        """How the price is found and who is filled."""
        called = self.called
        return AuctionRules(called.tick_nano_per_kwh, called.lot_wh, called.k_ppm, called.rationing)

    def traded(self, buy_order: str, sell_order: str, energy_wh: int) -> None:
        """So much of two orders has traded; both are at the end of what is left, or near it."""
        for side, order in ((self.bids, buy_order), (self.asks, sell_order)):
            place = next(n for n in range(len(side) - 1, -1, -1) if side[n][0] == order)
            left = side[place][1] - energy_wh
            if left:
                side[place] = order, left
            else:
                del side[place]
