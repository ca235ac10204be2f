"""What the flow reports (`consumers/report.py`), for those who watch: log, metrics, health, traces of one process."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final, Self, TextIO

from consumers.ports import Headers
from consumers.report import Condition, Metric
from infra.compiled import told
from infra.telemetry.health import Health
from infra.telemetry.logs import Logs
from infra.telemetry.metrics import Metrics
from infra.telemetry.server import HealthServer
from infra.telemetry.tracing import NoExporter, Propagation, tracing

BEAT_SECONDS: Final = 1.0

_SAID_BY_WHO_WAITS: Final = frozenset({Condition.WAITING, Condition.STOPPED})
"""With the reason, by `say`; a second line would be noise."""


class Telemetry:
    """Whoever watches, for a real process. No call raises, waits, or costs more than some microseconds.

    Args:
        role: what the process does.
        process: its name, unique while it lives.
        deployment, release: shown as labels and fields.
        host, port: where health is answered; port 0 is any free one, none answers nowhere.
        log_format, log_level, stream: as `Logs`.
        environ: where the OTEL_* variables are.
    """

    def __init__(
        self,
        role: str,
        process: str,
        deployment: str = "",
        release: str = "",
        *,
        host: str = "127.0.0.1",
        port: int | None = 0,
        log_format: str = "auto",
        log_level: str = "info",
        stream: TextIO | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        who = {"role": role, "process": process, "deployment": deployment, "release": release}
        self.logs: Final = Logs(role, process, log_format, log_level, stream)
        self.health: Final = Health(who)
        self.metrics: Final = Metrics(who)
        self.metrics.show("part", "How each part is.", ("part", "condition"), self._conditions)
        self.metrics.count("log_lines_lost", "Log lines that nobody read in time.", lambda: self.logs.lost)
        self._alarms = 0
        self.metrics.count("alarms", "What an operator must see.", lambda: self._alarms)
        self._who, self._environ, self._host, self._port = (role, process), environ, host, port
        self._tracing = Propagation()
        self._server: HealthServer | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def url(self) -> str | None:
        """Where health is answered; none before `start`, and where it is answered nowhere."""
        return self._server.url if self._server else None

    async def start(self) -> None:
        """Begins to watch this event loop and to answer.

        Raises:
            HealthRefused: nobody can listen at host and port.
        """
        self.logs.bridge()
        try:
            self._tracing = tracing(*self._who, self._environ)
        except NoExporter as missing:
            self.say("no traces", reason=str(missing), alarm=True)
        if self._port is not None:
            self._server = HealthServer(self.health, self.metrics.registry, self._host, self._port)
        self.say("watched", url=self.url, code=told())
        self._beating = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """Ends all that; never raises, takes three seconds at most."""
        if self._beating is not None:
            self._beating.cancel()
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
        await asyncio.to_thread(self._tracing.close)
        await asyncio.to_thread(self.logs.close)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---------------------------------------------------------------------------------------- the report

    def add(self, metric: Metric, *labels: str, value: float = 1) -> None:
        """As the port says."""
        self.metrics.tell(metric, labels, value)

    def set(self, metric: Metric, *labels: str, value: float) -> None:
        """As the port says."""
        self.metrics.tell(metric, labels, value)

    def condition(self, part: str, condition: Condition, text: str = "") -> None:
        """As the port says. A change is a line of the log, except where whoever waits or stops says so itself."""
        if self.health.tell(part, condition, text) and condition not in _SAID_BY_WHO_WAITS:
            why = {"text": text} if text else {}
            self.logs.say(str(condition), part=part, **why)

    def gone(self, part: str) -> None:
        """As the port says; the gauges of a partition go with it."""
        self.health.forget(part)
        family, _, partition = part.partition("/")
        self.metrics.forget(family, partition)

    def say(self, event: str, *, alarm: bool = False, **fields: object) -> None:
        """As the port says."""
        if alarm:
            self._alarms += 1
            self.logs.say(event, "error", alarm=True, **fields)
        else:
            self.logs.say(event, **fields)

    def span(
        self, name: str, *, links: Iterable[Headers] = (), parent: Headers = (), **about: str | int
    ) -> AbstractContextManager[Headers]:
        """As the port says."""
        return self._tracing.span(name, links, parent, about)

    # -------------------------------------------------------------------------------------------- inside

    async def _beat(self) -> None:
        while True:
            self.health.beat()
            await asyncio.sleep(BEAT_SECONDS)

    def _conditions(self) -> list[tuple[str, ...]]:
        return [(part, str(condition)) for part, condition in self.health.parts().items()]
