"""A trading day of the demo's size, the same on every machine: 7,000 orders, 96 instruments, 130 parties."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
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


def language() -> Language:
    """The modules as they are imported now."""
    names = ("domain.market.decider", "schemas.market.commands", "schemas.market.events", "schemas.envelope")
    return Language(*map(import_module, names))


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
    """A day's orders and cancellations by tick; most are in order, some are refused."""
    draw = Random(seed)
    by_time: dict[int, list[Said]] = {}
    for n in range(ORDERS):
        at, cancel_at, owner, body = _order(spoken, draw)
        command = _command(spoken, f"order-{n}", owner, body)
        by_time.setdefault(at, []).append(Said(n, False, command))
        if cancel_at is not None:
            cancel = spoken.commands.CancelOrder(born_id("market", command, 0))
            by_time.setdefault(cancel_at, []).append(Said(n, True, _command(spoken, f"cancel-{n}", owner, cancel)))
    last = MIDNIGHT + INTERVALS * QUARTER
    times = range(min(by_time), last + TICK, TICK)
    return [(spoken.envelope.Moment(n, at), by_time.get(at, ())) for n, at in enumerate(times, 1)]


def _order(spoken: Language, draw: Random) -> tuple[int, int | None, str, Any]:
    events = spoken.events
    sells = draw.random() < 0.45
    n = draw.randrange(SELLERS) if sells else draw.randrange(SELLERS, PARTIES)
    start = MIDNIGHT + draw.randrange(INTERVALS) * QUARTER
    gate = start - QUARTER
    at = gate - draw.randrange(1, 60) * TICK
    kind = draw.random()
    restriction = events.Restriction.NONE
    if kind < 0.15:
        restriction = events.Restriction.IOC if kind < 0.08 else events.Restriction.FOK
    body = spoken.commands.SubmitOrder(
        party=party(n),
        connection=connection(n),
        delivery_start_at=start,
        side=events.Side.SELL if sells else events.Side.BUY,
        quantity_wh=draw.randrange(5, 200) * 10 + (5 if kind > 0.98 else 0),
        limit_price_nano_per_kwh=(draw.randrange(80, 141) if sells else draw.randrange(90, 241)) * CENT // 10,
        restriction=restriction,
        expires_at=min(gate, at + draw.randrange(1, 6) * TICK) if 0.15 < kind < 0.25 else None,
    )
    return at, at + TICK if 0.25 < kind < 0.30 else None, party(n), body


def _command(spoken: Language, command_id: str, actor: str, wish: Any) -> Any:
    envelope = spoken.envelope
    return envelope.Command(MARKET, envelope.CommandMeta(command_id, actor, command_id, None, None, None), wish)
