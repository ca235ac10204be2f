"""Calculators: a fact freezes the inputs, the work is done outside, the proposal comes back as commands.

Inputs are read from history views as of the fact's cut-off tick, once every partition of the families
it needs is complete up to that tick. Repeating a calculation is harmless: the same inputs give the same
commands, and receivers keep a cursor.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.ports import NewRecord, Partition
from consumers.react import inside_command
from domain.calculation import Calculation
from projections.view import Ask, Question
from schemas.codec import Codec
from schemas.envelope import Recorded

Complete = Callable[[str], Awaitable[int]]
"""The tick up to which every partition of a family is in the views."""


@dataclass(frozen=True, slots=True)
class WiredCalculation:
    """A calculation with the questions that give its inputs and the parameters that the fact gives them."""

    calculation: Calculation
    questions: Mapping[str, Question]
    parameters: Callable[[Recorded[Any]], Mapping[str, Any]]


class Calculator:
    """Collects the facts that start calculations and runs those whose inputs are complete."""

    def __init__(
        self, wired: Iterable[WiredCalculation], codec: Codec, partitions: Mapping[str, int], ask: Ask
    ) -> None:
        self._codec, self._partitions, self._ask = codec, partitions, ask
        self._by_fact = {(w.calculation.family, w.calculation.on): w for w in wired}
        self._waiting: list[tuple[WiredCalculation, Recorded[Any]]] = []

    def offer(self, facts: Sequence[Recorded[Any]]) -> None:
        """Takes facts as they are read; those that start no calculation are passed over."""
        for fact in facts:
            wired = self._by_fact.get((fact.family, type(fact.body)))
            if wired is not None:
                self._waiting.append((wired, fact))

    def listens_to(self, family: str) -> bool:
        """Whether facts of this family can start a calculation."""
        return any(source == family for source, _ in self._by_fact)

    @property
    def waiting(self) -> int:
        """How many calculations wait for their inputs."""
        return len(self._waiting)

    async def run_ready(self, complete: Complete) -> list[tuple[Partition, NewRecord]]:
        """The commands of every calculation whose inputs are complete; the others go on waiting."""
        commands: list[tuple[Partition, NewRecord]] = []
        still: list[tuple[WiredCalculation, Recorded[Any]]] = []
        for wired, fact in self._waiting:
            cutoff = wired.calculation.cutoff(fact)
            if all([await complete(family) >= cutoff for family in wired.calculation.needs]):
                commands += await self._run(wired, fact)
            else:
                still.append((wired, fact))
        self._waiting = still
        return commands

    async def _run(self, wired: WiredCalculation, fact: Recorded[Any]) -> list[tuple[Partition, NewRecord]]:
        parameters = wired.parameters(fact)
        inputs = {name: await self._ask(q.sql, parameters) for name, q in wired.questions.items()}
        calculation = wired.calculation
        actor = f"calc:{calculation.name}"
        partitions = self._partitions[calculation.family]
        return [
            inside_command(self._codec, fact, actor, n, fact.key, body, calculation.family, partitions)
            for n, body in enumerate(calculation.compute(fact, inputs))
        ]
