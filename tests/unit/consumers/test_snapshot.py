"""Snapshots: a memory goes through bytes and comes back as it was, and whatever does not fit is left aside."""

import hashlib
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from consumers.memory import Memory
from consumers.partition import PartitionDecider
from consumers.ports import Partition, StoredRecord
from consumers.snapshot import Position, UnusableSnapshot, _classes, shape, taken, written
from domain.families import DECIDERS
from domain.party import decider as party
from gateways.app import App
from gateways.app.backends import memory_backend
from schemas.catalog import FAMILIES
from tests.simulation.world import World
from tests.unit.consumers.loops import PARTY, Logs, make


@dataclass(frozen=True, slots=True)
class Day:
    """What a short day left on the logs, and how its deciders are made."""

    app: App
    commands: dict[str, tuple[StoredRecord, ...]]

    def decider(self, family: str) -> PartitionDecider:
        return self.app._deployment.decider(Partition(family, 0), ())


_DAYS: dict[str, Day] = {}


@pytest.fixture
async def day(postgres_dsn: str) -> Day:
    """A short day of every family, decided once a session; calculations included."""
    if not _DAYS:
        app = App(memory_backend("snapshots"), postgres_dsn, "snapshots", 1)
        await app.views.start()
        await app.start()
        for step in World(11).steps:
            await app.drive.tick(step.moment)
            await app.drive.send(app.door.admit(step.commands))
            await app.drive.settle()
        commands = {p.family: (await app._backend.commands.read(p, 0, 10**6)).records for p in app.layout.partitions}
        await app.views.drop()
        await app.close()
        _DAYS["day"] = Day(app, commands)
    return _DAYS["day"]


def through_bytes(day: Day, family: str, decider: PartitionDecider, position: int) -> PartitionDecider:
    again = day.decider(family)
    assert taken(decider.partition, again, written(decider.partition, decider, position)) == Position(
        position, decider.seq
    )
    return again


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_memory_that_went_through_bytes_decides_the_same_bytes(day: Day, family: str) -> None:
    """At every tenth of the day; the undisturbed decider and the one from the snapshot go on side by side."""
    commands = day.commands[family]
    undisturbed, position = day.decider(family), 0
    step = max(1, len(commands) // 10)
    seen = 0
    for begin in range(0, len(commands), step):
        part = commands[begin : begin + step]
        again = through_bytes(day, family, undisturbed, position)
        assert again.image() == undisturbed.image()
        answer = again.decide(part)
        assert answer == undisturbed.decide(part), f"{family} from command {begin} on"
        position += len(answer)
        seen += len(undisturbed.image()[0].states)
    assert seen, "the day says nothing of this family"
    through_bytes(day, family, undisturbed, position)


@pytest.mark.parametrize("family", FAMILIES)
async def test_every_class_in_a_memory_counts_in_its_shape(day: Day, family: str) -> None:
    """Else a class could change and an old snapshot would still be believed."""
    decider = day.decider(family)
    named = set[str]()
    for begin in range(0, len(day.commands[family]), 10):
        decider.decide(day.commands[family][begin : begin + 10])
        _, _, body = written(decider.partition, decider, 0).partition(b"\n")
        strings = list[str]()
        for opcode, argument, _ in pickletools.genops(body):
            if opcode.name == "STACK_GLOBAL":
                named.add(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    held = {f"{cls.__module__}.{cls.__qualname__}" for cls in _classes(family)}
    plain = {"collections.deque", "array.array", "array._array_reconstructor"}
    # A string said before is fetched from the memo, so that a name may come out crooked; it then names nothing.
    known = {name for name in named if name.rpartition(".")[0] in sys.modules}
    assert {name for name in known if name not in held} <= plain
    assert any(name.startswith("domain.") for name in known)


def _leaves(hint: Any, seen: set[Any]) -> None:
    """Every class that a value of this type may be made of."""
    if hint in seen or hint is None:
        return
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return
    if origin is Annotated:
        arguments = arguments[:1]
    for argument in arguments:
        if argument is not Ellipsis:
            _leaves(argument, seen)
    if arguments and origin in (Union, UnionType, Annotated):
        return
    found = origin or hint
    if found in seen:
        return
    seen.add(found)
    if isinstance(found, type) and found.__module__.startswith(("domain.", "schemas.", "consumers.")):
        for field in get_type_hints(found, localns={"array": list}).values():  # arrays know no items
            _leaves(field, seen)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_state_is_declared_of_classes_of_the_shape_alone(family: str) -> None:
    """Also what no short day has made: else the first such state would make every snapshot unusable."""
    found = set[Any]()
    _leaves(type(DECIDERS[family].initial("x")), found)
    assert len(found) > 2
    plain = {int, str, bool, bytes, type(None), dict, list, set, frozenset, tuple, deque}
    assert {one for one in found if one not in _classes(family)} <= plain


async def test_an_order_is_one_object_in_book_and_index_also_afterwards(day: Day) -> None:
    decider, found = day.decider("market"), 0
    for begin in range(0, len(day.commands["market"]), 5):
        decider.decide(day.commands["market"][begin : begin + 5])
        again = through_bytes(day, "market", decider, 0)
        for market in again.image()[0].states.values():
            for instrument in market.instruments.values():
                for order in instrument.book.best_first():
                    assert market.orders[order.order] is order
                    found += 1
    assert found > 10


def test_a_shape_is_the_same_in_every_process() -> None:
    """Whoever starts next must find its own shape in the snapshot: sets and hashes differ between processes."""
    program = "from consumers.snapshot import shape; from schemas.catalog import FAMILIES; print(*map(shape, FAMILIES))"
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env, cwd=root)
    assert ran.stdout.split() == [shape(family) for family in FAMILIES]
    assert len(set(ran.stdout.split())) == len(FAMILIES)


def test_another_field_is_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(slots=True)
    class Party:
        party: str
        registered: bool = False
        communities: frozenset[str] = frozenset()  # it was a set
        markets: frozenset[str] = frozenset()

    before = shape("party")
    Party.__module__, Party.__qualname__ = party.__name__, "Party"
    shape.cache_clear()
    monkeypatch.setattr(party, "Party", Party)
    try:
        assert shape("party") != before
    finally:
        monkeypatch.undo()
        shape.cache_clear()
    assert shape("party") == before


# -- what does not fit ---------------------------------------------------------------------------------


@pytest.fixture
async def snapshot() -> bytes:
    logs = await Logs().start()
    await logs.register("ann", "bob")
    await logs.answer()
    return written(PARTY, await logs.whole(), 4)


def told(data: bytes, **other: Any) -> bytes:
    """The snapshot with other words in its first line."""
    line, _, body = data.partition(b"\n")
    return json.dumps(json.loads(line) | other).encode() + b"\n" + body


def carrying(data: bytes, body: bytes) -> bytes:
    """The snapshot with another body, and a checksum that fits."""
    return told(data.partition(b"\n")[0] + b"\n" + body, sha256=hashlib.sha256(body).hexdigest())


def refused(data: bytes, because: str) -> None:
    decider = make(PARTY, ())
    with pytest.raises(UnusableSnapshot, match=because):
        taken(PARTY, decider, data)
    assert decider.image() == (Memory(), b""), "nothing was put in"


@pytest.mark.parametrize(
    ("other", "because"),
    [
        ({"format": 1}, "its format is 1, expected 2"),
        ({"family": "site"}, "its family is 'site'"),
        ({"partition": 1}, "its partition is 1, expected 0"),
        ({"logic": 2}, "its logic is 2"),
        ({"shape": "0"}, "its shape is '0'"),
        ({"sha256": "0"}, "its sha256 is '0'"),
        ({"seq": 3}, "its memory is not the one"),
        ({"position": None}, "it does not begin as a snapshot does"),
        ({"seq": "x"}, "it does not begin as a snapshot does"),
    ],
)
def test_another_first_line_is_left_aside(snapshot: bytes, other: dict[str, Any], because: str) -> None:
    refused(told(snapshot, **other), because)


@pytest.mark.parametrize("missing", ["format", "family", "partition", "position", "seq", "logic", "shape", "sha256"])
def test_a_first_line_that_lacks_something_is_left_aside(snapshot: bytes, missing: str) -> None:
    line, _, body = snapshot.partition(b"\n")
    less = {name: value for name, value in json.loads(line).items() if name != missing}
    refused(json.dumps(less).encode() + b"\n" + body, "it does not begin as a snapshot does")


def test_a_damaged_or_truncated_snapshot_is_left_aside(snapshot: bytes) -> None:
    for cut in range(0, len(snapshot), 7):
        refused(snapshot[:cut], "it does not begin|its sha256")
    for at in range(snapshot.index(b"\n") + 1, len(snapshot), 11):
        damaged = bytearray(snapshot)
        damaged[at] ^= 4
        refused(bytes(damaged), "its sha256")
    for other in (b"", b"\n", b"[]\n", b"7\n", b"\x80\x04\n", b"{}\n"):
        refused(other, "it does not begin as a snapshot does")


def test_a_body_that_is_no_memory_is_left_aside(snapshot: bytes) -> None:
    memory, head = make(PARTY, ()).image()
    for body in (b"", b"\x80", pickle.dumps(7), pickle.dumps((7, head)), pickle.dumps((memory, head, 0))):
        refused(carrying(snapshot, body), "it cannot be read|its memory is not the one")
    whole, _ = pickle.loads(snapshot.partition(b"\n")[2])
    for head_too in (None, "text", 7):
        refused(carrying(snapshot, pickle.dumps((whole, head_too))), "its memory is not the one")


# -- a snapshot of somebody who means harm ---------------------------------------------------------------


class Place:
    """What stands under this name; pickled as the name alone, whatever it is."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self) -> None: ...


class Call:
    """Pickled as a call, here of what stands in a place or of what another call gives."""

    def __init__(self, call: Any, *args: Any) -> None:
        self._call, self._args = call, args

    def __reduce__(self) -> Any:
        return self._call, self._args

    def __call__(self) -> None: ...


_IN_PYTHON: Any = vars(pickle)["_Pickler"]
"""The one that can be taught."""


class Forger(_IN_PYTHON):  # type: ignore[misc]
    """Writes names without looking whether they are true."""

    def save(self, obj: Any, *args: Any, **how: Any) -> None:
        if not isinstance(obj, Place):
            super().save(obj, *args, **how)
            return
        self.save(obj.module)
        self.save(obj.name)
        self.write(pickle.STACK_GLOBAL)


def forged(obj: Any) -> bytes:
    out = io.BytesIO()
    Forger(out, protocol=5).dump(obj)
    return out.getvalue()


@pytest.mark.parametrize(
    "call", [os.system, subprocess.Popen, eval, getattr, pickle.loads, io.FileIO, hashlib.sha256, shape, make]
)
def test_a_pickle_that_calls_what_is_no_part_of_a_memory_is_left_aside(
    snapshot: bytes, call: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "harmed"
    refused(carrying(snapshot, pickle.dumps(Call(call, f"touch {mark}"))), "is no part of a memory")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("consumers.memory", "Memory.remember.__class__"),  # the type of functions: with code it is one
        ("consumers.memory", "Memory.remember.__code__.__class__"),
        ("consumers.memory", "Memory.__class__"),
        ("consumers.memory", "Memory.__base__"),
        ("consumers.memory", "heapq.__loader__.__class__"),
        ("consumers.memory", "deque"),
        ("domain.party.decider", "Command"),
        ("consumers.memory", "Any"),
        ("domain.families", "DECIDERS"),
        ("consumers.memory", "Recorded"),
        ("domain", "party.decider.Party"),
        ("consumers.memoryx", "Memory"),
        ("consumers.partition", "PartitionDecider"),
    ],
)
def test_no_way_leads_from_our_classes_to_others(snapshot: bytes, module: str, name: str) -> None:
    """Names may have dots, and everything leads to everything: only what stands where it was made is taken."""
    refused(carrying(snapshot, forged(Place(module, name))), "is no part of a memory")


def test_a_function_made_of_bytes_is_never_called(snapshot: bytes, tmp_path: Path) -> None:
    """A whole attack: the type of code and the type of functions, reached over a method of our own."""
    mark = tmp_path / "harmed"
    code = compile(f"open({str(mark)!r}, 'w').close()", "x", "exec")
    parts = [
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_nlocals, code.co_stacksize,
        code.co_flags, code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_filename, code.co_name,
        code.co_qualname, code.co_firstlineno, code.co_linetable, code.co_exceptiontable,
    ]  # fmt: skip

    made = Call(Place("consumers.memory", "Memory.remember.__code__.__class__"), *parts)
    function = Call(Place("consumers.memory", "Memory.remember.__class__"), made, {})
    body = forged(Call(function))
    refused(carrying(snapshot, body), "is no part of a memory")
    assert not mark.exists()


def test_the_families_have_deciders_and_shapes() -> None:
    assert set(DECIDERS) == set(FAMILIES)
