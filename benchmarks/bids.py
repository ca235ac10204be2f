"""Orders for one market, as they stand on its command log: encoded, with envelope, the same for the same seed.

One order in five meets a resting one (two more facts: trade and contract), the others rest: 1.4 facts an
order. All checks pass, as in a market with enough liquidity; that is the longest way through the checks.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from benchmarks import market_day
from benchmarks.market_day import CENT, INTERVALS, MARKET, MIDNIGHT, MINUTE, OPERATOR, PARTIES, QUARTER, SELLERS
from consumers.limits import VALIDITY_US
from consumers.ports import NewRecord
from consumers.reading import COMMAND_ID
from schemas.codec import Codec
from schemas.envelope import Causation, CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    OpenSession,
    RecordCapability,
    RecordCredit,
    SubmitOrder,
)
from schemas.market.events import Restriction
from schemas.values import Side

TICK_EVERY: Final = 5_000
"""Every so many commands one is a tick (1 s): at some ten thousand orders a second several of them would be due."""

START: Final = Moment(1, MIDNIGHT - 12 * 60 * MINUTE)
_SECOND: Final = 1_000_000
AGGRESSIVE: Final = 0.2
DELIVERIES: Final = tuple(MIDNIGHT + n * QUARTER for n in range(INTERVALS))
_CREDIT_MICRO: Final = 10**15
_WATTS: Final = 10**9
_POLICY: Final = "policy:bench"


def preparation(codec: Codec, market: str = MARKET) -> Iterator[NewRecord]:
    """A tick, rules, a session of 96 quarter-hours, and 130 parties with capability and credit without end."""
    key = market.encode()
    yield tick(codec, START)
    spoken = market_day.language()
    for n, wish in enumerate((AdoptRuleSet(0, market_day.rules(spoken)), OpenSession(MIDNIGHT, INTERVALS))):
        yield _door(codec, key, f"prepare-{n}", OPERATOR, START.at, wish)
    for n in range(PARTIES):
        party, connection = market_day.party(n), market_day.connection(n)
        watts, resources = (_WATTS, (f"pv-{n}",)) if n < SELLERS else (0, ())
        for k, wish in enumerate(
            (
                AdmitParticipant(party),
                RecordCapability(connection, party, watts, resources, "zone"),
                RecordCredit(OPERATOR, party, "EUR", _CREDIT_MICRO),
            )
        ):
            command_id = f"admit-{n}-{k}"
            cause = Causation("party", 0, 0, n, k)
            yield _record(codec, key, CommandMeta(command_id, _POLICY, command_id, None, START, cause), wish)


def bids(
    codec: Codec,
    count: int,
    seed: int = 2072,
    *,
    market: str = MARKET,
    aggressive: float = AGGRESSIVE,
    since: Moment = START,
    starts: Sequence[int] = DELIVERIES,
    ticks: bool = True,
) -> Iterator[NewRecord]:
    """`count` commands behind the preparation: orders, and a tick at every `TICK_EVERY`-th place.

    Args:
        aggressive: the share of orders that meet a resting one.
        since: the last tick before.
        starts: the deliveries that are bid for.
        ticks: false leaves the ticks out.
    """
    draw, key = Random(seed), market.encode()
    now = since
    for n in range(count):
        if ticks and n % TICK_EVERY == TICK_EVERY - 1:
            now = Moment(now.n + 1, now.at + _SECOND)
            yield tick(codec, now)
            continue
        sells = draw.random() < 0.5
        owner = draw.randrange(SELLERS) if sells else draw.randrange(SELLERS, PARTIES)
        order = _order(draw, owner, sells, aggressive, starts)
        yield _door(codec, key, f"{draw.getrandbits(128):032x}", market_day.party(owner), now.at, order)


def _order(draw: Random, owner: int, sells: bool, share: float, starts: Sequence[int]) -> SubmitOrder:
    aggressive = draw.random() < share
    if aggressive:  # one lot at a price that crosses whatever rests on the other side
        quantity_wh, tenths = 10, 700 if sells else 1_900
    else:
        quantity_wh = draw.randrange(1, 200) * 10
        tenths = draw.randrange(1_301, 1_801) if sells else draw.randrange(801, 1_300)
    return SubmitOrder(
        party=market_day.party(owner),
        connection=market_day.connection(owner),
        delivery_start_at=starts[draw.randrange(len(starts))],
        side=Side.SELL if sells else Side.BUY,
        quantity_wh=quantity_wh,
        limit_price_nano_per_kwh=tenths * CENT // 100 // (CENT // 10) * (CENT // 10),
        restriction=Restriction.NONE,
        expires_at=None,
    )


def tick(codec: Codec, moment: Moment) -> NewRecord:
    """The clock's command."""
    command_id = f"tick-{moment.n}"
    meta = CommandMeta(command_id, "log:clock", command_id, None, None, None)
    return NewRecord(b"", codec.encode(meta, Tick(moment.n, moment.at)), ((COMMAND_ID, command_id.encode()),))


def _door(codec: Codec, key: bytes, command_id: str, actor: str, now: int, wish: Any) -> NewRecord:
    meta = CommandMeta(command_id, actor, command_id, now + VALIDITY_US, None, None)
    return _record(codec, key, meta, wish)


def _record(codec: Codec, key: bytes, meta: CommandMeta, wish: Any) -> NewRecord:
    headers = ((COMMAND_ID, meta.command_id.encode()),)
    return NewRecord(key, codec.encode(meta, wish), headers)
