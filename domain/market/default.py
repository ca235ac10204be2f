"""A default, written out in slices: what the party has open ends, its positions are closed, the loss is shared.

Orders and blocks leave their books, listings, bids, enquiries and offers are withdrawn, mandates revoked, and proposals
lapse. What stands in a frozen book waits for the end of its auction and may trade until then. Then what is undelivered
of its contracts ends at the rules' close-out price, and each fact names what the other side loses (+) or gains (−) by
it. The sum is borne by the defaulter's collateral as far as what it still owes leaves some, then by the operator's fund
up to the rules' amount, then by the other participants in proportion to their exposure (largest remainder); with no
such exposure the fund bears the rest.
"""

from collections.abc import Iterator
from typing import Any, Final

from domain.market import enquiry_table
from domain.market.book import Order
from domain.market.claims import instruments_of
from domain.market.contract_state import Held, seller_gets
from domain.market.contract_versions import closed_out, revised
from domain.market.contracts import ended_revision, undelivered
from domain.market.enquiry_state import Enquiry
from domain.market.exposure import PICO_PER_MICRO
from domain.market.gates import cancelled_together
from domain.market.leaving import is_frozen, waits_to_leave
from domain.market.listing_closing import closed
from domain.market.listing_state import Listing
from domain.market.state import Key, Market
from domain.market.timers import Ahead
from domain.rounding import half_up, largest_remainder
from schemas.market.contract_events import ContractRevised, RevisionEnded, RevisionEnding, RevisionReason
from schemas.market.credit_events import DefaultSettled, LossAllocated, LossLayer, PositionClosed
from schemas.market.enquiry_events import EnquiryEnd
from schemas.market.events import ContractLapsed, OrdersCancelled, RuleSet
from schemas.market.listing_events import BidWithdrawn, ListingClosed, ListingEnd, WithdrawalReason
from schemas.market.mandate_events import MandateRevoked
from schemas.market.package_events import BlocksCancelled
from schemas.market.reasons import CancelReason
from schemas.market.session_events import CallBlocksEnded
from schemas.values import Side

MAX_SLICE: Final = 100
"""Parties in one `LossAllocated`, blocks in one `BlocksCancelled`."""

_TOGETHER: Final = 2
"""A contract's next version and its closed position come in the same call."""


def slices(state: Market, party: str, ahead: Ahead) -> Iterator[Any]:
    """What comes next of a default, as far as there is room."""
    found = state.standing.defaults[party]
    if found.settled:
        yield from _allocated(state, party, ahead)
        return
    yield from _ends(state, party, ahead)
    if waits_to_leave(state, party):
        return
    yield from _positions(state, party, ahead)
    if not _is_open(state, party, ahead.at):
        ahead.room -= 1
        yield _settled(state, party, found.loss_micro)


def only_waits(state: Market, party: str) -> bool:
    """Whether all that is left for now waits for the end of an auction."""
    if state.standing.defaults[party].settled or not waits_to_leave(state, party):
        return False
    return next(_ends(state, party, Ahead(0, MAX_SLICE)), None) is None


def _ends(state: Market, party: str, ahead: Ahead) -> Iterator[Any]:
    yield from _orders(state, party, ahead)
    yield from _blocks(state, party, ahead)
    yield from _offers(state, party, ahead)
    yield from _enquiries(state, party, ahead)
    yield from _mandates(state, party, ahead)
    yield from _proposals(state, party, ahead)


def _is_open(state: Market, party: str, now_at: int) -> bool:
    """Whether anything of the party is left, before what this call says."""
    orders = (order for order in state.orders.values() if order.party == party and order.rest_wh)
    offers = (n.proposed for n in state.negotiations.values() if n.waiting)
    return (
        any(orders)
        or any(block.order.party == party for block in state.blocks.values())
        or any(auction.blocks_of(party) for auction in state.session_auctions.known.values())
        or any(_takes_part(listing, party) for listing in state.listings.known.values())
        or any(_asks_or_offers(enquiry, party) for enquiry in state.enquiries.known.values())
        or any(mandate.granted.party == party for mandate in state.mandates.known.values())
        or any(party in (offer.seller, offer.buyer) for offer in offers)
        or any(_concerns(held, party) for held in state.agreements.contracts.values())
        or any(open_positions(state, party, now_at))
    )


def _takes_part(listing: Listing, party: str) -> bool:
    """In one that is open, or whose bidders are not all told yet."""
    bids = any(bid.bidder == party for bid in listing.bids.values())
    return bids or (listing.closed is None and listing.opened.seller == party)


def _asks_or_offers(enquiry: Enquiry, party: str) -> bool:
    if enquiry.ended is not None:
        return False
    return enquiry.opened.enquirer == party or any(offer.seller == party for offer in enquiry.offers.values())


def _concerns(held: Held, party: str) -> bool:
    if held.revision is None:
        return False
    return party in (held.version.seller, held.version.buyer, held.revision.proposed.awaiting)


def open_positions(state: Market, party: str, now_at: int) -> Iterator[tuple[Held, tuple[bool, ...]]]:
    """The party's contracts with something undelivered, and of each interval whether it is undelivered."""
    for held in state.agreements.of(party):
        waits = undelivered(held, now_at)
        if any(wh for wh, is_open in zip(held.version.quantity_wh, waits, strict=True) if is_open):
            yield held, waits


def _orders(state: Market, party: str, ahead: Ahead) -> Iterator[OrdersCancelled]:
    books: dict[Key, list[Order]] = {}
    for order in state.orders.values():
        if order.party != party or not order.rest_wh or order.order in ahead.gone:
            continue
        if not is_frozen(state, order):
            books.setdefault(order.instrument, []).append(order)
    for key, orders in books.items():
        yield from cancelled_together(state, state.instruments[key], orders, CancelReason.DEFAULT, ahead)


def _blocks(state: Market, party: str, ahead: Ahead) -> Iterator[BlocksCancelled | CallBlocksEnded]:
    blocks = [name for name, block in state.blocks.items() if block.order.party == party]
    for place in range(0, len(blocks), MAX_SLICE):
        if ahead.room:
            ahead.room -= 1
            yield BlocksCancelled(state.market, CancelReason.DEFAULT, tuple(blocks[place : place + MAX_SLICE]))
    for auction in state.session_auctions.known.values():
        mine = auction.blocks_of(party)
        if mine and auction.called is None and ahead.room:
            ahead.room -= 1
            yield auction.ended(state.market, mine, CancelReason.DEFAULT)


def _offers(state: Market, party: str, ahead: Ahead) -> Iterator[ListingClosed | BidWithdrawn]:
    """Listings of the party are withdrawn, its bids on the others' are taken back."""
    for listing in state.listings.known.values():
        if listing.closed is not None:
            continue
        name = listing.opened.listing
        if listing.opened.seller == party and ahead.room:
            ahead.room -= 1
            yield closed(state, listing, ListingEnd.WITHDRAWN, WithdrawalReason.DEFAULT)
        for bid in listing.bids.values():
            if bid.bidder == party and ahead.room:
                ahead.room -= 1
                yield BidWithdrawn(state.market, name, bid.bid, party)


def _enquiries(state: Market, party: str, ahead: Ahead) -> Iterator[Any]:
    """Enquiries of the party end, its offers to the others' are withdrawn, on the table or not."""
    for enquiry in state.enquiries.known.values():
        if not _asks_or_offers(enquiry, party):
            continue
        if enquiry.opened.enquirer == party:
            facts: list[Any] = [enquiry_table.closed(state, enquiry, EnquiryEnd.DEFAULT)]
        else:
            mine = [offer for offer in enquiry.offers.values() if offer.seller == party]
            facts = enquiry_table.withdrawn(state, enquiry, mine, ahead.at)
        if len(facts) > ahead.room:
            return
        ahead.room -= len(facts)
        yield from facts


def _mandates(state: Market, party: str, ahead: Ahead) -> Iterator[MandateRevoked]:
    for mandate in state.mandates.known.values():
        if mandate.granted.party == party and ahead.room:
            ahead.room -= 1
            yield MandateRevoked(state.market, mandate.granted.mandate, party)


def _proposals(state: Market, party: str, ahead: Ahead) -> Iterator[ContractLapsed | RevisionEnded]:
    for negotiation in state.negotiations.values():
        offer = negotiation.proposed
        if negotiation.waiting and party in (offer.seller, offer.buyer) and ahead.room:
            ahead.room -= 1
            yield ContractLapsed(state.market, offer.contract, offer.seller, offer.buyer)
    for held in state.agreements.contracts.values():
        if ahead.room and _concerns(held, party):
            ahead.room -= 1
            yield ended_revision(held, RevisionEnding.DEFAULT)


def _positions(state: Market, party: str, ahead: Ahead) -> Iterator[ContractRevised | PositionClosed]:
    for held, waits in open_positions(state, party, ahead.at):
        if ahead.room < _TOGETHER:
            return
        ahead.room -= _TOGETHER
        ends, terms = closed_out(held.version, [not is_open for is_open in waits])
        version = revised(held, terms, ends, RevisionReason.CLOSED_OUT)
        yield version
        yield _closed(state, party, held, waits, version.version)


def _closed(state: Market, party: str, held: Held, waits: tuple[bool, ...], number: int) -> PositionClosed:
    version = held.version
    buys = version.buyer == party
    quantity_wh = sum(wh for wh, is_open in zip(version.quantity_wh, waits, strict=True) if is_open)
    price = seller_gets(version) if buys else version.price_nano_per_kwh  # of the other side, whose loss it is
    close_out = _close_out_price(_rules_of(state, held))
    worse = price - close_out if buys else close_out - price
    return PositionClosed(
        state.market,
        party,
        version.contract,
        number,
        version.seller if buys else version.buyer,
        Side.BUY if buys else Side.SELL,
        quantity_wh,
        price,
        close_out,
        half_up(worse * quantity_wh, PICO_PER_MICRO),
    )


def _rules_of(state: Market, held: Held) -> RuleSet:
    known = (i.rules for i in instruments_of(state, held.version) if i is not None)
    return next(known, state.rules[-1].rules)


def _close_out_price(rules: RuleSet) -> int:
    """What replaces a contract: the rules' close-out price, without one what they assume for undelivered sales."""
    return rules.credit.close_out_price_nano_per_kwh if rules.credit else rules.assumed_price_nano_per_kwh


def _settled(state: Market, party: str, loss_micro: int) -> DefaultSettled:
    rules = state.rules[-1].rules
    account = state.accounts[party]
    free_micro = max(0, account.limit_micro - -(-account.exposure_pico // PICO_PER_MICRO))
    collateral = min(loss_micro, free_micro)
    rest = loss_micro - collateral
    fund = min(rest, rules.credit.default_fund_micro if rules.credit else 0)
    if not any(_exposures(state, party).values()):
        fund = rest
    return DefaultSettled(state.market, party, rules.currency, loss_micro, collateral, fund, rest - fund)


def _exposures(state: Market, party: str) -> dict[str, int]:
    """Who else is exposed in this market; whoever is in default bears nothing more."""
    return {
        other: account.exposure_pico
        for other, account in state.accounts.items()
        if other != party and other in state.participants and account.exposure_pico > 0
    }


def settle(state: Market, fact: DefaultSettled) -> None:
    """For `evolve`: who bears what stands as the exposures are now, whatever happens until it is written out."""
    found = state.standing.defaults[fact.party]
    found.settled = True
    operator = state.rules[-1].rules.operator
    shares = [(LossLayer.COLLATERAL, fact.party, fact.collateral_micro), (LossLayer.FUND, operator, fact.fund_micro)]
    if fact.others_micro:
        others = largest_remainder(fact.others_micro, _exposures(state, fact.party))
        shares += [(LossLayer.OTHERS, other, micro) for other, micro in sorted(others.items())]
    found.shares = [share for share in shares if share[2]]


def _allocated(state: Market, party: str, ahead: Ahead) -> Iterator[LossAllocated]:
    """Layer by layer, never two of them in one fact."""
    shares, currency = state.standing.defaults[party].shares, state.rules[-1].rules.currency
    place = 0
    while place < len(shares) and ahead.room:
        layer = shares[place][0]
        part = [share for share in shares[place : place + MAX_SLICE] if share[0] is layer]
        place += len(part)
        ahead.room -= 1
        names, amounts = tuple(share[1] for share in part), tuple(share[2] for share in part)
        yield LossAllocated(state.market, party, currency, layer, names, amounts)
