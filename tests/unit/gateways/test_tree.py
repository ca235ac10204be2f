"""An explanation in the terminal: figures by the unit in their name."""

from rich.console import Console

from gateways.tree import as_tree
from projections.explained import ExplainNode, Position


def drawn(node: ExplainNode) -> str:
    console = Console(width=400, record=True, force_terminal=False)
    console.print(as_tree(node))
    return console.export_text()


def test_figures_are_shown_in_their_units() -> None:
    figures = {
        "energy_wh": 1_234,
        "price_nano_per_kwh": 83_000_000,
        "sum_pico": -14_061_000_000,
        "amount_micro": -4_731,
        "amount_minor": 105,
        "minor_digits": 2,
        "first_start_at": 1_466_523_900_000_000,
        "cutoff_tick": 301,
    }
    text = drawn(
        ExplainNode(title="line 1 [x]", what="What it is.", figures=figures, position=Position("market", 0, 7, 3))
    )
    assert "line 1 [x]: What it is." in text
    assert "energy 1,234 Wh, price 0.083 per kWh, sum -0.014061, amount -0.004731, amount 1.05" in text
    assert "first start 2016-06-21 15:45 UTC, cutoff tick 301" in text
    assert "(market/0 seq 7, tick 3)" in text


def test_a_price_of_nothing_is_left_out_and_minor_units_without_digits_stay_whole() -> None:
    text = drawn(
        ExplainNode(title="t", what="w.", figures={"price_nano_per_kwh": 0, "amount_minor": 80, "minor_digits": 0})
    )
    assert "price" not in text
    assert "amount 80" in text
