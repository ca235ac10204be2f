"""What is on the table of an enquiry: the combination of the offers, and what becomes of it when time is up."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from domain.identity import derived_id
from domain.market.combination import Combination, combine, duration
from domain.market.contract_versions import concluded
from domain.market.enquiry_state import Enquiry, Offer, Stage
from domain.market.exposure import bought_pico_per_wh
from domain.market.lapse_fee import lapse_fees
from domain.market.state import Market
from domain.market.timers import ENQUIRY_DEADLINE, Ahead, Timed, Timer
from domain.market.validation import refuse_credit
from schemas.market.enquiry_events import (
    CounterOfferMade,
    EnquiryClosed,
    EnquiryEnd,
    OfferAccepted,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.market.events import ContractConcluded
from schemas.values import MINUTE_US, DeliveryMode, Side


def tabled(state: Market, enquiry: Enquiry, offers: Sequence[Offer], at: int, gone: Collection[str] = ()) -> list[Any]:
    """The whole amount within the limit, a counter-offer of what there is, or the end of it when there is nothing.

    `gone` are offers that were withdrawn just now.
    """
    found = combine(enquiry.opened.quantity_wh, offers)
    if not found.parts:
        return [closed(state, enquiry, EnquiryEnd.UNANSWERED, gone)]
    lapses_at = _answer_until(enquiry, at)
    dearest = max(offer.price_nano_per_kwh for offer, _ in found.parts)
    whole = found.quantity_wh == enquiry.opened.quantity_wh and dearest <= enquiry.limit_nano_per_kwh
    opened = enquiry.opened
    who = state.market, opened.enquiry, opened.enquirer
    first_start_at, quantity_wh = duration(opened.first_start_at, opened.interval_min, found.quantity_wh)
    ids = tuple(offer.offer for offer, _ in found.parts)
    sellers = tuple(offer.seller for offer, _ in found.parts)
    taken = tuple(sum(wh) for _, wh in found.parts)
    prices = tuple(offer.price_nano_per_kwh for offer, _ in found.parts)
    average = found.average_nano_per_kwh()
    if not whole:
        by, n = Side.SELL, enquiry.round
        short = CounterOfferMade(
            *who, by, n, first_start_at, quantity_wh, average, ids, sellers, taken, prices, lapses_at
        )
        return [short]
    combined = OffersCombined(
        *who, enquiry.round, first_start_at, quantity_wh, average, ids, sellers, taken, prices, lapses_at
    )
    if not opened.accepts_at_once or refuse_credit(state, opened.enquirer, needed_pico(enquiry, found)) is not None:
        return [combined]
    return [combined, *accepted(state, enquiry, found, gone)]


def withdrawn(state: Market, enquiry: Enquiry, offers: Sequence[Offer], at: int) -> list[Any]:
    """These offers are no more, bound or not; what was on the table with them is combined anew without them."""
    gone = {offer.offer for offer in offers}
    facts: list[Any] = [OfferWithdrawn(state.market, enquiry.opened.enquiry, o.offer, o.seller) for o in offers]
    tabled_with = enquiry.stage is Stage.ON_THE_TABLE and not gone.isdisjoint(enquiry.table)
    if tabled_with or (enquiry.stage is Stage.COUNTERED and enquiry.awaited <= gone):
        facts += tabled(state, enquiry, [o for o in enquiry.offers.values() if o.offer not in gone], at, gone)
    return facts


def counter_offered(state: Market, enquiry: Enquiry, price: int, at: int) -> CounterOfferMade:
    """The enquirer's price for what is on the table; everybody who offers at more may come down."""
    opened, found = enquiry.opened, on_the_table(enquiry, None)
    first_start_at, quantity_wh = duration(opened.first_start_at, opened.interval_min, found.quantity_wh)
    dearer = [offer for offer in enquiry.offers.values() if offer.price_nano_per_kwh > price]
    return CounterOfferMade(
        state.market,
        opened.enquiry,
        opened.enquirer,
        Side.BUY,
        enquiry.round + 1,
        first_start_at,
        quantity_wh,
        price,
        tuple(offer.offer for offer in dearer),
        tuple(offer.seller for offer in dearer),
        tuple(sum(offer.quantity_wh) for offer in dearer),
        tuple(offer.price_nano_per_kwh for offer in dearer),
        _answer_until(enquiry, at),
    )


def on_the_table(enquiry: Enquiry, up_to_nano_per_kwh: int | None) -> Combination:
    """The combination that the enquirer was shown, or its offers up to a price."""
    offers = [enquiry.offers[offer] for offer in enquiry.table]
    if up_to_nano_per_kwh is not None:
        offers = [offer for offer in offers if offer.price_nano_per_kwh <= up_to_nano_per_kwh]
    return combine(enquiry.opened.quantity_wh, offers)


def needed_pico(enquiry: Enquiry, found: Combination) -> int:
    """What the combination counts in the enquirer's credit."""
    credit = enquiry.rules.credit
    return sum(sum(taken) * bought_pico_per_wh(offer.price_nano_per_kwh, credit) for offer, taken in found.parts)


def accepted(state: Market, enquiry: Enquiry, found: Combination, gone: Collection[str] = ()) -> list[Any]:
    """One contract for each offer taken, with its own profile and price; the other offers are free."""
    facts: list[Any] = []
    opened = enquiry.opened
    for offer, taken in found.parts:
        contract, price = derived_id(offer.offer, "contract"), offer.price_nano_per_kwh
        sold = opened.enquiry, offer.offer, offer.seller, opened.enquirer
        facts.append(OfferAccepted(state.market, *sold, taken, price, contract))
        facts.append(_contract(state, enquiry, offer, taken, contract))
    taken_ids = [offer.offer for offer, _ in found.parts]
    return [*facts, closed(state, enquiry, EnquiryEnd.ACCEPTED, {*gone, *taken_ids})]


def closed(state: Market, enquiry: Enquiry, ending: EnquiryEnd, gone: Collection[str] = ()) -> EnquiryClosed:
    """The end, with the offers that are free now: all but those that are taken or withdrawn already."""
    free = [offer for offer in enquiry.offers.values() if offer.offer not in gone]
    ids, sellers = tuple(offer.offer for offer in free), tuple(offer.seller for offer in free)
    return EnquiryClosed(state.market, enquiry.opened.enquiry, enquiry.opened.enquirer, ending, ids, sellers)


def creditors(enquiry: Enquiry) -> tuple[str, ...]:
    """Who is owed the lapse fee: each seller of a complete combination on the table. A short one may be refused."""
    if enquiry.stage is not Stage.ON_THE_TABLE or not enquiry.complete:
        return ()
    return tuple(dict.fromkeys(enquiry.offers[offer].seller for offer in enquiry.table))


def _contract(state: Market, enquiry: Enquiry, offer: Offer, taken: Sequence[int], contract: str) -> ContractConcluded:
    opened = enquiry.opened
    version = state.rules_for(opened.first_start_at)
    assert version is not None, "what is listed has rules"
    first_start_at, quantity_wh = duration(opened.first_start_at, opened.interval_min, taken)
    return concluded(
        state.market,
        version.rules,
        version.version,
        contract,
        offer.offer,
        offer.seller,
        opened.enquirer,
        offer.connection,
        opened.connection,
        offer.zone,
        opened.zone,
        first_start_at,
        quantity_wh,
        offer.price_nano_per_kwh,
        DeliveryMode.FIRM,
    )


def _answer_until(enquiry: Enquiry, at: int) -> int:
    """Each side has its time to answer, at the longest to the gate of the first interval."""
    rules = enquiry.rules
    answer_min = rules.negotiation.answer_min if rules.negotiation else rules.approval_deadline_min
    gate_at = enquiry.opened.first_start_at - rules.gate_lead_min * MINUTE_US
    return min(at + answer_min * MINUTE_US, gate_at)


def _is_answered(state: Market, timer: Timer) -> bool:
    enquiry = state.enquiries.known.get(timer[3])
    return enquiry is None or enquiry.ended is not None or timer[2] != enquiry.deadline


def _time_is_up(state: Market, timer: Timer, ahead: Ahead) -> Iterator[Any]:
    """The offers are combined; what the enquirer did not answer lapses; who did not come down keeps his price."""
    enquiry = state.enquiries.known[timer[3]]
    if enquiry.stage is Stage.ON_THE_TABLE:
        who = timer[3], enquiry.opened.first_start_at, enquiry.opened.enquirer
        fees = lapse_fees(state, *who, creditors(enquiry))
        facts: list[Any] = [closed(state, enquiry, EnquiryEnd.LAPSED), *fees]
    else:
        facts = tabled(state, enquiry, tuple(enquiry.offers.values()), ahead.at)
    # What is accepted here takes credit that a later enquiry of the call would see as free.
    ahead.stop = len(facts) > ahead.room or type(facts[-1]) is EnquiryClosed
    if len(facts) <= ahead.room:
        ahead.room -= len(facts)
        yield from facts


TIMED: Final = {ENQUIRY_DEADLINE: Timed(_is_answered, _time_is_up)}
