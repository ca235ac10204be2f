"""Calculators: a fact freezes the inputs, the work is done outside, the proposal comes back as commands.

Inputs are read from history views as of the fact's cut-off tick, once every partition of the families
it needs is complete up to that tick. Repeating a calculation is harmless: the same inputs give the same
commands, and receivers keep a cursor.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.ports import NewRecord, Partition
from consumers.react import inside_command
from domain.calculation import Calculation
from projections.view import Ask, Question
from schemas.actors import CALCULATION
from schemas.codec import Codec
from schemas.envelope import Recorded

Complete = Callable[[str], int]
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
        self._still = self._waiting
        self.failures: list[str] = []
        """Calculations that could not be computed, for whoever watches."""

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
        """The commands of every calculation whose inputs are complete; the others go on waiting.

        Of one calculation and partition they come in the order of their facts: the receiver's cursor would
        take what comes later for a repeat. What ran stays waiting until `sent` says that it is on the log.
        """
        commands: list[tuple[Partition, NewRecord]] = []
        still: list[tuple[WiredCalculation, Recorded[Any]]] = []
        held: set[tuple[str, str, int]] = set()
        for wired, fact in self._waiting:
            line = (wired.calculation.name, fact.family, fact.partition)
            cutoff = wired.calculation.cutoff(fact)
            if line not in held and all(complete(family) >= cutoff for family in wired.calculation.needs):
                commands += await self._run(wired, fact)
            else:
                held.add(line)
                still.append((wired, fact))
        self._still = still
        return commands

    def sent(self) -> None:
        """The commands of the last `run_ready` are on the log."""
        self._waiting = self._still

    def forget(self) -> None:
        """Nothing waits any more: the facts are offered again from the log."""
        self._waiting = self._still = []

    async def _run(self, wired: WiredCalculation, fact: Recorded[Any]) -> list[tuple[Partition, NewRecord]]:
        parameters = wired.parameters(fact)
        inputs = {name: await self._ask(q.sql, parameters) for name, q in wired.questions.items()}
        calculation = wired.calculation
        actor = f"{CALCULATION}{calculation.name}"
        partitions = self._partitions[calculation.family]
        try:
            return [
                inside_command(self._codec, fact, actor, n, fact.key, body, calculation.family, partitions)
                for n, body in enumerate(calculation.compute(fact, inputs))
            ]
        except Exception as error:
            # Our own mistake, or numbers beyond every range: it must stop nobody else. No proposal comes, and
            # the deadline that the decider keeps for it is the way out.
            place = f"{fact.family}/{fact.partition} seq {fact.meta.seq}"
            self.failures.append(f"{calculation.name} for {place}: {type(error).__name__}: {error}")
            return []
