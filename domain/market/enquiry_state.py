"""The enquiries of a market: open ones with their offers, ended ones until their delivery is settled."""

from collections.abc import Container
from dataclasses import dataclass, field
from enum import Enum

from schemas.market.enquiry_events import EnquiryEnd, EnquiryOpened
from schemas.market.events import RuleSet


class Stage(Enum):
    """Whose move it is: sellers offer, the enquirer answers a combination, sellers answer a counter-offer."""

    OFFERS = "offers"
    ON_THE_TABLE = "on_the_table"
    COUNTERED = "countered"


@dataclass(slots=True)
class Offer:
    """A seller's part of what is asked, reserved at its price.

    `sold_pico_per_wh` is what a Wh of it counts in the credit rule.
    """

    offer: str
    sequence: int
    seller: str
    connection: str
    quantity_wh: tuple[int, ...]
    price_nano_per_kwh: int
    sold_pico_per_wh: int
    zone: str


@dataclass(slots=True)
class Enquiry:
    """What a party asks for and what it was offered.

    `table` are the offers of the combination on the table; of those dearer than the counter-offer, `awaited` have not
    answered yet. `complete` says that the whole amount was reached, `limit_nano_per_kwh` is the last price that the
    enquirer named. `deadline_at` ends the stage;
    `deadline` is its number.
    """

    opened: EnquiryOpened
    deadline_at: int
    limit_nano_per_kwh: int
    rules: RuleSet
    deadline: int = 0
    stage: Stage = Stage.OFFERS
    made: int = 0
    round: int = 0
    offers: dict[str, Offer] = field(default_factory=dict)
    table: tuple[str, ...] = ()
    complete: bool = False
    awaited: set[str] = field(default_factory=set)
    ended: EnquiryEnd | None = None


@dataclass(slots=True)
class Enquiries:
    """By their ids; `deadlines` counts the deadlines that were ever set, several of them for each enquiry."""

    deadlines: int = 0
    known: dict[str, Enquiry] = field(default_factory=dict)

    def forget_settled(self, instruments: Container[tuple[int, int]]) -> None:
        """Of an ended enquiry whose first delivery is forgotten nobody needs anything."""
        for enquiry in [found for found in self.known.values() if found.ended is not None]:
            opened = enquiry.opened
            if (opened.first_start_at, opened.interval_min) not in instruments:
                del self.known[opened.enquiry]
