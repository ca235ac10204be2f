"""Structured log lines of a process: JSON for machines, readable text on a terminal; libraries' lines beside ours.

Never payloads: of what is said only plain values are written, long ones are cut, and of anything else (a
message, a record, bytes) its kind is named.
"""

import logging
import os
import sys
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import structlog
from structlog.typing import EventDict, Processor

from consumers.ports import Partition
from infra.telemetry.lines import Lines

MAX_TEXT: Final = 500
"""Characters of a value; an exception's stack may have eight times as many."""

MAX_ITEMS: Final = 20
"""Items of a list."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_OWN: Final = frozenset({"time", "level", "role", "process", "pid", "event"})


class Logs:
    """The log of a process.

    Args:
        role: what the process does (`decide`).
        process: its name, unique while it lives.
        form: `json`, `console`, or `auto` (console on a terminal).
        level: the least level that is written; of libraries only warnings are, unless it is `debug`.
        stream: where lines go (none: standard output as it is when the log is made).
    """

    def __init__(
        self, role: str, process: str, form: str = "auto", level: str = "info", stream: TextIO | None = None
    ) -> None:
        stream = stream or sys.stdout
        terminal = stream.isatty()
        self.console: Final = form == "console" or (form == "auto" and terminal)
        render: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
        if self.console:
            render = structlog.dev.ConsoleRenderer(
                colors=terminal, timestamp_key="time", pad_event_to=0, sort_keys=False
            )
        who = {"role": role} if self.console else {"role": role, "process": process, "pid": os.getpid()}
        steps = (structlog.stdlib.add_log_level, structlog.processors.format_exc_info, _Shape(who, self.console))
        self._logger: Any = structlog.wrap_logger(
            structlog.ReturnLogger(), (*steps, render), structlog.make_filtering_bound_logger(_LEVELS[level])
        )
        self._lines = Lines(stream, lambda count: str(self._logger.error("log lines lost", count=count)))
        self._bridge = _Bridge(self, logging.INFO if level == "debug" else logging.WARNING)
        self._before: int | None = None

    @property
    def lost(self) -> int:
        """Lines dropped so far, because nobody read them."""
        return self._lines.lost

    def say(self, event: str, level: str = "info", /, **fields: object) -> None:
        """Writes a line; never waits, never raises."""
        try:
            named = {f"{name}_" if name in _OWN else name: value for name, value in fields.items()}
            line = getattr(self._logger, level)(event, **named)
        except Exception as error:  # something whose text cannot be made: watching must not stop the work
            line = self._logger.error("log line lost", reason=type(error).__name__)
        if line is not None:  # None: below the level
            self._lines.put(line)

    def pass_on(self, line: str) -> None:
        """Writes a line that somebody else has made; never waits, never raises."""
        self._lines.put(line)

    def bridge(self) -> None:
        """From here on the lines of libraries (`logging`, `warnings`) come here too, until `close`."""
        root = logging.getLogger()
        self._before = root.level
        root.addHandler(self._bridge)
        root.setLevel(self._bridge.level)
        logging.captureWarnings(True)

    def close(self) -> None:
        """Writes what still waits, for a second at most; what is said afterwards is lost."""
        if self._before is not None:
            root = logging.getLogger()
            root.removeHandler(self._bridge)
            root.setLevel(self._before)
            logging.captureWarnings(False)
            self._before = None
        self._lines.close()

    def __enter__(self) -> Self:
        self.bridge()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Bridge(logging.Handler):
    """Lines of libraries become lines of the log."""

    def __init__(self, logs: Logs, level: int) -> None:
        super().__init__(level)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for name, number in reversed(_LEVELS.items()) if record.levelno >= number), "debug")
        try:
            event = record.getMessage()
        except Exception:  # the library's arguments do not fit its text
            event = str(record.msg)
        self._logs.say(event, level, logger=record.name, exc_info=record.exc_info)


class _Shape:
    """The last step before rendering: our fields first and in order, plain values only."""

    def __init__(self, who: dict[str, Any], short: bool) -> None:
        self._who, self._short = who, short

    def __call__(self, _logger: Any, _method: str, said: EventDict) -> EventDict:
        now = datetime.now(UTC)
        time = f"{now:%H:%M:%S.%f}"[:-3] if self._short else f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"
        level, event = said.pop("level"), said.pop("event")
        stack = {"exception": _cut(said.pop("exception"), 8 * MAX_TEXT)} if "exception" in said else {}
        shaped = {"time": time, "level": level} | self._who | {"event": _cut(str(event), MAX_TEXT)}
        return shaped | {name: plain(value) for name, value in said.items()} | stack


def plain(value: object) -> object:
    """What may be written of a value: numbers, short texts, names of partitions, and lists of those."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if abs(value) < 1 << 63 else "<int>"
        case Enum():
            return plain(value.value)
        case str():
            return _cut(value, MAX_TEXT)
        case Partition():
            return str(value)
        case Path():
            return str(value)
        case BaseException():
            return _cut(f"{type(value).__name__}: {value}", MAX_TEXT)
        case list() | tuple() | set() | frozenset() if not hasattr(value, "_fields"):  # a record is a payload
            items = [plain(item) for _, item in zip(range(MAX_ITEMS), value, strict=False)]
            return items if len(value) <= MAX_ITEMS else [*items, f"and {len(value) - MAX_ITEMS} more"]
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case _:
            return f"<{type(value).__name__}>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
