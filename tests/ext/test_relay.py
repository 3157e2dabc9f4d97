"""A webhook that one process receives ends the wait of another; without Redis the poll does."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import attrs
import pytest

pytest.importorskip("redis")

from smscode import AsyncClient, Client, ClientStateError, ConfigurationError, InvalidArgumentError
from smscode.ext import relay as relay_module
from smscode.ext.relay import AsyncEventRelay, EventRelay, pack, unpack
from smscode.sandbox import Sandbox
from smscode.webhooks import OrderEvent, OtpReceived, WebhookTest, parse, sign

from ..core.support import samples
from ..core.test_webhooks import event
from .redis_server import RedisServer

pytestmark = pytest.mark.anyio

SECRET = "the account's secret"
CODE = "canary-code-4711"
PHONE = "+628123456789"
NOWHERE = "redis://user:canary-password@127.0.0.1:1/0"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(relay_module, "_LONGEST_PAUSE", 0.05)


def otp(order_id: int, code: str = CODE) -> OtpReceived:
    parsed = parse(event(order_id=order_id, otp_code=code, otp_message=f"Your code is {code}"))
    assert isinstance(parsed, OtpReceived)
    return parsed


class Waiter:
    """A client of some process, and the events that the relay passes to it."""

    def __init__(self) -> None:
        self.client = AsyncClient("token")
        self.events: list[object] = []
        self.client.notify = self.events.append  # type: ignore[method-assign,assignment]  # listens in

    async def until(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.events) < count:
                await anyio.sleep(0.001)


@asynccontextmanager
async def two(
    url: str, **other: Any
) -> AsyncGenerator[tuple[AsyncEventRelay, Waiter, AsyncEventRelay, Waiter]]:
    here, there = Waiter(), Waiter()
    options: dict[str, Any] = {"secret": SECRET, **other}
    async with (
        AsyncEventRelay(url, here.client, secret=SECRET) as first,
        AsyncEventRelay(url, there.client, **options) as second,
    ):
        yield first, here, second, there
    for waiter in (here, there):
        await waiter.client.aclose()


async def test_a_webhook_received_here_ends_a_wait_there(redis: RedisServer) -> None:
    sandbox = Sandbox(otp_after=None)
    transport = sandbox.transport()
    codes: list[str | None] = []
    async with (
        AsyncClient(sandbox.token, transport=transport, poll_interval=600) as client,
        AsyncEventRelay(redis.url, client, secret=SECRET),
        AsyncEventRelay(redis.url, secret=SECRET) as receiver,
    ):
        (order,) = await client.orders.create(catalog_product_id=87)

        async def wait() -> None:
            codes.append((await client.orders.wait_for_otp(order.id, timeout=60)).code)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                while not sandbox.requests["GET /orders/active"]:
                    await anyio.sleep(0.001)
                await receiver.notify(otp(order.id))
    assert codes == [CODE]


async def test_threads_are_told_as_well(redis: RedisServer) -> None:
    sandbox = Sandbox(otp_after=None)
    codes: list[str | None] = []

    def run() -> None:
        with (
            Client(sandbox.token, transport=sandbox.transport(), poll_interval=600) as client,
            EventRelay(redis.url, client, secret=SECRET) as relay,
            EventRelay(redis.url, secret=SECRET) as receiver,
        ):
            orders = client.orders.create(catalog_product_id=87, quantity=2).orders

            def wait(order_id: int) -> None:
                codes.append(client.orders.wait_for_otp(order_id, timeout=60).code)

            threads = [threading.Thread(target=wait, args=[order.id]) for order in orders]
            for thread in threads:
                thread.start()
            receiver.notify(otp(orders[0].id, "1"))
            relay.notify(otp(orders[1].id, "2"))
            for thread in threads:
                thread.join(10)
        with pytest.raises(ClientStateError, match="not open"):
            relay.notify(otp(1))

    before = threading.active_count()
    await anyio.to_thread.run_sync(run)
    assert sorted(codes, key=str) == ["1", "2"]
    names = {thread.name for thread in threading.enumerate()}
    assert threading.active_count() <= before + 1, names  # the one that ran this test


async def test_what_is_not_about_an_order_stays_here(redis: RedisServer) -> None:
    test = parse(
        b'{"event":"webhook.test","timestamp":"2026-06-14T04:15:00+00:00","data":{"message":"ping"}}'
    )
    assert isinstance(test, WebhookTest)
    async with two(redis.url) as (relay, here, _, there):
        await relay.notify(test)
        await relay.notify(otp(1))
        await there.until(1)
        await here.until(3)
    assert here.events[0] == test
    assert here.events[1] == otp(1)
    assert [getattr(event, "order_id", None) for event in there.events] == [1]


@pytest.mark.parametrize("body", [sample.body for sample in samples("webhook")], ids=lambda body: "")
async def test_what_travels_is_what_a_wait_needs_and_signed(body: Any) -> None:
    sent = parse(json.dumps(body).encode())
    if not isinstance(sent, OrderEvent):
        return
    message = pack(sent, SECRET)
    came = unpack(message, ["new", SECRET])
    assert type(came) is type(sent)
    assert came == attrs.evolve(sent, phone_number=None, country=None, platform=None)
    for leak in (SECRET, sent.phone_number):
        assert leak is None or leak.encode() not in message


async def test_a_message_that_is_not_signed_with_the_secret_is_none() -> None:
    message = pack(otp(1), SECRET)
    assert unpack(message, ["another"]) is None
    for bad in (
        b"",
        b"\n",
        message[:-1],
        message + b" ",
        b"\xff\n{}",
        message.decode(),
        None,
        7,
        sign(b"{}", SECRET).encode() + b"\n{}",
    ):
        assert unpack(bad, [SECRET]) is None


async def test_foreign_messages_on_the_channel_end_no_wait(redis: RedisServer) -> None:
    async with two(redis.url, secret="another") as (relay, here, other, there):
        await other.notify(otp(1, "forged"))
        await relay.notify(otp(2))
        await here.until(2)
    assert [getattr(event, "order_id", 0) for event in here.events] == [2, 2]
    assert [getattr(event, "order_id", 0) for event in there.events] == [1, 1]


async def test_while_one_secret_replaces_another_both_sides_understand_each_other(redis: RedisServer) -> None:
    async with two(redis.url, secret=["new", SECRET]) as (old, here, new, there):
        await old.notify(otp(1))
        await there.until(1)
        await new.notify(otp(2))
        await there.until(3)
    assert [getattr(event, "order_id", 0) for event in here.events] == [1, 1], "not yet told the new one"


async def test_other_channels_are_not_heard(redis: RedisServer) -> None:
    async with two(redis.url, channel="another account") as (relay, here, other, there):
        await other.notify(otp(1))
        await relay.notify(otp(2))
        await here.until(2)
        await there.until(2)
    assert {getattr(event, "order_id", 0) for event in here.events} == {2}


async def test_an_outage_is_told_once_and_ends_by_itself(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "smscode.webhooks")
    here = Waiter()
    async with (
        AsyncEventRelay(redis.url, here.client, secret=SECRET),
        AsyncEventRelay(redis.url, secret=SECRET) as receiver,
    ):
        redis.stop()
        for number in range(3):
            await receiver.notify(otp(number))
        with anyio.fail_after(10):
            while len(caplog.messages) < 2:
                await anyio.sleep(0.001)
        await anyio.sleep(0.1)  # some attempts
        assert sorted(message.partition(" through")[0] for message in caplog.messages) == [
            "Passing webhooks on",
            "Receiving webhooks",
        ]
        assert all("polls end the waits" in message for message in caplog.messages)
        redis.start()
        with anyio.fail_after(10):
            while len(caplog.messages) < 3:
                await anyio.sleep(0.001)
        await receiver.notify(otp(7))
        await here.until(1)
    assert sorted(caplog.messages[2:]) == [
        "Passing webhooks on through Redis works again.",
        "Receiving webhooks through Redis works again.",
    ]
    assert [getattr(event, "order_id", 0) for event in here.events] == [7]
    await here.client.aclose()


@pytest.mark.parametrize(
    "trouble",
    [
        TypeError("a bytes-like object is required"),
        RuntimeError("the event loop is closed"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "canary"),
        KeyError("data"),
        StopAsyncIteration(),
        asyncio.CancelledError(),
        ExceptionGroup("several", [ValueError()]),
        ConnectionResetError("lost"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
async def test_whatever_ends_the_listening_it_begins_anew_and_says_so_once(
    redis: RedisServer,
    trouble: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "smscode.webhooks")
    left = [trouble] * 3

    async def fails(self: AsyncEventRelay, message: Any, subscription: Any) -> None:
        if left:
            raise left.pop()
        await take(self, message, subscription)

    take = AsyncEventRelay._take
    monkeypatch.setattr(AsyncEventRelay, "_take", fails)
    async with two(redis.url) as (relay, _, _, there):
        with anyio.fail_after(10):
            while left or len(caplog.messages) < 2:
                await anyio.sleep(0.001)
        await anyio.sleep(0.1)
        await relay.notify(otp(1))
        await there.until(1)
    name = type(trouble).__name__
    lost = [message for message in caplog.messages if " fails " in message]
    again = [message for message in caplog.messages if message.endswith("works again.")]
    assert 1 <= len(lost) == len(again) <= 2, "once for each of the two that listen"
    assert all(message.startswith(f"Receiving webhooks through Redis fails ({name})") for message in lost)
    assert "canary" not in caplog.text


async def test_what_fails_after_each_subscribing_is_tried_less_and_less_often(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    async def fails(self: AsyncEventRelay, message: Any, subscription: Any) -> None:
        await take(self, message, subscription)
        failures.append(self._failures)
        raise TypeError

    take = AsyncEventRelay._take
    monkeypatch.setattr(AsyncEventRelay, "_take", fails)
    here = Waiter()
    async with AsyncEventRelay(redis.url, here.client, secret=SECRET):
        with anyio.fail_after(10):
            while len(failures) < 4:
                await anyio.sleep(0.001)
    assert failures[:4] == [0, 1, 2, 3]
    await here.client.aclose()


@pytest.mark.parametrize("option", ["decode_responses=true", "decode_responses=yes&protocol=2", "protocol=3"])
async def test_an_address_that_is_shared_with_a_program_that_wants_text_can_be_used(
    redis: RedisServer, option: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(f"{redis.url}?{option}") as (relay, here, _, there):
        await relay.notify(otp(1))
        await there.until(1)
        await here.until(2)
    assert caplog.messages == []


async def test_a_client_that_cannot_be_told_keeps_no_other_from_it(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(event: object) -> None:
        raise RuntimeError(CODE)

    broken, here = Waiter(), Waiter()
    broken.client.notify = refuse  # type: ignore[method-assign]  # as one that breaks
    async with (
        AsyncEventRelay(redis.url, broken.client, here.client, secret=SECRET) as relay,
        AsyncEventRelay(redis.url, secret=SECRET) as other,
    ):
        await relay.notify(otp(1))
        await other.notify(otp(2))
        await here.until(3)
    assert "A client cannot be notified of a webhook (RuntimeError)." in caplog.messages
    assert CODE not in caplog.text
    for waiter in (broken, here):
        await waiter.client.aclose()


async def test_whatever_is_wrong_with_passing_on_is_logged_once_and_not_raised(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> bytes:
        raise RuntimeError(CODE)

    monkeypatch.setattr(relay_module, "pack", refuse)
    async with AsyncEventRelay(redis.url, secret=SECRET) as relay:
        await relay.notify(otp(1))
        await relay.notify(otp(2))
    (message,) = caplog.messages
    assert message.startswith("Passing webhooks on through Redis fails (RuntimeError)")


async def test_messages_that_cannot_be_believed_are_said_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(redis.url, secret="another") as (relay, here, other, _):
        for number in range(3):
            await other.notify(otp(number, "forged"))
        await relay.notify(otp(7))
        await here.until(2)
    said = [message for message in caplog.messages if "not signed with a secret of this relay" in message]
    assert 1 <= len(said) <= 2, "once for each of the two"
    assert "forged" not in caplog.text


async def test_what_is_no_event_is_a_mistake_of_the_caller() -> None:
    wrong: Any
    async with AsyncEventRelay(NOWHERE, secret=SECRET) as relay:
        for wrong in (None, "order.otp_received", {"order_id": 1}):
            with pytest.raises(InvalidArgumentError, match="event: expected an event of"):
                await relay.notify(wrong)


async def test_without_redis_from_the_start_the_own_clients_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Waiter()
    async with AsyncEventRelay(NOWHERE, here.client, secret=SECRET) as relay:
        await relay.notify(otp(1))
    assert here.events == [otp(1)]
    assert len(caplog.records) == 2
    for leak in ("canary-password", "127.0.0.1", CODE, PHONE, SECRET):
        assert leak not in caplog.text
    await here.client.aclose()


async def test_a_connection_that_died_in_silence_is_noticed(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay_module, "_SILENCE", 0.05)
    here = Waiter()
    async with AsyncEventRelay(redis.url, here.client, secret=SECRET):
        await anyio.sleep(0.2)  # silent, but it answers when it is asked
    assert caplog.messages == []

    async with answers_once() as url, AsyncEventRelay(url, here.client, secret=SECRET):
        with anyio.fail_after(10):
            while not caplog.messages:
                await anyio.sleep(0.001)
    assert caplog.messages[0].startswith("Receiving webhooks through Redis fails (TimeoutError)")
    await here.client.aclose()


@asynccontextmanager
async def answers_once() -> AsyncGenerator[str]:
    """Serve a Redis that takes a subscription and says nothing more."""
    streams: list[anyio.abc.SocketStream] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        streams.append(stream)
        received = b""
        while True:
            received += await stream.receive()
            if b"SUBSCRIBE" in received:
                channel = relay_module.CHANNEL.encode()
                await stream.send(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:1\r\n" % (len(channel), channel))
                await anyio.sleep_forever()
            answers = {b"HELLO": b"-ERR unknown command\r\n", b"CLIENT": b"+OK\r\n"}
            for command, answer in answers.items():
                await stream.send(answer * received.count(command))
            received = b""

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"redis://127.0.0.1:{port}/0?protocol=2"
        tasks.cancel_scope.cancel()
    for stream in streams:
        await stream.aclose()
    await listener.aclose()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: AsyncEventRelay("http://127.0.0.1", secret=SECRET), "url: expected redis://"),
        (lambda: AsyncEventRelay("", secret=SECRET), "url: expected"),
        (lambda: AsyncEventRelay(f"{NOWHERE}?socket_timeout=x", secret=SECRET), "url: expected redis://"),
        (
            lambda: AsyncEventRelay(f"{NOWHERE}?canary=1", secret=SECRET),
            "url: has an option that redis-py does",
        ),
        (lambda: AsyncEventRelay(NOWHERE, secret=""), "secret: expected the webhook secret"),
        (lambda: AsyncEventRelay(NOWHERE, secret=SECRET, channel=""), "channel: expected"),
        (lambda: AsyncEventRelay(NOWHERE, "client", secret=SECRET), "clients: expected"),  # type: ignore[arg-type]  # a mistake
        (lambda: EventRelay(NOWHERE, AsyncClient("t"), secret=SECRET), "clients: expected"),  # type: ignore[arg-type]  # likewise
    ],
)
async def test_wrong_arguments_are_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert caught.value.message.startswith(problem)
    assert "canary" not in str(caught.value)


async def test_a_relay_is_used_while_it_is_open() -> None:
    relay = AsyncEventRelay(NOWHERE, secret=SECRET)
    with pytest.raises(ClientStateError, match="not open"):
        await relay.notify(otp(1))
    async with relay:
        pass
    with pytest.raises(ClientStateError, match="not open"):
        await relay.notify(otp(1))


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_another_event_loop_than_asyncio_is_refused(anyio_backend: str) -> None:
    with pytest.raises(ConfigurationError, match="needs asyncio"):
        async with AsyncEventRelay(NOWHERE, secret=SECRET):
            pass


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "smscode.ext.relay")
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r"smscode-async\[redis\]"):
        importlib.import_module("smscode.ext.relay")


@pytest.mark.parametrize("kind", [AsyncEventRelay, EventRelay])
@pytest.mark.parametrize("secret", [f"{SECRET}\n", [SECRET, f" {SECRET}"], ""])
async def test_a_secret_as_it_stands_in_a_file_is_refused_where_it_is_given(kind: Any, secret: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="secret: expected the webhook secret") as caught:
        kind(NOWHERE, secret=secret)
    assert SECRET not in str(caught.value)
