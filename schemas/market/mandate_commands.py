"""Wishes about standing mandates: a household's policy of buying and selling (domain rules §10). Key: the market."""

from schemas.market.mandate_events import MandateTerms
from schemas.message import command
from schemas.values import Count, Id, SignedEnergyWh, TimeUs


@command
class GrantMandate:
    """The party lets the market order for a connection of theirs, within these terms; one mandate a connection."""

    party: Id
    connection: Id
    terms: MandateTerms


@command
class PauseMandate:
    """Nothing is ordered any more until it is resumed; what is open is cancelled in every book before its gate."""

    mandate: Id


@command
class ResumeMandate:
    """The newest forecast is ordered again."""

    mandate: Id


@command
class RevokeMandate:
    """Ends the mandate; what is open is cancelled in every book before its gate."""

    mandate: Id


@command
class RecordForecast:
    """The agent's newest forecast of a connection, whole: what is open for other deliveries is cancelled.

    Wh per settlement interval, + is a surplus to sell, − a need to buy, before what the mandate has traded already.
    """

    mandate: Id
    first_start_at: TimeUs
    energy_wh: tuple[SignedEnergyWh, ...]
    version: Count
