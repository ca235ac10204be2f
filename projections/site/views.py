"""Grid connection points, their resources, their memberships in communities, and who may use their capability."""

from collections.abc import Iterable
from typing import Any

from projections.site import allotments
from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.equipment import ElectricalRating, StorageRating
from schemas.site.events import (
    ConnectionRegistered,
    ResourceReassessed,
    ResourceRegistered,
    ResourceVerified,
    SharingJoined,
)

_CONNECTIONS_COLUMNS = {
    "connection": "text",
    "zone": "text",
    "customer": "text",
    "supplier": "text",
    "off_taker": "text",
    "balance_responsible": "text",
    "metering_point": "text",
    "interval_min": "bigint",
    "connection_w": "bigint",
    "valid_from": "bigint",
}

CONNECTIONS = View(
    name="connections",
    mode=Mode.HISTORY,
    columns=_CONNECTIONS_COLUMNS,
    on={ConnectionRegistered: copied(*_CONNECTIONS_COLUMNS)},
    indexes=("connection", "zone"),
)

_ELECTRICAL = ("voltage_mv", "current_ma", "power_factor_ppm", "phases")
_STORAGE = ("usable_wh", "discharge_efficiency_ppm", "charge_efficiency_ppm", "max_charge_w")
_REGISTERED = (
    "resource",
    "connection",
    "customer",
    "type",
    "rated_power_w",
    "capacity_wh",
    "metering_point",
    "carrier",
    "characteristics",
)


def _rated(electrical: ElectricalRating | None, storage: StorageRating | None) -> dict[str, Any]:
    row: dict[str, Any] = {} if electrical is None else fields_of(electrical, *_ELECTRICAL)
    return row if storage is None else row | fields_of(storage, *_STORAGE)


def _registered(fact: Recorded[ResourceRegistered]) -> Iterable[Row]:
    body = fact.body
    yield fields_of(body, *_REGISTERED) | _rated(body.electrical, body.storage) | {"status": "registered"}


def _verified(fact: Recorded[ResourceVerified]) -> Iterable[Row]:
    found = fields_of(fact.body, "resource", "connection", "verified_power_w")
    yield found | _rated(fact.body.electrical, None) | {"status": "verified"}


def _reassessed(fact: Recorded[ResourceReassessed]) -> Iterable[Row]:
    found = fact.body
    yield fields_of(found, "resource", "connection") | {"verified_power_w": found.serviceable_power_w}


RESOURCES = View(
    name="resources",
    mode=Mode.CURRENT,
    columns={
        "resource": "text",
        "connection": "text",
        "customer": "text",
        "type": "text",
        "rated_power_w": "bigint",
        "capacity_wh": "bigint",
        "metering_point": "text",
        "verified_power_w": "bigint",
        "status": "text",
        "carrier": "text",
        "characteristics": "text[]",
        "voltage_mv": "bigint",
        "current_ma": "bigint",
        "power_factor_ppm": "bigint",
        "phases": "text",
        "usable_wh": "bigint",
        "discharge_efficiency_ppm": "bigint",
        "charge_efficiency_ppm": "bigint",
        "max_charge_w": "bigint",
    },
    # The connection names its resources; two connections may use the same name.
    key=("connection", "resource"),
    on={ResourceRegistered: _registered, ResourceVerified: _verified, ResourceReassessed: _reassessed},
)

_SHARING_MEMBERSHIPS_COLUMNS = {
    "connection": "text",
    "customer": "text",
    "metering_point": "text",
    "community": "text",
    "factor_ppm": "bigint",
    "valid_from": "bigint",
}

SHARING_MEMBERSHIPS = View(
    name="sharing_memberships",
    mode=Mode.HISTORY,
    columns=_SHARING_MEMBERSHIPS_COLUMNS,
    on={SharingJoined: copied(*_SHARING_MEMBERSHIPS_COLUMNS)},
    indexes=("connection", "community"),
)

VIEWS = (CONNECTIONS, RESOURCES, SHARING_MEMBERSHIPS, *allotments.VIEWS)

QUESTIONS = (
    Question(
        "connections",
        "SELECT connection, zone, customer, supplier, off_taker, balance_responsible, metering_point,"
        " interval_min, connection_w, valid_from FROM connections ORDER BY connection, valid_from",
    ),
    Question(
        "resources",
        "SELECT resource, connection, customer, type, rated_power_w, verified_power_w, capacity_wh,"
        " metering_point, status, carrier, characteristics, voltage_mv, current_ma, power_factor_ppm, phases,"
        " usable_wh, discharge_efficiency_ppm, charge_efficiency_ppm, max_charge_w"
        " FROM resources ORDER BY connection, resource",
    ),
    Question(
        "sharing_memberships",
        "SELECT connection, customer, community, factor_ppm, valid_from"
        " FROM sharing_memberships ORDER BY connection, community, valid_from, partition, seq",
    ),
    *allotments.QUESTIONS,
)
