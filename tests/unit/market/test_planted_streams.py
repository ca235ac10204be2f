"""Every mistake planted in a stream is reached and seen by the days named for it (table in `docs/market.md`)."""

from collections.abc import Callable

import pytest

from tests.unit.market.plants import Soil
from tests.unit.market.stream_plants import PLANTED
from tests.unit.market.test_call_days import WORLDS, call_day
from tests.unit.market.test_capability_days import capability_day
from tests.unit.market.test_credit_days import ledger_day
from tests.unit.market.test_enquiry_days import enquiry_day
from tests.unit.market.test_listing_days import listing_day
from tests.unit.market.test_mandate_days import mandate_day
from tests.unit.market.test_planted import BOOK
from tests.unit.market.test_product_days import product_day
from tests.unit.market.test_restarts import test_a_restart_at_any_event_changes_nothing as restarts

DAYS = 40
"""At most: the first of them that sees it is enough."""

CHECKS: dict[str, Callable[[int], object]] = {
    "call days": lambda seed: [call_day(world, seed) for world in WORLDS],
    "listing days": listing_day,
    "capability days": capability_day,
    "product days": product_day,
    "credit days": lambda seed: ledger_day(seed, False),
    "enquiry days": enquiry_day,
    "mandate days": mandate_day,
    "restarts": lambda seed: restarts(seed, False),
}


def _lived(check: str) -> None:
    for seed in range(DAYS):
        CHECKS[check](seed)


@pytest.mark.parametrize("name", PLANTED)
def test_a_mistake_planted_in_a_stream_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    soil = Soil(monkeypatch)
    PLANTED[name].plant(soil)
    with pytest.raises((AssertionError, KeyError)):
        _lived(PLANTED[name].seen_by)
    assert soil.reached, "planted where nobody comes by"


def test_every_mistake_planted_in_a_stream_stands_in_the_table() -> None:
    text = BOOK.read_text()
    rows = [f"| `{name}` | {plant.seen_by} |" for name, plant in PLANTED.items()]
    assert [row for row in rows if row not in text] == []
