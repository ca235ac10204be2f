"""What a message is: a slotted dataclass that says whether it is a value, a command or an event.

Messages are never changed after they are made. The type checker holds that (`frozen_default`), the
interpreter does not: freezing at run time slows every decision (`docs/decisions.md`, "Message class").
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


class Kind(StrEnum):
    """What a message class is for."""

    VALUE = "value"
    COMMAND = "command"
    EVENT = "event"


def _slotted(cls: type[T], kind: Kind) -> type[T]:
    # Hashable, because nothing changes; `unsafe` is the word for promising that without freezing.
    made = dataclass(slots=True, unsafe_hash=True)(cls)
    made.__message_kind__ = kind  # type: ignore[attr-defined]
    return made


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A part of messages, with no life of its own on the log."""
    return _slotted(cls, Kind.VALUE)


@dataclass_transform(frozen_default=True)
def command(cls: type[T]) -> type[T]:
    """A wish. Named by an imperative and a noun (`SubmitOrder`)."""
    return _slotted(cls, Kind.COMMAND)


@dataclass_transform(frozen_default=True)
def event(cls: type[T]) -> type[T]:
    """A fact. Named by a noun and a past (`OrderAccepted`); it stays readable for ever."""
    return _slotted(cls, Kind.EVENT)


@dataclass_transform(frozen_default=True)
def envelope(cls: type[T]) -> type[T]:
    """A message with what stands around it; never a part of a message, so it has no kind."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


def kind_of(cls: type) -> Kind | None:
    """The kind of a message class, or none for any other class."""
    return getattr(cls, "__message_kind__", None)
