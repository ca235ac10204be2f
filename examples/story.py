"""The demo's account for people: what happened, who got how much from whom, three bills, one line explained."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from examples import account, market_account, market_story
from examples.day import Day
from examples.figures import cent, kwh, money
from examples.world import SHARING, TRADING
from gateways.app import App
from gateways.tree import as_tree
from infra.vault.vault import Vault
from projections.explain import explain


async def tell(app: App, vault: Vault, day: Day, found: Mapping[str, Any], console: Console) -> None:
    """Prints the account."""
    console.rule("[bold]The day")
    console.print(
        f"{len(day.sharing.community.connections)} connections of {SHARING} share what they feed in; "
        f"{len(day.trading.community.connections)} of {TRADING} trade it. "
        f"{found['commands']:,} wishes became {found['events']:,} facts; {found['orders']:,} orders made "
        f"{found['trades']:,} trades of {kwh(found['traded_wh'])}; {kwh(found['shared_wh'])} were shared; "
        f"{found['readings']:,} readings were recorded."
    )
    console.print(
        "Refused, each with its reason (most of them mistakes made on purpose): "
        + ", ".join(f"{reason} {n}" for reason, n in found["refusals"].items())
    )
    await _trades(app, console)
    await market_story.tell(app, console)
    await _attribution(app, console)
    console.print(
        "Money + is received by households, - is paid by them. Residual and surplus are priced by the supplier's "
        "tariff. Transit is the operator's, between the areas of a contract; transit, imbalance and response attribute "
        "no metered Wh. Of what was traded only what both meters show is "
        "delivered; the rest of it is residual and surplus."
    )
    await _flows(app, console)
    await _response(app, day, console)
    await _runs(app, console)
    await _bills(app, vault, day, console)
    line = await account.line_to_explain(app)
    console.rule("[bold]Why is that on the bill?")
    tree = await explain(app.views, line["invoice"], line["number"])
    console.print(as_tree(tree))
    _proofs(found, console)


async def _trades(app: App, console: Console) -> None:
    table = Table(
        "hour",
        "trades",
        "energy",
        "lowest",
        "mean",
        "highest",
        "of it at auction",
        title=f"Trades in {TRADING}, by hour of delivery (local time)",
    )
    auctioned = {row["hour"]: row["auctioned_wh"] for row in await market_account.auctions_of(app)}
    for row in await account.hours(app):
        table.add_row(
            row["hour"],
            str(row["trades"]),
            kwh(row["energy_wh"]),
            *(cent(row[name]) for name in ("lowest", "mean", "highest")),
            kwh(auctioned[row["hour"]]),
        )
    console.print(table)


async def _attribution(app: App, console: Console) -> None:
    table = Table("community", "what", "connections", "energy", "money fixed here", title="Every metered Wh, once")
    for row in await account.attribution(app):
        fixed = money(row["amount_micro"], 6, "EUR") if row["amount_micro"] else "by tariff or none"
        table.add_row(row["area"], row["kind"].replace("_", " "), str(row["connections"]), kwh(row["energy_wh"]), fixed)
    console.print(table)


async def _flows(app: App, console: Console) -> None:
    table = Table("from", "to", "by", "energy", "paid", title="Who got how much from whom: the largest of each kind")
    for row in await account.flows(app):
        paid = money(row["amount_micro"], 6, row["currency"]) if row["amount_micro"] else "by tariff"
        table.add_row(row["giver"], row["taker"], row["cause"], kwh(row["energy_wh"]), paid)
    console.print(table)


async def _runs(app: App, console: Console) -> None:
    table = Table("area", "run", "status", "knows ticks below", "lines posted", title="Settlement runs")
    for row in await account.runs(app):
        numbers = (row["number"], row["status"], row["cutoff_tick"], row["lines"])
        table.add_row(row["area"], *map(str, numbers))
    console.print(table)
    console.print("A later run posts only what differs from the one before; what it replaces stays on the log.")


async def _response(app: App, day: Day, console: Console) -> None:
    console.print(
        "The aggregator called an event for 17:00 to 19:00; the households' response is simulated by the demo's "
        f"agents, the baseline (KPX Mid(6/10)) is measured. {day.opted_out} opted out. The largest responses:"
    )
    table = Table("site", "status", "reference days", "baseline", "metered", "paid response")
    for row in await account.response(app):
        table.add_row(
            row["connection"],
            row["status"],
            str(row["days"]),
            kwh(row["baseline_wh"] or 0),
            kwh(row["metered_wh"] or 0),
            kwh(row["paid_wh"]),
        )
    console.print(table)


async def _bills(app: App, vault: Vault, day: Day, console: Console) -> None:
    console.rule("[bold]Bills")
    party = {c.connection: c.party for c in day.trading.community.connections}[day.corrected]
    numbers: dict[str, str] = {}
    for bill in await account.three_bills(app, party):
        person = await vault.get(bill["party"])
        name = person.name if person else bill["party"]
        kind = "self-billed credit" if bill["kind"] == "invoice" and bill["total_minor"] < 0 else bill["kind"]
        title = f"{kind.replace('_', ' ')} {bill['number']} of {bill['issuer']} for {name} ({bill['party']})"
        if bill["reverses"]:
            title += f", reverses {numbers.get(bill['reverses'], bill['reverses'])} after a meter correction"
        numbers[bill["invoice"]] = f"{bill['kind']} {bill['number']}"
        table = Table("line", "what", "energy", "amount", title=title)
        for line in await account.bill_lines(app, bill["invoice"]):
            table.add_row(
                str(line["number"]),
                line["charge"].replace("_", " "),
                kwh(line["energy_wh"]),
                money(line["amount_minor"], bill["minor_digits"], bill["currency"]),
            )
        if bill["kind"] == "invoice":
            table.add_row("", "VAT", "", money(bill["vat_minor"], bill["minor_digits"], bill["currency"]))
        table.add_row("", "total", "", money(bill["total_minor"], bill["minor_digits"], bill["currency"]), style="bold")
        console.print(table)


def _proofs(found: Mapping[str, Any], console: Console) -> None:
    console.rule("[bold]Proofs")
    sums = ", ".join(f"{currency} {n}" for currency, n in found["ledger_sum"].items())
    console.print(f"Ledger sums: {sums}. Energy not attributed exactly once: {found['energy_balance_wh']} Wh.")
    for name, holds in (*found["verified"].items(), ("chain", found["chain"])):
        console.print(f"verify {name}: {'true' if holds else 'FALSE'}", style="green" if holds else "bold red")
