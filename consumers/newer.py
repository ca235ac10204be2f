"""Schemas of newer releases: looked up on the log when a record names one that this release does not know."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from consumers.ports import SchemaLog, StoredRecord
from consumers.report import Report
from schemas.codec import Codec, UnknownMessage, UnknownSchema

MOST_ASKED: Final = 10_000
"""Ids remembered as asked for; whoever sends garbage must not fill the memory."""


class NewerSchemas:
    """Teaches a codec what stands on the log's `schemas`.

    Args:
        ledger: what this release writes: schema id → Avro schema.
    """

    def __init__(
        self, codec: Codec, schemas: SchemaLog, ledger: Mapping[int, Mapping[str, Any]], report: Report
    ) -> None:
        self._codec, self._schemas, self._ledger, self._report = codec, schemas, ledger, report
        self._asked = set[bytes]()

    async def publish(self) -> None:
        """Puts this release's schemas on the log, before its first record, and learns those of others.

        Raises:
            SchemasDiffer, ClashingSchema: two releases gave one id to different schemas; none may write.
            LogUnavailable: publishing again is right.
        """
        await self._schemas.publish(self._ledger)
        await self.learn()

    async def learn(self) -> None:
        """Learns every schema that stands on the log.

        Raises: as `publish`.
        """
        for schema_id, schema in (await self._schemas.load()).items():
            self._codec.learn(schema_id, schema)

    async def learned(self, unknown: UnknownSchema) -> bool:
        """Looks an id up; whether the record that named it can be read now.

        Raises:
            LogUnavailable: asking again is right.
            ClashingSchema: see `publish`.
        """
        if isinstance(unknown, UnknownMessage):
            return False  # its schema is known; there is no class for it in this release
        schema = await self._schemas.find(unknown.schema_id)
        if schema is None:
            return False
        self._codec.learn(unknown.schema_id, schema)
        self._report.say("schema learned", schema_id=unknown.schema_id, name=str(schema["name"]))
        return True

    async def look(self, records: Iterable[StoredRecord]) -> None:
        """Looks up what these records name and this release does not know, once for each id.

        Raises: as `learned`.
        """
        for stored in records:
            frame = stored.value[:5]
            if self._codec.type_of(frame) is None and frame not in self._asked and len(frame) == 5 and not frame[0]:
                await self.learned(UnknownSchema(int.from_bytes(frame[1:], "big")))
                if len(self._asked) == MOST_ASKED:
                    self._asked.clear()
                self._asked.add(frame)
