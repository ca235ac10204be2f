"""Listings: one product on offer, many bids; who wins at which price, what is reserved, and every refusal."""

from dataclasses import replace
from typing import Any

import pytest

from domain.market import decider, listings
from schemas.market.commands import ApproveContract, SettleDelivery
from schemas.market.events import (
    CapabilityRecorded,
    CommandRefused,
    ContractConcluded,
    ContractLapsed,
    ContractProposed,
    CreditRecorded,
    OrderAccepted,
)
from schemas.market.listing_commands import OpenListing, PlaceBid, WithdrawBid, WithdrawListing
from schemas.market.listing_events import (
    BiddersNotified,
    BidOutcome,
    BidPlaced,
    BidsDisplaced,
    BidWithdrawn,
    ListingClosed,
    ListingEnd,
    ListingExtended,
    ListingFormat,
    ListingOpened,
    ListingTerms,
    WithdrawalReason,
)
from schemas.market.reasons import MarketRefusal
from schemas.values import INT64_MAX, DeliveryMode
from tests.unit.given import MINUTE, Scenario, only
from tests.unit.market.world import (
    CENT,
    GATE,
    MARKET,
    NOON,
    NOW,
    OPERATOR,
    POLICY,
    QUARTER,
    RULES,
    joined,
    open_market,
    sell,
    submit,
)

R = MarketRefusal
F = ListingFormat
KWH = 1000
CLOSING = NOW + 30 * MINUTE
TERMS = ListingTerms(F.SEALED_FIRST_PRICE, 10 * CENT, 40_000, "solar", lots=4)
OFFER = OpenListing("sol", "sol-cp", NOON, (4 * KWH, 8 * KWH), CLOSING, TERMS)
"""Sol offers 4 and 8 kWh in four parts of 1 and 2 kWh, from 10 cents on; the assumed price is 50."""
ASCENDING = {"format": F.OPEN_ASCENDING, "increment_nano_per_kwh": CENT}
WON, PARTIAL, LOST = BidOutcome.WON, BidOutcome.PARTIAL, BidOutcome.LOST


def reasons(facts: list[Any]) -> list[tuple[R, int, int]]:
    return [(f.reason, f.limit, f.found) for f in only(facts, CommandRefused)]


def why(facts: list[Any]) -> R:
    [(reason, _, _)] = reasons(facts)
    return reason


def exposures(market: Scenario) -> dict[str, int]:
    return {party: account.exposure_pico for party, account in market.state.accounts.items() if account.exposure_pico}


def used(market: Scenario, connection: str = "sol-cp") -> list[int]:
    slots = market.state.slots
    return [slots[start].used_wh.get(connection, 0) for start in sorted(slots)]


def offer(**changes: Any) -> OpenListing:
    """The listing with some of its terms, or of what stands beside them, changed."""
    beside = {name: changes.pop(name) for name in list(changes) if hasattr(OFFER, name)}
    return replace(OFFER, terms=replace(TERMS, **changes), **beside)


def offered(**changes: Any) -> tuple[Scenario, str]:
    """A market with the listing open, and the listing's id."""
    market = open_market("sol", "ann", "bob", "cyd")
    [opened] = market.when(offer(**changes), "sol")
    return market, opened.listing


def bid(market: Scenario, listing: str, party: str, lots: int, cents: int, minimum: int = 0, **more: Any) -> list[Any]:
    wish = PlaceBid(listing, party, more.pop("connection", f"{party}-cp"), lots, minimum, cents * CENT)
    return market.when(wish, more.pop("actor", party))


def results(facts: list[Any]) -> dict[str, tuple[BidOutcome, int, int]]:
    """Outcome, lots and price in cents by bidder."""
    told = [
        result
        for f in only(facts, BiddersNotified)
        for result in zip(f.bidders, f.outcomes, f.lots, f.prices_nano_per_kwh, strict=True)
    ]
    return {who: (outcome, lots, price // CENT) for who, outcome, lots, price in told}


def test_a_listing_discloses_and_reserves() -> None:
    market, listing = offered()
    assert only(market.facts, ListingOpened) == [
        ListingOpened(MARKET, listing, "sol", "sol-cp", "z", NOON, 15, (4 * KWH, 8 * KWH), "EUR", CLOSING, TERMS, None)
    ]
    assert used(market) == [4 * KWH, 8 * KWH, 0, 0]
    assert exposures(market) == {"sol": 12 * KWH * 40 * CENT}, "an open sale at the reserve price"


def test_winners_are_by_price_then_sequence_and_everybody_is_told() -> None:
    market, listing = offered()
    for party, lots, cents in (("ann", 1, 20), ("bob", 2, 30), ("cyd", 2, 20)):
        bid(market, listing, party, lots, cents)
    facts = market.later(CLOSING)
    assert results(facts) == {"ann": (WON, 1, 20), "bob": (WON, 2, 30), "cyd": (PARTIAL, 1, 20)}
    closed = only(facts, ListingClosed)[0]
    assert (closed.ending, closed.bids, closed.lots, closed.unsold_wh) == (ListingEnd.EXPIRED, 3, (2, 1, 1), (0, 0))
    ids = {f.bidder: f.bid for f in only(market.facts, BidPlaced)}
    assert closed.winners == (ids["bob"], ids["ann"], ids["cyd"])
    found = {c.buyer: (c.trade, c.quantity_wh, c.price_nano_per_kwh) for c in only(facts, ContractConcluded)}
    assert found == {
        "ann": (ids["ann"], (KWH, 2 * KWH), 20 * CENT),
        "bob": (ids["bob"], (2 * KWH, 4 * KWH), 30 * CENT),
        "cyd": (ids["cyd"], (KWH, 2 * KWH), 20 * CENT),
    }


def test_a_contract_of_a_listing_is_firm_and_binds_until_it_is_settled() -> None:
    market, listing = offered()
    bid(market, listing, "ann", 3, 20)
    facts = market.later(CLOSING)
    [contract] = only(facts, ContractConcluded)
    assert (contract.seller, contract.zone, contract.operator) == ("sol", "z", OPERATOR)
    assert (contract.delivery_mode, contract.rules_version) == (DeliveryMode.FIRM, 1)
    assert only(facts, BiddersNotified)[0].contracts == (contract.contract,)
    assert used(market) == [3 * KWH, 6 * KWH, 0, 0], "the fourth part is unsold and free"
    assert used(market, "ann-cp") == [-3 * KWH, -6 * KWH, 0, 0], "what is bought may be sold again"
    assert only(facts, ListingClosed)[0].unsold_wh == (KWH, 2 * KWH)
    assert exposures(market) == {"sol": 9 * KWH * 30 * CENT, "ann": 9 * KWH * 20 * CENT}
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    assert exposures(market) == {"sol": 6 * KWH * 30 * CENT, "ann": 6 * KWH * 20 * CENT}
    market.later(NOON + 2 * QUARTER)
    market.when(SettleDelivery(NOON, NOON + 2 * QUARTER), POLICY)
    assert exposures(market) == {}


SECOND_PRICE = [
    # bids (lots, cents, minimum) in the order of their placing → lots won, the one price
    ([(4, 30, 0), (4, 25, 0)], [4, 0], 25),
    ([(4, 30, 0)], [4], 10),
    ([(2, 30, 0), (2, 25, 0)], [2, 2], 10),
    ([(2, 30, 0), (3, 25, 0), (1, 24, 0)], [2, 2, 0], 25),
    ([(2, 30, 0), (2, 25, 0), (1, 24, 0)], [2, 2, 0], 24),
    ([(2, 30, 0), (4, 28, 4), (2, 15, 0), (1, 12, 0)], [2, 0, 2, 0], 15),
]


@pytest.mark.parametrize(("bids", "won", "cents"), SECOND_PRICE)
def test_a_sealed_second_price_is_the_highest_losing_bid(
    bids: list[tuple[int, int, int]], won: list[int], cents: int
) -> None:
    """At least the reserve (10 cents); never above the lowest winner, though a dearer bid did not fit."""
    parties = ("ann", "bob", "cyd", "dan")
    market = open_market("sol", *parties)
    listing = market.when(offer(format=F.SEALED_SECOND_PRICE), "sol")[0].listing
    for party, (lots, price, minimum) in zip(parties, bids, strict=False):
        bid(market, listing, party, lots, price, minimum)
    facts = market.later(CLOSING)
    found = results(facts)
    assert [found[party][1] for party in parties[: len(bids)]] == won
    assert {c.price_nano_per_kwh for c in only(facts, ContractConcluded)} == {cents * CENT}


def test_a_bid_gets_at_least_its_minimum_or_nothing() -> None:
    market, listing = offered()
    bid(market, listing, "ann", 3, 30)
    bid(market, listing, "bob", 2, 25, minimum=2)
    bid(market, listing, "cyd", 2, 20, minimum=1)
    found = results(market.later(CLOSING))
    assert found == {"ann": (WON, 3, 30), "bob": (LOST, 0, 25), "cyd": (PARTIAL, 1, 20)}


def test_a_bid_reserves_its_price_until_it_is_replaced_withdrawn_or_told() -> None:
    market, listing = offered()
    [first] = bid(market, listing, "ann", 1, 20)
    assert exposures(market)["ann"] == 3 * KWH * 20 * CENT
    [second] = bid(market, listing, "ann", 2, 15)
    assert (second.replaces, second.sequence) == (first.bid, 2)
    assert exposures(market)["ann"] == 6 * KWH * 15 * CENT
    assert market.when(WithdrawBid(listing, second.bid), "ann") == [BidWithdrawn(MARKET, listing, second.bid, "ann")]
    assert "ann" not in exposures(market)
    bid(market, listing, "ann", 1, 12)
    bid(market, listing, "bob", 4, 13)
    market.later(CLOSING)
    assert "ann" not in exposures(market), "she lost"


def test_an_ascending_bid_displaces_and_frees_what_it_beats() -> None:
    market, listing = offered(**ASCENDING)
    bid(market, listing, "ann", 2, 12)
    bid(market, listing, "bob", 2, 11)
    facts = bid(market, listing, "cyd", 2, 12)
    [out] = only(facts, BidsDisplaced)
    assert out.bidders == ("bob",)
    assert set(exposures(market)) == {"sol", "ann", "cyd"}
    assert reasons(bid(market, listing, "bob", 2, 12)) == [(R.BELOW_INCREMENT, 13 * CENT, 12 * CENT)]
    assert only(bid(market, listing, "bob", 2, 13), BidsDisplaced)[0].bidders == ("cyd",), "the later of one price"
    assert results(market.later(CLOSING)) == {"ann": (WON, 2, 12), "bob": (WON, 2, 13)}


def test_who_leads_an_ascending_listing_may_raise_but_not_retreat() -> None:
    market, listing = offered(**ASCENDING)
    [placed] = bid(market, listing, "ann", 2, 12)
    assert why(market.when(WithdrawBid(listing, placed.bid), "ann")) is R.BID_LEADS
    assert why(bid(market, listing, "ann", 1, 20)) is R.BELOW_INCREMENT
    assert reasons(bid(market, listing, "ann", 2, 12)) == [(R.BELOW_INCREMENT, 13 * CENT, 12 * CENT)]
    assert type(bid(market, listing, "ann", 4, 13)[0]) is BidPlaced
    assert exposures(market)["ann"] == 12 * KWH * 13 * CENT


def test_an_ascending_bid_that_would_lead_nothing_is_refused() -> None:
    """Ten cents beat nobody here: the minimum of the bid does not fit beside the dearer one."""
    market, listing = offered(**ASCENDING)
    bid(market, listing, "ann", 2, 30)
    bid(market, listing, "bob", 2, 10)
    assert why(bid(market, listing, "cyd", 4, 20, minimum=3)) is R.BELOW_INCREMENT
    assert only(bid(market, listing, "cyd", 4, 20, minimum=2), BidsDisplaced)[0].bidders == ("bob",)


def test_a_late_bid_moves_the_closing_up_to_a_stated_time() -> None:
    latest = CLOSING + 12 * MINUTE
    market, listing = offered(**ASCENDING, extension_min=10, latest_closes_at=latest)
    market.later(CLOSING - 10 * MINUTE)
    assert only(bid(market, listing, "ann", 4, 10), ListingExtended) == [], "not in the last ten minutes yet"
    market.later(CLOSING - 9 * MINUTE)
    assert only(bid(market, listing, "bob", 4, 11), ListingExtended)[0].closes_at == CLOSING + MINUTE
    assert market.later(CLOSING) == []
    assert only(bid(market, listing, "ann", 4, 12), ListingExtended)[0].closes_at == CLOSING + 10 * MINUTE
    market.later(CLOSING + 9 * MINUTE)
    assert only(bid(market, listing, "bob", 4, 13), ListingExtended)[0].closes_at == latest
    market.later(latest - 1)
    assert only(bid(market, listing, "cyd", 4, 14), ListingExtended) == []
    assert results(market.later(latest)) == {"cyd": (WON, 4, 14)}
    assert decider.due(market.state) == GATE, "the closings that moved are over"


def test_an_award_may_wait_for_the_buyers_approval() -> None:
    market, listing = offered(needs_approval=True)
    bid(market, listing, "ann", 2, 20)
    bid(market, listing, "bob", 2, 30)
    facts = market.later(CLOSING)
    assert only(facts, ContractConcluded) == []
    found = {p.awaiting: p for p in only(facts, ContractProposed)}
    assert {who: (p.proposer, p.quantity_wh, p.lapses_at) for who, p in found.items()} == dict.fromkeys(
        ("ann", "bob"), ("sol", (2 * KWH, 4 * KWH), CLOSING + 60 * MINUTE)
    )
    assert used(market) == [4 * KWH, 8 * KWH, 0, 0]
    reserved = {"sol": 6 * KWH * (30 + 20) * CENT, "ann": 6 * KWH * 20 * CENT, "bob": 6 * KWH * 30 * CENT}
    assert exposures(market) == reserved
    market.when(ApproveContract(found["bob"].contract), "bob")
    assert only(market.later(CLOSING + 60 * MINUTE), ContractLapsed)[0].buyer == "ann"
    assert used(market) == [2 * KWH, 4 * KWH, 0, 0]
    assert exposures(market) == {"sol": 6 * KWH * 20 * CENT, "bob": 6 * KWH * 30 * CENT}


def test_the_schedule_cannot_be_sold_a_second_time() -> None:
    market = open_market("ann", "bob")
    market.given(*joined("sol", injection_w=36_000))  # 9 kWh in a quarter-hour
    listing = market.when(OFFER, "sol")[0].listing
    assert why(submit(market, sell("sol", 5.1, 20))) is R.CAPABILITY_EXCEEDED
    assert type(submit(market, sell("sol", 5, 20))[0]) is OrderAccepted
    assert why(market.when(OFFER, "sol")) is R.CAPABILITY_EXCEEDED
    market.when(WithdrawListing(listing, None), "sol")
    assert type(submit(market, sell("sol", 4, 20))[0]) is OrderAccepted, "nothing was sold: all is free"


def test_a_listing_is_withdrawn_before_the_first_bid_or_with_a_reason_and_notice() -> None:
    market, listing = offered()
    bid(market, listing, "ann", 2, 20)
    assert why(market.when(WithdrawListing(listing, None), "sol")) is R.REASON_MISSING
    [closed] = market.when(WithdrawListing(listing, WithdrawalReason.OUTAGE), "sol")
    assert (closed.ending, closed.cause, closed.winners) == (ListingEnd.WITHDRAWN, WithdrawalReason.OUTAGE, ())
    assert closed.unsold_wh == (4 * KWH, 8 * KWH)
    assert results(market.later(market.at)) == {"ann": (BidOutcome.LISTING_WITHDRAWN, 0, 20)}
    assert exposures(market) == {}
    assert used(market) == [0, 0, 0, 0]
    assert why(bid(market, listing, "ann", 2, 20)) is R.LISTING_NOT_OPEN
    other = market.when(OFFER, "sol")[0].listing
    assert type(market.when(WithdrawListing(other, None), "sol")[0]) is ListingClosed


def test_a_listing_without_bids_ends_without_notice() -> None:
    market, _ = offered()
    assert [type(f) for f in market.later(CLOSING)] == [ListingClosed]
    assert exposures(market) == {}
    assert decider.due(market.state) == GATE


def test_many_bidders_are_told_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    parties = [f"p{n}" for n in range(230)]
    market = open_market("sol", *parties)
    schedule = (23_000, 23_000)
    listing = market.when(offer(lots=230, quantity_wh=schedule, capacity_w=100_000), "sol")[0].listing
    for n, party in enumerate(parties):
        bid(market, listing, party, 2, 20 if n >= 115 else 10)
    facts = market.later(CLOSING)
    assert len(only(facts, ListingClosed)[0].winners) == 115
    told = only(facts, BiddersNotified)
    assert [len(f.bids) for f in told] == [100, 100, 11, 19], "as many winners as there is room for their contracts"
    assert [who for f in told for who in f.bidders] == parties
    assert {c.buyer for c in only(facts, ContractConcluded)} == set(parties[115:])
    assert used(market) == [23_000, 23_000, 0, 0]
    full, listing = offered()
    monkeypatch.setattr(listings, "MAX_BIDS", 1)
    bid(full, listing, "ann", 1, 20)
    assert reasons(bid(full, listing, "bob", 1, 20)) == [(R.TOO_MANY_BIDS, 1, 2)]
    assert type(bid(full, listing, "ann", 1, 21)[0]) is BidPlaced, "it takes the place of her own"


def test_a_closed_listing_is_remembered_until_its_first_delivery_is_settled() -> None:
    market, listing = offered()
    market.later(CLOSING)
    assert why(bid(market, listing, "ann", 1, 20)) is R.LISTING_NOT_OPEN
    market.later(NOON + QUARTER)
    market.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    later = open_market("sol", intervals=8)
    later.when(OFFER, "sol")
    later.later(CLOSING)
    later.later(NOON + QUARTER)
    later.when(SettleDelivery(NOON, NOON + QUARTER), POLICY)
    at = NOON + 4 * QUARTER
    later.when(offer(first_start_at=at, closes_at=at - 20 * MINUTE), "sol")
    assert len(later.state.listings.known) == 1


OPENINGS: tuple[tuple[R, dict[str, Any]], ...] = (
    (R.NOT_AUTHORISED, {"actor": "ann"}),
    (R.INVALID_LISTING, {"lots": 0}),
    (R.INVALID_LISTING, {"increment_nano_per_kwh": 1}),
    (R.INVALID_LISTING, {"format": F.OPEN_ASCENDING}),
    (R.INVALID_LISTING, {"extension_min": 5, "latest_closes_at": CLOSING + 1}),
    (R.INVALID_LISTING, ASCENDING | {"extension_min": 5}),
    (R.INVALID_LISTING, {"latest_closes_at": CLOSING + 1}),
    (R.TOO_MANY_INTERVALS, {"quantity_wh": (KWH,) * 501}),
    (R.INSTRUMENT_UNKNOWN, {"first_start_at": NOON + 4 * QUARTER}),
    (R.NOT_OPEN, {"at": NOON - 1440 * MINUTE - 1}),
    (R.GATE_CLOSED, {"at": GATE}),
    (R.PARTICIPANT_UNKNOWN, {"party": "eve", "actor": "eve"}),
    (R.CONNECTION_UNKNOWN, {"connection": "ann-cp"}),
    (R.RESOURCE_NOT_VERIFIED, {"party": "ivy", "connection": "ivy-cp", "actor": "ivy"}),
    (R.QUANTITY_ZERO, {"quantity_wh": ()}),
    (R.QUANTITY_ZERO, {"quantity_wh": (4000, 0)}),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": (4050,)}),
    (R.QUANTITY_ABOVE_MAXIMUM, {"quantity_wh": (100_400,)}),
    (R.QUANTITY_OFF_LOT, {"quantity_wh": (4100,)}),
    (R.QUANTITY_OFF_LOT, {"lots": INT64_MAX}),
    (R.CAPACITY_EXCEEDED, {"capacity_w": 31_999}),
    (R.PRICE_OFF_TICK, {"reserve_price_nano_per_kwh": 1}),
    (R.PRICE_OUT_OF_RANGE, {"reserve_price_nano_per_kwh": 101 * CENT}),
    (R.EXPIRY_IN_THE_PAST, {"closes_at": NOW}),
    (R.EXPIRY_AFTER_GATE, {"closes_at": GATE}),
    (R.EXPIRY_AFTER_GATE, ASCENDING | {"extension_min": 5, "latest_closes_at": GATE}),
    (R.CAPABILITY_EXCEEDED, {"injection_w": 31_999}),
    (R.CREDIT_EXCEEDED, {"credit_micro": 4_799_999}),
)


@pytest.mark.parametrize(("reason", "changes"), OPENINGS)
def test_refused_listings_change_nothing(reason: R, changes: dict[str, Any]) -> None:
    changes = dict(changes)
    market = open_market("ann", at=NOON - 2000 * MINUTE)
    injection_w, credit_micro = changes.pop("injection_w", 400_000), changes.pop("credit_micro", 10**9)
    market.given(*joined("sol", injection_w, credit_micro), *joined("ivy", verified=False))
    market.later(changes.pop("at", NOW))
    actor = changes.pop("actor", "sol")
    before = repr(market.state)
    assert why(market.when(offer(**changes), actor)) is reason
    assert repr(market.state) == before


def test_nothing_is_listed_in_an_unknown_market_or_a_suspended_book() -> None:
    nowhere = Scenario("market", MARKET)
    wishes = (OFFER, PlaceBid("x", "ann", "ann-cp", 1, 0, 0), WithdrawBid("x", "y"), WithdrawListing("x", None))
    for wish in wishes:
        assert why(nowhere.when(wish, "sol")) is R.MARKET_UNKNOWN
    market = open_market("sol")
    for wish in wishes[1:]:
        assert why(market.when(wish, "sol")) is R.LISTING_UNKNOWN


def test_at_the_limits_a_listing_is_lawful() -> None:
    market = open_market()
    market.given(*joined("sol", 32_000, 4_800_000))
    assert type(market.when(offer(capacity_w=32_000, closes_at=GATE - 1), "sol")[0]) is ListingOpened


BIDS: tuple[tuple[R, dict[str, Any]], ...] = (
    (R.NOT_AUTHORISED, {"actor": "bob"}),
    (R.SAME_PARTY, {"party": "sol"}),
    (R.LISTING_NOT_OPEN, {"at": CLOSING}),
    (R.PARTICIPANT_UNKNOWN, {"party": "eve"}),
    (R.CONNECTION_UNKNOWN, {"connection": "bob-cp"}),
    (R.WRONG_ZONE, {"party": "far"}),
    (R.QUANTITY_ZERO, {"lots": 0}),
    (R.QUANTITY_ABOVE_MAXIMUM, {"lots": 5}),
    (R.MINIMUM_ABOVE_QUANTITY, {"minimum": 3}),
    (R.PRICE_OUT_OF_RANGE, {"cents": 101}),
    (R.BELOW_RESERVE, {"cents": 9}),
    (R.CREDIT_EXCEEDED, {"cents": 21}),
)


@pytest.mark.parametrize(("reason", "changes"), BIDS)
def test_refused_bids_change_nothing(reason: R, changes: dict[str, Any]) -> None:
    market, listing = offered()
    market.given(CreditRecorded(MARKET, "ann", "EUR", 1_200_000), *joined("far"))
    market.given(CapabilityRecorded(MARKET, "far-cp", "far", 0, (), "elsewhere"))
    at = changes.get("at", NOW)
    if at == CLOSING:  # in time before the tick of the closing, though nothing is recorded yet
        market.at = at
        market.state.listings.known[listing].closed = None
    else:
        market.later(at)
    wish = {"party": "ann", "lots": 2, "cents": 20} | {k: v for k, v in changes.items() if k != "at"}
    exposed, standing = exposures(market), dict(market.state.listings.known[listing].bids)
    assert why(bid(market, listing, **wish)) is reason
    if at == NOW:
        assert (exposures(market), market.state.listings.known[listing].bids) == (exposed, standing)
        assert type(bid(market, listing, "ann", 2, 20)[0]) is BidPlaced


def test_a_price_off_the_tick_is_no_bid() -> None:
    market, listing = offered()
    assert why(market.when(PlaceBid(listing, "ann", "ann-cp", 1, 0, 20 * CENT + 1), "ann")) is R.PRICE_OFF_TICK


def test_refused_withdrawals() -> None:
    market, listing = offered()
    [placed] = bid(market, listing, "ann", 1, 20)
    assert why(market.when(WithdrawBid(listing, "nonsense"), "ann")) is R.BID_NOT_STANDING
    assert why(market.when(WithdrawBid(listing, placed.bid), "bob")) is R.NOT_AUTHORISED
    market.when(WithdrawBid(listing, placed.bid), "ann")
    assert why(market.when(WithdrawBid(listing, placed.bid), "ann")) is R.BID_NOT_STANDING
    assert why(market.when(WithdrawBid(listing, placed.bid), "bob")) is R.NOT_AUTHORISED
    assert why(market.when(WithdrawListing(listing, None), "ann")) is R.NOT_AUTHORISED
    [again] = bid(market, listing, "ann", 1, 20)
    market.later(CLOSING)
    assert why(market.when(WithdrawBid(listing, again.bid), "ann")) is R.LISTING_NOT_OPEN
    assert why(market.when(WithdrawListing(listing, WithdrawalReason.MISTAKE), "sol")) is R.LISTING_NOT_OPEN
    assert RULES.lot_wh == 100
