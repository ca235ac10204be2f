"""What the clearing of a call auction reads: the frozen book, as of the fact behind its last slice."""

from collections.abc import Mapping
from typing import Any

from projections.view import Question
from schemas.envelope import Recorded
from schemas.market.auction_events import AuctionStarted

INPUTS: Mapping[str, Question] = {
    "book": Question(
        "auction_book",
        "SELECT first, orders, sides, limit_prices_nano_per_kwh, rests_wh, zones FROM auction_books"
        " WHERE auction = %(auction)s ORDER BY first",
        ("auction",),
    ),
}


def parameters(fact: Recorded[AuctionStarted]) -> Mapping[str, Any]:
    """The auction; all of its book stands before the fact."""
    return {"auction": fact.body.auction}
