"""Every benchmark says its figures in the agreed form (run at their smallest by hand; here the form only)."""

import json

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figure import Figure


def test_a_figure_is_one_json_line_with_the_agreed_names() -> None:
    figure = Figure("kernel.orders", 1.0, "orders/s", "naive", 2.0, None, None)
    found = json.loads(figure.to_json())
    assert list(found) == ["name", "value", "unit", "against", "ratio", "target", "holds"]


def test_the_benchmarks_have_names() -> None:
    assert {"kernel", "message_class"} <= set(BENCHMARKS)
