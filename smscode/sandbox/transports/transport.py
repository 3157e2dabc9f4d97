"""The sandbox as a transport of httpx and httpx2, without sockets, for sync and async clients."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio.lowlevel
import httpx

from ..._http import families
from ...core.api.call import Response
from ..http.app import App, ConnectionLost, Exchange
from ..http.waiting import REAL_TIME, AnswerTimeout, AnswerTiming, complete, complete_async


def _library(request: object) -> Any:
    """Return the module, httpx or httpx2, of a request: the answer has to be of the same."""
    family = families.of(request, "Request")
    return httpx if family is None else family.http


def _response(response: Response, request: httpx.Request) -> httpx.Response:
    library = _library(request)
    # A stream, like a response from a socket: a client may read it raw or in pieces.
    stream = library.ByteStream(response.body)
    made: httpx.Response = library.Response(
        response.status_code, headers=dict(response.headers), stream=stream
    )
    return made


def _read_timeout(request: httpx.Request) -> float | None:
    """Return the read timeout of a request in seconds, None for none."""
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeouts.get("read")


def _broken(failure: AnswerTimeout | ConnectionLost, request: httpx.Request) -> httpx.TransportError:
    """Return the exception that a network failure would raise instead of an answer."""
    library = _library(request)
    broken: httpx.TransportError
    if isinstance(failure, AnswerTimeout):
        broken = library.ReadTimeout("The answer took too long", request=request)
    else:
        broken = library.RemoteProtocolError(
            "Server disconnected without sending a response.", request=request
        )
    return broken


class SandboxTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers the requests of an `httpx.Client` or `httpx.AsyncClient`, or of httpx2's, from a sandbox.

    As on a network, an answer that takes longer than the request's read timeout raises
    `httpx.ReadTimeout`, and one that is lost `httpx.RemoteProtocolError`; the request still takes effect.
    ``origin`` identifies the sandbox in the clients' rate limits, which count by service and token.
    """

    def __init__(self, app: App, timing: AnswerTiming = REAL_TIME) -> None:
        self.app = app
        self.timing = timing
        self.origin: str = uuid4().hex

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a sync client."""
        exchange = self._begin(request, request.read())
        try:
            return _response(complete(self.app, exchange, _read_timeout(request), self.timing), request)
        except (AnswerTimeout, ConnectionLost) as failure:
            raise _broken(failure, request) from None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an async client."""
        body = await request.aread()
        # Let other tasks run here, as they do while a real request is being sent.
        await anyio.lowlevel.checkpoint()
        exchange = self._begin(request, body)
        try:
            answer = await complete_async(self.app, exchange, _read_timeout(request), self.timing)
            return _response(answer, request)
        except (AnswerTimeout, ConnectionLost) as failure:
            raise _broken(failure, request) from None

    def _begin(self, request: httpx.Request, body: bytes) -> Exchange:
        # Not through httpx's mapping, which joins and decodes every header on each access.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}
        return self.app.begin(request.method, request.url.raw_path.decode("ascii"), headers, body)
