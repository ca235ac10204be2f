"""What contracts take of the limits of their market, interval by interval, and what another version takes more.

A concluded contract uses capability (sold − bought), credit of both sides until settlement, and the lines between
its zones. What a proposed version takes more than the one before is reserved while it waits.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from domain.market.capability import Slot
from domain.market.contract_state import Claims, Version, seller_gets
from domain.market.evolution import look_again
from domain.market.exposure import bought_pico_per_wh, sold_pico_per_wh
from domain.market.network import left_wh
from domain.market.refusal import Refusal
from domain.market.state import Instrument, Market, starts
from domain.market.validation import SpokenFor, refuse_credit, refuse_sales
from schemas.market.contract_events import ContractRevised, ContractState
from schemas.market.reasons import MarketRefusal

K = TypeVar("K", bound=Hashable)


def instruments_of(state: Market, version: Version) -> list[Instrument | None]:
    """The instrument of each interval of a contract: several share one that lasts longer; none once it is forgotten."""
    interval_min, duration_min = version.interval_min, version.duration_min or version.interval_min
    deliveries = -(-len(version.quantity_wh) * interval_min // duration_min)
    found = [state.instruments.get((s, duration_min)) for s in starts(version.first_start_at, duration_min, deliveries)]
    return [instrument for instrument in found for _ in range(duration_min // interval_min)][: len(version.quantity_wh)]


def claims_of(state: Market, version: Version) -> Claims:
    """What the contract takes now: nothing when it is cancelled, and nothing for what is settled."""
    found = Claims(zones=_zones(version))
    if isinstance(version, ContractRevised) and version.state is ContractState.CANCELLED:
        return found
    for slot, instrument, quantity_wh in _open(state, version):
        rules = instrument.rules
        _add(found.capability_wh, (slot.start_at, version.seller_connection), quantity_wh)
        _add(found.capability_wh, (slot.start_at, version.buyer_connection), -quantity_wh)
        bought = quantity_wh * bought_pico_per_wh(version.price_nano_per_kwh, rules.credit)
        sold = quantity_wh * sold_pico_per_wh(seller_gets(version), rules.assumed_price_nano_per_kwh)
        _add(found.credit_pico, (slot.start_at, version.buyer), bought)
        _add(found.credit_pico, (slot.start_at, version.seller), sold)
        if found.zones[0] != found.zones[1]:
            assert instrument.paths is not None, "nothing crosses in one zone"
            for line, sign in instrument.paths[found.zones]:
                _add(found.flow_wh, (slot.start_at, line), sign * quantity_wh)
    return found


def _zones(version: Version) -> tuple[str, str]:
    return version.zone, version.buyer_zone or version.zone


def _open(state: Market, version: Version) -> Iterator[tuple[Slot, Instrument, int]]:
    listed = starts(version.first_start_at, version.interval_min, len(version.quantity_wh))
    instruments = instruments_of(state, version)
    for start, instrument, quantity_wh in zip(listed, instruments, version.quantity_wh, strict=True):
        slot = state.slots.get(start)
        if instrument is not None and slot is not None and not slot.is_settled(_zones(version)) and quantity_wh:
            yield slot, instrument, quantity_wh


def _add(sums: dict[K, int], key: K, amount: int) -> None:
    sums[key] = sums.get(key, 0) + amount


def growth(before: Claims, after: Claims) -> Claims:
    """What the second takes beyond the first, nowhere less than nothing; on a line, what it takes of either way."""
    return Claims(
        _beyond(before.capability_wh, after.capability_wh),
        _beyond(before.credit_pico, after.credit_pico),
        {key: wh for key, wh in _beyond_on_lines(before.flow_wh, after.flow_wh) if wh},
    )


def _beyond(before: dict[K, int], after: dict[K, int]) -> dict[K, int]:
    more = {key: after.get(key, 0) - before.get(key, 0) for key in (*before, *after)}
    return {key: amount for key, amount in more.items() if amount > 0}


def _beyond_on_lines(before: dict[K, int], after: dict[K, int]) -> Iterator[tuple[K, int]]:
    for key, wh in after.items():
        was = before.get(key, 0)
        same_way = (was > 0) is (wh > 0)
        if not same_way:
            yield key, wh
        elif abs(wh) > abs(was):
            yield key, wh - was


def refuse_growth(state: Market, more: Claims, listed: Iterable[Instrument | None]) -> Refusal | None:
    """The first limit that would be passed on a contract's instruments: capability, then the lines, then credit."""
    sales = [(i, 0) for i in {i.key: i for i in listed if i is not None}.values()]
    for connection in dict.fromkeys(connection for _, connection in more.capability_wh):
        held = state.connections.get(connection)
        taken = {(of, start): wh for (start, of), wh in more.capability_wh.items() if of == connection}
        if held is None:
            return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
        if (broken := refuse_sales(held, connection, sales, SpokenFor(taken))) is not None:
            return broken
    if (full := refuse_flow(state, more.flow_wh)) is not None:
        return full
    for party, pico in by_party(more).items():
        refusal = refuse_credit(state, party, pico)
        if refusal is not None:
            return refusal
    return None


def refuse_flow(state: Market, more_wh: Mapping[tuple[int, str], int]) -> Refusal | None:
    """The first line that would carry more one way than it can, in some settlement interval."""
    for (start, line), wh in more_wh.items():
        slot, sign = state.slots[start], 1 if wh > 0 else -1
        left = left_wh(slot, line, sign)
        if abs(wh) > left:
            crosses_wh = sign * slot.flow_wh.get(line, 0)
            return Refusal(MarketRefusal.LINE_EXCEEDED, crosses_wh + left, crosses_wh + abs(wh))
    return None


def flow_of(
    state: Market, first_start_at: int, interval_min: int, zones: tuple[str, str], quantity_wh: Sequence[int]
) -> dict[tuple[int, str], int]:
    """What a profile from one zone to another takes of the lines, as far as its intervals are still known."""
    found: dict[tuple[int, str], int] = {}
    for start, wh in zip(starts(first_start_at, interval_min, len(quantity_wh)), quantity_wh, strict=True):
        instrument = state.instruments.get((start, interval_min))
        paths = None if instrument is None else instrument.paths
        for line, sign in (paths or {}).get(zones, ()):
            _add(found, (start, line), sign * wh)
    return found


def by_party(claims: Claims) -> dict[str, int]:
    """Credit by party, in the order in which the parties come."""
    sums: dict[str, int] = {}
    for (_, party), pico in claims.credit_pico.items():
        _add(sums, party, pico)
    return sums


def take(state: Market, claims: Claims, sign: int = 1, *, committed: bool = True) -> None:
    """For `evolve`: takes what is claimed, or gives it back (−1). Only what is committed is released by settlement."""
    for (start, connection), wh in claims.capability_wh.items():
        if (slot := state.slots.get(start)) is not None:
            _add(slot.used_wh, connection, sign * wh)
    for (start, line), wh in claims.flow_wh.items():
        if (slot := state.slots.get(start)) is not None:
            _add(slot.flow_wh, line, sign * wh)
    if claims.flow_wh:
        look_again(state, [state.slots[start] for start, _ in claims.flow_wh if start in state.slots])
    for (start, party), pico in claims.credit_pico.items():
        state.account(party).exposure_pico += sign * pico
        if committed:
            _add(state.slots[start].committed(claims.zones), party, sign * pico)


def replace_claims(state: Market, before: Version, after: Version) -> None:
    """For `evolve`: what the version before took is free, what the next one takes is taken."""
    take(state, claims_of(state, before), -1)
    take(state, claims_of(state, after))
