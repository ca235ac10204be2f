"""Benchmarks are run by hand; held here are their form, and that they measure what they say."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import bids, idle, latency, machine, outside, owners, readings, restore, results
from benchmarks.__main__ import main
from benchmarks.copying import Avro, answers, avro_each, avro_same, raw_each, raw_same
from benchmarks.figure import Figure
from benchmarks.gate import Counted, Gate
from benchmarks.owner_path import make_decider
from benchmarks.stages import Clocks
from benchmarks.suite import BENCHMARKS
from consumers.ports import Batch, NewRecord, Partition, StoredRecord
from consumers.reading import COMMAND_ID
from consumers.report import BATCH, COMMANDS, LAG, PROJECTED
from infra.schemas import load_codec, load_ledger
from schemas.envelope import Moment
from schemas.partition import partition_of

MARKET = Partition("market", 0)
CODEC = load_codec()
NAMES = {
    "kernel", "message_class", "bid_to_trade", "stages", "latency", "rebuild", "restore", "project_readings", "owners",
    "idle", "quix", "auction", "blocks", "gate",
}  # fmt: skip


def stored(records: Sequence[NewRecord], first: int = 0) -> list[StoredRecord]:
    """The records as they would be read from position `first` on."""
    return [StoredRecord(first + n, r.key, r.value, r.headers) for n, r in enumerate(records)]


def test_a_figure_is_one_json_line_with_the_agreed_names() -> None:
    figure = Figure("kernel.orders", 1.0, "orders/s", "naive", 2.0, None, None)
    found = json.loads(figure.to_json())
    assert list(found) == ["name", "value", "unit", "against", "ratio", "target", "holds"]


def test_the_benchmarks_have_names() -> None:
    assert set(BENCHMARKS) == NAMES


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "nonsense"]) == 2
    said = capsys.readouterr()
    assert "nonsense" in said.err
    assert "bid_to_trade" in said.err
    assert said.out == ""


def test_results_tell_the_machine(tmp_path: Path) -> None:
    figure = Figure("a.b", 1.5, "orders/s")
    path = results.write("a", [figure], machine.facts(), 2.04, tmp_path / "new")
    found = json.loads(path.read_text())
    assert path.name == "a.json"
    assert found["seconds"] == 2.0
    assert found["figures"] == [json.loads(figure.to_json())]
    assert {"cpu", "cores", "python", "kafka", "libraries", "compiled"} <= set(found["machine"])
    assert {"aiokafka", "fastavro", "psycopg"} <= set(found["machine"]["libraries"])


def test_a_compiled_module_is_told() -> None:
    assert machine.compiled(["json", "_struct"]) == ["_struct"]


def test_bids_are_accepted_and_lead_to_as_many_facts_as_promised() -> None:
    count = bids.TICK_EVERY
    decider = make_decider(CODEC)(MARKET, ())
    prepared = stored(list(bids.preparation(CODEC)))
    made = decider.decide(prepared)
    assert {CODEC.decode(record.value)[1].__class__.__name__ for record in made} == {
        "LogicAdopted", "TimePassed", "RuleSetAdopted", "SessionOpened",
        "ParticipantAdmitted", "CapabilityRecorded", "CreditRecorded",
    }  # fmt: skip
    facts = decider.decide(stored(list(bids.bids(CODEC, count)), len(prepared)))
    kinds = Counter(CODEC.decode(record.value)[1].__class__.__name__ for record in facts)
    assert set(kinds) == {"OrderAccepted", "TradeMade", "ContractConcluded", "TimePassed"}
    assert (kinds["OrderAccepted"], kinds["TimePassed"]) == (count - 1, 1)
    assert 1.35 < len(facts) / count < 1.45


def test_orders_that_rest_and_orders_that_meet_them_are_made_apart() -> None:
    decider = make_decider(CODEC)(MARKET, ())
    said = [*bids.preparation(CODEC), *bids.bids(CODEC, 1_500, aggressive=0.0)]
    decider.decide(stored(said))
    assert restore.resting(decider) == 1_500
    hits = list(bids.bids(CODEC, 50, 1, aggressive=1.0, since=Moment(2, bids.START.at + 1)))
    kinds = Counter(type(CODEC.decode(r.value)[1]).__name__ for r in decider.decide(stored(hits, len(said))))
    assert kinds == {"OrderAccepted": 50, "TradeMade": 50, "ContractConcluded": 50}
    assert 1_450 <= restore.resting(decider) <= 1_500


def test_another_market_has_the_same_orders() -> None:
    ours, theirs = (list(bids.bids(CODEC, 20, market=key)) for key in ("bench", "other"))
    assert [record.value for record in ours] == [record.value for record in theirs]
    assert {record.key for record in theirs} == {b"other"}
    assert {record.key for record in bids.preparation(CODEC, "other")} == {b"", b"other"}


def test_each_partition_has_a_market() -> None:
    assert [partition_of(key, 4) for key in owners.keys(4)] == [0, 1, 2, 3]


def test_idle_counts_everything_but_the_broker() -> None:
    before = {"react": idle.Spent(1.0, 100), "up": idle.Spent(0.5, 0), "broker": idle.Spent(9.0, 0)}
    after = {"react": idle.Spent(2.0, 300), "up": idle.Spent(0.6, 10), "broker": idle.Spent(19.0, 1)}
    figures = {figure.name: figure for figure in idle.figures(before, after, 10.0)}
    assert figures["idle"].value == pytest.approx(11.0)
    assert figures["idle"].holds is False
    assert (figures["idle.react"].value, figures["idle.react"].against) == (10.0, "20 waits a second")
    assert figures["idle.broker"].value == 100.0
    with pytest.raises(AssertionError, match="react"):
        list(idle.figures(before, {name: spent for name, spent in after.items() if name != "react"}, 10.0))


def test_latency_is_held_against_a_small_transaction_of_the_same_round() -> None:
    seen = outside.Seen([n / 1000 for n in range(1, 101)], [n / 100 for n in range(1, 101)], 0.004, 1.0)
    slow = outside.Seen([n / 500 for n in range(1, 101)], [n / 100 for n in range(1, 101)], 0.1, 1.0)
    rounds = [latency.Round(seen, 0.011, 5_000.0, 40.0)] * 2 + [latency.Round(slow, 0.1, 1_000.0, 900.0)]
    figures = {figure.name: figure for figure in latency.figures(rounds)}
    assert (figures["latency.p50"].value, figures["latency.p99"].value) == (51.0, 100.0)
    assert (figures["latency.p99"].ratio, figures["latency.p99"].holds) == (9.09, True)
    assert figures["latency.sent.p99"].value == 1000.0
    assert figures["latency.sent.p99"].target is None
    assert figures["latency.max"].value == 200.0
    assert (figures["latency.rate"].value, figures["latency.batch"].value) == (5_000, 40.0)


async def test_outside_notes_the_first_answer_of_each_command_that_counts() -> None:
    watch = outside._Watch([b"0", b"1", b"2"])
    watch.acknowledged(0, [4.5, 5.0], 6.0)
    watch.acknowledged(2, [7.0], 8.0)
    log = Log(0)
    log._records = [StoredRecord(n, b"", b"", ((COMMAND_ID, name),)) for n, name in enumerate((b"9", b"2", b"2", b"1"))]
    reading = asyncio.create_task(watch.read(log, 0))  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    assert not reading.done()
    first = watch._answered[2]
    log._records.append(StoredRecord(10, b"", b"", ((COMMAND_ID, b"0"),)))
    log._records.append(StoredRecord(11, b"", b"", ((COMMAND_ID, b"2"),)))
    await asyncio.wait_for(reading, 5)
    seen = watch.seen(1, 0.5)
    assert watch._answered[2] == first
    assert seen.appended == sorted(watch._answered[n] - at for n, at in ((1, 6.0), (2, 8.0)))
    assert seen.took == max(watch._answered) - 4.5
    assert seen.sent == sorted(watch._answered[n] - at for n, at in ((1, 5.0), (2, 7.0)))


def test_bids_are_the_same_for_the_same_seed() -> None:
    assert list(bids.bids(CODEC, 20)) == list(bids.bids(CODEC, 20))
    assert list(bids.bids(CODEC, 20)) != list(bids.bids(CODEC, 20, seed=1))


def test_readings_are_recorded() -> None:
    appends = list(readings.facts(CODEC, 3 * readings.POINTS, 96))
    bodies = [CODEC.decode(record.value)[1] for append in appends for record in append]
    kinds = Counter(type(body).__name__ for body in bodies)
    days = 3
    assert kinds == {
        "LogicAdopted": 1,
        "TimePassed": days,
        "MeteringPointRegistered": readings.POINTS,
        "ReadingsRecorded": days * readings.POINTS,
    }
    assert all(len(body.energy_wh) == 96 for body in bodies if hasattr(body, "energy_wh"))


def test_copies_write_what_they_say() -> None:
    avro = Avro(load_ledger())
    decider = make_decider(CODEC)(MARKET, ())
    prepared = list(bids.preparation(CODEC))
    decider.decide(stored(prepared))
    said = stored(list(bids.bids(CODEC, 50)), len(prepared))
    facts = decider.decide(said)
    answered = answers(avro, stored(facts), len(prepared), len(said))
    as_said = [NewRecord(record.key, record.value, record.headers) for record in said]
    assert [record for answer in answered for record in answer.records] == facts
    assert raw_same(said, answered) == facts
    assert avro_same(avro)(said, answered) == facts, "fastavro gives the same bytes"
    assert raw_each(said, answered) == as_said
    assert avro_each(avro)(said, answered) == as_said


class Log:
    """A log with records at every other position, as behind markers."""

    def __init__(self, count: int) -> None:
        self._records = [StoredRecord(2 * n, b"", b"", ()) for n in range(count)]

    async def create(self, partitions: Sequence[Partition]) -> None: ...

    async def read(self, partition: Partition, position: int, limit: int) -> Batch:
        found = [record for record in self._records if record.position >= position][:limit]
        return Batch(tuple(found), found[-1].position + 2 if found else position)

    async def end(self, partition: Partition) -> int:
        return 2 * len(self._records)

    async def wait(self, partition: Partition, position: int, timeout: float) -> bool:
        return position < await self.end(partition)


async def test_a_gate_shows_what_stands_before_it_and_nothing_behind() -> None:
    gate = Gate(Log(10), end=7)
    assert await gate.end(MARKET) == 7
    batch = await gate.read(MARKET, 0, 100)
    assert [record.position for record in batch.records] == [0, 2, 4, 6]
    assert batch.next == 7
    assert await gate.read(MARKET, 7, 100) == Batch((), 7)
    assert (await gate.read(MARKET, 0, 2)).next == 4
    assert await gate.wait(MARKET, 3, 0.01)
    assert not await gate.wait(MARKET, 7, 0.01)
    waiting = asyncio.create_task(gate.wait(MARKET, 7, 5))
    await asyncio.sleep(0)
    gate.open(100)
    assert await waiting
    batch = await gate.read(MARKET, 7, 100)
    assert [record.position for record in batch.records] == [8, 10, 12, 14, 16, 18]
    assert batch.next == await gate.end(MARKET) == 20


async def test_counting_waits_for_all_that_is_asked() -> None:
    counted = Counted()
    waiting = asyncio.create_task(counted.until(commands=3, projected=5))
    counted.add(COMMANDS, "market", "0", value=3)
    counted.add(BATCH, "market", value=3)
    counted.add(PROJECTED, value=4)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    counted.add(PROJECTED, value=1)
    counted.set(LAG, value=9)
    await asyncio.wait_for(waiting, 1)
    assert (counted.commands, counted.appends, counted.projected) == (3, 1, 5)


def test_clocks_divide_the_time_among_the_stages() -> None:
    clocks = Clocks()
    inner = clocks.around("inner", lambda: spin(0.02))

    def work() -> None:
        spin(0.01)
        inner()

    outer = clocks.around("outer", work)
    clocks.around("never", work)
    for _ in range(3):
        outer()
    stages = clocks.stages()
    assert set(stages) == {"inner", "outer"}
    assert stages["inner"] == pytest.approx(0.06, rel=0.2)
    assert stages["outer"] == pytest.approx(0.03, rel=0.2)
    clocks.again()
    assert clocks.stages() == {}


def spin(seconds: float) -> None:
    """Uses the processor for so long."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass
