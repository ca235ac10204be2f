"""Three brokers, of which one dies: its partitions, its coordinators and its clients go on without it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType

from consumers.layout import Layout
from consumers.ports import LogUnavailable, Partition
from infra.kafka.broker import LocalBrokerError
from infra.kafka.command_log import KafkaCommandLog
from infra.kafka.errors import TopicRefused
from infra.kafka.event_log import KafkaEventLog
from infra.kafka.group import KafkaGroup
from infra.kafka.schemas_topic import KafkaSchemas
from infra.kafka.topics import KafkaTopics, TopicSettings
from tests.cluster import NODES, LocalCluster
from tests.contract.backends import number, numbers, record

MARKET = [Partition("market", n) for n in range(3)]
COPIES = TopicSettings()
BEFORE, AFTER = 20, 40  # appends before and after the kill
EACH = 2  # records of an append


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    made = LocalCluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
    except LocalBrokerError as error:
        pytest.fail(str(error), pytrace=False)
    yield made
    for node in NODES:  # not in order: nobody needs these data any more
        made.kill(node)
    made.stop()


@pytest.fixture
async def events(cluster: LocalCluster, deployment: str) -> AsyncIterator[KafkaEventLog]:
    assert len(await KafkaTopics(cluster.bootstrap, deployment, COPIES).create(Layout.of({"market": len(MARKET)}))) == 3
    made = KafkaEventLog(cluster.bootstrap, deployment, COPIES)
    await made.start()
    yield made
    await made.close()


class Writer:
    """Appends numbers as the port says: after any doubt it claims again and looks at what stands."""

    def __init__(self, log: KafkaEventLog, partition: Partition) -> None:
        self._log, self._partition = log, partition
        self.stands = 0
        self.doubts = 0

    async def write(self, count: int) -> None:
        while self.stands < count:
            try:
                owner = await self._log.claim(self._partition)
                found = await numbers(self._log, self._partition)
                assert found == list(range(len(found)))
                assert len(found) % EACH == 0, "an append stands as a whole"
                assert len(found) >= self.stands, "what was acknowledged stands"
                self.stands = len(found)
                while self.stands < count:
                    await owner.append([record(self.stands + n) for n in range(EACH)], 3)
                    self.stands += EACH
            except LogUnavailable:
                self.doubts += 1
                await asyncio.sleep(0.1)

    async def reached(self, count: int) -> None:
        while self.stands < count:
            await asyncio.sleep(0.01)


class Follower:
    """Reads a partition from its beginning, and waits for more."""

    def __init__(self, log: KafkaEventLog, partition: Partition) -> None:
        self._log, self._partition = log, partition
        self.found: list[int] = []

    async def follow(self) -> None:
        position = 0
        while True:
            with contextlib.suppress(LogUnavailable):
                await self._log.wait(self._partition, position, 1)
                batch = await self._log.read(self._partition, position, 7)
                self.found += map(number, batch.records)
                position = batch.next


async def send(log: KafkaCommandLog, count: int) -> None:
    """Sends numbers, each until it is stored."""
    for n in range(count):
        while True:
            with contextlib.suppress(LogUnavailable):
                await log.send([(partition, record(n)) for partition in MARKET], 2)
                break
        await asyncio.sleep(0.05)


async def shared(*groups: KafkaGroup) -> None:
    """Returns when all partitions are shared out among the members."""
    while frozenset().union(*(group.assigned for group in groups)) != frozenset(MARKET) or not all(
        group.assigned for group in groups
    ):
        await asyncio.sleep(0.02)


def mislead(client: AIOKafkaClient) -> None:
    """Has a client believe that each partition is led by another broker than it is."""
    for partitions in client.cluster._partitions.values():
        for which, known in partitions.items():
            partitions[which] = known._replace(leader=known.leader % len(NODES) + 1)


@pytest.mark.timeout(120)
async def test_who_asks_the_wrong_broker_finds_the_right_one(
    cluster: LocalCluster, events: KafkaEventLog, deployment: str
) -> None:
    commands = KafkaCommandLog(cluster.bootstrap, deployment, COPIES)
    elsewhere = KafkaEventLog(cluster.bootstrap, deployment, COPIES)
    await asyncio.gather(commands.start(), elsewhere.start())
    partition = MARKET[0]
    owner = await elsewhere.claim(partition)
    await owner.append([record(0)], 5)
    await commands.send([(partition, record(0))], 5)
    assert commands.producer is not None

    mislead(owner.producer.client)
    await owner.append([record(1)], 5)
    mislead(commands.producer.client)
    await commands.send([(partition, record(1))], 5)
    for log in (events, commands):
        client, where = log._reader.client, log._reader.where(partition)
        await log.end(partition)
        leader = client.cluster.leader_for_partition(where)
        for ask in (log.end(partition), log.read(partition, 0, 10), log.wait(partition, 0, 5)):
            mislead(client)
            assert client.cluster.leader_for_partition(where) != leader
            assert await ask
            assert client.cluster.leader_for_partition(where) == leader, "a broker that follows has answered"
    end = await events.end(partition)
    mislead(events._reader.client)
    waiting = asyncio.create_task(events.wait(partition, end, 30))
    await asyncio.sleep(0.05)
    await owner.append([record(2)], 5)
    assert await asyncio.wait_for(waiting, 5)
    assert await numbers(events, partition) == [0, 1, 2]
    assert await numbers(commands, partition) == [0, 1]
    await asyncio.gather(commands.close(), elsewhere.close())


@pytest.mark.timeout(120)
async def test_a_broker_dies_and_nothing_is_lost_or_doubled(
    cluster: LocalCluster, events: KafkaEventLog, deployment: str
) -> None:
    bootstrap = cluster.bootstrap
    commands, other = KafkaCommandLog(bootstrap, deployment, COPIES), KafkaEventLog(bootstrap, deployment, COPIES)
    schemas = KafkaSchemas(bootstrap, deployment, COPIES)
    groups = [KafkaGroup(bootstrap, deployment, "react", "events") for _ in range(2)]
    await asyncio.gather(commands.start(), other.start(), schemas.start(), *(group.join(MARKET) for group in groups))
    await asyncio.wait_for(shared(*groups), 20)

    # The one that dies leads a partition and looks after the group.
    await asyncio.gather(*map(events.end, MARKET))
    client = events._reader.client
    victim = await client.coordinator_lookup(CoordinationType.GROUP, f"{deployment}.react")
    where = {events._reader.where(partition): partition for partition in MARKET}
    (mine,) = [of for at, of in where.items() if client.cluster.leader_for_partition(at) == victim]

    writer, follower = Writer(events, mine), Follower(other, mine)
    writing = asyncio.create_task(writer.write(EACH * (BEFORE + AFTER)))
    following = asyncio.create_task(follower.follow())
    sending = asyncio.create_task(send(commands, 30))
    await asyncio.wait_for(writer.reached(EACH * BEFORE), 20)
    await asyncio.to_thread(cluster.kill, victim)
    await asyncio.wait_for(asyncio.gather(writing, sending), 60)
    assert writer.doubts > 0, "nobody was in the middle of an append"

    assert await numbers(events, mine) == list(range(EACH * (BEFORE + AFTER)))
    async with asyncio.timeout(20):
        while len(follower.found) < EACH * (BEFORE + AFTER):
            await asyncio.sleep(0.02)
    assert follower.found == list(range(EACH * (BEFORE + AFTER)))
    for partition in MARKET:
        stored = await numbers(commands, partition)
        assert list(dict.fromkeys(stored)) == list(range(30)), "each is there, the first of each in order"

    await schemas.publish({1: {"type": "record", "name": "m", "fields": []}})
    await asyncio.wait_for(shared(*groups), 20)
    await groups[0].leave()
    await asyncio.wait_for(shared(groups[1]), 5)  # the membership is alive: no session has to expire

    states = await KafkaTopics(bootstrap, deployment, COPIES).describe(Layout.of({"market": 3}))
    assert [state.copies for state in states] == [3, 3, 3]
    assert all(state.behind == state.partitions and not state.leaderless and not state.differences for state in states)
    following.cancel()
    await asyncio.gather(
        following, groups[1].leave(), commands.close(), other.close(), schemas.close(), return_exceptions=True
    )


async def test_more_copies_in_sync_than_there_are_cannot_be_asked_for(cluster: LocalCluster, deployment: str) -> None:
    with pytest.raises(TopicRefused, match="does not make the topic"):
        await KafkaTopics(cluster.bootstrap, deployment, TopicSettings(4, 2)).create(Layout.of({"market": 1}))
