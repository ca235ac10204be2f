"""Traces: W3C trace context in record headers, and one span for each batch where OpenTelemetry is told to export.

A door's span is the parent of nothing that works on many commands at once: a batch is a span of its own with
links to the spans that its records name. Where nobody exports, headers are passed on and nothing else is done.
"""

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from consumers.ports import Headers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

MAX_LINKS: Final = 128
MAX_STATE_BYTES: Final = 512
"""Of a `tracestate`; what is longer is left behind, as the recommendation allows."""

CLOSE_SECONDS: Final = 2.0

_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"
_FORM: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_DASH: Final = ord("-")
_OFF: Final = nullcontext[Headers](())


def extract(headers: Headers) -> SpanContext | None:
    """The span that headers name; none where they name none or not in the form of the recommendation."""
    found = dict(reversed(headers))
    named = found.get(_PARENT, b"")
    match = _FORM.match(named)
    if match is None or (len(named) > match.end() and (named[:2] == b"00" or named[match.end()] != _DASH)):
        return None  # only a version later than ours may say more
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    state = found.get(_STATE, b"")
    known = TraceState.from_header([state.decode("ascii", "ignore")]) if 0 < len(state) <= MAX_STATE_BYTES else None
    return SpanContext(trace_id, span_id, True, TraceFlags(flags), known)


def inject(span: SpanContext) -> Headers:
    """The headers that name a span."""
    if not span.is_valid:
        return ()
    parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 1:02x}".encode()
    state = span.trace_state.to_header().encode()
    return ((_PARENT, parent), (_STATE, state)) if 0 < len(state) <= MAX_STATE_BYTES else ((_PARENT, parent),)


class Propagation:
    """Nobody exports: what comes in with a wish goes on, and costs next to nothing."""

    def span(
        self, name: str, links: Iterable[Headers], parent: Headers, about: Mapping[str, str | int]
    ) -> AbstractContextManager[Headers]:
        """As `Report.span`."""
        if not parent:
            return _OFF
        asked = extract(parent)
        return _OFF if asked is None else nullcontext(inject(asked))

    def close(self) -> None:
        """There is nothing to end."""


class Spans(Propagation):
    """One span a batch, exported in the background.

    A batch is sampled when one of the spans that it is linked to was; one without links as
    `OTEL_TRACES_SAMPLER` says (always, unless told).
    """

    def __init__(self, exporters: "Iterable[SpanExporter]", role: str, process: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from infra.telemetry.sampling import LikeTheLinked

        about = {"service.namespace": "gridbook", "service.instance.id": process, "gridbook.role": role}
        if "OTEL_SERVICE_NAME" not in os.environ:
            about["service.name"] = f"gridbook.{role}"
        told = TracerProvider(shutdown_on_exit=False).sampler
        self._provider = TracerProvider(LikeTheLinked(told), Resource.create(about), shutdown_on_exit=False)
        for exporter in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("gridbook")

    def span(
        self, name: str, links: Iterable[Headers], parent: Headers, about: Mapping[str, str | int]
    ) -> AbstractContextManager[Headers]:
        """As `Report.span`."""
        return self._span(name, links, parent, about)

    @contextmanager
    def _span(
        self, name: str, links: Iterable[Headers], parent: Headers, about: Mapping[str, str | int]
    ) -> Iterator[Headers]:
        asked = extract(parent)
        linked = list(_linked(links))
        span = self._tracer.start_span(
            name,
            context=None if asked is None else trace.set_span_in_context(trace.NonRecordingSpan(asked)),
            kind=SpanKind.CONSUMER if linked else SpanKind.INTERNAL,
            attributes=dict(about),
            links=linked,
        )
        try:
            yield inject(span.get_span_context())
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))  # its text may hold what nobody may see
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Exports what still waits, for two seconds at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)


def _linked(links: Iterable[Headers]) -> Iterator[Link]:
    found = set[tuple[int, int]]()
    for headers in links:
        if len(found) == MAX_LINKS:
            return
        span = extract(headers)
        if span is not None and (which := (span.trace_id, span.span_id)) not in found:
            found.add(which)
            yield Link(span)


class NoExporter(ValueError):
    """The OTEL_* variables ask for an exporter that is not there or does not start: says which and what to do."""


def tracing(role: str, process: str, environ: Mapping[str, str] = os.environ) -> Propagation:
    """What the OTEL_* variables ask for: spans where an exporter is named or an endpoint is, else only propagation.

    Raises:
        NoExporter: see there.
    """
    names = _exporters(environ)
    if not names:
        return Propagation()
    return Spans([_exporter(name) for name in names], role, process)


def _exporters(environ: Mapping[str, str]) -> list[str]:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    asked = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    protocol = (
        environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    otlp = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    names = [name.strip() for name in asked.split(",")]
    return [otlp if name == "otlp" else name for name in names if name not in ("", "none")]


def _exporter(name: str) -> Any:
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    try:
        if not found:
            package = name.replace("otlp_proto_", "opentelemetry-exporter-otlp-proto-")
            raise ImportError(f"install {package}")
        return found[0].load()()
    except Exception as error:  # an optional package may say anything; nothing depends on it
        raise NoExporter(
            f"the exporter of traces {name!r} cannot be used ({error}): correct that, or set"
            " OTEL_TRACES_EXPORTER=none; until then trace context is only passed on"
        ) from error
