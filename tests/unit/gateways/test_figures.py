"""Numbers, messages and states as people read them."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console

from gateways.figures import described, shown, utc
from gateways.state_tree import state_tree
from schemas.log.events import SetAsideReason
from schemas.market.events import Restriction
from schemas.meter.commands import RecordReadings
from schemas.meter.events import Quality
from schemas.values import Direction

AT = 1_466_523_900_000_000


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("quantity_wh", 1_234, "quantity 1,234 Wh"),
        ("connection_w", 30_000, "connection 30,000 W"),
        ("limit_price_nano_per_kwh", 83_000_000, "limit price 0.083 per kWh"),
        ("exposure_pico_per_wh", 400_000_000, "exposure 0.0004 per Wh"),
        ("amount_micro", -4_731, "amount -0.004731"),
        ("amount_minor", 105, "amount 105 minor units"),
        ("vat_ppm", 190_000, "vat 190,000 ppm"),
        ("interval_min", 15, "interval 15 min"),
        ("term_days", 3, "term 3 days"),
        ("start_at", AT, "start 2016-06-21T15:45:00Z"),
        ("valid_from", AT + 1_500_000, "valid from 2016-06-21T15:45:01.5Z"),
        ("energy_wh", (1, 2), "energy [1 Wh, 2 Wh]"),
        ("energy_wh", tuple(range(10)), "energy [0 Wh, 1 Wh, 2 Wh, 3 Wh, 4 Wh, 5 Wh, 6 Wh, 7 Wh, … 10 in all]"),
        ("restriction", Restriction.IOC, f"restriction {Restriction.IOC.value}"),
        ("closed", False, "closed no"),
        ("expires_at", None, "expires none"),
        ("digest", b"\x01\xff", "digest 01ff"),
        ("party", "[/red]", "party [/red]"),
    ],
)
def test_a_field_is_shown_in_the_unit_of_its_name(name: str, value: Any, expected: str) -> None:
    assert shown(name, value) == expected


@pytest.mark.parametrize(("at", "expected"), [(0, "1970-01-01T00:00:00Z"), (-1, "-1 µs"), (10**18, f"{10**18:,} µs")])
def test_what_is_no_time_is_shown_as_the_number_it_is(at: int, expected: str) -> None:
    assert utc(at) == expected


def test_a_message_is_described_in_one_line() -> None:
    body = RecordReadings("head-end", "b1", Direction.EXPORT_TO_GRID, AT, 15, Quality.VALID, (5, 0))
    assert described(body) == (
        "source head-end, batch b1, direction export_to_grid, start 2016-06-21T15:45:00Z, interval 15 min,"
        " quality valid, energy [5 Wh, 0 Wh]"
    )


@dataclass(slots=True)
class Part:
    rest_wh: int
    limit_price_nano_per_kwh: int


@dataclass(slots=True)
class State:
    key: str
    parts: dict[int, Part] = field(default_factory=dict)
    used_wh: dict[str, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    periods: set[tuple[int, int]] = field(default_factory=set)
    reasons: list[SetAsideReason] = field(default_factory=list)
    nothing: dict[str, int] = field(default_factory=dict)
    _hidden: int = 7


class Slotted:
    __slots__ = ("_cache", "energy_wh", "unset")

    def __init__(self) -> None:
        self.energy_wh, self._cache = 3, object()


def drawn(state: Any) -> list[str]:
    console = Console(width=200, record=True, force_terminal=False)
    console.print(state_tree("state", state))
    return [line.strip("│├└─ ") for line in console.export_text().splitlines() if line.strip()]


def test_a_state_is_drawn_by_the_names_of_its_fields() -> None:
    state = State(
        "[/bold]",
        {AT: Part(5, 83_000_000)},
        {"c1": -100},
        {"b", "a"},
        {(AT, AT + 60_000_000)},
        [SetAsideReason.EXPIRED],
    )
    assert drawn(state) == [
        "state",
        "key [/bold]",
        "parts",
        "2016-06-21T15:45:00Z",
        "rest 5 Wh",
        "limit price 0.083 per kWh",
        "used",
        "c1 -100 Wh",
        "names",
        "· a",
        "· b",
        "periods",
        "· [2016-06-21T15:45:00Z, 2016-06-21T15:46:00Z]",
        "reasons [expired]",
        "nothing empty",
    ]


def test_a_class_with_slots_is_drawn_too() -> None:
    assert drawn(Slotted()) == ["state", "energy 3 Wh"]


def test_large_collections_are_counted_and_depth_ends() -> None:
    many = drawn({f"k{n}": n for n in range(60)})
    assert len(many) == 52
    assert many[-1] == "… and 10 more"
    deep: Any = []
    deep.append({"again": deep})
    assert drawn(deep)[-1].endswith("…")
