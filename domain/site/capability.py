"""The capability account of a site: what its verified resources can do, and who may use how much of it.

Limits over several markets and programmes are split here, so that each of them can check its own part
alone.
"""

from dataclasses import dataclass, field

from schemas.site.events import AllotmentPurpose
from schemas.values import ResourceType

Beneficiary = tuple[AllotmentPurpose, str]
"""A market or a programme, by its id."""


@dataclass(frozen=True, slots=True)
class Capability:
    """Power that the site can inject into the grid, or by which it can reduce its withdrawal (W)."""

    injection_w: int
    reduction_w: int


@dataclass(slots=True)
class CapabilityAccount:
    """Verified power by type of resource, and the allotments out of it."""

    connection_w: int
    verified_w: dict[ResourceType, int] = field(default_factory=dict)
    allotments: dict[Beneficiary, Capability] = field(default_factory=dict)

    @property
    def capability(self) -> Capability:
        """What the verified resources can do, never more than the connection carries.

        Generation and storage inject; loads and storage reduce.
        """
        generation = self.verified_w.get(ResourceType.GENERATION, 0)
        storage = self.verified_w.get(ResourceType.STORAGE, 0)
        load = self.verified_w.get(ResourceType.LOAD, 0)
        return Capability(
            injection_w=min(self.connection_w, generation + storage),
            reduction_w=min(self.connection_w, load + storage),
        )

    def allotted_with(self, beneficiary: Beneficiary, wished: Capability) -> Capability:
        """The sum of all allotments if `wished` replaced what the beneficiary has now."""
        kept = [held for other, held in self.allotments.items() if other != beneficiary]
        return Capability(
            injection_w=sum(held.injection_w for held in kept) + wished.injection_w,
            reduction_w=sum(held.reduction_w for held in kept) + wished.reduction_w,
        )

    def verify(self, type_: ResourceType, power_w: int) -> None:
        """Adds the verified power of one more resource."""
        self.verified_w[type_] = self.verified_w.get(type_, 0) + power_w

    def allot(self, beneficiary: Beneficiary, granted: Capability) -> None:
        """Replaces what the beneficiary has."""
        self.allotments[beneficiary] = granted
