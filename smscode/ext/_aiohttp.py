"""An httpx transport on aiohttp's connections, on asyncio only.

The httpx-aiohttp package does the same, but it reports a connection that breaks during an exchange as a
time-out while connecting, so a purchase that may have been made would count as not sent; and it lets aiohttp
repeat requests by itself. Here neither happens: aiohttp only connects, keeps the connections, and reads the
responses to the bytes of a request.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import ssl
from collections.abc import AsyncIterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

import httpcore
import httpx

from .._http import environment, messages, mocking
from .._http.connection import KEEPALIVE_EXPIRY, AsyncHandlerTransport
from ..errors import ConfigurationError

try:
    import aiohttp
    from aiohttp.http_exceptions import HttpProcessingError
    from yarl import URL
except ImportError as _missing:
    raise ConfigurationError('aiohttp is missing: pip install "smscode-async[aiohttp]"') from _missing

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.tracing import Trace

_FAILURES = (aiohttp.ClientError, HttpProcessingError, TimeoutError)
# The first class that fits counts; any other exception means a response that breaks the protocol.
_MEANINGS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.SocketTimeoutError, httpx.ReadTimeout),
    (TimeoutError, httpx.ConnectTimeout),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientOSError, httpx.ReadError),
    (Exception, httpx.RemoteProtocolError),
)
_PROXY_SCHEMES = ("http", "https")
_FRAMING = (b"content-length", b"transfer-encoding")


class _Trace(Protocol):
    """Receives trace events as httpcore reports them, which show whether a request was sent."""

    async def __call__(self, event: str, info: Mapping[str, object]) -> None: ...


_TRACE: ContextVar[_Trace] = ContextVar("smscode_aiohttp_trace")


def transport(
    *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> httpx.AsyncBaseTransport:
    """Return a transport for ``AsyncClient(transport=...)`` that sends with aiohttp, on asyncio only.

    ``ssl_context`` replaces the TLS settings of the environment, ``proxy`` is the URL of an HTTP proxy for
    https; None takes the proxy of the environment. Each client needs a transport of its own, and closes it.
    It has as many connections as the client allows requests at once (``max_connections``).

    Importing this without the ``aiohttp`` extra raises `ConfigurationError`, and so does the first call on
    trio, or through a proxy that does not speak HTTP. Example::

        client = AsyncClient(transport=transport())
    """
    return _Transport(ssl_context, proxy)


async def _ignore(event: str, info: Mapping[str, object]) -> None:
    """Ignore the events of a request without a trace."""


class _Transport(AsyncHandlerTransport):
    """The transport for any httpx client; a client of this package uses its ``handler`` directly."""

    def __init__(self, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
        self.handler = _Handler(ssl_context, proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of httpx."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        response = await self.handler.handle_async_request(
            httpcore.Request(
                request.method,
                url,
                headers=request.headers.raw,
                content=await request.aread(),
                extensions=request.extensions,
            )
        )
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(response.status, headers=response.headers, stream=response.stream)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.handler.aclose()


class _Handler:
    bounded = True

    def __init__(self, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._connector: _Connector | None = None
        self._targets: dict[tuple[bytes, bytes, int | None], aiohttp.ClientRequest] = {}

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request, once. Redirects are not followed, and the body is not decompressed."""
        if mocking.async_mocked() or mocking.replaced(aiohttp.ClientSession._request, ("aiohttp",)):
            raise ConfigurationError(mocking.NOT_THROUGH_HERE)
        written = _written(request, await _body(request))
        extensions = messages.extensions_of(request)
        limits: Mapping[str, float | None] = extensions.get("timeout", {})
        trace: _Trace = extensions.get("trace", _ignore)
        try:
            connection = await self._connect(request.url, trace, limits.get("connect"))
            try:
                await trace("http11.send_request_headers.started", {})
                message, payload = await _exchange(connection, written, limits.get("read"))
                await trace("http11.receive_response_headers.complete", {})
            except BaseException:
                connection.close()
                raise
        except _FAILURES as error:
            failure = _failure(error)
        else:
            headers = list(message.raw_headers)
            return httpcore.Response(message.code, headers=headers, content=_Body(connection, payload))
        raise failure

    async def _connect(self, url: httpcore.URL, trace: _Trace, seconds: float | None) -> Connection:
        """Return a connection without unread bytes, which would be taken for the response."""
        target = self._targets.get((url.scheme, url.host, url.port)) or self._target(url)
        connector = self._connector
        assert connector is not None
        timeout = _timeout(seconds)
        before = _TRACE.set(trace)
        try:
            connection = await connector.connect(target, [], timeout)
            while connection.protocol is not None and connection.protocol.should_close:
                connection.close()
                connection = await connector.connect(target, [], timeout)
        finally:
            _TRACE.reset(before)
        return connection

    def _target(self, url: httpcore.URL) -> aiohttp.ClientRequest:
        """Return and store the request object from which aiohttp takes the address; it is never sent."""
        scheme, host = url.scheme.decode("ascii"), url.host.decode("ascii")
        shown = f"[{host}]" if ":" in host else host
        origin = f"{scheme}://{shown}" if url.port is None else f"{scheme}://{shown}:{url.port}"
        proxy = self._proxy or environment.environment_proxy(origin, _PROXY_SCHEMES)
        if proxy is not None and not (proxy.startswith(("http://", "https://")) and scheme == "https"):
            raise ConfigurationError(
                "aiohttp only speaks to HTTP proxies, and here only for https: leave its transport out."
            )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("aiohttp only runs on asyncio: leave its transport out.") from None
        if self._connector is None:
            self._connector = _Connector(
                limit=0,  # the client's semaphore limits them
                keepalive_timeout=KEEPALIVE_EXPIRY,
                ssl=self._ssl_context or environment.ssl_context(origin),
            )
        address = URL.build(scheme=scheme, host=host, port=url.port)
        target = aiohttp.ClientRequest("GET", address, loop=loop, proxy=None if proxy is None else URL(proxy))
        self._targets[url.scheme, url.host, url.port] = target
        return target

    async def aclose(self) -> None:
        """Close all connections."""
        if self._connector is not None:
            await self._connector.close()


@functools.lru_cache(maxsize=4)
def _timeout(seconds: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=seconds)


class _Connector(aiohttp.TCPConnector):
    """The pool of connections, which reports when it connects."""

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        peer = req.proxy or req.url
        await _TRACE.get()("connection.connect_tcp.started", {"host": peer.host, "port": peer.port})
        return await super()._create_connection(req, traces, timeout)


async def _body(request: httpcore.Request) -> bytes:
    content = request.stream
    if isinstance(content, messages.Content):
        return content.body
    assert isinstance(content, AsyncIterable)
    return b"".join([chunk async for chunk in content])


def _written(request: httpcore.Request, body: bytes) -> bytes:
    """Return the bytes of a request. Raises `httpx.LocalProtocolError` for a header with a line end."""
    lines = [b"%b %b HTTP/1.1" % (request.method, request.url.target)]
    lines += [b"%b: %b" % header for header in request.headers if header[0].lower() not in _FRAMING]
    if body or request.method != b"GET":
        lines.append(b"content-length: %d" % len(body))
    head = b"\r\n".join(lines)
    if head.count(b"\r") != len(lines) - 1 or head.count(b"\n") != len(lines) - 1:
        raise httpx.LocalProtocolError("a header with a line end")
    return b"%b\r\n\r\n%b" % (head, body)


async def _exchange(
    connection: Connection, written: bytes, seconds: float | None
) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """Send a request and read the head of its response."""
    protocol, stream = connection.protocol, connection.transport
    if protocol is None or stream is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        read_timeout=seconds,
        max_field_size=messages.LARGEST_HEAD,  # that of one header; `headers_of` checks them in all
    )
    stream.write(written)
    protocol.start_timeout()
    message, payload = await protocol.read()
    while 100 <= message.code < 200 and message.code != 101:
        message, payload = await protocol.read()
    return message, payload


class _Body(httpx.AsyncByteStream):
    """The unread body of a response. If it is closed before its end, the connection is closed."""

    def __init__(self, connection: Connection, payload: aiohttp.StreamReader) -> None:
        self._connection = connection
        self._payload = payload

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._payload.readany()
        except _FAILURES as error:
            failure = _failure(error)
        else:
            if not chunk:
                self._connection.release()
                raise StopAsyncIteration
            return chunk
        raise failure

    async def aclose(self) -> None:
        self._connection.close()


def _failure(error: Exception) -> httpx.TransportError:
    """Return an error of aiohttp as one of httpx, without it as the cause, as it may hold headers."""
    text = type(error).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # Not the proxy's own text, which may repeat the password.
        text = f"{error.status} {http.client.responses.get(error.status, '')}".strip()
    failure = next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))(text)
    if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, aiohttp.ClientError):
        failure.__cause__ = error.__cause__
    return failure
