"""A run's result in parts: whole connections together, each record within a named size."""

from collections.abc import Iterator, Mapping, Sequence

from schemas.settlement.events import ConnectionBalance, SettlementLine

PART_BYTES = 400_000
"""The largest part, by `encoded_size`: with its envelope it stays below 500 kB, whatever the ids and numbers."""

_NUMBERS_OF_A_LINE = 40  # kind, first interval, settled energy, price, amount, points: at most
_FRAMING = 2


def encoded_size(row: ConnectionBalance | SettlementLine) -> int:
    """The bytes of a balance or a line on the log, at most (Avro: lengths and variable-length integers)."""
    match row:
        case ConnectionBalance(connection, party, import_wh, export_wh):
            return _texts(connection, party) + _numbers(import_wh) + _numbers(export_wh)
        case SettlementLine():
            texts = _texts(row.line, row.party, row.connection, row.counterparty, row.reference)
            return texts + _NUMBERS_OF_A_LINE + _numbers(row.energy_wh)


def _texts(*texts: str) -> int:
    return sum(len(text.encode()) + _FRAMING for text in texts)


def _numbers(numbers: Sequence[int]) -> int:
    return 2 * _FRAMING + sum(1 + (2 * abs(number)).bit_length() // 7 for number in numbers)


def packed(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Groups connections, in the order given, so that a group's sizes sum to at most `PART_BYTES`.

    A single one that is larger is a group of its own: a connection is never split, its energy is checked
    in one part.
    """
    group: list[str] = []
    filled = 0
    for connection, size in sizes.items():
        if group and filled + size > PART_BYTES:
            yield group
            group, filled = [], 0
        group.append(connection)
        filled += size
    if group:
        yield group
