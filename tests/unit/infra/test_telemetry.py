"""What operators see of a process: metrics, health over HTTP, and a report that never stands in the way."""

import asyncio
import http.client
import io
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.report import (
    BATCH,
    COMMANDS,
    DECIDE,
    LAG,
    METRICS,
    RETRIES,
    WAITING,
    Condition,
    Metric,
    MetricKind,
    Report,
    Silent,
)
from infra.telemetry.health import STALE_SECONDS, Health
from infra.telemetry.metrics import MAX_SERIES, SECONDS_BUCKETS, Metrics
from infra.telemetry.server import MAX_REQUESTS, HealthRefused
from infra.telemetry.telemetry import Telemetry


@pytest.fixture(autouse=True)
def _no_wait_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.telemetry.server.CLOSE_SECONDS", 0.02)


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    made = Telemetry("decide", "decide@here:1", "gb", "0.1.0", stream=io.StringIO(), environ={})
    await made.start()
    yield made
    await made.close()


def asked(url: str | None, path: str, method: str = "GET") -> tuple[int, str]:
    assert url is not None
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def ask(telemetry: Telemetry, path: str, method: str = "GET") -> tuple[int, str]:
    return await asyncio.to_thread(asked, telemetry.url, path, method)


async def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[str, ...]], float]:
    status, text = await ask(telemetry, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def reports(report: Report) -> None:
    """Whatever implements the port takes all of it."""
    report.add(COMMANDS, "market", "0", value=3)
    report.set(LAG, "decide", "market", "0", value=7)
    report.condition("market/0", Condition.RUNNING)
    report.gone("market/0")
    report.say("x", alarm=True, a=1)
    with report.span("decide", links=[()], parent=(), family="market") as headers:
        assert headers == ()


async def test_it_is_a_report(telemetry: Telemetry) -> None:
    reports(telemetry)
    reports(Silent())


# ------------------------------------------------------------------------------------------- metrics


async def test_every_metric_is_there_under_its_name(telemetry: Telemetry) -> None:
    for metric in METRICS:
        tell = telemetry.set if metric.kind is MetricKind.GAUGE else telemetry.add
        tell(metric, *("x" for _ in metric.labels), value=2)
    _, text = await ask(telemetry, "/metrics")
    for metric in METRICS:
        name = {
            MetricKind.COUNTER: f"gridbook_{metric.name}_total",
            MetricKind.GAUGE: f"gridbook_{metric.name}",
            MetricKind.SECONDS: f"gridbook_{metric.name}_seconds_count",
            MetricKind.SIZE: f"gridbook_{metric.name}_count",
        }[metric.kind]
        assert re.search(rf"^{name}(\{{.*\}})? (2|1)\.0$", text, re.M), name
        assert metric.help in text
    assert "gridbook_untold_total 0.0" in text
    assert "_created" not in text
    assert 'gridbook_process_info{deployment="gb",process="decide@here:1",release="0.1.0",role="decide"} 1.0' in text
    assert "process_cpu_seconds_total" in text


async def test_numbers_add_up(telemetry: Telemetry) -> None:
    telemetry.add(COMMANDS, "market", "0")
    telemetry.add(COMMANDS, "market", "0", value=4)
    telemetry.add(COMMANDS, "market", "1", value=2)
    telemetry.set(WAITING, value=9)
    telemetry.set(WAITING, value=4)
    for value in (0.0004, 0.004, 4.0, 4_000.0):
        telemetry.add(DECIDE, "market", value=value)
    telemetry.add(BATCH, "market", value=200)
    found = await samples(telemetry)
    assert found["gridbook_commands_total", ("market", "0")] == 5
    assert found["gridbook_commands_total", ("market", "1")] == 2
    assert found["gridbook_calculations_waiting", ()] == 4
    assert found["gridbook_decide_seconds_count", ("market",)] == 4
    assert found["gridbook_decide_seconds_bucket", ("market", "0.005")] == 2
    assert found["gridbook_decide_seconds_bucket", ("market", "300.0")] == 3
    assert found["gridbook_batch_commands_bucket", ("market", "200.0")] == 1
    assert found["gridbook_batch_commands_bucket", ("market", "100.0")] == 0


def test_buckets_hold_what_is_measured() -> None:
    assert list(SECONDS_BUCKETS) == sorted(SECONDS_BUCKETS)
    assert SECONDS_BUCKETS[0] <= 0.001
    assert SECONDS_BUCKETS[-1] >= 60


async def test_what_no_metric_takes_is_counted_and_raises_nothing(telemetry: Telemetry) -> None:
    telemetry.add(COMMANDS, "market")
    telemetry.add(COMMANDS, "market", "0", "more")
    telemetry.add(COMMANDS, "market", "0", value=-1)
    telemetry.set(WAITING, "label", value=1)
    telemetry.add(Metric("unknown", MetricKind.COUNTER, "Nobody knows it."))
    found = await samples(telemetry)
    assert found["gridbook_untold_total", ()] == 5


async def test_gauges_of_a_partition_go_with_it(telemetry: Telemetry) -> None:
    for number in ("0", "1"):
        telemetry.set(LAG, "decide", "market", number, value=5)
        telemetry.add(COMMANDS, "market", number)
    telemetry.gone("market/0")
    telemetry.gone("views")
    found = await samples(telemetry)
    assert ("gridbook_lag_records", ("market", "0", "decide")) not in found
    assert found["gridbook_lag_records", ("market", "1", "decide")] == 5
    assert found["gridbook_commands_total", ("market", "0")] == 1, "what was counted stays counted"
    telemetry.set(LAG, "decide", "market", "0", value=6)
    assert (await samples(telemetry))["gridbook_lag_records", ("market", "0", "decide")] == 6


def test_labels_are_bounded() -> None:
    metrics = Metrics({})
    for n in range(MAX_SERIES + 50):
        metrics.tell(RETRIES, (f"part {n}",), 1)
    metrics.tell(RETRIES, ("part 0",), 1)
    [family] = [f for f in metrics.registry.collect() if f.name == "gridbook_retries"]
    values = {sample.labels["part"]: sample.value for sample in family.samples}
    assert len(values) == MAX_SERIES + 1
    assert values["other"] == 50
    assert values["part 0"] == 2


async def test_alarms_and_conditions_are_metrics_too(telemetry: Telemetry) -> None:
    telemetry.say("no harm")
    telemetry.say("bad", alarm=True)
    telemetry.condition("market/0", Condition.WAITING, "for Kafka")
    found = await samples(telemetry)
    assert found["gridbook_alarms_total", ()] == 1
    assert found["gridbook_part", ("waiting", "market/0")] == 1
    telemetry.condition("market/0", Condition.RUNNING)
    found = await samples(telemetry)
    assert found["gridbook_part", ("running", "market/0")] == 1
    assert ("gridbook_part", ("waiting", "market/0")) not in found


# ------------------------------------------------------------------------------------------- health


@pytest.mark.parametrize(
    ("condition", "alive", "ready"),
    [
        (Condition.STARTING, True, False),
        (Condition.RUNNING, True, True),
        (Condition.FOLLOWING, True, True),
        (Condition.WAITING, True, False),
        (Condition.PAUSED, True, True),
        (Condition.STOPPED, True, False),
    ],
)
async def test_health_follows_from_the_parts(
    telemetry: Telemetry, condition: Condition, alive: bool, ready: bool
) -> None:
    telemetry.condition("market/0", Condition.RUNNING)
    telemetry.condition("market/1", condition, "for Kafka at x:1")
    status, text = await ask(telemetry, "/healthz")
    assert (status == 200) is alive
    assert status in (200, 503)
    assert json.loads(text)["alive"] is alive
    status, text = await ask(telemetry, "/readyz")
    assert status == (200 if ready else 503)
    answer = json.loads(text)
    assert answer["ready"] is ready
    assert answer["parts"] == {
        "market/0": {"condition": "running"},
        "market/1": {"condition": str(condition), "text": "for Kafka at x:1"},
    }
    assert answer["because"] == ([] if ready else [f"market/1 is {condition}: for Kafka at x:1"])
    assert answer["role"] == "decide"


async def test_nobody_is_ready_before_the_first_word_and_who_gave_all_back_is(telemetry: Telemetry) -> None:
    status, text = await ask(telemetry, "/readyz")
    assert (status, json.loads(text)["because"]) == (503, ["waiting for the first word of any part"])
    assert (await ask(telemetry, "/healthz"))[0] == 200
    telemetry.condition("market/0", Condition.WAITING)
    assert json.loads((await ask(telemetry, "/readyz"))[1])["because"] == ["market/0 is waiting"]
    telemetry.gone("market/0")
    assert (await ask(telemetry, "/readyz"))[0] == 200


def test_a_loop_that_does_not_beat_is_not_alive() -> None:
    now = 100.0
    health = Health({}, lambda: now)
    assert health.alive().body["because"] == ["waiting for the event loop's first heartbeat"]
    health.beat()
    health.tell("clock", Condition.RUNNING, "")
    now += STALE_SECONDS
    assert health.alive().holds
    assert health.ready().holds
    now += 1
    assert health.alive().body["because"] == ["no heartbeat of the event loop for 11 s"]
    assert not health.ready().holds
    health.beat()
    assert health.alive().holds


async def test_it_answers_while_the_loop_is_busy_and_sees_that_it_was(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.telemetry.health.STALE_SECONDS", 0.2)
    telemetry.condition("clock", Condition.RUNNING)
    await asyncio.sleep(0.01)
    began = time.monotonic()
    while time.monotonic() - began < 0.3:  # as a long decision: the loop gets no turn
        pass
    status, text = asked(telemetry.url, "/healthz")
    assert status == 503
    assert "no heartbeat" in text
    async with asyncio.timeout(5):
        while (await ask(telemetry, "/metrics"))[0] != 200:
            pass


async def test_the_heart_beats_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.telemetry.telemetry.BEAT_SECONDS", 0.02)
    monkeypatch.setattr("infra.telemetry.health.STALE_SECONDS", 0.2)
    async with Telemetry("clock", "c", port=None, stream=io.StringIO(), environ={}) as telemetry:
        await asyncio.sleep(0.4)
        assert telemetry.health.alive().holds


# ------------------------------------------------------------------------------------------- the server


async def test_other_questions_are_not_answered(telemetry: Telemetry) -> None:
    assert (await ask(telemetry, "/"))[0] == 404
    assert (await ask(telemetry, "/metricsx"))[0] == 404
    assert (await ask(telemetry, "/healthz", "POST"))[0] == 405
    assert (await ask(telemetry, "/metrics", "DELETE"))[0] == 405


async def test_by_default_only_this_machine_may_ask(telemetry: Telemetry) -> None:
    assert telemetry.url is not None
    assert telemetry.url.startswith("http://127.0.0.1:")


async def test_the_address_is_said_and_none_is_none() -> None:
    stream = io.StringIO()
    async with Telemetry("react", "r", port=None, stream=stream, log_format="json", environ={}) as silent:
        assert silent.url is None
    async with Telemetry("react", "r", stream=stream, log_format="json", environ={}) as shown:
        url = shown.url
    assert [json.loads(line)["url"] for line in stream.getvalue().splitlines()] == [None, url]
    with pytest.raises(ConnectionRefusedError):
        asked(url, "/healthz")


async def test_a_port_that_is_taken_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        telemetry = Telemetry("react", "r", port=taken.getsockname()[1], stream=io.StringIO(), environ={})
        with pytest.raises(HealthRefused, match=r"health cannot be answered at .* in use\): choose another"):
            await telemetry.start()
        await telemetry.close()


async def test_clients_that_say_nothing_keep_others_away_for_a_moment_only(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert telemetry.url is not None
    where = urlsplit(telemetry.url)
    monkeypatch.setattr("infra.telemetry.server._Handler.timeout", 0.4)

    async def answered() -> bool:
        try:
            return (await ask(telemetry, "/healthz"))[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    silent = [socket.create_connection((where.hostname, where.port)) for _ in range(MAX_REQUESTS)]
    try:
        assert not await answered(), "as many requests at once as anybody likes"
        async with asyncio.timeout(5):
            while not await answered():
                await asyncio.sleep(0.02)
    finally:
        for one in silent:
            one.close()


async def test_garbage_is_survived(telemetry: Telemetry) -> None:
    assert telemetry.url is not None
    where = urlsplit(telemetry.url)
    for garbage in (b"\x16\x03\x01\x02", b"GET\r\n\r\n", b"x" * 70_000, b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection((where.hostname, where.port)) as client:
            client.sendall(garbage)
    assert (await ask(telemetry, "/healthz"))[0] == 200


# ------------------------------------------------------------------------------------------- the log


async def test_changes_are_said_once_and_alarms_are_errors() -> None:
    stream = io.StringIO()
    async with Telemetry("decide", "d", port=None, stream=stream, log_format="json", environ={}) as telemetry:
        for _ in range(3):
            telemetry.condition("market/0", Condition.RUNNING)
        telemetry.condition("market/0", Condition.WAITING, "for Kafka")  # whoever waits says so itself
        telemetry.condition("market/0", Condition.FOLLOWING, "two behind")
        telemetry.say("set aside", alarm=True, n=100)
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"]) for line in said] == [
        ("info", "watched"), ("info", "running"), ("info", "following"), ("error", "set aside"),
    ]  # fmt: skip
    assert said[1]["part"] == "market/0"
    assert (said[2]["text"], said[3]["alarm"], said[3]["n"]) == ("two behind", True, 100)


async def test_without_its_exporter_it_only_propagates_and_says_so() -> None:
    stream = io.StringIO()
    environ = {"OTEL_TRACES_EXPORTER": "nobody"}
    asked_by = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
    async with Telemetry("d", "d", port=None, stream=stream, log_format="json", environ=environ) as telemetry:
        with telemetry.span("door", parent=asked_by) as headers:
            assert headers == asked_by
    first = json.loads(stream.getvalue().splitlines()[0])
    assert first["event"] == "no traces"
    assert "'nobody'" in first["reason"]


async def test_watching_costs_next_to_nothing(telemetry: Telemetry) -> None:
    """No measurement: that nothing on the way of a batch is made anew each time."""
    telemetry.add(DECIDE, "market", value=1)
    children = dict(telemetry.metrics._series)
    for _ in range(100):
        telemetry.add(DECIDE, "market", value=1)
    assert telemetry.metrics._series == children
    assert telemetry.span("decide", links=iter([()])) is telemetry.span("decide", links=iter([()]))
