"""From a line of a bill back to its cause: who owed what, in which run, by which contract, rule and reading.

The amount is reckoned again on the way, in 10⁻¹² of the currency, from the settled energy and the price of
every settlement line; each rounding is a leaf of its own. What the ledger, the settlement and the meters
say of the same thing is compared (`ExplainNode.adds_up`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from projections.explain_causes import Settled, cause_of, imbalance_leaves, readings_of, tariff_node
from projections.explained import MAX_CHILDREN, ExplainNode, missing, position_of, rounding, shown
from projections.view import Ask, Row
from schemas.values import PRICED_AS_IMBALANCE

_PICO_PER_MICRO: Final = 10**6
_PICO_DIGITS: Final = 12

_BY_TARIFF: Final = ("residual", "surplus")
_CHARGED_SIGN: Final[Mapping[str, int]] = {
    "shared_consumption": 1,
    "delivered_purchase": 1,
    "residual": 1,
    "shared_production": -1,
    "delivered_sale": -1,
    "surplus": -1,
    "response": -1,
}
"""Whether energy at a positive price is charged to the party (+) or credited to it (-)."""

_LINE: Final = """
SELECT l.number AS line_number, l.charge, l.connection, l.energy_wh, l.tariff_version, l.price_nano_per_kwh,
       l.amount_minor, l.minor_digits, l.currency,
       i.invoice, i.number, i.issuer, i.party, i.from_at, i.to_at, i.partition, i.seq, i.tick
FROM invoice_lines l
JOIN invoices i ON i.invoice = l.invoice
WHERE l.invoice = %(invoice)s AND l.number = %(line_number)s
"""

# The ledger's partition tells what the invoice could know: everything recorded before it.
_TARIFFS: Final = """
SELECT version, residual_price_nano_per_kwh, surplus_price_nano_per_kwh, valid_from, partition, seq, tick
FROM tariffs
WHERE issuer = %(issuer)s AND partition = %(partition)s AND seq < %(seq)s
ORDER BY valid_from, version
"""

_ACCRUALS: Final = """
SELECT a.run, a.run_number, a.from_at, a.line, a.reference, a.energy_wh, a.amount_micro,
       a.partition, a.seq, a.tick,
       p.partition AS posted_partition, p.seq AS posted_seq, p.tick AS posted_tick,
       p.energy_wh AS posted_wh, p.amount_micro AS posted_micro
FROM accruals a
LEFT JOIN posted_lines p ON p.run = a.run AND p.line = a.line
WHERE a.issuer = %(issuer)s AND a.party = %(party)s AND a.connection = %(connection)s
  AND a.charge = %(charge)s AND a.partition = %(partition)s AND a.seq < %(seq)s
  AND a.from_at >= %(from_at)s AND a.to_at <= %(to_at)s
ORDER BY a.seq, a."row"
"""

_SETTLED: Final = """
SELECT l.run, l.number AS run_number, l.line, l.kind, l.connection, l.party, l.reference, l.from_at,
       l.interval_min, l.first_interval, l.energy_wh, l.settled_wh, l.price_nano_per_kwh, l.amount_micro,
       l.partition, l.seq, l.tick, r.cutoff_tick
FROM settlement_lines l
JOIN runs r ON r.run = l.run
WHERE l.run = ANY(%(runs)s) AND l.connection = %(connection)s AND l.line = ANY(%(lines)s)
ORDER BY l.seq, l."row"
"""


class BillLineUnknown(LookupError):
    """There is no such line on the slates: a wrong id or number, or the projection has not come that far."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One settlement line behind the bill line: what was accrued for it, and the line of the last such run."""

    accruals: Sequence[Row]
    settled: Row | None

    @property
    def energy_wh(self) -> int:
        return sum(row["energy_wh"] for row in self.accruals)

    @property
    def amount_micro(self) -> int:
        return sum(row["amount_micro"] for row in self.accruals)


async def explain(ask: Ask, invoice: str, line_number: int) -> ExplainNode:
    """The tree behind one line of an invoice. Its root's `amount_pico` is what is charged (> 0) or credited.

    Raises:
        BillLineUnknown: the slates hold no such line.
    """
    found = await ask(_LINE, {"invoice": invoice, "line_number": line_number})
    if not found:
        raise BillLineUnknown(f"no line {line_number} of invoice {invoice} on the slates")
    bill = found[0]
    tariffs = await ask(_TARIFFS, bill)
    parts = await _parts(ask, bill, tariffs)
    nodes = [await _money(ask, bill, part) for part in parts]
    for n, part in enumerate(parts[: MAX_CHILDREN + 1]):
        nodes[n] = await _with_evidence(ask, nodes[n], part)
    unit_pico = 10 ** (_PICO_DIGITS - bill["minor_digits"])
    total = sum(node.amount_pico or 0 for node in nodes)
    pricing = [tariff_node(t, bill) for t in tariffs if t["version"] == bill["tariff_version"]]
    if bill["tariff_version"] and not pricing:
        pricing = [missing("tariff", f"Tariff version {bill['tariff_version']} is not on the slates.")]
    return ExplainNode(
        title=f"line {line_number} of invoice {bill['number']}: {_said(bill['charge'])}",
        what=(
            f"{bill['issuer']} bills {bill['party']} for {_said(bill['charge'])} at {bill['connection']}: "
            f"{bill['energy_wh']:,} Wh."
        ),
        figures={
            "energy_wh": bill["energy_wh"],
            "price_nano_per_kwh": bill["price_nano_per_kwh"],
            "amount_minor": bill["amount_minor"],
            "minor_digits": bill["minor_digits"],
        },
        position=position_of("billing", bill),
        children=(
            *shown(nodes, "settlement lines"),
            rounding(total, unit_pico, "the currency's minor unit"),
            *pricing,
        ),
        amount_pico=bill["amount_minor"] * unit_pico,
        holds=sum(part.energy_wh for part in parts) == bill["energy_wh"],
    )


async def _parts(ask: Ask, bill: Row, tariffs: Sequence[Row]) -> list[_Part]:
    """The settlement lines that the bill line sums, in order of time and reference."""
    accruals: dict[str, list[Row]] = {}
    for row in await ask(_ACCRUALS, bill):
        if _tariff_version(bill["charge"], row, tariffs) == bill["tariff_version"]:
            accruals.setdefault(row["line"], []).append(row)
    last_runs = {line: rows[-1]["run"] for line, rows in accruals.items()}
    parameters = {
        "runs": sorted(set(last_runs.values())),
        "lines": sorted(accruals),
        "connection": bill["connection"],
    }
    settled = {(row["run"], row["line"]): row for row in await ask(_SETTLED, parameters)}
    parts = [_Part(rows, settled.get((last_runs[line], line))) for line, rows in accruals.items()]
    return sorted(parts, key=_time_and_reference)


def _time_and_reference(part: _Part) -> tuple[int, int, str, str]:
    first = part.accruals[0]
    interval = part.settled["first_interval"] if part.settled else 0
    return first["from_at"], interval, first["reference"], first["line"]


def _tariff_version(charge: str, accrual: Row, tariffs: Sequence[Row]) -> int:
    """Which tariff priced an accrual: the one in force when its settlement period began; 0 for none."""
    if charge not in _BY_TARIFF or accrual["reference"] == PRICED_AS_IMBALANCE:
        return 0
    versions = [int(t["version"]) for t in tariffs if t["valid_from"] <= accrual["from_at"]]
    return versions[-1] if versions else 0


async def _money(ask: Ask, bill: Row, part: _Part) -> ExplainNode:
    """The amount of a settlement line: what the ledger has accrued, split as the settlement reckons it."""
    by_tariff = bill["tariff_version"] > 0
    price = bill["price_nano_per_kwh"]
    if by_tariff:
        amount_pico = _CHARGED_SIGN[bill["charge"]] * price * part.energy_wh
    else:
        amount_pico = -part.amount_micro * _PICO_PER_MICRO
    reference, line = part.accruals[0]["reference"], part.settled
    if line is None:
        return ExplainNode(
            title=f"settlement line {reference}",
            what=f"Run {part.accruals[-1]['run_number']} took this line back: nothing of it is left.",
            figures={"energy_wh": part.energy_wh, "amount_micro": part.amount_micro},
            amount_pico=amount_pico,
            holds=part.energy_wh == part.amount_micro == 0,
        )
    leaves: list[ExplainNode] = []
    if by_tariff:
        leaves.append(_energy_leaf(bill["charge"], line["settled_wh"], price))
    elif bill["charge"] == "imbalance":
        leaves += await imbalance_leaves(ask, _settled(line))
    elif bill["charge"] not in _BY_TARIFF:
        leaves.append(_energy_leaf(bill["charge"], line["settled_wh"], line["price_nano_per_kwh"]))
    if leaves and not by_tariff:
        exact = sum(leaf.amount_pico or 0 for leaf in leaves)
        leaves = [*shown(leaves, "intervals"), rounding(exact, _PICO_PER_MICRO, "10⁻⁶ of the currency")]
    return ExplainNode(
        title=f"settlement line {reference}",
        what=(
            f"Run {line['run_number']} settled {line['settled_wh']:,} Wh of {_said(line['kind'])} "
            f"at {line['connection']} ({reference})."
        ),
        figures={
            "energy_wh": line["settled_wh"],
            "amount_micro": line["amount_micro"],
            "price_nano_per_kwh": price if by_tariff else line["price_nano_per_kwh"],
            "cutoff_tick": line["cutoff_tick"],
        },
        position=position_of("settlement", line),
        children=tuple(leaves),
        amount_pico=amount_pico,
        # The differences that the runs posted add up to the line of the last of them.
        holds=(part.energy_wh, part.amount_micro) == (line["settled_wh"], line["amount_micro"]),
    )


def _energy_leaf(charge: str, settled_wh: int, price_nano_per_kwh: int) -> ExplainNode:
    # 10⁻⁹ per kWh × Wh = 10⁻¹²
    return ExplainNode(
        title="energy × price",
        what=f"{settled_wh:,} Wh at {price_nano_per_kwh:,} nano per kWh.",
        figures={"energy_wh": settled_wh, "price_nano_per_kwh": price_nano_per_kwh},
        amount_pico=_CHARGED_SIGN[charge] * price_nano_per_kwh * settled_wh,
    )


async def _with_evidence(ask: Ask, node: ExplainNode, part: _Part) -> ExplainNode:
    """Adds what ran before: the runs' postings, the cause, the readings."""
    evidence = list(shown([_posted(row) for row in part.accruals], "postings"))
    if part.settled is not None:
        settled = _settled(part.settled)
        evidence += await cause_of(ask, settled)
        evidence += await readings_of(ask, settled)
    return replace(node, children=(*node.children, *evidence))


def _posted(accrual: Row) -> ExplainNode:
    """What one run changed: posted by the settlement, accrued in the ledger."""
    figures = {"energy_wh": accrual["energy_wh"], "amount_micro": accrual["amount_micro"]}
    if accrual["posted_seq"] is None:
        posted = missing("posted line", f"Run {accrual['run']} posted no such line on the slates.")
    else:
        posted = ExplainNode(
            title=f"posted by run {accrual['run_number']}",
            what=f"Settlement run {accrual['run_number']} posted this difference.",
            figures={"energy_wh": accrual["posted_wh"], "amount_micro": accrual["posted_micro"]},
            position=position_of(
                "settlement",
                {name: accrual[f"posted_{name}"] for name in ("partition", "seq", "tick")},
            ),
            holds=(accrual["posted_wh"], accrual["posted_micro"]) == (accrual["energy_wh"], accrual["amount_micro"]),
        )
    return ExplainNode(
        title=f"accrued from run {accrual['run_number']}",
        what=f"The ledger took in the difference that settlement run {accrual['run_number']} made.",
        figures=figures,
        position=position_of("billing", accrual),
        children=(posted,),
    )


def _settled(line: Mapping[str, Any]) -> Settled:
    return Settled(
        kind=line["kind"],
        connection=line["connection"],
        reference=line["reference"],
        from_at=line["from_at"],
        interval_min=line["interval_min"],
        first_interval=line["first_interval"],
        energy_wh=tuple(line["energy_wh"]),
        settled_wh=line["settled_wh"],
        price_nano_per_kwh=line["price_nano_per_kwh"],
        cutoff_tick=line["cutoff_tick"],
    )


def _said(charge: str) -> str:
    return charge.replace("_", " ")
