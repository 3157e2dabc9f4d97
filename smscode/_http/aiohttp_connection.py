"""One connection of aiohttp, by its public interface, on asyncio only.

aiohttp sends a GET a second time by itself if a kept connection breaks, which would exceed limits, and takes
bytes that came while the connection was idle for the answer, which would be that to another call. So each
connection has a session of its own, whose connector refuses a second connection within one call, and one
with unread bytes is not used again.

Its limit for a whole call makes nine objects for each, and cancels the task. Here the connection is aborted
at the deadline, which ends whatever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import math
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ..errors import ConfigurationError
from . import messages, mocking
from .families import KEEPALIVE_EXPIRY
from .messages import HttpRequest, Origin
from .protocols import AsyncHttpResponse
from .stack_errors import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    StackError,
)
from .streams import LATE, AsyncTimedConnection, readiness

PROXY_SCHEMES: Final = ("http", "https")

# The first class that fits counts; any other error means an answer that breaks the protocol.
_MEANINGS: tuple[tuple[type[Exception], type[StackError]], ...] = (
    (aiohttp.InvalidURL, LocalProtocolError),
    (aiohttp.SocketTimeoutError, ReadTimeout),
    (TimeoutError, ConnectTimeout),
    (aiohttp.ClientProxyConnectionError, ProxyError),
    (aiohttp.ClientHttpProxyError, ProxyError),
    (aiohttp.ClientConnectorError, ConnectError),
    (aiohttp.ClientOSError, ReadError),
    (aiohttp.ClientError, RemoteProtocolError),
)
_FAILURES = (aiohttp.ClientError, TimeoutError)
_FRAMING = (b"content-length", b"transfer-encoding")
# What aiohttp would add:
_OF_A_GET = ("Accept", "Accept-Encoding", "User-Agent")
_OF_A_BODY = (*_OF_A_GET, "Content-Type")


async def _ignore(event: str, info: Mapping[str, object]) -> None:
    """Ignore the events of a request without a trace."""


def _abort(transport: asyncio.Transport | None) -> None:
    """Close a connection at once, if there is one. aiohttp waits until the peer ends TLS, too."""
    if transport is not None:
        transport.abort()


class _Connector(aiohttp.TCPConnector):
    """Connects, and notes how far each call gets. No connection with unread bytes is used again.

    ``late`` is True once the time of the call was over.
    """

    transport: asyncio.Transport | None = None
    readable: Callable[[], bool]
    peer: Mapping[str, object]
    trace: Any
    sent = False
    late = False
    _tried = False
    _until: float | None = None  # by the clock of the event loop
    _timer: asyncio.TimerHandle | None = None

    def begin(self, trace: Any, seconds: float | None) -> None:
        """Begin a call that may take so many ``seconds``, and whose events go to ``trace``."""
        self.trace = trace
        self.sent = self.late = self._tried = False
        self._until = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._until = loop.time() + seconds
            self._timer = loop.call_at(self._until, self._break_off)

    def _break_off(self) -> None:
        """End the call, unless it is connecting, which has limits of its own."""
        self.late = True
        _abort(self.transport)

    def end(self) -> None:
        """End the time of a call that is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
        if self._tried:
            raise aiohttp.ServerDisconnectedError  # the call is aiohttp's own second try
        self._tried = True
        if self.transport is None or self.transport.is_closing():
            await self.trace(messages.CONNECTING, self.peer)
        connection = await super().connect(*arguments, **options)
        if connection.protocol is not None and connection.protocol.should_close:
            async with asyncio.timeout_at(self._until):
                while (protocol := connection.protocol) is not None and protocol.should_close:
                    _abort(connection.transport)
                    connection.close()
                    await self.trace(messages.CONNECTING, self.peer)
                    connection = await super().connect(*arguments, **options)
        if connection.transport is not self.transport:
            _abort(self.transport)
            self.transport = connection.transport
            assert self.transport is not None
            self.readable = readiness(self.transport.get_extra_info("socket"))
        try:
            if self.late:
                raise TimeoutError
            await self.trace(messages.FIRST_BYTE, {})
        except BaseException:
            connection.close()
            raise
        self.sent = True
        return connection


class AiohttpConnection(AsyncTimedConnection):
    """One connection, for one request at a time."""

    bounded = True

    def __init__(
        self, origin: Origin, context: ssl.SSLContext, proxy: str | None, now: Callable[[], float]
    ) -> None:
        """Set up without connecting. Raises `ConfigurationError` unless asyncio runs."""
        super().__init__(now)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError('http="aiohttp" only runs on asyncio: leave it out.') from None
        host = origin.host.decode("ascii")
        shown = f"[{host}]" if ":" in host else host
        self._base = f"{origin.scheme.decode('ascii')}://{shown}:{origin.port}"
        self._proxy = None if proxy is None else URL(proxy)
        peer = URL(self._base) if self._proxy is None else self._proxy
        self._expires = math.inf
        self._ended = False
        self._sockets: list[socket.socket] = []
        self._connector = _Connector(
            limit=1,
            ssl=context,
            keepalive_timeout=2 * KEEPALIVE_EXPIRY,  # `gone` ends it before
            use_dns_cache=False,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=self._socket,
        )
        self._connector.peer = {"host": peer.raw_host, "port": peer.port}
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            # Those of one line, and any number of lines: `headers_of` checks them in all.
            max_line_size=messages.LARGEST_HEAD,
            max_field_size=messages.LARGEST_HEAD,
            max_headers=messages.LARGEST_HEAD,
        )

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        """Send a request, once. Redirects are not followed, and the body is not decompressed."""
        mocking.async_mocked(None)
        if mocking.replaced(aiohttp.ClientSession._request, ("aiohttp",)):
            raise ConfigurationError(mocking.NOT_THROUGH_HERE)
        self._ended = False
        seconds = self._deadline.left(None, ConnectTimeout)
        sending = self._session.request(
            request.method,
            URL(self._base + request.target.decode("ascii"), encoded=True),
            data=request.body or None,
            allow_redirects=False,
            proxy=self._proxy,
            timeout=_timeout(request.extensions.get("timeout", {}), seconds),
            **_headers(request),
        )
        self._connector.begin(request.extensions.get("trace", _ignore), seconds)
        del request  # it holds the token, and many objects if thousands are under way
        try:
            return _Response(self, await sending)
        except BaseException as error:
            self._connector.end()
            if not isinstance(error, _FAILURES):
                raise
            failure = self.failure(error)
        raise failure

    def failure(self, error: Exception) -> StackError:
        """Return what an error of aiohttp means for the call."""
        if self._connector.late:
            return (ReadTimeout if self._connector.sent else ConnectTimeout)(LATE)
        return _failure(error)

    def complete(self) -> None:
        """Note that the body was read to its end. Raises `ReadTimeout` if the deadline was that end."""
        if self._connector.late:
            raise ReadTimeout(LATE)
        self._ended = True
        self._expires = self._now() + KEEPALIVE_EXPIRY

    def end(self) -> None:
        """Note that the call is over."""
        self._connector.end()

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        return self._ended

    @property
    def gone(self) -> bool:
        """Whether it was idle for too long, or has bytes or an end to read that nothing asked for."""
        transport = self._connector.transport
        if transport is None or transport.is_closing():
            return False  # it connects again
        return self._now() > self._expires or self._connector.readable()

    async def aclose(self) -> None:
        """Close the connection at once; nothing that is still to be written, also by TLS, is waited for."""
        _abort(self._connector.transport)
        if not self._ended:
            # If a proxy takes too long, aiohttp gives up its connection without closing the socket at once.
            for opened in self._sockets:
                with contextlib.suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)
        await self._session.close()
        await asyncio.sleep(0)  # the event loop closes the socket in its next turn

    def _socket(self, address: Sequence[Any]) -> socket.socket:
        """Make a socket for aiohttp, and remember those that are open."""
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        self._sockets = [*(known for known in self._sockets if known.fileno() >= 0), made]
        return made


class _Response:
    """A response whose body is still to be read."""

    def __init__(self, connection: AiohttpConnection, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = response.raw_headers
        self._connection = connection
        self._response = response

    @property
    def stream(self) -> _Response:
        """The chunks of the body."""
        return self

    def __aiter__(self) -> _Response:
        return self

    async def __anext__(self) -> bytes:
        content = self._response.content
        try:
            chunk = b"" if content.at_eof() else await content.readany()
        except _FAILURES as error:
            failure = self._connection.failure(error)
        else:
            if chunk:
                return chunk
            self._connection.complete()
            raise StopAsyncIteration
        raise failure

    async def aclose(self) -> None:
        """Stop reading; a connection whose body was not read to its end is closed."""
        self._connection.end()
        self._response.close()


def _headers(request: HttpRequest) -> dict[str, Any]:
    """Return how aiohttp is to send exactly the headers of a request."""
    sent = [pair for pair in request.headers if pair[0].lower() not in _FRAMING]
    headers = CIMultiDict([(name.decode(), value.decode()) for name, value in sent])
    own = _OF_A_GET if request.method == "GET" and not request.body else _OF_A_BODY
    unwanted = [name for name in own if name not in headers]
    # aiohttp copies the headers if there are some that it may not add.
    return {"headers": headers, "skip_auto_headers": unwanted or None}


def _timeout(limits: Mapping[str, float | None], seconds: float | None) -> aiohttp.ClientTimeout:
    """Return the limits of the steps of a call that may take so many ``seconds``."""
    return aiohttp.ClientTimeout(
        total=None,
        connect=limits.get("connect") or seconds,
        sock_read=limits.get("read"),
        ceil_threshold=math.inf,  # otherwise limits are rounded to whole seconds
    )


def _failure(error: Exception) -> StackError:
    """Return what an error of aiohttp means, without it as the cause, as it may hold headers."""
    text = type(error).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # Not the proxy's own text, which may repeat the password.
        text = f"{error.status} {http.client.responses.get(error.status, '')}".strip()
    failure = next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))(text)
    if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, aiohttp.ClientError):
        failure.__cause__ = error.__cause__
    return failure
