"""Auctions of whole sessions: all books frozen together, cleared outside, checked here part by part with integers.

The books of a session open together and collect orders and call blocks without matching them. Then all are called: from
then on nothing in them changes until the auction ends. Books and blocks are listed in slices, somebody calculates the
result and proposes it in parts (`block_check`), the trades follow in slices (`session_trades`), and every book goes on
continuously. Without a result by the deadline the blocks end and the books go on as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, assert_never

from domain.market import session_timetable
from domain.market.auctions import offer_of
from domain.market.block_check import BlockCheck, begun
from domain.market.blocks import BlockFlaw, gap_ppm, steps_of
from domain.market.claims import take
from domain.market.clearing import Clearing
from domain.market.exposure import PICO_PER_MICRO
from domain.market.leaving import thaw
from domain.market.refusal import Refusal, refused
from domain.market.session_claims import claims_of, pool_of
from domain.market.session_state import SessionAuction
from domain.market.session_timetable import MAX_LISTED, instruments_of
from domain.market.state import Market
from domain.market.timers import (
    AT_ONCE,
    SESSION_CALL,
    SESSION_DEADLINE,
    SESSION_LISTING,
    SESSION_TRADES,
)
from domain.market.zones_check import level_of
from schemas.actors import CALCULATION
from schemas.envelope import Command, Moment
from schemas.market.events import CommandRefused, Phase, SessionOpened
from schemas.market.reasons import MarketRefusal
from schemas.market.session_commands import ProposeCallBlocks, ProposeSessionBook
from schemas.market.session_events import (
    CallBlocksChecked,
    SessionAuctionCalled,
    SessionAuctionCleared,
    SessionAuctionEnded,
    SessionAuctionFailed,
    SessionAuctionRules,
    SessionAuctionStarted,
    SessionBlocksListed,
    SessionBookChecked,
    SessionBookListed,
    SessionPrice,
)
from schemas.values import INT64_MAX, MINUTE_US

CALCULATION_NAME: Final = "market.session"
CALCULATOR: Final = f"{CALCULATION}{CALCULATION_NAME}"

OUTCOMES: Final[Mapping[type, tuple[type, ...]]] = {
    ProposeCallBlocks: (CallBlocksChecked, CommandRefused),
    ProposeSessionBook: (SessionBookChecked, SessionAuctionCleared, CommandRefused),
}
FACTS: Final = (
    SessionAuctionCalled,
    SessionBookListed,
    SessionBlocksListed,
    SessionAuctionStarted,
    CallBlocksChecked,
    SessionBookChecked,
    SessionAuctionCleared,
    SessionAuctionFailed,
    SessionAuctionEnded,
)

TIMED: Final = session_timetable.TIMED

Wish = ProposeCallBlocks | ProposeSessionBook
Fact = (
    SessionAuctionCalled
    | SessionBookListed
    | SessionBlocksListed
    | SessionAuctionStarted
    | CallBlocksChecked
    | SessionBookChecked
    | SessionAuctionCleared
    | SessionAuctionFailed
    | SessionAuctionEnded
)


def collect(state: Market, fact: SessionOpened, rules: SessionAuctionRules) -> None:
    """For `evolve`: the listed books open together, and collect until they are called."""
    auction = SessionAuction(fact.first_start_at, fact.intervals, fact.interval_min)
    state.session_auctions.known[auction.key] = auction
    opens_at = fact.first_start_at - rules.opening_lead_min * MINUTE_US
    for instrument in instruments_of(state, auction):
        instrument.opens_at, instrument.phase = opens_at, Phase.CALL
    state.remind(opens_at + rules.opening_min * MINUTE_US, SESSION_CALL, auction.first_start_at, auction.name)


def decide(state: Market, command: Command[Any], now: Moment) -> list[Any]:
    """Takes a part of a result, if it is right."""
    wish: Wish = command.body
    found = _judged(state, wish, command.meta.actor, now)
    if isinstance(found, Refusal):
        return refused(wish, wish.auction, command.meta.actor, found)
    auction, check = found
    match wish:
        case ProposeCallBlocks():
            prices = wish.priced_at, wish.prices_nano_per_kwh
            return [CallBlocksChecked(state.market, wish.auction, wish.steps, *prices, wish.more_micro)]
        case ProposeSessionBook():
            about = wish.auction, wish.delivery_start_at, wish.interval_min, wish.part, wish.parts
            checked = SessionBookChecked(state.market, *about, wish.cleared, wish.orders, wish.filled_wh)
            return [checked, *_whole(state, auction, check)]
        case _:
            assert_never(wish)


def _whole(state: Market, auction: SessionAuction, check: BlockCheck) -> Iterator[SessionAuctionCleared]:
    """The result behind the last part."""
    if check.interval != auction.intervals:
        return
    yield _cleared(state, auction, check)


def _cleared(state: Market, auction: SessionAuction, check: BlockCheck) -> SessionAuctionCleared:
    bound = check.welfare_pico + auction.more_micro * PICO_PER_MICRO
    welfare_micro, bound_micro = check.welfare_pico // PICO_PER_MICRO, -(-bound // PICO_PER_MICRO)
    return SessionAuctionCleared(
        state.market,
        auction.frozen.auction,
        *auction.about,
        check.volume_wh,
        sum(1 for steps in check.steps if steps),
        # The numbers of an absurd size have no place in a message.
        min(welfare_micro, INT64_MAX),
        min(bound_micro, INT64_MAX),
        gap_ppm(check.welfare_pico, bound),
    )


def _judged(state: Market, wish: Wish, actor: str, now: Moment) -> tuple[SessionAuction, BlockCheck] | Refusal:
    """The auction with its check behind this part, or the first broken rule."""
    if not state.rules:
        return Refusal(MarketRefusal.MARKET_UNKNOWN)
    if actor != CALCULATOR:
        return Refusal(MarketRefusal.NOT_AUTHORISED)
    start = wish.first_start_at if isinstance(wish, ProposeCallBlocks) else wish.delivery_start_at
    auction = state.session_auctions.of(start, wish.interval_min)
    if auction is None or auction.called is None or auction.called.auction != wish.auction:
        return Refusal(MarketRefusal.AUCTION_UNKNOWN)
    if not auction.listed or auction.cleared is not None:
        return Refusal(MarketRefusal.AUCTION_UNKNOWN)
    if now.at >= auction.called.deadline_at:
        return Refusal(MarketRefusal.AUCTION_UNKNOWN, auction.called.deadline_at, now.at)
    found = _begun(auction, wish) if isinstance(wish, ProposeCallBlocks) else _continued(state, auction, wish)
    return found if isinstance(found, Refusal) else (auction, found)


def _begun(auction: SessionAuction, wish: ProposeCallBlocks) -> BlockCheck | Refusal:
    if auction.check is not None:
        return Refusal(MarketRefusal.PART_UNEXPECTED, 2, 1)
    prices = _prices(auction, wish.priced_at, wish.prices_nano_per_kwh)
    if prices is None:
        return _wrong(BlockFlaw.LIST)
    check = begun(auction.auctioned(), wish.steps, prices)
    return _wrong(check) if isinstance(check, BlockFlaw) else check


def _continued(state: Market, auction: SessionAuction, wish: ProposeSessionBook) -> BlockCheck | Refusal:
    if auction.check is None:
        return Refusal(MarketRefusal.PART_UNEXPECTED, 1, wish.part)
    place = auction.place_of(wish.delivery_start_at)
    if place != auction.check.interval or wish.part != auction.parts + 1 or wish.part > wish.parts:
        return Refusal(MarketRefusal.PART_UNEXPECTED, auction.parts + 1, wish.part)
    book, count = auction.books[place], auction.check.count
    if list(wish.orders) != book[count : count + len(wish.orders)] or len(wish.orders) > MAX_LISTED:
        return _wrong(BlockFlaw.LIST)
    trial = auction.check.copy()
    flaw = _take(state, auction, trial, wish)
    return trial if flaw is None else _wrong(flaw)


def _take(
    state: Market, auction: SessionAuction, check: BlockCheck, part: ProposeSessionBook | SessionBookChecked
) -> BlockFlaw | None:
    offers = [offer_of(state, order) for order in part.orders]
    book = auction.books[check.interval]
    flaw = check.take(clearing_of(part.cleared), offers, part.filled_wh)
    if flaw is None and part.part == part.parts:
        flaw = check.close(len(book))
        if flaw is None and check.interval == auction.intervals:
            flaw = check.finish()
    return flaw


def _wrong(flaw: BlockFlaw) -> Refusal:
    """The number found is the flaw's place in the order of the checks, from 1 on."""
    return Refusal(MarketRefusal.CLEARING_WRONG, 0, list(BlockFlaw).index(flaw) + 1)


def clearing_of(cleared: SessionPrice) -> Clearing:
    """A delivery's result in the terms of the check."""
    levels = level_of(cleared.bids), level_of(cleared.asks)
    return Clearing(cleared.price_nano_per_kwh, cleared.bought_wh, cleared.sold_wh, *levels)


def _prices(auction: SessionAuction, priced_at: Sequence[int], prices: Sequence[int]) -> list[int | None] | None:
    """A price for each delivery that has one; none where they do not fit the session."""
    priced = dict(zip(priced_at, prices, strict=False))
    starts = [start for start, _ in auction.keys]
    if len(priced_at) != len(prices) or len(priced) != len(prices) or not priced.keys() <= set(starts):
        return None
    return [priced.get(start) for start in starts]


def apply(state: Market, fact: Fact) -> None:
    """The market after a fact about a session's auction."""
    auction = _of(state, fact)
    match fact:
        case SessionAuctionCalled():
            _call(state, auction, fact)
        case SessionBookListed():
            auction.books[auction.place_of(fact.delivery_start_at)] += fact.orders
        case SessionBlocksListed():
            auction.listed_blocks += len(fact.blocks)
        case SessionAuctionStarted():
            auction.listed = True
        case CallBlocksChecked():
            _begin(auction, fact)
        case SessionBookChecked():
            _taken(state, auction, fact)
        case SessionAuctionCleared():
            _clear(state, auction, fact)
        case SessionAuctionFailed() | SessionAuctionEnded():
            del state.session_auctions.known[auction.key]
            thaw(state, instruments_of(state, auction))
        case _:
            assert_never(fact)


def _of(state: Market, fact: Fact) -> SessionAuction:
    if isinstance(fact, SessionBlocksListed | CallBlocksChecked):
        return next(a for a in state.session_auctions.known.values() if a.called and a.called.auction == fact.auction)
    start = fact.delivery_start_at if isinstance(fact, SessionBookListed | SessionBookChecked) else fact.first_start_at
    auction = state.session_auctions.of(start, fact.interval_min)
    assert auction is not None, "there are no facts about an auction without one"
    return auction


def _call(state: Market, auction: SessionAuction, fact: SessionAuctionCalled) -> None:
    auction.called = fact
    for side in (auction.books, auction.bids, auction.asks):
        side.extend([] for _ in range(auction.intervals))
    for instrument in instruments_of(state, auction):
        instrument.phase = Phase.AUCTION
    state.remind(AT_ONCE, SESSION_LISTING, auction.first_start_at, auction.name)
    state.remind(fact.deadline_at, SESSION_DEADLINE, auction.first_start_at, auction.name)


def _begin(auction: SessionAuction, fact: CallBlocksChecked) -> None:
    prices = _prices(auction, fact.priced_at, fact.prices_nano_per_kwh)
    assert prices is not None, "what is recorded fits the session"
    check = begun(auction.auctioned(), fact.steps, prices)
    assert isinstance(check, BlockCheck), "what is recorded has passed"
    auction.check, auction.more_micro = check, fact.more_micro


def _taken(state: Market, auction: SessionAuction, fact: SessionBookChecked) -> None:
    assert auction.check is not None, "parts of books come behind the blocks"
    _take(state, auction, auction.check, fact)
    auction.parts = 0 if fact.part == fact.parts else fact.part
    for name, filled in zip(fact.orders, fact.filled_wh, strict=True):
        if filled:
            order = state.orders[name]
            auction.enter(fact.delivery_start_at, order.buys, (name, filled, order.sequence))


def _clear(state: Market, auction: SessionAuction, fact: SessionAuctionCleared) -> None:
    """From now on every block takes what is accepted of it, whatever it excluded."""
    auction.cleared = fact
    state.remind(AT_ONCE, SESSION_TRADES, auction.first_start_at, auction.name)
    if auction.check is None:
        return
    called = auction.auctioned()
    for pool in {block.pool for block in auction.blocks.values()}:
        take(state, claims_of(state, auction, pool_of(auction, pool)), -1, committed=False)
    blocks = zip(auction.blocks.items(), called.blocks, auction.check.steps, strict=True)
    for (name, block), asked, steps in blocks:
        whole = steps_of(asked, called.rules.lot_wh)
        block.pool = name
        block.profile_wh = tuple(energy_wh * steps // whole for energy_wh in block.profile_wh)
        take(state, claims_of(state, auction, (block,)), committed=False)
