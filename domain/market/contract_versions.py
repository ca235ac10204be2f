"""Versions of contracts: each is whole, names the one before, and changes only what it says."""

from collections.abc import Sequence
from typing import Any, Final

from domain.market.contract_state import Held, Version
from domain.market.state import Market
from schemas.market.contract_events import (
    ContractRevised,
    ContractState,
    RevisedTerms,
    RevisionProposed,
    RevisionReason,
)
from schemas.market.events import ContractConcluded, RuleSet
from schemas.values import DeliveryMode

ENDED: Final = (RevisionReason.CANCELLED, RevisionReason.WITHDRAWN, RevisionReason.MANIFEST_ERROR)


def concluded(
    market: str,
    rules: RuleSet,
    rules_version: int,
    contract: str,
    trade: str | None,
    seller: str,
    buyer: str,
    seller_connection: str,
    buyer_connection: str,
    zone: str,
    buyer_zone: str,
    first_start_at: int,
    quantity_wh: tuple[int, ...],
    price_nano_per_kwh: int,
    mode: DeliveryMode,
    duration_min: int | None = None,
    seller_price_nano_per_kwh: int | None = None,
) -> ContractConcluded:
    """The first version of a contract, with what the rules say of it; `quantity_wh` is per settlement interval.

    Across zones it is firm whatever the `mode`: each zone settles its own end.
    """
    crosses = None if buyer_zone == zone else buyer_zone
    agreed = rules.contracts
    return ContractConcluded(
        market,
        zone,
        rules.operator,
        contract,
        trade,
        seller,
        buyer,
        seller_connection,
        buyer_connection,
        first_start_at,
        rules.interval_min,
        quantity_wh,
        rules.currency,
        price_nano_per_kwh,
        rules.points_per_kwh,
        mode if crosses is None else DeliveryMode.FIRM,
        rules_version,
        crosses,
        None if agreed is None else agreed.baseline_method,
        0 if agreed is None else agreed.tolerance_ppm,
        0 if agreed is None else agreed.penalty_ppm,
        None if duration_min is None or duration_min == rules.interval_min else duration_min,
        seller_price_nano_per_kwh,
    )


def terms_of(version: Version, **changes: Any) -> RevisedTerms:
    """What may be revised of a contract, with some of it changed."""
    fields: dict[str, Any] = {
        "seller": version.seller,
        "buyer": version.buyer,
        "seller_connection": version.seller_connection,
        "buyer_connection": version.buyer_connection,
        "zone": version.zone,
        "buyer_zone": version.buyer_zone,
        "quantity_wh": version.quantity_wh,
        "price_nano_per_kwh": version.price_nano_per_kwh,
        "seller_price_nano_per_kwh": version.seller_price_nano_per_kwh,
    }
    return RevisedTerms(**{**fields, **changes})


def repriced(version: Version, quantity_wh: tuple[int, ...], price_nano_per_kwh: int) -> RevisedTerms:
    """Another quantity and price. The operator keeps what it gets of each kWh: both prices move."""
    seller_price = version.seller_price_nano_per_kwh
    if seller_price is not None:
        seller_price += price_nano_per_kwh - version.price_nano_per_kwh
    changes = {"price_nano_per_kwh": price_nano_per_kwh, "seller_price_nano_per_kwh": seller_price}
    return terms_of(version, quantity_wh=quantity_wh, **changes)


def assigned(state: Market, version: Version, leaving: str, party: str, connection: str) -> RevisedTerms:
    """The terms with another party in the place of the one that leaves, in the zone of its connection."""
    zone = state.connections[connection].zone
    if leaving == version.seller:
        buyer_zone = version.buyer_zone or version.zone
        ends = {"seller": party, "seller_connection": connection, "zone": zone}
    else:
        buyer_zone, ends = zone, {"buyer": party, "buyer_connection": connection, "zone": version.zone}
    return terms_of(version, **ends, buyer_zone=buyer_zone if buyer_zone != ends["zone"] else None)


def closed_out(version: Version, delivered: Sequence[bool]) -> tuple[ContractState, RevisedTerms]:
    """The contract without what is not delivered yet; one of which nothing is delivered is cancelled."""
    if not any(delivered):
        return ContractState.CANCELLED, terms_of(version)
    kept = tuple(wh if done else 0 for wh, done in zip(version.quantity_wh, delivered, strict=True))
    return ContractState.CONCLUDED, terms_of(version, quantity_wh=kept)


def revised(held: Held, terms: RevisedTerms, state: ContractState, reason: RevisionReason) -> ContractRevised:
    """The next version of the contract."""
    before, number = held.version, held.number
    return ContractRevised(
        before.market,
        terms.zone,
        before.operator,
        before.contract,
        before.trade,
        terms.seller,
        terms.buyer,
        terms.seller_connection,
        terms.buyer_connection,
        before.first_start_at,
        before.interval_min,
        terms.quantity_wh,
        before.currency,
        terms.price_nano_per_kwh,
        before.points_per_kwh,
        before.delivery_mode,
        before.rules_version,
        terms.buyer_zone,
        before.baseline_method,
        before.tolerance_ppm,
        before.penalty_ppm,
        number + 1,
        number,
        state,
        reason,
        before.duration_min,
        terms.seller_price_nano_per_kwh,
    )


def agreed(held: Held, proposed: RevisionProposed) -> ContractRevised:
    """The version that a proposal would become."""
    ends = proposed.reason in ENDED
    state = ContractState.CANCELLED if ends else ContractState.CONCLUDED
    return revised(held, proposed.terms, state, proposed.reason)


def ended(held: Held, reason: RevisionReason) -> ContractRevised:
    """The contract cancelled, with the terms that it had."""
    return revised(held, terms_of(held.version), ContractState.CANCELLED, reason)
