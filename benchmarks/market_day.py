"""A trading day of the demo's size, the same on every machine: 7,000 orders, 96 instruments, 130 parties."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from random import Random
from types import ModuleType
from typing import Any, Final

from domain.identity import born_id

MARKET: Final = "bench"
OPERATOR: Final = "operator"
POLICY: Final = "policy:bench"
MINUTE: Final = 60_000_000
QUARTER: Final = 15 * MINUTE
TICK: Final = 5 * MINUTE
MIDNIGHT: Final = 1_767_225_600_000_000
INTERVALS: Final = 96
PARTIES: Final = 130
SELLERS: Final = 40
ORDERS: Final = 7_000
CENT: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Language:
    """The modules a day is spoken in; a benchmark of message classes brings its own."""

    decider: ModuleType
    commands: ModuleType
    events: ModuleType
    envelope: ModuleType
    loop: ModuleType


def language() -> Language:
    """The modules as they are imported now, and the measured loop over these."""
    names = ("domain.market.decider", "schemas.market.commands", "schemas.market.events", "schemas.envelope")
    decider, commands, events, envelope = map(import_module, names)
    loop = import_module("benchmarks.kernel_loop")
    if loop.decider is not decider:
        spec = find_spec("benchmarks.kernel_loop")
        assert spec is not None
        assert spec.loader is not None
        loop = module_from_spec(spec)
        spec.loader.exec_module(loop)
    return Language(decider, commands, events, envelope, loop)


@dataclass(frozen=True, slots=True)
class Said:
    """A command at its tick; `n` is the number of the day's order, `cancels` whether it takes that order back."""

    n: int
    cancels: bool
    command: Any


Day = Sequence[tuple[Any, Sequence[Said]]]
"""Per tick (a `Moment`) what is said then; the last tick closes the last gate."""


def rules(spoken: Language) -> Any:
    """The demo's rules."""
    events = spoken.events
    return events.RuleSet(
        zone="zone",
        operator=OPERATOR,
        currency="EUR",
        interval_min=15,
        opening_lead_min=48 * 60,
        gate_lead_min=15,
        tick_nano_per_kwh=CENT // 10,
        lot_wh=10,
        max_quantity_wh=50_000,
        min_price_nano_per_kwh=-50 * CENT,
        max_price_nano_per_kwh=50 * CENT,
        self_trade=events.SelfTradeMode.CANCEL_NEWEST,
        assumed_price_nano_per_kwh=50 * CENT,
        points_per_kwh=10,
        book_delivery_mode=events.DeliveryMode.AS_DELIVERED,
        approval_deadline_min=120,
    )


def party(n: int) -> str:
    """The n-th party's id, as long as a real one."""
    return f"party-{n:03}-0123456789abcdef"


def connection(n: int) -> str:
    """The n-th party's connection."""
    return f"connection-{n:03}-0123456789"


def preparation(spoken: Language) -> Iterator[Any]:
    """Commands that open the market and let everybody in; the first 40 parties may sell."""
    commands = spoken.commands
    wishes = [
        (OPERATOR, commands.AdoptRuleSet(0, rules(spoken))),
        (OPERATOR, commands.OpenSession(MIDNIGHT, INTERVALS)),
    ]
    for n in range(PARTIES):
        watts, resources = (40_000, (f"pv-{n}",)) if n < SELLERS else (0, ())
        wishes.append((POLICY, commands.AdmitParticipant(party(n))))
        wishes.append((POLICY, commands.RecordCapability(connection(n), party(n), watts, resources, "zone")))
        wishes.append((POLICY, commands.RecordCredit(OPERATOR, party(n), "EUR", 300_000_000)))
    for n, (actor, wish) in enumerate(wishes):
        yield _command(spoken, f"prepare-{n}", actor, wish)


def day(spoken: Language, seed: int = 2072) -> Day:
    """A day's orders and cancellations by tick; most are in order, some are refused.

    They are made in the order in which they are said, as a reader of the log would make them: otherwise
    every one of them would lie somewhere else in memory, and the way there would be measured.
    """
    draw = Random(seed)
    orders = [_drawn(draw) for _ in range(ORDERS)]
    by_time: dict[int, list[tuple[int, bool]]] = {}
    for n, order in enumerate(orders):
        by_time.setdefault(order.at, []).append((n, False))
        if order.cancel_at is not None:
            by_time.setdefault(order.cancel_at, []).append((n, True))
    last = MIDNIGHT + INTERVALS * QUARTER
    found = []
    for tick, at in enumerate(range(min(by_time), last + TICK, TICK), 1):
        said = [Said(n, cancels, _wish(spoken, orders[n], n, cancels)) for n, cancels in by_time.get(at, ())]
        found.append((spoken.envelope.Moment(tick, at), said))
    return found


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What chance says about an order."""

    at: int
    cancel_at: int | None
    sells: bool
    party: int
    start: int
    quantity_wh: int
    price: int
    restriction: str
    expires_at: int | None


def _drawn(draw: Random) -> _Drawn:
    sells = draw.random() < 0.45
    n = draw.randrange(SELLERS) if sells else draw.randrange(SELLERS, PARTIES)
    start = MIDNIGHT + draw.randrange(INTERVALS) * QUARTER
    gate = start - QUARTER
    at = gate - draw.randrange(1, 60) * TICK
    kind = draw.random()
    restriction = "ioc" if kind < 0.08 else "fok" if kind < 0.15 else "none"
    quantity_wh = draw.randrange(5, 200) * 10 + (5 if kind > 0.98 else 0)
    price = (draw.randrange(80, 141) if sells else draw.randrange(90, 241)) * CENT // 10
    expires_at = min(gate, at + draw.randrange(1, 6) * TICK) if 0.15 < kind < 0.25 else None
    cancel_at = at + TICK if 0.25 < kind < 0.30 else None
    return _Drawn(at, cancel_at, sells, n, start, quantity_wh, price, restriction, expires_at)


def _wish(spoken: Language, order: _Drawn, n: int, cancels: bool) -> Any:
    owner = party(order.party)
    if cancels:
        submitted = _command(spoken, f"order-{n}", owner, None)
        return _command(spoken, f"cancel-{n}", owner, spoken.commands.CancelOrder(born_id("market", submitted, 0)))
    events = spoken.events
    body = spoken.commands.SubmitOrder(
        party=party(order.party),
        connection=connection(order.party),
        delivery_start_at=order.start,
        side=events.Side.SELL if order.sells else events.Side.BUY,
        quantity_wh=order.quantity_wh,
        limit_price_nano_per_kwh=order.price,
        restriction=events.Restriction(order.restriction),
        expires_at=order.expires_at,
    )
    return _command(spoken, f"order-{n}", owner, body)


def _command(spoken: Language, command_id: str, actor: str, wish: Any) -> Any:
    envelope = spoken.envelope
    return envelope.Command(MARKET, envelope.CommandMeta(command_id, actor, command_id, None, None, None), wish)
