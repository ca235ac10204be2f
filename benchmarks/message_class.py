"""What the class of messages costs: the same kernel and the same day, with messages made in several ways.

* frozen: `@dataclass(frozen=True, slots=True)`, every field set through `object.__setattr__`;
* slotted: `@dataclass(slots=True, unsafe_hash=True)`, frozen for the type checker only (what the schemas do);
* struct: `msgspec.Struct`, where msgspec happens to be installed; it is no dependency.

Envelopes (`Command`, `Recorded`) stay as they are; `Moment` and the metas are messages' values and change.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import kernel, market_day
from benchmarks.figure import Figure
from benchmarks.market_day import ORDERS, Language

ROUNDS: Final = 9
"""Each way in turn, so that a disturbance meets all; the quickest round of each counts."""

Make = Callable[[type, Any], type]
"""From a class with annotations and its kind to the class of messages."""

_KIND: Final = "__message_kind__"


def run() -> Iterator[Figure]:
    """Orders a second with each way of making messages, beside the frozen one."""
    ways: dict[str, Make] = {"frozen": _frozen, "slotted": _slotted}
    if importlib.util.find_spec("msgspec") is None:
        print("  struct: skipped, msgspec is not installed", file=sys.stderr)
    else:
        ways["struct"] = _struct
    languages = {name: spoken_with(make) for name, make in ways.items()}
    speeds = _speeds(languages)
    for name, speed in speeds.items():
        if name == "frozen":
            yield Figure(f"message_class.{name}", round(speed), "orders/s")
            continue
        against = f"frozen: {speeds['frozen']:,.0f} orders/s"
        yield Figure(f"message_class.{name}", round(speed), "orders/s", against, round(speed / speeds["frozen"], 3))


def _speeds(languages: Mapping[str, Language]) -> dict[str, float]:
    seconds = dict.fromkeys(languages, float("inf"))
    outcomes = set()
    for n in range(ROUNDS):
        print(f"  round {n + 1} of {ROUNDS}", end="\r", file=sys.stderr)
        for name, spoken in languages.items():
            took, *outcome = kernel.decided(spoken)
            seconds[name] = min(seconds[name], took)
            outcomes.add(tuple(outcome))
    print(file=sys.stderr)
    if len(outcomes) != 1:
        raise AssertionError(f"the ways differ in facts or trades: {outcomes}")
    return {name: ORDERS / took for name, took in seconds.items()}


def spoken_with(make: Make) -> Language:
    """Schemas and domain imported once more, with messages made this way; the usual modules stay in place."""
    rooms = ("schemas", "domain")
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in rooms}
    try:
        for name in kept:
            del sys.modules[name]
        message = importlib.import_module("schemas.message")
        message._slotted = make  # type: ignore[attr-defined]
        return market_day.language()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in rooms]:
            del sys.modules[name]
        sys.modules.update(kept)


def _frozen(cls: type, kind: Any) -> type:
    made: type = dataclass(frozen=True, slots=True)(cls)
    setattr(made, _KIND, kind)
    return made


def _slotted(cls: type, kind: Any) -> type:
    made: type = dataclass(slots=True, unsafe_hash=True)(cls)
    setattr(made, _KIND, kind)
    return made


def _struct(cls: type, kind: Any) -> type:
    msgspec = importlib.import_module("msgspec")
    made: type = msgspec.defstruct(
        cls.__name__,
        list(cls.__annotations__.items()),
        module=cls.__module__,
        namespace={"__doc__": cls.__doc__, _KIND: kind},
        eq=True,
        gc=True,
    )
    return made
