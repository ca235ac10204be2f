"""Quantities over consecutive settlement intervals, as listings, enquiries and negotiated contracts have them.

What is checked here is checked per rule, not per interval: the first interval that breaks the first broken rule is
named. What a profile uses is given and taken only where its interval is still known: settlement forgets intervals.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Final

from domain.market.capability import use
from domain.market.refusal import Refusal
from domain.market.state import MAX_INTERVALS, Instrument, Market, starts
from domain.market.validation import refuse_quantity, refuse_sales
from schemas.envelope import Moment
from schemas.market.events import Phase, RuleSet
from schemas.market.reasons import MarketRefusal

_QUANTITY: Final = (MarketRefusal.QUANTITY_ZERO, MarketRefusal.QUANTITY_OFF_LOT, MarketRefusal.QUANTITY_ABOVE_MAXIMUM)


def listed(state: Market, first_start_at: int, intervals: int) -> Sequence[Instrument] | Refusal:
    """The instruments of consecutive settlement intervals, at least one, all of one version of the rules."""
    if intervals > MAX_INTERVALS:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_INTERVALS, intervals)
    version = state.rules_for(first_start_at)
    if version is None:
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, first_start_at)
    found = state.instruments_of(first_start_at, version.rules.interval_min, max(intervals, 1))
    if isinstance(found, int):
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, found)
    for instrument in found:
        if instrument.version != found[0].version:
            return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, instrument.delivery_start_at)
    return found


def refuse_time(state: Market, found: Sequence[Instrument], now: Moment) -> Refusal | None:
    """Not open, gate closed, suspended: the last interval opens last and the first gate closes first."""
    if now.at < found[-1].opens_at:
        return Refusal(MarketRefusal.NOT_OPEN, found[-1].opens_at, now.at)
    if found[0].closed or now.at >= found[0].gate_at:
        return Refusal(MarketRefusal.GATE_CLOSED, found[0].gate_at, now.at)
    if state.suspended or any(instrument.phase is Phase.SUSPENDED for instrument in found):
        return Refusal(MarketRefusal.SUSPENDED)
    return None


def refuse_party(
    state: Market, party: str, connection: str, zones: Container[str] | None, sells: bool
) -> Refusal | None:
    """Not admitted, not their connection, in none of the `zones` that may, nothing verified to sell with."""
    if party not in state.participants:
        return Refusal(state.why_not(party))
    held = state.connections.get(connection)
    if held is None or held.party != party:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    if zones is not None and held.zone not in zones:
        return Refusal(MarketRefusal.WRONG_ZONE)
    return Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED) if sells and not held.verified else None


def refuse_profile(rules: RuleSet, quantity_wh: Sequence[int]) -> Refusal | None:
    """The first broken rule of an interval's quantity; without an interval the quantity is zero."""
    if not quantity_wh:
        return Refusal(MarketRefusal.QUANTITY_ZERO, 1, 0)
    found = [r for q in quantity_wh if (r := refuse_quantity(rules, q)) is not None]
    return min(found, key=lambda r: _QUANTITY.index(r.reason)) if found else None


def refuse_sale(
    state: Market, connection: str, found: Iterable[Instrument], quantity_wh: Iterable[int]
) -> Refusal | None:
    """More sold than the connection can inject, in the first interval where it is so, or than is in its storage."""
    sales = ((instrument, wh) for instrument, wh in zip(found, quantity_wh, strict=True) if wh)
    return refuse_sales(state.connections[connection], connection, sales)


def sources_of(instrument: Instrument, zone: str) -> Container[str]:
    """The zones from which energy reaches this one, itself among them."""
    return {zone, *(first for first, last in instrument.paths or () if last == zone)}


def sell(
    state: Market, first_start_at: int, interval_min: int, connection: str, quantity_wh: Sequence[int], sign: int = 1
) -> None:
    """For `evolve`: takes the capability of a profile (`sign` −1 gives it back, or lets what is bought be resold)."""
    for start, wh in zip(starts(first_start_at, interval_min, len(quantity_wh)), quantity_wh, strict=True):
        slot = state.slots.get(start)
        if slot is not None:
            use((slot,), connection, sign * wh)


def commit(
    state: Market,
    first_start_at: int,
    interval_min: int,
    zones: tuple[str, str],
    party: str,
    quantity_wh: Sequence[int],
    pico_per_wh: int,
) -> None:
    """For `evolve`: a profile sold between zones counts as its party's exposure until each interval is settled."""
    for start, wh in zip(starts(first_start_at, interval_min, len(quantity_wh)), quantity_wh, strict=True):
        slot = state.slots.get(start)
        if slot is not None and slot.books and not slot.is_settled(zones):
            committed = slot.committed(zones)
            committed[party] = committed.get(party, 0) + wh * pico_per_wh
            state.account(party).exposure_pico += wh * pico_per_wh
