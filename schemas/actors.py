"""Prefixes of actors that no door lets through: who wishes from inside says which part of the platform it is."""

from typing import Final

POLICY: Final = "policy:"
CALCULATION: Final = "calc:"
LOG: Final = "log:"
CAUSED: Final = (POLICY, CALCULATION)
"""Their commands carry the fact that caused them."""

INSIDE: Final = (POLICY, CALCULATION, LOG)
