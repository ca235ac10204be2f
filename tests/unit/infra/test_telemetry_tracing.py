"""Trace context in headers, and one span for each batch."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumers.ports import Headers
from infra.telemetry.tracing import (
    MAX_LINKS,
    MAX_STATE_BYTES,
    NoExporter,
    Propagation,
    Spans,
    extract,
    inject,
    tracing,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED: Headers = (("traceparent", f"00-{TRACE}-{SPAN}-01".encode()),)
UNSAMPLED: Headers = (("traceparent", f"00-{TRACE}-{SPAN}-00".encode()),)


def numbered(n: int, flags: int = 1) -> Headers:
    return (("command_id", b"x"), ("traceparent", f"00-{n:032x}-{n:016x}-{flags:02x}".encode()))


# ------------------------------------------------------------------------------------------- headers


def test_what_was_injected_is_extracted() -> None:
    headers: Headers = (("x", b"1"), *ASKED, ("tracestate", b"a=1,b=2"))
    span = extract(headers)
    assert span is not None
    assert (f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags) == (TRACE, SPAN, 1)
    assert span.is_remote
    assert dict(inject(span)) == {"traceparent": ASKED[0][1], "tracestate": b"a=1,b=2"}


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"00",
        f"00-{TRACE}-{SPAN}".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"cc-{TRACE}-{SPAN}-01more".encode(),
        b"\xff" * 55,
    ],
)
def test_what_is_not_in_the_form_is_no_trace(wrong: bytes) -> None:
    assert extract((("traceparent", wrong),)) is None
    with Propagation().span("door", (), (("traceparent", wrong),), {}) as headers:
        assert headers == ()


@pytest.mark.parametrize("later", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes"])
def test_a_later_version_is_understood_as_far_as_it_is_ours(later: str) -> None:
    assert extract((("traceparent", later.encode()),)) is not None


def test_without_headers_there_is_no_trace_and_the_first_of_several_counts() -> None:
    assert extract(()) is None
    assert extract((("tracestate", b"a=1"),)) is None
    span = extract((*ASKED, *numbered(7)))
    assert span is not None
    assert span.span_id == int(SPAN, 16)


def test_a_state_that_is_too_long_is_left_behind() -> None:
    span = extract((*ASKED, ("tracestate", b"a=" + b"x" * MAX_STATE_BYTES)))
    assert span is not None
    assert inject(span) == ASKED


@pytest.mark.parametrize("header", [ASKED[0][1], UNSAMPLED[0][1], b"00-x", b"", f"ff-{TRACE}-{SPAN}-01".encode()])
def test_we_read_headers_as_the_reference_does(header: bytes) -> None:
    from opentelemetry import trace

    context = TraceContextTextMapPropagator().extract({"traceparent": header.decode()})
    theirs, ours = trace.get_current_span(context).get_span_context(), extract((("traceparent", header),))
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, context)
        assert dict(inject(ours)) == {name: value.encode() for name, value in carrier.items()}


# ---------------------------------------------------------------------------------------- off


def test_off_it_only_passes_on_and_looks_at_nothing() -> None:
    def never() -> Iterator[Headers]:
        raise AssertionError("looked at")
        yield ()

    off = tracing("decide", "p", {})
    assert type(off) is Propagation
    first = off.span("decide", never(), (), {})
    assert first is off.span("react", never(), (), {}), "a new object for each batch"
    assert isinstance(first, nullcontext)
    with first as headers, first as again:
        assert headers == again == ()
    with off.span("door", (), (("x", b"1"), *ASKED), {}) as headers:
        assert headers == ASKED


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_the_usual_variables_turn_it_off(environ: dict[str, str]) -> None:
    assert type(tracing("decide", "p", environ)) is Propagation


@pytest.mark.parametrize(
    ("environ", "package"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "opentelemetry-exporter-otlp-proto-http"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "opentelemetry-exporter-otlp-proto-grpc",
        ),
        ({"OTEL_TRACES_EXPORTER": "nobody"}, "'nobody'"),
    ],
)
def test_an_exporter_that_is_not_installed_is_named(
    environ: dict[str, str], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.telemetry.tracing.entry_points", lambda **_: ())
    with pytest.raises(NoExporter, match=package):
        tracing("decide", "p", environ)


def test_an_exporter_that_is_installed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    on = tracing("decide", "p")
    assert isinstance(on, Spans)
    with on.span("decide", (), (), {}) as headers:
        assert extract(headers) is not None
    monkeypatch.setattr(sys, "stdout", open("/dev/null", "w"))  # noqa: SIM115
    on.close()


# ---------------------------------------------------------------------------------------- on


class Traced:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.spans = Spans([], "decide", "decide@here:1")
        self.spans._provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def found(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    for name in ("OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    made = Traced()
    yield made
    made.spans.close()


def test_a_door_goes_on_with_the_trace_of_who_asked(traced: Traced) -> None:
    with traced.spans.span("door", (), ASKED, {"family": "market"}) as headers:
        inside = extract(headers)
    [span] = traced.found()
    assert inside is not None
    assert span.context is not None
    assert (inside.trace_id, inside.span_id) == (span.context.trace_id, span.context.span_id)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SPAN
    assert dict(span.attributes or {}) == {"family": "market"}
    assert span.resource.attributes["service.name"] == "gridbook.decide"
    assert span.resource.attributes["service.instance.id"] == "decide@here:1"


def test_a_batch_is_one_span_linked_to_its_records(traced: Traced) -> None:
    records = [numbered(n) for n in (1, 2, 2, 1, 3)] + [(), (("command_id", b"x"),)]
    with traced.spans.span("decide", iter(records), (), {"records": 7}):
        pass
    [span] = traced.found()
    assert [link.context.span_id for link in span.links] == [1, 2, 3]
    assert span.parent is None


def test_links_are_bounded_and_the_rest_is_not_looked_at(traced: Traced) -> None:
    looked = 0

    def records() -> Iterator[Headers]:
        nonlocal looked
        for n in range(1, 10_000):
            looked += 1
            yield numbered(n)

    with traced.spans.span("decide", records(), (), {}):
        pass
    assert len(traced.found()[0].links) == MAX_LINKS
    assert looked <= MAX_LINKS + 1


def test_a_batch_is_sampled_when_one_of_its_links_is(traced: Traced) -> None:
    with traced.spans.span("none", [numbered(1, 0), numbered(2, 0)], (), {}) as unsampled:
        pass
    with traced.spans.span("one", [numbered(1, 0), numbered(2, 1)], (), {}):
        pass
    with traced.spans.span("alone", (), (), {}):
        pass
    with traced.spans.span("asked not to", (), UNSAMPLED, {}):
        pass
    assert [span.name for span in traced.found()] == ["one", "alone"]
    assert unsampled[0][1].endswith(b"-00")


def test_the_usual_variable_says_what_is_sampled_without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    made = Traced()
    with made.spans.span("alone", (), (), {}), made.spans.span("linked", [numbered(1)], (), {}):
        pass
    [span] = made.found()
    assert (span.name, span.resource.attributes["service.name"]) == ("linked", "mine")
    made.spans.close()


def test_a_failure_is_named_without_its_text(traced: Traced) -> None:
    with pytest.raises(ValueError, match="s3cret"), traced.spans.span("decide", (), (), {}):
        raise ValueError("s3cret")
    [span] = traced.found()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "s3cret" not in span.to_json()


def test_an_exporter_that_hangs_keeps_nobody_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    import time

    monkeypatch.setattr("infra.telemetry.tracing.CLOSE_SECONDS", 0.2)
    release = threading.Event()

    class Hanging(InMemorySpanExporter):
        def export(self, spans: Any) -> Any:
            release.wait(20)
            return super().export(spans)

    spans = Spans([Hanging()], "decide", "p")
    with spans.span("decide", (), (), {}):
        pass
    began = time.monotonic()
    spans.close()
    assert time.monotonic() - began < 2
    release.set()
