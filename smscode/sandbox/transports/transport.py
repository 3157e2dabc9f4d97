"""The sandbox as an httpx transport: no sockets, and one object for both kinds of client."""

from __future__ import annotations

from uuid import uuid4

import anyio.lowlevel
import httpx

from ...core.api.call import Response
from ..http.app import App, ConnectionLost
from ..http.waiting import REAL_PACE, AnswerPace, TooSlow, complete, complete_async


def _response(response: Response) -> httpx.Response:
    # As a stream, like a response from a socket: a client may read it raw or by pieces.
    return httpx.Response(
        response.status_code, headers=dict(response.headers), stream=httpx.ByteStream(response.body)
    )


def _target(request: httpx.Request) -> str:
    return request.url.raw_path.decode("ascii")


def _headers(request: httpx.Request) -> dict[str, str]:
    # Not by way of httpx's mapping, which joins and decodes every header anew.
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}


def _patience(request: httpx.Request) -> float | None:
    """Return the seconds that a request waits for its answer, None for any number."""
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts.get("read")


def _broken(failure: TooSlow | ConnectionLost, request: httpx.Request) -> httpx.TransportError:
    """Return what a network raises in place of an answer."""
    if isinstance(failure, TooSlow):
        return httpx.ReadTimeout("The answer took too long", request=request)
    return httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)


class SandboxTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers the requests of an `httpx.Client` or `httpx.AsyncClient` out of a sandbox.

    As on a network, an answer that takes longer than the request's read timeout raises
    `httpx.ReadTimeout`, and one that is lost `httpx.RemoteProtocolError`; what was asked for still
    happens. ``origin`` tells sandboxes apart for the clients' rate limits, which count by service and token.
    """

    def __init__(self, app: App, pace: AnswerPace = REAL_PACE) -> None:
        self.app = app
        self.pace = pace
        self.origin: str = uuid4().hex

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a sync client."""
        exchange = self.app.begin(request.method, _target(request), _headers(request), request.read())
        try:
            return _response(complete(self.app, exchange, _patience(request), self.pace))
        except (TooSlow, ConnectionLost) as failure:
            raise _broken(failure, request) from None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an async client."""
        body = await request.aread()
        # Other tasks get their turn here, as they do while a real request is on its way.
        await anyio.lowlevel.checkpoint()
        exchange = self.app.begin(request.method, _target(request), _headers(request), body)
        try:
            return _response(await complete_async(self.app, exchange, _patience(request), self.pace))
        except (TooSlow, ConnectionLost) as failure:
            raise _broken(failure, request) from None
