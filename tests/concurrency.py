"""What the flavours' tests need by hand, in both flavours with equal names.

Time under control, bodies that come by pieces, a server that misbehaves, and what is named alike in
``smscode/_async`` and ``smscode/_sync``.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import anyio.lowlevel
import httpx

from smscode import AsyncClient, Client, demo  # the package first: its two flavours import it
from smscode._async.delivery import AsyncDelivery
from smscode._async.semaphore import AsyncFairSemaphore
from smscode._concurrency import AsyncEvent, AsyncHelpers, AsyncRuntime, Event, Helpers, Runtime
from smscode._sync.delivery import Delivery
from smscode._sync.semaphore import FairSemaphore
from smscode.demo._async import rentals as async_demo
from smscode.demo._sync import rentals as sync_demo
from smscode.sandbox import Sandbox

__all__ = [
    "AsyncDelivery",
    "AsyncDemo",
    "AsyncFairSemaphore",
    "AsyncOtherClient",
    "AsyncOtherTransport",
    "AsyncPieces",
    "AsyncVirtualClient",
    "AsyncVirtualRuntime",
    "Delivery",
    "Demo",
    "FairSemaphore",
    "OtherClient",
    "OtherTransport",
    "Pieces",
    "RawServer",
    "VirtualClient",
    "VirtualRuntime",
    "coroutine_function",
    "demo",
    "raw_server",
    "talking",
]


_helping = ContextVar("_helping", default=False)


class AsyncVirtualHelpers(AsyncHelpers):
    """Tasks beside a block, until the last of which ends no time passes for other tasks."""

    def __init__(self, runtime: AsyncVirtualRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    async def start(self, function: Callable[[], Coroutine[object, object, None]]) -> None:
        self._runtime.helping += 1
        await super().start(function)

    async def run(self, function: Callable[[], Coroutine[object, object, None]]) -> None:
        _helping.set(True)
        try:
            await super().run(function)
        finally:
            self._runtime.helping -= 1


class VirtualHelpers(Helpers):
    """Threads beside a block, until the last of which ends no time passes for other threads."""

    def __init__(self, runtime: VirtualRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def start(self, function: Callable[[], None]) -> None:
        self._runtime.count_helpers(1)
        super().start(function)

    def run(self, function: Callable[[], None]) -> None:
        _helping.set(True)
        try:
            super().run(function)
        finally:
            self._runtime.count_helpers(-1)


class AsyncVirtualRuntime(AsyncRuntime):
    """Time that passes only while something waits for it, in step with a sandbox.

    A wait with an end moves time on; one without an end really waits, for another task to end it. Time
    stands still until ``crowd`` tasks wait without an end, and while helpers work.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.clock = self.now
        self.slept: list[float] = []
        self.waited: list[float] = []
        self.crowd = 0
        self.helping = 0
        self._waiting = 0
        self._now = 1000.0

    def helpers(self) -> AsyncHelpers:
        return AsyncVirtualHelpers(self)

    def random(self) -> float:
        return 0.5

    def now(self) -> float:
        return self._now

    def wall_clock(self) -> datetime:
        return self.sandbox.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_by(seconds)
        await anyio.lowlevel.checkpoint()

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        await anyio.lowlevel.checkpoint()
        if math.isinf(seconds):
            self._waiting += 1
            return await super().wait(event, seconds)
        while self._waiting < self.crowd or (self.helping and not _helping.get() and not event.is_set()):
            await anyio.lowlevel.checkpoint()
        if not event.is_set():
            self.waited.append(seconds)
            self.pass_by(seconds)
        return event.is_set()

    async def wait_for_disk(self, event: AsyncEvent, seconds: float) -> bool:
        return await super().wait(event, min(seconds, 10))

    def pass_by(self, seconds: float) -> None:
        self._now += seconds
        self.sandbox.advance(seconds)


class VirtualRuntime(Runtime):
    """Time that passes only while something waits for it, in step with a sandbox.

    A wait with an end moves time on; one without an end really waits, for another thread to end it.
    Time stands still until ``crowd`` threads wait without an end, and while helpers work.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.clock = self.now
        self.slept: list[float] = []
        self.waited: list[float] = []
        self.crowd = 0
        self._waiting = 0
        self._now = 1000.0
        self._helping = 0
        self._changed = threading.Condition()

    def helpers(self) -> Helpers:
        return VirtualHelpers(self)

    def count_helpers(self, change: int) -> None:
        with self._changed:
            self._helping += change
            self._changed.notify_all()

    def random(self) -> float:
        return 0.5

    def now(self) -> float:
        return self._now

    def wall_clock(self) -> datetime:
        return self.sandbox.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_by(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        if math.isinf(seconds):
            with self._changed:
                self._waiting += 1
                self._changed.notify_all()
            return super().wait(event, seconds)
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiting >= self.crowd, 10)
            if not _helping.get():
                assert self._changed.wait_for(lambda: not self._helping or event.is_set(), 10)
        if not event.is_set():
            self.waited.append(seconds)
            self.pass_by(seconds)
        return event.is_set()

    def wait_for_disk(self, event: Event, seconds: float) -> bool:
        return super().wait(event, min(seconds, 10))

    def pass_by(self, seconds: float) -> None:
        with self._changed:
            self._now += seconds
            self.sandbox.advance(seconds)


class AsyncVirtualClient(AsyncClient):
    """A client on a sandbox whose time is virtual; ``transport`` may stand between the two."""

    def __init__(
        self, sandbox: Sandbox, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any
    ) -> None:
        self.runtime = AsyncVirtualRuntime(sandbox)
        super().__init__(sandbox.token, transport=transport or sandbox.transport(), **options)

    def _runtime(self) -> AsyncRuntime:
        return self.runtime


class VirtualClient(Client):
    """A client on a sandbox whose time is virtual; ``transport`` may stand between the two."""

    def __init__(
        self, sandbox: Sandbox, *, transport: httpx.BaseTransport | None = None, **options: Any
    ) -> None:
        self.runtime = VirtualRuntime(sandbox)
        super().__init__(sandbox.token, transport=transport or sandbox.transport(), **options)

    def _runtime(self) -> Runtime:
        return self.runtime


class AsyncPieces(httpx.AsyncByteStream):
    """A body that comes by pieces; ``between`` is called before each. It remembers to be closed."""

    def __init__(self, *pieces: bytes, between: Callable[[], object] = lambda: None) -> None:
        self._left = iter(pieces)
        self._between = between
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        # No generator: trio warns of one that is left before its end, and leaving is tested here.
        return self

    async def __anext__(self) -> bytes:
        piece = next(self._left, None)
        if piece is None:
            raise StopAsyncIteration
        self._between()
        return piece

    async def aclose(self) -> None:
        self.closed = True


class Pieces(httpx.SyncByteStream):
    """A body that comes by pieces; ``between`` is called before each. It remembers to be closed."""

    def __init__(self, *pieces: bytes, between: Callable[[], object] = lambda: None) -> None:
        self._pieces = pieces
        self._between = between
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._between()
            yield piece

    def close(self) -> None:
        self.closed = True


# What the other flavour takes, and this one must refuse.
AsyncOtherTransport = httpx.HTTPTransport
OtherTransport = httpx.AsyncHTTPTransport
AsyncOtherClient = httpx.Client
OtherClient = httpx.AsyncClient


async def coroutine_function(argument: object) -> None:
    """Do nothing; in neither flavour is this what a plain function is."""


class AsyncDemo:
    """The demonstration's functions, which have the same names in both flavours."""

    rent_all = staticmethod(async_demo.rent_all)
    rent_one = staticmethod(async_demo.rent_one)


class Demo:
    """The demonstration's functions, which have the same names in both flavours."""

    rent_all = staticmethod(sync_demo.rent_all)
    rent_one = staticmethod(sync_demo.rent_one)


class RawServer:
    """A server on the loopback interface that answers each request as a function says.

    The function gets the numbers of the connection and of the request on it, both from 1, and gives
    the bytes to send and whether to close the connection then; nothing to send leaves the client
    waiting. ``connections`` and ``requests`` count what came, ``open`` the connections that are.
    """

    def __init__(self, respond: Callable[[int, int], tuple[bytes, bool]]) -> None:
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.connections = 0
        self.requests = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    @property
    def open(self) -> int:
        with self._lock:
            return len(self._sockets)

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        with self._lock:
            left = list(self._sockets)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._sockets.add(connection)
            self._start(self._talk, connection, self.connections)

    def _talk(self, connection: socket.socket, number: int) -> None:
        """Serve one connection; requests have no bodies."""
        with connection:
            received, count = b"", 0
            with contextlib.suppress(OSError):
                while chunk := connection.recv(65536):
                    received += chunk
                    if b"\r\n\r\n" not in received:
                        continue
                    received, count = b"", count + 1
                    with self._lock:
                        self.requests += 1
                    answer, close = self._respond(number, count)
                    connection.sendall(answer)
                    if close:
                        break
            with self._lock:
                self._sockets.discard(connection)


@contextmanager
def talking(talk: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Generator[int]:
    """Serve connections one after the other with a function; return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    talk(connection)
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def raw_server(respond: Callable[[int, int], tuple[bytes, bool]]) -> Generator[RawServer]:
    """Run a `RawServer` while the block runs."""
    server = RawServer(respond)
    try:
        yield server
    finally:
        server.close()
