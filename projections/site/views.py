"""Grid connection points, their resources, their memberships in communities, and who may use their capability."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View
from schemas.envelope import Recorded
from schemas.site.events import (
    CapabilityAllotted,
    ConnectionRegistered,
    ResourceRegistered,
    ResourceVerified,
    SharingJoined,
)


def _connection(fact: Recorded[ConnectionRegistered]) -> Iterable[Row]:
    site = fact.body
    yield {
        "connection": site.connection,
        "zone": site.zone,
        "customer": site.customer,
        "supplier": site.supplier,
        "off_taker": site.off_taker,
        "balance_responsible": site.balance_responsible,
        "metering_point": site.metering_point,
        "interval_min": site.interval_min,
        "connection_w": site.connection_w,
        "valid_from": site.valid_from,
    }


def _registered(fact: Recorded[ResourceRegistered]) -> Iterable[Row]:
    resource = fact.body
    yield {
        "resource": resource.resource,
        "connection": resource.connection,
        "customer": resource.customer,
        "type": resource.type.value,
        "rated_power_w": resource.rated_power_w,
        "capacity_wh": resource.capacity_wh,
        "metering_point": resource.metering_point,
        "status": "registered",
    }


def _verified(fact: Recorded[ResourceVerified]) -> Iterable[Row]:
    resource = fact.body
    yield {
        "resource": resource.resource,
        "connection": resource.connection,
        "verified_power_w": resource.verified_power_w,
        "status": "verified",
    }


def _joined(fact: Recorded[SharingJoined]) -> Iterable[Row]:
    joined = fact.body
    yield {
        "connection": joined.connection,
        "customer": joined.customer,
        "metering_point": joined.metering_point,
        "community": joined.community,
        "factor_ppm": joined.factor_ppm,
        "valid_from": joined.valid_from,
    }


def _allotted(fact: Recorded[CapabilityAllotted]) -> Iterable[Row]:
    allotted = fact.body
    yield {
        "connection": allotted.connection,
        "customer": allotted.customer,
        "metering_point": allotted.metering_point,
        "purpose": allotted.purpose.value,
        "target": allotted.target,
        "injection_w": allotted.injection_w,
        "reduction_w": allotted.reduction_w,
        "resources": list(allotted.resources),
    }


CONNECTIONS = View(
    name="connections",
    mode=Mode.HISTORY,
    columns={
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
    },
    on={ConnectionRegistered: _connection},
    indexes=("connection", "zone"),
)

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
    },
    # The connection names its resources; two connections may use the same name.
    key=("connection", "resource"),
    on={ResourceRegistered: _registered, ResourceVerified: _verified},
)

SHARING_MEMBERSHIPS = View(
    name="sharing_memberships",
    mode=Mode.HISTORY,
    columns={
        "connection": "text",
        "customer": "text",
        "metering_point": "text",
        "community": "text",
        "factor_ppm": "bigint",
        "valid_from": "bigint",
    },
    on={SharingJoined: _joined},
    indexes=("connection", "community"),
)

CAPABILITY_ALLOTMENTS = View(
    name="capability_allotments",
    mode=Mode.CURRENT,
    columns={
        "connection": "text",
        "customer": "text",
        "metering_point": "text",
        "purpose": "text",
        "target": "text",
        "injection_w": "bigint",
        "reduction_w": "bigint",
        "resources": "text[]",
    },
    key=("connection", "purpose", "target"),
    on={CapabilityAllotted: _allotted},
)

VIEWS = (CONNECTIONS, RESOURCES, SHARING_MEMBERSHIPS, CAPABILITY_ALLOTMENTS)

QUESTIONS = (
    Question(
        "connections",
        "SELECT connection, zone, customer, supplier, off_taker, balance_responsible, metering_point,"
        " interval_min, connection_w, valid_from FROM connections ORDER BY connection, valid_from",
    ),
    Question(
        "resources",
        "SELECT resource, connection, customer, type, rated_power_w, verified_power_w, capacity_wh,"
        " metering_point, status FROM resources ORDER BY connection, resource",
    ),
    Question(
        "sharing_memberships",
        "SELECT connection, customer, community, factor_ppm, valid_from"
        " FROM sharing_memberships ORDER BY connection, community, valid_from, partition, seq",
    ),
    Question(
        "capability_allotments",
        "SELECT connection, customer, purpose, target, injection_w, reduction_w, resources"
        " FROM capability_allotments ORDER BY connection, purpose, target",
    ),
)
