"""What a settlement line is called and worth: for the calculation that proposes it and the decider that checks it."""

from collections.abc import Mapping

from domain.identity import derived_id
from domain.rounding import half_up
from schemas.settlement.events import LineKind

PRICED_BY_TARIFF = "tariff"
"""The reference of a residual or surplus line that its counterparty's tariff prices."""

WITHDRAWALS = frozenset({LineKind.SHARED_CONSUMPTION, LineKind.DELIVERED_PURCHASE, LineKind.RESIDUAL})
INJECTIONS = frozenset({LineKind.SHARED_PRODUCTION, LineKind.DELIVERED_SALE, LineKind.SURPLUS})
RESTS = frozenset({LineKind.RESIDUAL, LineKind.SURPLUS})
SHARED = frozenset({LineKind.SHARED_CONSUMPTION, LineKind.SHARED_PRODUCTION})
DELIVERED = frozenset({LineKind.DELIVERED_PURCHASE, LineKind.DELIVERED_SALE})
CARRIED = DELIVERED | {LineKind.TRANSIT}
CONTRACTED = CARRIED | {LineKind.PRICE_DIFFERENCE}

SIGN: Mapping[LineKind, int] = {
    LineKind.SHARED_CONSUMPTION: -1,
    LineKind.DELIVERED_PURCHASE: -1,
    LineKind.SHARED_PRODUCTION: 1,
    LineKind.DELIVERED_SALE: 1,
    LineKind.RESPONSE: 1,
    LineKind.TRANSIT: 1,
    LineKind.PRICE_DIFFERENCE: 1,
}
"""Whether the party of a priced line receives (+) or pays (-) at a positive price, for energy above 0."""

_PICO_PER_MICRO = 1_000_000
_MICRO_POINTS_PER_WH = 1_000  # of a rate of one point per kWh


def line_id(
    from_at: int, kind: LineKind, connection: str, party: str, counterparty: str, reference: str, price: int
) -> str:
    """The line's name in every run of the period that begins at `from_at`.

    Whatever may differ between two lines of a run is in it: another customer, supplier or price makes
    another line, so that a correction takes the old one back from whom it was posted to.
    """
    return derived_id("settlement.line", from_at, kind, connection, party, counterparty, reference, price)


def priced_micro(kind: LineKind, price_nano_per_kwh: int, settled_wh: int) -> int:
    """The amount of a priced line in 10⁻⁶ units: price x energy, rounded once, half away from zero."""
    return half_up(SIGN[kind] * price_nano_per_kwh * settled_wh, _PICO_PER_MICRO)


def difference_micro(seller_price_nano_per_kwh: int, difference_nano_per_kwh: int, settled_wh: int) -> int:
    """What a buyer's and a seller's amounts, each rounded by itself, leave to the operator, in 10⁻⁶ units.

    It is price difference × energy to 10⁻⁶.
    """
    kind = LineKind.PRICE_DIFFERENCE
    paid = priced_micro(kind, seller_price_nano_per_kwh + difference_nano_per_kwh, settled_wh)
    return paid - priced_micro(kind, seller_price_nano_per_kwh, settled_wh)


def points_micro(kind: LineKind, points_per_kwh: int, settled_wh: int) -> int:
    """Energy points in 10⁻⁶: the consumer or buyer gives (-), the producer or seller gains (+). Exact.

    The operator's transit gains them for a seller outside and gives them for a buyer outside.
    """
    return SIGN[kind] * points_per_kwh * settled_wh * _MICRO_POINTS_PER_WH
