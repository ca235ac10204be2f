"""Call blocks: blocks for the auction of a whole session (domain rules §1.2).

They stand while the session's books are collecting, and are accepted in the auction or end with it. A block takes
capability and credit for all of it (`session_claims`).

The order of the checks: market → authorisation → how many deliveries → listed → open → the session's auction: there is
one, trading is not suspended, the auction is not called → participant, connection, verification → quantity of each
delivery → price: tick, range, collar → parent → quality → how many blocks → capability, stored energy → credit.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from domain.identity import born_id, derived_id
from domain.market.book import Order
from domain.market.capability import use
from domain.market.claims import growth, refuse_growth
from domain.market.exposure import open_pico_per_wh
from domain.market.product_orders import Offer, refuse_product
from domain.market.refusal import Refusal, refused
from domain.market.session_claims import change_pool, claims_of, pool_of
from domain.market.session_state import CallBlock, SessionAuction
from domain.market.state import FAMILY, Instrument, Market
from domain.market.timers import Timed
from domain.market.validation import refuse_collar, refuse_price, refuse_quantity
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused
from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.market.session_commands import CancelCallBlock, SubmitCallBlock
from schemas.market.session_events import CallBlockAccepted, CallBlockFilled, CallBlocksEnded
from schemas.values import Side

MAX_DELIVERIES: Final = 100
"""Of one session that is auctioned."""

MAX_BLOCKS: Final = 100
"""Of one session: what they may combine to grows fast."""

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    SubmitCallBlock: (CallBlockAccepted, CommandRefused),
    CancelCallBlock: (CallBlocksEnded, CommandRefused),
}
FACTS: Final = (CallBlockAccepted, CallBlocksEnded, CallBlockFilled)
TIMED: Final[Mapping[int, Timed]] = {}

Wish = SubmitCallBlock | CancelCallBlock
Fact = CallBlockAccepted | CallBlocksEnded | CallBlockFilled


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """The block as it stands, or its end; else the first rule that forbids it."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case SubmitCallBlock():
            refusal = _refuse(state, wish, actor, now)
            if refusal is not None:
                return refused(wish, wish.connection, wish.party, refusal)
            return [_accepted(state, wish, born_id(FAMILY, command, 0))]
        case CancelCallBlock():
            auction = state.session_auctions.with_block(wish.block)
            refusal = _refuse_cancellation(state, auction, wish, actor)
            if refusal is not None:
                return refused(wish, wish.block, actor, refusal)
            assert auction is not None, "an unknown block is refused"
            return [auction.ended(state.market, (wish.block,), CancelReason.OWNER)]
        case _:
            assert_never(wish)


def _accepted(state: Market, wish: SubmitCallBlock, block: str) -> CallBlockAccepted:
    return CallBlockAccepted(
        state.market,
        block,
        state.sequence + 1,
        wish.party,
        wish.connection,
        wish.side,
        wish.first_start_at,
        wish.duration_min,
        wish.profile_wh,
        wish.limit_price_nano_per_kwh,
        wish.minimum_ppm,
        wish.parent,
        wish.exclusive_group,
    )


def _refuse(state: Market, wish: SubmitCallBlock, actor: str, now: Moment) -> Refusal | None:  # noqa: PLR0911
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != wish.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    deliveries = len(wish.profile_wh)
    if not 0 < deliveries <= MAX_DELIVERIES:
        return Refusal(MarketRefusal.TOO_MANY_INTERVALS, MAX_DELIVERIES, deliveries)
    instruments = state.instruments_of(wish.first_start_at, wish.duration_min, deliveries)
    if isinstance(instruments, int):
        return Refusal(MarketRefusal.INSTRUMENT_UNKNOWN, 0, instruments)
    first = instruments[0]
    if now.at < first.opens_at:
        return Refusal(MarketRefusal.NOT_OPEN, first.opens_at, now.at)
    auction = state.session_auctions.of(*first.key)
    if auction is None or auction is not state.session_auctions.of(*instruments[-1].key):
        return Refusal(MarketRefusal.NO_SESSION_AUCTION)
    if state.suspended:
        return Refusal(MarketRefusal.SUSPENDED)
    if auction.called is not None:
        return Refusal(MarketRefusal.AUCTION_UNDERWAY)
    if wish.party not in state.participants:
        return Refusal(state.why_not(wish.party))
    connection = state.connections.get(wish.connection)
    if connection is None or connection.party != wish.party:
        return Refusal(MarketRefusal.CONNECTION_UNKNOWN)
    if wish.side is Side.SELL and not connection.verified:
        return Refusal(MarketRefusal.RESOURCE_NOT_VERIFIED)
    return _refuse_terms(state, auction, wish, instruments) or _refuse_limits(state, auction, wish, instruments)


def _refuse_terms(
    state: Market, auction: SessionAuction, wish: SubmitCallBlock, instruments: Sequence[Instrument]
) -> Refusal | None:
    """What the block says of itself."""
    first, price, sells = instruments[0], wish.limit_price_nano_per_kwh, wish.side is Side.SELL
    energies = [energy_wh for energy_wh in wish.profile_wh if energy_wh] or [0]
    for energy_wh in energies:
        broken = refuse_quantity(first.rules, energy_wh, len(first.slots))
        if broken is not None:
            return broken
    broken = refuse_price(first.rules, price) or refuse_collar(first, not sells, price)
    if broken is not None:
        return broken
    if wish.parent is not None:
        parent = auction.blocks.get(wish.parent)
        if parent is None or parent.accepted.party != wish.party:
            return Refusal(MarketRefusal.PARENT_UNKNOWN)
    return refuse_product(state, first, Offer(None, sells, wish.connection, max(energies), price, first.gate_at))


def _refuse_limits(
    state: Market, auction: SessionAuction, wish: SubmitCallBlock, instruments: Sequence[Instrument]
) -> Refusal | None:
    """What there is room for."""
    if len(auction.blocks) >= MAX_BLOCKS:
        return Refusal(MarketRefusal.TOO_MANY_BLOCKS, MAX_BLOCKS, len(auction.blocks) + 1)
    block = _held(_accepted(state, wish, ""))
    before = pool_of(auction, block.pool)
    more = growth(claims_of(state, auction, before), claims_of(state, auction, [*before, block]))
    return refuse_growth(state, more, instruments)


def _refuse_cancellation(
    state: Market, auction: SessionAuction | None, wish: CancelCallBlock, actor: str
) -> Refusal | None:
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if auction is None:
        return Refusal(MarketRefusal.BLOCK_UNKNOWN)
    if actor != auction.blocks[wish.block].accepted.party:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    return Refusal(MarketRefusal.AUCTION_UNDERWAY) if auction.called is not None else None


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about call blocks."""
    match fact:
        case CallBlockAccepted():
            auction = state.session_auctions.of(fact.first_start_at, fact.interval_min)
            assert auction is not None, "a call block stands in an auction"
            block = _held(fact)
            before = pool_of(auction, block.pool)
            change_pool(state, auction, before, [*before, block])
            auction.blocks[fact.block] = block
            state.sequence = fact.sequence
        case CallBlocksEnded():
            for name in fact.blocks:
                _leave(state, name)
        case CallBlockFilled():
            auction = _leave(state, fact.block)
            _fill(state, auction, fact)
        case _:
            assert_never(fact)


def _held(fact: CallBlockAccepted) -> CallBlock:
    group = fact.exclusive_group
    return CallBlock(fact, fact.profile_wh, fact.block if group is None else derived_id(fact.party, group))


def _leave(state: Market, name: str) -> SessionAuction:
    auction = state.session_auctions.with_block(name)
    assert auction is not None, "what leaves stood in an auction"
    block = auction.blocks.pop(name)
    left = pool_of(auction, block.pool)
    change_pool(state, auction, [*left, block], left)
    return auction


def _fill(state: Market, auction: SessionAuction, fact: CallBlockFilled) -> None:
    """An order for each delivery of the accepted block, at its price; it trades with the next facts."""
    buys, party = fact.side is Side.BUY, fact.party
    legs = zip(fact.starts_at, fact.orders, fact.quantities_wh, fact.prices_nano_per_kwh, strict=True)
    for start, name, energy_wh, price in legs:
        instrument = state.instruments[start, fact.interval_min]
        rules, rank = instrument.rules, price if buys else -price
        zone, per_wh = rules.zone, open_pico_per_wh(rules, buys, price)
        terms = name, fact.sequence, party, fact.connection, zone, instrument.key, buys, price, rank, energy_wh
        order = state.orders[name] = Order(*terms, None, per_wh)
        instrument.book.add(order)
        state.account(party).exposure_pico += energy_wh * per_wh
        if not buys:
            use(instrument.slots, fact.connection, energy_wh // len(instrument.slots))
        auction.enter(start, buys, (name, energy_wh, fact.sequence))
