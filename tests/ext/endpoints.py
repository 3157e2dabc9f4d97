"""The four kinds of webhook endpoint, driven alike: a reply is had when the sender has it."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import aiohttp
import anyio
from aiohttp import web
from anyio.abc import TaskGroup
from attrs import frozen
from fastapi import FastAPI

from smscode.ext.aiohttp import add_webhook
from smscode.ext.asgi import webhook_app as asgi_webhook_app
from smscode.ext.fastapi import webhook_router
from smscode.ext.wsgi import WebhookApp as WsgiApp
from smscode.ext.wsgi import webhook_app as wsgi_webhook_app
from smscode.webhooks import SIGNATURE_HEADER, sign

SECRET = "the account's secret"
PATH = "/smscode-webhook"


@frozen
class Reply:
    status: int
    headers: dict[str, str]
    text: str


class Endpoint(Protocol):
    async def request(
        self, method: str, headers: Sequence[tuple[str, str]], pieces: Sequence[bytes]
    ) -> Reply: ...


async def post(endpoint: Endpoint, body: bytes, *signatures: str, secret: str = SECRET) -> Reply:
    """Send a delivery, signed unless signatures are given."""
    headers = [(SIGNATURE_HEADER, value) for value in signatures or [sign(body, secret)]]
    return await endpoint.request("POST", [*headers, ("Content-Length", str(len(body)))], [body])


class AsgiEndpoint:
    """Runs every request in a task of the server's, as ASGI servers do."""

    def __init__(self, app: Callable[..., Any], tasks: TaskGroup) -> None:
        self._app = app
        self._tasks = tasks
        self.asked = 0

    async def request(
        self, method: str, headers: Sequence[tuple[str, str]], pieces: Sequence[bytes]
    ) -> Reply:
        left = list(pieces)
        start: dict[str, Any] = {}
        text = bytearray()
        done = anyio.Event()

        async def receive() -> dict[str, Any]:
            self.asked += 1
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            text.extend(message["body"])
            done.set()

        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        scope = {
            "type": "http",
            "method": method,
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": raw,
        }
        self._tasks.start_soon(self._app, scope, receive, send)
        with anyio.fail_after(10):
            await done.wait()
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], answered, text.decode())


class WsgiEndpoint:
    def __init__(self, app: WsgiApp) -> None:
        self._app = validator(app)

    async def request(
        self, method: str, headers: Sequence[tuple[str, str]], pieces: Sequence[bytes]
    ) -> Reply:
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "QUERY_STRING": ""}
        environ["wsgi.input"] = io.BytesIO(b"".join(pieces))
        setup_testing_defaults(environ)
        environ["wsgi.input_terminated"] = True
        for name, value in headers:
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        length = environ.pop("HTTP_CONTENT_LENGTH", None)
        if length is not None:
            environ["CONTENT_LENGTH"] = length
        started: list[tuple[int, dict[str, str]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started.append((int(status[:3]), dict(headers)))

        result = self._app(environ, start_response)
        text = b"".join(result)
        result.close()  # type: ignore[attr-defined]  # the validator's iterator has it
        return Reply(*started[0], text.decode())


class AiohttpEndpoint:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def request(
        self, method: str, headers: Sequence[tuple[str, str]], pieces: Sequence[bytes]
    ) -> Reply:
        async def body() -> AsyncGenerator[bytes]:
            for piece in pieces:
                yield piece

        request = self._http.request(method, self._url, headers=headers, data=body() if any(pieces) else None)
        async with request as response:
            return Reply(response.status, dict(response.headers), await response.text())


KINDS = ["asgi", "fastapi", "aiohttp", "wsgi"]


@asynccontextmanager
async def endpoint(kind: str, *to: Any, secret: str | Sequence[str] = SECRET) -> AsyncGenerator[Endpoint]:
    """Run an endpoint; at the end of the block it stops as its server would stop it."""
    if kind == "wsgi":
        wsgi = wsgi_webhook_app(*to, secret=secret)
        try:
            yield WsgiEndpoint(wsgi)
        finally:
            wsgi.close()
    elif kind == "aiohttp":
        server = web.Application()
        add_webhook(server, *to, secret=secret)
        runner = web.AppRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with aiohttp.ClientSession() as http:
                yield AiohttpEndpoint(http, f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}")
        finally:
            await runner.cleanup()
    else:
        app: Any = asgi_webhook_app(*to, secret=secret)
        if kind == "fastapi":
            app = FastAPI()
            app.include_router(webhook_router(*to, secret=secret))
        async with anyio.create_task_group() as tasks:
            yield AsgiEndpoint(app, tasks)
