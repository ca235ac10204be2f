"""Which views, computed views and questions belong to which family: the plain table of the slates."""

from collections.abc import Mapping
from types import ModuleType

from projections.billing import views as billing
from projections.community import views as community
from projections.log import views as log
from projections.market import views as market
from projections.meter import views as meter
from projections.party import views as party
from projections.programme import views as programme
from projections.reference import views as reference
from projections.settlement import views as settlement
from projections.site import views as site
from projections.view import Question, SqlView, View

_ROOMS: Mapping[str, ModuleType] = {
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

VIEWS: Mapping[str, tuple[View, ...]] = {family: room.VIEWS for family, room in _ROOMS.items()}

EVERYWHERE: tuple[View, ...] = log.EVERYWHERE
"""Views that every family fills."""

SQL_VIEWS: tuple[SqlView, ...] = tuple(v for room in _ROOMS.values() for v in getattr(room, "SQL_VIEWS", ()))

QUESTIONS: Mapping[str, Question] = {
    question.name: question for room in (*_ROOMS.values(), log) for question in getattr(room, "QUESTIONS", ())
}
"""What people may ask (`gridbook show <name>`); names are unique over all families."""
