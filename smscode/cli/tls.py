"""Checks the TLS of the service, without a request."""

from __future__ import annotations

import socket
import ssl
import time
from typing import cast
from urllib.parse import urlsplit

from attrs import frozen

from .._http import failures, tcp
from .._http.environment import ssl_context
from .._http.stack_errors import ConnectError, ConnectTimeout

_PATIENCE = 10.0  # seconds
_DAY = 86_400  # seconds


@frozen
class TlsConnection:
    """The protocol of a connection, and the days until the certificate expires."""

    protocol: str
    days_left: int


def connect(base_url: str) -> socket.socket:
    """Connect to an address within 10 seconds, without TLS. Raises OSError if that fails."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        plain = tcp.connect(parts.hostname or "", port, tcp.countdown(_PATIENCE))
    except (ConnectError, ConnectTimeout) as error:
        raise OSError(failures.reason(error) or str(error)) from error
    plain.settimeout(_PATIENCE)
    return plain


def inspect(base_url: str) -> TlsConnection:
    """Make a TLS connection to an https address, within 10 seconds, and close it.

    Raises OSError (`ssl.SSLError` is one) if it cannot be made.
    """
    host, context = urlsplit(base_url).hostname, ssl_context(base_url)
    with connect(base_url) as plain, context.wrap_socket(plain, server_hostname=host) as secured:
        certificate = cast(dict[str, str], secured.getpeercert())
        ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        return TlsConnection(secured.version() or "", int((ends - time.time()) // _DAY))
