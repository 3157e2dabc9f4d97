"""A look at the service's TLS, apart from any request."""

from __future__ import annotations

import ssl
import time
from typing import cast
from urllib.parse import urlsplit

import httpcore
from attrs import frozen

from .._http import failures, tcp
from .._http.environment import ssl_context

_PATIENCE = 10.0
_DAY = 86_400


@frozen
class Secured:
    """A connection as it was made: the protocol, and the days that the certificate is still good for."""

    protocol: str
    days_left: int


def look(base_url: str) -> Secured:
    """Make a TLS connection to an https address, and drop it.

    Raises OSError, of which `ssl.SSLError` is one, when there is no such connection.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    left = tcp.countdown(_PATIENCE)
    try:
        plain = tcp.connect(host, parts.port or 443, left)
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise OSError(failures.reason(error) or str(error)) from error
    plain.settimeout(_PATIENCE)
    with plain, ssl_context(base_url).wrap_socket(plain, server_hostname=host) as secured:
        certificate = cast(dict[str, str], secured.getpeercert())
        ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        return Secured(secured.version() or "", int((ends - time.time()) // _DAY))
