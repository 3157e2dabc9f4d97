"""What a FastAPI application needs (extra ``fastapi``): a client, answers to errors, a webhook endpoint."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Annotated, TypeAlias, cast

from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.api import arguments
from ..errors import ConfigurationError, InvalidArgumentError, SmscodeError
from ..receiver import WebhookReceiver
from ._webhook_listeners import DEFAULT_PATH, Callback, WebhookListeners
from .asgi import AsgiMessage, AsgiReceive, AsgiSend, WebhookApp, webhook_app
from .error_answers import ERROR_STATUSES, error_answer

try:
    from fastapi import APIRouter, Depends, FastAPI
    from fastapi.responses import JSONResponse
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection
    from starlette.routing import Route
except ImportError as _missing:
    raise ConfigurationError('FastAPI is missing: pip install "smscode-async[fastapi]"') from _missing

__all__ = [
    "ERROR_STATUSES",
    "ClientDep",
    "add_error_handlers",
    "get_client",
    "lifespan",
    "webhook_router",
]

_STATE = "smscode"  # the attribute of the application's state that has the client
_log = logging.getLogger("smscode.fastapi")


def lifespan(
    make: Callable[[], AsyncClient] = AsyncClient,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, AsyncClient]]]:
    """Return a lifespan that opens one client for an application and closes it at the end.

    >>> app = FastAPI(lifespan=lifespan(lambda: AsyncClient(journal="orders.db")))

    ``make`` is called once in each process, when the application starts; by default the token is read from
    SMSCODE_TOKEN. Endpoints get the client as `ClientDep`; it is also in ``app.state.smscode``. A lifespan of
    your own opens it with ``async with lifespan()(app) as state``, and yields that state.

    Raises `InvalidArgumentError` for a client in place of a function that makes one. When the application
    starts, it raises what ``make`` raises, such as `ConfigurationError` without a token, and
    `InvalidArgumentError` if the result is not an `AsyncClient`, or if the parentheses of ``lifespan()`` were
    forgotten.
    """
    if isinstance(cast(object, make), Starlette):  # it calls what it was given, with itself
        raise InvalidArgumentError("lifespan: write FastAPI(lifespan=lifespan()), with its own parentheses.")
    if not callable(make):
        expected = "a function that makes a client, as in lifespan(lambda: AsyncClient(...))"
        raise arguments.wrong("make", expected, make)

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncGenerator[Mapping[str, AsyncClient]]:
        async with arguments.instance("make()", make(), AsyncClient) as client:
            setattr(app.state, _STATE, client)
            yield {_STATE: client}

    return run


async def get_client(connection: HTTPConnection) -> AsyncClient:
    """Return the application's client, as a dependency; `ClientDep` is its short form.

    A test can put another one in its place: ``app.dependency_overrides[get_client] = ...``. Raises
    `ConfigurationError` without `lifespan`.
    """
    for state in (connection.state, connection.app.state):  # the first also in a mounted application
        if hasattr(state, _STATE):
            return cast(AsyncClient, getattr(state, _STATE))
    raise ConfigurationError(
        "This application has no client: create it with FastAPI(lifespan=smscode.ext.fastapi.lifespan())."
    )


ClientDep: TypeAlias = Annotated[AsyncClient, Depends(get_client)]
"""The annotation of a parameter that takes the application's client."""


def add_error_handlers(app: FastAPI) -> None:
    """Answer the errors of this package by the table `ERROR_STATUSES`.

    >>> add_error_handlers(app)

    The body is ``{"detail": message, "error": class, "outcome": ..., "retry_after": ..., "idempotency_key":
    ...}``, with a Retry-After header where the time is known. An error of the application itself, such as a
    wrong token, is answered with 500 and without details. What is answered with 500 or more is logged under
    ``smscode.fastapi``. A handler of yours for one of the classes takes precedence.
    """
    app.add_exception_handler(SmscodeError, _answer_error)


async def _answer_error(connection: HTTPConnection, error: Exception) -> JSONResponse:
    assert isinstance(error, SmscodeError)
    answer = error_answer(error)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("A request was answered with %d", answer.status, exc_info=error)
    return JSONResponse(*answer)


class _LifespanWebhook:
    """The webhook endpoint of the application's own client, which is made after the endpoint."""

    def __init__(self, receiver: WebhookReceiver) -> None:
        self._receiver = receiver

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        client = await get_client(HTTPConnection(scope))
        await WebhookApp(self._receiver, WebhookListeners([client]))(scope, receive, send)


def webhook_router(
    *to: AsyncClient | Client | Callback, secret: str | Sequence[str], path: str = DEFAULT_PATH
) -> APIRouter:
    """Return a router whose only route receives the account's webhooks at ``path``.

    >>> app.include_router(webhook_router(secret=os.environ["SMSCODE_WEBHOOK_SECRET"]))

    Without ``to``, the client of `lifespan` gets the events; if there is none, a delivery fails with
    `ConfigurationError`. Otherwise ``to`` is that of `smscode.ext.asgi.webhook_app`, as is ``secret``. The
    route is not in the application's OpenAPI document, because only the service calls it.

    Raises `InvalidArgumentError` like `webhook_app`, and for a ``path`` that does not begin with ``/``.
    """
    if not str(path).startswith("/"):
        raise InvalidArgumentError("path: expected one that begins with '/', such as '/smscode-webhook'.")
    endpoint = webhook_app(*to, secret=secret) if to else _LifespanWebhook(WebhookReceiver(secret))
    return APIRouter(routes=[Route(path, endpoint, include_in_schema=False)])
