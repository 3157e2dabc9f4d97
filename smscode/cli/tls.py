"""Checks the TLS of the service, without a request."""

from __future__ import annotations

import ssl
import time
from typing import cast
from urllib.parse import urlsplit

import httpcore
from attrs import frozen

from .._http import failures, tcp
from .._http.environment import ssl_context

_PATIENCE = 10.0  # seconds
_DAY = 86_400  # seconds


@frozen
class TlsConnection:
    """The protocol of a connection, and the days until the certificate expires."""

    protocol: str
    days_left: int


def inspect(base_url: str) -> TlsConnection:
    """Make a TLS connection to an https address, within 10 seconds, and close it.

    Raises OSError (`ssl.SSLError` is one) if it cannot be made.
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
        return TlsConnection(secured.version() or "", int((ends - time.time()) // _DAY))
