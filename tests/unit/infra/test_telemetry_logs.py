"""Lines of the log: their fields, their form, and what never stands in one."""

import io
import json
import logging
import os
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from consumers.ports import NewRecord, Partition
from consumers.report import Condition
from infra.telemetry.logs import MAX_ITEMS, MAX_TEXT, Logs, plain


@dataclass(frozen=True, slots=True)
class Payload:
    """What a message is: nobody's business."""

    secret: str = "s3cret"


class Unspeakable:
    """Not even its text can be made."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def said(*, form: str = "json", level: str = "info", stream: io.StringIO | None = None) -> tuple[Logs, io.StringIO]:
    stream = stream or io.StringIO()
    return Logs("decide", "decide@here:1", form, level, stream), stream


def lines(logs: Logs, stream: io.StringIO) -> list[dict[str, Any]]:
    logs.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_the_same_first_fields() -> None:
    logs, stream = said()
    logs.say("running", part="market/0", n=3, ratio=0.5, none=None, yes=True)
    [line] = lines(logs, stream)
    assert list(line)[:6] == ["time", "level", "role", "process", "pid", "event"]
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "level": "info",
        "role": "decide",
        "process": "decide@here:1",
        "pid": os.getpid(),
        "event": "running",
        "part": "market/0",
        "n": 3,
        "ratio": 0.5,
        "none": None,
        "yes": True,
    }


def test_no_payload_is_ever_written() -> None:
    logs, stream = said()
    record = NewRecord(b"s3cret", b"s3cret", (("h", b"s3cret"),))
    logs.say("x", a=Payload(), b=b"s3cret", c=[Payload(), record], d={"deep": "s3cret"}, e=record, f=Unspeakable())
    logs.close()
    text = stream.getvalue()
    assert "s3cret" not in text
    line = json.loads(text)
    assert (line["a"], line["b"], line["c"]) == ("<Payload>", "<6 bytes>", ["<Payload>", "<NewRecord>"])
    assert (line["d"], line["f"]) == ("<dict>", "<Unspeakable>")


def test_plain_values_are_written_as_people_call_them() -> None:
    assert plain(Partition("market", 3)) == "market/3"
    assert plain(Condition.WAITING) == "waiting"
    assert plain(Path("/a")) == "/a"
    assert plain(ValueError("bad")) == "ValueError: bad"
    assert plain((1, "a", Partition("party", 0))) == [1, "a", "party/0"]
    assert plain(1 << 64) == "<int>"


def test_what_is_long_is_cut() -> None:
    logs, stream = said()
    logs.say("e" * 10_000, text="t" * 10_000, many=list(range(1_000)), error=ValueError("v" * 10_000))
    [line] = lines(logs, stream)
    assert len(line["event"]) == len(line["text"]) == len(line["error"]) == MAX_TEXT + 1
    assert line["many"] == [*range(MAX_ITEMS), f"and {1_000 - MAX_ITEMS} more"]


def test_fields_of_the_process_are_its_own() -> None:
    logs, stream = said()
    logs.say("x", **dict.fromkeys(("time", "level", "role", "process", "pid", "event"), "mine"))
    [line] = lines(logs, stream)
    assert (line["role"], line["event"], line["level"]) == ("decide", "x", "info")
    assert {name for name, value in line.items() if value == "mine"} == {
        "time_", "level_", "role_", "process_", "pid_", "event_",
    }  # fmt: skip


class Broken(str):
    """A text that cannot be cut."""

    def __len__(self) -> int:
        raise RuntimeError("no")


def test_what_cannot_be_said_stops_nobody() -> None:
    logs, stream = said()
    logs.say("x", a=Broken())
    logs.say("y")
    assert [line["event"] for line in lines(logs, stream)] == ["log line lost", "y"]


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_least_level_is_written(level: str, expected: int) -> None:
    logs, stream = said(level=level)
    for name in ("debug", "info", "warning", "error"):
        logs.say(name, name)
    assert [line["level"] for line in lines(logs, stream)] == ["debug", "info", "warning", "error"][4 - expected :]


def test_on_a_terminal_it_is_text_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    logs, stream = said(form="auto", stream=Terminal())
    assert logs.console
    logs.say("running", part="market/0")
    logs.close()
    assert "running" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    other, _ = said(form="auto")
    assert not other.console
    other.close()
    forced, stream = said(form="console")
    forced.say("running", part="market/0", a=Payload())
    forced.close()
    assert "part=market/0" in stream.getvalue()
    assert "s3cret" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_lines_of_libraries_come_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # the test tool's own would not bear a wrong line
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    logs, stream = said()
    with logs:
        logging.getLogger("library.x").warning("lost %s of %d", "broker", 3)
        logging.getLogger("library.x").info("not asked for")
        logging.getLogger("library.x").warning("wrong %d", "argument")
        logging.getLogger("library.x").critical("very bad")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before
    logging.getLogger("library.x").warning("afterwards")
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"]) for line in found[:3]] == [
        ("warning", "lost broker of 3"), ("warning", "wrong %d"), ("error", "very bad"),
    ]  # fmt: skip
    assert {line["logger"] for line in found} == {"library.x", "py.warnings"}
    assert all((line["role"], line["pid"]) == ("decide", os.getpid()) for line in found)
    assert "old" in found[3]["event"]


def test_a_stack_is_one_field_of_bounded_length_without_values() -> None:
    logs, stream = said()
    with logs:
        secret = "s3" + "cret"
        try:
            raise ValueError("x" * 100_000)
        except ValueError:
            logging.getLogger("lib").exception("failed")
        del secret
    [line] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert line["event"] == "failed"
    assert line["exception"].startswith("Traceback")
    assert len(line["exception"]) == 8 * MAX_TEXT + 1
    assert "s3cret" not in line["exception"]


def test_debug_asks_libraries_for_more() -> None:
    logs, stream = said(level="debug")
    with logs:
        logging.getLogger("lib").info("more")
    assert "more" in stream.getvalue()
