"""Any day of every stream: who dies at any event, and comes back from facts or from a snapshot, decides the same."""

import pickle
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from domain.market.decider import OUTCOMES
from schemas.envelope import Recorded
from schemas.market.commands import SettleDelivery
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.any_wishes import CALCULATED, END, FIRST, Wisher, wait
from tests.unit.market.world import MARKET, NOON, POLICY
from tests.unit.written import codec, read_again, recorded

STEPS = 200
Step = tuple[Any, str] | int
"""A wish with its actor, or a time."""


class Mortal(Scenario):
    """Memory is lost after every append and made again in some way."""

    def __init__(self, comes_back: Callable[["Mortal"], Any] | None) -> None:
        super().__init__("market", MARKET, at=FIRST)
        self.comes_back = comes_back
        self.appended = False
        self.read: list[Recorded[Any]] = []
        self.chance = random.Random(MARKET)

    def _evolve(self, body: Any) -> None:
        super()._evolve(body)
        self.appended = True

    def die(self) -> None:
        if self.appended and self.comes_back is not None:
            self.state = self.comes_back(self)
        self.appended = False

    def _advance(self) -> list[Any]:
        """As ever, with a death behind each call."""
        found: list[Any] = []
        while (due := self.decider.due(self.state)) is not None and due <= self.at:
            step = list(self.decider.advance(self.state, self.now, 100))
            assert step, "due, but nothing to say"
            for fact in step:
                self._evolve(fact)
            found += step
            self.die()
        return found

    def take(self, step: Step) -> None:
        if isinstance(step, int):
            self.later(step)
        else:
            self.when(*step)
        self.die()


def from_snapshot(mortal: Mortal) -> Any:
    return pickle.loads(pickle.dumps(mortal.state))


def from_facts(mortal: Mortal) -> Any:
    """As a reader of the log finds them; each is read once."""
    for seq in range(len(mortal.read), len(mortal.facts)):
        body, tick = read_again(mortal.facts[seq]), mortal.moments[seq]
        mortal.read.append(recorded("market", MARKET, body, seq, tick))
    state = mortal.decider.initial(MARKET)
    for fact in mortal.read:
        state = mortal.decider.evolve(state, fact)
    return state


def from_either(mortal: Mortal) -> Any:
    """By chance, and sometimes the memory survives."""
    return mortal.chance.choice((from_facts, from_snapshot, lambda m: m.state, lambda m: m.state))(mortal)


def drawn(seed: int, zoned: bool, steps: int = STEPS) -> tuple[list[Step], Mortal]:
    """A day of wishes of every stream, and the market that nobody disturbed."""
    draw = random.Random(f"{seed} {zoned}")
    market = Mortal(None)
    wisher = Wisher(draw, market, zoned)
    taken: list[Step] = list(wisher.prepared())
    for step in taken:
        market.take(step)
    for _ in range(steps):
        taken.append(market.at)
        market.take(market.at)
        taken.append(market.at + wait(draw) * MINUTE if draw.random() < 0.15 else wisher.one())
        market.take(taken[-1])
    for step in (END - 60 * MINUTE, END, (SettleDelivery(NOON, END), POLICY), END + MINUTE):
        taken.append(step)
        market.take(step)
    return taken, market


def written(facts: list[Any]) -> list[bytes]:
    return [codec().encode(recorded("market", MARKET, fact).meta, fact) for fact in facts]


@pytest.mark.parametrize("zoned", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_restart_at_any_event_changes_nothing(seed: int, zoned: bool) -> None:
    """Each append is followed by a death: once all memories come from snapshots, once from facts, once from either."""
    taken, undisturbed = drawn(seed, zoned)
    expected = written(undisturbed.facts)
    for way in (from_snapshot, from_facts, from_either):
        market = Mortal(way)
        for step in taken:
            market.take(step)
        assert written(market.facts) == expected
        assert market.state == undisturbed.state


def test_every_stream_lives_on_such_days() -> None:
    """Each wish is wished, and all but very few of the facts come about."""
    asked: Counter[type] = Counter()
    facts: list[Any] = []
    for seed in range(4):
        for zoned in (False, True):
            taken, market = drawn(seed, zoned)
            asked.update(type(step[0]) for step in taken if not isinstance(step, int))
            facts += market.facts
    assert set(OUTCOMES) - set(asked) == set(CALCULATED)
    heard = {type(fact) for fact in facts}
    lived = {fact for wish, kinds in OUTCOMES.items() if "session" not in wish.__module__ for fact in kinds}
    assert len(lived - heard) <= 12
