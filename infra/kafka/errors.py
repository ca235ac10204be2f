"""What goes wrong with Kafka, in our words; a broken pipe is `LogUnavailable`, whatever the cause."""

from consumers.ports import LogDiffers, LogUnavailable


class KafkaUnreachable(LogUnavailable):
    """No broker answers. The message is one sentence: what was tried and what to do."""


class PositionOutOfLog(LogUnavailable):
    """The position lies outside of what the log holds: records are gone, or the position is another log's.

    Nothing is reset: a reader that went on somewhere else would skip or repeat history without a word.
    """


class TopicRefused(LogDiffers):
    """A topic exists and is not the one that was asked for. The message says what differs and what to do."""


class RecordTooLarge(ValueError):
    """A record exceeds `MAX_RECORD_BYTES`; nothing was written. Our own mistake, not the log's."""
