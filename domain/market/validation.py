"""The order in which wishes are checked; the first rule that is broken is the one answer.

The order is that of `MarketRefusal` (domain rules §1.1 rule 12): the market is known (an order or
contract that is named, too: without it there is no owner and no gate) → authorisation → what an
operator's or a policy's wish needs → the instrument exists, is open, its gate is not closed → the
participant is admitted, the connection is theirs, what sells is verified → quantity: zero, lot,
maximum → price: tick, range → expiry: in the future, not after the gate → capability → credit.
Self-trade prevention and matching come after; they refuse nothing, they cancel with a reason.

A contract over several intervals is checked per rule, not per interval: the first interval that
breaks the first broken rule is named in `found`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.market.capability import capability_wh, used_wh
from domain.market.exposure import bought_pico_per_wh, exposed_micro, fits, sold_pico_per_wh
from domain.market.state import MAX_INTERVALS, Connection, Instrument, Market, starts
from schemas.actors import POLICY
from schemas.envelope import Moment
from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    ApproveContract,
    CancelOrder,
    OpenSession,
    ProposeContract,
    RecordCapability,
    RecordCredit,
    SettleDelivery,
    SubmitOrder,
)
from schemas.market.events import MarketRefusal, RuleSet
from schemas.values import INT64_MAX, MINUTE_US, Side

MAX_LEAD_MIN: Final = 366 * 1440
"""The earliest opening before delivery."""

_MINUTES_PER_DAY: Final = 1440
_SELL: Final = Side.SELL  # an enum finds its members by name, every time


class Refusal(NamedTuple):
    """Which rule is broken, where it draws the line and what was found (0 where there is no number)."""

    reason: MarketRefusal
    limit: int = 0
    found: int = 0


def refuse_order(  # noqa: PLR0911  (one rule after the other, in the order of the checks)
    state: Market, instrument: Instrument | None, wish: SubmitOrder, actor: str, now: Moment
) -> Refusal | None:
    """The first broken rule of an order for this instrument (none: there is no such one)."""
    party, at = wish.party, now.at
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if instrument is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, wish.delivery_start_at)
    if at < instrument.opens_at:
        return Refusal(MarketRefusal.NOT_OPEN, instrument.opens_at, at)
    if instrument.closed or at >= instrument.gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, instrument.gate_at, at)
    if party not in state.participants:
        return Refusal(MarketRefusal.PARTICIPANT_UNKNOWN)
    connection = state.connections.get(wish.connection)
    if connection is None or connection.party != party:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    sells = wish.side is _SELL
    if sells and not connection.verified:
        return Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)
    rules, quantity_wh, price = instrument.rules, wish.quantity_wh, wish.limit_price_nano_per_kwh
    if (broken := _quantity(rules, quantity_wh)) is not None:
        return broken
    if (broken := _price(rules, price)) is not None:
        return broken
    expires_at = wish.expires_at
    if expires_at is not None:
        if expires_at <= at:
            return Refusal(MarketRefusal.EXPIRY_IN_THE_PAST, at, expires_at)
        if expires_at > instrument.gate_at:
            return Refusal(MarketRefusal.EXPIRY_AFTER_GATE, instrument.gate_at, expires_at)
    if not sells:
        return _credit(state, party, quantity_wh * bought_pico_per_wh(price))
    if (broken := _capability(connection, instrument, wish.connection, quantity_wh)) is not None:
        return broken
    return _credit(state, party, quantity_wh * sold_pico_per_wh(price, rules.assumed_price_nano_per_kwh))


def _quantity(rules: RuleSet, quantity_wh: int) -> Refusal | None:
    if quantity_wh <= 0:
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, quantity_wh)
    if quantity_wh % rules.lot_wh:
        return Refusal(MarketRefusal.QUANTITY_OFF_LOT, rules.lot_wh, quantity_wh)
    if quantity_wh > rules.max_quantity_wh:
        return Refusal(MarketRefusal.QUANTITY_ABOVE_MAXIMUM, rules.max_quantity_wh, quantity_wh)
    return None


def _price(rules: RuleSet, price: int) -> Refusal | None:
    if price % rules.tick_nano_per_kwh:
        return Refusal(MarketRefusal.PRICE_OFF_TICK, rules.tick_nano_per_kwh, price)
    if price < rules.min_price_nano_per_kwh:
        return Refusal(MarketRefusal.PRICE_OUT_OF_RANGE, rules.min_price_nano_per_kwh, price)
    if price > rules.max_price_nano_per_kwh:
        return Refusal(MarketRefusal.PRICE_OUT_OF_RANGE, rules.max_price_nano_per_kwh, price)
    return None


def _capability(held: Connection, instrument: Instrument, connection: str, quantity_wh: int) -> Refusal | None:
    limit = capability_wh(held.injection_w, instrument.rules.interval_min)
    found = used_wh(instrument.used_wh, connection) + quantity_wh
    return Refusal(MarketRefusal.CAPABILITY_EXCEEDED, limit, found) if found > limit else None


def _credit(state: Market, party: str, needed_pico: int) -> Refusal | None:
    account = state.accounts.get(party)
    if fits(account, needed_pico):
        return None
    # The answer's numbers are 64-bit; what a wish of an absurd size would need is not.
    found = min(exposed_micro(account, needed_pico), INT64_MAX)
    return Refusal(MarketRefusal.CREDIT_EXCEEDED, account.limit_micro if account else 0, found)


def refuse_cancellation(state: Market, wish: CancelOrder, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a cancellation: the owner's, before the gate, of something still open."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    order = state.orders.get(wish.order)
    if order is not None:
        party, instrument = order.party, state.instruments[order.delivery_start_at]
    else:
        ended = state.ended(wish.order)
        if ended is None:
            return Refusal(MarketRefusal.ORDER_UNKNOWN)
        party, instrument = ended
    if actor != party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if instrument.closed or now.at >= instrument.gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, instrument.gate_at, now.at)
    if order is None or (order.expires_at is not None and order.expires_at <= now.at):
        return Refusal(MarketRefusal.ORDER_NOT_OPEN)
    return None


def refuse_proposal(state: Market, wish: ProposeContract, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a negotiated contract; every interval is an instrument of one rules version."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor not in (wish.seller, wish.buyer):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.seller == wish.buyer:
        return Refusal(MarketRefusal.SAME_PARTY)
    if len(wish.quantity_wh) > MAX_INTERVALS:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, len(wish.quantity_wh))
    listed = _listed(state, wish.first_start_at, len(wish.quantity_wh))
    if isinstance(listed, Refusal):
        return listed
    return (
        _proposal_standing(state, wish, listed, now)
        or _proposal_terms(wish, listed[0].rules)
        or _proposal_limits(state, wish, listed)
    )


def _listed(state: Market, first_start_at: int, intervals: int) -> Sequence[Instrument] | Refusal:
    first = state.instruments.get(first_start_at)
    if first is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, first_start_at)
    listed = [first]
    for start in starts(first_start_at, first.rules.interval_min, intervals)[1:]:
        instrument = state.instruments.get(start)
        if instrument is None or instrument.version != first.version:
            return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, start)
        listed.append(instrument)
    return listed


def _proposal_standing(
    state: Market, wish: ProposeContract, listed: Sequence[Instrument], now: Moment
) -> Refusal | None:
    # The last interval opens last and the first gate closes first.
    if now.at < listed[-1].opens_at:
        return Refusal(MarketRefusal.NOT_OPEN, listed[-1].opens_at, now.at)
    if listed[0].closed or now.at >= listed[0].gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, listed[0].gate_at, now.at)
    if wish.seller not in state.participants or wish.buyer not in state.participants:
        return Refusal(MarketRefusal.PARTICIPANT_UNKNOWN)
    sells, buys = state.connections.get(wish.seller_connection), state.connections.get(wish.buyer_connection)
    if sells is None or sells.party != wish.seller or buys is None or buys.party != wish.buyer:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    return None if sells.verified else Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)


def _proposal_terms(wish: ProposeContract, rules: RuleSet) -> Refusal | None:
    if not wish.quantity_wh:
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, 0)
    refusals = [r for q in wish.quantity_wh if (r := _quantity(rules, q)) is not None]
    if refusals:
        order = (
            MarketRefusal.QUANTITY_ZERO,
            MarketRefusal.QUANTITY_OFF_LOT,
            MarketRefusal.QUANTITY_ABOVE_MAXIMUM,
        )
        return min(refusals, key=lambda r: order.index(r.reason))
    return _price(rules, wish.price_nano_per_kwh)


def _proposal_limits(state: Market, wish: ProposeContract, listed: Sequence[Instrument]) -> Refusal | None:
    sells = state.connections[wish.seller_connection]
    for instrument, quantity_wh in zip(listed, wish.quantity_wh, strict=True):
        refusal = _capability(sells, instrument, wish.seller_connection, quantity_wh)
        if refusal is not None:
            return refusal
    whole_wh, price = sum(wish.quantity_wh), wish.price_nano_per_kwh
    assumed = listed[0].rules.assumed_price_nano_per_kwh
    return _credit(state, wish.buyer, whole_wh * bought_pico_per_wh(price)) or _credit(
        state, wish.seller, whole_wh * sold_pico_per_wh(price, assumed)
    )


def refuse_approval(state: Market, wish: ApproveContract, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of an approval: by the party that is awaited, in time."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    negotiation = state.negotiations.get(wish.contract)
    if negotiation is None:
        return Refusal(MarketRefusal.CONTRACT_UNKNOWN)
    if actor != negotiation.proposed.awaiting:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if not negotiation.waiting or now.at >= negotiation.proposed.lapses_at:
        return Refusal(MarketRefusal.CONTRACT_NOT_PROPOSED, negotiation.proposed.lapses_at, now.at)
    return None


def refuse_rules(state: Market, wish: AdoptRuleSet, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a rule set. The first one names operator, zone and currency for ever.

    The first may begin at any time; a later one begins in the future, behind every listed delivery.
    """
    operator = state.operator()
    if actor != (wish.rules.operator if operator is None else operator):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if operator is not None:
        before = state.rules[-1].rules
        if wish.rules.currency != before.currency:
            return Refusal(MarketRefusal.WRONG_CURRENCY)
        earliest = max(now.at + 1, state.listed_until())
        if wish.effective_from < earliest:
            return Refusal(MarketRefusal.NOT_FUTURE, earliest, wish.effective_from)
        if (wish.rules.operator, wish.rules.zone) != (before.operator, before.zone):
            return Refusal(MarketRefusal.INVALID_RULES)
    return _rules(wish.rules)


def _rules(rules: RuleSet) -> Refusal | None:
    for holds, limit, found in (
        (_MINUTES_PER_DAY % rules.interval_min == 0, _MINUTES_PER_DAY, rules.interval_min),
        (rules.opening_lead_min <= MAX_LEAD_MIN, MAX_LEAD_MIN, rules.opening_lead_min),
        (rules.gate_lead_min < rules.opening_lead_min, rules.opening_lead_min, rules.gate_lead_min),
        (rules.tick_nano_per_kwh > 0, 1, 0),
        (rules.lot_wh > 0, 1, 0),
        (rules.max_quantity_wh >= rules.lot_wh, rules.lot_wh, rules.max_quantity_wh),
        (
            rules.max_price_nano_per_kwh >= rules.min_price_nano_per_kwh,
            rules.min_price_nano_per_kwh,
            rules.max_price_nano_per_kwh,
        ),
        (rules.approval_deadline_min > 0, 1, 0),
    ):
        if not holds:
            return Refusal(MarketRefusal.INVALID_RULES, limit, found)
    return None


def refuse_session(state: Market, wish: OpenSession, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a session: in the future, on the grid of one rules version, listed once."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != state.operator():
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.first_start_at <= now.at:
        return Refusal(MarketRefusal.NOT_FUTURE, now.at + 1, wish.first_start_at)
    if wish.intervals > MAX_INTERVALS:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, wish.intervals)
    version = state.rules_for(wish.first_start_at)
    if version is None:
        return Refusal(MarketRefusal.SESSION_OFF_GRID, state.rules[0].effective_from, wish.first_start_at)
    interval_min = version.rules.interval_min
    if not wish.intervals or wish.first_start_at % (interval_min * MINUTE_US):
        return Refusal(MarketRefusal.SESSION_OFF_GRID, interval_min * MINUTE_US, wish.first_start_at)
    listed = starts(wish.first_start_at, interval_min, wish.intervals)
    change = state.rules_change_after(wish.first_start_at)
    if change is not None and change < listed.stop:
        return Refusal(MarketRefusal.SESSION_OFF_GRID, change, listed.stop)
    for session in state.sessions:
        if session.from_at < listed.stop and listed.start < session.to_at:
            return Refusal(MarketRefusal.SESSION_OVERLAPS, session.to_at, listed.start)
    return None


def refuse_from_policy(
    state: Market,
    wish: AdmitParticipant | RecordCapability | RecordCredit | SettleDelivery,
    actor: str,
    now: Moment,
) -> Refusal | None:
    """The first broken rule of what other families have to say; only policies bring it.

    Allotments may come before the admission: the families are not in step.
    """
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if not actor.startswith(POLICY):
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if isinstance(wish, RecordCredit) and wish.issuer != state.rules[-1].rules.operator:
        # Any issuer may allot credit in its own ledger; it is the operator who stands in for the market's money.
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if isinstance(wish, RecordCredit) and wish.currency != state.rules[-1].rules.currency:
        return Refusal(MarketRefusal.WRONG_CURRENCY)
    if isinstance(wish, RecordCapability) and wish.zone != state.rules[-1].rules.zone:
        # Contracts are settled with the market's zone; this connection would not be among its connections.
        return Refusal(MarketRefusal.WRONG_ZONE)
    if isinstance(wish, AdmitParticipant) and wish.party in state.participants:
        return Refusal(MarketRefusal.ALREADY_ADMITTED)
    if isinstance(wish, SettleDelivery) and wish.to_at > now.at:
        return Refusal(MarketRefusal.DELIVERY_NOT_OVER, now.at, wish.to_at)
    return None
