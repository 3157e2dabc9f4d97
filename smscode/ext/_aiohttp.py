"""An httpx transport on aiohttp's connections, on asyncio only.

The httpx-aiohttp package does the same, but it reports a connection that breaks during an exchange as a
time-out while connecting, so a purchase that may have been made would count as not sent; and it lets aiohttp
repeat requests by itself. Here neither happens: each request goes over a connection of ``http="aiohttp"``.
"""

from __future__ import annotations

import ssl
from collections import defaultdict

import httpx

from .._clock import RealTime
from .._concurrency import AsyncRuntime
from .._http import messages
from .._http.messages import HttpRequest, Origin
from .._http.protocols import AsyncHttpResponse, AsyncStackConnection
from .._http.stack_errors import StackError
from .._http.stacks import AsyncStack

AsyncStack("aiohttp")  # raises ConfigurationError where the extra is missing

_CLOSING_GRACE = 1.0  # seconds
_PORTS = {"http": 80, "https": 443}


def transport(
    *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> httpx.AsyncBaseTransport:
    """Return a transport for an `httpx.AsyncClient` that sends with aiohttp, on asyncio only.

    ``ssl_context`` replaces the TLS settings of the environment, ``proxy`` is the URL of an HTTP proxy for
    https; None takes the proxy of the environment. A client of this package makes its connections as with
    ``http="aiohttp"``, which is the shorter way there. Each client needs a transport of its own, and closes
    it. It has as many connections as the client allows requests at once (``max_connections``).

    Raises `InvalidArgumentError` for a proxy that does not speak HTTP. Without the ``aiohttp`` extra it
    raises `ConfigurationError`, and so does the first call on trio. Example::

        client = httpx.AsyncClient(transport=transport())
    """
    return _Transport(AsyncStack("aiohttp", proxy=proxy, ssl_context=ssl_context))


class _Transport(httpx.AsyncBaseTransport):
    """Sends for any httpx client; a client of this package only takes the ``stack``."""

    def __init__(self, stack: AsyncStack) -> None:
        self.stack = stack
        self._idle: defaultdict[Origin, list[AsyncStackConnection]] = defaultdict(list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of httpx over an idle connection, or a new one."""
        url = request.url
        origin = Origin(url.raw_scheme, url.raw_host, url.port or _PORTS[url.scheme])
        target, extensions = url.raw_path, dict(request.extensions)
        made = HttpRequest(
            origin, request.method, target, _checked(request), await request.aread(), extensions
        )
        connection = await self._take(url, origin)
        try:
            response = await connection.handle_async_request(made)
            if "trace" in extensions:
                try:
                    await extensions["trace"](messages.ANSWERED, {})
                except BaseException:
                    await response.aclose()
                    raise
        except BaseException as error:
            await _close(connection)
            if not isinstance(error, StackError):
                raise
            failure = _of_httpx(error)
        else:
            body = _Body(self._idle[origin], connection, response)
            return httpx.Response(response.status, headers=response.headers, stream=body)
        raise failure

    async def _take(self, url: httpx.URL, origin: Origin) -> AsyncStackConnection:
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if not connection.gone:
                return connection
            await _close(connection)
        connect = self.stack.connector(
            f"{origin.scheme.decode()}://{origin.host.decode()}:{origin.port}", origin
        )
        return connect(RealTime.monotonic)

    async def aclose(self) -> None:
        """Close all idle connections."""
        for idle in self._idle.values():
            while idle:
                await _close(idle.pop())


class _Body(httpx.AsyncByteStream):
    """The unread body of a response. If it is closed before its end, the connection is closed."""

    def __init__(
        self, idle: list[AsyncStackConnection], connection: AsyncStackConnection, response: AsyncHttpResponse
    ) -> None:
        self._idle = idle
        self._connection = connection
        self._response = response
        self._chunks = aiter(response.stream)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StackError as error:
            failure = _of_httpx(error)
        raise failure

    async def aclose(self) -> None:
        await self._response.aclose()
        if self._connection.clean:
            self._idle.append(self._connection)
        else:
            await _close(self._connection)


async def _close(connection: AsyncStackConnection) -> None:
    """Close a connection, also where everything is being cancelled."""
    with AsyncRuntime().shield(_CLOSING_GRACE):
        await connection.aclose()


def _checked(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    """Return the headers. Raises `httpx.LocalProtocolError` for one that cannot be sent as it is."""
    headers = request.headers.raw
    try:
        sound = all(text.decode().isprintable() for header in headers for text in header)
    except UnicodeDecodeError:
        sound = False
    if not sound:
        raise httpx.LocalProtocolError("a header that cannot be sent")
    return headers


def _of_httpx(error: StackError) -> httpx.TransportError:
    """Return an error as that of httpx with the same name."""
    class_: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
    failure = class_(str(error))
    failure.__cause__ = error.__cause__
    return failure
