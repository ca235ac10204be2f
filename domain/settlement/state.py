"""State of a settlement area: its runs, the draft that is being recorded, and what is posted of each period."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.settlement.events import LineKind, PostedLine, RunStarted, SettlementLine
from schemas.values import MINUTE_US


class Stage(StrEnum):
    """How far a run is. Only one run of an area is open; a completed one waits for approval."""

    OPEN = "open"
    COMPLETED = "completed"
    POSTED = "posted"
    ENDED = "ended"


@dataclass(slots=True)
class Draft:
    """What is recorded of a run that is not posted."""

    parts: int = 0
    connections: set[str] = field(default_factory=set)
    totals: dict[str, PostedLine] = field(default_factory=dict)
    settled_wh: dict[LineKind, int] = field(default_factory=lambda: dict.fromkeys(LineKind, 0))
    # Consumption less production per interval, by community; the sides of each contract.
    shared_net_wh: dict[str, list[int]] = field(default_factory=dict)
    contracts: dict[str, list[SettlementLine]] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """One run. `draft` is none once the run is posted or ended."""

    started: RunStarted
    stage: Stage = Stage.OPEN
    draft: Draft | None = field(default_factory=Draft)

    @property
    def period(self) -> tuple[int, int]:
        """From and to, UTC µs."""
        return self.started.from_at, self.started.to_at

    @property
    def intervals(self) -> int:
        """How many intervals the run has."""
        return (self.started.to_at - self.started.from_at) // (self.started.interval_min * MINUTE_US)


@dataclass(frozen=True, slots=True)
class Posted:
    """The latest posted run of a period, with the totals of its lines."""

    run: RunStarted
    totals: dict[str, PostedLine]


@dataclass(frozen=True, slots=True)
class Slice:
    """Differences of one counterparty that are still to be written out; due since the run was posted."""

    run: RunStarted
    number: int
    counterparty: str
    lines: tuple[PostedLine, ...]
    due_at: int


@dataclass(slots=True)
class Area:
    """State of one settlement area."""

    area: str
    runs: dict[str, Run] = field(default_factory=dict)
    open_run: str | None = None
    posted: dict[tuple[int, int], Posted] = field(default_factory=dict)
    slices: deque[Slice] = field(default_factory=deque)
