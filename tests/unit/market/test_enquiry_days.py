"""Any day of enquiries: combinations, counter-offers, contracts, fees and reserves are those of the naive market."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.market.commands import RecordCredit
from schemas.market.enquiry_commands import (
    AcceptOffers,
    CombineOffers,
    CounterOffers,
    OfferEnergy,
    OpenEnquiry,
    RejectOffers,
    ReviseOffer,
    WithdrawOffer,
)
from schemas.market.enquiry_events import (
    CounterOfferMade,
    EnquiryClosed,
    EnquiryEnd,
    EnquiryOpened,
    OfferAccepted,
    OfferMade,
    OfferRevised,
    OffersCombined,
    OfferWithdrawn,
)
from schemas.market.events import CommandRefused, ContractConcluded
from schemas.market.negotiation_events import LapseFeeCharged
from schemas.market.rules import CreditRules, NegotiationRules
from schemas.values import Side
from tests.unit.given import MINUTE, only
from tests.unit.market.naive_enquiries import NaiveEnquiries, Said
from tests.unit.market.world import CENT, NOON, OPERATOR, POLICY, QUARTER, connection_of, joined, open_market
from tests.unit.written import rebuilt

PARTIES = ("ann", "bob", "cyd", "dan")
CREDIT = {"ann": 700_000, "bob": 900_000, "cyd": 10**7, "dan": 10**7}
MOST_WH = 2_000
FIRST = NOON - 120 * MINUTE
WISHES = [("offer", 12), ("withdraw", 1), ("revise", 6), ("combine", 1), ("accept", 2), ("counter", 4), ("reject", 0.5)]


class EnquiryDay:
    """The product and the naive enquiries side by side."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.market = open_market(at=FIRST, negotiation=NegotiationRules(6, 2, 777))
        for party in PARTIES:
            self.market.given(*joined(party, 4 * MOST_WH, CREDIT[party]))
        self.naive = NaiveEnquiries(CREDIT, MOST_WH, 50 * CENT, 6, 2, 777)
        self.naive.now = FIRST
        self.enquiries: list[str] = []
        self.offers: dict[str, tuple[int, str]] = {}
        self.said: list[Said] = []

    def told(self, fact: Any) -> Said | None:  # noqa: PLR0911  (a table)
        match fact:
            case CommandRefused():
                return ("refused", fact.reason)
            case EnquiryOpened():
                self.enquiries.append(fact.enquiry)
                return ("opened", len(self.enquiries))
            case OfferMade():
                self.offers[fact.offer] = len(self.offers) + 1, fact.enquiry
                return ("offer", len(self.offers))
            case OfferWithdrawn():
                return ("withdrawn", self.offers[fact.offer][0])
            case OfferRevised():
                return ("revised", self.offers[fact.offer][0], fact.price_nano_per_kwh)
            case CounterOfferMade(by=Side.BUY):
                numbers = [self.offers[offer][0] for offer in fact.offers]
                return ("asked", fact.round, fact.price_nano_per_kwh, numbers, fact.lapses_at)
            case CounterOfferMade() | OffersCombined():
                numbers = [self.offers[offer][0] for offer in fact.offers]
                shown = list(zip(numbers, *self.columns(fact), strict=True))
                kind = "combined" if isinstance(fact, OffersCombined) else "short"
                return (kind, fact.round, sum(fact.quantity_wh), fact.price_nano_per_kwh, shown, fact.lapses_at)
            case OfferAccepted():
                return ("accepted", self.offers[fact.offer][0], fact.quantity_wh, fact.price_nano_per_kwh)
            case ContractConcluded():
                return ("contract", fact.seller, sum(fact.quantity_wh), fact.price_nano_per_kwh)
            case EnquiryClosed():
                return ("ended", fact.ending.value, [self.offers[offer][0] for offer in fact.offers])
            case LapseFeeCharged():
                return ("fee", fact.creditor, fact.amount_micro)
            case _:
                return None

    @staticmethod
    def columns(fact: Any) -> tuple[Any, Any]:
        return fact.offered_wh, fact.prices_nano_per_kwh

    # -- one wish of both --------------------------------------------------------------------------

    def wish(self, body: Any, actor: str, answer: Callable[[], list[Said]]) -> None:
        self.hear(self.market.when(body, actor), answer(), body)

    def hear(self, facts: list[Any], expected: list[Said], what: Any) -> None:
        found = [said for fact in facts if (said := self.told(fact)) is not None]
        assert found == expected, what
        self.said += found

    def wait(self, minutes: int | None = None) -> None:
        at = self.market.at + (self.draw.choice((1, 2, 4)) if minutes is None else minutes) * MINUTE
        self.hear(self.market.later(at), self.naive.later(at), "time")

    def open(self) -> None:
        draw = self.draw
        row = tuple(draw.choice((0, 1, 2, 2)) * 500 + 500 for _ in range(draw.choice((1, 2, 3))))
        start, limit = NOON + draw.randrange(2) * QUARTER, draw.choice((10, 12, 15)) * CENT
        closes = self.market.at + draw.choice((4, 8)) * MINUTE
        rest = start, row, 0, 0, limit, closes, (), draw.random() < 0.3
        body = OpenEnquiry("ann", "ann-cp", *rest)
        self.wish(body, "ann", lambda: self.naive.open(body))

    def step(self) -> None:
        draw = self.draw
        if not self.enquiries or (all(e.ended for e in self.naive.enquiries[-2:]) and draw.random() < 0.9):
            self.open()
            return
        n = draw.choice((-1, -1, -1, -2)) % len(self.enquiries)
        (kind,) = draw.choices([name for name, _ in WISHES], [weight for _, weight in WISHES])
        getattr(self, kind)(n, self.enquiries[n])

    def offer(self, n: int, name: str) -> None:
        draw, asked = self.draw, self.naive.enquiries[n].wish.quantity_wh
        party = draw.choice(("bob", "bob", "cyd", "cyd", "dan", "dan", "ann"))
        row = tuple(draw.choice((0, 500, 500, wh, wh + 100 * (draw.random() < 0.1))) for wh in asked)
        row = row[: len(row) - (draw.random() < 0.05)]
        body = OfferEnergy(name, party, connection_of(party), row, draw.choice((8, 9, 10, 11, 13, 16)) * CENT)
        self.wish(body, party, lambda: self.naive.offer(n, body))

    def one(self, n: int) -> tuple[str, int, str]:
        """An offer to this enquiry mostly: its id, its number, its seller."""
        mine = [(offer, at) for offer, (at, of) in self.offers.items() if of == self.enquiries[n]][-4:]
        if not mine or self.draw.random() < 0.05:
            return "none", 0, "bob"
        offer, number = self.draw.choice(mine)
        seller = next(o.seller for e in self.naive.enquiries for o in e.offers if o.number == number)
        return offer, number, self.draw.choice((*[seller] * 9, "ann"))

    def withdraw(self, n: int, name: str) -> None:
        offer, number, actor = self.one(n)
        self.wish(WithdrawOffer(name, offer), actor, lambda: self.naive.withdraw(n, number, actor))

    def revise(self, n: int, name: str) -> None:
        offer, number, actor = self.one(n)
        price = self.draw.choice((6, 8, 9, 10)) * CENT
        self.wish(ReviseOffer(name, offer, price), actor, lambda: self.naive.revise(n, number, price, actor))

    def enquirer(self) -> str:
        return self.draw.choice((*["ann"] * 9, "bob"))

    def combine(self, n: int, name: str) -> None:
        actor = self.enquirer()
        self.wish(CombineOffers(name), actor, lambda: self.naive.answer_of(n, "combine", None, actor))

    def accept(self, n: int, name: str) -> None:
        actor, price = self.enquirer(), self.draw.choice((None, None, 7 * CENT, 10 * CENT))
        self.wish(AcceptOffers(name, price), actor, lambda: self.naive.answer_of(n, "accept", price, actor))

    def counter(self, n: int, name: str) -> None:
        actor, price = self.enquirer(), self.draw.choice((7, 9, 10, 20)) * CENT
        self.wish(CounterOffers(name, price), actor, lambda: self.naive.answer_of(n, "counter", price, actor))

    def reject(self, n: int, name: str) -> None:
        actor = self.enquirer()
        self.wish(RejectOffers(name), actor, lambda: self.naive.answer_of(n, "reject", None, actor))

    def holds(self) -> None:
        for party in PARTIES:
            assert self.market.state.accounts[party].exposure_pico == self.naive.exposure(party)
            for n in range(4):
                used = self.market.state.slots[NOON + n * QUARTER].used_wh.get(connection_of(party), 0)
                assert used == self.naive.sold(party, NOON + n * QUARTER) <= MOST_WH


def enquiry_day(seed: int, steps: int = 60) -> EnquiryDay:
    day = EnquiryDay(random.Random(seed))
    for _ in range(steps):
        if day.draw.random() < 0.1:
            day.wait()
        else:
            day.step()
        day.wait(0)
        day.holds()
    day.wait((NOON - day.market.at) // MINUTE)
    day.holds()
    return day


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_a_day_of_enquiries_is_that_of_the_oracle(seed: int) -> None:
    day = enquiry_day(seed)
    assert rebuilt(day.market) == day.market.state


def test_enough_is_negotiated_on_such_days() -> None:
    said = {what[0] if what[0] != "ended" else what[1] for seed in range(20) for what in enquiry_day(seed).said}
    assert said >= {"combined", "short", "asked", "revised", "withdrawn", "accepted", "fee", "lapsed", "unanswered"}


def test_an_offer_that_goes_with_a_default_is_not_named_again_when_its_enquiry_ends() -> None:
    market = open_market("ann", "bob", at=FIRST, credit=CreditRules(0, 0, 5, 0, 0))
    asked = OpenEnquiry("ann", "ann-cp", NOON, (2_000,), 0, 0, 10 * CENT, FIRST + 30 * MINUTE, (), False)
    enquiry = market.when(asked, "ann")[-1].enquiry
    market.when(OfferEnergy(enquiry, "bob", "bob-cp", (500,), 9 * CENT), "bob")
    market.when(CombineOffers(enquiry), "ann")
    market.when(RecordCredit(OPERATOR, "bob", "EUR", 0), POLICY)
    market.later(FIRST)
    facts = market.later(FIRST + 5 * MINUTE)
    [withdrawn], [ended] = only(facts, OfferWithdrawn), only(facts, EnquiryClosed)
    assert (withdrawn.seller, ended.ending, ended.offers) == ("bob", EnquiryEnd.UNANSWERED, ())
