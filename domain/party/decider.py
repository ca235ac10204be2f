"""Rules of the family `party` (Y.2072 6.2.2, stage 0: register, join a community, then the market).

The smallest family: read it first, the others have the same shape. Each wish has one function that
refuses first, in the order of `PartyRefusal`, and then succeeds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from schemas.envelope import Command, Moment, Recorded
from schemas.party.commands import ApplyForMarket, ApplyForMembership, RegisterParty
from schemas.party.events import (
    CommandRefused,
    MarketApplied,
    MembershipApplied,
    PartyRefusal,
    PartyRegistered,
)

LOGIC = 1

OUTCOMES: Mapping[type, tuple[type, ...]] = {
    RegisterParty: (PartyRegistered, CommandRefused),
    ApplyForMembership: (MembershipApplied, CommandRefused),
    ApplyForMarket: (MarketApplied, CommandRefused),
}

Wish = RegisterParty | ApplyForMembership | ApplyForMarket
Fact = PartyRegistered | MembershipApplied | MarketApplied | CommandRefused


@dataclass(slots=True)
class Party:
    """State of one party: whether it is registered, and what it applied for."""

    party: str
    registered: bool = False
    communities: set[str] = field(default_factory=set)
    markets: set[str] = field(default_factory=set)


def initial(key: str) -> Party:
    """A party nobody registered yet."""
    return Party(key)


def decide(state: Party, command: Command[Any], now: Moment) -> Iterable[Fact]:
    """One fact for each wish: what was asked for, or why not."""
    wish: Wish = command.body
    match wish:
        case RegisterParty():
            return (_register(state, wish),)
        case ApplyForMembership():
            return (_apply_for_membership(state, wish, command.meta.actor),)
        case ApplyForMarket():
            return (_apply_for_market(state, wish, command.meta.actor),)
        case _:
            assert_never(wish)


def _register(state: Party, wish: RegisterParty) -> Fact:
    if state.registered:
        return _refused(wish, state.party, PartyRefusal.ALREADY_REGISTERED)
    if not wish.roles:
        return _refused(wish, state.party, PartyRefusal.NO_ROLE)
    roles = tuple(dict.fromkeys(wish.roles))  # naming a role twice says nothing more
    return PartyRegistered(state.party, roles)


def _apply_for_membership(state: Party, wish: ApplyForMembership, actor: str) -> Fact:
    if not state.registered:
        return _refused(wish, wish.community, PartyRefusal.PARTY_UNKNOWN)
    if actor != state.party:
        return _refused(wish, wish.community, PartyRefusal.NOT_AUTHORISED)
    return MembershipApplied(state.party, wish.community)


def _apply_for_market(state: Party, wish: ApplyForMarket, actor: str) -> Fact:
    if not state.registered:
        return _refused(wish, wish.market, PartyRefusal.PARTY_UNKNOWN)
    if actor != state.party:
        return _refused(wish, wish.market, PartyRefusal.NOT_AUTHORISED)
    # The application counts: whether the community admitted the party is known to the community alone.
    if not state.communities:
        return _refused(wish, wish.market, PartyRefusal.MEMBERSHIP_REQUIRED, limit=1)
    return MarketApplied(state.party, wish.market)


def _refused(wish: Wish, subject: str, reason: PartyRefusal, limit: int = 0, found: int = 0) -> Fact:
    return CommandRefused(type(wish).__name__, subject, reason, limit, found)


def advance(state: Party, now: Moment, limit: int) -> Iterable[Fact]:
    """Time brings nothing about here."""
    return ()


def due(state: Party) -> int | None:
    """Never."""
    return None


def evolve(state: Party, fact: Recorded[Fact]) -> Party:
    """The party after a fact."""
    match fact.body:
        case PartyRegistered():
            state.registered = True
        case MembershipApplied(community=community):
            state.communities.add(community)
        case MarketApplied(market=market):
            state.markets.add(market)
        case CommandRefused():
            pass
        case _:
            assert_never(fact.body)
    return state
