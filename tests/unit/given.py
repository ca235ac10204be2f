"""Given facts, when a wish, then facts: a key's decider without any runtime."""

import importlib
from collections.abc import Iterable
from typing import Any

from domain.decider import Decider
from schemas.envelope import Command, CommandMeta, FactMeta, Moment, Recorded

MINUTE = 60_000_000


class Scenario:
    """One key of one family. `at` is UTC µs; every call of `when` uses a new command id."""

    def __init__(self, family: str, key: str, at: int = 0) -> None:
        self.family, self.key, self.at = family, key, at
        self.decider: Decider = importlib.import_module(f"domain.{family}.decider")
        self.state: Any = self.decider.initial(key)
        self.facts: list[Any] = []
        self.moments: list[Moment] = []
        self._commands = 0
        self._tick = 0

    def given(self, *bodies: Any) -> "Scenario":
        """Facts that stand already."""
        for body in bodies:
            self._evolve(body)
        return self

    def later(self, at: int) -> list[Any]:
        """Time passes to `at`; returns what it brings about (a tick, continued until nothing is left)."""
        self.at = at
        self._tick += 1
        return self._advance()

    def when(self, body: Any, actor: str = "operator", command_id: str | None = None) -> list[Any]:
        """A wish at the present time; returns the facts it leads to (those of `advance` before it included)."""
        self._commands += 1
        meta = CommandMeta(command_id or f"c{self._commands}", actor, "correlation", None, None, None)
        found = self._advance()
        decided = list(self.decider.decide(self.state, Command(self.key, meta, body), self.now))
        allowed = self.decider.OUTCOMES[type(body)]
        assert all(type(fact) in allowed for fact in decided), "an outcome that OUTCOMES does not name"
        for fact in decided:
            self._evolve(fact)
        return found + decided

    @property
    def now(self) -> Moment:
        return Moment(self._tick, self.at)

    def _advance(self) -> list[Any]:
        found: list[Any] = []
        while (due := self.decider.due(self.state)) is not None and due <= self.at:
            step = list(self.decider.advance(self.state, self.now, 100))
            assert step, "due, but nothing to say"
            assert len(step) <= 100, "more than the limit"
            for fact in step:
                self._evolve(fact)
            found += step
        return found

    def _evolve(self, body: Any) -> None:
        meta = FactMeta(len(self.facts), self.now, "c", 0, "actor", "correlation", None, self.decider.LOGIC)
        self.state = self.decider.evolve(self.state, Recorded(self.family, 0, self.key, meta, body))
        self.facts.append(body)
        self.moments.append(self.now)


def only(facts: Iterable[Any], kind: type) -> list[Any]:
    """The facts of one type."""
    return [f for f in facts if type(f) is kind]
