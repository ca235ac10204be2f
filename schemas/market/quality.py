"""What a book may require of the energy that is sold in it (domain rules §2)."""

from schemas.equipment import EnergyCarrier
from schemas.message import value
from schemas.values import Count, Id, Ppm


@value
class QualityRules:
    """What orders to sell must be made of: they name a product of one of the carriers and zones (none: of any), with
    this availability and class at least."""

    carriers: tuple[EnergyCarrier, ...]
    zones: tuple[Id, ...]
    minimum_availability_ppm: Ppm
    minimum_class: Count
