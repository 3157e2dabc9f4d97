"""Converts between the requests and responses of this package and those of the HTTP stacks."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from attrs import define

from .. import _version
from ..core.api.call import Request, Response
from ..core.settings import SecretText, Settings
from ..core.timeouts import Timeouts
from .families import Family
from .stack_errors import RemoteProtocolError

LARGEST_BODY = 16 * 1024 * 1024  # a full page of 10,000 products is about 4 MB
# h11 checks the size of a head only where it is incomplete, and other stacks have other limits.
LARGEST_HEAD = 64 * 1024

# The events of httpcore that say how far an exchange got. The client's own connections speak HTTP/1.1.
CONNECTING: Final = "connection.connect_tcp.started"
FIRST_BYTE: Final = "http11.send_request_headers.started"
ANSWERED: Final = "http11.receive_response_headers.complete"

_SHORTEST_SECRET = 8
_PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """The service's address, as it is written on the wire."""

    scheme: bytes
    host: bytes
    port: int


@define(eq=False, repr=False)
class HttpRequest:
    """A request as it goes over the wire. It has no repr of its own, as a header holds the token.

    ``extensions`` are the time limits in seconds and the trace, under the names of httpcore.
    """

    origin: Origin
    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    extensions: dict[str, Any]


class Content:
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

    def close(self) -> None:
        """Do nothing: it is in memory."""

    async def aclose(self) -> None:
        """Do nothing: it is in memory."""


class Translator:
    """Makes the requests for the configured address, and converts the responses.

    This is the only place where the token is added, and where it is removed from a response that repeats it.
    """

    def __init__(self, settings: Settings, timeouts: Timeouts, user_agent: str | None = None) -> None:
        """Set up; ``user_agent`` is put before this package's own."""
        self.origin, host, self._path = _address(settings.base_url)
        own = f"{_version.DISTRIBUTION}/{_version.VERSION}"
        self._secret = settings.token.secret
        self._shown = SecretText(self._secret.decode("ascii"))
        self._named = SecretText(self._shown.lower())  # for the names of headers, which are in lower case
        self._timeouts = timeouts
        self._own_headers = [
            (b"host", host),
            (b"accept-encoding", b"gzip"),
            (b"user-agent", (own if user_agent is None else f"{user_agent} {own}").encode("ascii")),
            (b"authorization", settings.token.header),
        ]

    def request(
        self, request: Request, remaining: float, trace: object, *, bounded: bool = False
    ) -> HttpRequest:
        """Return a request that may take ``remaining`` seconds, and reports its events to ``trace``.

        If the exchange is ``bounded`` as a whole, its steps only have the limits that end sooner than that.
        """
        target = request.path if not request.query else f"{request.path}?{urlencode(request.query)}"
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
        target_bytes = self._path + target.encode("ascii")
        extensions = {"timeout": timeout, "trace": trace}
        return HttpRequest(self.origin, request.method, target_bytes, headers, body, extensions)

    def response(
        self, status: int, headers: Mapping[str, str], body: bytes, received_at: datetime
    ) -> Response:
        """Return a response without the token, wherever the server repeated it."""
        # A very short token, as in a test, could be a part of any word, so it is not removed.
        if len(self._secret) >= _SHORTEST_SECRET:
            if body.find(self._secret) >= 0:
                body = body.replace(self._secret, b"[removed]")
            if self._shown in "\n".join(headers.values()) or self._named in "\n".join(headers):
                headers = {
                    name.replace(self._named, "removed"): value.replace(self._shown, "[removed]")
                    for name, value in headers.items()
                }
        return Response(status, headers, body, received_at)


def _address(base_url: str) -> tuple[Origin, bytes, bytes]:
    """Return what a checked URL names: where to connect, the value of the ``Host`` header, and the path."""
    parts = urlsplit(base_url)
    host, scheme = parts.hostname or "", parts.scheme
    port = parts.port or _PORTS[scheme]
    shown = f"[{host}]" if ":" in host else host
    header = shown if port == _PORTS[scheme] else f"{shown}:{port}"
    origin = Origin(scheme.encode("ascii"), host.encode("ascii"), port)
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return origin, header.encode("ascii"), path.encode("ascii")


def _limit(seconds: float, remaining: float, rest: float) -> float | None:
    """Return the limit of a step: ``seconds``, or ``rest`` if less time is left; None without a limit."""
    least = seconds if seconds < remaining else rest
    return None if math.isinf(least) else least


def headers_of(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their names in lower case; several values of a name are joined with commas.

    Cookies are left out: they are never used, and can be secrets.

    Raises `RemoteProtocolError` if the headers are larger than `LARGEST_HEAD` in all.
    """
    found: dict[str, str] = {}
    size = 0
    for raw_name, raw_value in headers:
        size += len(raw_name) + len(raw_value)
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name != "set-cookie":
            found[name] = f"{found[name]}, {value}" if name in found else value
    if size > LARGEST_HEAD:
        raise RemoteProtocolError("the headers are too large")
    return found


def for_caller(request: HttpRequest, family: Family) -> Any:
    """Convert a request to httpx's, for a caller's own httpx client or transport."""
    origin, http = request.origin, family.http
    url = http.URL(
        scheme=origin.scheme.decode("ascii"),
        host=origin.host.decode("ascii"),
        port=origin.port,
        raw_path=request.target,
    )
    extensions = dict(request.extensions)
    made = http.Request(
        request.method, url, headers=request.headers, content=request.body or None, extensions=extensions
    )
    made.stream = _content_class(family)(request.body)
    return made


@functools.cache
def _content_class(family: Family) -> type[Content]:
    """Return the class of a body for the clients of a family, which only take their own."""
    bases = (Content, family.http.AsyncByteStream, family.http.SyncByteStream)
    return type("Content", bases, {"__module__": __name__})


class CallersResponse:
    """The response of a caller's own httpx client or transport; its body is still to be read."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers: list[tuple[bytes, bytes]] = response.headers.raw
        self.stream: Any = response.stream

    def close(self) -> None:
        """Stop reading."""
        self.stream.close()

    async def aclose(self) -> None:
        """Stop reading."""
        await self.stream.aclose()
