"""The deployment's one clock: a tick is a command to every partition. Nothing else knows the time."""

from collections.abc import Sequence

from consumers.limits import SEND_DEADLINE_S
from consumers.ports import CommandLog, NewRecord, Partition
from consumers.reading import COMMAND_ID
from schemas.actors import LOG
from schemas.codec import Codec
from schemas.envelope import CommandMeta, Moment
from schemas.log.commands import Tick


class Clock:
    """Sends ticks. Sending one twice is harmless: partitions answer a tick they have passed as repeated."""

    def __init__(self, commands: CommandLog, codec: Codec, partitions: Sequence[Partition]) -> None:
        self._commands, self._codec, self._partitions = commands, codec, partitions

    async def tick(self, moment: Moment) -> None:
        """Every partition is told that it is `moment`.

        Raises:
            LogUnavailable: some partitions may not have been told; send the same tick again.
        """
        command_id = f"tick-{moment.n}"
        meta = CommandMeta(command_id, f"{LOG}clock", command_id, None, None, None)
        record = NewRecord(
            b"", self._codec.encode(meta, Tick(moment.n, moment.at)), ((COMMAND_ID, command_id.encode()),)
        )
        await self._commands.send([(partition, record) for partition in self._partitions], SEND_DEADLINE_S)
