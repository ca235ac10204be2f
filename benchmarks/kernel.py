"""How many orders a second one core decides: `advance`, `decide` with every check, `evolve`; no I/O, no codec.

The kernel runs twice, each time in a process of its own: as plain Python and as the native code of `make compile`,
which is made first if it is not there. Beside both, in the same run and on the same orders, a market that keeps
lists and computes every sum from the beginning; and the order book alone, beside a sorted list. All is one
thread, and time is what the processor spent on it: other work on the machine does not count, though it slows
the processor's caches.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

from benchmarks import kernel_loop, market_day
from benchmarks.figure import Figure
from benchmarks.kernel_loop import MARKET, Operation, Rest
from benchmarks.market_day import ORDERS, Day, Language
from domain.market import book as book_module
from infra.compile import CannotCompile, build
from schemas.market.events import Restriction, SelfTradeMode
from schemas.market.reasons import CancelReason
from schemas.values import Side
from tests.unit.market.naive_book import NaiveBook, NaiveMarket, NaiveOrder

ROUNDS: Final = 15
"""Days that are measured; the quickest counts, the others were disturbed."""

ORDERS_TARGET: Final = 400_000
BOOK_TARGET: Final = 1_500_000

BOOK_OPERATIONS: Final = 4_000

WAYS: Final = ("plain", "compiled")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process found: the seconds of a day and of the book, and what came of them, to be compared."""

    native: bool
    seconds: float
    facts: int
    trades: int
    book_seconds: float
    book_rest: Rest


def run() -> Iterator[Figure]:
    """Orders a second through the kernel, and operations a second of its book, in every way there is."""
    found = dict(_each_way())
    naive_seconds, naive_trades = _naive_day(market_day.day(market_day.language()))
    operations = _operations()
    naive_book_seconds, naive_rest = _quickly(_naive_book, operations)
    print(f"  naive market: {naive_trades} trades in {naive_seconds:.3f} s", file=sys.stderr)
    orders_beside = f"lists, every sum from the beginning: {ORDERS / naive_seconds:,.0f} orders/s"
    book_beside = f"a list, sorted for every order: {BOOK_OPERATIONS / naive_book_seconds:,.0f} operations/s"
    orders = book = 0.0
    for way, measured in found.items():
        said = f"{ORDERS} orders, {measured.facts} facts, {measured.trades} trades in {measured.seconds:.3f} s"
        print(
            f"  {way}: {said}; {BOOK_OPERATIONS} operations of a book in {measured.book_seconds:.4f} s", file=sys.stderr
        )
        if (measured.trades, measured.book_rest) != (naive_trades, naive_rest):
            raise AssertionError(f"naive: {naive_trades} trades, the book ends with {naive_rest}; {way}: {measured}")
        orders, book = ORDERS / measured.seconds, BOOK_OPERATIONS / measured.book_seconds
        ratio = round(naive_seconds / measured.seconds, 1)
        yield Figure(f"kernel.{way}.orders", round(orders), "orders/s", orders_beside, ratio)
        yield Figure(f"kernel.{way}.facts", round(measured.facts / measured.seconds), "facts/s")
        ratio = round(naive_book_seconds / measured.book_seconds, 1)
        yield Figure(f"kernel.{way}.book", round(book), "operations/s", book_beside, ratio)
    # The last way is the quickest; the promise is about it.
    yield Figure("kernel.orders", round(orders), "orders/s", None, None, ORDERS_TARGET, orders >= ORDERS_TARGET)
    yield Figure("kernel.book", round(book), "operations/s", None, None, BOOK_TARGET, book >= BOOK_TARGET)


def _each_way() -> Iterator[tuple[str, Measured]]:
    for way in WAYS:
        if way == "compiled":
            try:
                print(f"  compiled: {build()}", file=sys.stderr)
            except CannotCompile as error:
                print(f"  compiled: skipped, {error}", file=sys.stderr)
                return
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.kernel_run", way], stdout=subprocess.PIPE, text=True, check=True
        )
        told = json.loads(ran.stdout)
        measured = Measured(**told | {"book_rest": tuple(told["book_rest"])})
        if measured.native != (way == "compiled"):
            raise AssertionError(f"asked for the {way} kernel, native code ran: {measured.native}")
        yield way, measured


def measured() -> str:
    """Measures the kernel as it is imported in this process; a `Measured` as JSON."""
    spoken, operations = market_day.language(), _operations()
    seconds, facts, trades = min(decided(spoken) for _ in range(ROUNDS))
    book_seconds, rest = min(_quickly(kernel_loop.booked, operations) for _ in range(ROUNDS))
    native = not str(book_module.__file__).endswith(".py")
    return json.dumps(asdict(Measured(native, seconds, facts, trades, book_seconds, rest)))


def decided(spoken: Language) -> tuple[float, int, int]:
    """(seconds, facts, trades) of one day; preparation and the making of commands are not measured."""
    state, day, meta = _opened(spoken), market_day.day(spoken), _meta(spoken)
    commands = [(now, [wish.command for wish in said]) for now, said in day]
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        facts, trades = spoken.loop.decided(state, commands, meta)
        return time.process_time() - began, facts, trades
    finally:
        gc.enable()


def _opened(spoken: Language) -> Any:
    state, start, meta = spoken.decider.initial(MARKET), spoken.envelope.Moment(0, 0), _meta(spoken)
    for command in market_day.preparation(spoken):
        for fact in spoken.decider.decide(state, command, start):
            state = spoken.decider.evolve(state, spoken.envelope.Recorded("market", 0, MARKET, meta, fact))
    return state


def _meta(spoken: Language) -> Any:
    start = spoken.envelope.Moment(0, 0)
    return spoken.envelope.FactMeta(0, start, "c", 0, "actor", "correlation", None, 1)


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


def _operations() -> list[Operation]:
    draw = Random(2072)
    operations: list[Operation] = []
    for n in range(BOOK_OPERATIONS):
        buys = draw.random() < 0.5
        price = draw.randrange(900, 1020) if buys else draw.randrange(980, 1100)
        operations.append((buys, price, draw.randrange(1, 50) * 10, draw.randrange(n) if n and n % 3 == 0 else 0))
    return operations


def _quickly(book: Callable[[list[Operation]], Rest], operations: list[Operation]) -> tuple[float, Rest]:
    began = time.process_time()
    rest = book(operations)
    return time.process_time() - began, rest


def _naive_book(operations: list[Operation]) -> Rest:
    book = NaiveBook()
    orders: list[NaiveOrder] = []
    for n, (buys, price, quantity, cancelled) in enumerate(operations):
        order = NaiveOrder(n, "", "", 0, Side.BUY if buys else Side.SELL, price, quantity)
        book.submit(order, Restriction.NONE, SelfTradeMode.OFF)
        orders.append(order)
        if cancelled and orders[cancelled].rest:
            book.cancel(orders[cancelled], CancelReason.OWNER)
    return len(book.orders), sum(order.rest for order in book.orders)
