"""Well-formed wishes of every stream that cannot be: a recorded refusal, and nothing else changes."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from schemas.market.commands import ApproveContract, CancelOrder
from schemas.market.contract_commands import AgreeRevision, RefuseRevision, WithdrawContract
from schemas.market.enquiry_commands import AcceptOffers, RejectOffers, WithdrawOffer
from schemas.market.events import CommandRefused
from schemas.market.information_commands import AcknowledgeNotifications
from schemas.market.listing_commands import WithdrawBid, WithdrawListing
from schemas.market.mandate_commands import GrantMandate, PauseMandate, RecordForecast, ResumeMandate, RevokeMandate
from schemas.market.negotiation_commands import RejectContract
from schemas.market.outlet_commands import ApproveOutlet, RefuseOutlet
from schemas.market.package_commands import CancelBlock
from schemas.market.product_commands import AmendProduct, RegisterProduct, ResumeProduct, RetireProduct
from schemas.market.reasons import MarketRefusal
from schemas.values import INT64_MAX
from tests.unit.given import Scenario
from tests.unit.market.test_bad_input import without_position
from tests.unit.market.test_default_wishes import everything, wishes
from tests.unit.market.world import CENT, GATE, NOON, QUARTER
from tests.unit.written import only_judges

ELSEWHERE = "of another market"
AMOUNTS = (0, 150, INT64_MAX // 100 * 100)
PRICES = (1, INT64_MAX, -INT64_MAX, INT64_MAX // CENT * CENT, -(INT64_MAX // CENT * CENT))
STARTS = (NOON - QUARTER, NOON + 1000 * QUARTER, NOON + 1)
NAMES = (
    "connection", "seller_connection", "buyer_connection", "order", "contract", "block", "listing", "bid", "enquiry",
    "offer", "mandate", "outlet", "revision", "product",
)  # fmt: skip
ODD: dict[str, tuple[Any, ...]] = {
    "quantity_wh": AMOUNTS,
    "rest_wh": AMOUNTS,
    "limit_price_nano_per_kwh": PRICES,
    "price_nano_per_kwh": PRICES,
    "delivery_start_at": STARTS,
    "first_start_at": STARTS,
    "duration_min": (0, 20, 1440),
    "lots": (0, 99),
    "version": (0, 99),
    "expires_at": (0, GATE + 1),
    "closes_at": (0, GATE, INT64_MAX),
    "from_at": (0, NOON + 1),
    "to_at": (0, NOON + 1),
    "party": (ELSEWHERE,),
    "seller": (ELSEWHERE,),
    "buyer": (ELSEWHERE,),
    **dict.fromkeys(NAMES, (ELSEWHERE,)),
}


def odd_ones(wish: Any) -> Iterator[Any]:
    """The wish with each of its fields wrong in turn, also within a basket."""
    for f in fields(wish):
        value = getattr(wish, f.name)
        if f.name in ("first_start_at", "version") and type(wish) is RecordForecast:
            continue  # what is not listed is skipped, and named; any newer version will do
        if isinstance(value, tuple) and value and f.name == "orders":
            yield replace(wish, orders=())
            for odd in odd_ones(value[0]):
                yield replace(wish, orders=(odd, *value[1:]))
            continue
        for odd in ODD.get(f.name, ()):
            if isinstance(value, tuple):
                yield replace(wish, **{f.name: (odd, *value[1:])})
                yield replace(wish, **{f.name: (*value[:-1], odd)})
            else:
                yield replace(wish, **{f.name: odd})


KINDS = [type(wish) for wish in wishes(everything()[1])]


def refused_alone(market: Scenario, wish: Any, actor: str) -> MarketRefusal:
    """The reason of the refusal; nothing else has happened."""
    before = without_position(market)
    (fact,) = only_judges(market, wish, actor)
    assert type(fact) is CommandRefused, f"{wish} was taken"
    assert without_position(market) == before
    reason: MarketRefusal = fact.reason
    return reason


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not RegisterProduct])
def test_each_odd_field_of_a_wish_is_refused_and_changes_nothing_else(kind: type) -> None:
    market, n = everything()
    [wish] = [found for found in wishes(n) if type(found) is kind]
    odd = list(odd_ones(wish))
    assert odd
    for spoilt in odd:
        refused_alone(market, spoilt, "bob")


NOT_OF_A_BOOK = {
    RegisterProduct, AmendProduct, ResumeProduct, GrantMandate, RecordForecast, ResumeMandate, AcknowledgeNotifications,
}  # fmt: skip
"""What may be wished at any time; a forecast for what has closed orders nothing."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_OF_A_BOOK])
@pytest.mark.parametrize("at", [NOON, NOON + 10 * QUARTER])
def test_what_is_closed_or_has_lapsed_takes_nothing(kind: type, at: int) -> None:
    """Orders for closed deliveries, acceptance of lapsed offers, approval of lapsed proposals."""
    market, n = everything()
    market.later(at)
    [wish] = [found for found in wishes(n) if type(found) is kind]
    refused_alone(market, wish, "bob")


def answers(n: dict[str, str]) -> list[tuple[Any, str]]:
    """What can be done once: approved, agreed to, accepted, refused, taken back."""
    return [
        (ApproveContract(n["proposal"]), "bob"),
        (RejectContract(n["proposal"]), "bob"),
        (AgreeRevision(n["revised"], n["revision"]), "bob"),
        (RefuseRevision(n["revised"], n["revision"]), "bob"),
        (WithdrawContract(n["traded"], 1), "bob"),
        (ApproveOutlet(n["outlet"]), "bob"),
        (RefuseOutlet(n["outlet"]), "bob"),
        (AcceptOffers(n["tabled"]), "bob"),
        (RejectOffers(n["tabled"]), "bob"),
        (WithdrawOffer(n["asked"], n["asked offer"]), "bob"),
        (CancelOrder(n["order"]), "bob"),
        (CancelBlock(n["block"]), "bob"),
        (WithdrawBid(n["other"], n["bid"]), "bob"),
        (WithdrawListing(n["listing"], None), "bob"),
        (PauseMandate(n["mandate"]), "bob"),
        (RevokeMandate(n["mandate"]), "bob"),
        (RetireProduct("roof"), "bob"),
    ]


@pytest.mark.parametrize("number", range(len(answers(everything()[1]))))
def test_what_is_done_once_is_refused_the_second_time(number: int) -> None:
    market, n = everything()
    wish, actor = answers(n)[number]
    assert type(market.when(wish, actor)[0]) is not CommandRefused
    market.later(market.at)
    refused_alone(market, wish, actor)
