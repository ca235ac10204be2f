"""The capability account of a site: what its verified resources can do, and who may use how much of it when.

Limits over several markets and programmes are split here, so that each of them can check its own part
alone. In no settlement interval is more allotted than the site can do. What a market is asked to give
back counts until the market has answered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.site.timeline import NOTHING, Capability, Timeline, Window
from schemas.equipment import StorageRating, StoredEnergy
from schemas.site.events import AllotmentPurpose, AllotmentReductionRequested
from schemas.values import ResourceType

Beneficiary = tuple[AllotmentPurpose, str]
"""A market or a programme, by its id."""


class Excess(NamedTuple):
    """The first interval in which more would be allotted than there is: both sums, number by number."""

    limit: Capability
    found: Capability


@dataclass(slots=True)
class CapabilityAccount:
    """Verified power by type of resource, verified storage, the allotments and the requests that wait."""

    connection_w: int
    verified_w: dict[ResourceType, int] = field(default_factory=dict)
    storages: list[StorageRating] = field(default_factory=list)
    allotments: dict[Beneficiary, Timeline] = field(default_factory=dict)
    waiting: dict[Beneficiary, AllotmentReductionRequested] = field(default_factory=dict)

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
            stored_wh=sum(storage.usable_wh for storage in self.storages),
        )

    def held(self, beneficiary: Beneficiary) -> Timeline:
        """What the beneficiary has; nothing at any time before the first allotment."""
        return self.allotments.get(beneficiary) or Timeline()

    def lowers(self, beneficiary: Beneficiary, window: Window, wished: Capability, stored: bool) -> bool:
        """Whether a market that may sell something in the window would be left with less of anything.

        What storage adds is told anew each time, so two statements of it cannot be compared: the market does it.
        """
        timeline = self.held(beneficiary)
        held = [timeline.at(at) for at in timeline.steps_in(window)]
        return any(h.injection_w > wished.injection_w or (stored and h.injection_w) for h in held)

    def excess(self, beneficiary: Beneficiary, window: Window, wished: Capability) -> Excess | None:
        """Where the sum of all allotments would pass what there is, if the beneficiary had this in the window.

        Less than he has may be allotted at any time: more than there is may be allotted where equipment got worse.
        """
        timeline = self.held(beneficiary)
        if all(timeline.at(at).or_more(wished) == timeline.at(at) for at in timeline.steps_in(window)):
            return None
        limit = self.capability
        for others in self._others(beneficiary, window):
            found = _sum(others, wished)
            if found.or_more(limit) != limit:
                return Excess(limit, found)
        return None

    def stored(
        self, beneficiary: Beneficiary, window: Window, injection_w: int, wished_wh: int | None, now_at: int
    ) -> StoredEnergy:
        """What storage adds to a market's injection: what was wished, or all that nobody else has in the window.

        It begins with the window, not before now. Other allotments take generation first. Of several storages the
        worst efficiencies count: against the seller.
        """
        others = list(self._others(beneficiary, window))
        generation_w = min(self.connection_w, self.verified_w.get(ResourceType.GENERATION, 0))
        free_w = max(0, generation_w - max(other.injection_w for other in others))
        usable_wh = self.capability.stored_wh
        free_wh = max(0, usable_wh - max(other.stored_wh for other in others))
        stored_wh = free_wh if wished_wh is None else wished_wh
        return StoredEnergy(
            stored_at=max(window.from_at, now_at),
            stored_wh=stored_wh,
            usable_wh=max(free_wh, stored_wh),
            discharge_efficiency_ppm=min(storage.discharge_efficiency_ppm for storage in self.storages),
            charge_efficiency_ppm=min(storage.charge_efficiency_ppm for storage in self.storages),
            max_charge_w=sum(storage.max_charge_w for storage in self.storages),
            generation_w=min(injection_w, free_w),
        )

    def verify(self, type_: ResourceType, power_w: int, storage: StorageRating | None) -> None:
        """Adds the verified power of one more resource, or what has become of it."""
        self.verified_w[type_] = self.verified_w.get(type_, 0) + power_w
        if storage is not None:
            self.storages.append(storage)

    def allot(self, beneficiary: Beneficiary, window: Window, granted: Capability, over_at: int) -> None:
        """Replaces what the beneficiary has in the window; what ended at or before `over_at` is forgotten."""
        self.allotments.setdefault(beneficiary, Timeline()).put(window, granted, over_at)

    def _others(self, beneficiary: Beneficiary, window: Window) -> Iterator[Capability]:
        """What all others have together, at each time of the window at which it may be another."""
        others = [timeline for who, timeline in self.allotments.items() if who != beneficiary]
        requests = [request for who, request in self.waiting.items() if who != beneficiary]
        steps = {at for timeline in others for at in timeline.steps_in(window)} | {window.from_at}
        for request in requests:
            steps |= {at for at in _borders(request) if at is not None and _within(at, window)}
        for at in sorted(steps):
            total = NOTHING
            for who, timeline in self.allotments.items():
                if who != beneficiary:
                    total = _sum(total, self._counted(who, timeline, at))
            yield total

    def _counted(self, who: Beneficiary, timeline: Timeline, at: int) -> Capability:
        held, request = timeline.at(at), self.waiting.get(who)
        if request is None or not _within(at, window_of(request.valid_from, request.valid_to)):
            return held
        return held.or_more(granted(request.injection_w, request.reduction_w, request.stored))


def window_of(valid_from: int | None, valid_to: int | None) -> Window:
    """The window that a message tells by its two borders."""
    return Window(valid_from or 0, valid_to)


def granted(injection_w: int, reduction_w: int, stored: StoredEnergy | None) -> Capability:
    """What an allotment takes out of the account."""
    return Capability(injection_w, reduction_w, stored.stored_wh if stored else 0)


def _borders(request: AllotmentReductionRequested) -> tuple[int | None, int | None]:
    return request.valid_from, request.valid_to


def _within(at: int, window: Window) -> bool:
    return window.from_at <= at and (window.to_at is None or at < window.to_at)


def _sum(one: Capability, other: Capability) -> Capability:
    return Capability(
        one.injection_w + other.injection_w,
        one.reduction_w + other.reduction_w,
        one.stored_wh + other.stored_wh,
    )
