"""What a calculation is: slow or numerical work outside the decider, whose proposal comes back as commands.

A fact freezes the inputs (cut-off tick); a process outside asks the history views as of that tick and
calls `compute`; the decider checks the proposal and records it. Replay repeats the check only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.envelope import Recorded

Row = Mapping[str, Any]
Inputs = Mapping[str, Sequence[Row]]
"""Rows by name, as the calculation's question in `projections/` answers them."""


@dataclass(frozen=True, slots=True)
class Calculation:
    """A fact of type `on` in `family` starts `compute(fact, inputs)`, which proposes commands of that family and key.

    `cutoff` is the tick as of which the inputs are read; `needs` are the families whose views must be
    complete up to it (`TimePassed`) before the inputs are asked. Where `may_find_nothing`, to propose nothing is a
    result; elsewhere somebody waits for the proposal. A fact that it does not `concern` starts nothing.
    """

    name: str
    family: str
    on: type
    needs: tuple[str, ...]
    cutoff: Callable[[Recorded[Any]], int]
    compute: Callable[[Recorded[Any], Inputs], Iterable[Any]]
    may_find_nothing: bool = False
    concerns: Callable[[Recorded[Any]], bool] = lambda _: True
