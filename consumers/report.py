"""What the flow tells those who watch it: numbers, states, sentences. Adapters live in `infra/telemetry/`.

Told per batch and per change, never per command: watching must not slow deciding.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from consumers.ports import Headers


class MetricKind(StrEnum):
    """How a number behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    SECONDS = "seconds"
    """A distribution of durations."""
    SIZE = "size"
    """A distribution of counts."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that the flow tells; on Prometheus it is `gridbook_<name>`."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


_PARTITION: Final = ("family", "partition")

COMMANDS: Final = Metric("commands", MetricKind.COUNTER, "Commands answered on the log.", _PARTITION)
FACTS: Final = Metric("records", MetricKind.COUNTER, "Records appended.", _PARTITION)
REFUSALS: Final = Metric("refusals", MetricKind.COUNTER, "Commands answered by a refusal.", _PARTITION)
SET_ASIDE: Final = Metric("set_aside", MetricKind.COUNTER, "Commands set aside.", _PARTITION)
CLAIMS: Final = Metric("claims", MetricKind.COUNTER, "Times this process claimed a partition.", _PARTITION)
FENCED: Final = Metric("fenced", MetricKind.COUNTER, "Times somebody else claimed it later.", _PARTITION)
BATCH: Final = Metric("batch_commands", MetricKind.SIZE, "Commands of one append.", ("family",))
DECIDE: Final = Metric("decide", MetricKind.SECONDS, "Time to decide a batch.", ("family",))
APPEND: Final = Metric("append", MetricKind.SECONDS, "Time of one append (a transaction).", ("family",))
RESTORE: Final = Metric("restore", MetricKind.SECONDS, "Time from claim to the first decision.", ("family",))
SNAPSHOT: Final = Metric("snapshot", MetricKind.SECONDS, "Time to write a snapshot.", ("family",))
LAG: Final = Metric("lag_records", MetricKind.GAUGE, "Positions behind the end of what is read.", ("role", *_PARTITION))
LAG_TICKS: Final = Metric("lag_ticks", MetricKind.GAUGE, "Ticks behind the last one sent.", ("role", *_PARTITION))
REACTED: Final = Metric("reactor_commands", MetricKind.COUNTER, "Commands sent by policies.", ("family",))
CALCULATED: Final = Metric("calculations", MetricKind.COUNTER, "Calculations that ran.")
FAILED: Final = Metric("calculations_failed", MetricKind.COUNTER, "Calculations that could not be computed.")
WAITING: Final = Metric("calculations_waiting", MetricKind.GAUGE, "Calculations that wait for their inputs.")
PROJECT: Final = Metric("project", MetricKind.SECONDS, "Time of one transaction of views.")
PROJECTED: Final = Metric("projected", MetricKind.COUNTER, "Records projected.")
END_TO_END: Final = Metric("end_to_end", MetricKind.SECONDS, "From a command's append to its answer in the views.")
TICKS: Final = Metric("ticks", MetricKind.COUNTER, "Ticks sent.")
RETRIES: Final = Metric("retries", MetricKind.COUNTER, "Times that something was tried again.", ("part",))

METRICS: Final = (
    COMMANDS, FACTS, REFUSALS, SET_ASIDE, CLAIMS, FENCED, BATCH, DECIDE, APPEND, RESTORE, SNAPSHOT, LAG, LAG_TICKS,
    REACTED, CALCULATED, FAILED, WAITING, PROJECT, PROJECTED, END_TO_END, TICKS, RETRIES,
)  # fmt: skip


class Condition(StrEnum):
    """How a part of a process is."""

    STARTING = "starting"
    RUNNING = "running"
    FOLLOWING = "following"
    """It reads and evolves ahead of a takeover."""
    WAITING = "waiting"
    """For something that is gone and will come back: healthy, not ready."""
    PAUSED = "paused"
    STOPPED = "stopped"
    """By an error that does not go away by itself: an operator is needed."""


class Report(Protocol):
    """Whoever watches. None of these calls may raise, block or be slow."""

    def add(self, metric: Metric, *labels: str, value: float = 1) -> None:
        """Adds to a counter, or a value to a distribution."""

    def set(self, metric: Metric, *labels: str, value: float) -> None:
        """Sets a gauge."""

    def condition(self, part: str, condition: Condition, text: str = "") -> None:
        """How a part is from now on (`market/0`, `views`, `clock`); `text` says what it waits for or why it stopped."""

    def gone(self, part: str) -> None:
        """The part is no more this process's."""

    def say(self, event: str, *, alarm: bool = False, **fields: object) -> None:
        """A sentence for the log; an alarm is what an operator must see."""

    def span(
        self, name: str, *, links: Iterable[Headers] = (), parent: Headers = (), **about: str | int
    ) -> AbstractContextManager[Headers]:
        """A stretch of work in a trace: one for each batch, never one for each command.

        Args:
            links: headers of the records that are worked on, whose traces it belongs to. They are looked at only when
                somebody traces; at most 128 are kept.
            parent: the trace headers of whoever asked for the work.

        Gives the trace headers by which others go on from here: those of `parent` when nobody traces.
        """


class Silent:
    """Nobody watches: tests, and the lock-step process."""

    def add(self, metric: Metric, *labels: str, value: float = 1) -> None:
        """Is not heard."""

    def set(self, metric: Metric, *labels: str, value: float) -> None:
        """Is not heard."""

    def condition(self, part: str, condition: Condition, text: str = "") -> None:
        """Is not heard."""

    def gone(self, part: str) -> None:
        """Is not heard."""

    def say(self, event: str, *, alarm: bool = False, **fields: object) -> None:
        """Is not heard."""

    def span(
        self, name: str, *, links: Iterable[Headers] = (), parent: Headers = (), **about: str | int
    ) -> AbstractContextManager[Headers]:
        """Is not traced; what came in goes on."""
        return nullcontext(parent)
