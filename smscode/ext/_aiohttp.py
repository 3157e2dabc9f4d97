"""An httpx transport that lets aiohttp send, on asyncio only.

The httpx-aiohttp package does that, too, but gives a connection that breaks in the middle of an exchange
as a time-out while connecting, so that a purchase which may have been made would count as not sent, and
lets aiohttp repeat requests by itself. Here neither happens.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, cast

import httpcore
import httpx

from .. import _http
from .._lanes import KEEPALIVE_EXPIRY, AsyncLaneTransport
from ..errors import ConfigurationError

try:
    import aiohttp
except ImportError as error:
    raise ConfigurationError('aiohttp is missing: pip install "smscode-async[aiohttp]"') from error

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

# The first that fits; the rest of aiohttp's errors is an answer that cannot be one.
_MEANINGS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientOSError, httpx.ReadError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)


class _Tell(Protocol):
    """Takes the events that httpcore would report, by which it is known whether a request was sent."""

    async def __call__(self, event: str, info: Mapping[str, object]) -> None: ...


_TELL: ContextVar[_Tell] = ContextVar("smscode_aiohttp_tell")


def transport(
    *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> httpx.AsyncBaseTransport:
    """Make a transport for ``AsyncClient(transport=...)`` that sends with aiohttp, on asyncio only.

    ``ssl_context`` are other TLS settings than httpx's own, ``proxy`` is the URL of an HTTP proxy; None
    takes the one that the environment names. Make one for each client, which closes it. It has as many
    connections as the client lets requests through at once (``max_connections``).

    Importing this without the ``aiohttp`` extra raises `ConfigurationError`, and so does the first call
    on trio or through a proxy that does not speak HTTP.
    """
    return _Transport(ssl_context, proxy)


async def _ignore(event: str, info: Mapping[str, object]) -> None:
    """Take the events of a request whose sender does not want them."""


class _Transport(AsyncLaneTransport):
    """What any httpx client can use; a client of this package goes straight to the lane below."""

    def __init__(self, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
        self.lane = _Lane(ssl_context, proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request as httpx has it."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        response = await self.lane.handle_async_request(
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
        await self.lane.aclose()


class _Lane:
    bounded = True

    def __init__(self, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request, once; a redirect is an answer like others, and the body comes as it was sent."""
        session = self._session or self._open(request.url)
        extensions = _http.extensions_of(request)
        limits: Mapping[str, float | None] = extensions.get("timeout", {})
        tell: _Tell = extensions.get("trace", _ignore)
        stream = cast("AsyncIterable[bytes]", request.stream)
        before = _TELL.set(tell)
        try:
            response = await session.request(
                request.method.decode("ascii"),
                bytes(request.url).decode("ascii"),
                headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers],
                data=b"".join([chunk async for chunk in stream]) or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=limits.get("connect"), sock_read=limits.get("read")),
            )
        finally:
            _TELL.reset(before)
        await tell("http11.receive_response_headers.complete", {})
        return httpcore.Response(response.status, headers=response.raw_headers, content=_Body(response))

    def _open(self, url: httpcore.URL) -> aiohttp.ClientSession:
        address = f"{url.scheme.decode('ascii')}://{url.host.decode('ascii')}"
        proxy = self._proxy or _http.environment_proxy(address)
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise ConfigurationError("aiohttp only speaks to HTTP proxies: leave its transport out.")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("aiohttp only runs on asyncio: leave its transport out.") from None
        connector = _Connector(
            limit=0,  # the client's own gate stands in front
            keepalive_timeout=KEEPALIVE_EXPIRY,
            ssl=self._ssl_context or _http.ssl_context(address),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            middlewares=[_once],
            proxy=proxy,
        )
        return self._session

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """The pool of connections, which says when it connects and when a request is about to be written."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Give a connection on which nothing waits that could be taken for the answer."""
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        try:
            await _TELL.get()("http11.send_request_headers.started", {})
        except BaseException:
            connection.close()
            raise
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        await _TELL.get()("connection.connect_tcp.started", {})
        return await super()._create_connection(req, traces, timeout)


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request, and name its failure before aiohttp sees it, which repeats GETs."""
    try:
        return await send(request)
    except aiohttp.ClientError as error:
        failure = _failure(error)
    raise failure


class _Body(httpx.AsyncByteStream):
    """What is left to read of an answer. Closing it early closes its connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except aiohttp.ClientError as error:
            failure = _failure(error)
        else:
            if not chunk:
                raise StopAsyncIteration
            return chunk
        raise failure

    async def aclose(self) -> None:
        self._response.close()


def _failure(error: aiohttp.ClientError) -> httpx.TransportError:
    """Say an error in httpx's words. aiohttp's own holds the request's headers, so it is no cause."""
    failure = next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))(type(error).__name__)
    if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, aiohttp.ClientError):
        failure.__cause__ = error.__cause__
    return failure
