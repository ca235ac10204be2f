"""Who owes and sells what, told anew from the first fact of a market: no code of the product, one rule set a market.

A claim is what something that stands counts: whose credit, of which delivery, how much (10⁻¹² units), and which
connection sells (> 0) or has bought (< 0) how much of which settlement interval.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

from schemas.market import (
    contract_events,
    credit_events,
    enquiry_events,
    events,
    listing_events,
    negotiation_events,
    package_events,
)
from schemas.market.listing_events import ListingOpened
from schemas.values import Side

MINUTE = 60_000_000
QUARTER = 15 * MINUTE


class Claim(NamedTuple):
    """Of one settlement interval; `delivery` is the start of the instrument it was traded as."""

    party: str
    delivery: int
    pico: int
    connection: str
    slot: int
    wh: int


@dataclass
class Standing:
    """A default as its facts tell it."""

    losses: list[int] = field(default_factory=list)
    shares: dict[str, Counter[str]] = field(default_factory=dict)
    settled: Any = None


class Ledger:
    """Everything that stands after some facts."""

    def __init__(self, rules: events.RuleSet) -> None:
        self.rules = rules
        self.named: dict[str, Any] = {}
        self.reserved: dict[str, list[Claim]] = {}
        self.contracts: dict[str, Any] = {}
        self.waiting: dict[str, Any] = {}
        self.settled: list[tuple[int, int]] = []
        self.limits: Counter[str] = Counter()
        self.admitted: set[str] = set()
        self.calls: dict[str, int] = {}
        self.defaults: dict[str, Standing] = {}

    # -- what a Wh counts --------------------------------------------------------------------------

    def cost(self, price: int) -> int:
        credit = self.rules.credit
        whole = (max(0, price) + (credit.fee_nano_per_kwh if credit else 0)) * (
            1 + Fraction(credit.tax_ppm if credit else 0, 10**6)
        )
        return ceil(whole)

    def shortfall(self, price: int) -> int:
        return max(0, self.rules.assumed_price_nano_per_kwh - price) + max(0, -price)

    def sale(self, party: str, connection: str, first: int, row: Any, price: int, minutes: int = 15) -> list[Claim]:
        return self._row(party, connection, first, row, self.shortfall(price), 1, minutes)

    def purchase(
        self, party: str, connection: str, first: int, row: Any, price: int, made: bool, minutes: int = 15
    ) -> list[Claim]:
        return self._row(party, connection, first, row, self.cost(price), -1 if made else 0, minutes)

    def _row(
        self, party: str, connection: str, first: int, row: Any, pico: int, sign: int, minutes: int
    ) -> list[Claim]:
        rows = []
        for n, wh in enumerate(row):
            slot = first + n * QUARTER
            delivery = slot - (slot - first) % (minutes * MINUTE)
            rows.append(Claim(party, delivery, wh * pico, connection, slot, sign * wh))
        return rows

    def of_order(self, order: Any, rest: int, price: int) -> list[Claim]:
        parts = order.interval_min // 15
        return self._offer(order, (rest // parts,) * parts, order.delivery_start_at, price)

    def of_block(self, block: Any, rest: int) -> list[Claim]:
        parts = block.interval_min // 15
        row = (rest // parts,) * (parts * block.intervals)
        return self._offer(block, row, block.first_start_at, block.limit_price_nano_per_kwh)

    def _offer(self, one: Any, row: Any, first: int, price: int) -> list[Claim]:
        what = one.party, one.connection, first, row, price
        return self.purchase(*what, False) if one.side is Side.BUY else self.sale(*what)

    def of_contract(self, held: Any, terms: Any) -> list[Claim]:
        if getattr(held, "state", None) is contract_events.ContractState.CANCELLED:
            return []
        minutes, first = held.duration_min or 15, held.first_start_at
        what = first, terms.quantity_wh, terms.price_nano_per_kwh
        sold = self.sale(terms.seller, terms.seller_connection, *what, minutes)
        bought = self.purchase(terms.buyer, terms.buyer_connection, *what, True, minutes)
        over = [claim for claim in (*sold, *bought) if not self.is_settled(claim.delivery)]
        return [claim for claim in over if claim.wh]

    def of_listing(self, listing: ListingOpened, lots: int) -> list[Claim]:
        row = tuple(wh // listing.terms.lots * lots for wh in listing.quantity_wh)
        price = listing.terms.reserve_price_nano_per_kwh
        return self.sale(listing.seller, listing.connection, listing.first_start_at, row, price)

    def is_settled(self, delivery: int) -> bool:
        return any(first <= delivery < end for first, end in self.settled)

    # -- facts -------------------------------------------------------------------------------------

    def hear(self, fact: Any) -> None:  # noqa: PLR0912  (a table)
        named, reserved = self.named, self.reserved
        match fact:
            case events.ParticipantAdmitted() | credit_events.ParticipantReinstated():
                self.admitted.add(fact.party)
                self.defaults.pop(fact.party, None)
            case events.CreditRecorded():
                self.limits[fact.party] = fact.limit_micro
            case events.DeliverySettled():
                self.settled.append((fact.from_at, fact.to_at))
            case events.OrderAccepted():
                named[fact.order] = [fact, fact.quantity_wh, fact.limit_price_nano_per_kwh]
                self._order(fact.order)
            case events.OrderAmended():
                named[fact.order][1:] = [fact.rest_wh, fact.limit_price_nano_per_kwh]
                self._order(fact.order)
            case events.OrderReduced():
                named[fact.order][1] = fact.rest_wh
                self._order(fact.order)
            case events.OrderCancelled():
                del reserved[fact.order]
            case events.OrdersCancelled():
                for order in fact.orders:
                    del reserved[order]
            case events.TradeMade():
                for order, rest in ((fact.buy_order, fact.buy_rest_wh), (fact.sell_order, fact.sell_rest_wh)):
                    named[order][1] = rest
                    self._order(order)
            case package_events.BlockAccepted():
                named[fact.block] = fact
                reserved[fact.block] = self.of_block(fact, fact.quantity_wh)
            case package_events.BlockTradeMade():
                for block, rest in ((fact.buy_block, fact.buy_rest_wh), (fact.sell_block, fact.sell_rest_wh)):
                    reserved[block] = self.of_block(named[block], rest)
                    if not rest:
                        del reserved[block]
            case package_events.BlocksCancelled():
                for block in fact.blocks:
                    del reserved[block]
            case _:
                self._hear_agreements(fact)
                self._hear_standing(fact)

    def _order(self, order: str) -> None:
        fact, rest, price = self.named[order]
        self.reserved[order] = self.of_order(fact, rest, price)
        if not rest:
            del self.reserved[order]

    def _hear_agreements(self, fact: Any) -> None:  # noqa: PLR0912  (a table)
        named, reserved = self.named, self.reserved
        match fact:
            case listing_events.ListingOpened():
                named[fact.listing] = fact
                reserved[fact.listing] = self.of_listing(fact, fact.terms.lots)
            case listing_events.BidPlaced():
                named[fact.bid] = fact
                reserved.pop(fact.replaces or "", None)
                listing = named[fact.listing]
                row = tuple(wh // listing.terms.lots * fact.lots for wh in listing.quantity_wh)
                what = listing.first_start_at, row, fact.price_nano_per_kwh
                reserved[fact.bid] = self.purchase(fact.bidder, fact.connection, *what, False)
            case listing_events.BidWithdrawn():
                del reserved[fact.bid]
            case listing_events.BidsDisplaced() | listing_events.BiddersNotified():
                for bid in fact.bids:
                    del reserved[bid]
            case listing_events.ListingClosed():
                del reserved[fact.listing]  # an award is told in the same step as its contract
            case enquiry_events.EnquiryOpened():
                named[fact.enquiry] = fact
            case enquiry_events.OfferMade():
                named[fact.offer] = fact
                self._offered(fact, fact.price_nano_per_kwh)
            case enquiry_events.OfferRevised():
                self._offered(named[fact.offer], fact.price_nano_per_kwh)
            case enquiry_events.OfferWithdrawn() | enquiry_events.OfferAccepted():
                del reserved[fact.offer]
            case enquiry_events.EnquiryClosed():
                for offer in fact.offers:
                    del reserved[offer]
            case events.ContractProposed():
                what = fact.first_start_at, fact.quantity_wh, fact.price_nano_per_kwh
                reserved[fact.contract] = self.sale(fact.seller, fact.seller_connection, *what)
                reserved[fact.contract] += self.purchase(fact.buyer, fact.buyer_connection, *what, False)
            case events.ContractLapsed() | negotiation_events.ContractRejected():
                del reserved[fact.contract]
            case events.ContractConcluded():
                reserved.pop(fact.contract, None)
                self.contracts[fact.contract] = fact
            case contract_events.RevisionProposed():
                self.waiting[fact.contract] = fact
            case contract_events.RevisionEnded():
                del self.waiting[fact.contract]
            case contract_events.ContractRevised():
                self.waiting.pop(fact.contract, None)
                self.contracts[fact.contract] = fact
            case _:
                pass

    def _offered(self, made: Any, price: int) -> None:
        first = self.named[made.enquiry].first_start_at
        self.reserved[made.offer] = self.sale(made.seller, made.connection, first, made.quantity_wh, price)

    def _hear_standing(self, fact: Any) -> None:
        match fact:
            case credit_events.MarginCalled():
                self.calls[fact.party] = fact.deadline_at
            case credit_events.MarginCallMet():
                del self.calls[fact.party]
            case credit_events.ParticipantDefaulted():
                del self.calls[fact.party]
                self.admitted.remove(fact.party)
                self.defaults[fact.party] = Standing()
            case credit_events.PositionClosed():
                self.defaults[fact.party].losses.append(fact.loss_micro)
            case credit_events.DefaultSettled():
                self.defaults[fact.party].settled = fact
            case credit_events.LossAllocated():
                shares = self.defaults[fact.party].shares.setdefault(fact.layer.value, Counter())
                shares.update(dict(zip(fact.parties, fact.amounts_micro, strict=True)))
            case _:
                pass

    # -- sums --------------------------------------------------------------------------------------

    def claims(self) -> Iterator[Claim]:
        for row in self.reserved.values():
            yield from row
        for contract in self.contracts.values():
            yield from self.of_contract(contract, contract)
        for waiting in self.waiting.values():
            yield from self._more(waiting)

    def _more(self, waiting: Any) -> Iterator[Claim]:
        """What a proposed version takes beyond the one that stands."""
        held = self.contracts[waiting.contract]
        ends = waiting.reason is contract_events.RevisionReason.CANCELLED
        after = [] if ends else self.of_contract(held, waiting.terms)
        owed: Counter[tuple[str, int]] = Counter()
        sold: Counter[tuple[str, int]] = Counter()
        for sign, row in ((-1, self.of_contract(held, held)), (1, after)):
            for claim in row:
                owed[claim.party, claim.delivery] += sign * claim.pico
                sold[claim.connection, claim.slot] += sign * claim.wh
        yield from (Claim(*who, pico, "", 0, 0) for who, pico in owed.items() if pico > 0)
        yield from (Claim("", 0, 0, *where, wh) for where, wh in sold.items() if wh > 0)

    def exposures(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for claim in self.claims():
            found[claim.party] += claim.pico
        return Counter({party: pico for party, pico in found.items() if pico and party})

    def used(self) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        for claim in self.claims():
            found[claim.connection, claim.slot] += claim.wh
        return Counter({where: wh for where, wh in found.items() if wh})
