"""What an owner does with a partition's commands, without its log: the part of `kernel` that is measured.

It stands by itself so that it can be compiled with the kernel, as an owner is (`infra/compiled.py`).
"""

from typing import Any, Final

from domain.market import decider
from domain.market.book import Book, Order
from domain.market.matching import match
from domain.market.state import Market
from schemas.envelope import Command, FactMeta, Moment, Recorded
from schemas.market.events import Restriction, SelfTradeMode, TradeMade

MARKET: Final = "bench"

SLICE: Final = 100
"""The limit of `advance`, as in a runtime."""


def decided(state: Market, day: list[tuple[Moment, list[Command[Any]]]], meta: FactMeta) -> tuple[int, int]:
    """Advances, decides and evolves a day of commands by tick; returns the numbers of facts and of trades."""
    facts = trades = 0
    for now, commands in day:
        while (at := decider.due(state)) is not None and at <= now.at:
            facts += _advanced(state, now, meta)
        for command in commands:
            if (at := decider.due(state)) is not None and at <= now.at:
                facts += _advanced(state, now, meta)
            for body in decider.decide(state, command, now):
                facts += 1
                trades += type(body) is TradeMade
                decider.evolve(state, Recorded("market", 0, MARKET, meta, body))
    return facts, trades


def _advanced(state: Market, now: Moment, meta: FactMeta) -> int:
    facts = 0
    for body in decider.advance(state, now, SLICE):
        facts += 1
        decider.evolve(state, Recorded("market", 0, MARKET, meta, body))
    return facts


Operation = tuple[bool, int, int, int]
"""Buys or sells, price, quantity, and which of the orders before is cancelled as well (0: none)."""

Rest = tuple[int, int]
"""Orders and energy that rest in the end."""


def booked(operations: list[Operation]) -> Rest:
    """Matches, fills, rests and cancels in one book."""
    book = Book()
    orders: list[Order] = []
    off, none = SelfTradeMode.OFF, Restriction.NONE
    for n, (buys, price, quantity, cancelled) in enumerate(operations):
        order = Order("", n, "", "", "", (0, 15), buys, price, price if buys else -price, quantity, None, 0)
        plan = match(book, "", buys, quantity, price, none, off, 0)
        for resting, filled in plan.meetings:
            book.reduce(resting, resting.rest_wh - filled)
        order.rest_wh = plan.rest_wh
        if plan.rest_wh:
            book.add(order)
        orders.append(order)
        if cancelled and orders[cancelled].rest_wh:
            book.reduce(orders[cancelled], 0)
    left = list(book.best_first())
    return len(left), sum(order.rest_wh for order in left)
