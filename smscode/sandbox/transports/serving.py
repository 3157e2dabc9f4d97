"""The sandbox over TCP, in a thread with its own event loop; by default on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from ..._platform import LONGEST_WAIT, wait
from ...errors import ConfigurationError
from ..http.app import App
from .asgi import HANG_UP, asgi_app
from .hosts import Hosts, url_of

if TYPE_CHECKING:
    import uvicorn

_LONGEST_SLEEP: Final = 0.1
_KEEP_ALIVE: Final = 75


@frozen
class Server:
    """The URL and port of a served sandbox."""

    url: str
    port: int


def _make_server(app: App, hosts: Hosts) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError:
        raise ConfigurationError(
            'Serving the sandbox needs uvicorn: pip install "smscode-async[sandbox]"'
        ) from None
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """uvicorn's HTTP/1.1 protocol, with connections that the sandbox can close without an answer."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            serve_whole = self.app

            async def serve_or_hang_up(scope: Any, receive: Any, send: Any) -> None:
                scope.setdefault("extensions", {})[HANG_UP] = self.transport.close
                await serve_whole(scope, receive, send)

            self.app = serve_or_hang_up

    # The sandbox sends its own dates and request ids. The logging of the program is left as it is.
    return uvicorn.Server(
        uvicorn.Config(
            asgi_app(app, hosts),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
        )
    )


async def _tick(app: App) -> None:
    """Run the scheduled steps when they are due, so that webhooks are sent without any request."""
    while True:
        exchange = app.tick()
        if exchange.deliveries:
            await asyncio.to_thread(app.complete, exchange)
        left = app.until_due()
        await asyncio.sleep(_LONGEST_SLEEP if left is None else min(max(left, 0.001), _LONGEST_SLEEP))


async def _main(server: uvicorn.Server, listener: socket.socket, app: App, ready: threading.Event) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ticking = asyncio.create_task(_tick(app))
    # This attribute is uvicorn's only sign of having started.
    while not (server.started or serving.done()):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    ready.set()
    await asyncio.wait((serving, ticking), return_when=asyncio.FIRST_COMPLETED)
    # Either uvicorn was asked to stop, or the ticker ended because a webhook function raised.
    server.should_exit = True
    await serving
    if ticking.done():
        await ticking
    ticking.cancel()


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on the first address of a host. Raises OSError if it cannot listen."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return socket.create_server(address[:2], family=family, backlog=2048)


@contextmanager
def serve(app: App, port: int, hosts: Sequence[str]) -> Generator[Server]:
    """Serve a sandbox on the first of ``hosts`` in a ``with`` block; port 0 takes any free one."""
    server = _make_server(app, Hosts(hosts))
    with _listen(hosts[0], port) as listener:
        # Inherited by every connection: an answer is sent as a head and a body, and the body must not
        # wait until the head is acknowledged. asyncio sets it only for sockets created with IPPROTO_TCP.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound: int = listener.getsockname()[1]
        ready = threading.Event()
        failures: list[Exception] = []

        def run() -> None:
            try:
                asyncio.run(_main(server, listener, app, ready))
            except Exception as error:
                failures.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="smscode-sandbox", daemon=True)
        thread.start()
        wait(ready)
        if failures:
            raise failures[0]
        try:
            yield Server(url_of(hosts[0], bound), bound)
        finally:
            server.should_exit = True
            while thread.is_alive():
                thread.join(LONGEST_WAIT)
        if failures:
            raise failures[0]
