"""The published schemas: one file per message version, and the ledger that gives each an id for ever.

`python -m infra.schemas` publishes what is new; it never changes what is published.
"""

import json
from pathlib import Path
from typing import Any, Final

from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema, meaning

PUBLISHED: Final = Path(__file__).parent.parent / "schemas" / "published"
_LEDGER: Final = "ledger.json"


def load_ledger(folder: Path = PUBLISHED) -> dict[int, dict[str, Any]]:
    """Schema id → published schema, every version.

    Raises:
        FileNotFoundError: the ledger names a file that is not there.
    """
    entries = json.loads((folder / _LEDGER).read_text())
    return {entry["id"]: json.loads((folder / _file(entry)).read_text()) for entry in entries}


def load_codec() -> Codec:
    """The codec over every published schema."""
    return Codec(load_ledger())


def unpublished(folder: Path = PUBLISHED) -> list[str]:
    """Messages whose schema today is not the newest published one; empty when nothing drifted."""
    newest = {schema["name"]: meaning(schema) for schema in load_ledger(folder).values()}
    return [m.name for m in all_messages() if newest.get(m.name) != meaning(avro_schema(m))]


def publish(folder: Path = PUBLISHED) -> list[str]:
    """Writes a new version of every message that drifted, with the next free id; returns their names."""
    folder.mkdir(exist_ok=True)
    path = folder / _LEDGER
    entries: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    if not path.exists():
        path.write_text("[]\n")
    drifted = unpublished(folder)
    for message in all_messages():
        if message.name not in drifted:
            continue
        version = 1 + max((e["version"] for e in entries if e["name"] == message.name), default=0)
        entry = {
            "id": 1 + max((e["id"] for e in entries), default=0),
            "name": message.name,
            "version": version,
        }
        (folder / _file(entry)).write_text(json.dumps(avro_schema(message), indent=1) + "\n")
        entries.append(entry)
    path.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
    return drifted


def _file(entry: dict[str, Any]) -> str:
    return f"{entry['name'].removeprefix('gridbook.')}.{entry['version']}.avsc"


if __name__ == "__main__":
    for published in publish():
        print(published)
