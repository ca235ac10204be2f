"""Grid connection points, their resources, their memberships in communities, and who may use their capability."""

from projections.view import Mode, Question, View, copied
from schemas.site.events import (
    CapabilityAllotted,
    ConnectionRegistered,
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
    on={
        ResourceRegistered: copied(
            "resource",
            "connection",
            "customer",
            "type",
            "rated_power_w",
            "capacity_wh",
            "metering_point",
            status="registered",
        ),
        ResourceVerified: copied("resource", "connection", "verified_power_w", status="verified"),
    },
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

_CAPABILITY_ALLOTMENTS_COLUMNS = {
    "connection": "text",
    "customer": "text",
    "metering_point": "text",
    "purpose": "text",
    "target": "text",
    "injection_w": "bigint",
    "reduction_w": "bigint",
    "resources": "text[]",
}

CAPABILITY_ALLOTMENTS = View(
    name="capability_allotments",
    mode=Mode.CURRENT,
    columns=_CAPABILITY_ALLOTMENTS_COLUMNS,
    key=("connection", "purpose", "target"),
    on={CapabilityAllotted: copied(*_CAPABILITY_ALLOTMENTS_COLUMNS)},
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
