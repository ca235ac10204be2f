"""The demo's world: two sample communities, who runs what, and the wishes that set everything up."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from consumers.limits import VALIDITY_US
from domain.identity import derived_id
from examples.agents import CENT_NANO, LOT_WH
from examples.sample_energy import SampleEnergy, derive_energy
from examples.sample_files import (
    INTERVAL_MIN,
    SampleCommunity,
    SampleResource,
    load_community,
)
from gateways.door import DoorCommand
from schemas.billing.commands import AdoptTariff, AllotCredit, OpenLedger
from schemas.community.commands import AdoptSharingRules, FoundCommunity
from schemas.community.events import SharingKey
from schemas.market.auction_events import CallRules, Rationing
from schemas.market.commands import AdoptRuleSet, OpenSession
from schemas.market.events import RuleSet, SelfTradeMode
from schemas.market.rules import CreditRules
from schemas.party.commands import ApplyForMarket, ApplyForMembership, RegisterParty
from schemas.party.events import Role
from schemas.programme.commands import AdoptTerms
from schemas.programme.events import BaselineMethod, Netting, Terms
from schemas.reference.commands import DefineSeries, PublishCalendar, PublishPrices
from schemas.reference.events import SeriesKind, ValueQuality
from schemas.site.commands import (
    AllotCapability,
    JoinSharing,
    RegisterConnection,
    RegisterResource,
    VerifyResource,
)
from schemas.site.events import AllotmentPurpose
from schemas.values import MINUTE_US, DeliveryMode, ResourceType

SAMPLE: Final = Path(__file__).parent / "sample"
SHARING, TRADING = "lv1-101", "lv5-201"
SYSTEM_OPERATOR, SUPPLIER, AGGREGATOR = "grid-operator", "supplier", "aggregator"
SETTLEMENT_DESK, SETTLEMENT_LEAD = "settlement-desk", "settlement-lead"
PROGRAMME, CALENDAR, IMBALANCE = "evening-peak", "working-days-de", "imbalance-price"
CURRENCY: Final = "EUR"
EURO_MICRO: Final = 1_000_000
DR_SITES: Final = 20
OPENING_LEAD_MIN, CALLED_LEAD_MIN = 12 * 60, 90
"""How long before its delivery a book of the trading community opens, and is called to its opening auction."""
_HOLIDAYS: Final = ("2016-05-05", "2016-05-16", "2016-05-26")
"""Ascension, Whit Monday and (in the community's state) Corpus Christi 2016."""


def organiser(community: str) -> str:
    """The party that runs a community and issues its documents."""
    return f"organiser-{community}"


def metering_point(thing: str) -> str:
    """The metering point of a connection (utility meter) or of a resource (customer meter)."""
    return f"{thing}-mp"


@dataclass(frozen=True, slots=True)
class Place:
    """A community with its energies; zone, community and (where it trades) market have its one `name`."""

    name: str
    community: SampleCommunity
    energy: SampleEnergy

    @property
    def day_start_at(self) -> int:
        """UTC µs of the delivery day's first interval."""
        return self.community.start_utc_us(self.delivery_day.start)

    @property
    def day_end_at(self) -> int:
        """UTC µs behind the delivery day's last interval."""
        return self.community.start_utc_us(self.delivery_day.stop)

    @property
    def delivery_day(self) -> slice:
        """The delivery day's intervals."""
        return self.community.day_slice(self.community.delivery_day_index)

    def resources_of(self, connection: str) -> list[SampleResource]:
        """The equipment behind a connection."""
        return [r for r in self.community.resources if r.connection == connection]

    def party_of(self, connection: str) -> str:
        """Who lives behind a connection."""
        return next(c.party for c in self.community.connections if c.connection == connection)

    def injects(self, connection: str) -> bool:
        """Whether generation or storage stands behind the connection."""
        return any(r.type != "load" for r in self.resources_of(connection))


def load_place(name: str, folder: Path = SAMPLE) -> Place:
    """One sample community.

    Raises:
        SampleFileError: a file is not what it promises; nothing is loaded.
    """
    community = load_community(folder / name)
    return Place(name, community, derive_energy(community))


class Wishes:
    """Door commands with ids that are the same on every run: `<actor>/<what>/<n>`."""

    def __init__(self) -> None:
        self._count: dict[tuple[str, str], int] = {}

    def __call__(self, family: str, key: str, actor: str, body: Any) -> DoorCommand:
        what = type(body).__name__
        n = self._count.get((actor, what), 0)
        self._count[actor, what] = n + 1
        return DoorCommand(family, key, actor, f"{actor}/{what}/{n}", body)


def born(command: DoorCommand, sent_at: int) -> str:
    """The first id that a command gives birth to when the door admits it at `sent_at`: known beforehand."""
    valid_until = sent_at + VALIDITY_US
    return derived_id(command.family, command.key, command.actor, command.command_id, valid_until, 0)


def found_everything(wish: Wishes, places: Sequence[Place]) -> Iterator[DoorCommand]:
    """Stage 0: operators, communities, the market, ledgers, series, the programme."""
    day_start_at, day_end_at = places[0].day_start_at, places[0].day_end_at
    operators = {
        SYSTEM_OPERATOR: Role.SYSTEM_OPERATOR,
        SUPPLIER: Role.SUPPLIER,
        AGGREGATOR: Role.RESOURCE_AGGREGATOR,
        **{organiser(p.name): Role.COMMUNITY_ORGANISER for p in places},
    }
    for operator, role in operators.items():
        yield wish("party", operator, operator, RegisterParty((role,)))
    for place in places:
        for party in place.community.parties:
            yield wish("party", party.party, party.party, RegisterParty((Role.PARTY_CONNECTED_TO_GRID,)))
        yield from _found_community(wish, place)
    for issuer in (*map(organiser, (p.name for p in places)), SUPPLIER, AGGREGATOR):
        yield wish("billing", issuer, issuer, OpenLedger(CURRENCY, 2, 190_000))
    yield wish("billing", SUPPLIER, SUPPLIER, AdoptTariff(30 * CENT_NANO, 8 * CENT_NANO, 0))
    yield wish("market", TRADING, organiser(TRADING), AdoptRuleSet(0, _rules()))
    yield wish(
        "reference",
        IMBALANCE,
        SYSTEM_OPERATOR,
        DefineSeries(SeriesKind.IMBALANCE_PRICE, TRADING, CURRENCY, INTERVAL_MIN),
    )
    prices = tuple(_imbalance_price(quarter) for quarter in range((day_end_at - day_start_at) // (15 * MINUTE_US)))
    yield wish("reference", IMBALANCE, SYSTEM_OPERATOR, PublishPrices(day_start_at, ValueQuality.FINAL, prices))
    yield wish(
        "reference", CALENDAR, SYSTEM_OPERATOR, DefineSeries(SeriesKind.CALENDAR, TRADING, CURRENCY, INTERVAL_MIN)
    )
    zone = places[0].community.time_zone
    yield wish("reference", CALENDAR, SYSTEM_OPERATOR, PublishCalendar(zone, "2016-05-01", "2016-06-30", _HOLIDAYS))
    yield wish("programme", PROGRAMME, AGGREGATOR, AdoptTerms(_terms()))


def _found_community(wish: Wishes, place: Place) -> Iterator[DoorCommand]:
    name, chief = place.name, organiser(place.name)
    key = SharingKey.DYNAMIC if name == SHARING else SharingKey.NONE
    yield wish("community", name, chief, FoundCommunity(name, CURRENCY))
    rules = AdoptSharingRules(key, INTERVAL_MIN, 12 * CENT_NANO, 10 * CENT_NANO, 10, 30, 0)
    yield wish("community", name, chief, rules)


def _rules() -> RuleSet:
    return RuleSet(
        zone=TRADING,
        operator=organiser(TRADING),
        currency=CURRENCY,
        interval_min=INTERVAL_MIN,
        opening_lead_min=OPENING_LEAD_MIN,
        gate_lead_min=15,
        tick_nano_per_kwh=CENT_NANO // 10,
        lot_wh=LOT_WH,
        max_quantity_wh=50_000,
        min_price_nano_per_kwh=-50 * CENT_NANO,
        max_price_nano_per_kwh=50 * CENT_NANO,
        self_trade=SelfTradeMode.CANCEL_NEWEST,
        assumed_price_nano_per_kwh=50 * CENT_NANO,
        points_per_kwh=10,
        book_delivery_mode=DeliveryMode.AS_DELIVERED,
        approval_deadline_min=120,
        # A book collects orders until 90 minutes before its delivery; then it is called and trades on continuously.
        auction=CallRules(OPENING_LEAD_MIN - CALLED_LEAD_MIN, 500_000, Rationing.PRO_RATA, 15),
        # Nothing is charged on top of a price; who is beyond a lowered limit has an hour.
        credit=CreditRules(0, 0, 60, 50 * CENT_NANO, 0),
    )


def _terms() -> Terms:
    return Terms(
        operator=AGGREGATOR,
        zone=TRADING,
        currency=CURRENCY,
        interval_min=INTERVAL_MIN,
        min_notice_min=60,
        measurement_wait_min=24 * 60,
        incentive_nano_per_kwh=40 * CENT_NANO,
        netting=Netting.INTERVAL_FLOOR,
        baseline=BaselineMethod("kpx_mid_6_of_10", 1, CALENDAR, 45, 20, 10, 2, 2, 75),
    )


def _imbalance_price(quarter: int) -> int:
    """Dear in the evening, negative at noon: a made-up series, and said to be so."""
    hour = quarter // 4
    if 11 <= hour < 15:
        return -2 * CENT_NANO
    return 15 * CENT_NANO if 17 <= hour < 21 else 6 * CENT_NANO


def register_sites(wish: Wishes, place: Place) -> Iterator[DoorCommand]:
    """Stage 0 to 1: members apply, connections and their equipment are registered."""
    resources: dict[str, list[SampleResource]] = {}
    for resource in place.community.resources:
        resources.setdefault(resource.connection, []).append(resource)
    for party in place.community.parties:
        yield wish("party", party.party, party.party, ApplyForMembership(place.name))
    for connection in place.community.connections:
        behind = resources[connection.connection]
        power = sum(r.rated_power_w for r in behind if r.type == "load") + 30_000
        registration = RegisterConnection(
            zone=place.name,
            customer=connection.party,
            supplier=SUPPLIER,
            off_taker=SUPPLIER,
            balance_responsible=SUPPLIER,
            metering_point=metering_point(connection.connection),
            interval_min=INTERVAL_MIN,
            connection_w=power,
            valid_from=place.community.first_start_utc_us,
        )
        yield wish("site", connection.connection, SYSTEM_OPERATOR, registration)
        for r in behind:
            body = RegisterResource(
                r.resource, ResourceType(r.type), r.rated_power_w, r.capacity_wh, metering_point(r.resource)
            )
            yield wish("site", connection.connection, connection.party, body)


def verify_sites(wish: Wishes, place: Place) -> Iterator[DoorCommand]:
    """Stage 2: the system operator verifies the equipment; members apply for the market, or share."""
    for r in place.community.resources:
        yield wish("site", r.connection, SYSTEM_OPERATOR, VerifyResource(r.resource, r.rated_power_w))
    for connection in place.community.connections:
        if place.name == TRADING:
            yield wish("party", connection.party, connection.party, ApplyForMarket(TRADING))
        else:
            joining = JoinSharing(SHARING, 1_000_000, place.community.first_start_utc_us)
            yield wish("site", connection.connection, connection.party, joining)


def allot(wish: Wishes, place: Place, elsewhere: Collection[str]) -> Iterator[DoorCommand]:
    """Stage 2 to 3 of the trading community: capability to market and programme, credit by the ledger, the session.

    Connections that trade `elsewhere` allot nothing to its market.
    """
    asked = set(dr_connections(place))
    for connection in place.community.connections:
        if connection.connection in elsewhere:
            continue
        behind = place.resources_of(connection.connection)
        injection = sum(r.rated_power_w for r in behind if r.type != "load")
        power = sum(r.rated_power_w for r in behind if r.type == "load") + 30_000
        to_market = AllotCapability(AllotmentPurpose.MARKET, TRADING, min(injection, power), 0)
        yield wish("site", connection.connection, connection.party, to_market)
        if connection.connection in asked:
            load_w = sum(r.rated_power_w for r in behind if r.type == "load")
            to_programme = AllotCapability(AllotmentPurpose.PROGRAMME, PROGRAMME, 0, load_w // 4)
            yield wish("site", connection.connection, connection.party, to_programme)
        limit = 300 * EURO_MICRO if injection else 20 * EURO_MICRO
        yield wish("billing", organiser(TRADING), organiser(TRADING), AllotCredit(connection.party, TRADING, limit))
    intervals = place.delivery_day.stop - place.delivery_day.start
    yield wish("market", TRADING, organiser(TRADING), OpenSession(place.day_start_at, intervals))


def dr_connections(place: Place) -> list[str]:
    """The sites that enrol in the programme: the largest pure loads, by id among equals."""
    loads = [
        (-sum(r.rated_power_w for r in place.resources_of(c.connection)), c.connection)
        for c in place.community.connections
        if not place.injects(c.connection)
    ]
    return [connection for _, connection in sorted(loads)[:DR_SITES]]
