"""Slates of margin calls and defaults: where each party stands, what was closed out, who bears the loss."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.credit_events import (
    DefaultSettled,
    LossAllocated,
    MarginCalled,
    MarginCallMet,
    ParticipantDefaulted,
    ParticipantReinstated,
    PositionClosed,
)


def _allocated(fact: Recorded[LossAllocated]) -> Iterable[Row]:
    slice_ = fact.body
    of_slice = fields_of(slice_, "market", "party", "currency", "layer")
    for bearer, amount_micro in zip(slice_.parties, slice_.amounts_micro, strict=True):
        yield {**of_slice, "bearer": bearer, "amount_micro": amount_micro}


_EXPOSED = ("market", "party", "currency", "exposure_micro", "limit_micro")

STANDINGS = View(
    name="standings",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "party": "text",
        "currency": "text",
        "exposure_micro": "bigint",
        "limit_micro": "bigint",
        "deadline_at": "bigint",
        "orders": "bigint",
        "contracts": "bigint",
        "loss_micro": "bigint",
        "collateral_micro": "bigint",
        "fund_micro": "bigint",
        "others_micro": "bigint",
        "state": "text",
    },
    key=("market", "party"),
    on={
        MarginCalled: copied(*_EXPOSED, "deadline_at", state="called"),
        MarginCallMet: copied(*_EXPOSED, state="met"),
        ParticipantDefaulted: copied(*_EXPOSED, "orders", "contracts", state="in_default"),
        DefaultSettled: copied(
            "market", "party", "loss_micro", "collateral_micro", "fund_micro", "others_micro", state="default_settled"
        ),
        ParticipantReinstated: copied("market", "party", state="reinstated"),
    },
)
"""The last that is known of every party that was ever called."""

_CLOSED_COLUMNS = {
    "market": "text",
    "party": "text",
    "contract": "text",
    "version": "bigint",
    "other": "text",
    "side": "text",
    "quantity_wh": "bigint",
    "price_nano_per_kwh": "bigint",
    "close_out_price_nano_per_kwh": "bigint",
    "loss_micro": "bigint",
}

CLOSED_POSITIONS = View(
    name="closed_positions",
    mode=Mode.HISTORY,
    columns=_CLOSED_COLUMNS,
    indexes=("party", "other"),
    on={PositionClosed: copied(*_CLOSED_COLUMNS)},
)

ALLOCATED_LOSSES = View(
    name="allocated_losses",
    mode=Mode.HISTORY,
    columns={
        "market": "text",
        "party": "text",
        "currency": "text",
        "layer": "text",
        "bearer": "text",
        "amount_micro": "bigint",
    },
    indexes=("party", "bearer"),
    on={LossAllocated: _allocated},
)
"""What each `bearer` bears of the default of `party`."""

CREDIT_VIEWS = (STANDINGS, CLOSED_POSITIONS, ALLOCATED_LOSSES)

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

CREDIT_QUESTIONS = (
    Question(
        "standings",
        f"""
SELECT market, party, state, exposure_micro, limit_micro, {_UTC.format("deadline_at")} AS deadline_utc, orders,
    contracts, loss_micro, collateral_micro, fund_micro, others_micro, currency
FROM standings
ORDER BY market, party
""",
    ),
    Question(
        "closed_positions",
        """
SELECT market, party, side, contract, version, other, quantity_wh, price_nano_per_kwh, close_out_price_nano_per_kwh,
    loss_micro
FROM closed_positions
ORDER BY market, partition, seq, "row"
""",
    ),
    Question(
        "allocated_losses",
        """
SELECT market, party, layer, bearer, amount_micro, currency
FROM allocated_losses
ORDER BY market, partition, seq, "row"
""",
    ),
)
