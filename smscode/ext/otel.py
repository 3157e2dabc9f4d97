"""Traces and metrics by OpenTelemetry. Needs the ``otel`` extra, and an SDK set up by the program.

``AsyncClient(on_event=telemetry())``: every call is a span, and every request in it a span of kind CLIENT by
the semantic conventions for HTTP. The metrics are ``http.client.request.duration`` of the conventions,
``smscode.call.duration``, ``smscode.wait.duration`` and ``smscode.retries``. Spans and metrics contain no
token, query, id of an order, body, phone number or code: ``url.full`` has placeholders like ``url.template``,
and no query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from attrs import define

from .._version import DISTRIBUTION, VERSION
from ..errors import ConfigurationError
from ..events import (
    CallEnded,
    CallEvent,
    CallStarted,
    ClientEvent,
    ObtainStepDone,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    Retrying,
    Waited,
)

try:
    from opentelemetry import metrics, trace
except ImportError as _missing:
    raise ConfigurationError('OpenTelemetry is missing: pip install "smscode-async[otel]"') from _missing

_Attributes: TypeAlias = "dict[str, str | int]"

# The buckets that the conventions advise for durations of HTTP requests.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def telemetry(
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Callable[[ClientEvent], None]:
    """Return a function for ``on_event=`` that turns the events of a client into spans and metrics.

    ``tracer_provider`` and ``meter_provider`` are those set globally if None. The spans are children of the
    span that is current where a call is made. One function may serve several clients, in several threads.
    Importing this without the ``otel`` extra raises `ConfigurationError`. Example::

        client = AsyncClient(on_event=telemetry())
    """
    return _Telemetry(
        trace.get_tracer(DISTRIBUTION, VERSION, tracer_provider),
        metrics.get_meter(DISTRIBUTION, VERSION, meter_provider),
    )


@define
class _Spans:
    """The span of a call, and the span of its request under way."""

    call: trace.Span
    base_url: str
    address: _Attributes
    request: trace.Span | None = None


class _Telemetry:
    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        def durations(name: str, what: str) -> metrics.Histogram:
            return meter.create_histogram(name, "s", what, explicit_bucket_boundaries_advisory=_BUCKETS)

        self._tracer = tracer
        self._requests = durations("http.client.request.duration", "Duration of HTTP client requests.")
        self._calls = durations(
            "smscode.call.duration", "Duration of calls, all attempts and waits included."
        )
        self._waits = durations("smscode.wait.duration", "Time that calls were held up before an attempt.")
        self._retries = meter.create_counter("smscode.retries", "{attempt}", "Attempts that were repeated.")
        self._lock = threading.Lock()  # guards the dict; no other lock is taken under it
        self._open: dict[int, _Spans] = {}

    def __call__(self, event: ClientEvent) -> None:
        if isinstance(event, ObtainStepDone):
            return  # it consists of calls, which have spans of their own
        if isinstance(event, CallStarted):
            self._start(event)
            return
        with self._lock:
            spans = (
                self._open.pop(event.call_id) if isinstance(event, CallEnded) else self._open[event.call_id]
            )
        if isinstance(event, RequestSent):
            self._send(event, spans)
        elif isinstance(event, ResponseReceived | RequestFailed):
            self._receive(event, spans)
        elif isinstance(event, CallEnded):
            self._end(event, spans)
        else:
            self._note(event, spans)

    def _start(self, event: CallStarted) -> None:
        parts = urlsplit(event.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address: _Attributes = {
            "server.address": parts.hostname or "",
            "server.port": port,
            "url.scheme": parts.scheme,
        }
        span = self._tracer.start_span(
            f"smscode {event.operation}", attributes={"smscode.operation": event.operation, **address}
        )
        with self._lock:
            self._open[event.call_id] = _Spans(span, event.base_url, address)

    def _send(self, event: RequestSent, spans: _Spans) -> None:
        attributes = {**_request(event), **spans.address, "url.full": spans.base_url + event.path}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        spans.request = self._tracer.start_span(
            f"{event.method} {event.path}",
            trace.set_span_in_context(spans.call),
            trace.SpanKind.CLIENT,
            attributes,
        )

    def _receive(self, event: ResponseReceived | RequestFailed, spans: _Spans) -> None:
        measured = {**_request(event), **spans.address}
        span, spans.request = spans.request, None
        assert span is not None, "an answer to a request that was not sent"
        failed = None
        if isinstance(event, RequestFailed):
            failed = event.trouble
        else:
            measured["http.response.status_code"] = event.status_code
            if event.request_id is not None:
                span.set_attribute("http.response.header.x-request-id", (event.request_id,))
            if event.status_code >= 400:
                failed = str(event.status_code)
        if failed is not None:
            measured["error.type"] = failed
            span.set_status(trace.StatusCode.ERROR)
        span.set_attributes(measured)
        span.end()
        self._requests.record(event.seconds, measured)

    def _end(self, event: CallEnded, spans: _Spans) -> None:
        measured: _Attributes = {"smscode.operation": event.operation, "smscode.result": event.result}
        spans.call.set_attribute("smscode.attempts", event.attempt)
        if event.result != "done":
            measured["error.type"] = event.trouble or event.code or event.result
            spans.call.set_status(trace.StatusCode.ERROR)
        spans.call.set_attributes(measured)
        if spans.request is not None:  # the call was cancelled during its request
            spans.request.set_attribute("error.type", event.result)
            spans.request.set_status(trace.StatusCode.ERROR)
            spans.request.end()
        spans.call.end()
        self._calls.record(event.seconds, measured)

    def _note(self, event: CallEvent, spans: _Spans) -> None:
        """Add a retry, a wait or a pause to the span of a call, and to the metrics."""
        operation: _Attributes = {"smscode.operation": event.operation}
        if isinstance(event, Retrying):
            self._retries.add(1, {**operation, "error.type": event.trouble})
            spans.call.add_event("retry", {"error.type": event.trouble, "smscode.seconds": event.seconds})
        elif isinstance(event, Waited):
            self._waits.record(event.seconds, {**operation, "smscode.reason": event.reason})
            spans.call.add_event("wait", {"smscode.reason": event.reason, "smscode.seconds": event.seconds})
        else:
            spans.call.add_event("pause")


def _request(event: CallEvent) -> _Attributes:
    return {"http.request.method": event.method, "url.template": event.path}
