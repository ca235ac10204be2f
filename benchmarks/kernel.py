"""How many orders a second one core decides: `advance`, `decide` with every check, `evolve`; no I/O, no codec.

Beside it, in the same run and on the same orders, a market that keeps lists and computes every sum from
the beginning; and the order book alone, beside a sorted list. All is one thread, and time is what the
processor spent on it: other work on the machine does not count.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

from benchmarks import market_day
from benchmarks.figure import Figure
from benchmarks.market_day import MARKET, ORDERS, Day, Language
from domain.market.book import Book, Order
from domain.market.matching import match
from schemas.market.events import CancelReason, Restriction, SelfTradeMode
from schemas.values import Side
from tests.unit.market.naive_book import NaiveBook, NaiveMarket, NaiveOrder

ROUNDS: Final = 7
"""Days that are measured; the quickest counts, the others were disturbed."""

SLICE: Final = 100
"""The limit of `advance`, as in a runtime."""

BOOK_OPERATIONS: Final = 4_000


def run() -> Iterator[Figure]:
    """Orders a second through the kernel, and operations a second of its book."""
    spoken = market_day.language()
    seconds, facts, trades = min(decided(spoken) for _ in range(ROUNDS))
    print(f"  kernel: {ORDERS} orders, {facts} facts, {trades} trades in {seconds:.3f} s", file=sys.stderr)
    naive_seconds, naive_trades = _naive_day(market_day.day(spoken))
    print(f"  naive market: {naive_trades} trades in {naive_seconds:.3f} s", file=sys.stderr)
    if naive_trades != trades:
        raise AssertionError(f"the naive market made {naive_trades} trades, the kernel {trades}")
    speed, naive_speed = ORDERS / seconds, ORDERS / naive_seconds
    against = f"lists, every sum from the beginning: {naive_speed:,.0f} orders/s"
    yield Figure("kernel.orders", round(speed), "orders/s", against, round(speed / naive_speed, 1))
    yield Figure("kernel.facts", round(facts / seconds), "facts/s")
    yield _book_operations()


def decided(spoken: Language) -> tuple[float, int, int]:
    """(seconds, facts, trades) of one day; preparation and the making of commands are not measured."""
    state, day = _opened(spoken), market_day.day(spoken)
    gc.collect()
    gc.disable()
    try:
        return _timed(spoken, state, day)
    finally:
        gc.enable()


def _opened(spoken: Language) -> Any:
    state, start = spoken.decider.initial(MARKET), spoken.envelope.Moment(0, 0)
    for command in market_day.preparation(spoken):
        for fact in spoken.decider.decide(state, command, start):
            state = spoken.decider.evolve(state, _recorded(spoken, fact))
    return state


def _recorded(spoken: Language, body: Any) -> Any:
    start = spoken.envelope.Moment(0, 0)
    meta = spoken.envelope.FactMeta(0, start, "c", 0, "actor", "correlation", None, 1)
    return spoken.envelope.Recorded("market", 0, MARKET, meta, body)


def _timed(spoken: Language, state: Any, day: Day) -> tuple[float, int, int]:
    decider, recorded, trade = spoken.decider, spoken.envelope.Recorded, spoken.events.TradeMade
    decide, advance, due, evolve = decider.decide, decider.advance, decider.due, decider.evolve
    meta = _recorded(spoken, None).meta
    facts = trades = 0
    began = time.process_time()
    for now, said in day:
        while (at := due(state)) is not None and at <= now.at:
            for body in advance(state, now, SLICE):
                facts += 1
                state = evolve(state, recorded("market", 0, MARKET, meta, body))
        for wish in said:
            if (at := due(state)) is not None and at <= now.at:
                for body in advance(state, now, SLICE):
                    facts += 1
                    state = evolve(state, recorded("market", 0, MARKET, meta, body))
            for body in decide(state, wish.command, now):
                facts += 1
                trades += type(body) is trade
                state = evolve(state, recorded("market", 0, MARKET, meta, body))
    return time.process_time() - began, facts, trades


def _naive_day(day: Day) -> tuple[float, int]:
    """(seconds, trades) of the same day in the naive market."""
    spoken = market_day.language()
    starts = [market_day.MIDNIGHT + n * market_day.QUARTER for n in range(market_day.INTERVALS)]
    market = NaiveMarket(market_day.rules(spoken), starts)
    for n in range(market_day.PARTIES):
        owner, sells = market_day.party(n), n < market_day.SELLERS
        market.participants.add(owner)
        market.connections[market_day.connection(n)] = (owner, 40_000 if sells else 0, sells)
        market.credits[owner] = 300_000_000
    numbers: dict[int, int] = {}
    trades = 0
    began = time.process_time()
    for place, (now, said) in enumerate(day):
        if place % 100 == 0:
            print(f"  naive market: {100 * place // len(day)} %", end="\r", file=sys.stderr)
        market.later(now.at)
        for wish in said:
            if wish.cancels:
                market.cancel(numbers.get(wish.n), wish.command.meta.actor)
                continue
            found = market.submit(wish.command.body, wish.command.meta.actor)
            trades += sum(outcome[0] == "trade" for outcome in found)
            if found[0][0] == "accepted":
                numbers[wish.n] = found[0][1]
    return time.process_time() - began, trades


Operation = tuple[bool, int, int, int]
"""Buys or sells, price, quantity, and which of the orders before is cancelled as well (0: none)."""


def _book_operations() -> Figure:
    draw = Random(2072)
    operations: list[Operation] = []
    for n in range(BOOK_OPERATIONS):
        buys = draw.random() < 0.5
        price = draw.randrange(900, 1020) if buys else draw.randrange(980, 1100)
        operations.append((buys, price, draw.randrange(1, 50) * 10, draw.randrange(n) if n and n % 3 == 0 else 0))
    seconds, rest = min(_quickly(_ours, operations) for _ in range(ROUNDS))
    naive_seconds, naive_rest = _quickly(_naive, operations)
    print(f"  book: {seconds:.3f} s, sorted list: {naive_seconds:.3f} s, {rest[0]} orders rest", file=sys.stderr)
    if rest != naive_rest:
        raise AssertionError(f"the naive book ends with {naive_rest}, ours with {rest}")
    speed, naive_speed = BOOK_OPERATIONS / seconds, BOOK_OPERATIONS / naive_seconds
    against = f"a list, sorted for every order: {naive_speed:,.0f} operations/s"
    return Figure("kernel.book", round(speed), "operations/s", against, round(speed / naive_speed, 1))


Rest = tuple[int, int]
"""Orders and energy that rest in the end."""


def _quickly(book: Callable[[Sequence[Operation]], Rest], operations: Sequence[Operation]) -> tuple[float, Rest]:
    began = time.process_time()
    rest = book(operations)
    return time.process_time() - began, rest


def _ours(operations: Sequence[Operation]) -> Rest:
    book = Book()
    orders: list[Order] = []
    off, none = SelfTradeMode.OFF, Restriction.NONE
    for n, (buys, price, quantity, cancelled) in enumerate(operations):
        order = Order("", n, "", "", 0, buys, price, price if buys else -price, quantity, None, 0, 0)
        plan = match(book, "", buys, quantity, price, none, off, 0)
        for resting, filled in plan.meetings:
            book.reduce(resting, resting.rest_wh - filled)
        order.rest_wh = plan.rest_wh
        if plan.rest_wh:
            book.add(order)
        orders.append(order)
        if cancelled and orders[cancelled].rest_wh:
            book.reduce(orders[cancelled], 0)
    left = book.in_order_of_acceptance()
    return len(left), sum(order.rest_wh for order in left)


def _naive(operations: Sequence[Operation]) -> Rest:
    book = NaiveBook()
    orders: list[NaiveOrder] = []
    for n, (buys, price, quantity, cancelled) in enumerate(operations):
        order = NaiveOrder(n, "", "", 0, Side.BUY if buys else Side.SELL, price, quantity)
        book.submit(order, Restriction.NONE, SelfTradeMode.OFF)
        orders.append(order)
        if cancelled and orders[cancelled].rest:
            book.cancel(orders[cancelled], CancelReason.OWNER)
    return len(book.orders), sum(order.rest for order in book.orders)
