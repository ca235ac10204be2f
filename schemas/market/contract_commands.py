"""Wishes about contracts after their conclusion. Key: the market. `version` is the one that the actor saw."""

from schemas.message import command
from schemas.values import Count, EnergyWh, Id, PriceNanoPerKwh


@command
class ProposeChange:
    """One side offers the other another quantity per interval and another price (Y.2072 8.2.1)."""

    contract: Id
    version: Count
    quantity_wh: tuple[EnergyWh, ...]
    price_nano_per_kwh: PriceNanoPerKwh


@command
class ProposeCancellation:
    """One side offers the other to end the contract before its delivery; nobody owes anything then."""

    contract: Id
    version: Count


@command
class AssignContract:
    """One side offers its place in the contract to `party`, at that party's `connection`."""

    contract: Id
    version: Count
    party: Id
    connection: Id


@command
class AgreeRevision:
    """Who is awaited agrees: the proposed version is the contract's."""

    contract: Id
    revision: Id


@command
class RefuseRevision:
    """Who is awaited, or who proposed, ends the proposal."""

    contract: Id
    revision: Id


@command
class WithdrawContract:
    """One side ends the contract alone before its delivery and owes the rules' cancellation fee to the other."""

    contract: Id
    version: Count


@command
class CancelTrade:
    """The operator voids the contract of a trade for manifest error, within the rules' window and before the gate."""

    contract: Id
