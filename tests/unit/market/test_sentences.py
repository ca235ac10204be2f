"""Everybody who is refused, or whose order leaves the book, is told why in a sentence with the numbers."""

import ast
from pathlib import Path

import pytest

import domain.market
from projections.market.sentences import (
    CANCELLATIONS,
    REFUSALS,
    cancellation_said,
    count,
    money,
    price,
    refusal_said,
    time_utc,
)
from schemas.market.events import CancelReason, CommandRefused, MarketRefusal
from schemas.values import INT64_MAX
from tests.unit.given import only
from tests.unit.market.test_golden_day import day
from tests.unit.market.world import NOON


def with_numbers() -> set[MarketRefusal]:
    """The refusals that some rule of the market gives with a limit or something found."""
    found = set()
    for path in Path(domain.market.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                reason, numbers = node.args[0], node.args[1:]
                named = isinstance(reason, ast.Attribute) and isinstance(reason.value, ast.Name)
                if numbers and named and reason.value.id == "MarketRefusal":  # type: ignore[attr-defined]
                    found.add(MarketRefusal[reason.attr])  # type: ignore[attr-defined]
    return found


def test_every_refusal_has_a_sentence() -> None:
    missing = [reason.name for reason in MarketRefusal if reason not in REFUSALS]
    assert not missing, f"add a unit and a sentence for {missing} to REFUSALS of projections/market/sentences.py"


def test_every_cancellation_has_a_sentence() -> None:
    missing = [reason.name for reason in CancelReason if reason not in CANCELLATIONS]
    assert not missing, f"add a sentence for {missing} to CANCELLATIONS of projections/market/sentences.py"
    assert cancellation_said(CancelReason.GATE_CLOSED) == "The gate of its delivery closed."


@pytest.mark.parametrize("reason", sorted(with_numbers()))
def test_a_rule_with_numbers_says_what_was_found(reason: MarketRefusal) -> None:
    assert "{found}" in REFUSALS[reason][1], f"name {{found}}, and {{limit}} if there is one, for {reason.name}"


def test_the_scan_sees_rules_with_numbers() -> None:
    assert len(with_numbers()) > 30


@pytest.mark.parametrize("reason", list(MarketRefusal))
def test_nothing_stays_open_in_a_sentence(reason: MarketRefusal) -> None:
    said = refusal_said("SubmitOrder", reason, 7, 8)
    assert "{limit}" not in said
    assert "{found}" not in said
    assert said[0].isupper()
    assert said.endswith(".")


def test_refusals_of_a_day_name_their_numbers() -> None:
    refused = only(day().facts, CommandRefused)
    assert refused
    for fact in refused:
        unit, text = REFUSALS[fact.reason]
        said = refusal_said(fact.command, fact.reason, fact.limit, fact.found)
        for place, number in (("{limit}", fact.limit), ("{found}", fact.found)):
            assert number == 0 or place in text or fact.reason in (MarketRefusal.RESTRICTION_NOT_IN_CALL,), fact
            if place in text and "lots" not in said:
                assert unit(number) in said


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (price(-10_000_001), "-0.010000001 {currency} per kWh"),
        (price(250_000_000), "0.25 {currency} per kWh"),
        (price(10**9), "1.00 {currency} per kWh"),
        (money(1_234_567), "1.234567 {currency}"),
        (money(-10), "-0.00001 {currency}"),
        (money(INT64_MAX), "more than 9223372036854.775807 {currency}"),
        (time_utc(NOON), "2026-01-01 12:00 UTC"),
        (time_utc(NOON + 1_500_000), "2026-01-01 12:00:01.500000 UTC"),
        (time_utc(INT64_MAX), "9223372036854775807 µs after 1970"),
        (count(-3), "-3"),
        (
            refusal_said("SubmitOrder", MarketRefusal.QUANTITY_OFF_LOT, 100, 150),
            "A quantity is a multiple of 100 Wh, found 150 Wh: round it to the lot.",
        ),
        (
            refusal_said("PlaceBid", MarketRefusal.QUANTITY_ABOVE_MAXIMUM, 4, 5),
            "A quantity is at most 4 lots, found 5 lots: send less, or in parts.",
        ),
        (
            refusal_said("OpenSession", MarketRefusal.SESSION_OFF_GRID, 15 * 60_000_000, NOON + 60_000_000),
            "It does not fit the market's grid of 15 min, found 2026-01-01 12:01 UTC: choose times that do.",
        ),
    ],
)
def test_numbers_are_exact_and_wear_their_units(said: str, expected: str) -> None:
    assert said == expected
