"""What call blocks take of capability and credit while they stand.

Of blocks that exclude each other no more than one whole is accepted together: in every settlement interval, and of
credit, they take the most that any of them would.

A block may buy dear in one delivery because it buys cheap in another. All that its result promises is that its mean
price is not worse than the limit, so its credit is the most that any such prices within the market's range could cost:
what an open Wh counts is convex in the price, so that is on the straight line between both ends of the range.
"""

from collections.abc import Sequence

from domain.market.claims import take
from domain.market.contract_state import Claims
from domain.market.exposure import open_pico_per_wh
from domain.market.session_state import CallBlock, SessionAuction
from domain.market.state import Market
from schemas.market.events import RuleSet
from schemas.values import MINUTE_US, Side


def claims_of(state: Market, auction: SessionAuction, pool: Sequence[CallBlock]) -> Claims:
    """What the blocks of a pool take: of everything what the one takes that takes most of it."""
    found = Claims()
    for block in pool:
        one = _claims(state, auction, block)
        for place, energy_wh in one.capability_wh.items():
            found.capability_wh[place] = max(energy_wh, found.capability_wh.get(place, 0))
        for account, pico in one.credit_pico.items():
            found.credit_pico[account] = max(pico, found.credit_pico.get(account, 0))
    return found


def change_pool(
    state: Market, auction: SessionAuction, before: Sequence[CallBlock], after: Sequence[CallBlock]
) -> None:
    """For `evolve`: the pool is another one now; what it took is free, what it takes is taken."""
    take(state, claims_of(state, auction, before), -1, committed=False)
    take(state, claims_of(state, auction, after), 1, committed=False)


def pool_of(auction: SessionAuction, pool: str) -> list[CallBlock]:
    """The blocks of a pool that stand."""
    return [block for block in auction.blocks.values() if block.pool == pool]


def worst_pico_per_wh(rules: RuleSet, buys: bool, limit_nano_per_kwh: int) -> int:
    """The most that a Wh counts on the average, at any prices of the range with a mean not worse than the limit."""
    low, high = rules.min_price_nano_per_kwh, rules.max_price_nano_per_kwh
    if low == high:
        return open_pico_per_wh(rules, buys, limit_nano_per_kwh)
    at_low, at_high = open_pico_per_wh(rules, buys, low), open_pico_per_wh(rules, buys, high)
    line = at_low - (at_low - at_high) * (limit_nano_per_kwh - low) // (high - low)
    return line + (buys and rules.credit is not None)  # the tax of each price is rounded up


def _claims(state: Market, auction: SessionAuction, block: CallBlock) -> Claims:
    found, accepted = Claims(), block.accepted
    rules = state.instruments[auction.key].rules
    buys, price = accepted.side is Side.BUY, accepted.limit_price_nano_per_kwh
    for n, energy_wh in enumerate(block.profile_wh):
        start = accepted.first_start_at + n * accepted.interval_min * MINUTE_US
        slots = state.instruments[start, accepted.interval_min].slots
        for slot in slots if energy_wh and not buys else ():
            found.capability_wh[slot.start_at, accepted.connection] = energy_wh // len(slots)
    deliveries = sum(1 for energy_wh in accepted.profile_wh if energy_wh)
    per_wh = open_pico_per_wh(rules, buys, price) if deliveries == 1 else worst_pico_per_wh(rules, buys, price)
    found.credit_pico[auction.first_start_at, accepted.party] = per_wh * sum(block.profile_wh)
    return found
