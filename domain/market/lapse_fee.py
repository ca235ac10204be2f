"""What it costs to let somebody reserve in vain (domain rules §10, "Consent in the book"): a fact, no posting."""

from collections.abc import Iterable

from domain.market.state import Market
from schemas.market.negotiation_events import LapseFeeCharged


def lapse_fees(
    state: Market, subject: str, first_start_at: int, debtor: str, creditors: Iterable[str]
) -> list[LapseFeeCharged]:
    """The fee of the rules of the first delivery, once for each creditor; none where the rules know none."""
    version = state.rules_for(first_start_at)
    if version is None or version.rules.negotiation is None or not version.rules.negotiation.lapse_fee_micro:
        return []
    rules = version.rules
    fee = version.rules.negotiation.lapse_fee_micro
    return [LapseFeeCharged(state.market, subject, debtor, creditor, rules.currency, fee) for creditor in creditors]
