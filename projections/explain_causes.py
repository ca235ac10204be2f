"""What caused a settlement line: contract, trade and orders; sharing rules; tariff; response; price; readings.

Causes are read as the settlement run knew them (`tick < cutoff_tick`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from projections.explain_origins import origin_of
from projections.explained import ExplainNode, missing, position_of, shown
from projections.view import Ask, Row
from schemas.values import MINUTE_US

_REGISTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "shared_consumption": ("import_from_grid",),
    "delivered_purchase": ("import_from_grid",),
    "residual": ("import_from_grid",),
    "shared_production": ("export_to_grid",),
    "delivered_sale": ("export_to_grid",),
    "surplus": ("export_to_grid",),
    "imbalance": ("import_from_grid", "export_to_grid"),
    "response": ("import_from_grid", "export_to_grid"),
}

_CONTRACT: Final = """
SELECT contract, trade, seller, buyer, first_start_at, interval_min, quantity_wh, price_nano_per_kwh,
       coalesce(seller_price_nano_per_kwh, price_nano_per_kwh) AS seller_price_nano_per_kwh, delivery_mode,
       rules_version, version, partition, seq, tick
FROM contracts
WHERE contract = %(contract)s AND tick < %(cutoff)s
ORDER BY version DESC
LIMIT 1
"""

_FIRM_CONTRACTS: Final = """
SELECT contract, trade, seller, buyer, first_start_at, interval_min, quantity_wh, price_nano_per_kwh,
       coalesce(seller_price_nano_per_kwh, price_nano_per_kwh) AS seller_price_nano_per_kwh, delivery_mode,
       rules_version, version, partition, seq, tick
FROM contracts c
WHERE (seller_connection = %(connection)s OR buyer_connection = %(connection)s)
  AND state = 'concluded' AND delivery_mode = 'firm' AND tick < %(cutoff)s AND first_start_at < %(to_at)s
  AND first_start_at + cardinality(quantity_wh) * interval_min::bigint * 60000000 > %(from_at)s
  AND NOT EXISTS (SELECT FROM contracts n
      WHERE n.contract = c.contract AND n.version > c.version AND n.tick < %(cutoff)s)
ORDER BY first_start_at, contract
"""

_SHARING_RULES: Final = """
SELECT community, version, key, consumer_price_nano_per_kwh, producer_price_nano_per_kwh, valid_from,
       partition, seq, tick
FROM sharing_rules
WHERE community = %(community)s AND tick < %(cutoff)s AND valid_from <= %(at)s
ORDER BY valid_from DESC, tick DESC, seq DESC
LIMIT 1
"""

_PERFORMANCE: Final = """
SELECT event, version, measurement, connection, status, reference_days,
       excluded_days, exclusion_reasons, baseline_wh, metered_wh, response_wh, paid_wh,
       incentive_nano_per_kwh, partition, seq, tick
FROM performances
WHERE event = %(event)s AND connection = %(connection)s AND tick < %(cutoff)s
ORDER BY version DESC
LIMIT 1
"""

_PRICES: Final = """
SELECT start_at, interval_min, quality, version, price_nano_per_kwh, partition, seq, tick
FROM prices
WHERE series = %(series)s AND tick < %(cutoff)s AND start_at < %(to_at)s
  AND start_at + cardinality(price_nano_per_kwh) * interval_min::bigint * 60000000 > %(from_at)s
ORDER BY tick, seq, "row"
"""

_READINGS: Final = """
SELECT metering_point, direction, source, batch, version, quality, start_at, interval_min, energy_wh,
       partition, seq, tick
FROM readings
WHERE connection = %(connection)s AND meter_kind = 'utility' AND direction = ANY(%(directions)s)
  AND tick < %(cutoff)s AND start_at < %(to_at)s
  AND start_at + cardinality(energy_wh) * interval_min::bigint * 60000000 > %(from_at)s
ORDER BY tick, seq, "row"
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement line with what its run knew. `energy_wh` begins at interval `first_interval` of the run."""

    kind: str
    connection: str
    reference: str
    from_at: int
    interval_min: int
    first_interval: int
    energy_wh: tuple[int, ...]
    settled_wh: int
    price_nano_per_kwh: int
    cutoff_tick: int

    @property
    def start_at(self) -> int:
        """When its first interval begins, UTC µs."""
        return self.from_at + self.first_interval * self.interval_min * MINUTE_US

    @property
    def end_at(self) -> int:
        """When its last interval ends, UTC µs."""
        return self.start_at + len(self.energy_wh) * self.interval_min * MINUTE_US

    def place(self, at: int) -> int | None:
        """Which of its intervals holds a time, counted from its first; none outside."""
        place = (at - self.start_at) // (self.interval_min * MINUTE_US)
        return place if 0 <= place < len(self.energy_wh) else None

    def asked(self, **more: Any) -> Mapping[str, Any]:
        """Parameters of a question about its time as its run knew it."""
        return {
            "cutoff": self.cutoff_tick,
            "connection": self.connection,
            "from_at": self.start_at,
            "to_at": self.end_at,
            **more,
        }


async def cause_of(ask: Ask, settled: Settled) -> list[ExplainNode]:
    """The rule or agreement that made the line; residual and surplus have none but the meter and the tariff."""
    match settled.kind:
        case "delivered_purchase" | "delivered_sale":
            rows = await ask(_CONTRACT, settled.asked(contract=settled.reference))
            if not rows:
                return [missing("contract", f"Contract {settled.reference} is not on the slates.")]
            node = await _contract(ask, rows[0])
            price = "price_nano_per_kwh" if settled.kind == "delivered_purchase" else "seller_price_nano_per_kwh"
            return [_same_price(node, rows[0][price], settled)]
        case "shared_consumption" | "shared_production":
            return [await _rules(ask, settled)]
        case "response":
            return [await _performance(ask, settled)]
        case "imbalance":
            rows = await ask(_FIRM_CONTRACTS, settled.asked())
            return list(shown([await _contract(ask, row) for row in rows], "firm contracts"))
        case _:
            return []


def tariff_node(tariff: Row, bill: Row) -> ExplainNode:
    """The version of the issuer's tariff that prices a bill line."""
    name = f"{bill['charge']}_price_nano_per_kwh"
    return ExplainNode(
        title=f"tariff version {tariff['version']}",
        what=f"{bill['issuer']} adopted this tariff; it held when the settlement period began.",
        figures={name: tariff[name], "valid_from": tariff["valid_from"]},
        position=position_of("billing", tariff),
        holds=tariff[name] == bill["price_nano_per_kwh"],
    )


async def imbalance_leaves(ask: Ask, settled: Settled) -> list[ExplainNode]:
    """One leaf for each interval with an imbalance: what the party pays (+) or gets (-), shortage being negative."""
    prices: list[tuple[int, Row] | None] = [None] * len(settled.energy_wh)
    for row in await ask(_PRICES, settled.asked(series=settled.reference)):
        for n, price in enumerate(row["price_nano_per_kwh"]):
            begins = row["start_at"] + n * row["interval_min"] * MINUTE_US
            # A coarser price holds for every interval within its own.
            for part in range(max(1, row["interval_min"] // settled.interval_min)):
                place = settled.place(begins + part * settled.interval_min * MINUTE_US)
                if place is not None:
                    prices[place] = (price, row)
    leaves = []
    for place, energy_wh in enumerate(settled.energy_wh):
        found = prices[place]
        if not energy_wh:
            continue
        start_at = settled.start_at + place * settled.interval_min * MINUTE_US
        if found is None:
            leaves.append(missing("energy × price", f"No price of {settled.reference} for {start_at} µs."))
            continue
        price, row = found
        leaves.append(
            ExplainNode(
                title="energy × price",
                what=f"{energy_wh:,} Wh of imbalance at {price:,} nano per kWh ({row['quality']} price).",
                figures={
                    "start_at": start_at,
                    "energy_wh": energy_wh,
                    "price_nano_per_kwh": price,
                    "price_version": row["version"],
                },
                position=position_of("reference", row),
                amount_pico=-energy_wh * price,
            )
        )
    return leaves


async def readings_of(ask: Ask, settled: Settled) -> list[ExplainNode]:
    """For each register the newest values of the line's intervals, by the batches that brought them.

    A node for a register holds when its meter shows at least what the line attributes in every interval.
    """
    if not settled.energy_wh:
        return []
    directions = _REGISTERS[settled.kind]
    rows = await ask(_READINGS, settled.asked(directions=list(directions)))
    registers = []
    for direction in directions:
        mine = [row for row in rows if row["direction"] == direction]
        if mine:
            registers.append(_register(settled, direction, mine))
        else:
            registers.append(missing("readings", f"No readings of {direction} at {settled.connection}."))
    return registers


def _register(settled: Settled, direction: str, rows: Sequence[Row]) -> ExplainNode:
    newest: dict[int, tuple[int, Row]] = {}
    for row in rows:
        for n, energy_wh in enumerate(row["energy_wh"]):
            begins = row["start_at"] + n * row["interval_min"] * MINUTE_US
            place = settled.place(begins)
            if place is not None and settled.energy_wh[place]:
                newest[begins] = (energy_wh, row)
    metered = [0] * len(settled.energy_wh)
    batches: dict[tuple[int, int], list[tuple[int, Row]]] = {}
    for begins in sorted(newest):
        energy_wh, row = newest[begins]
        place = settled.place(begins)
        assert place is not None, "only intervals of the line are collected"
        metered[place] += energy_wh
        batches.setdefault((row["partition"], row["seq"]), []).append((energy_wh, row))
    attributed = settled.kind not in ("imbalance", "response")
    return ExplainNode(
        title=f"readings of {direction}",
        what=f"The utility meter at {settled.connection} shows {sum(metered):,} Wh in these intervals.",
        figures={"energy_wh": sum(metered), "intervals": len(newest)},
        children=shown([_batch(values) for values in batches.values()], "batches"),
        holds=not attributed or all(m >= wh for m, wh in zip(metered, settled.energy_wh, strict=True)),
    )


def _batch(values: Sequence[tuple[int, Row]]) -> ExplainNode:
    row = values[0][1]
    return ExplainNode(
        title=f"batch {row['batch']}",
        what=(
            f"{row['source']} sent version {row['version']} ({row['quality']}) of {row['direction']} "
            f"at metering point {row['metering_point']}."
        ),
        figures={
            "energy_wh": sum(energy_wh for energy_wh, _ in values),
            "intervals": len(values),
            "version": row["version"],
        },
        position=position_of("meter", row),
    )


async def _contract(ask: Ask, row: Row) -> ExplainNode:
    if row["trade"] is None:
        origin = ExplainNode("negotiated", "Seller and buyer agreed without a market: one proposed, one approved.")
    else:
        origin = await origin_of(ask, row["trade"])
    what = f"{row['seller']} sells to {row['buyer']}, settled {_said(row['delivery_mode'])}."
    if row["seller_price_nano_per_kwh"] != row["price_nano_per_kwh"]:
        what += " What the buyer pays beyond the seller's price is the operator's."
    return ExplainNode(
        title=f"contract {row['contract']}",
        what=what,
        figures={
            "contracted_wh": sum(row["quantity_wh"]),
            "price_nano_per_kwh": row["price_nano_per_kwh"],
            "seller_price_nano_per_kwh": row["seller_price_nano_per_kwh"],
            "first_start_at": row["first_start_at"],
            "rules_version": row["rules_version"],
            "version": row["version"],
        },
        position=position_of("market", row),
        children=(origin,),
    )


async def _rules(ask: Ask, settled: Settled) -> ExplainNode:
    rows = await ask(_SHARING_RULES, settled.asked(community=settled.reference, at=settled.start_at))
    if not rows:
        return missing("sharing rules", f"Rules of community {settled.reference} are not on the slates.")
    row = rows[0]
    name = "consumer" if settled.kind == "shared_consumption" else "producer"
    price = row[f"{name}_price_nano_per_kwh"]
    node = ExplainNode(
        title=f"sharing rules version {row['version']} of {row['community']}",
        what=f"The members share by the {row['key']} key; this is the {name} price.",
        figures={
            f"{name}_price_nano_per_kwh": price,
            "version": row["version"],
            "valid_from": row["valid_from"],
        },
        position=position_of("community", row),
    )
    return _same_price(node, price, settled)


async def _performance(ask: Ask, settled: Settled) -> ExplainNode:
    rows = await ask(_PERFORMANCE, settled.asked(event=settled.reference))
    if not rows:
        return missing("measurement", f"No measurement of event {settled.reference} is on the slates.")
    row = rows[0]
    days = [
        *(ExplainNode(f"reference day {day}", "Averaged for the baseline.") for day in row["reference_days"]),
        *(
            ExplainNode(f"excluded day {day}", f"Not used for the baseline: {_said(reason)}.")
            for day, reason in zip(row["excluded_days"], row["exclusion_reasons"], strict=True)
        ),
    ]
    node = ExplainNode(
        title=f"demand response event {row['event']}, measurement version {row['version']}",
        what=(
            f"{row['connection']} was {_said(row['status'])}: baseline {sum(row['baseline_wh']):,} Wh, "
            f"metered {sum(row['metered_wh']):,} Wh, paid {row['paid_wh']:,} Wh."
        ),
        figures={
            "version": row["version"],
            "baseline_wh": sum(row["baseline_wh"]),
            "metered_wh": sum(row["metered_wh"]),
            "response_wh": sum(row["response_wh"]),
            "paid_wh": row["paid_wh"],
            "incentive_nano_per_kwh": row["incentive_nano_per_kwh"],
        },
        position=position_of("programme", row),
        children=shown(days, "days"),
        holds=row["paid_wh"] == settled.settled_wh,
    )
    return _same_price(node, row["incentive_nano_per_kwh"], settled)


def _same_price(node: ExplainNode, price_nano_per_kwh: int, settled: Settled) -> ExplainNode:
    """The price of the cause is the price of the line."""
    holds = node.holds and price_nano_per_kwh == settled.price_nano_per_kwh
    return replace(node, holds=holds)


def _said(name: str) -> str:
    return name.replace("_", " ")
