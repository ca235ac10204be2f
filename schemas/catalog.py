"""Which messages exist: found in the families' `commands` and `events` modules, nothing is registered by hand."""

import importlib
from dataclasses import dataclass
from types import ModuleType

from schemas.message import Kind, kind_of

FAMILIES = (
    "party",
    "site",
    "community",
    "market",
    "programme",
    "meter",
    "reference",
    "settlement",
    "billing",
)
"""The families in use, each with a folder of this name in every room."""

LOG = "log"
"""The folder of the runtime's own records; its commands and events travel on every family's topics."""


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message class with its place: `name` is the Avro full name (`gridbook.market.OrderAccepted`)."""

    name: str
    family: str
    kind: Kind
    cls: type


def _declared(module: ModuleType, kind: Kind) -> list[type]:
    found = [c for c in vars(module).values() if isinstance(c, type) and kind_of(c) is kind]
    return [c for c in found if c.__module__ == module.__name__]


def messages_of(family: str) -> list[MessageType]:
    """Every command and event of one family, in the order in which they are written down."""
    found = []
    for module, kind in (
        (f"schemas.{family}.commands", Kind.COMMAND),
        (f"schemas.{family}.events", Kind.EVENT),
    ):
        for cls in _declared(importlib.import_module(module), kind):
            found.append(MessageType(f"gridbook.{family}.{cls.__name__}", family, kind, cls))
    return found


def all_messages() -> list[MessageType]:
    """Every message of every family and of the runtime; names are unique within a family."""
    return [m for family in (LOG, *FAMILIES) for m in messages_of(family)]


def is_runtime_record(body: object) -> bool:
    """True for the runtime's own records, which never reach `evolve` and count as no fact."""
    return type(body).__module__ == "schemas.log.events"
