"""Converts between the requests and responses of this package and those of httpx and httpcore."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

import httpcore
import httpx

from .. import _version
from ..core.api.call import Request, Response
from ..core.settings import SecretText, Settings
from ..core.timeouts import Timeouts

LARGEST_BODY = 16 * 1024 * 1024  # a full page of 10,000 products is about 4 MB
# h11 checks the size of a head only where it is incomplete, and other stacks have other limits.
LARGEST_HEAD = 64 * 1024

_SHORTEST_SECRET = 8


class Content(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A request's body, in both flavours. httpcore's own is a generator, which warns if it is abandoned."""

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


class Translator:
    """Makes the requests for the configured address, and converts the responses.

    This is the only place where the token is added, and where it is removed from a response that repeats it.
    """

    def __init__(self, settings: Settings, timeouts: Timeouts) -> None:
        url = httpx.URL(settings.base_url)
        self._url = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port)
        self.origin = self._url.origin
        self._path = url.raw_path.rstrip(b"/")
        self._secret = settings.token.secret
        self._shown = SecretText(self._secret.decode("ascii"))
        self._named = SecretText(self._shown.lower())  # for the names of headers, which are in lower case
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
        """Return a request that may take ``remaining`` seconds, and reports its events to ``trace``.

        If the exchange is ``bounded`` as a whole, its steps only have the limits that end sooner than that.
        """
        target = request.path if not request.query else f"{request.path}?{urlencode(request.query)}"
        url = httpcore.URL(
            scheme=self._url.scheme,
            host=self._url.host,
            port=self._url.port,
            target=self._path + target.encode("ascii"),
        )
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers]
        headers += self._own_headers
        body = request.body or b""
        if request.method not in ("GET", "HEAD"):
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
        return httpcore.Request(
            request.method, url, headers=headers, content=Content(body), extensions=extensions
        )

    def response(
        self, status: int, headers: Mapping[str, str], body: bytes, received_at: datetime
    ) -> Response:
        """Return a response without the token, wherever the server repeated it."""
        # A very short token, as in a test, could be a part of any word, so it is not removed.
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
    """Return the limit of a step: ``seconds``, or ``rest`` if less time is left; None without a limit."""
    least = seconds if seconds < remaining else rest
    return None if math.isinf(least) else least


def extensions_of(request: httpcore.Request) -> MutableMapping[str, Any]:
    """Return a request's extensions, its time limits and trace, whose type httpcore leaves open."""
    untyped: Any = request
    return cast("MutableMapping[str, Any]", untyped.extensions)


def headers_of(response: httpcore.Response) -> dict[str, str]:
    """Return the headers by their names in lower case; several values of a name are joined with commas.

    Cookies are left out: they are never used, and can be secrets.

    Raises `httpcore.RemoteProtocolError` if the headers are larger than `LARGEST_HEAD` in all.
    """
    headers: dict[str, str] = {}
    size = 0
    for raw_name, raw_value in response.headers:
        size += len(raw_name) + len(raw_value)
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name != "set-cookie":
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if size > LARGEST_HEAD:
        raise httpcore.RemoteProtocolError("the headers are too large")
    return headers


def for_caller(request: httpcore.Request) -> httpx.Request:
    """Convert a request to httpx's, for a caller's own httpx client or transport."""
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


def from_caller(response: httpx.Response) -> httpcore.Response:
    """Convert the response of a caller's own httpx client or transport; its body is still to be read."""
    stream: Any = response.stream
    return httpcore.Response(response.status_code, headers=response.headers.raw, content=stream)
