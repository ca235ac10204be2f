"""Slates of what became of contracts: their versions, what is proposed about them, and the fees of leaving one."""

from collections.abc import Iterable

from projections.view import Mode, Question, Row, SqlView, View, copied, fields_of
from schemas.envelope import Recorded
from schemas.market.contract_events import (
    CancellationFeeCharged,
    ContractRevised,
    RevisionEnded,
    RevisionProposed,
)


def _proposed(fact: Recorded[RevisionProposed]) -> Iterable[Row]:
    proposed = fact.body
    yield {
        **fields_of(proposed, "market", "contract", "revision", "version_before", "reason", "proposer", "awaiting"),
        **fields_of(proposed, "lapses_at"),
        **fields_of(proposed.terms, "seller", "buyer", "quantity_wh", "price_nano_per_kwh"),
        **fields_of(proposed.terms, "seller_price_nano_per_kwh"),
        "state": "proposed",
    }


REVISIONS = View(
    name="revisions",
    mode=Mode.CURRENT,
    columns={
        "market": "text",
        "contract": "text",
        "revision": "text",
        "version_before": "bigint",
        "reason": "text",
        "proposer": "text",
        "awaiting": "text",
        "seller": "text",
        "buyer": "text",
        "quantity_wh": "bigint[]",
        "price_nano_per_kwh": "bigint",
        "seller_price_nano_per_kwh": "bigint",
        "lapses_at": "bigint",
        "state": "text",
        "ending": "text",
    },
    key=("revision",),
    indexes=("contract",),
    on={RevisionProposed: _proposed, RevisionEnded: copied("revision", "ending", state="ended")},
)
"""What is or was proposed about a contract; a proposal that came about has the contract's next version."""

_LINEAGE_COLUMNS = {
    "market": "text",
    "contract": "text",
    "version": "bigint",
    "version_before": "bigint",
    "reason": "text",
    "state": "text",
}

CONTRACT_LINEAGE = View(
    name="contract_lineage",
    mode=Mode.HISTORY,
    columns=_LINEAGE_COLUMNS,
    indexes=("contract",),
    on={ContractRevised: copied(*_LINEAGE_COLUMNS)},
)
"""Why a contract has each of its later versions."""

_FEES_COLUMNS = {
    "market": "text",
    "contract": "text",
    "version": "bigint",
    "debtor": "text",
    "creditor": "text",
    "currency": "text",
    "quantity_wh": "bigint",
    "fee_nano_per_kwh": "bigint",
    "amount_micro": "bigint",
}

CANCELLATION_FEES = View(
    name="cancellation_fees",
    mode=Mode.HISTORY,
    columns=_FEES_COLUMNS,
    indexes=("debtor", "creditor"),
    on={CancellationFeeCharged: copied(*_FEES_COLUMNS)},
)

CONTRACT_VIEWS = (REVISIONS, CONTRACT_LINEAGE, CANCELLATION_FEES)

NEWEST_CONTRACTS = SqlView(
    name="newest_contracts",
    sql="""
SELECT * FROM contracts c
WHERE NOT EXISTS (SELECT FROM contracts n WHERE n.contract = c.contract AND n.version > c.version)
""",
)
"""Every contract as it is now, cancelled ones too."""

_UTC = "to_char(to_timestamp({0} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"

CONTRACT_QUESTIONS = (
    Question(
        "contract_versions",
        f"""
SELECT c.market, c.contract, c.version, c.state, coalesce(l.reason, 'concluded') AS reason,
    {_UTC.format("c.at")} AS since_utc, c.seller, c.buyer,
    (SELECT sum(wh)::bigint FROM unnest(c.quantity_wh) AS wh) AS whole_wh, c.price_nano_per_kwh,
    c.seller_price_nano_per_kwh, c.currency,
    c.baseline_method, c.tolerance_ppm, c.penalty_ppm
FROM contracts c
LEFT JOIN contract_lineage l ON l.contract = c.contract AND l.version = c.version
WHERE EXISTS (SELECT FROM contract_lineage v WHERE v.contract = c.contract)
ORDER BY c.market, c.contract, c.version
""",
    ),
    Question(
        "rebids",
        """
SELECT o.market, o."order", o.party, o.side, o.quantity_wh, o.limit_price_nano_per_kwh, o.state, o.rebid_of,
    CASE WHEN c.contract IS NULL THEN 'order' ELSE 'contract' END AS was
FROM orders o
LEFT JOIN newest_contracts c ON c.contract = o.rebid_of
WHERE o.rebid_of IS NOT NULL
ORDER BY o.market, o.sequence
""",
    ),
    Question(
        "revisions",
        f"""
SELECT market, contract, version_before, reason, proposer, awaiting, seller, buyer,
    (SELECT sum(wh)::bigint FROM unnest(quantity_wh) AS wh) AS whole_wh, price_nano_per_kwh, seller_price_nano_per_kwh,
    {_UTC.format("lapses_at")} AS lapses_utc,
    CASE WHEN state = 'proposed' AND EXISTS (SELECT FROM contract_lineage l
        WHERE l.contract = revisions.contract AND l.version_before = revisions.version_before)
        THEN 'agreed' ELSE coalesce(ending, state) END AS state, revision
FROM revisions
ORDER BY market, contract, version_before, revision
""",
    ),
    Question(
        "cancellation_fees",
        """
SELECT market, contract, version, debtor, creditor, quantity_wh, fee_nano_per_kwh, amount_micro, currency
FROM cancellation_fees
ORDER BY market, partition, seq, "row"
""",
    ),
)
