"""The generated codec as Python text: straight-line functions for each message, made from its form.

For every message there is an encoder and a decoder, for the envelopes an encoder each, and for facts a `stem`:
what all facts of one command share. The text depends on the messages alone, so the same release gives the same
text everywhere; it is run as it is (`schemas/codec_functions.py`) or compiled ahead, with the same bytes.

A function's name ends in the digest of its text: functions that were compiled from other messages than
today's have other names and are not found.
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from schemas import codec_varints
from schemas.catalog import MessageType
from schemas.codec_source_decode import decoder
from schemas.codec_source_encode import encoder, stem_encoder, stem_head
from schemas.codec_text import Text, alias
from schemas.envelope import FactMeta
from schemas.form import part_of
from schemas.message import Kind
from schemas.record_schema import METAS

_VARYING: Final = ("seq", "index")
"""The fields in which the envelopes of one command's facts differ."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One function: its name, its text, and what the text names besides `codec_varints`.

    `classes` maps aliases to message classes, `tables` names to the lines that make them.
    """

    name: str
    text: str
    classes: dict[str, Any]
    tables: dict[str, str]


def source(messages: Iterable[MessageType]) -> str:
    """One module with the functions of these messages and of the envelopes, typed, importable by itself."""
    pieces = [meta_encoder(Kind.COMMAND), meta_encoder(Kind.EVENT), stem(), stem_behind_frame()]
    for message in messages:
        pieces += [body_encoder(message), record_decoder(message)]
    classes = {name: cls for piece in pieces for name, cls in piece.classes.items()}
    tables = {name: table for piece in pieces for name, table in piece.tables.items()}
    imports = [f"from {cls.__module__} import {cls.__qualname__} as {name}" for name, cls in classes.items()]
    parts = ["# Generated from the message classes: do not edit.", inspect.getsource(codec_varints).rstrip()]
    parts += ["from typing import Any", *sorted(imports), "", *(tables[name] for name in sorted(tables))]
    return "\n".join(parts) + "\n\n\n" + "\n\n\n".join(piece.text for piece in pieces) + "\n"


def body_encoder(message: MessageType) -> Piece:
    """`f(head, body) -> bytes | None`: the record behind `head` (frame and envelope), none if the body does not fit."""
    text = Text()
    encoder(text, part_of(message.cls))
    return _piece(f"encode_{_plain(message)}", text)


def record_decoder(message: MessageType) -> Piece:
    """`f(value) -> (meta, body, fits)`: `fits` is false for a command with a field out of its range.

    The function raises `ValueError` or `IndexError` for bytes that are not this message.
    """
    text = Text()
    decoder(text, part_of(METAS[message.kind]), part_of(message.cls), checked=message.kind is Kind.COMMAND)
    return _piece(f"decode_{_plain(message)}", text)


@cache
def meta_encoder(kind: Kind) -> Piece:
    """As `body_encoder`, for an envelope behind its frame."""
    text = Text()
    encoder(text, part_of(METAS[kind]))
    return _piece(f"encode_{METAS[kind].__name__}", text)


@cache
def stem() -> Piece:
    """`f(meta) -> (bytes, bytes) | None`: what stands behind `seq` and what behind `index`."""
    text = Text()
    stem_encoder(text, part_of(FactMeta), _VARYING)
    return _piece("stem_FactMeta", text)


@cache
def stem_behind_frame() -> Piece:
    """`f(frame, seq, bytes, index, bytes) -> bytes | None`: the envelope that the stem and these fields make."""
    text = Text()
    stem_head(text, part_of(FactMeta), _VARYING)
    return _piece("stem_head", text)


def _plain(message: MessageType) -> str:
    return f"{message.family}_{message.cls.__name__}"


def _piece(name: str, text: Text) -> Piece:
    body = text.lines()
    digest = blake2b("\n".join([body, *text.tables.values()]).encode(), digest_size=6).hexdigest()
    full = f"{name}_{digest}"
    return Piece(full, f"def {full}{body}", {alias(cls): cls for cls in text.classes}, text.tables)
