"""What an electrical rating allows: voltage × current × power factor, × √3 for three phases (domain rules §2)."""

from math import isqrt
from typing import Final

from schemas.equipment import ElectricalRating, Phases

# mV × mA is 10⁻⁶ W, and the power factor is told in 10⁻⁶.
_PER_WATT: Final = 10**12


def allowed_power_w(rating: ElectricalRating) -> int:
    """The largest whole power (W) that the rating carries; exact, rounded down."""
    product = rating.voltage_mv * rating.current_ma * rating.power_factor_ppm
    if rating.phases is Phases.THREE:
        return isqrt(3 * product * product) // _PER_WATT
    return product // _PER_WATT
