"""What an exception from the HTTP stack means for the request, and why the exchange failed, without secrets.

The text of such an exception is not passed on: it may quote headers, URLs with passwords, or what a server
sent. Only parts that are known to be harmless are used.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Literal, cast
from urllib.parse import unquote

from .._concurrency import STREAM_ERRORS
from .._platform import error_text
from ..core.decoding.body import BodyError
from ..core.effects import Failure
from ..core.purchases.doubt import Doubt
from ..core.ratelimit.limiter import Lease
from ..errors import ConfigurationError, SmscodeError
from . import messages
from .messages import Origin
from .stack_errors import StackError

_LONGEST = 120
_STATUS_LINE = re.compile(r"[1-5][0-9]{2}(?: .*)?")
# What httpcore says about a SOCKS proxy; these texts contain nothing of the request.
_SOCKS = re.compile(
    r"Proxy Server could not connect: [A-Za-z -]+|Invalid username/password|Requested [A-Za-z0-9 /,-]+"
)
_QUOTING = ("RemoteProtocolError", "LocalProtocolError")  # of h11, httpcore and httpx
# Their errors have the same names, so neither has to be imported to know what one means.
_FAMILIES = frozenset({"httpx", "httpcore", "httpx2", "httpcore2"})
_LIBRARIES = _FAMILIES | {"smscode", "h11", "anyio", "asyncio", "trio", "ssl", "socket", "aiohttp"}
_HIDDEN = "[removed]"
_BROKEN: tuple[type[Exception], ...] = (StackError, ssl.SSLError, OSError, *STREAM_ERRORS)
_BROKEN_NAMES = frozenset(
    {"NetworkError", "ProtocolError", "ProxyError", "TimeoutException", "TransportError", "DecodingError"}
)
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_NEVER_POSSIBLE = frozenset({"LocalProtocolError", "UnsupportedProtocol", "InvalidURL"})
# In a caller's own transport those of http2 count, too, and those of other connections.
_FIRST_BYTE = messages.FIRST_BYTE.removeprefix("http11")
_ANSWERED = messages.ANSWERED.removeprefix("http11")
_CONNECTING = frozenset(
    {messages.CONNECTING, "connection.connect_unix_socket.started", "socks.connect_tcp.started"}
)
_TEMPORARY: int = getattr(socket, "EAI_AGAIN", 0)


class SendProgress:
    """How far an exchange got, by the trace events of httpcore.

    A caller's own transport may report no events. Then only the class of the exception is known, so a request
    counts as sent unless that class says otherwise. Whoever has the head of the answer sets ``answered``.
    """

    def __init__(self, doubt: Doubt, lease: Lease | None = None, origin: Origin | None = None) -> None:
        """Follow an exchange. Its first byte raises ``doubt``, and marks the ``lease`` as sent.

        ``origin`` is the address of the service: a connection to another address is one to a proxy.
        """
        self._doubt = doubt
        self._lease = lease
        self._before = doubt.raised
        self._noted = False
        self._sent = False
        self._connected = False
        self.answered = False
        self._origin = origin
        self._peer = ""
        self._tunnel = False
        self._own = False
        self._proxy_secrets: tuple[str, ...] = ()

    def begin(self, *, reports: bool) -> None:
        """Start the exchange, on a transport that reports events for certain (``reports``), or perhaps."""
        self._own = reports
        if not reports:
            self._mark(sent=True, doubtful=True)

    def note(self, event: str, info: Mapping[str, object]) -> None:
        """Note a trace event. Those of a CONNECT to a proxy do not concern the request itself."""
        if not self._noted:
            self._noted = True
            self._mark(sent=False, doubtful=self._before)
        if event in _CONNECTING:
            self._connected = True
            self._peer = address(info.get("host"), info.get("port"))
        elif event.endswith(_ANSWERED):
            self.answered = True
        elif event.endswith(_FIRST_BYTE):
            request = info.get("request")
            if getattr(request, "method", None) == b"CONNECT":
                self._note_proxy(getattr(request, "headers", ()))
            else:
                self._sent = True
                self._mark(sent=True, doubtful=True)

    def _note_proxy(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember the credentials that were sent to a proxy, to remove them from its answer."""
        self._tunnel = True
        for name, value in headers:
            if name.lower() == b"proxy-authorization":
                self._proxy_secrets = proxy_secrets(value)

    def _mark(self, *, sent: bool, doubtful: bool) -> None:
        self._doubt.raised = doubtful
        if sent and self._doubt.forbidden is not None:
            raise self._doubt.forbidden  # in time: the first byte is sent after this returns
        if self._lease is not None:
            self._lease.sent = sent

    def refused(self, error: SmscodeError) -> Failure:
        """Return what an error of this package, raised below, means for the request: it is not repeated."""
        if error.outcome != "not_sent":
            return Failure("transport failed", error.message, raised=error)
        self._mark(sent=False, doubtful=self._before)
        return Failure("cannot be sent", error.message, raised=error)

    def failure(self, error: Exception) -> Failure:
        """Return what an exception means for the request."""
        if isinstance(error, BodyError):
            return Failure(error.failure_kind, error.reason)
        names = _names(error)
        if isinstance(error, UnicodeEncodeError) or not names.isdisjoint(_NEVER_POSSIBLE):
            # Without a cause, because these exceptions quote headers, and the token is in one.
            return Failure("cannot be sent", f"The request cannot be sent ({type(error).__name__}).")
        forget_frames(error)
        refusal = self._refusal(error)
        silence(error, self._proxy_secrets)
        if not isinstance(error, _BROKEN) and names.isdisjoint(_BROKEN_NAMES):
            if self._noted and not self._sent:
                return self._unusable(error)
            # A defect, perhaps of the caller's own transport or hooks: it is not repeated.
            return Failure("transport failed", f"The transport failed ({type(error).__name__}).", cause=error)
        distrusted = distrust(error)
        if distrusted is not None and not self._sent:
            why = f": {distrusted}" if distrusted else ""
            return Failure(
                "cannot be sent", f"The service's certificate cannot be verified{why}.", cause=error
            )
        timed_out = isinstance(error, TimeoutError) or "TimeoutException" in names
        system = reason(error)
        why = f": {system}" if system else ""
        when = " in time" if timed_out else ""
        if not self._sent if self._noted else not names.isdisjoint(_NEVER_SENT):
            message = f"No connection{self._where}{when}{why} ({type(error).__name__})."
            return Failure("not sent", refusal or message, timed_out, error)
        reused = self._noted and not self._connected and not self.answered and not timed_out
        kind: Literal["kept-alive connection broke", "connection broke"] = (
            "kept-alive connection broke" if reused else "connection broke"
        )
        return Failure(kind, f"No answer{when}{why} ({type(error).__name__}).", timed_out, error)

    def _unusable(self, error: Exception) -> Failure:
        """Return what a defect before the first byte means, such as an event loop that cannot connect."""
        self._mark(sent=False, doubtful=self._before)
        *_, first = causes(error)
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
        """The address that could not be connected to, as words for a message; empty if it is not known."""
        service = "" if self._origin is None else address(self._origin.host, self._origin.port)
        if not self._peer:
            return f" to {service}" if service else ""
        if not service or self._peer == service:
            return f" to {self._peer}"
        return f" {'through' if self._tunnel else 'to'} the proxy {self._peer}"

    def _refusal(self, error: Exception) -> str:
        """Return the refusal of a proxy as a sentence, empty if no proxy refused."""
        if not proxy_refused(error):
            return ""
        answer = proxy_answer(error, self._proxy_secrets)
        proxy = f"The proxy {self._peer}" if self._peer else "The proxy"
        return f"{proxy} refuses ({answer})." if answer else ""


def _names(error: BaseException) -> frozenset[str]:
    """Return the names of those of an exception's classes that mean what they mean in httpx."""
    return frozenset(
        one.__name__
        for one in type(error).__mro__
        if issubclass(one, StackError) or one.__module__.partition(".")[0] in _FAMILIES
    )


def proxy_refused(error: BaseException) -> bool:
    """Return True if an exception says that the proxy refused, or could not be reached."""
    return "ProxyError" in _names(error)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all its causes and contexts, the members of groups included, each once."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        found = left.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", found).exceptions
        left.append(found.__cause__ or found.__context__)


def forget_frames(error: BaseException) -> None:
    """Remove the frames of the HTTP libraries from the tracebacks of an exception and its causes.

    Their local variables hold the request's bytes, so a traceback printed with local variables would show the
    token. The frames of a caller's own transport stay, so that its defects can be found.
    """
    for cause in causes(error):
        cause.__traceback__ = _without_libraries(cause.__traceback__)


def _without_libraries(frames: TracebackType | None, within: bool = False) -> TracebackType | None:
    """Return frames without those of the libraries, and of what they call in the standard library."""
    if frames is None:
        return None
    module = frames.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    within = module in _LIBRARIES or (within and module in sys.stdlib_module_names)
    rest = _without_libraries(frames.tb_next, within)
    if within:
        return rest
    # An interrupt can come at an instruction without a line.
    line: int | None = frames.tb_lineno
    return TracebackType(
        rest, frames.tb_frame, frames.tb_lasti, line or frames.tb_frame.f_code.co_firstlineno
    )


def reason(error: BaseException) -> str:
    """Return the system's reasons for a failure, empty if there is none.

    Each address of a host may fail for another reason: all of them are named.
    """
    found = [_reason(cause) for cause in causes(error)]
    return ", ".join(dict.fromkeys(said for said in found if said))


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ""  # see `distrust`
    if isinstance(error, ssl.SSLError):
        openssl: str | None = getattr(error, "reason", None)  # only OpenSSL's own errors have it
        return f"TLS: {openssl.replace('_', ' ').lower()}" if openssl else ""
    if isinstance(error, socket.gaierror):
        return "name cannot be looked up now" if error.errno == _TEMPORARY else "name not known"
    # Not the exception's own text, which may be that of a caller's own transport.
    return error_text(error.errno) if isinstance(error, OSError) and error.errno else ""


def distrust(error: BaseException) -> str | None:
    """Return why a certificate was refused, None if none was refused."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            message: str = getattr(cause, "verify_message", "")
            return _clean(message)
    return None


def proxy_answer(error: BaseException, secrets: Iterable[str]) -> str:
    """Return a proxy's answer, such as "407 Proxy Authentication Required", without the secrets."""
    text = str(error)
    if not (_STATUS_LINE.fullmatch(text) or _SOCKS.match(text)):
        return ""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return _clean(text)


def silence(error: BaseException, secrets: Iterable[str]) -> None:
    """Remove from an exception and its causes what a server or proxy sent, as it may repeat a secret."""
    for cause in causes(error):
        if type(cause).__name__ in _QUOTING and cause.args:
            cause.args = (_clean(str(cause).partition(":")[0]),)
        elif type(cause).__name__ == "ProxyError" and cause.args:
            cause.args = (proxy_answer(cause, secrets),)


def proxy_secrets(authorization: bytes) -> tuple[str, ...]:
    """Return the credentials of a ``Proxy-Authorization`` header in all their forms, the longest first."""
    encoded = authorization.decode("latin-1").rpartition(" ")[2]
    try:
        plain = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        plain = ""
    user, _, password = plain.partition(":")
    forms = {encoded, plain, user, password, *map(unquote, (user, password))}
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))


def _clean(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:_LONGEST].strip()


def address(host: object, port: object) -> str:
    """Return ``host:port``, with brackets around an IPv6 address; empty if the host is not known."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or not host:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if isinstance(port, int) else shown
