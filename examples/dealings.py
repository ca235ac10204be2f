"""What people of the trading community agree on beside their daily bids, each by wishes that anybody may send.

Negotiated contracts, a listing with three bidders, mandates that turn forecasts into orders, an order that is changed,
a contract that both sides give up and whose energy is offered again, and a margin call that is answered in time.
"""

from collections.abc import Collection, Iterator
from typing import Final

from examples.agents import CENT_NANO, expected_wh
from examples.households import buyers_by_import, household, sellers_by_export
from examples.world import EURO_MICRO, TRADING, Place, Wishes, born, dr_connections, organiser
from gateways.door import DoorCommand
from schemas.billing.commands import AllotCredit
from schemas.market.commands import AmendOrder, ApproveContract, CancelOrders, ProposeContract, SubmitOrder
from schemas.market.contract_commands import AgreeRevision, ProposeCancellation
from schemas.market.events import OrderTerms, Restriction
from schemas.market.listing_commands import OpenListing, PlaceBid
from schemas.market.listing_events import ListingFormat, ListingTerms
from schemas.market.mandate_commands import GrantMandate, RecordForecast
from schemas.market.mandate_events import MandateTerms
from schemas.values import MINUTE_US, Side

FORECASTER: Final = "forecast-agent"
_QUARTER_US: Final = 15 * MINUTE_US
_HOUR_US: Final = 4 * _QUARTER_US
_LISTED_WH: Final = 600

Said = tuple[int, DoorCommand]


class Dealings:
    """Who takes part in what; `said` is what they wish, and when.

    The largest sellers deal most; of the buyers, those that the demand-response programme asks.
    """

    def __init__(self, wish: Wishes, place: Place, taken: Collection[str]) -> None:
        self._wish, self._place, self._day_start_at = wish, place, place.day_start_at
        asked = dr_connections(place)
        self.firm_seller, self._lister, mandated = [c for c in sellers_by_export(place) if c not in taken][:3]
        self.firm_buyer, self._lapsing_buyer, self._gives_up = asked[:3]
        self._amends, self._called, *self._bidders = asked[12:17]
        free = [c for c in buyers_by_import(place) if c not in taken and c not in asked]
        self.mandated = [mandated, free[0], free[len(free) // 2]]

    def said(self) -> Iterator[Said]:
        """Everything, not in the order of time."""
        yield from self._firm(self._at(6))
        yield from self._listing(self._at(7))
        yield from self._mandates(self._at(5, 40), self._at(11, 40))
        yield from self._amended(self._at(8))
        yield from self._rebid(self._at(6))
        yield from self._margin_call(self._at(9))

    def _at(self, hour: int, minute: int = 0) -> int:
        return self._day_start_at + hour * _HOUR_US + minute * MINUTE_US

    def _says(self, connection: str, body: object) -> DoorCommand:
        return self._wish("market", TRADING, self._place.party_of(connection), body)

    def _order(
        self, connection: str, side: Side, hour: int, quantity_wh: int, cent: int, terms: OrderTerms | None = None
    ) -> DoorCommand:
        who, price = (self._place.party_of(connection), connection), cent * CENT_NANO
        body = SubmitOrder(*who, self._at(hour), side, quantity_wh, price, Restriction.NONE, None, terms=terms)
        return self._says(connection, body)

    def _proposal(self, buyer: str, quantity_wh: tuple[int, ...], hour: int) -> DoorCommand:
        seller = self.firm_seller
        body = ProposeContract(
            seller=self._place.party_of(seller),
            buyer=self._place.party_of(buyer),
            seller_connection=seller,
            buyer_connection=buyer,
            first_start_at=self._at(hour),
            quantity_wh=quantity_wh,
            price_nano_per_kwh=14 * CENT_NANO,
        )
        return self._says(seller, body)

    def _firm(self, at: int) -> Iterator[Said]:
        """Two proposals for two hours each: one is approved, the other is forgotten and lapses."""
        firm = self._proposal(self.firm_buyer, (500,) * 8, 11)
        yield at, firm
        yield at, self._proposal(self._lapsing_buyer, (200,) * 8, 13)
        yield at + _HOUR_US, self._says(self.firm_buyer, ApproveContract(born(firm, at)))

    def _listing(self, at: int) -> Iterator[Said]:
        """An hour of the afternoon in two lots, sealed second price: two of three bidders get one each."""
        seller = self._lister
        terms = ListingTerms(
            ListingFormat.SEALED_SECOND_PRICE, 9 * CENT_NANO, 4 * _LISTED_WH, "photovoltaics, one roof", lots=2
        )
        schedule_wh = (_LISTED_WH,) * 4
        who = self._place.party_of(seller), seller
        opening = self._says(seller, OpenListing(*who, self._at(13), schedule_wh, at + 3 * _HOUR_US, terms))
        yield at, opening
        for cent, bidder in zip((12, 13, 11), self._bidders, strict=True):
            bid = PlaceBid(born(opening, at), self._place.party_of(bidder), bidder, 1, 1, cent * CENT_NANO)
            yield at + _HOUR_US, self._says(bidder, bid)

    def _mandates(self, *forecasts_at: int) -> Iterator[Said]:
        """What may be ordered is granted once; the agent sends forecasts, and the market orders what they say."""
        for connection in self.mandated:
            who, home = self._place.party_of(connection), household(self._place, connection)
            buys, sells = (None, 9 * CENT_NANO) if home.sells else (18 * CENT_NANO, None)
            terms = MandateTerms(buys, sells, EURO_MICRO // 2, self._day_start_at, agent=FORECASTER)
            grant = self._says(connection, GrantMandate(who, connection, terms))
            mandate = born(grant, self._at(5))
            yield self._at(5), grant
            for version, at in enumerate(forecasts_at, start=1):
                # From the first delivery whose gate is still open to the end of the evening.
                first = (at - self._day_start_at) // _QUARTER_US + 2
                energy_wh = tuple(expected_wh(home, quarter) for quarter in range(first, 4 * 21))
                start_at = self._day_start_at + first * _QUARTER_US
                forecast = RecordForecast(mandate, start_at, energy_wh, version)
                yield at, self._wish("market", TRADING, FORECASTER, forecast)

    def _amended(self, at: int) -> Iterator[Said]:
        """A bid that nobody would meet; an hour later it asks for less at a price that somebody does."""
        order = self._order(self._amends, Side.BUY, 12, 300, 5)
        yield at, order
        yield at + _HOUR_US, self._says(self._amends, AmendOrder(born(order, at), 200, 20 * CENT_NANO, None))

    def _rebid(self, at: int) -> Iterator[Said]:
        """A contract that both sides give up; the seller offers its energy again and names it."""
        buyer = self._gives_up
        proposal = self._proposal(buyer, (500,), 15)
        contract = born(proposal, at)
        yield at, proposal
        yield at + _HOUR_US, self._says(buyer, ApproveContract(contract))
        ending_at = at + 2 * _HOUR_US
        ending = self._says(buyer, ProposeCancellation(contract, 1))
        yield ending_at, ending
        yield ending_at + 5 * MINUTE_US, self._says(self.firm_seller, AgreeRevision(contract, born(ending, ending_at)))
        again = self._order(self.firm_seller, Side.SELL, 15, 500, 8, OrderTerms(rebid_of=contract))
        yield ending_at + 10 * MINUTE_US, again

    def _margin_call(self, at: int) -> Iterator[Said]:
        """Large bids for the evening; the ledger lowers the party's credit; it takes its bids back in time."""
        party = self._place.party_of(self._called)
        for hour in (18, 19, 20):
            yield at, self._order(self._called, Side.BUY, hour, 6_000, 24)
        chief = organiser(TRADING)
        yield at + _HOUR_US, self._wish("billing", chief, chief, AllotCredit(party, TRADING, 3 * EURO_MICRO))
        yield at + _HOUR_US + 40 * MINUTE_US, self._says(self._called, CancelOrders(party, None, None, Side.BUY))
