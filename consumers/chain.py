"""The tamper-evident chain: one hash per append over its keys and values and the hash before (Y.2072 clause 10)."""

import hashlib


class Chain:
    """Hashes records as they stand; `close` ends an append and gives the hash that goes behind its last record."""

    def __init__(self, head: bytes = b"") -> None:
        self._parts = [head]
        self.open = False
        """Whether records stand behind the last hash."""
        self.head = head
        """The last append's hash: who keeps it can tell whether the log was cut or changed before it."""

    def add(self, key: bytes, value: bytes) -> None:
        """Takes one record of the open append; lengths are hashed too, so that no border can move."""
        self.open = True
        self._parts += (len(key).to_bytes(4, "big"), key, len(value).to_bytes(4, "big"), value)

    def close(self) -> bytes:
        """The hash of the append; the next one begins with it."""
        digest = hashlib.sha256(b"".join(self._parts)).digest()
        self._parts = [digest]
        self.open, self.head = False, digest
        return digest
