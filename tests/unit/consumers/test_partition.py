"""The log's rules for one partition: every command is answered once, and records lead back to the same memory."""

import types
from typing import Any

import pytest

from consumers.failures import ChainBroken, EvolveFailed
from consumers.limits import ADVANCE_LIMIT, MAX_TICK_FACTS, MAX_TICK_JUMP_US, WINDOW_US
from consumers.partition import PartitionDecider
from consumers.ports import NewRecord, Partition, StoredRecord
from consumers.reading import CHAIN, SOURCE
from domain.party import decider as party
from schemas.catalog import all_messages
from schemas.codec import Codec, avro_schema
from schemas.envelope import Causation, CommandMeta, Moment
from schemas.log.commands import Tick
from schemas.log.events import CommandRepeated, CommandSetAside, LogicAdopted, SetAsideReason, TimePassed
from schemas.partition import partition_of
from schemas.party.commands import ApplyForMembership, RegisterParty
from schemas.party.events import CommandRefused, MembershipApplied, PartyRefusal, PartyRegistered, Role

CODEC = Codec({n: avro_schema(m) for n, m in enumerate(all_messages(), 1)})
HOUR = 3_600_000_000
T0 = 1_466_460_000_000_000
REGISTER = RegisterParty((Role.PARTY_CONNECTED_TO_GRID,))


class Bench:
    """A partition decider with a hand-made command log and everything it recorded."""

    def __init__(self, decider: Any = party, partitions: int = 1, number: int = 0) -> None:
        self.decider, self.partitions, self.partition = decider, partitions, Partition("party", number)
        self.core = PartitionDecider(self.partition, partitions, decider, CODEC)
        self.commands: list[StoredRecord] = []
        self.records: list[NewRecord] = []
        self.now = T0

    def tick(self, n: int, at: int) -> list[Any]:
        self.now = at
        return self.raw(b"", CODEC.encode(CommandMeta(f"tick-{n}", "log:clock", "t", None, None, None), Tick(n, at)))

    def door(self, key: str, body: Any, command_id: str, actor: str = "ann", valid_until: int | None = -1) -> list[Any]:
        until = self.now + HOUR if valid_until == -1 else valid_until
        return self.raw(key.encode(), CODEC.encode(CommandMeta(command_id, actor, "x", until, None, None), body))

    def inside(
        self, key: str, body: Any, seq: int, n: int = 0, tick: Moment | None = None, actor: str = "policy:p"
    ) -> list[Any]:
        cause = Causation("site", 1, 0, seq, n)
        meta = CommandMeta(f"p{seq}.{n}", actor, "x", None, tick or Moment(1, T0), cause)
        return self.raw(key.encode(), CODEC.encode(meta, body))

    def raw(self, key: bytes, value: bytes) -> list[Any]:
        self.commands.append(StoredRecord(len(self.commands), key, value, ()))
        return self.bodies(self.append(self.core.decide(self.commands[-1:])))

    def append(self, records: list[NewRecord]) -> list[NewRecord]:
        self.records += records
        return records

    def bodies(self, records: list[NewRecord]) -> list[Any]:
        return [CODEC.decode(r.value)[1] for r in records]

    def restored(self) -> PartitionDecider:
        again = PartitionDecider(self.partition, self.partitions, self.decider, CODEC)
        for position, r in enumerate(self.records):
            again.restore(StoredRecord(position, r.key, r.value, r.headers))
        return again


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.tick(1, T0)
    return made


def test_the_first_record_adopts_the_logic_and_a_tick_ends_in_time_passed() -> None:
    assert Bench().tick(1, T0) == [LogicAdopted(party.LOGIC), TimePassed(1, T0)]


def test_a_wish_becomes_a_fact_with_envelope(bench: Bench) -> None:
    assert bench.door("ann", REGISTER, "c1") == [PartyRegistered("ann", REGISTER.roles)]
    meta, _ = CODEC.decode(bench.records[-1].value)
    assert (meta.seq, meta.tick, meta.command_id, meta.index, meta.actor) == (2, Moment(1, T0), "c1", 0, "ann")
    assert (meta.causation, meta.logic) == (None, party.LOGIC)
    assert dict(bench.records[-1].headers)[SOURCE] == b"1"


def test_a_broken_rule_is_a_recorded_refusal(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1")
    assert bench.door("ann", REGISTER, "c2") == [
        CommandRefused("RegisterParty", "ann", PartyRefusal.ALREADY_REGISTERED, 0, 0)
    ]


def test_a_repeated_command_names_its_first_record_and_changes_nothing(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1")
    assert bench.door("ann", REGISTER, "c1") == [CommandRepeated(2)]
    assert bench.restored().decide([StoredRecord(9, *_bytes(bench, 1))])[0].key == b"ann"


def _bytes(bench: Bench, n: int) -> tuple[bytes, bytes, tuple[()]]:
    return bench.commands[n].key, bench.commands[n].value, ()


def test_the_same_id_of_another_actor_is_another_command(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1")
    assert isinstance(bench.door("bob", REGISTER, "c1", actor="bob")[0], PartyRegistered)


def test_an_id_is_remembered_for_the_window_and_what_comes_later_has_expired(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1", valid_until=T0 + WINDOW_US)
    bench.tick(2, T0 + WINDOW_US)
    again = CODEC.encode(CommandMeta("c1", "ann", "x", T0 + WINDOW_US, None, None), REGISTER)
    assert bench.raw(b"ann", again) == [CommandRepeated(2)]
    bench.tick(3, T0 + WINDOW_US + 1)
    assert _reason(bench.raw(b"ann", again)) is SetAsideReason.EXPIRED
    assert len(bench.core._m.answered) < 5


def _reason(bodies: list[Any]) -> SetAsideReason:
    [aside] = bodies
    assert isinstance(aside, CommandSetAside)
    return aside.reason


@pytest.mark.parametrize(
    ("key", "meta", "reason"),
    [
        (b"ann", CommandMeta("c", "ann", "x", None, None, None), SetAsideReason.INVALID),
        (b"ann", CommandMeta("c", "policy:p", "x", T0 + HOUR, None, None), SetAsideReason.INVALID),
        (b"ann", CommandMeta("c", "ann", "x", T0 + HOUR, Moment(1, T0), None), SetAsideReason.INVALID),
        (b"ann", CommandMeta("c", "ann", "x", None, Moment(1, T0), Causation("a", 1, 0, 1, 0)), SetAsideReason.INVALID),
        (b"ann", CommandMeta("c", "ann", "x", T0 - 1, None, None), SetAsideReason.EXPIRED),
        (
            b"ann",
            CommandMeta("c", "ann", "x", T0 + WINDOW_US + 1, None, None),
            SetAsideReason.VALID_UNTIL_BEYOND_WINDOW,
        ),
        (b"", CommandMeta("c", "ann", "x", T0 + HOUR, None, None), SetAsideReason.INVALID),
        (b"a\nb", CommandMeta("c", "ann", "x", T0 + HOUR, None, None), SetAsideReason.INVALID),
        (b"a" * 97, CommandMeta("c", "ann", "x", T0 + HOUR, None, None), SetAsideReason.INVALID),
        (b"\xff", CommandMeta("c", "ann", "x", T0 + HOUR, None, None), SetAsideReason.UNDECODABLE),
        (b"ann", CommandMeta("c", "log:clock", "x", T0 + HOUR, None, None), SetAsideReason.INVALID),
    ],
)
def test_what_no_door_sends_is_set_aside(bench: Bench, key: bytes, meta: CommandMeta, reason: SetAsideReason) -> None:
    assert _reason(bench.raw(key, CODEC.encode(meta, REGISTER))) is reason


def test_undecodable_bytes_are_set_aside_and_the_next_command_is_decided(bench: Bench) -> None:
    assert _reason(bench.raw(b"ann", b"\x00\x00\x00\x00\x01nonsense")) is SetAsideReason.UNDECODABLE
    assert _reason(bench.raw(b"ann", b"")) is SetAsideReason.UNDECODABLE
    assert isinstance(bench.door("ann", REGISTER, "c1")[0], PartyRegistered)


def test_a_message_of_another_family_is_set_aside(bench: Bench) -> None:
    from schemas.community.commands import AdmitMember

    assert _reason(bench.door("ann", AdmitMember("x"), "c1")) is SetAsideReason.INVALID


def test_a_key_of_another_partition_is_set_aside() -> None:
    bench = Bench(partitions=4, number=(partition_of("ann", 4) + 1) % 4)
    bench.tick(1, T0)
    assert _reason(bench.door("ann", REGISTER, "c1")) is SetAsideReason.WRONG_PARTITION


def test_a_tick_passed_is_repeated_and_time_never_goes_back(bench: Bench) -> None:
    bench.tick(2, T0 + 10)
    assert bench.tick(2, T0 + 10) == [CommandRepeated(0)]
    assert bench.tick(1, T0) == [CommandRepeated(0)]
    assert _reason(bench.tick(3, T0 + 9)) is SetAsideReason.TICK_GOES_BACK
    assert _reason(bench.tick(4, T0 + 11 + MAX_TICK_JUMP_US)) is SetAsideReason.TICK_TOO_FAR
    assert bench.tick(5, T0 + 20) == [TimePassed(5, T0 + 20)]


def test_a_policy_tells_the_time_and_its_cursor_answers_repeats(bench: Bench) -> None:
    later = Moment(7, T0 + HOUR)
    assert isinstance(bench.inside("ann", REGISTER, seq=5, n=1, tick=later)[0], PartyRegistered)
    assert bench.core.time == later
    assert bench.inside("ann", REGISTER, seq=5, n=1) == [CommandRepeated(0)]
    assert bench.inside("ann", REGISTER, seq=5, n=0) == [CommandRepeated(0)]
    assert bench.inside("ann", REGISTER, seq=4, n=9) == [CommandRepeated(0)]
    assert isinstance(bench.inside("ann", REGISTER, seq=4, n=9, actor="policy:q")[0], CommandRefused)
    assert isinstance(bench.inside("ann", REGISTER, seq=5, n=2)[0], CommandRefused)
    assert bench.tick(7, T0 + HOUR) == [TimePassed(7, T0 + HOUR)], "told is not passed"


def test_records_lead_back_to_the_same_memory_and_the_next_bytes_are_equal(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1")
    bench.inside("bob", REGISTER, seq=3, tick=Moment(4, T0 + 5))
    bench.raw(b"ann", b"nonsense")
    bench.door("ann", ApplyForMembership("green"), "c2")
    bench.tick(5, T0 + HOUR)
    again = bench.restored()
    assert again.source == bench.core.source == len(bench.commands)
    more = [
        CODEC.encode(CommandMeta("c2", "ann", "x", T0 + 2 * HOUR, None, None), ApplyForMembership("green")),
        CODEC.encode(CommandMeta("c3", "ann", "x", T0 + 2 * HOUR, None, None), ApplyForMembership("blue")),
    ]
    batch = [StoredRecord(len(bench.commands) + n, b"ann", value, ()) for n, value in enumerate(more)]
    live, restored = bench.core.decide(batch), again.decide(batch)
    assert live == restored
    assert bench.bodies(live) == [CommandRepeated(5), MembershipApplied("ann", "blue")]


def test_batches_do_not_change_the_records() -> None:
    one = Bench()
    one.tick(1, T0)
    one.door("ann", REGISTER, "c1")
    one.door("ann", ApplyForMembership("green"), "c2")
    whole = PartitionDecider(one.partition, 1, party, CODEC).decide(one.commands)
    assert [(r.key, r.value) for r in whole] == [(r.key, r.value) for r in one.records]
    assert [CHAIN in dict(r.headers) for r in whole] == [False, False, False, True]


def test_a_changed_record_breaks_the_chain(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1")
    old = bench.records[-1]
    bench.records[-1] = NewRecord(b"eve", old.value, old.headers)
    with pytest.raises(ChainBroken, match="party/0 seq 2"):
        bench.restored()


def _broken(**functions: Any) -> Any:
    names = ("LOGIC", "OUTCOMES", "initial", "decide", "advance", "due", "evolve")
    return types.SimpleNamespace(**{n: getattr(party, n) for n in names} | functions)


def test_what_makes_decide_raise_is_set_aside_and_changes_nothing() -> None:
    def decide(state: Any, command: Any, now: Any) -> Any:
        yield PartyRegistered("ann", ())
        raise ZeroDivisionError

    bench = Bench(_broken(decide=decide))
    bench.tick(1, T0)
    assert _reason(bench.door("ann", REGISTER, "c1")) is SetAsideReason.DECIDE_RAISED
    assert not bench.core.state("ann").registered


def test_a_fact_without_bytes_spoils_nothing() -> None:
    bench = Bench(_broken(decide=lambda s, c, now: [PartyRegistered("ann", ()), PartyRegistered("x" * 200, ())]))
    bench.tick(1, T0)
    assert _reason(bench.door("ann", REGISTER, "c1")) is SetAsideReason.DECIDE_RAISED
    assert not bench.core.state("ann").registered


@pytest.mark.parametrize("facts", [0, 1001])
def test_a_decision_records_at_least_one_and_at_most_the_limit(facts: int) -> None:
    bench = Bench(_broken(decide=lambda s, c, now: [MembershipApplied("ann", "c")] * facts))
    bench.tick(1, T0)
    assert _reason(bench.door("ann", REGISTER, "c1")) is SetAsideReason.TOO_MANY_EVENTS


def test_a_fact_that_evolve_cannot_take_ends_the_memory_and_the_command_is_set_aside_the_next_time() -> None:
    def evolve(state: Any, fact: Any) -> Any:
        if isinstance(fact.body, MembershipApplied):
            raise KeyError
        return party.evolve(state, fact)

    bench = Bench(_broken(evolve=evolve))
    bench.tick(1, T0)
    bench.door("ann", REGISTER, "c1")
    with pytest.raises(EvolveFailed) as failure:
        bench.door("ann", ApplyForMembership("green"), "c2")
    again = PartitionDecider(bench.partition, 1, bench.decider, CODEC, [failure.value.poison])
    assert _reason(bench.bodies(again.decide(bench.commands))[-1:]) is SetAsideReason.EVOLVE_RAISED


class Alarm:
    """A family that rings, `rings` times, at times it was told; it leaves over what goes beyond the limit."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def family(self) -> Any:
        def decide(state: Any, command: Any, now: Moment) -> Any:
            return [MembershipApplied(command.key, str(command.body.community))]

        def evolve(state: Any, fact: Any) -> Any:
            if isinstance(fact.body, MembershipApplied):
                at, rings = fact.body.community.split("x")
                return (fact.key, int(at), int(rings))
            return (state[0], state[1], state[2] - 1)

        def advance(state: Any, now: Moment, limit: int) -> Any:
            self.calls.append((state[0], now.at))
            return [PartyRegistered(state[0], ())] * min(limit, state[2])

        return _broken(
            initial=lambda key: (key, 0, 0),
            decide=decide,
            evolve=evolve,
            advance=advance,
            due=lambda state: state[1] if state[2] else None,
        )


def test_a_tick_gives_each_due_key_one_call_in_order_of_due_and_key_and_leaves_the_rest() -> None:
    alarm = Alarm()
    bench = Bench(alarm.family())
    bench.tick(1, T0)
    for key, at, rings in (("b", 5, 1), ("a", 5, 250), ("c", 3, 1), ("d", 50, 1)):
        bench.door(key, ApplyForMembership(f"{T0 + at}x{rings}"), f"c{key}")
    rung = bench.tick(2, T0 + 10)
    assert [key for key, _ in alarm.calls] == ["c", "a", "b"]
    assert len(rung) == 1 + ADVANCE_LIMIT + 1 + 1
    alarm.calls.clear()
    assert len(bench.tick(3, T0 + 11)) == ADVANCE_LIMIT + 1, "what is left over waits for the next tick"
    assert alarm.calls == [("a", T0 + 11)]
    assert bench.restored().decide([_stored(bench, 4, T0 + 12)])[-2].key == b"a", "also after a restart"


def _stored(bench: Bench, n: int, at: int) -> StoredRecord:
    value = CODEC.encode(CommandMeta(f"tick-{n}", "log:clock", "t", None, None, None), Tick(n, at))
    return StoredRecord(len(bench.commands), b"", value, ())


def test_a_command_is_preceded_by_what_is_due_for_its_key() -> None:
    alarm = Alarm()
    bench = Bench(alarm.family())
    bench.tick(1, T0)
    bench.door("a", ApplyForMembership(f"{T0}x2"), "c1")
    assert [type(b) for b in bench.door("a", ApplyForMembership(f"{T0}x0"), "c2")] == [
        PartyRegistered,
        PartyRegistered,
        MembershipApplied,
    ]
    indexes = [CODEC.decode(r.value)[0].index for r in bench.records[-3:]]
    assert indexes == [0, 1, 2]


def test_an_advance_that_raises_is_set_aside_once_and_time_passes() -> None:
    family = Alarm().family()
    family.advance = lambda state, now, limit: 1 // 0
    bench = Bench(family)
    bench.tick(1, T0)
    bench.door("a", ApplyForMembership(f"{T0 + 5}x2"), "c1")
    found = bench.tick(2, T0 + 10)
    assert isinstance(found[0], CommandSetAside)
    assert found[0].reason is SetAsideReason.ADVANCE_RAISED
    assert found[1:] == [TimePassed(2, T0 + 10)]
    assert bench.tick(3, T0 + 20) == [TimePassed(3, T0 + 20)]
    assert bench.bodies(bench.restored().decide([_stored(bench, 4, T0 + 30)])) == [TimePassed(4, T0 + 30)]


def test_a_key_that_evolve_cannot_take_on_a_tick_sleeps_and_time_passes_for_the_others() -> None:
    alarm = Alarm()
    family = alarm.family()
    healthy = family.evolve

    def evolve(state: Any, fact: Any) -> Any:
        if fact.key == "a" and isinstance(fact.body, PartyRegistered):
            raise KeyError
        return healthy(state, fact)

    family.evolve = evolve
    bench = Bench(family)
    bench.tick(1, T0)
    for key in ("a", "b"):
        bench.door(key, ApplyForMembership(f"{T0 + 5}x1"), f"c{key}")
    with pytest.raises(EvolveFailed) as failure:
        bench.tick(2, T0 + 10)
    assert failure.value.poison == (3, "a")
    again = PartitionDecider(bench.partition, 1, bench.decider, CODEC, [failure.value.poison])
    records = again.decide(bench.commands)
    assert [(r.key, type(b)) for r, b in zip(records[-3:], bench.bodies(records[-3:]), strict=True)] == [
        (b"a", CommandSetAside),
        (b"b", PartyRegistered),
        (b"", TimePassed),
    ]
    assert bench.bodies(again.decide([_stored(bench, 3, T0 + 20)])) == [TimePassed(3, T0 + 20)]


def test_a_tick_below_a_told_time_passes_without_turning_it_back(bench: Bench) -> None:
    bench.inside("ann", REGISTER, seq=1, tick=Moment(7, T0 + 70))
    assert bench.tick(6, T0 + 60) == [TimePassed(6, T0 + 70)]
    assert bench.core.time == Moment(7, T0 + 70)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (Moment(5, T0 - 1), SetAsideReason.TICK_GOES_BACK),
        (Moment(5, T0 + MAX_TICK_JUMP_US + 1), SetAsideReason.TICK_TOO_FAR),
        (Moment(2**62, T0 + 1), SetAsideReason.TICK_TOO_FAR),
    ],
)
def test_a_told_time_is_believed_as_little_as_a_tick(bench: Bench, told: Moment, reason: SetAsideReason) -> None:
    assert _reason(bench.inside("ann", REGISTER, seq=1, tick=told)) is reason
    assert bench.core.time == Moment(1, T0)


def test_what_expired_may_come_again_under_its_id(bench: Bench) -> None:
    assert _reason(bench.door("ann", REGISTER, "c1", valid_until=T0 - 1)) is SetAsideReason.EXPIRED
    assert isinstance(bench.door("ann", REGISTER, "c1")[0], PartyRegistered)


def test_a_fact_that_fits_no_record_is_set_aside() -> None:
    many = tuple([Role.SUPPLIER] * 1_000_000)
    bench = Bench(_broken(decide=lambda s, c, now: [PartyRegistered("ann", many)]))
    bench.tick(1, T0)
    assert _reason(bench.door("ann", REGISTER, "c1")) is SetAsideReason.DECIDE_RAISED


def test_a_tick_has_a_limit_of_facts_and_the_other_keys_come_with_the_next() -> None:
    alarm = Alarm()
    bench = Bench(alarm.family())
    bench.tick(1, T0)
    keys = MAX_TICK_FACTS // ADVANCE_LIMIT + 3
    for n in range(keys):
        bench.door(f"k{n:03}", ApplyForMembership(f"{T0 + 5}x{ADVANCE_LIMIT}"), f"c{n}")
    assert len(bench.tick(2, T0 + 10)) == MAX_TICK_FACTS + ADVANCE_LIMIT + 1
    assert len(bench.tick(3, T0 + 20)) == 2 * ADVANCE_LIMIT + 1


def test_a_log_without_its_last_hash_is_not_whole(bench: Bench) -> None:
    bench.door("ann", REGISTER, "c1")
    last = bench.records[-1]
    bench.records[-1] = NewRecord(last.key, last.value, last.headers[:2])
    with pytest.raises(ChainBroken, match="no hash behind"):
        bench.restored().restored()


def test_what_another_family_says_is_decided_also_when_advance_raises() -> None:
    family = Alarm().family()
    family.advance = lambda state, now, limit: 1 // 0
    bench = Bench(family)
    bench.tick(1, T0)
    bench.door("a", ApplyForMembership(f"{T0}x2"), "c1")
    assert bench.inside("a", ApplyForMembership(f"{T0}x0"), seq=1) == [MembershipApplied("a", f"{T0}x0")]
