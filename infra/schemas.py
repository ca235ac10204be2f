"""The published schemas: one file per message version, and the ledger that gives each an id for ever.

`python -m infra.schemas` publishes what is new. It never changes what is published, and refuses what would break
a reader of any earlier version. A ledger entry says since which release its schema is readable and since
which it is written: between the two lies at least one release, so that two releases that run side by side
during an upgrade read each other, and the older one can come back.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from schemas.catalog import all_messages
from schemas.codec import Codec
from schemas.compatibility import breaks, without_new_symbols
from schemas.record_schema import avro_schema, meaning
from schemas.release import RELEASE

PUBLISHED: Final = Path(__file__).parent.parent / "schemas" / "published"
_LEDGER: Final = "ledger.json"
_FIRST: Final = 1
"""The release that nobody upgraded to: what it reads it writes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A published schema in the ledger, with the releases that read and write it first."""

    id: int
    name: str
    version: int
    readable_since: int
    written_since: int

    @property
    def file(self) -> str:
        """The file of the schema, in the ledger's folder."""
        return f"{self.name.removeprefix('gridbook.')}.{self.version}.avsc"


class BreakingChange(ValueError):
    """Messages differ from what was published in a way that readers of published records cannot take: `reasons`."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("nothing was published:\n" + "\n".join(f"- {reason}" for reason in self.reasons))


def load_entries(folder: Path = PUBLISHED) -> list[Entry]:
    """The ledger, in the order of its ids."""
    return [Entry(**entry) for entry in json.loads((folder / _LEDGER).read_text())]


def load_ledger(folder: Path = PUBLISHED) -> dict[int, dict[str, Any]]:
    """Schema id → published schema, every version.

    Raises:
        FileNotFoundError: the ledger names a file that is not there.
    """
    return {entry.id: json.loads((folder / entry.file).read_text()) for entry in load_entries(folder)}


def load_codec(compiled: Mapping[str, Any] | None = None) -> Codec:
    """The codec over every published schema; `compiled` as in `Codec`."""
    return Codec(load_ledger(), {entry.id: entry.written_since for entry in load_entries()}, compiled=compiled)


def unpublished(folder: Path = PUBLISHED) -> list[str]:
    """Messages whose schema today is not the newest published one; empty when nothing drifted."""
    newest = {schema["name"]: meaning(schema) for schema in load_ledger(folder).values()}
    return [m.name for m in all_messages() if newest.get(m.name) != meaning(avro_schema(m))]


def incompatible(newer: dict[str, Any], older: dict[str, Any]) -> list[str]:
    """Why a newer schema of a message cannot stand beside an older one: our rules, then Avro's, both ways."""
    found = [*breaks(older, newer)]
    found += _resolution("this release could not read a record of it", newer, older)
    found += _resolution("its readers could not read a record of today", older, without_new_symbols(newer, older))
    return found


def breaking(folder: Path = PUBLISHED) -> list[str]:
    """What is wrong between any published version, or today's class, and any earlier version of the same message."""
    versions: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for entry in load_entries(folder):
        schema = json.loads((folder / entry.file).read_text())
        versions.setdefault(entry.name, []).append((f"version {entry.version}", schema))
    today = {m.name: avro_schema(m) for m in all_messages()}
    found = []
    for name, published in versions.items():
        if name not in today:
            found.append(f"{name} has no class any more; its records stay on the log for ever: put the class back")
            continue
        every = [*published, ("today's class", today[name])]
        for place, (newer, schema) in enumerate(every):
            for older, before in every[:place]:
                found += [f"{newer} beside {older}: {reason}" for reason in incompatible(schema, before)]
    return found


def untimely(entries: Iterable[Entry], release: int = RELEASE) -> list[str]:
    """Entries that a release would write before every release beside it reads them, or that claim a release to come."""
    found, last = [], dict[str, int]()
    for entry in entries:
        name = f"{entry.name} version {entry.version}"
        if not _FIRST <= entry.readable_since <= release:
            found.append(f"{name} is readable since release {entry.readable_since}, but this is release {release}")
        earliest = entry.readable_since if entry.readable_since == _FIRST else entry.readable_since + 1
        if entry.written_since < earliest:
            found.append(
                f"{name} is written since release {entry.written_since}, but read since {entry.readable_since}:"
                f" release {entry.readable_since - 1} runs beside it and cannot read it; write it since {earliest}"
            )
        if entry.written_since < last.get(entry.name, 0):
            found.append(f"{name} is written earlier than the version before it")
        last[entry.name] = entry.written_since
    return found


def publish(folder: Path = PUBLISHED, release: int = RELEASE) -> list[Entry]:
    """Writes a new version of every message that drifted, with the next free id; returns the new entries.

    They are readable since this release and written since the next one; all of the first release at once.

    Raises:
        BreakingChange: a change that may not be published; nothing was written.
    """
    folder.mkdir(exist_ok=True)
    path = folder / _LEDGER
    if not path.exists():
        path.write_text("[]\n")
    reasons = breaking(folder)
    if reasons:
        raise BreakingChange(reasons)
    entries, drifted = load_entries(folder), unpublished(folder)
    new = []
    for message in all_messages():
        if message.name not in drifted:
            continue
        version = 1 + max((e.version for e in entries if e.name == message.name), default=0)
        number = 1 + max((e.id for e in entries), default=0)
        written = release if release == _FIRST else release + 1
        entry = Entry(number, message.name, version, release, written)
        (folder / entry.file).write_text(json.dumps(avro_schema(message), indent=1) + "\n")
        entries.append(entry)
        new.append(entry)
    path.write_text("[\n" + ",\n".join(json.dumps(asdict(entry)) for entry in entries) + "\n]\n")
    return new


def _resolution(said: str, reader: dict[str, Any], writer: dict[str, Any]) -> Iterator[str]:
    # Only whoever publishes needs Avro's own checker: a development dependency.
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
    from avro.schema import parse

    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    if result.compatibility is not SchemaCompatibilityType.compatible:
        places, words = ", ".join(sorted(result.locations)), "; ".join(sorted(result.messages))
        yield f"{reader['name']}{places}: by Avro's rules {said} ({words}); {_UNDO}"


_UNDO: Final = "undo the change, or make it a new field with a default"


if __name__ == "__main__":
    try:
        for published in publish():
            print(f"{published.name} version {published.version}: written since release {published.written_since}")
    except BreakingChange as refused:
        sys.exit(str(refused))
