"""What a market is and who may do what in it: rules, sessions, participants, allotments, what is settled.

Rules and sessions are the operator's; the rest is brought by policies.
"""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from domain.identity import born_id
from domain.market.capability import EVERYWHERE
from domain.market.credit import limit_recorded
from domain.market.evolution import forget_when_written_out, name_of
from domain.market.network import paths_of, refuse_network, zones_of
from domain.market.phases import collect
from domain.market.refusal import Refusal, refused
from domain.market.session_auctions import collect as collect_session
from domain.market.session_blocks import MAX_DELIVERIES
from domain.market.state import FAMILY, MAX_INTERVALS, Instrument, Market, RulesVersion, Session, starts
from domain.market.timers import GATE, Timed
from schemas.actors import POLICY
from schemas.envelope import Command, Moment
from schemas.market.auction_events import Mechanism
from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    OpenSession,
    RecordCredit,
    SettleDelivery,
)
from schemas.market.events import (
    CommandRefused,
    CreditRecorded,
    DeliverySettled,
    ParticipantAdmitted,
    RuleSet,
    RuleSetAdopted,
    SessionOpened,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import MINUTE_US

MAX_LEAD_MIN: Final = 366 * 1440
"""The earliest opening before delivery."""

_MINUTES_PER_DAY: Final = 1440

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    AdoptRuleSet: (RuleSetAdopted, CommandRefused),
    OpenSession: (SessionOpened, CommandRefused),
    AdmitParticipant: (ParticipantAdmitted, CommandRefused),
    RecordCredit: (CreditRecorded, CommandRefused),
    SettleDelivery: (DeliverySettled, CommandRefused),
}
FACTS: Final = (
    RuleSetAdopted,
    SessionOpened,
    ParticipantAdmitted,
    CreditRecorded,
    DeliverySettled,
)
TIMED: Final[Mapping[int, Timed]] = {}

Wish = AdoptRuleSet | OpenSession | AdmitParticipant | RecordCredit | SettleDelivery
Fact = RuleSetAdopted | SessionOpened | ParticipantAdmitted | CreditRecorded | DeliverySettled


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """What was wished for, or the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case AdoptRuleSet():
            refusal = _refuse_rules(state, wish, actor, now)
        case OpenSession():
            refusal = _refuse_session(state, wish, actor, now)
        case _:
            refusal = _refuse_from_policy(state, wish, actor, now)
    if refusal is not None:
        return refused(wish, *_about(state, wish, actor), refusal)
    return [_prepared(state, command, wish)]


def _prepared(state: Market, command: Command[Any], wish: Wish) -> Fact:
    market = state.market
    match wish:
        case AdoptRuleSet():
            return RuleSetAdopted(market, state.versions + 1, wish.effective_from, wish.rules)
        case OpenSession():
            held = state.rules_for(wish.first_start_at)
            assert held is not None, "a session without rules is refused"
            duration_min = wish.duration_min or held.rules.interval_min
            start, intervals, session = wish.first_start_at, wish.intervals, born_id(FAMILY, command, 0)
            return SessionOpened(market, held.rules.zone, start, intervals, duration_min, held.version, session)
        case AdmitParticipant():
            return ParticipantAdmitted(market, wish.party)
        case RecordCredit():
            return CreditRecorded(market, wish.party, wish.currency, wish.limit_micro)
        case SettleDelivery():
            return DeliverySettled(market, wish.from_at, wish.to_at, wish.area)
        case _:
            assert_never(wish)


def _about(state: Market, wish: Wish, actor: str) -> tuple[str, str]:
    """What a refused wish was about, and whose party's: the owner's, or who wished it."""
    match wish:
        case AdmitParticipant() | RecordCredit():
            return wish.party, wish.party
        case _:
            return state.market, actor


def _refuse_rules(state: Market, wish: AdoptRuleSet, actor: str, now: Moment) -> Refusal | None:
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
    for duration_min in rules.trading.durations_min if rules.trading else ():
        if duration_min % rules.interval_min or _MINUTES_PER_DAY % duration_min:
            return Refusal(MarketRefusal.INVALID_RULES, rules.interval_min, duration_min)
    return _call_rules(rules) or _session_rules(rules) or refuse_network(rules)


def _call_rules(rules: RuleSet) -> Refusal | None:
    """A call ends before the gate, and its result has time. McAfee's is of one zone, not beside a session's
    auction, whose blocks are no units; its unit is whole lots."""
    called = rules.auction
    if called is None:
        return None
    open_min = rules.opening_lead_min - rules.gate_lead_min
    for holds, limit, found in (
        (called.opening_min < open_min, open_min - 1, called.opening_min),
        (called.deadline_min > 0, 1, 0),
        (called.mechanism is Mechanism.UNIFORM or rules.network is None, 0, 1),
        (called.mechanism is Mechanism.UNIFORM or rules.session_auction is None, 0, 1),
        (called.unit_wh % rules.lot_wh == 0, rules.lot_wh, called.unit_wh),
        (called.unit_wh <= rules.max_quantity_wh, rules.max_quantity_wh, called.unit_wh),
    ):
        if not holds:
            return Refusal(MarketRefusal.INVALID_RULES, limit, found)
    return None


def _session_rules(rules: RuleSet) -> Refusal | None:
    """A session's call ends before its first gate, is its only opening, and is of one zone."""
    session = rules.session_auction
    if session is None:
        return None
    open_min = session.opening_lead_min - rules.gate_lead_min
    opened_min = rules.auction.opening_min if rules.auction else 0
    for holds, limit, found in (
        (session.opening_lead_min <= MAX_LEAD_MIN, MAX_LEAD_MIN, session.opening_lead_min),
        (session.opening_min < open_min, max(0, open_min - 1), session.opening_min),
        (session.deadline_min > 0, 1, 0),
        (rules.network is None, 0, 1),
        (not opened_min, 0, opened_min),
    ):
        if not holds:
            return Refusal(MarketRefusal.INVALID_RULES, limit, found)
    return None


def _refuse_session(state: Market, wish: OpenSession, actor: str, now: Moment) -> Refusal | None:
    """The first broken rule of a session: in the future, on the grid of one rules version, listed once."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != state.operator():
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    if wish.first_start_at <= now.at:
        return Refusal(MarketRefusal.NOT_FUTURE, now.at + 1, wish.first_start_at)
    version = state.rules_for(wish.first_start_at)
    most = MAX_DELIVERIES if version is not None and version.rules.session_auction is not None else MAX_INTERVALS
    if wish.intervals > most:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, most, wish.intervals)
    if version is None:
        return Refusal(MarketRefusal.SESSION_OFF_GRID, state.rules[0].effective_from, wish.first_start_at)
    rules, duration_min = version.rules, wish.duration_min or version.rules.interval_min
    if duration_min not in (rules.interval_min, *(rules.trading.durations_min if rules.trading else ())):
        return Refusal(MarketRefusal.SESSION_OFF_GRID, rules.interval_min, duration_min)
    if not wish.intervals or wish.first_start_at % (duration_min * MINUTE_US):
        return Refusal(MarketRefusal.SESSION_OFF_GRID, duration_min * MINUTE_US, wish.first_start_at)
    listed = starts(wish.first_start_at, duration_min, wish.intervals)
    change = state.rules_change_after(wish.first_start_at)
    if change is not None and change < listed.stop:
        return Refusal(MarketRefusal.SESSION_OFF_GRID, change, listed.stop)
    for session in state.sessions:
        if session.duration_min == duration_min and session.from_at < listed.stop and listed.start < session.to_at:
            return Refusal(MarketRefusal.SESSION_OVERLAPS, session.to_at, listed.start)
    return None


def _refuse_from_policy(
    state: Market,
    wish: AdmitParticipant | RecordCredit | SettleDelivery,
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
    # Who is in default is let in again by the operator only.
    if isinstance(wish, AdmitParticipant) and (
        wish.party in state.participants or wish.party in state.standing.defaults
    ):
        return Refusal(MarketRefusal.ALREADY_ADMITTED)
    if isinstance(wish, SettleDelivery) and wish.area is not None:
        known = {zone for version in state.rules for zone in zones_of(version.rules)}
        if wish.area not in known:
            return Refusal(MarketRefusal.ZONE_UNKNOWN)
    if isinstance(wish, SettleDelivery) and wish.to_at > now.at:
        return Refusal(MarketRefusal.DELIVERY_NOT_OVER, now.at, wish.to_at)
    return None


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact."""
    match fact:
        case DeliverySettled():
            _settled(state, fact)
        case RuleSetAdopted():
            state.versions = fact.version
            state.rules = [v for v in state.rules if v.effective_from < fact.effective_from]
            state.rules.append(RulesVersion(fact.version, fact.effective_from, fact.rules))
        case SessionOpened():
            _opened(state, fact)
        case ParticipantAdmitted():
            state.participants.add(fact.party)
        case CreditRecorded():
            state.account(fact.party).limit_micro = fact.limit_micro
            limit_recorded(state, fact.party)
        case _:
            assert_never(fact)


def _opened(state: Market, fact: SessionOpened) -> None:
    rules = next(v.rules for v in state.rules if v.version == fact.rules_version)
    duration_min = fact.interval_min
    listed = starts(fact.first_start_at, duration_min, fact.intervals)
    paths = None if rules.network is None else paths_of(rules)
    state.sessions.append(Session(listed.start, listed.stop, duration_min))
    for start in listed:
        opens_at = start - rules.opening_lead_min * MINUTE_US
        gate_at = start - rules.gate_lead_min * MINUTE_US
        touched = starts(start, rules.interval_min, duration_min // rules.interval_min)
        slots = tuple(state.slot(slot) for slot in touched)
        for slot in slots:
            slot.books += 1
            slot.interval_min = rules.interval_min
        instrument = Instrument(start, duration_min, fact.rules_version, rules, opens_at, gate_at, slots, paths)
        state.instruments[instrument.key] = instrument
        if rules.auction is not None and rules.auction.opening_min:
            collect(state, instrument, opens_at + rules.auction.opening_min * MINUTE_US)
        state.remind(gate_at, GATE, start, name_of(instrument))
    if rules.session_auction is not None:
        collect_session(state, fact, rules.session_auction)


def _settled(state: Market, fact: DeliverySettled) -> None:
    state.sessions = [s for s in state.sessions if s.to_at > fact.to_at]
    state.outlets.forget_until(fact.to_at)
    touched = [slot for start, slot in state.slots.items() if fact.from_at <= start < fact.to_at]
    for slot in touched:
        slot.settled.add(EVERYWHERE if fact.area is None else fact.area)
        for zones in [zones for zones in slot.committed_pico if slot.is_settled(zones)]:
            for party, pico in slot.committed_pico.pop(zones).items():
                state.account(party).exposure_pico -= pico
    over = {slot.start_at for slot in touched if slot.is_over}
    # A delivery that lasts longer than an interval is over with the last of them.
    ended = [i for i in state.instruments.values() if any(slot.start_at in over for slot in i.slots)]
    for instrument in ended:
        if all(slot.is_over for slot in instrument.slots):
            # A book whose closing is not written out yet goes with its last slice.
            instrument.settled = True
            forget_when_written_out(state, instrument)
    # What was published of lines for intervals that nobody can list any more goes, too.
    for start in [s for s, slot in state.slots.items() if not slot.books and s < fact.to_at]:
        del state.slots[start]
