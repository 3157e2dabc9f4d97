"""Webhook endpoints for four kinds of server: all believe, refuse and pass on the same."""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("aiohttp")

from smscode import AsyncClient, Client, ConfigurationError, InvalidArgumentError
from smscode.ext.aiohttp import add_webhook
from smscode.ext.asgi import webhook_app as asgi_webhook_app
from smscode.ext.wsgi import webhook_app as wsgi_webhook_app
from smscode.sandbox import Sandbox
from smscode.webhooks import LARGEST_BODY, SIGNATURE_HEADER, Event, OtpReceived, UnknownEvent, sign

from ..core.test_webhooks import event
from .endpoints import KINDS, SECRET, AsgiEndpoint, endpoint, post

pytestmark = pytest.mark.anyio

CODE = "canary-code-4711"
DELIVERY = event(otp_code=CODE)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Heard:
    """A function that is told of events; it can be waited for from anywhere."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.events: list[Event] = []
        self._before = before
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        self._before()
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    async def until(self, count: int) -> list[Event]:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: len(self.events) >= count, 10)

        assert await anyio.to_thread.run_sync(wait)
        return self.events


async def test_what_is_signed_is_believed_and_passed_on(kind: str) -> None:
    heard = Heard()
    async with endpoint(kind, heard) as it:
        reply = await post(it, DELIVERY)
        (event,) = await heard.until(1)
    assert (reply.status, reply.text) == (204, "")
    assert isinstance(event, OtpReceived)
    assert event.otp_code == CODE


async def test_the_name_of_the_header_may_be_in_any_case(kind: str) -> None:
    async with endpoint(kind, Heard()) as it:
        for number, name in enumerate((SIGNATURE_HEADER.lower(), SIGNATURE_HEADER.upper())):
            body = event(order_id=number)
            reply = await it.request(
                "POST", [(name, sign(body, SECRET)), ("content-length", str(len(body)))], [body]
            )
            assert reply.status == 204


async def test_what_is_not_signed_rightly_and_once_is_refused(kind: str) -> None:
    heard = Heard()
    right = sign(DELIVERY, SECRET)
    async with endpoint(kind, heard) as it:
        replies = [
            await post(it, DELIVERY, sign(DELIVERY, "another")),
            await post(it, DELIVERY + b" ", right),
            await post(it, DELIVERY, right, right),
            await post(it, DELIVERY, "sha256=\u00e9"),
            await it.request("POST", [("Content-Length", str(len(DELIVERY)))], [DELIVERY]),
        ]
    assert [reply.status for reply in replies] == [401] * 5
    assert all(reply.text.startswith("The webhook") and right not in reply.text for reply in replies)
    assert heard.events == []


async def test_while_one_secret_replaces_another_both_count(kind: str) -> None:
    heard = Heard()
    async with endpoint(kind, heard, secret=["new", "old"]) as it:
        replies = [await post(it, event(order_id=n), secret=s) for n, s in enumerate(["new", "old", "older"])]
        await heard.until(2)
    assert [reply.status for reply in replies] == [204, 204, 401]


@pytest.mark.parametrize("secret", ["", [], ["right", ""], None])
async def test_without_a_secret_there_is_no_endpoint(kind: str, secret: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="secret: expected the webhook secret"):
        async with endpoint(kind, Heard(), secret=secret):
            pass


@pytest.mark.parametrize("to", [(), (None,), ("client",), (Heard(), 5)])
async def test_without_anybody_to_tell_there_is_no_endpoint(kind: str, to: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match="to: expected a client or a function"):
        async with endpoint(kind, *to):
            pass


async def test_other_methods_are_refused(kind: str) -> None:
    async with endpoint(kind, Heard()) as it:
        reply = await it.request("GET", [(SIGNATURE_HEADER, sign(b"", SECRET))], [b""])
    allowed = {name.lower(): value for name, value in reply.headers.items()}["allow"]
    assert (reply.status, allowed) == (405, "POST")


async def test_a_huge_body_is_refused_whether_its_length_is_stated_or_not(kind: str) -> None:
    body = b" " * (LARGEST_BODY + 1)
    signature = (SIGNATURE_HEADER, sign(body, SECRET))
    async with endpoint(kind, Heard()) as it:
        stated = await post(it, body)
        asked = it.asked if isinstance(it, AsgiEndpoint) else 0
        in_pieces = await it.request("POST", [signature], [body[:-1], b"  ", b"never read"])
        fits = await it.request("POST", [signature], [body[:1000], body[1001:]])
    assert (stated.status, in_pieces.status, fits.status) == (413, 413, 401)
    assert asked == 0, "a stated length is enough"


async def test_a_signed_body_that_is_no_event_is_refused(kind: str) -> None:
    heard = Heard()
    async with endpoint(kind, heard) as it:
        for body in (b"{}", b"[", json.dumps({"event": "order.expired", "timestamp": "x"}).encode()):
            assert (await post(it, body)).status == 400
    assert heard.events == []


async def test_a_delivery_is_passed_on_once_and_acknowledged_each_time(kind: str) -> None:
    heard = Heard()
    async with endpoint(kind, heard) as it:
        assert [(await post(it, DELIVERY)).status for _ in range(3)] == [204] * 3
        assert (await post(it, event(otp_code="another"))).status == 204
        await heard.until(2)
    assert len(heard.events) == 2


async def test_an_event_of_an_unknown_kind_is_passed_on(kind: str) -> None:
    heard = Heard()
    async with endpoint(kind, heard) as it:
        assert (await post(it, event(event="order.replaced"))).status == 204
        (came,) = await heard.until(1)
    assert isinstance(came, UnknownEvent)
    assert came.event == "order.replaced"


async def test_a_function_that_blocks_delays_neither_the_answer_nor_the_next_delivery(kind: str) -> None:
    gate = threading.Event()
    heard = Heard(gate.wait)
    async with endpoint(kind, heard) as it:
        for number in range(3):
            assert (await post(it, event(order_id=number))).status == 204
        assert heard.events == []
        gate.set()
        await heard.until(3)


@pytest.mark.parametrize("kind", KINDS[:3])
async def test_an_async_function_that_waits_delays_nothing_either(kind: str) -> None:
    gate = anyio.Event()
    heard = Heard()

    class Waits:
        async def __call__(self, event: Event) -> None:
            await gate.wait()
            heard(event)

    async def waits(event: Event) -> None:
        await Waits()(event)

    def gives_what_to_wait_for(event: Event) -> object:
        return waits(event)

    async with endpoint(kind, Waits(), waits, gives_what_to_wait_for) as it:
        assert (await post(it, DELIVERY)).status == 204
        assert heard.events == []
        gate.set()
        await heard.until(3)


async def test_what_a_function_raises_is_logged_without_its_values_and_changes_nothing(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        assert isinstance(event, OtpReceived)
        raise KeyError(event.otp_code)

    class Fails:
        def __call__(self, event: Event) -> None:
            fail(event)

    heard = Heard()
    async with endpoint(kind, fail, Fails(), heard) as it:
        assert (await post(it, DELIVERY)).status == 204
        await heard.until(1)
        assert (await post(it, event(otp_code=CODE + "-2"))).status == 204
        await heard.until(2)
    records = [record for record in caplog.records if record.name == "smscode.webhooks"]
    assert len(records) == 4
    assert all(record.levelno == logging.ERROR for record in records)
    assert "fail raised KeyError in" in caplog.text
    assert "Fails raised KeyError in" in caplog.text
    assert "raise KeyError(event.otp_code)" in caplog.text, "it can be found"
    assert CODE not in caplog.text
    assert SECRET not in caplog.text


async def test_an_order_that_the_event_does_not_have_is_explained_in_the_log(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def reads_the_order(event: Any) -> None:
        assert event.order_id

    def reads_what_no_event_has(event: Any) -> None:
        getattr(event, CODE)

    heard = Heard()
    ping = b'{"event":"webhook.test","timestamp":"2026-06-14T04:15:00+00:00","data":{"message":"ping"}}'
    async with endpoint(kind, reads_the_order, reads_what_no_event_has, heard) as it:
        assert (await post(it, ping)).status == 204
        await heard.until(1)
    explained = "(a WebhookTest has no order_id: check isinstance(event, OrderEvent) first)"
    assert f"reads_the_order raised AttributeError {explained} in\n" in caplog.text
    assert "reads_what_no_event_has raised AttributeError in\n" in caplog.text
    assert CODE not in caplog.text


async def test_a_refusal_is_logged_with_its_reason(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with endpoint(kind, Heard()) as it:
        await post(it, DELIVERY, sign(DELIVERY, "another"))
    assert "A webhook was refused with 401: The webhook's signature does not match." in caplog.messages


@pytest.mark.parametrize("through_a_function", [False, True])
async def test_a_webhook_ends_a_wait_in_an_event_loop(kind: str, through_a_function: bool) -> None:
    sandbox = Sandbox(otp_after=None)
    async with AsyncClient(sandbox.token, transport=sandbox.transport(), poll_interval=600) as client:
        (order,) = await client.orders.create(catalog_product_id=87)
        codes: list[str | None] = []

        async def wait() -> None:
            codes.append((await client.orders.wait_for_otp(order.id, timeout=60)).code)

        with anyio.fail_after(10):
            async with (
                endpoint(kind, client.notify if through_a_function else client) as it,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(wait)
                while not sandbox.requests["GET /orders/active"]:
                    await anyio.sleep(0.001)
                assert (await post(it, event(order_id=order.id, otp_code="12345"))).status == 204
    assert codes == ["12345"]


async def test_a_webhook_ends_a_wait_in_another_thread() -> None:
    sandbox = Sandbox(otp_after=None)
    with Client(sandbox.token, transport=sandbox.transport(), poll_interval=600) as client:
        order = client.orders.create(catalog_product_id=87).orders[0]
        codes: list[str | None] = []

        def wait() -> None:
            codes.append(client.orders.wait_for_otp(order.id, timeout=60).code)

        thread = threading.Thread(target=wait)
        thread.start()
        async with endpoint("wsgi", client) as it:
            while not sandbox.requests["GET /orders/active"]:
                await anyio.sleep(0.001)
            assert (await post(it, event(order_id=order.id, otp_code="12345"))).status == 204
        await anyio.to_thread.run_sync(thread.join, 10)
    assert codes == ["12345"]


async def test_an_async_function_is_refused_where_there_is_no_event_loop() -> None:
    async def tell(event: Event) -> None: ...

    with pytest.raises(InvalidArgumentError, match=r"there is smscode\.ext\.asgi"):
        wsgi_webhook_app(tell, secret=SECRET)


async def test_a_closed_wsgi_application_still_answers(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()
    async with endpoint("wsgi", heard) as it:
        pass
    assert (await post(it, DELIVERY)).status == 204
    assert "Heard raised RuntimeError" in caplog.text


@pytest.mark.parametrize(("length", "terminated", "status"), [("x", False, 401), ("9" * 5000, True, 413)])
async def test_a_wsgi_body_is_read_as_far_as_its_length_is_known(
    length: str, terminated: bool, status: int
) -> None:
    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append(status)

    wsgi_webhook_app(Heard(), secret=SECRET)(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": length,
            "wsgi.input": io.BytesIO(DELIVERY),
            "wsgi.input_terminated": terminated,
            "HTTP_X_WEBHOOK_SIGNATURE": sign(DELIVERY, SECRET),
        },
        start_response,
    )
    assert started[0].startswith(str(status))


class Socket:
    """A request's input that never ends, as that of a connection which is kept open."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        found = self._content.read(size)
        assert found, "read beyond the end: a server would wait here for ever"
        return found


def deliver_chunked(content: Any, **environ: Any) -> tuple[str, bytes]:
    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append(status)

    request = {
        "REQUEST_METHOD": "POST",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "HTTP_X_WEBHOOK_SIGNATURE": sign(DELIVERY, SECRET),
        "wsgi.input": content,
    }
    text = b"".join(wsgi_webhook_app(Heard(), secret=SECRET)({**request, **environ}, start_response))
    return started[0], text


@pytest.mark.parametrize(
    "environ", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "5"}, {"CONTENT_LENGTH": "-1"}]
)
async def test_a_chunked_body_is_read_whole_where_the_server_ends_its_input(environ: dict[str, str]) -> None:
    terminated = {**environ, "wsgi.input_terminated": True}
    assert deliver_chunked(io.BufferedReader(io.BytesIO(DELIVERY)), **terminated)[0].startswith("204")
    assert deliver_chunked(io.BytesIO(DELIVERY), **environ)[0].startswith("204")
    large = io.BytesIO(bytes(2**20 + 1))
    assert deliver_chunked(large, **terminated)[0].startswith("413")


async def test_a_chunked_body_whose_end_no_server_shows_is_answered_with_what_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status, text = deliver_chunked(Socket(b"5\r\nhello\r\n0\r\n\r\n"))
    assert status.startswith("411")
    assert b"sent in chunks, which this WSGI server does not pass on" in text
    assert "A webhook was refused with 411" in caplog.text
    # A length that is there can be trusted: not a byte more is read.
    assert deliver_chunked(Socket(DELIVERY), CONTENT_LENGTH=str(len(DELIVERY)))[0].startswith("204")


async def test_an_aiohttp_application_that_ends_gives_functions_their_time_then_cancels_them() -> None:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    ended: list[str] = []
    slow = anyio.Event()

    async def hangs(event: Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async def takes_its_time(event: Event) -> None:
        await slow.wait()
        ended.append("done")

    app = web.Application()
    add_webhook(app, hangs, takes_its_time, secret=SECRET, shutdown_timeout=0.05)
    async with TestClient(TestServer(app)) as http:
        headers = {SIGNATURE_HEADER: sign(DELIVERY, SECRET)}
        assert (await http.post("/smscode-webhook", data=DELIVERY, headers=headers)).status == 204
        slow.set()
    assert ended == ["done", "cancelled"]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_asgi_endpoint_runs_in_both_event_loops(anyio_backend: str) -> None:
    sandbox = Sandbox(otp_after=None)
    heard = Heard()
    async with AsyncClient(sandbox.token, transport=sandbox.transport()) as client:
        async with endpoint("asgi", client, heard) as it:
            assert (await post(it, DELIVERY)).status == 204
            await heard.until(1)
        assert (await client.orders.wait_for_otp(1001, timeout=0)).code == CODE


async def test_an_asgi_endpoint_starts_and_ends_with_its_server_and_refuses_websockets() -> None:
    app = asgi_webhook_app(Heard(), secret=SECRET)
    came: list[Any] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[object] = []

    async def receive() -> Any:
        return came.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_a_sender_that_leaves_early_says_nothing_and_one_that_leaves_late_was_heard() -> None:
    heard = Heard()
    app = asgi_webhook_app(heard, secret=SECRET)
    headers = [(SIGNATURE_HEADER.lower().encode(), sign(DELIVERY, SECRET).encode())]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": headers}
    came: list[Any] = [
        {"type": "http.request", "body": DELIVERY[:10], "more_body": True},
        {"type": "http.disconnect"},
        {"type": "http.request", "body": DELIVERY},
    ]

    async def receive() -> Any:
        return came.pop(0)

    async def send(message: Any) -> None:
        raise OSError("gone")

    await app(scope, receive, send)
    assert heard.events == []
    await app(scope, receive, send)
    assert len(heard.events) == 1


@pytest.fixture
def _without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fastapi", "aiohttp"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "smscode.ext.fastapi")


@pytest.mark.usefixtures("_without_extras")
@pytest.mark.parametrize(
    ("make", "extra"),
    [
        (lambda: importlib.import_module("smscode.ext.fastapi"), "fastapi"),
        (lambda: add_webhook(None, Heard(), secret=SECRET), "aiohttp"),  # type: ignore[arg-type]  # unused
    ],
)
async def test_a_missing_extra_is_named(make: Callable[[], object], extra: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"smscode-async\[{extra}\]"):
        make()
