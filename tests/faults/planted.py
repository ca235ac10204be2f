"""Bugs that tests plant in processes of the product (`tests/faults/nursery.py`), so that its checks must find them."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from consumers.newer import NewerSchemas
from consumers.owner import PartitionOwner
from consumers.ports import Partition
from consumers.project import NewRow, Reached
from infra.kafka.group import KafkaGroup
from infra.kafka.producer import TransactionalProducer
from infra.postgres.views import PostgresViews
from schemas.codec import UnknownSchema

_BETWEEN_SECONDS = 0.4
APART = "the position is ahead of the rows"
"""What a projector says in between."""


def brisk() -> None:
    """No bug: a group misses a dead member sooner, so that tests need not wait. The broker must allow it."""
    KafkaGroup.__init__.__kwdefaults__ |= {"session_ms": 1_500, "heartbeat_ms": 150}  # type: ignore[operator]


def group_offsets() -> None:
    """Owners restore their memory from the log, but go on where their group's offsets say."""
    start = PartitionOwner.start

    async def from_group(owner: PartitionOwner, *args: Any) -> None:
        await start(owner, *args)
        if owner.decider.seq:
            owner.decider._m.source = await _committed(owner.partition)

    setattr(PartitionOwner, "start", from_group)  # noqa: B010


async def _committed(partition: Partition) -> int:
    deployment = os.environ["GRIDBOOK_DEPLOYMENT"]
    admin = AIOKafkaAdminClient(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP"])
    await admin.start()
    try:
        known = await admin.list_consumer_group_offsets(f"{deployment}.decide")
    finally:
        await admin.close()
    places = {(where.topic, where.partition): found.offset for where, found in known.items()}
    return max(0, int(places.get((f"{deployment}.commands.{partition.family}", partition.number), 0)))


def rows_apart() -> None:
    """Projectors move their position in one transaction and add the rows in the next."""
    apply = PostgresViews._apply

    def apart(views: PostgresViews, rows: Mapping[str, Sequence[NewRow]], reached: Mapping[Partition, Reached]) -> None:
        apply(views, {}, reached)
        if any(rows.values()):
            print(APART, flush=True)
            time.sleep(_BETWEEN_SECONDS)
        apply(views, rows, {})

    setattr(PostgresViews, "_apply", apart)  # noqa: B010


def unfenced() -> None:
    """Every process writes under a name of its own, so that none fences another, and none minds where it writes."""
    init = TransactionalProducer.__init__

    def own_name(producer: TransactionalProducer, bootstrap: str, transactional_id: str, **options: Any) -> None:
        init(producer, bootstrap, f"{transactional_id}.{os.getpid()}", **options)

    setattr(TransactionalProducer, "__init__", own_name)  # noqa: B010
    setattr(TransactionalProducer, "first", property(lambda _: None, lambda _, first: None))  # noqa: B010


def deaf() -> None:
    """Nobody looks up what a newer release writes."""

    async def nothing(newer: NewerSchemas, unknown: UnknownSchema) -> bool:
        return False

    async def learnt_nothing(newer: NewerSchemas) -> None: ...

    setattr(NewerSchemas, "learned", nothing)  # noqa: B010
    setattr(NewerSchemas, "learn", learnt_nothing)  # noqa: B010


PLANTS: Mapping[str, Callable[[], None]] = {
    "brisk": brisk,
    "deaf": deaf,
    "group_offsets": group_offsets,
    "rows_apart": rows_apart,
    "unfenced": unfenced,
}
