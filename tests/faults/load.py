"""A load for deployments that something is done to: the simulated day, and orders in markets of their own beside it.

Everything is drawn from the seed. Founding, metering, settlement and billing wait until all is quiet, so that a day
ends with posted runs whatever happens meanwhile; while it is traded, nobody waits for anybody.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.layout import Layout
from consumers.limits import VALIDITY_US
from consumers.ports import Partition
from domain.identity import derived_id
from examples.outside import Outside
from gateways.door import DoorCommand
from schemas.billing.commands import AllotCredit, OpenLedger
from schemas.envelope import Moment
from schemas.market.commands import AdoptRuleSet, CancelOrder, OpenSession, SubmitOrder
from schemas.market.events import Restriction, RuleSet, SelfTradeMode
from schemas.party.commands import ApplyForMarket, ApplyForMembership, RegisterParty
from schemas.party.events import Role
from schemas.site.commands import AllotCapability, RegisterConnection, RegisterResource, VerifyResource
from schemas.site.events import AllotmentPurpose
from schemas.values import DeliveryMode, ResourceType, Side
from tests.simulation.world import CENT, INTERVALS, QUARTER, TRADE, World

_FOUNDING = 5
"""Steps until the markets are open; what follows them rests on their effects."""

_TRADING = 17
"""Steps until delivery is over."""

_REPEATED = 0.03
_NO_LIMIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """A tick and the wishes that come in after it; `waits`: the next step rests on what follows from this one."""

    moment: Moment
    commands: tuple[DoorCommand, ...]
    waits: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that a door has sent, once or more often."""

    partition: Partition
    actor: str
    command_id: str


class Load:
    """The steps of one seed.

    Args:
        markets: markets beside the one of the day; they spread over the partitions.
        homes: traders of each, a third of them with a plant.
        orders: wishes to each of them while a step is traded.
        whole: the day with metering, settlement and bills; else it ends with trading.
    """

    def __init__(self, seed: int, markets: int = 3, homes: int = 6, orders: int = 30, *, whole: bool = True) -> None:
        self._rng = random.Random(f"{seed} orders")
        self._world = World(seed)
        self._markets = [f"m{n}" for n in range(markets)]
        self._homes, self._orders = homes, orders
        self._count = self._at = 0
        self.steps = tuple(self._steps())[: None if whole else _TRADING]
        self.founding = self.steps[:_FOUNDING]
        self.commands = sum(len(step.commands) for step in self.steps)

    def _steps(self) -> Iterator[Step]:
        founding = [self._register, self._connect, self._verify, self._allot, self._open]
        for n, step in enumerate(self._world.steps):
            self._at = step.moment.at
            beside = list(founding[n]() if n < _FOUNDING else self._trade() if n < _TRADING else ())
            for command in [one for one in beside if self._rng.random() < _REPEATED]:
                beside.insert(self._rng.randrange(beside.index(command) + 1, len(beside) + 1), command)
            yield Step(step.moment, (*step.commands, *beside), not _FOUNDING <= n < _TRADING)

    def _wish(self, family: str, key: str, actor: str, body: Any) -> DoorCommand:
        self._count += 1
        return DoorCommand(family, key, actor, f"o{self._count}", body)

    def _each(self) -> Iterator[tuple[str, str, str]]:
        """Market, party and connection of every home."""
        for market in self._markets:
            for n in range(self._homes):
                yield market, f"{market}-p{n}", f"{market}-c{n}"

    def _register(self) -> Iterator[DoorCommand]:
        mode, price, delivery = SelfTradeMode.CANCEL_NEWEST, 50 * CENT, DeliveryMode.AS_DELIVERED
        for market in self._markets:
            org = f"org-{market}"
            rules = RuleSet(
                market, org, "EUR", 15, 6000, 15, CENT, 10, 5000, -CENT, price, mode, price, 10, delivery, 60
            )
            yield self._wish("market", market, org, AdoptRuleSet(0, rules))
            yield self._wish("billing", org, org, OpenLedger("EUR", 2, 190_000))
        for _, party, _ in self._each():
            yield self._wish("party", party, party, RegisterParty((Role.PARTY_CONNECTED_TO_GRID,)))

    def _connect(self) -> Iterator[DoorCommand]:
        for market, party, connection in self._each():
            behind = ("supplier", "supplier", "supplier", f"{connection}-mp")
            wish = RegisterConnection(market, party, *behind, 15, 30_000, 0)
            yield self._wish("site", connection, "grid", wish)
            yield self._wish("party", party, party, ApplyForMembership(TRADE))
            plant = RegisterResource(f"{connection}-g", ResourceType.GENERATION, 20_000, 0, f"{connection}-g-mp")
            yield self._wish("site", connection, party, plant)

    def _verify(self) -> Iterator[DoorCommand]:
        for market, party, connection in self._each():
            yield self._wish("site", connection, "grid", VerifyResource(f"{connection}-g", 20_000))
            yield self._wish("party", party, party, ApplyForMarket(market))

    def _allot(self) -> Iterator[DoorCommand]:
        for market, party, connection in self._each():
            yield self._wish("site", connection, party, AllotCapability(AllotmentPurpose.MARKET, market, 20_000, 0))
            yield self._wish("billing", f"org-{market}", f"org-{market}", AllotCredit(party, market, 50_000_000))

    def _open(self) -> Iterator[DoorCommand]:
        for market in self._markets:
            yield self._wish("market", market, f"org-{market}", OpenSession(self._world.from_at, INTERVALS))

    def _trade(self) -> Iterator[DoorCommand]:
        rng = self._rng
        for _ in range(self._orders):
            for market in self._markets:
                home = rng.randrange(self._homes)
                side = rng.choice([Side.BUY, Side.SELL])
                price = rng.randrange(8, 15) if side is Side.SELL else rng.randrange(10, 17)
                order = SubmitOrder(
                    f"{market}-p{home}",
                    f"{market}-c{home}",
                    self._world.from_at + rng.randrange(INTERVALS) * QUARTER,
                    side,
                    rng.choice([10, 50, 100, 200]),
                    price * CENT,
                    rng.choice([Restriction.NONE] * 6 + [Restriction.IOC]),
                    None,
                )
                wish = self._wish("market", market, order.party, order)
                yield wish
                if rng.random() < 0.1:
                    yield self._wish("market", market, order.party, CancelOrder(self._born(wish)))

    def _born(self, wish: DoorCommand) -> str:
        """The id of what is born of it."""
        until = self._at + VALIDITY_US
        return derived_id(wish.family, wish.key, wish.actor, wish.command_id, until, 0)


class Sender:
    """Sends a load to a running deployment, and remembers what it has sent.

    Args:
        layout: the deployment's partitions.
        chunk: commands of one send.
        pause: seconds between two sends.
    """

    def __init__(self, outside: Outside, layout: Layout, chunk: int = 20, pause: float = 0.0) -> None:
        self._outside, self._layout = outside, layout
        self._chunk, self._pause = chunk, pause
        self._moved, self._more, self._most = asyncio.Event(), asyncio.Event(), _NO_LIMIT
        self.sent: dict[Sent, int] = {}
        """What was sent → how often at least."""
        self.sends = 0
        """Ticks and chunks sent: a measure of how far it is that knows no clock."""
        self.ended = asyncio.Event()
        """Set when the load is over."""

    def sends_of(self, steps: Sequence[Step]) -> int:
        """How many sends steps of a load make."""
        return sum(1 + -(-len(step.commands) // self._chunk) for step in steps)

    async def reached(self, sends: int) -> None:
        """Returns when it has made so many sends."""
        while self.sends < sends:
            await self._moved.wait()

    async def quiet(self) -> None:
        """Returns when all that was sent is answered, and all that follows from it."""
        await self._outside.quiet()

    def allow(self, more: int = _NO_LIMIT) -> None:
        """Makes so many more sends, and waits then."""
        self._most = self.sends + more
        changed, self._more = self._more, asyncio.Event()
        changed.set()

    async def live(self, load: Load) -> None:
        """Lives through the load's day, and waits until all is quiet."""
        for step in load.steps:
            await self._outside.tick(step.moment)
            await self._count()
            for first in range(0, len(step.commands), self._chunk):
                chunk = step.commands[first : first + self._chunk]
                for command in chunk:
                    at = self._layout.route(command.family, command.key)
                    sent = Sent(at, command.actor, command.command_id)
                    self.sent[sent] = self.sent.get(sent, 0) + 1
                await self._outside.send(step.moment, chunk)
                await self._count()
            if step.waits:
                await self._outside.quiet()
        await self._outside.quiet()
        self.ended.set()

    async def _count(self) -> None:
        self.sends += 1
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        await asyncio.sleep(self._pause)
        while self.sends >= self._most:
            await self._more.wait()
