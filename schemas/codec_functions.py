"""The generated functions at work: made from their text when they are first asked for, or taken compiled."""

from collections.abc import Callable, Mapping
from typing import Any

from schemas import codec_varints
from schemas.catalog import MessageType
from schemas.codec_source import Piece, body_encoder, meta_encoder, record_decoder, stem, stem_behind_frame
from schemas.message import Kind

Encode = Callable[[bytes, Any], bytes | None]
Decode = Callable[[bytes], tuple[Any, Any, bool]]


class Functions:
    """Encoders and decoders by message (`schemas/codec_source.py` says what each promises).

    Args:
        compiled: the names of a module that was compiled from `codec_source.source`; a function is taken from
            there if it has exactly today's text, and made here if not.
    """

    def __init__(self, compiled: Mapping[str, Any] | None = None) -> None:
        self._compiled = {} if compiled is None else compiled
        self._names: dict[str, Any] = dict(vars(codec_varints))
        self._names["Any"] = Any
        self._encoders: dict[type, Encode] = {}
        self._decoders: dict[type, Decode] = {}

    def encoder(self, message: MessageType) -> Encode:
        """The encoder of a message's body behind its envelope."""
        found = self._encoders.get(message.cls)
        if found is None:
            self._encoders[message.cls] = found = self._made(body_encoder(message))
        return found

    def decoder(self, message: MessageType) -> Decode:
        """The decoder of a whole record."""
        found = self._decoders.get(message.cls)
        if found is None:
            self._decoders[message.cls] = found = self._made(record_decoder(message))
        return found

    def meta_encoder(self, kind: Kind) -> Encode:
        """The encoder of an envelope behind its frame."""
        found: Encode = self._made(meta_encoder(kind))
        return found

    def stem(self) -> Callable[[Any], tuple[bytes, bytes] | None]:
        """The encoder of what the envelopes of one command's facts share."""
        found: Callable[[Any], tuple[bytes, bytes] | None] = self._made(stem())
        return found

    def stem_head(self) -> Callable[[bytes, object, bytes, object, bytes], bytes | None]:
        """The encoder of an envelope from its frame, `seq`, the stem's first bytes, `index` and the rest."""
        found: Callable[[bytes, object, bytes, object, bytes], bytes | None] = self._made(stem_behind_frame())
        return found

    def _made(self, piece: Piece) -> Any:
        found = self._compiled.get(piece.name, self._names.get(piece.name))
        if found is None:
            self._names.update(piece.classes)
            for name, line in piece.tables.items():
                if name not in self._names:
                    self._run(line, name)
            self._run(piece.text, piece.name)
            found = self._names[piece.name]
        return found

    def _run(self, text: str, name: str) -> None:
        exec(compile(text, f"<{name}>", "exec"), self._names)
