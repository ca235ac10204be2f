"""What is refused of an enquiry, in the order of the checks of orders (`domain/market/validation.py`)."""

from typing import Any, Final

from domain.market.claims import flow_of, refuse_flow
from domain.market.enquiry_state import Enquiry, Stage
from domain.market.enquiry_table import needed_pico, on_the_table
from domain.market.exposure import sold_pico_per_wh
from domain.market.profiles import (
    listed,
    refuse_party,
    refuse_profile,
    refuse_sale,
    refuse_time,
    sources_of,
)
from domain.market.refusal import Refusal
from domain.market.state import Market
from domain.market.validation import refuse_credit, refuse_price, refuse_quantity
from schemas.envelope import Moment
from schemas.market.enquiry_commands import (
    AcceptOffers,
    CombineOffers,
    CounterOffers,
    OfferEnergy,
    OpenEnquiry,
    ReviseOffer,
    WithdrawOffer,
)
from schemas.market.events import RuleSet
from schemas.market.reasons import MarketRefusal

MAX_OFFERS: Final = 40
"""To one enquiry: accepting them all is two facts for each and a few, within one call of `advance`."""

MAX_ADDRESSED: Final = 500

_MINUTES_PER_HOUR: Final = 60


def refuse(state: Market, wish: Any, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a wish about an enquiry."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if isinstance(wish, OpenEnquiry):
        return _refuse_enquiry(state, wish, actor, now)
    enquiry = state.enquiries.known.get(wish.enquiry)
    if enquiry is None:
        return Refusal(MarketRefusal.ENQUIRY_UNKNOWN)
    match wish:
        case OfferEnergy():
            return _refuse_offer(state, enquiry, wish, actor, now)
        case WithdrawOffer() | ReviseOffer():
            return _refuse_of_offer(state, enquiry, wish, actor, now)
        case _:
            return _refuse_of_enquirer(state, enquiry, wish, actor, now)


def amount_wh(wish: OpenEnquiry, interval_min: int) -> tuple[int, ...]:
    """What is asked per interval; a power is asked of each, in whole Wh (a rest of one is refused as off the lot)."""
    return wish.quantity_wh or (wish.power_w * interval_min // _MINUTES_PER_HOUR,) * wish.intervals


def _refuse_enquiry(state: Market, wish: OpenEnquiry, actor: str, now: Moment) -> Refusal | None:
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.quantity_wh and (wish.power_w or wish.intervals):
        return Refusal(MarketRefusal.AMOUNT_UNCLEAR, len(wish.quantity_wh), wish.intervals)
    if len(wish.addressed) > MAX_ADDRESSED:
        return Refusal(MarketRefusal.TOO_MANY_ADDRESSED, MAX_ADDRESSED, len(wish.addressed))
    found = listed(state, wish.first_start_at, len(wish.quantity_wh) or wish.intervals)
    if isinstance(found, Refusal):
        return found
    rules, gate_at = found[0].rules, found[0].gate_at
    return (
        refuse_time(state, found, now)
        or refuse_party(state, wish.party, wish.connection, None, False)
        or _refuse_amount(rules, wish)
        or refuse_price(rules, wish.limit_price_nano_per_kwh)
        or (Refusal(MarketRefusal.EXPIRY_IN_THE_PAST, now.at, wish.closes_at) if wish.closes_at <= now.at else None)
        or (Refusal(MarketRefusal.EXPIRY_AFTER_GATE, gate_at, wish.closes_at) if wish.closes_at >= gate_at else None)
    )


def _refuse_amount(rules: RuleSet, wish: OpenEnquiry) -> Refusal | None:
    if wish.power_w * rules.interval_min % _MINUTES_PER_HOUR:
        power_wh = wish.power_w * rules.interval_min // _MINUTES_PER_HOUR
        return Refusal(MarketRefusal.QUANTITY_OFF_LOT, rules.lot_wh, power_wh)
    return refuse_profile(rules, amount_wh(wish, rules.interval_min))


def _refuse_stage(enquiry: Enquiry, now: Moment, *stages: Stage) -> Refusal | None:
    """Ended, its time is up, or another's move."""
    if enquiry.ended is not None or now.at >= enquiry.deadline_at or enquiry.stage not in stages:
        return Refusal(MarketRefusal.ENQUIRY_NOT_OPEN, enquiry.deadline_at, now.at)
    return None


def _refuse_move(state: Market, enquiry: Enquiry, actor: str, now: Moment, *stages: Stage) -> Refusal | None:
    """As `_refuse_stage`, and only of somebody who may trade."""
    if (refusal := _refuse_stage(enquiry, now, *stages)) is not None:
        return refusal
    return None if actor in state.participants else Refusal(state.why_not(actor))


def _refuse_offer(state: Market, enquiry: Enquiry, wish: OfferEnergy, actor: str, now: Moment) -> Refusal | None:
    opened = enquiry.opened
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if opened.addressed and wish.party not in opened.addressed:
        return Refusal(MarketRefusal.NOT_ADDRESSED)
    if wish.party == opened.enquirer:
        return Refusal(MarketRefusal.SAME_PARTY)
    if (refusal := _refuse_stage(enquiry, now, Stage.OFFERS)) is not None:
        return refusal
    found = listed(state, opened.first_start_at, len(opened.quantity_wh))
    assert not isinstance(found, Refusal), "what is asked is listed until its gate"
    sources = sources_of(found[0], opened.zone)
    if (refusal := refuse_party(state, wish.party, wish.connection, sources, True)) is not None:
        return refusal
    if len(enquiry.offers) >= MAX_OFFERS:
        return Refusal(MarketRefusal.TOO_MANY_OFFERS, MAX_OFFERS, len(enquiry.offers) + 1)
    if len(wish.quantity_wh) != len(found):
        return Refusal(MarketRefusal.PROFILE_DIFFERS, len(found), len(wish.quantity_wh))
    rules, price = found[0].rules, wish.price_nano_per_kwh
    zones = state.connections[wish.connection].zone, opened.zone
    sold = sold_pico_per_wh(price, rules.assumed_price_nano_per_kwh)
    return (
        _refuse_part(rules, opened.quantity_wh, wish.quantity_wh)
        or refuse_price(rules, price)
        or refuse_sale(state, wish.connection, found, wish.quantity_wh)
        or refuse_flow(state, flow_of(state, opened.first_start_at, opened.interval_min, zones, wish.quantity_wh))
        or refuse_credit(state, wish.party, sum(wish.quantity_wh) * sold)
    )


def _refuse_part(rules: RuleSet, asked_wh: tuple[int, ...], offered_wh: tuple[int, ...]) -> Refusal | None:
    """Something of it, in whole lots, and of no interval more than is asked."""
    if not any(offered_wh):
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, 0)
    for wh in offered_wh:
        refusal = refuse_quantity(rules, wh) if wh else None
        if refusal is not None:
            return refusal
    for asked, wh in zip(asked_wh, offered_wh, strict=True):
        if wh > asked:
            return Refusal(MarketRefusal.QUANTITY_ABOVE_MAXIMUM, asked, wh)
    return None


def _refuse_of_offer(
    state: Market, enquiry: Enquiry, wish: WithdrawOffer | ReviseOffer, actor: str, now: Moment
) -> Refusal | None:
    """An offer that stands, by its seller: taken back before it is on the table, or cheaper once it is asked to be."""
    offer = enquiry.offers.get(wish.offer)
    if offer is None:
        return Refusal(MarketRefusal.OFFER_UNKNOWN)
    if actor != offer.seller:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if isinstance(wish, WithdrawOffer):
        if (refusal := _refuse_stage(enquiry, now, *Stage)) is not None:
            return refusal
        bound = wish.offer in enquiry.table or wish.offer in enquiry.awaited
        return Refusal(MarketRefusal.OFFER_BOUND) if bound else None
    if (refusal := _refuse_move(state, enquiry, actor, now, Stage.COUNTERED)) is not None:
        return refusal
    if wish.offer not in enquiry.awaited:
        return Refusal(MarketRefusal.ALREADY_ANSWERED)
    before, price = offer.price_nano_per_kwh, wish.price_nano_per_kwh
    if (refusal := refuse_price(enquiry.rules, price)) is not None:
        return refusal
    if price >= before:
        return Refusal(MarketRefusal.NOTHING_CHANGED)
    more = sold_pico_per_wh(price, enquiry.rules.assumed_price_nano_per_kwh) - offer.sold_pico_per_wh
    return refuse_credit(state, actor, sum(offer.quantity_wh) * more)


def _refuse_of_enquirer(state: Market, enquiry: Enquiry, wish: Any, actor: str, now: Moment) -> Refusal | None:
    """The enquirer's moves: combine what there is, accept or counter what is on the table, end it."""
    if actor != enquiry.opened.enquirer:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    match wish:
        case CombineOffers():
            refusal = _refuse_move(state, enquiry, actor, now, Stage.OFFERS)
            return refusal or (None if enquiry.offers else Refusal(MarketRefusal.NOTHING_OFFERED))
        case AcceptOffers():
            if (refusal := _refuse_move(state, enquiry, actor, now, Stage.ON_THE_TABLE)) is not None:
                return refusal
            found = on_the_table(enquiry, wish.up_to_nano_per_kwh)
            if not found.parts:
                return Refusal(MarketRefusal.NOTHING_OFFERED)
            return refuse_credit(state, actor, needed_pico(enquiry, found))
        case CounterOffers():
            refusal = _refuse_move(state, enquiry, actor, now, Stage.ON_THE_TABLE)
            return refusal or _refuse_counter(enquiry, wish)
        case _:
            return _refuse_stage(enquiry, now, *Stage)


def _refuse_counter(enquiry: Enquiry, wish: CounterOffers) -> Refusal | None:
    rules, price = enquiry.rules, wish.price_nano_per_kwh
    rounds = rules.negotiation.rounds if rules.negotiation else 0
    if enquiry.round >= rounds:
        return Refusal(MarketRefusal.ROUNDS_EXCEEDED, rounds, enquiry.round + 1)
    if (refusal := refuse_price(rules, price)) is not None:
        return refusal
    dearest = max(offer.price_nano_per_kwh for offer in enquiry.offers.values())
    return Refusal(MarketRefusal.NOTHING_CHANGED) if price >= dearest else None
