"""The markets' part of the story: each kind of deal of the day, with its figures."""

from rich.console import Console
from rich.table import Table

from examples import market_account as account
from examples.figures import cent, kwh, money
from examples.neighbours import LINE, NEIGHBOURS
from examples.world import SHARING, TRADING
from gateways.app import App


async def tell(app: App, console: Console) -> None:
    """Prints what the markets did beside single trades."""
    await _auctions(app, console)
    await _listing(app, console)
    await _mandates(app, console)
    await _changed(app, console)
    await _margin_calls(app, console)
    await _line(app, console)
    await _block(app, console)


async def _auctions(app: App, console: Console) -> None:
    rows = await account.auctions_of(app)
    auctioned = sum(row["auctioned_wh"] for row in rows)
    later = sum(row["traded_wh"] - row["auctioned_wh"] for row in rows)
    console.print(
        f"Every book of {TRADING} collects bids until 90 minutes before delivery; then it is called: "
        f"{sum(row['auctions'] for row in rows)} auctions traded {kwh(auctioned)}, each at one price. From then to the "
        f"gate each book traded on continuously: {kwh(later)}."
    )


async def _listing(app: App, console: Console) -> None:
    rows = await account.listing(app)
    table = Table("bidder", "bid", "outcome", "pays", "contract", "delivered")
    for row in rows:
        won = row["contract"] is not None
        paid, sold = (cent(row["paid_nano_per_kwh"]), kwh(row["sold_wh"])) if won else ("", "")
        delivered = kwh(row["delivered_wh"]) if won else ""
        table.add_row(row["bidder"], cent(row["price_nano_per_kwh"]), row["state"], paid, sold, delivered)
        table.title = (
            f"A listing of {row['seller']}: {kwh(row['listed_wh'])} in {row['of_lots']} lots, at least "
            f"{cent(row['reserve_price_nano_per_kwh'])}, sealed bids, second price"
        )
    console.print(table)


async def _mandates(app: App, console: Console) -> None:
    table = Table(
        "household",
        "may",
        "budget a day",
        "forecasts",
        "orders",
        "traded",
        "beyond the budget",
        title="Standing mandates: the agent sends forecasts, the market orders what they say",
    )
    for row in await account.mandates(app):
        buys = row["buy_up_to_nano_per_kwh"]
        may = f"sell from {cent(row['sell_from_nano_per_kwh'])}" if buys is None else f"buy up to {cent(buys)}"
        budget = "" if buys is None else money(row["budget_micro"], 6, "EUR")
        counts = map(str, (row["forecasts"], row["orders"]))
        table.add_row(row["party"], may, budget, *counts, kwh(row["traded_wh"]), str(row["beyond_budget"]))
    console.print(table)


async def _changed(app: App, console: Console) -> None:
    for row in await account.amended(app):
        console.print(
            f"{row['party']} amended a resting order from {kwh(row['first_wh'])} at {cent(row['first_nano_per_kwh'])} "
            f"to {kwh(row['rest_wh'])} at {cent(row['limit_price_nano_per_kwh'])}: it was {row['state']}, "
            f"{kwh(row['traded_wh'])} traded."
        )
    for row in await account.rebids(app):
        console.print(
            f"{row['party']} and {row['buyer']} had a contract at {cent(row['price_nano_per_kwh'])}; its version "
            f"{row['version']} is {row['state']}, both agreed. {row['party']} bid its {kwh(row['quantity_wh'])} again, "
            f"naming the contract ({row['rebid_of'][:8]}…): {kwh(row['traded_wh'])} traded, at best at "
            f"{cent(row['highest'] or 0)}."
        )


async def _margin_calls(app: App, console: Console) -> None:
    for row in await account.margin_calls(app):
        console.print(
            f"The ledger lowered the credit of {row['party']} to {money(row['limit_micro'], 6, 'EUR')}, and it had bid "
            f"for more: a margin call. Its bids taken back it was exposed with "
            f"{money(row['exposure_micro'], 6, 'EUR')}: the call is {row['state']}, "
            f"{row['minutes_left']} minutes before its deadline."
        )


async def _line(app: App, console: Console) -> None:
    rows = await account.line(app)
    table = Table(
        "hour",
        "line carries",
        "crossed, dearest at",
        "traded at home, dearest at",
        "full quarter-hours",
        title=f"The market {NEIGHBOURS}: from {SHARING} over the line {LINE} to {TRADING}, and the rest at home",
    )
    for row in rows:
        crossed, home = (
            f"{kwh(row[f'{where}_wh'])}, {cent(row[f'{where}_nano_per_kwh'])}" if row[f"{where}_wh"] else "nothing"
            for where in ("crossed", "home")
        )
        table.add_row(row["hour"], kwh(row["capacity_wh"]), crossed, home, str(row["full_intervals"]))
    console.print(table)


async def _block(app: App, console: Console) -> None:
    table = Table("seller", "in", "offered", "taken", "price", "delivered")
    for row in await account.block_of(app):
        table.add_row(
            row["seller"],
            row["zone"],
            kwh(row["offered_wh"]),
            kwh(row["taken_wh"]),
            cent(row["price_nano_per_kwh"]),
            kwh(row["delivered_wh"]),
        )
        table.title = (
            f"A negotiated block: {row['enquirer']} of {row['buyer_zone']} asked for {kwh(row['asked_wh'])} over "
            f"{row['intervals']} quarter-hours; two communities serve it"
        )
    console.print(table)
