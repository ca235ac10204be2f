"""The second market of the day: households of both communities trade over one line, which is soon full.

It has its own operator and ledger. What crosses the line is settled in both areas, each its own end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from examples.agents import CENT_NANO, LOT_WH, expected_wh
from examples.households import buyers_by_import, household, sellers_by_export
from examples.world import CURRENCY, EURO_MICRO, SHARING, TRADING, Place, Wishes, born, dr_connections
from gateways.door import DoorCommand
from schemas.billing.commands import AllotCredit, OpenLedger
from schemas.market.commands import AdoptRuleSet, OpenSession, SubmitOrder
from schemas.market.enquiry_commands import AcceptOffers, OfferEnergy, OpenEnquiry
from schemas.market.events import Restriction, RuleSet, SelfTradeMode
from schemas.market.phase_commands import PublishLineCapacity
from schemas.market.rules import Line, NegotiationRules, NetworkRules
from schemas.party.commands import ApplyForMarket, RegisterParty
from schemas.party.events import Role
from schemas.site.commands import AllotCapability
from schemas.site.events import AllotmentPurpose
from schemas.values import MINUTE_US, DeliveryMode, Side

NEIGHBOURS, EXCHANGE, LINE = "neighbours", "exchange", "village-road"
CAPACITY_W, NARROW_W = 6_000, 2_000
_INTERVAL_MIN: Final = 15
_QUARTER_US: Final = _INTERVAL_MIN * MINUTE_US
_HOUR_US: Final = 4 * _QUARTER_US
_LISTED: Final = range(4 * 10, 4 * 17)
_TRADED: Final = range(4 * 10, 4 * 15)
_NARROW: Final = range(4 * 11, 4 * 14)
_BLOCK: Final = range(4 * 15, 4 * 17)
"""Quarter-hours of the day: what is listed, what is bid for, when the line carries little, what is enquired."""

_BLOCK_W: Final = 1_600
_BUYERS: Final = 3

Said = tuple[int, DoorCommand]


@dataclass(frozen=True, slots=True)
class Member:
    """A household that trades here and nowhere else."""

    place: Place
    connection: str

    @property
    def party(self) -> str:
        """Who lives there."""
        return self.place.party_of(self.connection)

    def usual_wh(self, quarter: int) -> int:
        """What it usually has to sell, or needs."""
        return abs(expected_wh(household(self.place, self.connection), quarter))


class Neighbours:
    """Two sellers beyond the line, one seller and the buyers at home."""

    def __init__(self, wish: Wishes, sharing: Place, trading: Place, home_seller: str) -> None:
        self._wish, self._day_start_at = wish, trading.day_start_at
        asked = set(dr_connections(trading))
        self._far = [Member(sharing, c) for c in sellers_by_export(sharing)[-2:]]
        self._home = Member(trading, home_seller)
        buyers = [c for c in buyers_by_import(trading) if c not in asked][:_BUYERS]
        self._buyers = [Member(trading, c) for c in buyers]
        self.members = [*self._far, self._home, *self._buyers]
        self.connections = frozenset(m.connection for m in self.members)

    def found(self) -> Iterator[DoorCommand]:
        """The operator, its ledger, the rules: two zones and a line."""
        yield self._wish("party", EXCHANGE, EXCHANGE, RegisterParty((Role.MARKET_OPERATOR,)))
        yield self._wish("billing", EXCHANGE, EXCHANGE, OpenLedger(CURRENCY, 2, 190_000))
        yield self._wish("market", NEIGHBOURS, EXCHANGE, AdoptRuleSet(0, _rules()))

    def apply(self) -> Iterator[DoorCommand]:
        """The members apply for the market."""
        for member in self.members:
            yield self._wish("party", member.party, member.party, ApplyForMarket(NEIGHBOURS))

    def allot(self) -> Iterator[DoorCommand]:
        """Capability of the members, credit by the operator's ledger, the session, and what the line carries."""
        for member in self.members:
            behind = member.place.resources_of(member.connection)
            injection = sum(r.rated_power_w for r in behind if r.type != "load")
            power = sum(r.rated_power_w for r in behind if r.type == "load") + 30_000
            allotment = AllotCapability(AllotmentPurpose.MARKET, NEIGHBOURS, min(injection, power), 0)
            yield self._wish("site", member.connection, member.party, allotment)
            limit = 300 * EURO_MICRO if injection else 20 * EURO_MICRO
            yield self._wish("billing", EXCHANGE, EXCHANGE, AllotCredit(member.party, NEIGHBOURS, limit))
        first_start_at = self._day_start_at + _LISTED[0] * _QUARTER_US
        yield self._wish("market", NEIGHBOURS, EXCHANGE, OpenSession(first_start_at, len(_LISTED)))
        forward_w = tuple(NARROW_W if quarter in _NARROW else CAPACITY_W for quarter in _LISTED)
        published = PublishLineCapacity(LINE, first_start_at, forward_w, forward_w)
        yield self._wish("market", NEIGHBOURS, EXCHANGE, published)

    def said(self) -> Iterator[Said]:
        """What the members wish during the day, and when."""
        yield from self._orders(self._day_start_at + 8 * _HOUR_US)
        yield from self._enquiry(self._day_start_at + 9 * _HOUR_US)

    def _orders(self, at: int) -> Iterator[Said]:
        """Sellers first: cheap ones beyond the line, a dearer one at home; then the buyers."""
        for cent, seller in zip((8, 9, 11), (*self._far, self._home), strict=True):
            for quarter in filter(seller.usual_wh, _TRADED):
                yield at, self._order(seller, Side.SELL, quarter, cent * CENT_NANO)
        for buyer in self._buyers:
            for quarter in filter(buyer.usual_wh, _TRADED):
                yield at + 5 * MINUTE_US, self._order(buyer, Side.BUY, quarter, 16 * CENT_NANO)

    def _order(self, member: Member, side: Side, quarter: int, price: int) -> DoorCommand:
        delivery = self._day_start_at + quarter * _QUARTER_US
        who = member.party, member.connection
        body = SubmitOrder(*who, delivery, side, member.usual_wh(quarter), price, Restriction.NONE, None)
        return self._wish("market", NEIGHBOURS, member.party, body)

    def _enquiry(self, at: int) -> Iterator[Said]:
        """A power for a duration is asked; no seller has all of it within reach, two of both communities do."""
        enquirer, first_start_at = self._buyers[0], self._day_start_at + _BLOCK[0] * _QUARTER_US
        asked = OpenEnquiry(
            party=enquirer.party,
            connection=enquirer.connection,
            first_start_at=first_start_at,
            quantity_wh=(),
            power_w=_BLOCK_W,
            intervals=len(_BLOCK),
            limit_price_nano_per_kwh=14 * CENT_NANO,
            closes_at=at + 4 * _HOUR_US,
            addressed=(),
            accepts_at_once=False,
        )
        opening = self._wish("market", NEIGHBOURS, enquirer.party, asked)
        enquiry = born(opening, at)
        yield at, opening
        whole_wh = _BLOCK_W * _INTERVAL_MIN // 60
        half_wh = whole_wh // 2 // LOT_WH * LOT_WH
        for offered_wh, cent, seller in ((half_wh, 10, self._home), (whole_wh, 12, self._far[0])):
            quantity_wh = (offered_wh,) * len(_BLOCK)
            offer = OfferEnergy(enquiry, seller.party, seller.connection, quantity_wh, cent * CENT_NANO)
            yield at + 30 * MINUTE_US, self._wish("market", NEIGHBOURS, seller.party, offer)
        yield at + _HOUR_US, self._wish("market", NEIGHBOURS, enquirer.party, AcceptOffers(enquiry))


def _rules() -> RuleSet:
    return RuleSet(
        zone=TRADING,
        operator=EXCHANGE,
        currency=CURRENCY,
        interval_min=_INTERVAL_MIN,
        opening_lead_min=48 * 60,
        gate_lead_min=15,
        tick_nano_per_kwh=CENT_NANO // 10,
        lot_wh=LOT_WH,
        max_quantity_wh=50_000,
        min_price_nano_per_kwh=-50 * CENT_NANO,
        max_price_nano_per_kwh=50 * CENT_NANO,
        self_trade=SelfTradeMode.CANCEL_NEWEST,
        assumed_price_nano_per_kwh=50 * CENT_NANO,
        points_per_kwh=10,
        book_delivery_mode=DeliveryMode.AS_DELIVERED,
        approval_deadline_min=120,
        network=NetworkRules((SHARING,), (Line(LINE, SHARING, TRADING),)),
        negotiation=NegotiationRules(120, 1, 0),
    )
