"""A lane: an httpx transport of one connection. By hand in both flavours with equal names."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpcore
import httpx

KEEPALIVE_EXPIRY: Final = 30.0
"""Seconds that a connection is kept without use: longer than a poll interval, so that polling does not
reconnect each time."""

_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY)


class AsyncTransportLane(httpx.AsyncHTTPTransport):
    """One connection, for one request at a time."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None, now: Callable[[], float]) -> None:
        super().__init__(verify=context, proxy=proxy, limits=_LIMITS)

    def until(self, deadline: float) -> None:
        """Do nothing: whoever sends on this lane is cancelled at its deadline."""

    @property
    def clean(self) -> bool:
        """Whether the connection holds nothing that a next request could take for its answer."""
        return not _left_over(self._pool.connections)


class TransportLane(httpx.HTTPTransport):
    """One connection, for one request at a time, that keeps to a deadline by itself.

    httpx's time limits are for each read, so a server that drips can hold a thread for as long as it
    likes; here every read may take only what is left of the whole.
    """

    def __init__(self, context: ssl.SSLContext, proxy: str | None, now: Callable[[], float]) -> None:
        super().__init__(verify=context, proxy=proxy, limits=_LIMITS)
        self._deadline = _Deadline(now)
        # httpx has no argument for the network backend of the pool that it makes.
        pool: Any = self._pool
        pool._network_backend = _DeadlineBackend(pool._network_backend, self._deadline)

    def until(self, deadline: float) -> None:
        """Let nothing on this connection take longer than until then."""
        self._deadline.at = deadline

    @property
    def clean(self) -> bool:
        """Whether the connection holds nothing that a next request could take for its answer."""
        return not _left_over(self._pool.connections)


def _left_over(connections: Iterable[object]) -> bool:
    """Tell whether bytes came after the end of an answer.

    A server or proxy that sends one answer too many would otherwise answer the next request with it.
    """
    for connection in connections:
        inner: Any = connection
        while inner is not None and not hasattr(inner, "_h11_state"):
            inner = getattr(inner, "_connection", None)
        if inner is not None and inner._h11_state.trailing_data[0]:
            return True
    return False


class _Deadline:
    def __init__(self, now: Callable[[], float]) -> None:
        self.at = float("inf")
        self._now = now

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        remaining = self.at - self._now()
        if remaining <= 0:
            raise error("the deadline of the call has passed")
        if remaining == float("inf"):
            return timeout
        return remaining if timeout is None else min(timeout, remaining)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, deadline: _Deadline) -> None:
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return _DeadlineStream(stream, self._deadline)
