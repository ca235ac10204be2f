"""Rules of the family `community`: founder, rules of sharing in versions, admitted members.

The organiser's rules are the pre-contract (Y.2072 6.2.2): nobody is admitted before there are some.
Rules may be back-dated; what was settled by others is settled again by the next run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from schemas.actors import POLICY
from schemas.community.commands import AdmitMember, AdoptSharingRules, FoundCommunity
from schemas.community.events import (
    CommandRefused,
    CommunityFounded,
    CommunityRefusal,
    MemberAdmitted,
    SharingRulesAdopted,
)
from schemas.envelope import Command, Moment, Recorded

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    FoundCommunity: (CommunityFounded, CommandRefused),
    AdoptSharingRules: (SharingRulesAdopted, CommandRefused),
    AdmitMember: (MemberAdmitted, CommandRefused),
}

Wish = FoundCommunity | AdoptSharingRules | AdmitMember
Fact = CommunityFounded | SharingRulesAdopted | MemberAdmitted | CommandRefused


@dataclass(slots=True)
class Community:
    """State of one community; `organiser` is none before its foundation, `versions` counts adopted rules."""

    community: str
    organiser: str | None = None
    currency: str = ""
    versions: int = 0
    members: set[str] = field(default_factory=set)


def initial(key: str) -> Community:
    """A community nobody founded yet."""
    return Community(key)


def decide(state: Community, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """One fact for each wish: what was asked for, or why not."""
    wish: Wish = command.body
    actor = command.meta.actor
    match wish:
        case FoundCommunity():
            return (_found(state, wish, actor),)
        case AdoptSharingRules():
            return (_adopt(state, wish, actor),)
        case AdmitMember():
            return (_admit(state, wish, actor),)
        case _:
            assert_never(wish)


def _found(state: Community, wish: FoundCommunity, actor: str) -> Fact:
    if state.organiser is not None:
        return _refused(wish, state.community, CommunityRefusal.ALREADY_FOUNDED)
    return CommunityFounded(state.community, wish.zone, actor, wish.currency)


def _adopt(state: Community, wish: AdoptSharingRules, actor: str) -> Fact:
    if state.organiser is None:
        return _refused(wish, state.community, CommunityRefusal.COMMUNITY_UNKNOWN)
    if actor != state.organiser:
        return _refused(wish, state.community, CommunityRefusal.NOT_ORGANISER)
    return SharingRulesAdopted(
        community=state.community,
        organiser=state.organiser,
        version=state.versions + 1,
        key=wish.key,
        interval_min=wish.interval_min,
        currency=state.currency,
        consumer_price_nano_per_kwh=wish.consumer_price_nano_per_kwh,
        producer_price_nano_per_kwh=wish.producer_price_nano_per_kwh,
        points_per_kwh=wish.points_per_kwh,
        notice_days=wish.notice_days,
        valid_from=wish.valid_from,
    )


def _admit(state: Community, wish: AdmitMember, actor: str) -> Fact:
    if state.organiser is None:
        return _refused(wish, wish.party, CommunityRefusal.COMMUNITY_UNKNOWN)
    # Only an application of the party itself leads here, and only a policy carries it.
    if not actor.startswith(POLICY):
        return _refused(wish, wish.party, CommunityRefusal.NOT_AUTHORISED)
    if state.versions == 0:
        return _refused(wish, wish.party, CommunityRefusal.NO_TERMS, limit=1)
    if wish.party in state.members:
        return _refused(wish, wish.party, CommunityRefusal.ALREADY_MEMBER)
    return MemberAdmitted(state.community, wish.party, state.versions)


def _refused(wish: Wish, subject: str, reason: CommunityRefusal, limit: int = 0, found: int = 0) -> Fact:
    return CommandRefused(type(wish).__name__, subject, reason, limit, found)


def advance(state: Community, now: Moment, limit: int) -> Iterable[Fact]:
    """Time brings nothing about here."""
    return ()


def due(state: Community) -> int | None:
    """Never."""
    return None


def evolve(state: Community, fact: Recorded[Fact]) -> Community:
    """The community after a fact."""
    match fact.body:
        case CommunityFounded() as body:
            state.organiser = body.organiser
            state.currency = body.currency
        case SharingRulesAdopted() as body:
            state.versions = body.version
        case MemberAdmitted(party=party):
            state.members.add(party)
        case CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
