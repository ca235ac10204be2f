"""What may never change in a published message, beyond what Avro's own rules see.

Avro compares what a reader can resolve. It calls a reordered field, a widened number, a renamed unit or a
new default compatible, though facts would come to mean something else, or the bytes of a record would be
others. Every finding is a sentence: where, what changed, what to do.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.lint import UNITS
from schemas.record_schema import definitions

_KEEP: Final = "keep it as it was and add a new field with a default beside it"


def breaks(older: Mapping[str, Any], newer: Mapping[str, Any]) -> list[str]:
    """Why a message's newer schema may not stand beside an older one; empty when it may."""
    return list(_Comparison(older, newer).of(older, newer, str(older["name"])))


def without_new_symbols(newer: Any, older: Any) -> Any:
    """The newer schema as records show it to readers of the older one: they meet no enum symbol that they lack.

    A release writes a new symbol only after every release beside it reads it (`written_since`), so only
    records of the older symbols have to be readable by them.
    """
    return _trimmed(newer, definitions(older))


class _Comparison:
    def __init__(self, older: Any, newer: Any) -> None:
        self._older, self._newer = definitions(older), definitions(newer)
        self._seen: set[str] = set()

    def of(self, older: Any, newer: Any, place: str) -> Iterator[str]:
        """What breaks between two schemas of one place."""
        if isinstance(older, list) or isinstance(newer, list):
            yield from self._unions(older, newer, place)
            return
        older, newer = self._meant(older, self._older), self._meant(newer, self._newer)
        if _kind(older) != _kind(newer):
            yield f"{place}: {_kind(older)} became {_kind(newer)}; {_KEEP}"
        elif _kind(older) == "array":
            yield from self.of(older["items"], newer["items"], f"{place}[]")
        elif isinstance(older, dict) and "name" in older:
            yield from self._named(older, newer, place)

    def _unions(self, older: Any, newer: Any, place: str) -> Iterator[str]:
        if not (isinstance(older, list) and isinstance(newer, list)):
            yield f"{place}: what was {'optional' if isinstance(older, list) else 'required'} is no longer; {_KEEP}"
        elif len(older) != len(newer):
            yield f"{place}: the branches of its union changed; {_KEEP}"
        else:
            for before, after in zip(older, newer, strict=True):
                yield from self.of(before, after, place)

    def _named(self, older: Any, newer: Any, place: str) -> Iterator[str]:
        if older["name"] != newer["name"]:
            yield (
                f"{place}: the type {older['name']} is now called {newer['name']}; readers go by name and namespace:"
                " give it its name back, or add a new field of the new type"
            )
        elif older["name"] not in self._seen:
            self._seen.add(older["name"])
            yield from _symbols(older, newer) if _kind(older) == "enum" else self._fields(older, newer, place)

    def _fields(self, older: Any, newer: Any, place: str) -> Iterator[str]:
        before = {field["name"]: field for field in older["fields"]}
        after = {field["name"]: field for field in newer["fields"]}
        added = [name for name in after if name not in before]
        for name in before:
            if name not in after:
                yield _gone(f"{place}.{name}", name, added)
        kept = [name for name in after if name in before]
        if kept != [name for name in before if name in after]:
            yield f"{place}: its fields stand in another order; put new fields behind the existing ones"
        for name in added:
            if "default" not in after[name]:
                yield f"{place}.{name}: a new field without a default; older records lack it: give it one in the class"
        for name in kept:
            yield from _default(before[name], after[name], f"{place}.{name}")
            yield from self.of(before[name]["type"], after[name]["type"], f"{place}.{name}")

    @staticmethod
    def _meant(schema: Any, named: Mapping[str, Any]) -> Any:
        return named.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> Any:
    return schema["type"] if isinstance(schema, dict) else schema


def _gone(place: str, name: str, added: list[str]) -> str:
    twins = [other for other in added if _stem(other) == _stem(name)]
    if twins:
        return (
            f"{place}: its unit or scale changed, it is {twins[0]} now; what stands on the log keeps its unit:"
            f" keep {name} and add {twins[0]} with a default beside it"
        )
    return (
        f"{place}: the field is gone, under this name at least; facts on the log have it: keep it and write its default"
    )


def _stem(name: str) -> str:
    for unit in sorted(UNITS, key=len, reverse=True):
        if name.endswith(unit):
            return name.removesuffix(unit)
    return name.rpartition("_")[0] or name


def _default(older: Mapping[str, Any], newer: Mapping[str, Any], place: str) -> Iterator[str]:
    if "default" not in older or ("default" in newer and newer["default"] == older["default"]):
        return
    now = f"is {newer['default']!r}" if "default" in newer else "has none"
    yield (
        f"{place}: its default was {older['default']!r} and now {now}; records from before the field would change"
        " their meaning: give it its default back"
    )


def _symbols(older: Any, newer: Any) -> Iterator[str]:
    before, after = older["symbols"], newer["symbols"]
    gone = [symbol for symbol in before if symbol not in after]
    if gone:
        yield f"{older['name']}: {', '.join(gone)} is gone; facts on the log say it: keep it and decide it no more"
    elif after[: len(before)] != before:
        yield f"{older['name']}: its symbols stand in another order; records hold their numbers: add new ones behind"


def _trimmed(schema: Any, older: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_trimmed(branch, older) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: part for name, part in schema.items() if name != "default"}
    for part in ("type", "items"):
        if part in made:
            made[part] = _trimmed(made[part], older)
    if "fields" in made:
        made["fields"] = [_trimmed(field, older) for field in made["fields"]]
    known = older.get(schema.get("name", ""), {}).get("symbols")
    if "symbols" in made and known is not None:
        made["symbols"] = [symbol for symbol in made["symbols"] if symbol in known]
    return made
