"""Facts about outlets: off-taker contracts for metered output, and what is done with it elsewhere. Key: the market."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le

from schemas.message import event
from schemas.values import Currency, EnergyWh, Id, Minutes, PriceNanoPerKwh, Side, TimeUs

LossFactorPpm = Annotated[int, Ge(1), Le(2_000_000)]
"""What of a metered Wh is paid: below 10⁶ where energy is lost on the way, above it where losses are avoided."""


class OutletKind(StrEnum):
    """Through whom the output is sold: the utility's feed-in, or a broker at an exchange (Y.2072 8.1.7)."""

    UTILITY_FEED_IN = "utility_feed_in"
    WHOLESALE_BROKERAGE = "wholesale_brokerage"


class OutletEnding(StrEnum):
    """Why an outlet that was proposed did not come about."""

    REFUSED = "refused"
    LAPSED = "lapsed"


@event
class OutletProposed:
    """The off-taker would buy what the connections feed in during [from_at, to_at).

    A metered kWh is paid at (price of the `index` series + spread) × loss factor. `awaiting` approves it until
    `lapses_at`. It is settled from meters, so it takes no capability and no credit of the book.
    """

    market: Id
    outlet: Id
    kind: OutletKind
    proposer: Id
    awaiting: Id
    seller: Id
    off_taker: Id
    connections: tuple[Id, ...]
    from_at: TimeUs
    to_at: TimeUs
    currency: Currency
    index: Id
    spread_nano_per_kwh: PriceNanoPerKwh
    loss_factor_ppm: LossFactorPpm
    lapses_at: TimeUs


@event
class OutletConcluded:
    """The proposed outlet is agreed."""

    market: Id
    outlet: Id


@event
class OutletEnded:
    """The proposed outlet does not come about."""

    market: Id
    outlet: Id
    ending: OutletEnding


@event
class OutletNominated:
    """The off-taker announced to its system operator what the outlet will feed in, per interval."""

    market: Id
    outlet: Id
    nominator: Id
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]


@event
class ExternalTradeRecorded:
    """The off-taker traded energy of the outlet on another market (`venue`), under that one's `reference`."""

    market: Id
    outlet: Id
    trader: Id
    venue: Id
    reference: Id
    side: Side
    first_start_at: TimeUs
    interval_min: Minutes
    quantity_wh: tuple[EnergyWh, ...]
    currency: Currency
    price_nano_per_kwh: PriceNanoPerKwh
