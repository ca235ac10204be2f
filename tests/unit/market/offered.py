"""Bob's roof as an energy product, and the resources behind it, for the tests of products."""

from dataclasses import replace
from typing import Any

from schemas.equipment import Characteristic, ElectricalRating, EnergyCarrier, Equipment, Phases
from schemas.market.events import CapabilityRecorded, OrderTerms
from schemas.market.product_commands import RegisterProduct, VerifyProduct
from schemas.market.product_events import ProductMember, ProductTerms
from schemas.values import ResourceType
from tests.unit.given import Scenario
from tests.unit.market.world import CENT, MARKET, NOON, OPERATOR, QUARTER, open_market

ROOF = Equipment("pv", ResourceType.GENERATION, 10_000, EnergyCarrier.SOLAR, (Characteristic.INTERMITTENT,), None, None)
SOLAR = ProductTerms(
    members=(ProductMember("bob-cp", "pv"),),
    zone="z",
    carrier=EnergyCarrier.SOLAR,
    characteristics=(Characteristic.INTERMITTENT,),
    electrical=ElectricalRating(400_000, 16_000, 1_000_000, Phases.THREE),
    max_power_w=8_000,
    capacity_wh=8_000,
    schedule_from_at=NOON,
    schedule_wh=(2_000, 1_500, 1_000, 500),
    availability_ppm=950_000,
    quality_class=2,
    lowest_price_nano_per_kwh=10 * CENT,
    bids_until_at=NOON + 4 * QUARTER,
)
"""8 kW are 2 kWh in a quarter-hour; 400 V × 16 A × √3 are 11 085 W."""

NAMES_IT = OrderTerms(product="roof")


def terms(**changes: Any) -> ProductTerms:
    """The product with some of it changed."""
    return replace(SOLAR, **changes)


def roofed(*parties: str, **changes: Any) -> Scenario:
    """An open market of `bob` and the others, in which bob's 10 kW of solar power are allotted."""
    market = open_market("bob", *parties, **changes)
    return market.given(CapabilityRecorded(MARKET, "bob-cp", "bob", 400_000, ("pv",), "z", equipment=(ROOF,)))


def registered(market: Scenario, **changes: Any) -> list[Any]:
    return market.when(RegisterProduct("roof", terms(**changes)), "bob")


def tradable(*parties: str, **changes: Any) -> Scenario:
    """The market with bob's product, verified."""
    market = roofed(*parties, **changes)
    registered(market)
    market.when(VerifyProduct("roof", 1), OPERATOR)
    return market
