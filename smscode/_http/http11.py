"""HTTP/1.1 on one connection, without waiting: bytes come in and go out. h11 knows the protocol."""

from __future__ import annotations

from collections.abc import Sequence

import h11

from .messages import HttpRequest
from .stack_errors import LocalProtocolError, RemoteProtocolError

READ = 64 * 1024
"""How many bytes are read at once, at most."""

_LARGEST_EVENT = 100 * 1024  # a head that is not complete yet; `messages.headers_of` checks complete ones


class Http11:
    """The exchanges of one connection, one after the other.

    ``clean`` is True if the last one was complete in both directions, so that another one may follow. If
    bytes came after the end of an answer, the next request would get them as its own.
    """

    def __init__(self) -> None:
        self.clean = False
        self._cut = False
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_EVENT)

    def request(self, request: HttpRequest) -> bytes:
        """Return the bytes of a request. Raises `LocalProtocolError` if it breaks the rules of HTTP."""
        self.clean = False
        try:
            head = h11.Request(method=request.method, target=request.target, headers=request.headers)
            written = self._h11.send(head) or b""
            if request.body:
                written += self._h11.send(h11.Data(data=request.body)) or b""
            return written + (self._h11.send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(str(error)) from error

    def cut(self) -> None:
        """Note that the request could not be written completely. The server may have answered before."""
        self._cut = True

    def receive(self, data: bytes) -> None:
        """Take what was read, b"" for the end of the connection."""
        if not data and self._h11.their_state is h11.SEND_RESPONSE:
            raise RemoteProtocolError("the connection was closed without an answer")
        self._h11.receive_data(data)

    def head(self) -> tuple[int, Sequence[tuple[bytes, bytes]]] | None:
        """Return status and headers of the answer, None if more has to be read before."""
        try:
            event = self._h11.next_event()
            while isinstance(event, h11.InformationalResponse):  # the server says that it is at work
                event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(str(error)) from error
        return (event.status_code, event.headers.raw_items()) if isinstance(event, h11.Response) else None

    def body(self) -> bytes | None:
        """Return the next bytes of the answer's body, b"" at its end, None if more has to be read before."""
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(str(error)) from error
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE and not self._cut:
            self._h11.start_next_cycle()
            self.clean = not any(self._h11.trailing_data)
        return b""
