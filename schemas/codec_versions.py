"""Today's message in the words of an older schema, for as long as older releases still read."""

from collections.abc import Mapping
from typing import Any

from schemas.record_schema import definitions
from schemas.shape import InvalidMessage


def narrowed(datum: Any, today: Any, older: Any, path: str) -> Any:
    """A datum of today's schema as a datum of an older one: fields that came later are dropped.

    Raises:
        InvalidMessage: a dropped field does not have its default, or an enum's symbol came later. What would be
            lost is not written.
    """
    return _Narrowing(definitions(today), definitions(older)).narrowed(datum, today, older, path)


class _Narrowing:
    def __init__(self, today: Mapping[str, Any], older: Mapping[str, Any]) -> None:
        self._today, self._older = today, older

    def narrowed(self, datum: Any, today: Any, older: Any, path: str) -> Any:
        if datum is None:
            return None
        today, older = self._meant(today, self._today), self._meant(older, self._older)
        if not isinstance(older, dict):
            return datum
        if older["type"] == "enum" and datum not in older["symbols"]:
            raise InvalidMessage(path, f"one of {', '.join(older['symbols'])}: the schema in use knows no other", datum)
        if older["type"] == "array":
            return [self.narrowed(item, today["items"], older["items"], f"{path}[]") for item in datum]
        return self._record(datum, today, older, path) if older["type"] == "record" else datum

    def _record(self, datum: Any, today: Any, older: Any, path: str) -> Any:
        kept = {field["name"]: field["type"] for field in older["fields"]}
        made = {}
        for field in today["fields"]:
            name = field["name"]
            if name in kept:
                made[name] = self.narrowed(datum[name], field["type"], kept[name], f"{path}.{name}")
            elif "default" not in field or _listed(datum[name]) != field["default"]:
                default = repr(field["default"]) if "default" in field else "no such field"
                raise InvalidMessage(f"{path}.{name}", f"{default}: the schema in use lacks the field", datum[name])
        return made

    @staticmethod
    def _meant(schema: Any, definitions: Mapping[str, Any]) -> Any:
        if isinstance(schema, list):
            (schema,) = (branch for branch in schema if branch != "null")
        return definitions.get(schema, schema) if isinstance(schema, str) else schema


def _listed(datum: Any) -> Any:
    return list(datum) if isinstance(datum, tuple) else datum
