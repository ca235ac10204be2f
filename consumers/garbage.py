"""The collector of cyclic garbage is kept away from what stays: its rounds stop everything, and a book only grows.

A memory holds millions of objects, none of which is part of a cycle. What has come to stay is frozen, a few thousand
records at a time: before that only the young objects are looked at (a millisecond). What became garbage after it was
frozen (an error with its traceback, a request that was under way) is found by a whole round, which is rare and waits
for a moment without work.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

EVERY_RECORDS: Final = 2_000
"""Records of which the objects are frozen together."""

CALM_AFTER: Final = 1_000
"""So often frozen, a whole round is due in the next moment without work."""

BUSY_AFTER: Final = 10_000
"""So often frozen, it does not wait for one any longer: 20 million records."""


class Garbage:
    """What a process of deciders does about it; the collector is the process's, so there is one of these (`GARBAGE`).

    Others are left alone: what they drop without closing it would stay open for as long as it is frozen.
    """

    def __init__(self) -> None:
        self._records = self._frozen = 0
        self._active = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """In this block the collector is kept away from what stays; behind it, it is as it was."""
        self._active = True
        try:
            yield
        finally:
            self._active = False
            gc.unfreeze()

    def dropped(self) -> None:
        """A memory was given up: what of it is garbage is looked for in the next moment without work."""
        self._frozen = max(self._frozen, CALM_AFTER)

    def grown(self, records: int) -> None:
        """So many records were taken into a memory and stay."""
        if not self._active:
            return
        self._records += records
        if self._records >= EVERY_RECORDS:
            self._records = 0
            gc.collect(1)
            gc.freeze()
            self._frozen += 1
            if self._frozen >= BUSY_AFTER:
                self._whole_round()

    def calm(self) -> None:
        """There is nothing to do just now."""
        if self._active and self._frozen >= CALM_AFTER:
            self._whole_round()

    def _whole_round(self) -> None:
        self._frozen = 0
        gc.unfreeze()
        gc.collect()
        gc.freeze()


GARBAGE: Final = Garbage()


@contextmanager
def kept() -> Iterator[None]:
    """What is made in this block stays: the collector does not look at it, neither meanwhile nor afterwards."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
