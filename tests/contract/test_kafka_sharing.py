"""Who gets what in a group, whatever the members, families and numbers of partitions."""

from collections import Counter
from types import SimpleNamespace

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.sharing import Sharing, share

COUNTS = st.dictionaries(st.sampled_from(["t1", "t2", "t3", "t4", "t5"]), st.integers(0, 9))
MEMBERS = st.sets(st.sampled_from("abcdefg"), min_size=1)
TOPICS = st.sets(st.sampled_from(["t1", "t2", "t3", "t4", "t5", "unknown"]))
OFFERS = st.dictionaries(st.sampled_from("abcdefg"), TOPICS, min_size=1)
HOLDERS = st.dictionaries(
    st.builds(TopicPartition, st.sampled_from(["t1", "t2", "gone"]), st.integers(0, 12)),
    st.sampled_from("abcdefgxyz"),
)


def holders(shares: dict[str, list[TopicPartition]]) -> dict[TopicPartition, str]:
    return {partition: member for member, some in shares.items() for partition in some}


@given(COUNTS, OFFERS, HOLDERS)
def test_everything_that_somebody_offers_to_do_is_done_once(
    counts: dict[str, int], offers: dict[str, set[str]], had: dict[TopicPartition, str]
) -> None:
    shares = share(counts, offers, had)
    assert set(shares) == set(offers)
    done = Counter(partition for some in shares.values() for partition in some)
    wanted = {topic for topics in offers.values() for topic in topics}
    assert done == Counter(
        TopicPartition(topic, n) for topic, count in counts.items() for n in range(count) if topic in wanted
    )
    assert all(partition.topic in offers[member] for member, some in shares.items() for partition in some)


@given(COUNTS, OFFERS, HOLDERS)
def test_each_topic_is_shared_evenly(
    counts: dict[str, int], offers: dict[str, set[str]], had: dict[TopicPartition, str]
) -> None:
    shares = share(counts, offers, had)
    for topic in counts:
        sizes = [sum(one.topic == topic for one in shares[member]) for member in offers if topic in offers[member]]
        assert not sizes or max(sizes) - min(sizes) <= 1


@given(COUNTS, MEMBERS, HOLDERS)
def test_members_that_offer_the_same_have_equally_much(
    counts: dict[str, int], members: set[str], had: dict[TopicPartition, str]
) -> None:
    sizes = [len(some) for some in share(counts, {member: set(counts) for member in members}, had).values()]
    assert max(sizes) - min(sizes) <= 1


@given(COUNTS, OFFERS, HOLDERS)
def test_nothing_moves_without_a_reason(
    counts: dict[str, int], offers: dict[str, set[str]], had: dict[TopicPartition, str]
) -> None:
    shares = share(counts, offers, had)
    assert share(counts, offers, holders(shares)) == shares


@given(st.integers(1, 9), st.integers(1, 6))
def test_who_comes_gets_no_more_than_a_share_and_nothing_else_moves(topics: int, members: int) -> None:
    counts = {f"t{n}": 4 for n in range(topics)}
    before = share(counts, {str(n): set(counts) for n in range(members)}, {})
    after = share(counts, {str(n): set(counts) for n in range(members + 1)}, holders(before))
    gone = sum(len(set(before[member]) - set(after[member])) for member in before)
    swapped = sum(len(set(after[member]) - set(before[member])) for member in before)
    assert gone - swapped == len(after[str(members)])
    assert swapped <= topics  # who is ahead in one topic may be behind in the next


def test_a_topic_that_nobody_has_made_yet_is_left_out() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1} if topic == "there" else None)
    mine = Sharing(lambda: (-1, ()))
    shares = mine.assign(cluster, {"a": mine.metadata(["there", "not"])})
    assert shares["a"].partitions() == [TopicPartition("there", 0), TopicPartition("there", 1)]


def test_of_two_that_think_they_have_it_the_later_keeps_it() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda _: {0, 1})
    here = TopicPartition("t", 0)
    told = {
        "a": Sharing(lambda: (3, [here])).metadata(["t"]),
        "b": Sharing(lambda: (4, [here])).metadata(["t"]),
    }
    for members in (told, dict(reversed(told.items()))):
        assert Sharing(lambda: (-1, ())).assign(cluster, members)["b"].partitions() == [here]


def test_what_another_release_says_otherwise_is_passed_over() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda _: {0, 1})
    told = {
        "a": ConsumerProtocolMemberMetadata(0, ["t"], b"{}"),
        "b": ConsumerProtocolMemberMetadata(0, ["t"], None),
    }
    shares = Sharing(lambda: (-1, ())).assign(cluster, told)
    assert [len(share.partitions()) for share in shares.values()] == [1, 1]
