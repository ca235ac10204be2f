"""Enquiries (Y.2072 6.2.2, stage 3): amount and duration asked, offers of several sellers combined, or negotiated.

Sellers reserve while their offers stand, room on the lines to the enquirer's zone too, the enquirer from his
acceptance on; then all is posted as one contract for each offer taken, or void. What reaches the whole amount within
the limit waits for the enquirer (or is accepted at once, where he said so and has the credit); what does not is a
counter-offer of the actual amount, duration and price, which he accepts, answers with another price as often as the
rules allow, rejects, or lets lapse. An offer is made once and comes down once a round. `enquiry_table` says what is on
the table.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market import enquiry_evolution, enquiry_table
from domain.market.combination import combine
from domain.market.enquiry_refusals import amount_wh, refuse
from domain.market.enquiry_table import accepted, closed, counter_offered, tabled
from domain.market.lapse_fee import lapse_fees
from domain.market.refusal import refused
from domain.market.state import FAMILY, Market
from schemas.envelope import Command, Moment
from schemas.market.enquiry_commands import (
    AcceptOffers,
    CombineOffers,
    CounterOffers,
    OfferEnergy,
    OpenEnquiry,
    RejectOffers,
    ReviseOffer,
    WithdrawOffer,
)
from schemas.market.enquiry_events import (
    CounterOfferMade,
    EnquiryClosed,
    EnquiryEnd,
    EnquiryOpened,
    OfferAccepted,
    OfferMade,
    OfferRevised,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.market.events import CommandRefused, ContractConcluded
from schemas.market.negotiation_events import LapseFeeCharged

_TABLE: Final = (OffersCombined, CounterOfferMade, OfferAccepted, ContractConcluded, EnquiryClosed, CommandRefused)
OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    OpenEnquiry: (EnquiryOpened, CommandRefused),
    OfferEnergy: (OfferMade, *_TABLE),
    WithdrawOffer: (OfferWithdrawn, CommandRefused),
    CombineOffers: _TABLE,
    AcceptOffers: (OfferAccepted, ContractConcluded, EnquiryClosed, CommandRefused),
    CounterOffers: (CounterOfferMade, CommandRefused),
    ReviseOffer: (OfferRevised, *_TABLE),
    RejectOffers: (EnquiryClosed, LapseFeeCharged, CommandRefused),
}
FACTS: Final = enquiry_evolution.FACTS
TIMED: Final = enquiry_table.TIMED
apply = enquiry_evolution.apply

Wish = (
    OpenEnquiry
    | OfferEnergy
    | WithdrawOffer
    | CombineOffers
    | AcceptOffers
    | CounterOffers
    | ReviseOffer
    | RejectOffers
)


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for, or the first rule that forbids it."""
    wish: Wish = command.body
    refusal = refuse(state, wish, command.meta.actor, now)
    if refusal is not None:
        about = wish.connection if isinstance(wish, OpenEnquiry) else wish.enquiry
        return refused(wish, about, command.meta.actor, refusal)
    if isinstance(wish, OpenEnquiry):
        return [_opened(state, wish, born_id(FAMILY, command, 0))]
    enquiry = state.enquiries.known[wish.enquiry]
    match wish:
        case OfferEnergy():
            return _offered(state, wish, born_id(FAMILY, command, 0), now)
        case WithdrawOffer():
            return [OfferWithdrawn(state.market, wish.enquiry, wish.offer, command.meta.actor)]
        case CombineOffers():
            return tabled(state, enquiry, tuple(enquiry.offers.values()), now.at)
        case AcceptOffers():
            return accepted(state, enquiry, enquiry_table.on_the_table(enquiry, wish.up_to_nano_per_kwh))
        case CounterOffers():
            return [counter_offered(state, enquiry, wish.price_nano_per_kwh, now.at)]
        case ReviseOffer():
            return _revised(state, wish, now)
        case RejectOffers():
            creditors = enquiry_table.creditors(enquiry)
            who = wish.enquiry, enquiry.opened.first_start_at, enquiry.opened.enquirer
            return [closed(state, enquiry, EnquiryEnd.REJECTED), *lapse_fees(state, *who, creditors)]
        case _:
            assert_never(wish)


def _opened(state: Market, wish: OpenEnquiry, enquiry: str) -> EnquiryOpened:
    version = state.rules_for(wish.first_start_at)
    assert version is not None, "an enquiry for what is not listed is refused"
    return EnquiryOpened(
        state.market,
        enquiry,
        wish.party,
        wish.connection,
        state.connections[wish.connection].zone,
        wish.first_start_at,
        version.rules.interval_min,
        amount_wh(wish, version.rules.interval_min),
        version.rules.currency,
        wish.limit_price_nano_per_kwh,
        wish.closes_at,
        wish.addressed,
        wish.accepts_at_once,
    )


def _offered(state: Market, wish: OfferEnergy, offer_id: str, now: Moment) -> list[Any]:
    """The offer; with it the whole amount may be reached."""
    enquiry = state.enquiries.known[wish.enquiry]
    price, sequence = wish.price_nano_per_kwh, enquiry.made + 1
    made = OfferMade(
        state.market, wish.enquiry, offer_id, sequence, wish.party, wish.connection, wish.quantity_wh, price
    )
    offers = *enquiry.offers.values(), enquiry_evolution.offer_of(state, enquiry, made)
    within = [offer for offer in offers if offer.price_nano_per_kwh <= enquiry.limit_nano_per_kwh]
    asked_wh = enquiry.opened.quantity_wh
    if combine(asked_wh, within).quantity_wh != asked_wh:
        return [made]
    return [made, *tabled(state, enquiry, offers, now.at)]


def _revised(state: Market, wish: ReviseOffer, now: Moment) -> list[Any]:
    """The lower price; the last seller's answer puts a new combination on the table."""
    enquiry = state.enquiries.known[wish.enquiry]
    offer, price = enquiry.offers[wish.offer], wish.price_nano_per_kwh
    revised = OfferRevised(state.market, wish.enquiry, wish.offer, offer.seller, price)
    if enquiry.awaited != {wish.offer}:
        return [revised]
    new = {**enquiry.offers, wish.offer: replace(offer, price_nano_per_kwh=price)}
    return [revised, *tabled(state, enquiry, tuple(new.values()), now.at)]
