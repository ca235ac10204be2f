"""What is told of equipment and of its stored energy: the attributes of Y.2072 8.2.1, the same in every family."""

from enum import StrEnum

from schemas.message import value
from schemas.values import CurrentMa, EnergyWh, Id, PowerW, Ppm, ResourceType, TimeUs, VoltageMv


class EnergyCarrier(StrEnum):
    """What the energy is made from. Storage is `mixed` where it also charges from the grid."""

    UNSPECIFIED = "unspecified"
    SOLAR = "solar"
    WIND = "wind"
    HYDRO = "hydro"
    GEOTHERMAL = "geothermal"
    BIOMASS = "biomass"
    BIOGAS = "biogas"
    HYDROGEN = "hydrogen"
    NATURAL_GAS = "natural_gas"
    MIXED = "mixed"


class Characteristic(StrEnum):
    """How equipment behaves and who may control it (Y.2072: resource characteristics)."""

    INTERMITTENT = "intermittent"
    DISPATCHABLE = "dispatchable"
    CONTROLLED_BY_GRID_OPERATOR = "controlled_by_grid_operator"
    CONTROLLED_BY_MARKETER = "controlled_by_marketer"
    BLACK_START = "black_start"
    ISLANDING = "islanding"
    PREQUALIFIED_FOR_RESERVES = "prequalified_for_reserves"


class Phases(StrEnum):
    """How many conductors carry the current."""

    SINGLE = "single"
    THREE = "three"


@value
class ElectricalRating:
    """Rated voltage (three-phase: between the conductors), current of one conductor, and power factor."""

    voltage_mv: VoltageMv
    current_ma: CurrentMa
    power_factor_ppm: Ppm
    phases: Phases


@value
class StorageRating:
    """What storage gives back: `usable_wh` of its capacity, `discharge_efficiency_ppm` of each Wh taken out of it.

    Of each Wh that charges it, with `max_charge_w` at most, `charge_efficiency_ppm` is stored.
    """

    usable_wh: EnergyWh
    discharge_efficiency_ppm: Ppm
    charge_efficiency_ppm: Ppm
    max_charge_w: PowerW


@value
class Equipment:
    """A verified resource as those know it who may use it: what was found, not what was claimed."""

    resource: Id
    type: ResourceType
    power_w: PowerW
    carrier: EnergyCarrier
    characteristics: tuple[Characteristic, ...]
    electrical: ElectricalRating | None
    storage: StorageRating | None


@value
class StoredEnergy:
    """What may be sold out of storage from `stored_at` on: `stored_wh` are in it then, it never holds more than
    `usable_wh`. Sales up to `generation_w` come from generation and leave it alone.
    """

    stored_at: TimeUs
    stored_wh: EnergyWh
    usable_wh: EnergyWh
    discharge_efficiency_ppm: Ppm
    charge_efficiency_ppm: Ppm
    max_charge_w: PowerW
    generation_w: PowerW
