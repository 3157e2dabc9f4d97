"""The sandbox as an httpx transport: no sockets, and one object for both kinds of client."""

from __future__ import annotations

import anyio.lowlevel
import anyio.to_thread
import httpx

from ..core.wire import Response
from .app import App


def _response(response: Response) -> httpx.Response:
    # As a stream, like a response from a socket: a client may read it raw or by pieces.
    return httpx.Response(
        response.status_code, headers=dict(response.headers), stream=httpx.ByteStream(response.body)
    )


def _target(request: httpx.Request) -> str:
    return request.url.raw_path.decode("ascii")


class SandboxTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers the requests of an `httpx.Client` or `httpx.AsyncClient` out of a sandbox."""

    def __init__(self, app: App) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a sync client."""
        return _response(self._app.handle(request.method, _target(request), request.headers, request.read()))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an async client."""
        body = await request.aread()
        # Other tasks get their turn here, as they do while a real request is on its way.
        await anyio.lowlevel.checkpoint()
        exchange = self._app.begin(request.method, _target(request), request.headers, body)
        if exchange.blocking:
            return _response(
                await anyio.to_thread.run_sync(self._app.complete, exchange, abandon_on_cancel=True)
            )
        return _response(self._app.complete(exchange))
