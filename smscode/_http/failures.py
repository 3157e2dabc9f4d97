"""Why an exchange failed, in words that hold no secret: the host, the system's reason, a proxy's answer.

The text of an exception from below is not passed on as it is: it may quote headers, URLs with passwords, or
what a server sent. Only what is known to be harmless is taken out of it.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import cast
from urllib.parse import unquote

_LONGEST = 120
_STATUS_LINE = re.compile(r"[1-5][0-9]{2}(?: .*)?")
# What httpcore says of a SOCKS proxy; these texts hold nothing of the request.
_SOCKS = re.compile(
    r"Proxy Server could not connect: [A-Za-z -]+|Invalid username/password|Requested [A-Za-z0-9 /,-]+"
)
_QUOTING = ("RemoteProtocolError", "LocalProtocolError")  # of h11, httpcore and httpx
_LIBRARIES = frozenset(
    {"smscode", "httpx", "httpcore", "h11", "anyio", "asyncio", "trio", "ssl", "socket", "aiohttp"}
)
_HIDDEN = "[removed]"
_TEMPORARY: int = getattr(socket, "EAI_AGAIN", 0)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it, the members of groups included, each once."""
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
    """Drop the frames of the HTTP libraries from an exception and its causes.

    Their local variables hold the request's bytes: whoever prints tracebacks with local variables would
    print the token with them. The frames of a caller's own transport stay, to find its defects by.
    """
    for cause in causes(error):
        cause.__traceback__ = _without_libraries(cause.__traceback__)


def _without_libraries(frames: TracebackType | None) -> TracebackType | None:
    if frames is None:
        return None
    rest = _without_libraries(frames.tb_next)
    if frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        return rest
    return TracebackType(rest, frames.tb_frame, frames.tb_lasti, frames.tb_lineno)


def reason(error: BaseException) -> str:
    """Return what the system says of a failure; empty where it says nothing.

    A host with several addresses may fail in several ways: all of them are named.
    """
    found = [_reason(cause) for cause in causes(error)]
    return ", ".join(dict.fromkeys(said for said in found if said))


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ""  # see `distrust`
    if isinstance(error, ssl.SSLError):
        told: str | None = getattr(error, "reason", None)  # only OpenSSL's own errors have it
        return f"TLS: {told.replace('_', ' ').lower()}" if told else ""
    if isinstance(error, socket.gaierror):
        return "name cannot be looked up now" if error.errno == _TEMPORARY else "name not known"
    # Not the exception's own text, which may be a caller's.
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""


def distrust(error: BaseException) -> str | None:
    """Return why a certificate was refused, None if that is not what happened."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            message: str = getattr(cause, "verify_message", "")
            return _clean(message)
    return None


def proxy_answer(error: BaseException, secrets: Iterable[str]) -> str:
    """Return what a proxy answered, such as "407 Proxy Authentication Required", without the secrets."""
    text = str(error)
    if not (_STATUS_LINE.fullmatch(text) or _SOCKS.match(text)):
        return ""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return _clean(text)


def silence(error: BaseException, secrets: Iterable[str]) -> None:
    """Remove from an exception and its causes what a server or proxy sent, which may repeat a secret."""
    for cause in causes(error):
        if type(cause).__name__ in _QUOTING and cause.args:
            cause.args = (_clean(str(cause).partition(":")[0]),)
        elif type(cause).__name__ == "ProxyError" and cause.args:
            cause.args = (proxy_answer(cause, secrets),)


def proxy_secrets(authorization: bytes) -> tuple[str, ...]:
    """Return all forms of the user name and password of a ``Proxy-Authorization``, the longest first."""
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
