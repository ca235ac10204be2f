"""Facts about negotiated contracts beside proposal, conclusion and lapse. Key: the market."""

from schemas.message import event
from schemas.values import AmountMicro, Currency, Id


@event
class ContractRejected:
    """The awaited party said no to a proposal; what was reserved is free again."""

    market: Id
    contract: Id
    seller: Id
    buyer: Id


@event
class LapseFeeCharged:
    """`debtor` let a proposal or a complete offer lapse or said no to it, and owes `creditor`, who had reserved.

    `subject` is the contract or the enquiry.
    """

    market: Id
    subject: Id
    debtor: Id
    creditor: Id
    currency: Currency
    amount_micro: AmountMicro
