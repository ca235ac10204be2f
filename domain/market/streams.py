"""The streams of a market: each is a module with its wishes, its facts, and what time does to it.

Each wish, fact and kind of timer belongs to exactly one stream; a new stream is a line in `STREAMS`. Orders are none:
every order passes through `decider` and `evolution` directly, and what is seldom wished of them is in `amending`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

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
    leaving,
    listings,
    mandates,
    negotiation,
    outlets,
    phases,
    products,
    session_auctions,
    session_blocks,
    surveillance,
)
from domain.market.state import Market
from domain.market.timers import Timed
from schemas.envelope import Command, Moment

Decide = Callable[[Market, Command[Any], Moment], list[Any]]
Apply = Callable[[Market, Any], None]


class Stream(Protocol):
    """What a stream's module has: its wishes with the facts that answer them, the facts that it applies, its timers."""

    @property
    def OUTCOMES(self) -> Mapping[type, tuple[type, ...]]: ...
    @property
    def FACTS(self) -> tuple[type, ...]: ...
    @property
    def TIMED(self) -> Mapping[int, Timed]: ...
    @property
    def decide(self) -> Decide: ...
    @property
    def apply(self) -> Apply: ...


STREAMS: Final[tuple[Stream, ...]] = (
    administration,
    phases,
    auctions,
    session_auctions,
    session_blocks,
    block_orders,
    allotting,
    products,
    negotiation,
    listings,
    contracts,
    credit,
    outlets,
    enquiries,
    mandates,
    information,
    surveillance,
)

DECIDES: Final[dict[type, Decide]] = {
    **dict.fromkeys(amending.OUTCOMES, amending.decide),
    **{wish: stream.decide for stream in STREAMS for wish in stream.OUTCOMES},
}
APPLIES: Final[dict[type, Apply]] = {fact: stream.apply for stream in STREAMS for fact in stream.FACTS}
TIMED: Final[dict[int, Timed]] = {
    **gates.TIMED,
    **leaving.TIMED,
    **{kind: timed for stream in STREAMS for kind, timed in stream.TIMED.items()},
}
