"""Which decider belongs to which family: the plain table that every runtime is wired from."""

from collections.abc import Mapping

from domain.billing import decider as billing
from domain.community import decider as community
from domain.decider import Decider
from domain.market import decider as market
from domain.meter import decider as meter
from domain.party import decider as party
from domain.programme import decider as programme
from domain.reference import decider as reference
from domain.settlement import decider as settlement
from domain.site import decider as site

DECIDERS: Mapping[str, Decider] = {
    "party": party,
    "site": site,
    "community": community,
    "market": market,
    "programme": programme,
    "meter": meter,
    "reference": reference,
    "settlement": settlement,
    "billing": billing,
}
