"""Imbalance of a connection with firm contracts: single price (domain rules §4.1). Injection is positive."""

from collections.abc import Iterable

from domain.rounding import half_up

_PICO_PER_MICRO = 1_000_000


def imbalance_wh(net_injection_wh: int, firm_position_wh: int, attributed_wh: int = 0) -> int:
    """E_imb = E_net - position: + is surplus, - is shortage.

    Args:
        net_injection_wh: metered export - import.
        firm_position_wh: sold - bought under firm contracts.
        attributed_wh: net injection that sharing and as-delivered contracts took of it; they promise
            nothing beforehand and cause no imbalance.
    """
    return net_injection_wh - firm_position_wh - attributed_wh


def cash_micro(energy_and_price: Iterable[tuple[int, int]]) -> int:
    """Cash to the party in 10⁻⁶ units: the sum of E_imb (Wh) x price (10⁻⁹ per kWh), rounded once, half up.

    One price whatever the sign: who is short pays it, who is long gets it.
    """
    return half_up(sum(energy * price for energy, price in energy_and_price), _PICO_PER_MICRO)
