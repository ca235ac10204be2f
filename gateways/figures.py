"""Numbers and messages as people read them: by the unit in a field's name, times in UTC (ISO 8601)."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

_TIMES: Final = frozenset({"at", "valid_until", "valid_from", "effective_from"})
_FRACTIONS: Final = {
    "_nano_per_kwh": (9, " per kWh"),
    "_pico_per_wh": (12, " per Wh"),
    "_pico": (12, ""),
    "_micro": (6, ""),
}
_UNITS: Final = {
    "_wh": " Wh",
    "_w": " W",
    "_minor": " minor units",
    "_ppm": " ppm",
    "_percent": " %",
    "_us": " µs",
    "_min": " min",
    "_days": " days",
}
_END_OF_TIME_US: Final = 253_402_300_800_000_000  # 10000-01-01
_SHOWN: Final = 8
_SHOWN_MESSAGES: Final = 2
"""Items of a tuple that stand in one line."""


def utc(at_us: int) -> str:
    """A time (UTC µs) as `2016-06-21T15:45:00Z`; fractions of a second only where there are any.

    What is no time within thousands of years is shown as the number it is.
    """
    if not 0 <= at_us < _END_OF_TIME_US:
        return f"{at_us:,} µs"
    seconds, fraction = divmod(at_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{f'.{fraction:06}'.rstrip('0') if fraction else ''}Z"


def decimal(value: int, digits: int) -> str:
    """An integer of 10^-digits as a decimal number, exact, without zeros at its end (but two places)."""
    whole, rest = divmod(abs(value), 10**digits)
    places = f"{rest:0{digits}}".rstrip("0").ljust(min(2, digits), "0") if digits else ""
    return f"{'-' if value < 0 else ''}{whole:,}{'.' if places else ''}{places}"


def words(name: str, unit: str = "") -> str:
    """A field's name without its unit, in words."""
    return name.removesuffix(unit).replace("_", " ")


def shown(name: str, value: Any) -> str:
    """A field with its value, in one line: `quantity 400 Wh`."""
    unit = _unit(name)
    return f"{words(name, unit)} {_value(name, unit, value)}"


def figure(name: str, value: Any) -> str:
    """A field's value alone, in the unit that its name ends in."""
    return _value(name, _unit(name), value)


def label(name: str) -> str:
    """A field's name alone, without its unit, in words."""
    return words(name, _unit(name))


def described(message: Any) -> str:
    """The fields of a message that say something, in one line."""
    return ", ".join(
        shown(field.name, value)
        for field in fields(message)
        if (value := getattr(message, field.name)) not in (None, ())
    )


def _unit(name: str) -> str:
    if name.endswith("_at"):
        return "_at"
    return next((unit for unit in (*_FRACTIONS, *_UNITS) if name.endswith(unit)), "")


def _value(name: str, unit: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int):
        return _number(name, unit, value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return _several(name, unit, value)
    if is_dataclass(value):
        return f"({described(value)})"
    return str(value)


def _number(name: str, unit: str, value: int) -> str:
    if unit == "_at" or name in _TIMES:
        return utc(value)
    if unit in _FRACTIONS:
        digits, behind = _FRACTIONS[unit]
        return f"{decimal(value, digits)}{behind}"
    return f"{value:,}{_UNITS.get(unit, '')}"


def _several(name: str, unit: str, values: Iterable[Any]) -> str:
    items = list(values)
    shown_items = items[: _SHOWN_MESSAGES if items and is_dataclass(items[0]) else _SHOWN]
    more = f", … {len(items):,} in all" if len(items) > len(shown_items) else ""
    return f"[{', '.join(_value(name, unit, item) for item in shown_items)}{more}]"
