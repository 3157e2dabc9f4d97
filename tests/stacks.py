"""Tests over another HTTP stack: ``pytest --http httpx2`` or ``--http aiohttp``, for every test alike.

Clients that connect by themselves then do so by that stack. With httpx2, the transports and clients of httpx
that tests bring are reached through httpx2, too. With aiohttp they are as ever, because there is nothing of
the kind; tests with threads and on trio keep httpx, because aiohttp has neither.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import httpx
import pytest
import sniffio

from smscode._async import own_transport as async_own
from smscode._http import families
from smscode._http.stacks import STACKS, AsyncStack, Stack, StackName
from smscode._sync import own_transport as sync_own
from smscode.sandbox.transports.transport import SandboxTransport

VARIABLE = "SMSCODE_TEST_HTTP"

only_httpx = pytest.mark.skipif(
    os.environ.get(VARIABLE, "httpx") != "httpx", reason="the libraries for tests stand in for httpx only"
)


def chosen() -> StackName:
    """Return the stack that the tests run over; programs that a test starts read the same variable."""
    return next(name for name in STACKS if name == os.environ.get(VARIABLE, "httpx"))


def use_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the chosen stack in place of httpx in all clients of a test."""
    name = chosen()
    if name == "httpx":
        return
    real_async, real_sync = AsyncStack._opener, Stack._opener

    def opener(stack: AsyncStack, http: StackName) -> Callable[..., Any]:
        if http != "httpx" or name != "aiohttp":
            return real_async(stack, name if http == "httpx" else http)

        def open_here(*arguments: Any) -> Any:
            here: StackName = "aiohttp" if sniffio.current_async_library() == "asyncio" else "httpx"
            return real_async(stack, here)(*arguments)

        return open_here

    monkeypatch.setattr(AsyncStack, "_opener", opener)
    if name == "httpx2":

        def sync_opener(stack: Stack, http: StackName) -> Callable[..., Any]:
            return real_sync(stack, name if http == "httpx" else http)

        monkeypatch.setattr(Stack, "_opener", sync_opener)
        for module in (async_own, sync_own):
            client = module.__name__.replace("own_transport", "client")
            monkeypatch.setattr(f"{client}.own_handler", _through_httpx2(module.own_handler))


def _through_httpx2(real: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def own_handler(transport: Any, http_client: Any) -> Any:
        if type(transport).__module__.startswith("httpx2"):
            return real(transport, http_client)
        handler = real(transport, http_client)
        if transport is not None:
            handler._family = families.family("httpx2")
            if not isinstance(transport, SandboxTransport):
                handler._transport = Bridge(transport)
        return handler

    return own_handler


class Bridge:
    """A transport of httpx as one of httpx2."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._httpx2 = families.family("httpx2").http

    def handle_request(self, request: Any) -> Any:
        try:
            return self._response(self._inner.handle_request(self._request(request, request.read())))
        except httpx.HTTPError as error:
            raise self._error(error) from error

    async def handle_async_request(self, request: Any) -> Any:
        try:
            made = self._request(request, await request.aread())
            return self._response(await self._inner.handle_async_request(made))
        except httpx.HTTPError as error:
            raise self._error(error) from error

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _request(self, request: Any, body: bytes) -> httpx.Request:
        address, headers = str(request.url), request.headers.raw
        return httpx.Request(
            request.method, address, headers=headers, content=body, extensions=request.extensions
        )

    def _response(self, response: httpx.Response) -> Any:
        library, inner = self._httpx2, response.stream

        class Stream(library.AsyncByteStream, library.SyncByteStream):  # type: ignore[misc, name-defined]
            def __iter__(self) -> Iterator[bytes]:
                return iter(cast(Any, inner))

            def __aiter__(self) -> AsyncIterator[bytes]:
                return aiter(cast(Any, inner))

            def close(self) -> None:
                cast(Any, inner).close()

            async def aclose(self) -> None:
                await cast(Any, inner).aclose()

        return library.Response(response.status_code, headers=response.headers.raw, stream=Stream())

    def _error(self, error: httpx.HTTPError) -> Exception:
        class_: type[Exception] = getattr(self._httpx2, type(error).__name__)
        return class_(str(error))
