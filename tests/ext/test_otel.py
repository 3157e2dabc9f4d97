"""Traces and metrics, as an exporter in memory receives them: asyncio, trio and threads."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest

from smscode import AsyncClient, Client, ConfigurationError, RetryPolicy, SmscodeError
from smscode.events import ClientEvent, ObtainStepDone
from smscode.sandbox import Sandbox

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from smscode.ext.otel import telemetry

TOKEN = "canary-4711-0815"
HOST = {"server.address": "api.smscode.gg", "server.port": 443, "url.scheme": "https"}
QUICK = RetryPolicy(base=0.001, cap=0.001)


class Seen:
    """Spans and metrics of one test, and what makes them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._meters = MeterProvider([self._reader])
        self.hook: Callable[[ClientEvent], None] = telemetry(
            tracer_provider=self.tracers, meter_provider=self._meters
        )

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Return the spans that ended, in the order of their beginning."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data: Any = self._reader.get_metrics_data()
        found = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]
        return [point for metric in found if metric.name == name for point in metric.data.data_points]

    def everything(self) -> str:
        data: Any = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + str(data.to_json())

    def close(self) -> None:
        self.tracers.shutdown()
        self._meters.shutdown()


@pytest.fixture
def seen() -> Any:
    seen = Seen()
    yield seen
    seen.close()


class Answers(httpx.BaseTransport):
    """Answers with what it was given, and then as a sandbox does."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self._sandbox = Sandbox(token=TOKEN).transport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers.pop(0) if self._answers else self._sandbox.handle_request(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(seen: Seen, *answers: httpx.Response | Exception) -> Client:
    return Client(TOKEN, transport=Answers(*answers), on_event=seen.hook, retry=QUICK)


def test_a_call_is_a_span_with_one_of_kind_client_for_its_request(seen: Seen) -> None:
    with client(seen) as sync_client:
        sync_client.balance()
    call, request = seen.spans
    assert (call.name, call.kind, call.parent) == ("smscode balance.get", SpanKind.INTERNAL, None)
    assert dict(call.attributes or {}) == {
        "smscode.operation": "balance.get",
        "smscode.result": "done",
        "smscode.attempts": 1,
        **HOST,
    }
    assert (request.name, request.kind) == ("GET /v2/balance", SpanKind.CLIENT)
    assert request.parent == call.context
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "url.template": "/v2/balance",
        "url.full": "https://api.smscode.gg/v2/balance",
        "http.response.status_code": 200,
        "http.response.header.x-request-id": ("sandbox-000001",),
        **HOST,
    }
    assert {span.status.status_code for span in seen.spans} == {StatusCode.UNSET}


def test_repeated_attempts_are_spans_and_counted(seen: Seen) -> None:
    answers = (httpx.Response(502), httpx.ReadError("broken"))
    with client(seen, *answers) as sync_client:
        sync_client.balance()
    call, *requests = seen.spans
    attributes: list[Any] = [span.attributes for span in requests]
    assert [found.get("http.request.resend_count") for found in attributes] == [None, 1, 2]
    assert [found.get("error.type") for found in attributes] == ["502", "connection broke", None]
    assert [found.get("http.response.status_code") for found in attributes] == [502, None, 200]
    assert [span.status.status_code for span in requests] == [StatusCode.ERROR] * 2 + [StatusCode.UNSET]
    assert [event.name for event in call.events if event.name != "wait"] == ["retry", "retry"]
    assert call.status.status_code is StatusCode.UNSET
    assert {point.attributes["error.type"]: point.value for point in seen.points("smscode.retries")} == {
        "unavailable": 1,
        "connection broke": 1,
    }
    durations = seen.points("http.client.request.duration")
    assert sum(point.count for point in durations) == 3
    assert all(point.explicit_bounds[0] == 0.005 for point in durations)


def test_waits_and_pauses_are_written_on_the_call(seen: Seen) -> None:
    refused = httpx.Response(
        429,
        headers={"retry-after": "0"},
        json={"success": False, "error": {"code": "RATE_LIMIT_EXCEEDED", "message": "-"}},
    )
    unavailable = httpx.Response(503)
    answers = Answers(refused, unavailable)
    with Client(
        TOKEN, transport=answers, on_event=seen.hook, retry=RetryPolicy(base=0.01, cap=0.02)
    ) as sync_client:
        sync_client._driver.runtime.random = lambda: 1.0
        sync_client.balance()
    names = [event.name for event in seen.spans[0].events]
    assert [name for name in names if name != "wait"] == ["pause", "retry", "retry"]
    assert "wait" in names
    points = seen.points("smscode.wait.duration")
    assert {point.attributes["smscode.operation"] for point in points} == {"balance.get"}
    assert "retry" in {point.attributes["smscode.reason"] for point in points}


def test_a_failed_call_says_why(seen: Seen) -> None:
    with client(seen) as sync_client:
        with pytest.raises(SmscodeError):
            sync_client.orders.get(123)
    call, request = seen.spans
    assert call.status.status_code is StatusCode.ERROR
    assert dict(call.attributes or {})["error.type"] == "NOT_FOUND"
    assert dict(request.attributes or {})["error.type"] == "404"
    (point,) = seen.points("smscode.call.duration")
    assert point.attributes == {
        "smscode.operation": "orders.get",
        "smscode.result": "rejected",
        "error.type": "NOT_FOUND",
    }


def test_a_call_belongs_to_the_span_that_is_current(seen: Seen) -> None:
    tracer = seen.tracers.get_tracer("test")
    with client(seen) as sync_client:

        def use(number: int) -> None:
            with tracer.start_as_current_span(f"use {number}"):
                sync_client.balance()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(use, range(16)))
    uses = {span.context.span_id for span in seen.spans if span.name.startswith("use") and span.context}
    calls = [span for span in seen.spans if span.name == "smscode balance.get"]
    assert {span.parent.span_id for span in calls if span.parent} == uses
    assert len(uses) == 16


@pytest.mark.anyio
async def test_tasks_do_not_mix_up_their_spans(seen: Seen) -> None:
    tracer = seen.tracers.get_tracer("test")
    sandbox = Sandbox(token=TOKEN)
    async with AsyncClient(TOKEN, transport=sandbox.transport(), on_event=seen.hook) as async_client:

        async def use(number: int) -> None:
            with tracer.start_as_current_span(f"use {number}"):
                await async_client.balance()

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(use, number)
    uses = {span.context.span_id for span in seen.spans if span.name.startswith("use") and span.context}
    calls = [span for span in seen.spans if span.name == "smscode balance.get"]
    assert {span.parent.span_id for span in calls if span.parent} == uses
    assert len(seen.spans) == 30


class Stuck(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError


@pytest.mark.anyio
async def test_a_cancelled_call_ends_its_spans(seen: Seen) -> None:
    async with AsyncClient(TOKEN, transport=Stuck(), on_event=seen.hook) as async_client:
        with anyio.move_on_after(0.01):
            await async_client.balance()
    assert [span.name for span in seen.spans] == ["smscode balance.get", "GET /v2/balance"]
    assert [dict(span.attributes or {})["error.type"] for span in seen.spans] == ["cancelled"] * 2


def test_an_address_may_have_a_port_of_its_own(seen: Seen) -> None:
    for url, port in (("http://127.0.0.1", 80), ("http://127.0.0.1:8080", 8080)):
        sandbox = Sandbox(token=TOKEN)
        with Client(TOKEN, base_url=url, transport=sandbox.transport(), on_event=seen.hook) as sync_client:
            sync_client.balance()
        attributes = dict(seen.spans[-1].attributes or {})
        assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", port)


def test_nothing_is_exported_that_is_a_secret(seen: Seen) -> None:
    sandbox = Sandbox(token=TOKEN, otp_after=0)
    with Client(TOKEN, transport=sandbox.transport(), on_event=seen.hook) as sync_client:
        order = sync_client.orders.create(catalog_product_id=87, idempotency_key="canary-key").orders[0]
        code = sync_client.orders.wait_for_otp(order.id).code
        sync_client.orders.list(status="ACTIVE", limit=17)
        sync_client.webhook.update(url="https://example.com/canary", secret="canary-secret")
        sync_client.orders.finish(order.id)
    exported = seen.everything()
    assert "orders.finish" in exported
    for secret in ("canary", order.phone_number, code, f"/{order.id}", "ACTIVE"):
        assert secret is not None
        assert secret not in exported


def test_without_an_sdk_nothing_is_exported_and_nothing_fails() -> None:
    """The extra has only OpenTelemetry's API; a program that sets up no SDK is served all the same."""
    program = """
import sys
sys.modules["opentelemetry.sdk"] = None
from smscode import Client
from smscode.ext.otel import telemetry
from smscode.sandbox import Sandbox
sandbox = Sandbox(otp_after=0)
with Client(sandbox.token, transport=sandbox.transport(), on_event=telemetry()) as client:
    order = client.orders.create(catalog_product_id=87).orders[0]
    print(client.orders.wait_for_otp(order.id).code is not None)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_it_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "smscode.ext.otel")
    with pytest.raises(ConfigurationError, match=r"smscode-async\[otel\]"):
        importlib.import_module("smscode.ext.otel")


def test_the_steps_of_obtaining_are_no_spans(seen: Seen) -> None:
    seen.hook(
        ObtainStepDone(
            call_id=1,
            operation="orders.obtain",
            method="",
            path="",
            attempt=0,
            step="find",
            result="done",
            seconds=0.0,
        )
    )
    assert seen.spans == []
