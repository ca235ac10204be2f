"""How the story says energies, prices and amounts."""


def kwh(energy_wh: int) -> str:
    """Energy in kWh."""
    return f"{energy_wh // 1000:,}.{energy_wh % 1000:03} kWh" if energy_wh >= 0 else f"-{kwh(-energy_wh)}"


def cent(price_nano_perkwh: int) -> str:
    """A price in cents per kWh."""
    tenths = price_nano_perkwh // 1_000_000
    return f"{tenths // 10}.{tenths % 10} ct/kWh"


def money(amount: int, digits: int, currency: str) -> str:
    """An amount that has `digits` decimals, with two of them."""
    whole, rest = divmod(abs(amount), 10**digits)
    cents = f"{rest:0{digits}}"[:2] if digits > 2 else f"{rest:0{digits}}"
    return f"{'-' if amount < 0 else ''}{whole:,}.{cents} {currency}"
