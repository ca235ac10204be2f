"""Parts of a market's rule set that come together or not at all."""

from schemas.message import value
from schemas.values import AmountMicro, Count, FeeNanoPerKwh, Id, Minutes, Name, Ppm, PriceNanoPerKwh


@value
class Line:
    """A connection between two zones; what crosses it counts per settlement interval. Lines close no ring."""

    line: Id
    from_zone: Id
    to_zone: Id


@value
class NetworkRules:
    """The zones beside the market's home zone, and the lines between them (a tree: one way between any two)."""

    zones: tuple[Id, ...]
    lines: tuple[Line, ...]


@value
class TradingRules:
    """What continuous trading may do beside the plain rules; 0 turns a band off.

    Instruments of `durations_min` are listed beside those of the settlement interval. The reference price is the
    instrument's last trade, before the first one `reference_price_nano_per_kwh`. A limit further than `collar` from it
    on the dear side is refused; a match further than `execution_band` ends the order; a match further than `halt_band`
    halts the book for `halt_min` and ends the halt in a call auction (domain rules §1.1 rule 10).
    """

    durations_min: tuple[Minutes, ...]
    reference_price_nano_per_kwh: PriceNanoPerKwh
    collar_nano_per_kwh: Count
    execution_band_nano_per_kwh: Count
    halt_band_nano_per_kwh: Count
    halt_min: Count
    manifest_error_min: Count


@value
class ContractRules:
    """What contracts name beside their price and how they are settled, and what leaving one costs.

    `baseline_method` measures a reduction that is sold. A deviation within `tolerance_ppm` of the contracted
    quantity costs nothing, beyond it `penalty_ppm` of the price. Who cancels a contract alone owes the other
    side `cancellation_fee_nano_per_kwh` of what was contracted.
    """

    baseline_method: Name | None
    tolerance_ppm: Ppm
    penalty_ppm: Count
    cancellation_fee_nano_per_kwh: FeeNanoPerKwh


@value
class CreditRules:
    """What purchases cost on top of their price, and what happens to who is exposed beyond the limit.

    A bought Wh costs its price and the fee, and `tax_ppm` of both. Who is above the limit has `margin_deadline_min`
    to come back (0: nobody is called); then undelivered contracts end at the close-out price. The operator's
    fund bears up to `default_fund_micro` of what a default costs.
    """

    fee_nano_per_kwh: FeeNanoPerKwh
    tax_ppm: Ppm
    margin_deadline_min: Count
    close_out_price_nano_per_kwh: PriceNanoPerKwh
    default_fund_micro: AmountMicro


@value
class NegotiationRules:
    """How long each side has to answer, how often an enquirer may counter, and what a lapse or a no costs.

    Without them an answer has the approval deadline, nobody counters and a lapse is free.
    """

    answer_min: Minutes
    rounds: Count
    lapse_fee_micro: Count
