"""The network stream over asyncio's transports: what comes, what is sent, how it ends, and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import httpcore
import httpcore._backends.auto as auto
import pytest
import trio
import trustme

from smscode._http.streams import AsyncioStream, Left, taken_over

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def the_given_limit(timeout: float | None, error: type[Exception]) -> float | None:
    return timeout


@contextlib.asynccontextmanager
async def stream(
    talk: Talk, context: ssl.SSLContext | None = None, left: Left = the_given_limit
) -> AsyncGenerator[AsyncioStream]:
    """Open a stream to a server that talks to it."""
    talking: list[asyncio.Task[object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.append(cast("asyncio.Task[object]", asyncio.current_task()))
        try:
            with contextlib.suppress(OSError):
                await talk(reader, writer)
                await asyncio.Event().wait()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        backend: Any = auto.AutoBackend()
        connected = await backend.connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1])
        taken = taken_over(connected, httpcore, left)
        assert isinstance(taken, AsyncioStream)
        try:
            if context is None:  # else it talks after the handshake
                await until(lambda: talking)
            yield taken
        finally:
            await taken.aclose()
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        await server.wait_closed()
        # Up to CPython 3.11 that does not wait for the connections.
        await until(lambda: not getattr(server, "_active_count", 0))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def says(*parts: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return talk


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"bye")
    writer.close()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while received := await reader.read(65536):
        writer.write(received)


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0)


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    cast(asyncio.Transport, writer.transport).pause_reading()
    await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_what_came_is_read_in_its_order_and_never_more_than_asked_for() -> None:
    async with stream(says(b"abcdef")) as one:
        assert [await one.read(4), await one.read(4)] == [b"abcd", b"ef"]


@pytest.mark.asyncio
async def test_what_came_before_the_stream_was_taken_over_is_read_first() -> None:
    async with stream(is_silent) as one:
        earlier: Any = type("Protocol", (asyncio.Protocol,), {})()
        earlier.read_queue, earlier.is_at_eof, earlier.exception = [b"ab", b"c"], True, None
        one._transport.set_protocol(earlier)
        other = AsyncioStream(one._transport, httpcore, the_given_limit)
        assert [await other.read(9), await other.read(9), await other.read(9)] == [b"ab", b"c", b""]


@pytest.mark.asyncio
async def test_a_server_that_sends_without_end_is_not_read_without_end() -> None:
    sent = 0

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with stream(floods) as one:
        await until(lambda: not one._transport.is_reading())
        assert sum(map(len, one._chunks)) < 1024 * 1024
        received = 0
        while received < 8 * 1024 * 1024:  # it reads on as soon as there is room
            received += len(await one.read(65536))


@pytest.mark.asyncio
async def test_others_have_their_turn_between_two_reads() -> None:
    async with stream(says(bytes(1000))) as one:
        await until(lambda: one._size == 1000)
        turns = 0

        async def counts() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(counts())
        for _ in range(100):
            await one.read(10)
        assert turns >= 100
        beside.cancel()


@pytest.mark.asyncio
async def test_after_the_end_nothing_is_read_and_nothing_can_be_written() -> None:
    async with stream(hangs_up) as one:
        assert [await one.read(9), await one.read(9)] == [b"bye", b""]
        await until(one._transport.is_closing)
        with pytest.raises(httpcore.WriteError):
            await one.write(b"x")


@pytest.mark.asyncio
async def test_a_broken_connection_is_a_read_error_with_its_reason() -> None:
    async with stream(resets) as one:
        await one.write(b"x")
        with pytest.raises(httpcore.ReadError) as broken:
            await one.read(9)
        assert isinstance(broken.value.__cause__, ConnectionResetError)


@pytest.mark.asyncio
async def test_a_reader_waits_as_long_as_it_is_told() -> None:
    async with stream(is_silent) as one:
        with pytest.raises(httpcore.ReadTimeout):
            await one.read(9, timeout=0.01)


@pytest.mark.asyncio
async def test_a_writer_waits_for_the_system_as_long_as_it_is_told() -> None:
    async with stream(never_reads) as one:
        with pytest.raises(httpcore.WriteTimeout):
            await one.write(bytes(32 * 1024 * 1024), timeout=0.01)


@pytest.mark.asyncio
@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_no_step_takes_longer_than_is_left(timeout: float | None) -> None:
    def left(timeout: float | None, error: type[Exception]) -> float | None:
        return 0.01

    async with stream(never_reads, left=left) as one:
        with pytest.raises(httpcore.ReadTimeout):
            await one.read(9, timeout)
        with pytest.raises(httpcore.WriteTimeout):
            await one.write(bytes(32 * 1024 * 1024), timeout)


@pytest.mark.asyncio
async def test_no_step_begins_when_the_time_is_over() -> None:
    came = asyncio.Queue[bytes]()
    over: list[type[Exception]] = []

    def left(timeout: float | None, error: type[Exception]) -> float | None:
        if over:
            over.append(error)
            raise error
        return timeout

    async def talks_and_listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ab")
        came.put_nowait(await reader.read(9))

    async with stream(talks_and_listens, left=left) as one:
        assert await one.read(1) == b"a"
        over.append(Exception)
        with pytest.raises(httpcore.ReadTimeout):
            await one.read(1)
        with pytest.raises(httpcore.WriteTimeout):
            await one.write(b"late")
        over.clear()
        await one.write(b"in time")
        assert await came.get() == b"in time"
        assert await one.read(9) == b"b"


@pytest.mark.asyncio
async def test_a_writer_that_waits_learns_that_the_connection_was_lost() -> None:
    async def hangs_up_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await resets(reader, writer)

    async with stream(hangs_up_later) as one:
        with pytest.raises(httpcore.WriteError):
            await one.write(bytes(32 * 1024 * 1024))


@pytest.mark.asyncio
async def test_much_is_written_as_fast_as_the_server_reads() -> None:
    async with stream(echoes) as one:
        writing = asyncio.create_task(one.write(bytes(8 * 1024 * 1024), timeout=60))
        received = 0
        while received < 8 * 1024 * 1024:
            received += len(await one.read(65536))
        await writing
        assert received == 8 * 1024 * 1024


@pytest.mark.asyncio
async def test_a_cancelled_reader_loses_nothing() -> None:
    async with stream(echoes) as one:
        reading = asyncio.create_task(one.read(9))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await one.write(b"")  # nothing at all
        await one.write(b"there")
        assert await one.read(9) == b"there"


@pytest.mark.asyncio
@pytest.mark.parametrize("talk", [says(b"unasked for"), hangs_up])
async def test_bytes_that_wait_and_the_end_of_a_connection_are_noticed_while_it_is_idle(talk: Talk) -> None:
    async with stream(talk) as one:
        await until(lambda: one.get_extra_info("is_readable"))
        await until(lambda: one._chunks)
        assert one.get_extra_info("is_readable")


@pytest.mark.asyncio
async def test_bytes_are_noticed_before_the_event_loop_has_read_them() -> None:
    async with stream(echoes) as one:
        assert not one.get_extra_info("is_readable")
        one._transport.pause_reading()  # as if the loop were busy with something else
        await one.write(b"x")
        await until(lambda: one.get_extra_info("is_readable"))
        assert not one._chunks


@pytest.fixture
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of a client that trusts it."""
    authority: Any = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.mark.asyncio
async def test_a_secured_connection_is_read_and_written_by_the_same_stream(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = contexts
    async with stream(echoes, server) as one:
        secured = await one.start_tls(client, "localhost", timeout=20)
        await secured.write(b"hello")
        assert await secured.read(9) == b"hello"
        assert secured.get_extra_info("ssl_object").version() == "TLSv1.3"


@pytest.mark.asyncio
async def test_the_end_of_a_secured_connection_is_an_end(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = contexts
    async with stream(hangs_up, server) as one:
        await one.start_tls(client, "localhost")
        assert [await one.read(9), await one.read(9)] == [b"bye", b""]


@pytest.mark.asyncio
async def test_a_certificate_that_is_not_trusted_is_a_connect_error(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with stream(echoes, contexts[0]) as one:
        with pytest.raises(httpcore.ConnectError) as distrusted:
            await one.start_tls(ssl.create_default_context(), "localhost")
        assert isinstance(distrusted.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.asyncio
async def test_a_server_that_does_not_answer_the_handshake_takes_the_time_that_it_may() -> None:
    async with stream(is_silent) as one:
        with pytest.raises(httpcore.ConnectTimeout):
            await one.start_tls(ssl.create_default_context(), "localhost", timeout=0.05)


@pytest.mark.asyncio
async def test_bytes_from_before_tls_are_never_read_as_if_they_had_come_by_it(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with stream(says(b"HTTP/1.1 200 OK\r\n\r\n")) as one:
        await until(lambda: one._chunks)
        assert one.get_extra_info("is_readable")
        with pytest.raises(httpcore.ConnectError, match="before TLS"):
            await one.start_tls(contexts[1], "localhost")


def test_a_stream_of_another_event_loop_stays_what_it_is() -> None:
    async def connect(port: int) -> None:
        connected = await auto.AutoBackend().connect_tcp("127.0.0.1", port)
        assert taken_over(connected, httpcore, the_given_limit) is connected
        await connected.aclose()

    with socket.create_server(("127.0.0.1", 0)) as server:
        trio.run(connect, server.getsockname()[1])


def test_a_stream_of_uvloop_is_taken_over_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def converse() -> None:
        async with stream(echoes) as one:
            await one.write(b"hello")
            assert await one.read(9) == b"hello"
            assert not one.get_extra_info("is_readable")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(converse())
