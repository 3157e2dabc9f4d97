"""The sandbox as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from ..http.app import BODY_LIMIT, App, ConnectionLost
from ..http.waiting import complete_async
from .hosts import Hosts

# ASGI passes untyped mappings; each value taken from them gets its type at once.
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HANG_UP: Final = "smscode.sandbox.hang_up"
"""The extension of the scope with which the sandbox's own server closes a connection without an answer."""
_WRONG_HOST: Final = b"This sandbox does not answer to that Host: name it with --host, or serve(host=...).\n"


def _headers(scope: Scope) -> list[tuple[str, str]]:
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]


async def _read_body(receive: Receive) -> bytes | None:
    """Return a request's body, only the beginning if it is over the limit; None if the client disconnects."""
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


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def _break(scope: Scope, receive: Receive, send: Send) -> None:
    """Break the connection: on the sandbox's own server before any byte of the answer.

    Any other server can only be made to break it in the middle of an answer.
    """
    hang_up: Callable[[], None] | None = scope.get("extensions", {}).get(HANG_UP)
    if hang_up is not None:
        hang_up()
        await receive()  # returns as soon as the connection is closed
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    raise ConnectionResetError("The sandbox loses this answer")


def asgi_app(app: App, hosts: Hosts | None = None) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application of a sandbox; it serves HTTP and nothing else.

    Without ``hosts`` it answers to any ``Host``: checking that is then up to the server.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"The sandbox serves HTTP and no {scope['type']}")
        if hosts is not None and not hosts.admit(
            next((value for name, value in _headers(scope) if name == "host"), None)
        ):
            length = str(len(_WRONG_HOST))
            await _answer(send, 421, {"content-type": "text/plain", "content-length": length}, _WRONG_HOST)
            return
        body = await _read_body(receive)
        if body is None:
            return
        path: str = scope["path"]
        raw_path: bytes = scope.get("raw_path") or quote(path).encode()
        query: bytes = scope["query_string"]
        method: str = scope["method"]
        target = raw_path.decode("latin-1") + "?" + query.decode("latin-1")
        try:
            response = await complete_async(app, app.begin(method, target, dict(_headers(scope)), body))
        except ConnectionLost:
            await _break(scope, receive, send)
            return
        await _answer(send, response.status_code, response.headers, response.body)

    return serve
