"""What the sample's meters count: profiles times ratings, netted behind each connection, in whole Wh.

Every register keeps a running remainder, so that its sum is never 1 Wh away from the exact energy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import sub
from types import MappingProxyType
from typing import Final, Literal

from examples.sample_files import INTERVAL_MIN, ResourceType, SampleCommunity, SampleResource, Series

Register = Literal["consumption", "generation", "charge", "discharge"]

_PPM_MIN_PER_WH: Final = 1_000_000 * 60


@dataclass(frozen=True, slots=True)
class ConnectionEnergy:
    """What happened behind one connection and what its two grid registers counted, in Wh per interval.

    In every interval import + generation + discharge = consumption + export + charge, exactly, and import
    or export is 0: what is behind the connection nets before it reaches the grid.
    """

    connection: str
    consumption_wh: Series
    generation_wh: Series
    charge_wh: Series
    discharge_wh: Series
    import_from_grid_wh: Series
    export_to_grid_wh: Series


@dataclass(frozen=True, slots=True)
class SampleEnergy:
    """The registers of every resource's meter, by (resource, register), and of every connection, by id.

    A load has the register `consumption`, a generation `generation`, a storage `charge` and `discharge`.
    """

    registers: Mapping[tuple[str, Register], Series]
    connections: Mapping[str, ConnectionEnergy]


def derive_energy(community: SampleCommunity) -> SampleEnergy:
    """Counts every meter of the community over the whole period.

    Each register keeps a running remainder: over any run of intervals its sum differs by less than 1 Wh
    from rated power x profile x time, and no Wh is lost or invented over the days.
    """
    counted: dict[tuple[str, int, bool], Series] = {}

    def count(resource: SampleResource, *, reverse: bool) -> Series:
        key = (resource.profile, resource.rated_power_w, reverse)
        if key not in counted:  # many loads share profile and rating
            ppm = community.profiles[resource.profile]
            counted[key] = _count_wh(ppm, -resource.rated_power_w if reverse else resource.rated_power_w)
        return counted[key]

    registers: dict[tuple[str, Register], Series] = {}
    behind: dict[str, dict[Register, list[Series]]] = {c.connection: {} for c in community.connections}
    for resource in community.resources:
        for register, reverse in _REGISTERS[resource.type]:
            series = count(resource, reverse=reverse)
            registers[resource.resource, register] = series
            behind[resource.connection].setdefault(register, []).append(series)
    zero: Series = (0,) * community.interval_count
    return SampleEnergy(
        registers=MappingProxyType(registers),
        connections=MappingProxyType({name: _net(name, parts, zero) for name, parts in behind.items()}),
    )


# Which registers a resource has, and whether the register counts the profile's negative side.


_REGISTERS: dict[ResourceType, tuple[tuple[Register, bool], ...]] = {
    "load": (("consumption", False),),
    "generation": (("generation", False),),
    "storage": (("charge", True), ("discharge", False)),
}


def _count_wh(ppm: Series, rated_power_w: int) -> Series:
    """The positive side of rated power x profile as a register counts it: whole Wh, remainder carried.

    The register's state after an interval is the whole part of all energy so far, an interval's energy is
    the difference of two states; so any run of intervals is less than 1 Wh away from the exact energy.
    """
    scale = rated_power_w * INTERVAL_MIN
    states = [total // _PPM_MIN_PER_WH for total in accumulate(max(0, value * scale) for value in ppm)]
    return tuple(map(sub, states, chain((0,), states)))


def _net(connection: str, parts: Mapping[Register, list[Series]], zero: Series) -> ConnectionEnergy:
    """Nets the meters behind a connection, interval by interval, in Wh."""

    def total(register: Register) -> Series:
        series = parts.get(register, [zero])
        return series[0] if len(series) == 1 else tuple(map(sum, zip(*series, strict=True)))

    consumption, generation = total("consumption"), total("generation")
    charge, discharge = total("charge"), total("discharge")
    flows = zip(consumption, charge, generation, discharge, strict=True)
    net = [used + stored - made - released for used, stored, made, released in flows]
    return ConnectionEnergy(
        connection=connection,
        consumption_wh=consumption,
        generation_wh=generation,
        charge_wh=charge,
        discharge_wh=discharge,
        import_from_grid_wh=tuple([max(0, value) for value in net]),
        export_to_grid_wh=tuple([max(0, -value) for value in net]),
    )


# ------------------------------------------------------------------------------------ the five files
