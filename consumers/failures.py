"""What ends a partition's memory, or keeps it from being built: mistakes of ours, and records that are not ours."""

from consumers.ports import LogDiffers

Poison = tuple[int, str]
"""A command's position and the key whose `evolve` raised on its account."""


class EvolveFailed(AssertionError):
    """A fact could not be evolved: our own mistake. The memory is lost; restore, then set it aside by `poison`."""

    def __init__(self, source: int, key: str, reason: str) -> None:
        super().__init__(f"command at position {source}, key {key!r}: evolve raised {reason}")
        self.source, self.poison = source, (source, key)


class FactNotEvolved(RuntimeError):
    """A recorded fact cannot be taken into the state. Facts are never skipped: no reader of the partition goes on."""


class FactTooLarge(ValueError):
    """A fact does not fit into a record; its command is set aside."""


class ChainBroken(RuntimeError):
    """The records are not what was written: their hash or their numbering is another. Somebody changed the log."""


class GenerationIsOver(LogDiffers):
    """The family has other partitions now. Whoever still works by the old ones must be started again."""
