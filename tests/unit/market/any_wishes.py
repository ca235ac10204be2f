"""Wishes of every stream about what there is: each is drawn field by field, and mostly one that is not refused."""

import random
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from domain.market.auctions import CALCULATOR
from domain.market.calc_call import CALCULATION
from domain.market.decider import OUTCOMES, decide
from domain.market.surveillance import ACTOR
from projections.market.auctions import AUCTION_BOOKS
from schemas.envelope import Command, CommandMeta, FactMeta, Moment, Recorded
from schemas.equipment import EnergyCarrier, Equipment, StoredEnergy
from schemas.market.auction_commands import ProposeClearing
from schemas.market.auction_events import AuctionBookListed, AuctionStarted, CallRules, Rationing
from schemas.market.commands import (
    AdmitParticipant,
    AdoptRuleSet,
    ApproveContract,
    OpenSession,
    RecordCapability,
    RecordCredit,
)
from schemas.market.enquiry_commands import AcceptOffers, CombineOffers, CounterOffers, OfferEnergy, ReviseOffer
from schemas.market.events import CommandRefused, OrderTerms, Restriction, RuleSet, SelfTradeMode
from schemas.market.listing_commands import OpenListing, PlaceBid
from schemas.market.listing_events import ListingFormat, ListingTerms, WithdrawalReason
from schemas.market.mandate_events import MandateTerms
from schemas.market.outlet_events import OutletKind
from schemas.market.package_commands import SubmitBlock
from schemas.market.package_events import BasketOrder
from schemas.market.product_events import ProductMember, ProductTerms
from schemas.market.rules import ContractRules, CreditRules, Line, NegotiationRules, NetworkRules, TradingRules
from schemas.market.session_commands import ProposeCallBlocks, ProposeSessionBook
from schemas.market.surveillance_commands import ReportSuspicion
from schemas.market.surveillance_events import SurveillanceRules, SuspicionKind
from schemas.values import ResourceType, Side
from tests.unit.given import MINUTE, Scenario
from tests.unit.market.world import CENT, MARKET, NOON, OPERATOR, POLICY, QUARTER, rules

PARTIES = ("ann", "bob", "cyd", "dan")
STARTS = [NOON + n * QUARTER for n in range(4)]
FIRST = NOON - 60 * MINUTE
END = NOON + 8 * QUARTER
TRIES = 12
META = FactMeta(0, Moment(0, 0), "c", 0, "actor", "correlation", None, 1)


def held_rules(zoned: bool) -> RuleSet:
    """Every part of a rule set; what is called has no lines."""
    return rules(
        self_trade=SelfTradeMode.DECREMENT,
        opening_lead_min=90,
        approval_deadline_min=7,
        trading=TradingRules((30,), 10 * CENT, 0, 0, 6 * CENT, 4, 20),
        network=NetworkRules(("y",), (Line("zy", "z", "y"),)) if zoned else None,
        contracts=ContractRules(None, 0, 0, CENT),
        credit=CreditRules(7, 190_000, 6, 15 * CENT, 30_000),
        auction=None if zoned else CallRules(45, 500_000, Rationing.PRO_RATA, 4),
        negotiation=NegotiationRules(6, 2, 5_000),
        surveillance=SurveillanceRules(100, 30, 100, 30, 1, 100, CENT),
    )


class Wisher:
    """Draws wishes for one market; what it knows is what the market's facts say."""

    def __init__(self, draw: random.Random, market: Scenario, zoned: bool) -> None:
        self.draw, self.market, self.zoned = draw, market, zoned
        self.rules = held_rules(zoned)
        self.known: dict[str, list[str]] = {}
        self.heard = 0

    def prepared(self) -> list[tuple[Any, str]]:
        """What is wished before the day begins."""
        found: list[tuple[Any, str]] = [
            (AdoptRuleSet(0, self.rules), OPERATOR),
            (OpenSession(NOON, 6), OPERATOR),
            (OpenSession(NOON, 2, 30), OPERATOR),
        ]
        for party in PARTIES:
            gear = (Equipment(f"{party}-pv", ResourceType.GENERATION, 9_000, EnergyCarrier.SOLAR, (), None, None),)
            zone = "y" if self.zoned and party in "dan" else "z"
            told = RecordCapability(f"{party}-cp", party, 20_000, (f"{party}-pv",), zone, equipment=gear)
            found += [(AdmitParticipant(party), POLICY), (told, POLICY)]
            found.append((RecordCredit(OPERATOR, party, "EUR", 10**7), POLICY))
        return found

    def one(self) -> tuple[Any, str]:
        """A wish and who has it: of some, the first that the market would not refuse, else the last."""
        self._listen()
        waits = any(i.auction is not None and i.auction.started for i in self.market.state.instruments.values())
        wanted = ProposeClearing if waits and self.draw.random() < 0.2 else self.draw.choice(WISHED)
        for _ in range(TRIES if self.draw.random() < 0.9 else 1):
            body = self._drawn(wanted)
            for actor in self._actors(body):
                meta = CommandMeta("trial", actor, "correlation", None, None, None)
                if (
                    type(decide(self.market.state, Command(MARKET, meta, body), self.market.now)[0])
                    is not CommandRefused
                ):
                    return body, actor
        return body, self.draw.choice(self._actors(body))

    def _listen(self) -> None:
        """The ids that facts have named."""
        for fact in self.market.facts[self.heard :]:
            for name in NAMED:
                if isinstance(getattr(fact, name, None), str):
                    row = self.known.setdefault(name, [])
                    if getattr(fact, name) not in row:
                        row.append(getattr(fact, name))
        self.heard = len(self.market.facts)

    def _actors(self, body: Any) -> list[str]:
        if isinstance(body, ProposeClearing):
            return [CALCULATOR]
        if isinstance(body, ReportSuspicion):
            return [ACTOR]
        row = [*PARTIES, OPERATOR, POLICY]
        self.draw.shuffle(row)
        return row

    def _drawn(self, wanted: type) -> Any:
        if wanted is ProposeClearing:
            return self._clearing()
        party = self.draw.choice(PARTIES)
        return wanted(**{f.name: self._field(wanted, f.name, party) for f in fields(wanted)})

    def _clearing(self) -> Any:
        """What the calculation says of the last auction."""
        started = [f for f in self.market.facts if isinstance(f, AuctionStarted)]
        if not started:
            return self._drawn(self.draw.choice(ORDERS))
        listed = [f for f in self.market.facts if isinstance(f, AuctionBookListed) and f.auction == started[-1].auction]
        told = (Recorded("market", 0, MARKET, META, f) for f in listed)
        rows = [row for fact in told for row in AUCTION_BOOKS.on[AuctionBookListed](fact)]
        return next(iter(CALCULATION.compute(Recorded("market", 0, MARKET, META, started[-1]), {"book": rows})))

    def _field(self, wanted: type, name: str, party: str) -> Any:
        draw = self.draw
        special = SPECIAL.get((wanted.__name__, name)) or COMMON.get(name)
        if special is not None:
            return special(self, party)
        if name in ("party", "seller", "off_taker", "issuer"):
            return OPERATOR if name == "issuer" else party
        if name in ("connection", "seller_connection"):
            return f"{party}-cp"
        if name in ("buyer", "buyer_connection"):
            other = PARTIES[(PARTIES.index(party) + 1) % 4]
            return other if name == "buyer" else f"{other}-cp"
        if name in NAMED:
            return draw.choice(self.known.get(name, ["none"])[-draw.choice((1, 2, 6)) :])
        default = next(f.default for f in fields(wanted) if f.name == name)
        assert default is not MISSING, f"{wanted.__name__}.{name} is not drawn"
        return default

    def listing_terms(self) -> ListingTerms:
        form, lots = self.draw.choice(tuple(ListingFormat)), self.draw.choice((1, 2))
        rises = CENT if form is ListingFormat.OPEN_ASCENDING else 0
        return ListingTerms(form, 5 * CENT, 40_000, "any", lots, self.draw.random() < 0.3, rises)

    def product_terms(self, party: str) -> ProductTerms:
        power, lowest = self.draw.choice((4_000, 8_000)), self.draw.choice((0, 5)) * CENT
        member = (ProductMember(f"{party}-cp", f"{party}-pv"),)
        rest = EnergyCarrier.SOLAR, (), None, power, 0, 0, (), 900_000, 1, lowest, END
        return ProductTerms(member, self.draw.choice(("z", "z", "y")), *rest)

    def order_terms(self) -> OrderTerms | None:
        if self.draw.random() < 0.7:
            return None
        named = self.known.get("product", [])[-3:]
        return OrderTerms(500, self.draw.choice(named) if named and self.draw.random() < 0.7 else None)

    def version(self) -> int:
        return self.draw.choice((1, 1, 2, 3))

    def stored(self) -> StoredEnergy | None:
        return self.draw.choice((None, None, StoredEnergy(0, 3_000, 4_000, 900_000, 900_000, 4_000, 1_000)))


def _price(w: Wisher, _: str) -> int:
    return w.draw.choice((-2, 4, 8, 9, 10, 11, 12, 16)) * CENT


def _row(w: Wisher, _: str) -> tuple[int, ...]:
    return tuple(w.draw.choice((500, 1_000, 2_000)) for _ in range(w.draw.choice((1, 2))))


def _soon(w: Wisher, _: str) -> int:
    return w.market.at + w.draw.choice((2, 4, 8, 15)) * MINUTE


def _basket(w: Wisher, party: str) -> tuple[BasketOrder, ...]:
    side = w.draw.choice(tuple(Side))
    price = (14 if side is Side.BUY else 6) * CENT
    return tuple(BasketOrder(f"{party}-cp", start, 15, side, 500, price) for start in w.draw.sample(STARTS, 2))


def _settled_to(w: Wisher, _: str) -> int:
    return max(NOON, NOON + (w.market.at - NOON) // QUARTER * QUARTER)


Draw = Callable[[Wisher, str], Any]

COMMON: dict[str, Draw] = {
    "delivery_start_at": lambda w, _: w.draw.choice(STARTS),
    "first_start_at": lambda w, _: w.draw.choice(STARTS),
    "duration_min": lambda w, _: w.draw.choice((15, 15, 15, 30)),
    "interval_min": lambda w, _: 15,
    "side": lambda w, _: w.draw.choice(tuple(Side)),
    "rest_wh": lambda w, _: w.draw.choice((100, 500, 1_500)),
    "limit_price_nano_per_kwh": _price,
    "price_nano_per_kwh": _price,
    "spread_nano_per_kwh": _price,
    "up_to_nano_per_kwh": lambda w, _: w.draw.choice((None, 10 * CENT)),
    "restriction": lambda w, _: w.draw.choice((*[Restriction.NONE] * 4, *Restriction)),
    "expires_at": lambda w, party: w.draw.choice((None, None, _soon(w, party))),
    "closes_at": _soon,
    "currency": lambda w, _: "EUR",
    "quantity_wh": _row,
    "version": lambda w, _: w.version(),
    "intervals": lambda w, _: 2,
    "zone": lambda w, party: "y" if w.zoned and party == "dan" else "z",
    "injection_w": lambda w, _: w.draw.choice((20_000, 20_000, 8_000, 2_000)),
    "resources": lambda w, party: (f"{party}-pv",),
    "connections": lambda w, party: (f"{party}-cp",),
    "valid_from": lambda w, _: w.draw.choice((None, STARTS[1])),
    "valid_to": lambda w, _: w.draw.choice((None, STARTS[3])),
    "equipment": lambda w, party: (
        Equipment(f"{party}-pv", ResourceType.GENERATION, 9_000, EnergyCarrier.SOLAR, (), None, None),
    ),
    "stored": lambda w, _: w.stored(),
    "request": lambda w, _: "r",
    "cause": lambda w, _: w.draw.choice((None, WithdrawalReason.OUTAGE)),
    "lots": lambda w, _: w.draw.choice((1, 2)),
    "minimum_lots": lambda w, _: w.draw.choice((0, 1)),
    "line": lambda w, _: "zy",
    "forward_w": lambda w, _: (w.draw.choice((0, 4_000, 20_000)),) * 4,
    "backward_w": lambda w, _: (4_000,) * 4,
    "limit_micro": lambda w, _: w.draw.choice((0, 100_000, *[10**7] * 6)),
    "effective_from": lambda w, _: END,
    "rules": lambda w, _: w.rules,
    "from_at": lambda w, _: NOON,
    "index": lambda w, _: "spot",
    "kind": lambda w, _: OutletKind.UTILITY_FEED_IN,
    "loss_factor_ppm": lambda w, _: 950_000,
    "venue": lambda w, _: "exchange",
    "reference": lambda w, _: "r1",
    "addressed": lambda w, _: (),
    "accepts_at_once": lambda w, _: w.draw.random() < 0.3,
    "power_w": lambda w, _: 0,
    "energy_wh": lambda w, _: tuple(w.draw.choice((-900, -300, 400)) for _ in range(3)),
    "partition": lambda w, _: 0,
    "seq": lambda w, _: w.draw.randrange(len(w.market.facts) + 1),
    "off_taker": lambda w, party: PARTIES[(PARTIES.index(party) + 1) % 4],
    "profile_wh": lambda w, _: (500, 500),
    "parties": lambda w, party: (party,),
    "orders": lambda w, _: (w.draw.choice(w.known.get("order", ["none"])),),
}
"""How a field is drawn wherever it stands; the rest are names of what there is."""

SPECIAL: dict[tuple[str, str], Draw] = {
    ("SubmitOrder", "quantity_wh"): lambda w, _: w.draw.choice((200, 500, 1_000, 2_000)),
    ("SubmitOrder", "terms"): lambda w, _: w.order_terms(),
    ("SubmitBlock", "quantity_wh"): lambda w, _: 500,
    ("SubmitBlock", "duration_min"): lambda w, _: 15,
    ("SubmitBlock", "restriction"): lambda w, _: Restriction.AON,
    ("SubmitBasket", "orders"): _basket,
    ("OfferEnergy", "quantity_wh"): lambda w, _: w.draw.choice(((1_000,), (500, 500), (1_000, 1_000))),
    ("OfferEnergy", "price_nano_per_kwh"): lambda w, _: w.draw.choice((8, 9, 12)) * CENT,
    ("OpenEnquiry", "limit_price_nano_per_kwh"): lambda w, _: w.draw.choice((10, 12)) * CENT,
    ("OpenEnquiry", "quantity_wh"): lambda w, _: w.draw.choice(((1_000,), (2_000, 1_000))),
    ("OpenEnquiry", "intervals"): lambda w, _: 0,
    ("OpenListing", "terms"): lambda w, _: w.listing_terms(),
    ("OpenListing", "closes_at"): lambda w, _: w.market.at + w.draw.choice((9, 20)) * MINUTE,
    ("OpenListing", "product"): lambda w, _: None,
    ("OpenSession", "first_start_at"): lambda w, _: w.draw.choice((NOON + 6 * QUARTER, NOON)),
    ("RegisterProduct", "product"): lambda w, party: f"{party}-{w.draw.randrange(2)}",
    ("RegisterProduct", "terms"): lambda w, party: w.product_terms(party),
    ("AmendProduct", "terms"): lambda w, party: w.product_terms(party),
    ("GrantMandate", "terms"): lambda w, party: MandateTerms(12 * CENT, 8 * CENT, 150_000, NOON),
    ("SettleDelivery", "to_at"): _settled_to,
    ("ProposeOutlet", "to_at"): lambda w, _: NOON + 4 * QUARTER,
    ("ReportSuspicion", "kind"): lambda w, _: w.draw.choice(tuple(SuspicionKind)),
    ("AssignContract", "party"): lambda w, party: party,
    ("CancelOrders", "delivery_start_at"): lambda w, _: None,
    ("CancelOrders", "duration_min"): lambda w, _: None,
    ("SuspendTrading", "duration_min"): lambda w, _: 15,
    ("ResumeTrading", "duration_min"): lambda w, _: 15,
}

NAMED = (
    *("order", "block", "contract", "revision", "listing", "bid", "enquiry", "offer"),
    *("mandate", "outlet", "product", "auction"),
)
ORDERS = [wish for wish in OUTCOMES if wish.__name__ == "SubmitOrder"]
OFTEN = (PlaceBid, OfferEnergy, CombineOffers, AcceptOffers, CounterOffers, ReviseOffer, SubmitBlock, ApproveContract)
CALCULATED = (ProposeCallBlocks, ProposeSessionBook)
"""What is calculated for sessions of blocks, of which there are none here."""
WISHED = [*(wish for wish in OUTCOMES if wish not in CALCULATED), *ORDERS * 14, *OFTEN * 3, *(OpenListing,) * 2]


def wait(draw: random.Random) -> int:
    """Minutes that pass."""
    return draw.choice((0, 1, 1, 2, 4))
