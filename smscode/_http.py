"""What both flavours share at the seam to HTTP: httpx's values in, this package's values out."""

from __future__ import annotations

import math
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime
from urllib.parse import urlencode, urlsplit

import httpx

from . import _version
from ._concurrency import STREAM_ERRORS
from .core.flow import Failure
from .core.inflate import BodyError
from .core.settings import Settings
from .core.timeouts import Timeouts
from .core.wire import Request, Response

LARGEST_BODY = 64 * 1024 * 1024  # a full page of 10,000 products is about 4 MB
KEEPALIVE_EXPIRY = 30.0  # longer than a poll interval, so that polling does not reconnect each time

BROKEN: tuple[type[Exception], ...] = (
    httpx.TransportError,
    httpx.InvalidURL,
    ssl.SSLError,
    OSError,
    UnicodeEncodeError,
    BodyError,
    *STREAM_ERRORS,
)
"""What an exchange may fail with; anything else is a defect and is not caught."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NEVER_POSSIBLE = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeEncodeError)
_FIRST_BYTE = "send_request_headers.started"


class Progress:
    """How far an exchange got, by the events of the connection below httpx.

    A transport that reports no events leaves only the kind of exception to judge by.
    """

    def __init__(self) -> None:
        self.reported = False
        self.sent = False

    def note(self, event: str, info: Mapping[str, object]) -> None:
        """Take in an event; those of a proxy's CONNECT are not about the request itself."""
        self.reported = True
        if event.endswith(_FIRST_BYTE) and getattr(info.get("request"), "method", None) != b"CONNECT":
            self.sent = True

    def failure(self, error: Exception) -> Failure:
        """Say what an exception means for the request."""
        if isinstance(error, BodyError):
            return Failure("ambiguous" if error.truncated else "unreadable", f"{_sentence(error)}.")
        if isinstance(error, _NEVER_POSSIBLE):
            # No cause: these exceptions quote the headers, and the token is one of them.
            return Failure("local", f"The request cannot be sent ({type(error).__name__}).")
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            return Failure("local", "The service's certificate cannot be verified.", cause=error)
        timed_out = isinstance(error, (TimeoutError, httpx.TimeoutException))
        unsent = not self.sent if self.reported else isinstance(error, _NEVER_SENT)
        what = "No answer in time" if timed_out else "No answer came"
        if unsent:
            what = "No connection in time" if timed_out else "No connection"
        reason = f"{what} ({type(error).__name__})."
        return Failure("not_sent" if unsent else "ambiguous", reason, timed_out, error)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


class RequestFactory:
    """Makes httpx requests for the configured address: the only place where the token is added."""

    def __init__(self, settings: Settings, timeouts: Timeouts) -> None:
        self._base_url = settings.base_url
        self._timeouts = timeouts
        self._own_headers = [
            (b"accept-encoding", b"gzip"),
            (b"user-agent", f"{_version.DISTRIBUTION}/{_version.VERSION}".encode("ascii")),
            (b"authorization", settings.token.header),
        ]

    def make(self, request: Request, remaining: float, trace: object) -> httpx.Request:
        """Make a request that may take ``remaining`` seconds and reports its events to ``trace``."""
        url = self._base_url + request.path
        if request.query:
            url = f"{url}?{urlencode(request.query)}"
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers]
        remaining = max(remaining, 0.001)
        limits = {
            "connect": min(self._timeouts.connect, remaining),
            "read": min(self._timeouts.read, remaining),
            "write": min(self._timeouts.read, remaining),
            "pool": remaining,
        }
        timeout = {step: None if math.isinf(seconds) else seconds for step, seconds in limits.items()}
        return httpx.Request(
            request.method,
            url,
            headers=headers + self._own_headers,
            content=request.body,
            extensions={"timeout": timeout, "trace": trace},
        )


def response_of(response: httpx.Response, body: bytes, received_at: datetime) -> Response:
    """Turn httpx's response and its body into plain values."""
    return Response(response.status_code, dict(response.headers.items()), body, received_at)


def environment_proxy(base_url: str) -> str | None:
    """Give the proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY ...)."""
    parts = urlsplit(base_url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    # Many environments name it without a scheme, as curl allows; httpx does not.
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def ssl_context(base_url: str) -> ssl.SSLContext:
    """Make the TLS settings for an address; loading the certificates is left out where none is used."""
    if base_url.startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
