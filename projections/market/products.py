"""Slates of energy products: each version, the newest one with its standing, and the enquiry by attribute."""

from collections.abc import Iterable
from typing import Any

from projections.view import Mode, Question, Row, Rows, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.product_events import (
    ProductAmended,
    ProductRegistered,
    ProductResumed,
    ProductRetired,
    ProductSuspended,
    ProductVerified,
)
from schemas.values import MINUTE_US

_TERMS = {
    "zone": "text",
    "carrier": "text",
    "characteristics": "text[]",
    "max_power_w": "bigint",
    "capacity_wh": "bigint",
    "schedule_from_at": "bigint",
    "schedule_wh": "bigint[]",
    "availability_ppm": "bigint",
    "quality_class": "bigint",
    "lowest_price_nano_per_kwh": "bigint",
    "bids_until_at": "bigint",
}
_ELECTRICAL = {"voltage_mv": "bigint", "current_ma": "bigint", "power_factor_ppm": "bigint", "phases": "text"}
_NOT_TOLD = {"voltage_mv": 0, "current_ma": 0, "power_factor_ppm": 0, "phases": ""}
"""Of a product without an electrical rating: a missing column would leave what an earlier version said."""

_VERSION = {
    "market": "text",
    "product": "text",
    "party": "text",
    "version": "bigint",
    "connections": "text[]",
    "resources": "text[]",
    **_TERMS,
    **_ELECTRICAL,
    "schedule_to_at": "bigint",
}


def _version(fact: Recorded[Any]) -> Row:
    body, terms = fact.body, fact.body.terms
    electrical = _NOT_TOLD if terms.electrical is None else fields_of(terms.electrical, *_ELECTRICAL)
    return {
        **fields_of(body, "market", "product", "party", "version"),
        **fields_of(terms, *_TERMS),
        **electrical,
        "connections": [member.connection for member in terms.members],
        "resources": [member.resource for member in terms.members],
        "schedule_to_at": terms.schedule_from_at + len(terms.schedule_wh) * body.interval_min * MINUTE_US,
    }


def _versions(fact: Recorded[Any]) -> Iterable[Row]:
    yield _version(fact)


def _now(status: str, verification: str) -> Rows:
    def rows(fact: Recorded[Any]) -> Iterable[Row]:
        yield {**_version(fact), "status": status, "verification": verification}

    return rows


PRODUCT_VERSIONS = View(
    name="product_versions",
    mode=Mode.HISTORY,
    columns=_VERSION,
    indexes=("product",),
    on={ProductRegistered: _versions, ProductAmended: _versions},
)

PRODUCTS = View(
    name="products",
    mode=Mode.CURRENT,
    columns={**_VERSION, "status": "text", "verification": "text", "suspended_by": "text"},
    key=("market", "product"),
    on={
        ProductRegistered: _now("offered", "waiting"),
        # A suspended product may be amended; it stays suspended.
        ProductAmended: lambda fact: ({**_version(fact), "verification": "waiting"},),
        ProductVerified: copied("market", "product", verification="verified"),
        ProductSuspended: copied("market", "product", "suspended_by", status="suspended"),
        ProductResumed: copied("market", "product", status="offered"),
        ProductRetired: copied("market", "product", status="retired"),
    },
)
"""The newest version of each product: `status` says whether its owner offers it, `verification` whether it is true."""

PRODUCT_VIEWS = (PRODUCT_VERSIONS, PRODUCTS)

_SHOWN = """market, product, version, party, status, verification, zone, carrier, characteristics, max_power_w,
    capacity_wh, availability_ppm, quality_class, lowest_price_nano_per_kwh, bids_until_at, schedule_from_at,
    schedule_to_at, voltage_mv, current_ma, power_factor_ppm, phases, connections, resources"""

PRODUCT_QUESTIONS = (
    Question("products", f"SELECT {_SHOWN} FROM products ORDER BY market, product"),
    Question(
        "tradable_products",
        f"""
SELECT {_SHOWN}
FROM products
WHERE status = 'offered' AND verification = 'verified'
    AND %(carrier)s::text IN ('any', carrier) AND %(zone)s::text IN ('any', zone)
    AND max_power_w >= %(power_w)s::bigint AND lowest_price_nano_per_kwh <= %(price_nano_per_kwh)s::bigint
    AND bids_until_at > %(from_at)s::bigint
    AND (cardinality(schedule_wh) = 0
        OR (schedule_from_at <= %(from_at)s::bigint AND schedule_to_at >= %(to_at)s::bigint))
ORDER BY lowest_price_nano_per_kwh, market, product
""",
        ("carrier", "zone", "power_w", "price_nano_per_kwh", "from_at", "to_at"),
    ),
)
"""`tradable_products` are those of a carrier and a zone (`any` is each), with so much power at least, for so much at
most, that are sold for all deliveries in [from_at, to_at)."""
