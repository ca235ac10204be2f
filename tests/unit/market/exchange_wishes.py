"""What may be wished on a day: each function draws one wish and asks both sides of the comparison."""

from collections.abc import Callable
from typing import Any

from schemas.market.commands import AmendOrder, CancelOrder, CancelOrders, SubmitOrder
from schemas.market.events import OrderTerms, Restriction
from schemas.market.package_commands import CancelBlock, SubmitBasket, SubmitBlock
from schemas.market.package_events import BasketOrder
from schemas.market.phase_commands import ResumeTrading, SuspendTrading
from schemas.values import Side
from tests.unit.given import MINUTE
from tests.unit.market.exchange_day import CONNECTIONS, KEYS, PARTIES, TICK, Day
from tests.unit.market.world import NOON, OPERATOR

PLAIN = (Restriction.NONE,)
RESTRICTIONS = (*PLAIN * 4, Restriction.IOC, Restriction.FOK)
WHOLE = (*RESTRICTIONS, Restriction.AON, Restriction.AON)
PRICES = (-1, 0, 1, 1, 1, 2, 2, 3)
LOTS = (1, 2, 3, 5, 8)
BUSY = (*KEYS[:2] * 3, *KEYS)


def order(day: Day) -> None:
    """A lawful order mostly; who is refused is refused for a limit."""
    pick = day.pick
    connection, (start, minutes) = pick(tuple(CONNECTIONS)), pick(BUSY)
    lot = minutes // 15 * 100
    wh, restriction = pick(LOTS) * lot, pick(WHOLE)
    expires = pick((None, None, None, 1, 5, 12))
    minimum = pick((0, 0, 0, 0, lot, 2 * lot))
    wish = SubmitOrder(
        CONNECTIONS[connection][0],
        connection,
        start,
        pick(tuple(Side)),
        wh,
        pick(PRICES) * TICK,
        restriction,
        None if expires is None else day.market.at + expires * MINUTE,
        minutes,
        OrderTerms(minimum) if minimum else None,
    )
    day.wish(wish, wish.party, lambda: day.naive.submit(wish, wish.party))


def odd_order(day: Day) -> None:
    """Something is wrong with it, mostly more than one thing."""
    pick = day.pick
    wish = SubmitOrder(
        pick((*PARTIES, "eve")),
        pick((*CONNECTIONS, "nowhere")),
        pick((NOON, NOON, NOON + 1)),
        pick(tuple(Side)),
        pick((0, 50, 100, 300, 1100)),
        pick((-6, 6, 5, 4, 0)) * TICK + pick((0, 0, 1)),
        pick(tuple(Restriction)[:3]),
        pick((None, day.market.at, NOON)),
        pick((15, 15, 60, 20)),
        pick((None, OrderTerms(150), OrderTerms(500))),
    )
    actor = pick((wish.party, wish.party, wish.party, "bob"))
    day.wish(wish, actor, lambda: day.naive.submit(wish, actor))


def _known(day: Day, block: bool) -> tuple[str, int | None]:
    of = {b.number for b in day.naive.bids if b.block is block}
    known: list[tuple[str, int | None]] = [(n, at) for n, at in day.names.items() if at in of]
    return known[-1 - day.pick(range(8)) % len(known)] if known else ("nothing", None)


def _owner(day: Day, number: int | None) -> str:
    bid = day.naive.find(number)
    return day.pick((bid.party if bid else "ann",) * 9 + ("cyd",))


def cancel(day: Day) -> None:
    name, number = _known(day, False)
    actor = _owner(day, number)
    day.wish(CancelOrder(name), actor, lambda: day.naive.cancel(number, actor))


def amend(day: Day) -> None:
    name, number = _known(day, False)
    actor, bid, pick = _owner(day, number), day.naive.find(number), day.pick
    lot = 100 * len(bid.delivery.slots) if bid else 100
    rest = pick((bid.rest if bid else 100, lot, 2 * lot, 5 * lot, 0, 50))
    price = pick((bid.price if bid else 0, *(p * TICK for p in PRICES), 6 * TICK))
    expires = pick((bid.expires if bid else None, None, day.market.at + 3 * MINUTE, NOON))
    wish = AmendOrder(name, rest, price, expires)
    day.wish(wish, actor, lambda: day.naive.amend(number, wish, actor))


def cancel_many(day: Day) -> None:
    pick = day.pick
    party = pick(PARTIES)
    start, minutes = pick(((None, None), (None, None), *KEYS, (None, 15), (NOON + 1, 15)))
    wish = CancelOrders(party, start, minutes, pick((None, *Side)))
    actor = pick((party, party, OPERATOR, "eve"))
    day.wish(wish, actor, lambda: day.naive.cancel_many(wish, actor))


def basket(day: Day) -> None:
    pick = day.pick
    party = pick(PARTIES)
    mine = [c for c, (owner, _) in CONNECTIONS.items() if owner == party]
    orders = []
    for _ in range(pick((1, 2, 2, 3))):
        start, minutes = pick(KEYS[:5] + KEYS[-1:])
        wh = pick((1, 1, 2)) * minutes // 15 * 100
        side, price = pick(((Side.BUY, 3), (Side.BUY, 2), (Side.SELL, -1), (Side.SELL, 0)))
        orders.append(BasketOrder(pick(mine), start, minutes, side, wh, price * TICK))
    wish = SubmitBasket(party, tuple(orders))
    day.wish(wish, party, lambda: day.naive.basket(wish, party))


def block(day: Day) -> None:
    pick = day.pick
    connection = pick(tuple(CONNECTIONS))
    party = CONNECTIONS[connection][0]
    start, minutes, count = pick(((NOON, 15, 2), (NOON, 15, 2), (NOON, 30, 2), (NOON, 15, 4), (NOON, 15, 5)))
    restriction = pick((Restriction.AON,) * 4 + (Restriction.IOC, Restriction.FOK, Restriction.NONE))
    expires = pick((None, None, day.market.at + 6 * MINUTE))
    wh, price = pick((1, 2, 2, 4)) * minutes // 15 * 100, pick(PRICES) * TICK
    wish = SubmitBlock(party, connection, pick(tuple(Side)), start, count, minutes, wh, price, restriction, expires)
    day.wish(wish, party, lambda: day.naive.block(wish, party))


def cancel_block(day: Day) -> None:
    name, number = _known(day, True)
    actor = _owner(day, number)
    day.wish(CancelBlock(name), actor, lambda: day.naive.cancel_block(number, actor))


def switch(day: Day) -> None:
    """The operator suspends more seldom than it resumes."""
    key, suspends = day.pick((None, *KEYS[:2], (NOON + 1, 15))), day.pick((True, False, False))
    kind = SuspendTrading if suspends else ResumeTrading
    actor = day.pick((OPERATOR,) * 5 + ("ann",))
    body = kind(*(key or (None, None)))
    day.wish(body, actor, lambda: day.naive.switch(key, suspends, actor))


def carry(day: Day) -> None:
    day.carry(day.pick(("zy", "yx")), day.pick((0, 300, 800)), day.pick((0, 300, 800)))


def outside(day: Day) -> None:
    """Ledger and site say something."""
    if day.pick((True, False)):
        day.credit(day.pick(PARTIES), day.pick((30_000, 60_000, 200_000)))
    else:
        day.allot(day.pick(tuple(CONNECTIONS)), day.pick((2000, 4000, 8000)))


def wait(day: Day) -> None:
    day.wait(day.pick((0, 1, 1, 2)))


WISHES: dict[Callable[[Day], Any], int] = {
    order: 60,
    odd_order: 5,
    cancel: 9,
    amend: 12,
    cancel_many: 2,
    basket: 6,
    block: 8,
    cancel_block: 2,
    switch: 3,
    carry: 4,
    outside: 3,
    wait: 7,
}
"""How often each is wished on a long day."""
