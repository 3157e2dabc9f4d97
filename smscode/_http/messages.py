"""What both flavours share at the seam to HTTP: httpx's values in, this package's values out."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Literal, cast
from urllib.parse import urlencode

import httpcore
import httpx

from .. import _version
from .._concurrency import STREAM_ERRORS
from ..core.api.call import Request, Response
from ..core.decoding.body import BodyError
from ..core.flow import Failure
from ..core.purchases.states import Doubt
from ..core.ratelimit.limiter import Lease
from ..core.settings import SecretText, Settings
from ..core.timeouts import Timeouts
from ..errors import ConfigurationError, SmscodeError
from . import failures
from .environment import environment_proxy as environment_proxy
from .environment import ssl_context as ssl_context
from .failures import forget_frames as forget_frames

LARGEST_BODY = 16 * 1024 * 1024  # a full page of 10,000 products is about 4 MB
LARGEST_HEAD = (
    64 * 1024
)  # what lies below looks at the size of headers only now and then, or has other limits

_SHORTEST_SECRET = 8

_BROKEN: tuple[type[Exception], ...] = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpx.TransportError,
    httpx.DecodingError,
    ssl.SSLError,
    OSError,
    *STREAM_ERRORS,
)

_NEVER_SENT = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.ProxyError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_NEVER_POSSIBLE = (
    httpcore.LocalProtocolError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeEncodeError,
)
_TIMED_OUT = (TimeoutError, httpcore.TimeoutException, httpx.TimeoutException)
_FIRST_BYTE = ".send_request_headers.started"  # of http11, or of http2 in a caller's own transport
_ANSWERED = ".receive_response_headers.complete"
PROXY_REFUSED = (httpcore.ProxyError, httpx.ProxyError)
_CONNECTING = frozenset(
    {
        "connection.connect_tcp.started",
        "connection.connect_unix_socket.started",
        "socks.connect_tcp.started",
    }
)


class SendProgress:
    """How far an exchange got, by the events of the connection below httpx.

    A transport that reports no events leaves only the kind of exception to judge by, so a request
    given to one counts as sent until something else is known.
    """

    def __init__(
        self, doubt: Doubt, lease: Lease | None = None, origin: httpcore.Origin | None = None
    ) -> None:
        """Follow an exchange; its first byte raises ``doubt`` and marks the ``lease`` as sent.

        ``origin`` is the service: a connection to anything else goes to a proxy.
        """
        self._doubt = doubt
        self._lease = lease
        self._before = doubt.raised
        self._noted = False
        self._sent = False
        self._connected = False
        self._answered = False
        self._service = failures.address(origin.host, origin.port) if origin is not None else ""
        self._peer = ""
        self._tunnel = False
        self._own = False
        self._proxy_secrets: tuple[str, ...] = ()

    def begin(self, *, reports: bool) -> None:
        """Return the request to a transport that surely reports events, or perhaps does not."""
        self._own = reports
        if not reports:
            self._mark(sent=True, doubtful=True)

    def note(self, event: str, info: Mapping[str, object]) -> None:
        """Note an event; those of a proxy's CONNECT are not about the request itself."""
        if not self._noted:
            self._noted = True
            self._mark(sent=False, doubtful=self._before)
        if event in _CONNECTING:
            self._connected = True
            self._peer = failures.address(info.get("host"), info.get("port"))
        elif event.endswith(_ANSWERED):
            self._answered = True
        elif event.endswith(_FIRST_BYTE):
            request = info.get("request")
            if getattr(request, "method", None) == b"CONNECT":
                self._note_proxy(getattr(request, "headers", ()))
            else:
                self._sent = True
                self._mark(sent=True, doubtful=True)

    def _note_proxy(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep what a proxy was told in confidence, to take it out of what the proxy answers."""
        self._tunnel = True
        for name, value in headers:
            if name.lower() == b"proxy-authorization":
                self._proxy_secrets = failures.proxy_secrets(value)

    def _mark(self, *, sent: bool, doubtful: bool) -> None:
        self._doubt.raised = doubtful
        if sent and self._doubt.forbidden is not None:
            raise self._doubt.forbidden  # before the first byte
        if self._lease is not None:
            self._lease.sent = sent

    def refused(self, error: SmscodeError) -> Failure:
        """Return what an error of this package from below means for the request: trying again cannot help."""
        if error.outcome != "not_sent":
            return Failure("transport failed", error.message, raised=error)
        self._mark(sent=False, doubtful=self._before)
        return Failure("cannot be sent", error.message, raised=error)

    def failure(self, error: Exception) -> Failure:
        """Return what an exception means for the request."""
        if isinstance(error, BodyError):
            return Failure(error.failure_kind, error.reason)
        if isinstance(error, _NEVER_POSSIBLE):
            # No cause: these exceptions quote the headers, and the token is one of them.
            return Failure("cannot be sent", f"The request cannot be sent ({type(error).__name__}).")
        forget_frames(error)
        refusal = self._refusal(error)
        failures.silence(error, self._proxy_secrets)
        if not isinstance(error, _BROKEN):
            if self._noted and not self._sent:
                return self._unusable(error)
            # A defect below, or in a caller's own transport or hooks: trying again cannot help.
            return Failure("transport failed", f"The transport failed ({type(error).__name__}).", cause=error)
        distrust = failures.distrust(error)
        if distrust is not None and not self._sent:
            why = f": {distrust}" if distrust else ""
            return Failure(
                "cannot be sent", f"The service's certificate cannot be verified{why}.", cause=error
            )
        timed_out = isinstance(error, _TIMED_OUT)
        reason = failures.reason(error)
        why = f": {reason}" if reason else ""
        when = " in time" if timed_out else ""
        if not self._sent if self._noted else isinstance(error, _NEVER_SENT):
            said = f"No connection{self._where}{when}{why} ({type(error).__name__})."
            return Failure("not sent", refusal or said, timed_out, error)
        reused = self._noted and not self._connected and not self._answered and not timed_out
        kind: Literal["kept-alive connection broke", "connection broke"] = (
            "kept-alive connection broke" if reused else "connection broke"
        )
        return Failure(kind, f"No answer{when}{why} ({type(error).__name__}).", timed_out, error)

    def _unusable(self, error: Exception) -> Failure:
        """Return what a defect before the first byte means, such as an event loop that cannot connect."""
        self._mark(sent=False, doubtful=self._before)
        *_, first = failures.causes(error)
        message = (
            f"No connection can be made here ({type(first).__name__}): the transport, or the event loop that "
            "it runs on, cannot be used."
        )
        if not self._own:
            return Failure("cannot be sent", message, cause=error)
        raised = ConfigurationError(message)
        raised.__cause__ = error
        return Failure("cannot be sent", message, raised=raised)

    @property
    def _where(self) -> str:
        """What no connection was made to, as far as that is known."""
        if not self._peer:
            return f" to {self._service}" if self._service else ""
        if not self._service or self._peer == self._service:
            return f" to {self._peer}"
        return f" {'through' if self._tunnel else 'to'} the proxy {self._peer}"

    def _refusal(self, error: Exception) -> str:
        """Return what a proxy refuses, empty if that is not what happened."""
        if not isinstance(error, PROXY_REFUSED):
            return ""
        answer = failures.proxy_answer(error, self._proxy_secrets)
        proxy = f"The proxy {self._peer}" if self._peer else "The proxy"
        return f"{proxy} refuses ({answer})." if answer else ""


class Content(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A request's body, for both flavours. httpx's own is a generator, which complains when abandoned."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._left = [body] if body else []

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._left)

    def __aiter__(self) -> Content:
        return Content(self.body)

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Url(httpcore.URL):
    """The configured address with another target; what is the same for all is looked up once."""

    def __init__(self, base: httpcore.URL, origin: httpcore.Origin, target: bytes) -> None:
        self.scheme, self.host, self.port = base.scheme, base.host, base.port
        self.target = target
        self._origin = origin

    @property
    def origin(self) -> httpcore.Origin:
        return self._origin


class _Prepared(httpcore.Request):
    """A request whose parts are surely of the right types: httpcore's own constructor looks at each."""

    def __init__(
        self,
        method: bytes,
        url: httpcore.URL,
        headers: list[tuple[bytes, bytes]],
        content: Content,
        extensions: dict[str, object],
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.stream = content
        self.extensions = extensions


class LaneResponse(httpcore.Response):
    """A response whose parts are surely of the right types: httpcore's own constructor looks at each."""

    def __init__(
        self, status: int, headers: list[tuple[bytes, bytes]], stream: Iterable[bytes] | AsyncIterable[bytes]
    ) -> None:
        self.status = status
        self.headers = headers
        self.stream = stream
        self.extensions = {}


class Translator:
    """Between this package's values and those of httpx's stack, for the configured address.

    It is the only place where the token is added, and where it is taken out of an answer that echoes it.
    What is the same for all requests is made once.
    """

    def __init__(self, settings: Settings, timeouts: Timeouts) -> None:
        url = httpx.URL(settings.base_url)
        self._url = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port)
        self.origin = self._url.origin
        self._path = url.raw_path.rstrip(b"/")
        self._secret = settings.token.secret
        self._shown = SecretText(self._secret.decode("ascii"))
        self._named = SecretText(self._shown.lower())  # names of headers are in lower case
        self._timeouts = timeouts
        self._own_headers = [
            (b"host", url.netloc),
            (b"accept-encoding", b"gzip"),
            (b"user-agent", f"{_version.DISTRIBUTION}/{_version.VERSION}".encode("ascii")),
            (b"authorization", settings.token.header),
        ]

    def request(
        self, request: Request, remaining: float, trace: object, *, bounded: bool = False
    ) -> httpcore.Request:
        """Make a request that may take ``remaining`` seconds and reports its events to ``trace``.

        Where the exchange is ``bounded`` as a whole, its steps have no limits that would come to the same.
        """
        target = request.path if not request.query else f"{request.path}?{urlencode(request.query)}"
        url = _Url(self._url, self.origin, self._path + target.encode("ascii"))
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers]
        headers += self._own_headers
        body = request.body or b""
        if request.method != "GET":
            headers.append((b"content-length", b"%d" % len(body)))
        rest = math.inf if bounded else max(remaining, 0.001)
        read = _limit(self._timeouts.read, remaining, rest)
        timeout = {
            "connect": _limit(self._timeouts.connect, remaining, rest),
            "read": read,
            "write": read,
            "pool": _limit(math.inf, remaining, rest),
        }
        extensions = {"timeout": timeout, "trace": trace}
        return _Prepared(request.method.encode("ascii"), url, headers, Content(body), extensions)

    def response(
        self, status: int, headers: Mapping[str, str], body: bytes, received_at: datetime
    ) -> Response:
        """Turn what came into a response of plain values."""
        # A toy token, as short as a word of the answer, would take that out, too.
        if len(self._secret) >= _SHORTEST_SECRET:
            if body.find(self._secret) >= 0:
                body = body.replace(self._secret, b"[removed]")
            if any(self._shown in value or self._named in name for name, value in headers.items()):
                headers = {
                    name.replace(self._named, "removed"): value.replace(self._shown, "[removed]")
                    for name, value in headers.items()
                }
        return Response(status, headers, body, received_at)


def _limit(seconds: float, remaining: float, rest: float) -> float | None:
    """Limit a step to what is set, or to the ``rest`` where that comes first; None for no limit."""
    least = seconds if seconds < remaining else rest
    return None if math.isinf(least) else least


def extensions_of(request: httpcore.Request) -> MutableMapping[str, Any]:
    """Return a request's time limits and trace, which httpcore annotates only in part."""
    untyped: Any = request
    return cast("MutableMapping[str, Any]", untyped.extensions)


def headers_of(response: httpcore.Response) -> dict[str, str]:
    """Return the headers by their names in lower case; values of the same name are joined.

    Raises `httpcore.RemoteProtocolError` if they are larger than `LARGEST_HEAD` together.
    """
    headers: dict[str, str] = {}
    size = 0
    for raw_name, raw_value in response.headers:
        size += len(raw_name) + len(raw_value)
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if size > LARGEST_HEAD:
        raise httpcore.RemoteProtocolError("the headers are too large")
    return headers


def for_caller(request: httpcore.Request) -> httpx.Request:
    """Write a request as a caller's own httpx client or transport takes it."""
    url = request.url
    address = httpx.URL(
        scheme=url.scheme.decode("ascii"),
        host=url.host.decode("ascii"),
        port=url.port,
        raw_path=url.target,
    )
    assert isinstance(request.stream, Content)
    made = httpx.Request(
        request.method.decode("ascii"),
        address,
        headers=request.headers,
        content=request.stream.body or None,
        extensions=dict(extensions_of(request)),
    )
    made.stream = request.stream
    return made
