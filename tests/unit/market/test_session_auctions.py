"""Auctions of whole sessions: books and blocks are frozen, listed, cleared outside, checked part by part, traded."""

from schemas.market.events import Phase, TradeMade
from tests.unit.given import only
from tests.unit.market.session_world import called, cleared, sells
from tests.unit.market.world import CENT, KWH, NOON, QUARTER, buy, sell


def test_a_session_trades_orders_and_blocks_at_one_price_a_delivery() -> None:
    market, facts = called(
        buy("ann", 5, 40), buy("ann", 5, 50, start=NOON + QUARTER), sell("bob", 5, 90), sells("cyd", (5, 5), 45)
    )
    assert {i.phase for i in market.state.instruments.values()} == {Phase.AUCTION}
    made = only(cleared(market, facts), TradeMade)
    found = [(t.buyer, t.seller, t.quantity_wh // KWH, t.price_nano_per_kwh // CENT) for t in made]
    assert found == [("ann", "cyd", 5, 40), ("ann", "cyd", 5, 50)]
    assert {i.phase for i in market.state.instruments.values()} == {Phase.CONTINUOUS}
