"""The sandbox as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from ..http.app import BODY_LIMIT, App, ConnectionLost
from ..http.waiting import complete_async
from .hosts import Hosts

# ASGI passes untyped mappings; what is taken out of them is given its type at once.
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HANG_UP: Final = "smscode.sandbox.hang_up"
"""The extension of the scope by which the sandbox's own server closes a connection without an answer."""


async def _read(receive: Receive) -> bytes | None:
    """Read a request's body, of a body over the limit no more than tells that; None: it broke off."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece: bytes = message.get("body", b"")
        if len(body) <= BODY_LIMIT:
            body += piece
        if not message.get("more_body", False):
            return bytes(body)


def _host(scope: Scope) -> str | None:
    raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for name, value in raw_headers if name == b"host"), None)


async def _break(scope: Scope, receive: Receive, send: Send) -> None:
    """Break the connection, before a byte of the answer where the server is the sandbox's own.

    Any other server can only be made to break it in the middle of an answer.
    """
    hang_up: Callable[[], None] | None = scope.get("extensions", {}).get(HANG_UP)
    if hang_up is not None:
        hang_up()
        await receive()  # which gives that the connection is gone, as soon as it is
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    raise ConnectionResetError("The sandbox loses this answer")


async def _refuse(send: Send) -> None:
    """Refuse a request whose ``Host`` is not the sandbox's."""
    body = b"This sandbox does not answer to that Host: name it with --host, or serve(host=...).\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def asgi_app(app: App, hosts: Hosts | None = None) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application of a sandbox; it serves HTTP and nothing else.

    Without ``hosts`` it answers to any ``Host``: that is the matter of whoever serves it.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"The sandbox serves HTTP and no {scope['type']}")
        if hosts is not None and not hosts.admit(_host(scope)):
            await _refuse(send)
            return
        body = await _read(receive)
        if body is None:
            return
        path: str = scope["path"]
        raw_path: bytes = scope.get("raw_path") or quote(path).encode()
        query: bytes = scope["query_string"]
        raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        method: str = scope["method"]
        target = raw_path.decode("latin-1") + "?" + query.decode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw_headers}
        try:
            response = await complete_async(app, app.begin(method, target, headers, body))
        except ConnectionLost:
            await _break(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": [(name.encode(), value.encode()) for name, value in response.headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": response.body})

    return serve
