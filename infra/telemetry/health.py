"""Is this process alive, and is it ready? Answered from what its parts said last and from a heartbeat."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from consumers.report import Condition

STALE_SECONDS: Final = 10.0
"""A loop that has not beaten for so long is not alive; one decision or one slice of a restore takes much less."""

READY: Final = frozenset({Condition.RUNNING, Condition.FOLLOWING, Condition.PAUSED})


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer with what it rests on, as it goes out as JSON."""

    holds: bool
    body: dict[str, Any]


@dataclass(slots=True)
class Health:
    """The conditions of a process's parts. Told from the event loop, asked from any thread.

    Args:
        who: fields of every answer.
        now: seconds that never go back.
    """

    who: dict[str, Any]
    now: Callable[[], float] = time.monotonic
    _parts: dict[str, tuple[Condition, str]] = field(default_factory=dict)
    _told: bool = False
    _beat: float | None = None

    def tell(self, part: str, condition: Condition, text: str) -> bool:
        """What a part is from now on; returns whether its condition is another than before."""
        before = self._parts.get(part)
        self._parts[part] = (condition, text)
        self._told = True
        return before is None or before[0] is not condition

    def forget(self, part: str) -> None:
        """The part is no more this process's."""
        self._parts.pop(part, None)

    def beat(self) -> None:
        """The event loop is alive now."""
        self._beat = self.now()

    def parts(self) -> dict[str, Condition]:
        """The condition of every part."""
        return {part: condition for part, (condition, _) in self._parts.copy().items()}

    def alive(self) -> Verdict:
        """Whether starting the process again would not help: the loop beats. A part that has stopped has a reason to:
        with a new process it would stop again, and the parts beside it would begin again for nothing."""
        return self._verdict("alive", self._silence())

    def ready(self) -> Verdict:
        """Whether every part does its work, or rests because an operator wishes so."""
        untold = [] if self._told else ["waiting for the first word of any part"]
        return self._verdict("ready", [*self._silence(), *untold, *self._said(lambda c: c not in READY)])

    def _silence(self) -> list[str]:
        beat = self._beat
        if beat is None:
            return ["waiting for the event loop's first heartbeat"]
        silent = self.now() - beat
        return [f"no heartbeat of the event loop for {silent:.0f} s"] if silent > STALE_SECONDS else []

    def _said(self, matters: Callable[[Condition], bool]) -> list[str]:
        return [
            f"{part} is {condition}: {text}" if text else f"{part} is {condition}"
            for part, (condition, text) in sorted(self._parts.copy().items())
            if matters(condition)
        ]

    def _verdict(self, question: str, against: list[str]) -> Verdict:
        parts = {
            part: {"condition": str(condition)} | ({"text": text} if text else {})
            for part, (condition, text) in sorted(self._parts.copy().items())
        }
        return Verdict(not against, self.who | {question: not against, "because": against, "parts": parts})
