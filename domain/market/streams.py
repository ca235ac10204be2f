"""The streams of a market: each is a module with its wishes, its facts, and what time does to it.

A stream's module has `OUTCOMES` (its wishes with the facts that answer them), `decide(state, command, now)`, `FACTS`
(the facts that it applies), `apply(state, fact)` and `TIMED` (its kinds of timers). Each wish, fact and kind belongs to
exactly one stream; a new stream is a line in `STREAMS`. Orders have no module here: every order passes through
`decider` and `evolution` directly.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from domain.market import (
    administration,
    allotting,
    amending,
    auctions,
    block_orders,
    contracts,
    credit,
    enquiries,
    gates,
    information,
    listings,
    mandates,
    negotiation,
    outlets,
    phases,
    products,
    surveillance,
)
from domain.market.state import Market
from domain.market.timers import Timed
from schemas.envelope import Command, Moment

Decide = Callable[[Market, Command[Any], Moment], list[Any]]
Apply = Callable[[Market, Any], None]


class Stream(NamedTuple):
    """What the market knows of a stream; without `apply` its facts are those of orders."""

    outcomes: Mapping[type, tuple[type, ...]]
    decide: Decide
    facts: tuple[type, ...]
    apply: Apply | None
    timed: Mapping[int, Timed]


STREAMS: Final[tuple[Stream, ...]] = (
    Stream(
        administration.OUTCOMES, administration.decide, administration.FACTS, administration.apply, administration.TIMED
    ),
    Stream(phases.OUTCOMES, phases.decide, phases.FACTS, phases.apply, phases.TIMED),
    Stream(auctions.OUTCOMES, auctions.decide, auctions.FACTS, auctions.apply, auctions.TIMED),
    Stream(amending.OUTCOMES, amending.decide, (), None, {}),
    Stream(block_orders.OUTCOMES, block_orders.decide, block_orders.FACTS, block_orders.apply, block_orders.TIMED),
    Stream(allotting.OUTCOMES, allotting.decide, allotting.FACTS, allotting.apply, {}),
    Stream(products.OUTCOMES, products.decide, products.FACTS, products.apply, products.TIMED),
    Stream(negotiation.OUTCOMES, negotiation.decide, negotiation.FACTS, negotiation.apply, negotiation.TIMED),
    Stream(listings.OUTCOMES, listings.decide, listings.FACTS, listings.apply, listings.TIMED),
    Stream(contracts.OUTCOMES, contracts.decide, contracts.FACTS, contracts.apply, contracts.TIMED),
    Stream(credit.OUTCOMES, credit.decide, credit.FACTS, credit.apply, credit.TIMED),
    Stream(outlets.OUTCOMES, outlets.decide, outlets.FACTS, outlets.apply, outlets.TIMED),
    Stream(enquiries.OUTCOMES, enquiries.decide, enquiries.FACTS, enquiries.apply, enquiries.TIMED),
    Stream(mandates.OUTCOMES, mandates.decide, mandates.FACTS, mandates.apply, {}),
    Stream(information.OUTCOMES, information.decide, information.FACTS, information.apply, {}),
    Stream(surveillance.OUTCOMES, surveillance.decide, surveillance.FACTS, surveillance.apply, {}),
)

DECIDES: Final[dict[type, Decide]] = {wish: stream.decide for stream in STREAMS for wish in stream.outcomes}
APPLIES: Final[dict[type, Apply]] = {fact: stream.apply for stream in STREAMS if stream.apply for fact in stream.facts}
TIMED: Final[dict[int, Timed]] = {
    **gates.TIMED,
    **{kind: timed for stream in STREAMS for kind, timed in stream.timed.items()},
}
