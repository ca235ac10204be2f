"""Wishes about a market. Key: the market."""

from schemas.equipment import Equipment, StoredEnergy
from schemas.market.events import OrderTerms, Restriction, RuleSet
from schemas.message import command
from schemas.values import (
    AmountMicro,
    Count,
    Currency,
    EnergyWh,
    Id,
    Minutes,
    PowerW,
    PriceNanoPerKwh,
    Side,
    TimeUs,
)


@command
class AdoptRuleSet:
    """The operator's rules for deliveries from `effective_from` on; the first one opens the market."""

    effective_from: TimeUs
    rules: RuleSet


@command
class OpenSession:
    """Lists one instrument for each of `intervals` consecutive deliveries.

    They last `duration_min` each; none is the settlement interval.
    """

    first_start_at: TimeUs
    intervals: Count
    duration_min: Minutes | None = None


@command
class AdmitParticipant:
    """A party asks to trade (sent by a policy)."""

    party: Id


@command
class RecordCapability:
    """The site allots injection capability of its verified `resources` to the market (sent by a policy).

    For deliveries in [valid_from, valid_to), none is no border. `equipment` says what was found of each resource,
    `stored` what storage adds.
    """

    connection: Id
    party: Id
    injection_w: PowerW
    resources: tuple[Id, ...]
    zone: Id
    valid_from: TimeUs | None = None
    valid_to: TimeUs | None = None
    equipment: tuple[Equipment, ...] = ()
    stored: StoredEnergy | None = None


@command
class RecordCredit:
    """The ledger of `issuer`, the market's operator, allots this credit to the party (sent by a policy)."""

    issuer: Id
    party: Id
    currency: Currency
    limit_micro: AmountMicro


@command
class SubmitOrder:
    """Bids for one instrument. `party` is the owner: the account that is debited, not the agent that submits.

    The zone is the connection's. `quantity_wh` is of the whole delivery of `duration_min`.
    """

    party: Id
    connection: Id
    delivery_start_at: TimeUs
    side: Side
    quantity_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh
    restriction: Restriction
    expires_at: TimeUs | None
    duration_min: Minutes = 15
    terms: OrderTerms | None = None


@command
class CancelOrder:
    """Takes what is left of a resting order out of the book."""

    order: Id


@command
class AmendOrder:
    """What is to be open of a resting order from now on, at which price and for how long.

    Less of it, or another expiry, keeps its priority; another price, or more of it, loses it.
    """

    order: Id
    rest_wh: EnergyWh
    limit_price_nano_per_kwh: PriceNanoPerKwh
    expires_at: TimeUs | None


@command
class CancelOrders:
    """Takes all open orders of a party out of the book: of one instrument or of all, of one side or of both.

    The actor is the party, or the operator. One wish takes so many as a decision holds; what is left is named.
    """

    party: Id
    delivery_start_at: TimeUs | None
    duration_min: Minutes | None
    side: Side | None


@command
class ProposeContract:
    """Offers a negotiated, firm contract over consecutive intervals; the counterparty approves or it lapses.

    The actor is the seller or the buyer; `quantity_wh` is per interval.
    """

    seller: Id
    buyer: Id
    seller_connection: Id
    buyer_connection: Id
    first_start_at: TimeUs
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh


@command
class ApproveContract:
    """The counterparty of a proposed contract agrees (Y.2072 6.2.2, stage 4)."""

    contract: Id


@command
class SettleDelivery:
    """Deliveries in [from_at, to_at) are settled and posted (sent by a policy): exposure and books may go.

    `area` is the settlement area (a zone) that was settled (none: all of them).
    """

    from_at: TimeUs
    to_at: TimeUs
    area: Id | None = None
