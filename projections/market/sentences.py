"""Why something was refused, or left the book, in a sentence for whom it concerns: what, limit, found, what to do.

Numbers are formatted exactly. Money stands in the market's currency, which a refusal does not carry: `CURRENCY` stands
in its place until somebody who knows the market fills it in.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.market.reasons import CancelReason, MarketRefusal
from schemas.values import INT64_MAX, MINUTE_US

CURRENCY: Final = "{currency}"
"""Where the market's currency goes."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def refusal_said(command: str, reason: MarketRefusal, limit: int, found: int) -> str:
    """The sentence for a refused command; `limit` and `found` as the refusal carries them."""
    unit, text = REFUSALS[reason]
    if unit is energy_wh and command in _IN_LOTS:
        unit = lots
    return text.replace("{limit}", unit(limit)).replace("{found}", unit(found))


def cancellation_said(reason: CancelReason) -> str:
    """Why an order, or what was left of it, is out of the book."""
    return CANCELLATIONS[reason]


def count(value: int) -> str:
    """A plain number."""
    return str(value)


def energy_wh(value: int) -> str:
    """Energy."""
    return f"{value} Wh"


def power_w(value: int) -> str:
    """Power."""
    return f"{value} W"


def lots(value: int) -> str:
    """Equal parts of a listing."""
    return f"{value} lots"


def price(value: int) -> str:
    """A price in 10⁻⁹ currency units per kWh, as currency per kWh."""
    return f"{_decimal(value, 9)} {CURRENCY} per kWh"


def money(value: int) -> str:
    """Money in 10⁻⁶ currency units. The largest number stands for everything above it."""
    said = f"{_decimal(value, 6)} {CURRENCY}"
    return said if value < INT64_MAX else f"more than {said}"


def time_utc(value: int) -> str:
    """A time (UTC µs), to the minute unless it has seconds. What no calendar knows stays a number."""
    if not 0 <= value <= _LAST_US:
        return f"{value} µs after 1970"
    at = _EPOCH + timedelta(microseconds=value)
    seconds = f":{at.second:02}" if value % MINUTE_US else ""
    micro = f".{at.microsecond:06}" if at.microsecond else ""
    return f"{at.year:04}-{at.month:02}-{at.day:02} {at.hour:02}:{at.minute:02}{seconds}{micro} UTC"


def grid(value: int) -> str:
    """On a grid of time there are lengths and times: minutes, or µs up to a day, or a time."""
    if 0 <= value <= _DAY_MIN:
        return f"{value} min"
    if 0 <= value <= _DAY_MIN * MINUTE_US and not value % MINUTE_US:
        return f"{value // MINUTE_US} min"
    return time_utc(value)


_DAY_MIN: Final = 1440


def _decimal(value: int, digits: int) -> str:
    """`value` × 10^-digits without trailing zeros; at least two digits stand behind the point."""
    whole, part = divmod(abs(value), 10**digits)
    behind = f"{part:0{digits}}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}.{behind:0<2}"


_IN_LOTS: Final = frozenset({"PlaceBid"})
"""Commands whose quantity is a number of lots."""

_R: Final = MarketRefusal
Unit = Callable[[int], str]

REFUSALS: Final[Mapping[MarketRefusal, tuple[Unit, str]]] = {
    _R.MARKET_UNKNOWN: (count, "There is no market of this name yet: check the name, or wait for its first rules."),
    _R.ORDER_UNKNOWN: (count, "No order of this id is known here: check the id and the market."),
    _R.CONTRACT_UNKNOWN: (count, "No contract of this id is known here: check the id and the market."),
    _R.NOT_AUTHORISED: (
        count,
        "Only the party that it belongs to, or the operator, may do this: send it as that party.",
    ),
    _R.WRONG_CURRENCY: (count, "The market has another currency, for ever: use the market's."),
    _R.WRONG_ZONE: (count, "This is outside the market's zones, or of another zone than its other side: use one zone."),
    _R.NOT_FUTURE: (time_utc, "It may begin at {limit} at the earliest, found {found}: choose a later time."),
    _R.INVALID_RULES: (
        count,
        "A value of the rules is out of its range: the bound is {limit}, found {found}: correct it.",
    ),
    _R.ALREADY_ADMITTED: (count, "The party is a participant already: nothing is left to do."),
    _R.DELIVERY_NOT_OVER: (time_utc, "Only what is delivered by {limit} is over, found {found}: send it again later."),
    _R.SAME_PARTY: (count, "Both sides are the same party: nobody deals with themselves; name another one."),
    _R.TOO_MANY_INTERVALS: (count, "At most {limit} intervals come together, found {found}: send fewer, at least one."),
    _R.SESSION_OFF_GRID: (grid, "It does not fit the market's grid of {limit}, found {found}: choose times that do."),
    _R.SESSION_OVERLAPS: (
        time_utc,
        "Deliveries up to {limit} are listed already, found one from {found}: begin behind them.",
    ),
    _R.INSTRUMENT_UNKNOWN: (
        time_utc,
        "No delivery of this duration that starts at {found} is listed here: look at the open sessions.",
    ),
    _R.NOT_OPEN: (time_utc, "Trading opens at {limit}, it was {found}: send it again then."),
    _R.GATE_CLOSED: (time_utc, "The gate closed at {limit}, it was {found}: choose a later delivery."),
    _R.ORDER_NOT_OPEN: (count, "Nothing of the order is open any more: it is filled, cancelled or expired."),
    _R.CONTRACT_NOT_PROPOSED: (
        time_utc,
        "The proposal is concluded or lapsed (its deadline was {limit}, it was {found}): propose again.",
    ),
    _R.PARTICIPANT_UNKNOWN: (count, "The party is not admitted to this market: join it first."),
    _R.CONNECTION_UNKNOWN: (
        count,
        "The connection is unknown here or is another party's: name one of the party's own.",
    ),
    _R.RESOURCE_NOT_VERIFIED: (
        count,
        "Nothing behind the connection is verified, so it may buy only: have its equipment verified.",
    ),
    _R.QUANTITY_ZERO: (energy_wh, "A quantity is at least {limit}, found {found}: give one above zero."),
    _R.QUANTITY_OFF_LOT: (energy_wh, "A quantity is a multiple of {limit}, found {found}: round it to the lot."),
    _R.QUANTITY_ABOVE_MAXIMUM: (energy_wh, "A quantity is at most {limit}, found {found}: send less, or in parts."),
    _R.PRICE_OFF_TICK: (price, "A price is a multiple of {limit}, found {found}: round it to the tick."),
    _R.PRICE_OUT_OF_RANGE: (price, "The price range of the market ends at {limit}, found {found}: stay within it."),
    _R.EXPIRY_IN_THE_PAST: (time_utc, "It was {limit} already, found an expiry at {found}: choose a later one."),
    _R.EXPIRY_AFTER_GATE: (time_utc, "The gate closes at {limit}, found an end at {found}: choose an earlier one."),
    _R.CAPABILITY_EXCEEDED: (
        energy_wh,
        "The connection can sell {limit} in one settlement interval, with this it would be {found}: sell less, or have"
        " more allotted.",
    ),
    _R.CREDIT_EXCEEDED: (
        money,
        "The credit limit is {limit}, with this the exposure would be {found}: bid less, or have the limit raised.",
    ),
    _R.ZONE_UNKNOWN: (count, "The market's network has no such zone: use one of its zones."),
    _R.LINE_UNKNOWN: (count, "The market's network has no such line: use one of its lines."),
    _R.SUSPENDED: (count, "Trading is suspended here: orders may only be cancelled until the operator resumes it."),
    _R.MINIMUM_ABOVE_QUANTITY: (energy_wh, "The quantity is {limit}, found a minimum of {found}: ask for no more."),
    _R.PRICE_OUT_OF_COLLAR: (
        price,
        "The collar around the last price ends at {limit}, found {found}: check the price, it looks like a slip.",
    ),
    _R.RESTRICTION_NOT_IN_CALL: (
        energy_wh,
        "Orders are being collected for an auction, which takes neither a restriction nor a minimum (found {found}):"
        " leave both out, or wait.",
    ),
    _R.NOTHING_CHANGED: (count, "Everything is so already: nothing is left to do."),
    _R.AUCTION_UNDERWAY: (count, "An auction is under way here: wait for its result."),
    _R.NOT_SUSPENDED: (count, "Trading is not suspended here: nothing is left to resume."),
    _R.TOO_MANY_ORDERS: (count, "At most {limit} orders come together, found {found}: send fewer, at least one."),
    _R.BASKET_OVERLAPS: (time_utc, "Two orders of the basket are for the delivery at {found}: keep one of them."),
    _R.BLOCK_UNKNOWN: (count, "No open block of this id is known here: it may be filled, cancelled or expired."),
    _R.RESTRICTION_NOT_IN_BLOCK: (count, "A block is all-or-none, fill-or-kill or a sweep: choose one of these."),
    _R.CAPABILITY_IN_USE: (
        energy_wh,
        "There would be {limit} left in one settlement interval, found {found} sold or on offer: buy back first.",
    ),
    _R.STORAGE_EXCEEDED: (
        energy_wh,
        "The storage holds {limit} at that time, {found} would be drawn from it: sell less, or charge before.",
    ),
    _R.LISTING_UNKNOWN: (count, "No listing of this id is known here: check the id and the market."),
    _R.INVALID_LISTING: (count, "A value of the listing is out of its range: the bound is {limit}, found {found}."),
    _R.LISTING_NOT_OPEN: (time_utc, "The listing closed (its end was {limit}, it was {found}): bid on another one."),
    _R.CAPACITY_EXCEEDED: (
        energy_wh,
        "The disclosed capacity gives {limit} in one interval, found {found}: offer less, or disclose more.",
    ),
    _R.BID_NOT_STANDING: (count, "The bid does not stand any more: it was replaced, beaten or taken back."),
    _R.BID_LEADS: (count, "The bid leads an ascending listing: it stands until somebody bids more."),
    _R.REASON_MISSING: (count, "Somebody has bid on it: say why it is taken back."),
    _R.TOO_MANY_BIDS: (
        count,
        "A listing takes at most {limit} bids, this would be number {found}: bid on another one.",
    ),
    _R.BELOW_RESERVE: (price, "The lowest price is {limit}, found {found}: bid more."),
    _R.BELOW_INCREMENT: (price, "The next bid is at least {limit}, found {found}: bid more."),
    _R.PARTICIPANT_IN_DEFAULT: (count, "The party is in default and may not trade: settle it with the operator first."),
    _R.CONTRACT_NOT_CONCLUDED: (count, "The contract is cancelled or not concluded yet: nothing of it can change."),
    _R.VERSION_OUTDATED: (count, "The contract is at version {limit}, found {found}: read it again, then decide."),
    _R.REVISION_WAITING: (
        time_utc,
        "Another proposal about this contract waits until {limit}, it was {found}: answer it first.",
    ),
    _R.REVISION_NOT_WAITING: (count, "The proposed revision does not wait any more: it was answered, or lapsed."),
    _R.INTERVALS_DIFFER: (count, "The contract has {limit} intervals, found {found}: give a quantity for each."),
    _R.WINDOW_OVER: (time_utc, "This was possible until {limit}, it was {found}: nothing can be done any more."),
    _R.LINE_EXCEEDED: (
        energy_wh,
        "The line carries {limit} in one interval, with this it would be {found}: send less.",
    ),
    _R.NOT_IN_DEFAULT: (count, "The party is not in default: nothing is left to end."),
    _R.DEFAULT_STILL_OPEN: (count, "What the default cost is not settled yet: wait until it is."),
    _R.REBID_UNFOUNDED: (
        count,
        "What is offered again was no ended order or contract of the party: name one of its own.",
    ),
    _R.OUTLET_UNKNOWN: (count, "No outlet of this id is known here: check the id and the market."),
    _R.OUTLET_NOT_PROPOSED: (
        time_utc,
        "The outlet is not waiting for an answer (its deadline was {limit}, it was {found}).",
    ),
    _R.OUTLET_NOT_CONCLUDED: (count, "The outlet is not in force: nothing of it can change."),
    _R.OUTLET_OVERLAPS: (
        time_utc,
        "Another outlet takes the output until {limit}, this one begins at {found}: begin later.",
    ),
    _R.PERIOD_INVALID: (
        time_utc,
        "The period must end after it begins: the bound is {limit}, found {found}: correct it.",
    ),
    _R.TOO_MANY_CONNECTIONS: (count, "At most {limit} connections come together, found {found}: name fewer."),
    _R.AUCTION_UNKNOWN: (
        time_utc,
        "No auction waits for this result any more (its deadline was {limit}, it was {found}): call a new one.",
    ),
    _R.PART_UNEXPECTED: (count, "Part {limit} comes next, found {found}: send the parts in their order."),
    _R.CLEARING_WRONG: (count, "The result breaks rule {found} of clearing, {limit} may: compute it again."),
    _R.PRODUCT_UNKNOWN: (count, "No product of this id is known here: check the id and the market."),
    _R.PRODUCT_KNOWN: (count, "A product of this id is registered already: amend it, or choose another id."),
    _R.PRODUCT_OF_A_PURCHASE: (count, "Only an offer to sell names a product: leave it out."),
    _R.PRODUCT_ENDED: (count, "The product is suspended or retired: resume it, or name another one."),
    _R.PRODUCT_VERSION_OLD: (count, "The newest version is {limit}, found {found}: look at it and verify that one."),
    _R.PRODUCT_WITHOUT_MEMBERS: (
        count,
        "A product has 1 to {limit} different resources, found {found}: name each of them once.",
    ),
    _R.POWER_ZERO: (power_w, "A product has a power of at least {limit}, found {found}: give its maximum power."),
    _R.POWER_ABOVE_ELECTRICAL: (
        power_w,
        "Voltage, current and power factor carry {limit}, found {found}: correct the rating or the power.",
    ),
    _R.SCHEDULE_OFF_GRID: (grid, "A schedule begins on a multiple of {limit}, found {found}: move its begin."),
    _R.SCHEDULE_ABOVE_POWER: (
        energy_wh,
        "The maximum power gives {limit} an interval, found {found}: lower the schedule.",
    ),
    _R.SCHEDULE_ABOVE_CAPACITY: (energy_wh, "The capacity is {limit}, the schedule {found}: lower the schedule."),
    _R.SOURCE_DIFFERS: (count, "A resource is unknown here or of another source: name resources of the one source."),
    _R.POWER_ABOVE_RESOURCES: (
        power_w,
        "The verified resources give {limit} together, found {found}: lower the maximum power.",
    ),
    _R.PRODUCT_NOT_VERIFIED: (count, "Version {found} of the product is not verified yet: have it verified first."),
    _R.PRODUCT_OF_OTHERS: (
        count,
        "The product is another seller's or does not cover the connection: name one that does.",
    ),
    _R.PRODUCT_EXPIRED: (time_utc, "The product may be offered until {limit}, found {found}: choose an earlier end."),
    _R.QUALITY_NOT_MET: (
        count,
        "The book requires a quality (bound {limit}, found {found}): name a product with it.",
    ),
    _R.PRICE_BELOW_PRODUCT: (price, "The product's lowest price is {limit}, found {found}: ask for more."),
    _R.QUANTITY_ABOVE_PRODUCT: (
        energy_wh,
        "The product gives {limit} in one settlement interval, found {found}: sell less.",
    ),
    _R.ENQUIRY_UNKNOWN: (count, "No enquiry of this id is known here: check the id and the market."),
    _R.ENQUIRY_NOT_OPEN: (
        time_utc,
        "The enquiry is over (its deadline was {limit}, it was {found}): wait for, or open, another one.",
    ),
    _R.AMOUNT_UNCLEAR: (
        count,
        "Ask for energy per interval or for power over intervals ({limit} energies, {found} intervals): give one of"
        " both.",
    ),
    _R.TOO_MANY_ADDRESSED: (count, "At most {limit} different sellers are addressed, found {found}: name fewer."),
    _R.NOT_ADDRESSED: (count, "The enquiry asks other sellers: answer those that ask you, or all."),
    _R.OFFER_UNKNOWN: (count, "The enquiry has no such offer: check the id."),
    _R.OFFER_BOUND: (count, "The offer is part of a combination that waits for its answer: wait for it."),
    _R.TOO_MANY_OFFERS: (count, "An enquiry takes {limit} offers, this would be {found}: look for another one."),
    _R.PROFILE_DIFFERS: (count, "The enquiry has {limit} intervals, the offer {found}: give a value for each."),
    _R.NOTHING_OFFERED: (count, "There is no offer yet that could be combined: wait, or raise the limit price."),
    _R.ROUNDS_EXCEEDED: (count, "At most {limit} counter-offers are allowed, this would be {found}: accept or refuse."),
    _R.ALREADY_ANSWERED: (count, "This counter-offer was answered already: wait for the other side."),
    _R.MANDATE_UNKNOWN: (count, "No mandate of this id is known here: check the id and the market."),
    _R.MANDATE_STANDS: (count, "The connection has a mandate already: revoke it first."),
    _R.INVALID_MANDATE: (
        count,
        "A value of the mandate is out of its range: bound {limit}, found {found}: correct it.",
    ),
    _R.OUTSIDE_MANDATE: (count, "The mandate does not cover this interval: change its prices, days or period."),
    _R.FORECAST_OUTDATED: (count, "Version {limit} or later comes next, found {found}: send a newer forecast."),
    _R.BUDGET_EXCEEDED: (count, "The day's budget of the mandate is used up: raise it, or wait for the next day."),
    _R.NOT_FORWARD: (count, "Read up to {limit} already, found {found}: acknowledge only what comes behind it."),
    _R.POSITION_UNKNOWN: (count, "The market's facts end at {limit}, found {found}: acknowledge what you were told."),
    _R.SURVEILLANCE_OFF: (count, "The rules of this delivery watch for nothing of this kind: adopt thresholds first."),
    _R.NO_SESSION_AUCTION: (
        count,
        "No session's auction collects blocks for all of these deliveries: choose deliveries of one that does.",
    ),
    _R.PARENT_UNKNOWN: (count, "The parent is no block of the party in this auction: name one that stands."),
    _R.TOO_MANY_BLOCKS: (count, "An auction takes {limit} blocks, this would be number {found}: bid in single orders."),
    _R.ALREADY_REPORTED: (count, "This was reported of the party and delivery already: nothing is left to do."),
    _R.NOT_ONE_UNIT: (energy_wh, "Every order of this book is {limit}, found {found}: send one unit."),
    _R.UNIT_STANDS: (count, "A party has {limit} open order a side here, this would be {found}: change or cancel it."),
}
"""Reason → unit of limit and found, and the sentence."""

_C: Final = CancelReason

CANCELLATIONS: Final[Mapping[CancelReason, str]] = {
    _C.OWNER: "You took it back.",
    _C.IOC_REST: "It was to take what there is at once; nothing more could be had within its limit.",
    _C.FOK_UNFILLABLE: "It was to be filled whole at once, and there was not enough within its limit.",
    _C.SELF_TRADE: "It would have met an order of the same owner.",
    _C.MATCH_LIMIT: "It met as many orders as one step takes; send the rest again.",
    _C.EXPIRED: "Its time was over.",
    _C.GATE_CLOSED: "The gate of its delivery closed.",
    _C.AON_UNFILLABLE: "It could only be filled whole, and cannot be any more.",
    _C.PRODUCT_AMENDED: "Its product was amended and no longer gives as much.",
    _C.MINIMUM_UNFILLABLE: "Less than its minimum could be had at once.",
    _C.EXECUTION_BAND: "The next trade would have been too far from the last price; send the rest again.",
    _C.AMENDED: "It was changed so that nothing of it is open any more.",
    _C.MASS_CANCELLATION: "All orders of the party were taken out together.",
    _C.MARKET_SUSPENDED: "The operator suspended trading.",
    _C.AUCTION_FAILED: "The auction that it waited for has no result.",
    _C.PRODUCT_ENDED: "The energy product that it sells is not on offer any more.",
    _C.DEFAULT: "The party is in default.",
    _C.BLOCK_OUTPRICED: "It would lose at the prices of its session.",
    _C.BLOCK_PASSED_OVER: "The prices of its session do not stand against it, but with it no better result was found.",
    _C.MANDATE_ENDED: "The mandate that issued it ended.",
    _C.AUCTION_OVER: "It was for the auction, which is over and left it out.",
}
