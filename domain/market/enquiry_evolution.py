"""Enquiries after a fact: what is asked and offered, what the offers reserve, what is on the table."""

from collections.abc import Sequence
from typing import Final, assert_never

from domain.market.claims import flow_of, take
from domain.market.contract_state import Claims
from domain.market.enquiry_state import Enquiry, Offer, Stage
from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.profiles import commit, sell
from domain.market.state import Market
from domain.market.timers import ENQUIRY_DEADLINE
from schemas.market.enquiry_events import (
    CounterOfferMade,
    EnquiryClosed,
    EnquiryOpened,
    OfferAccepted,
    OfferMade,
    OfferRevised,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.values import Side

Fact = (
    EnquiryOpened
    | OfferMade
    | OfferWithdrawn
    | OffersCombined
    | CounterOfferMade
    | OfferRevised
    | OfferAccepted
    | EnquiryClosed
)
FACTS: Final = (
    EnquiryOpened,
    OfferMade,
    OfferWithdrawn,
    OffersCombined,
    CounterOfferMade,
    OfferRevised,
    OfferAccepted,
    EnquiryClosed,
)


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact of an enquiry."""
    if isinstance(fact, EnquiryOpened):
        _opened(state, fact)
        return
    enquiry = state.enquiries.known[fact.enquiry]
    match fact:
        case OfferMade():
            offer = enquiry.offers[fact.offer] = offer_of(state, enquiry, fact)
            enquiry.made = fact.sequence
            _reserve(state, enquiry, offer, 1)
        case OfferWithdrawn():
            _reserve(state, enquiry, enquiry.offers.pop(fact.offer), -1)
            enquiry.table = tuple(offer for offer in enquiry.table if offer != fact.offer)
            enquiry.awaited.discard(fact.offer)
        case OffersCombined() | CounterOfferMade():
            _tabled(state, enquiry, fact)
        case OfferRevised():
            offer = enquiry.offers[fact.offer]
            _reserve(state, enquiry, offer, -1)
            offer.price_nano_per_kwh = fact.price_nano_per_kwh
            offer.sold_pico_per_wh = sold_pico_per_wh(fact.price_nano_per_kwh, enquiry.rules.assumed_price_nano_per_kwh)
            _reserve(state, enquiry, offer, 1)
            enquiry.awaited.discard(fact.offer)
        case OfferAccepted():
            _accepted(state, enquiry, fact)
        case EnquiryClosed():
            for offer in enquiry.offers.values():
                _reserve(state, enquiry, offer, -1)
            enquiry.offers = {}
            enquiry.table, enquiry.awaited, enquiry.ended = (), set(), fact.ending
        case _:
            assert_never(fact)


def offer_of(state: Market, enquiry: Enquiry, fact: OfferMade) -> Offer:
    """The offer as it stands after its fact."""
    sold = sold_pico_per_wh(fact.price_nano_per_kwh, enquiry.rules.assumed_price_nano_per_kwh)
    what, zone = (fact.quantity_wh, fact.price_nano_per_kwh), state.connections[fact.connection].zone
    return Offer(fact.offer, fact.sequence, fact.seller, fact.connection, *what, sold, zone)


def _opened(state: Market, fact: EnquiryOpened) -> None:
    kept = state.enquiries
    kept.forget_settled(state.instruments)
    rules = state.instruments[fact.first_start_at, fact.interval_min].rules
    enquiry = Enquiry(fact, fact.closes_at, fact.limit_price_nano_per_kwh, rules)
    kept.known[fact.enquiry] = enquiry
    _until(state, enquiry, fact.closes_at)


def _until(state: Market, enquiry: Enquiry, deadline_at: int) -> None:
    state.enquiries.deadlines += 1
    enquiry.deadline_at, enquiry.deadline = deadline_at, state.enquiries.deadlines
    state.remind(deadline_at, ENQUIRY_DEADLINE, enquiry.deadline, enquiry.opened.enquiry)


def _reserve(state: Market, enquiry: Enquiry, offer: Offer, sign: int) -> None:
    opened = enquiry.opened
    where = opened.first_start_at, opened.interval_min
    sell(state, *where, offer.connection, offer.quantity_wh, sign)
    _cross(state, enquiry, offer, offer.quantity_wh, sign)
    state.account(offer.seller).exposure_pico += sign * sum(offer.quantity_wh) * offer.sold_pico_per_wh


def _cross(state: Market, enquiry: Enquiry, offer: Offer, quantity_wh: Sequence[int], sign: int) -> None:
    opened = enquiry.opened
    zones, where = (offer.zone, opened.zone), (opened.first_start_at, opened.interval_min)
    take(state, Claims(flow_wh=flow_of(state, *where, zones, quantity_wh)), sign)


def _tabled(state: Market, enquiry: Enquiry, fact: OffersCombined | CounterOfferMade) -> None:
    if isinstance(fact, CounterOfferMade) and fact.by is Side.BUY:
        enquiry.stage = Stage.COUNTERED
        enquiry.round = fact.round
        enquiry.limit_nano_per_kwh = fact.price_nano_per_kwh
        enquiry.awaited = set(fact.offers)
    else:
        enquiry.stage = Stage.ON_THE_TABLE
        enquiry.table = fact.offers
        enquiry.complete = isinstance(fact, OffersCombined)
        enquiry.awaited = set()
    _until(state, enquiry, fact.lapses_at)


def _accepted(state: Market, enquiry: Enquiry, fact: OfferAccepted) -> None:
    offer, opened = enquiry.offers.pop(fact.offer), enquiry.opened
    _reserve(state, enquiry, offer, -1)
    where = opened.first_start_at, opened.interval_min
    sell(state, *where, offer.connection, fact.quantity_wh)
    sell(state, *where, opened.connection, fact.quantity_wh, -1)
    _cross(state, enquiry, offer, fact.quantity_wh, 1)
    bought = bought_pico_per_wh(fact.price_nano_per_kwh, enquiry.rules.credit)
    zones = offer.zone, opened.zone
    commit(state, *where, zones, fact.seller, fact.quantity_wh, offer.sold_pico_per_wh)
    commit(state, *where, zones, fact.buyer, fact.quantity_wh, bought)
