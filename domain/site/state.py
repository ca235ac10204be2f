"""What is kept of one site: its connection, equipment, memberships and the account of its capability."""

from dataclasses import dataclass, field

from domain.site.capability import CapabilityAccount
from domain.site.sharing import Memberships
from schemas.equipment import Characteristic, ElectricalRating, EnergyCarrier, Equipment, StorageRating
from schemas.values import ResourceType


@dataclass(slots=True)
class Connection:
    """What later facts repeat of the registration."""

    customer: str
    zone: str
    metering_point: str
    interval_min: int


@dataclass(slots=True)
class Resource:
    """Equipment behind the connection; `verified_w` once its power was found."""

    type: ResourceType
    rated_power_w: int
    carrier: EnergyCarrier
    characteristics: tuple[Characteristic, ...]
    electrical: ElectricalRating | None
    storage: StorageRating | None
    verified_w: int | None = None


@dataclass(slots=True)
class Site:
    """State of one grid connection point; `connection` is none before its registration."""

    key: str
    connection: Connection | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    memberships: Memberships = field(default_factory=Memberships)
    account: CapabilityAccount = field(default_factory=lambda: CapabilityAccount(connection_w=0))

    def verified(self) -> tuple[Equipment, ...]:
        """The verified resources, by name, as those know them who may use them."""
        return tuple(
            Equipment(name, r.type, r.verified_w, r.carrier, r.characteristics, r.electrical, r.storage)
            for name, r in sorted(self.resources.items())
            if r.verified_w is not None
        )
