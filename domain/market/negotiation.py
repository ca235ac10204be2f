"""Negotiated contracts (Y.2072 6.2.2, stage 4): proposed and reserved, approved by the other party, or lapsed.

Between proposal and answer the seller's capability and the credit of both are reserved by the
proposal's own fact (`evolve`); a lapse is a matter of time (`domain/market/deadlines.py`).
"""

from domain.identity import born_id
from domain.market.state import FAMILY, Market
from schemas.envelope import Command, Moment
from schemas.market.commands import ApproveContract, ProposeContract
from schemas.market.events import ContractConcluded, ContractProposed
from schemas.values import MINUTE_US, DeliveryMode


def propose(state: Market, command: Command[ProposeContract], now: Moment) -> ContractProposed:
    """Reserves what a checked proposal needs and waits for the other party, at the longest to the first gate."""
    wish = command.body
    first = state.instruments[wish.first_start_at]
    proposer = command.meta.actor
    return ContractProposed(
        state.market,
        born_id(FAMILY, command, 0),
        proposer,
        wish.buyer if proposer == wish.seller else wish.seller,
        wish.seller,
        wish.buyer,
        wish.seller_connection,
        wish.buyer_connection,
        wish.first_start_at,
        first.rules.interval_min,
        wish.quantity_wh,
        first.rules.currency,
        wish.price_nano_per_kwh,
        min(now.at + first.rules.approval_deadline_min * MINUTE_US, first.gate_at),
    )


def conclude(state: Market, wish: ApproveContract) -> ContractConcluded:
    """The proposal becomes a firm contract under the rules of its first interval; what was reserved is bound."""
    offer = state.negotiations[wish.contract].proposed
    first = state.instruments[offer.first_start_at]
    return ContractConcluded(
        state.market,
        first.rules.zone,
        first.rules.operator,
        offer.contract,
        None,
        offer.seller,
        offer.buyer,
        offer.seller_connection,
        offer.buyer_connection,
        offer.first_start_at,
        offer.interval_min,
        offer.quantity_wh,
        offer.currency,
        offer.price_nano_per_kwh,
        first.rules.points_per_kwh,
        DeliveryMode.FIRM,
        first.version,
    )
