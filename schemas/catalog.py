"""Which messages exist: found in the families' modules of commands and events, nothing is registered by hand.

A large family keeps the messages of a stream in modules of their own beside `commands` and `events`
(`schemas/market/listing_commands.py`, `listing_events.py`).
"""

import importlib
import pkgutil
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
    for ending, kind in (("commands", Kind.COMMAND), ("events", Kind.EVENT)):
        for module in _modules(family, ending):
            for cls in _declared(module, kind):
                found.append(MessageType(f"gridbook.{family}.{cls.__name__}", family, kind, cls))
    return found


def _modules(family: str, ending: str) -> list[ModuleType]:
    """`commands` or `events` itself first, then those of the streams by name."""
    package = importlib.import_module(f"schemas.{family}")
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name.split("_")[-1] == ending]
    return [
        importlib.import_module(f"schemas.{family}.{name}") for name in sorted(names, key=lambda n: (n != ending, n))
    ]


def all_messages() -> list[MessageType]:
    """Every message of every family and of the runtime; names are unique within a family."""
    return [m for family in (LOG, *FAMILIES) for m in messages_of(family)]


def is_runtime_record(body: object) -> bool:
    """True for the runtime's own records, which never reach `evolve` and count as no fact."""
    return type(body).__module__ == "schemas.log.events"
