"""Simple agents that bid for households. They see only days before the one they bid for, and say so.

A buyer wants what its connection drew at this time of day on the last working days, a seller offers
what it fed in on the last days. Prices differ by household, not by luck: every number here is a pure
function of earlier readings and of the household's id.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from schemas.market.commands import SubmitOrder
from schemas.market.events import Restriction
from schemas.values import MINUTE_US, Side

LOT_WH = 10
CENT_NANO = 10_000_000
"""One euro cent per kWh, in 10⁻⁹ euro."""

_BUYER_DAYS = 5
_SELLER_DAYS = 7
_FIRST_HOUR, _LAST_HOUR = 6, 21
_EARLY_ONE_IN, _IOC_ONE_IN, _FOK_ONE_IN = 2, 11, 13


@dataclass(frozen=True, slots=True)
class Household:
    """What an agent knows of its household: earlier days only, newest last, 96 values a day (Wh)."""

    party: str
    connection: str
    imports_wh: Sequence[Sequence[int]]
    exports_wh: Sequence[Sequence[int]]
    sells: bool


@dataclass(frozen=True, slots=True)
class Bid:
    """An order with the time at which the agent submits it."""

    submit_at: int
    command_id: str
    order: SubmitOrder


def chance(*parts: object) -> int:
    """A number that looks random and is a function of its parts; the same on every run."""
    digest = blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def bids(household: Household, day_start_at: int, tick_us: int) -> Iterator[Bid]:
    """The household's bids for a day, one per quarter-hour at most, each well before its gate closes."""
    for quarter in range(4 * _FIRST_HOUR, 4 * _LAST_HOUR):
        delivery = day_start_at + quarter * 15 * MINUTE_US
        if household.sells:
            found = _sell(household, quarter, delivery, tick_us)
        else:
            found = _buy(household, quarter, delivery, tick_us)
        if found is not None:
            yield found


def expected_wh(household: Household, quarter: int) -> int:
    """What the household is expected to have over (+) or to need (-) in a quarter-hour, in whole lots."""
    if household.sells:
        return _mean_wh(household.exports_wh, quarter, _SELLER_DAYS)
    return -_mean_wh(household.imports_wh, quarter, _BUYER_DAYS)


def _mean_wh(days: Sequence[Sequence[int]], quarter: int, count: int) -> int:
    recent = [day[quarter] for day in days[-count:]]
    return sum(recent) // len(recent) // LOT_WH * LOT_WH


def _buy(household: Household, quarter: int, delivery: int, tick_us: int) -> Bid | None:
    """Between 12 and 24 cent: dearer than feeding in, cheaper than the supplier.

    The early ones bid while the book collects for its opening auction, the others later and continuously.
    """
    wanted = -expected_wh(household, quarter)
    if not wanted:
        return None
    limit = 12 * CENT_NANO + chance(household.party, "limit", quarter) % 121 * CENT_NANO // 10
    draw = chance(household.party, "kind", quarter)
    early = chance(household.party, "early") % _EARLY_ONE_IN == 0
    restriction = Restriction.NONE
    if early:
        lead = 19 + chance(household.party, "lead") % 5
    else:
        lead = 6 + chance(household.party, "lead") % 10
        if draw % _IOC_ONE_IN == 0:
            restriction = Restriction.IOC
        elif draw % _FOK_ONE_IN == 0:
            restriction = Restriction.FOK
    return _bid(household, Side.BUY, delivery, lead * tick_us, wanted, limit, restriction)


def _sell(household: Household, quarter: int, delivery: int, tick_us: int) -> Bid | None:
    """Between 8 and 14 cent: more than the off-taker pays."""
    offered = expected_wh(household, quarter)
    if not offered:
        return None
    limit = 8 * CENT_NANO + chance(household.party, "limit", quarter) % 61 * CENT_NANO // 10
    lead = 24 + chance(household.party, "lead") % 6
    return _bid(household, Side.SELL, delivery, lead * tick_us, offered, limit, Restriction.NONE)


def _bid(
    household: Household,
    side: Side,
    delivery: int,
    lead_us: int,
    quantity_wh: int,
    limit: int,
    restriction: Restriction,
) -> Bid:
    order = SubmitOrder(
        party=household.party,
        connection=household.connection,
        delivery_start_at=delivery,
        side=side,
        quantity_wh=quantity_wh,
        limit_price_nano_per_kwh=limit,
        restriction=restriction,
        expires_at=None,
    )
    return Bid(delivery - lead_us, f"{household.party}/{side}/{delivery}", order)


def responded_wh(party: str, consumption_wh: int) -> int:
    """What a household that follows a demand-response event still consumes: 55 to 75 % of what it would have.

    The response of the demo's households is simulated by this rule; everything before the event is measured.
    """
    return consumption_wh * (55 + chance(party, "response") % 21) // 100
