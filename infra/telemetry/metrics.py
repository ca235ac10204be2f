"""The flow's numbers for Prometheus: every metric of `consumers/report.py: METRICS` as `gridbook_<name>`."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from consumers.report import METRICS, Metric, MetricKind

MAX_SERIES: Final = 10_000
"""Label values of one metric that are told apart; what comes later is counted under `other`."""

SECONDS_BUCKETS: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300,
)  # fmt: skip
"""From half the fastest append to a restore from the first record."""

SIZE_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)

_OTHER: Final = "other"

Reader = Callable[[], float]
Rows = Callable[[], Iterable[tuple[str, ...]]]
Tell = Callable[[float], None]


class Metrics:
    """The numbers of a process. Telling one costs about a microsecond and never raises.

    Args:
        about: who the process is, as labels of `gridbook_process_info`.
        metrics: what may be told; anything else is counted in `gridbook_untold_total`.
    """

    def __init__(self, about: dict[str, str], metrics: Iterable[Metric] = METRICS) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series beside each one, which no question needs
        self.registry = CollectorRegistry()
        self._known: dict[str, Counter | Gauge | Histogram] = {m.name: _made(m, self.registry) for m in metrics}
        self._series: dict[tuple[str, ...], Tell] = {}
        self._count: dict[str, int] = {}
        self._untold = Counter("gridbook_untold", "Numbers that no metric takes: our mistake.", registry=self.registry)
        Info("gridbook_process", "Who this process is.", registry=self.registry).info(about)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def tell(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Adds to a counter or a distribution, sets a gauge."""
        tell = self._series.get((metric.name, *labels))
        try:
            (tell or self._told(metric, labels))(value)
        except (KeyError, ValueError):  # no such metric, other labels than declared, a counter that goes back
            self._untold.inc()

    def forget(self, family: str, partition: str) -> None:
        """Takes the gauges of a partition away: what was true of it here is true no more."""
        for name, *labels in list(self._series):
            known = self._known[name]
            if isinstance(known, Gauge) and labels[-2:] == [family, partition]:
                del self._series[(name, *labels)]
                self._count[name] -= 1
                known.remove(*labels)

    def show(self, name: str, help: str, labels: tuple[str, ...], rows: Rows) -> None:
        """Adds a gauge that is 1 for each row of labels, asked for when somebody looks."""
        self.registry.register(_Rows(f"gridbook_{name}", help, labels, rows))

    def count(self, name: str, help: str, read: Reader) -> None:
        """Adds a counter that is read when somebody looks."""
        self.registry.register(_Read(f"gridbook_{name}", help, read))

    def _told(self, metric: Metric, labels: tuple[str, ...]) -> Tell:
        known = self._known[metric.name]
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name}: expected the labels {metric.labels}, found {labels}")
        if self._count.get(metric.name, 0) >= MAX_SERIES:
            labels = (_OTHER,) * len(labels)
        child = known.labels(*labels) if labels else known
        tell: Tell
        match child:
            case Histogram():
                tell = child.observe
            case Gauge():
                tell = child.set
            case Counter():
                tell = child.inc
        if (metric.name, *labels) not in self._series:
            self._count[metric.name] = self._count.get(metric.name, 0) + 1
            self._series[(metric.name, *labels)] = tell
        return tell


def _made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    name, help, labels = f"gridbook_{metric.name}", metric.help, metric.labels
    match metric.kind:
        case MetricKind.COUNTER:
            return Counter(name, help, labels, registry=registry)
        case MetricKind.GAUGE:
            return Gauge(name, help, labels, registry=registry)
        case MetricKind.SECONDS:
            return Histogram(f"{name}_seconds", help, labels, buckets=SECONDS_BUCKETS, registry=registry)
        case MetricKind.SIZE:
            return Histogram(name, help, labels, buckets=SIZE_BUCKETS, registry=registry)


class _Rows(Collector):
    def __init__(self, name: str, help: str, labels: tuple[str, ...], rows: Rows) -> None:
        self._name, self._help, self._labels, self._rows = name, help, labels, rows

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._help, labels=self._labels)
        for row in self._rows():
            family.add_metric(row, 1)
        yield family


class _Read(Collector):
    def __init__(self, name: str, help: str, read: Reader) -> None:
        self._name, self._help, self._read = name, help, read

    def collect(self) -> Iterable[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._help, value=self._read())
