"""How a wish is refused: the rule, where it draws the line, what was found, and whom it is told."""

from typing import Any, NamedTuple

from schemas.market.events import CommandRefused
from schemas.market.reasons import MarketRefusal


class Refusal(NamedTuple):
    """Which rule is broken, where it draws the line and what was found (0 where there is no number)."""

    reason: MarketRefusal
    limit: int = 0
    found: int = 0


def refused(wish: Any, subject: str, party: str, refusal: Refusal) -> list[Any]:
    """The answer to a wish about `subject` of a `party`; nothing else changes."""
    return [CommandRefused(type(wish).__name__, subject, party, *refusal)]
