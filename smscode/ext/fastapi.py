"""What a FastAPI application needs (extra ``fastapi``): a client, answers to errors, a webhook endpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, TypeAlias, cast

from .. import errors
from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.api import arguments
from ..errors import ConfigurationError, SmscodeError
from ._webhook_listeners import DEFAULT_PATH, Callback
from .asgi import webhook_app

try:
    from fastapi import APIRouter, Depends, FastAPI
    from fastapi.responses import JSONResponse
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

ERROR_STATUSES: Mapping[type[SmscodeError], HTTPStatus] = MappingProxyType(
    {
        errors.NotFoundError: HTTPStatus.NOT_FOUND,
        errors.ConflictError: HTTPStatus.CONFLICT,
        errors.CancelTooEarlyError: HTTPStatus.CONFLICT,
        errors.RequestInProgressError: HTTPStatus.CONFLICT,
        errors.IdempotencyKeyReuseError: HTTPStatus.CONFLICT,
        errors.NoOfferAvailableError: HTTPStatus.CONFLICT,
        errors.PurchaseTooOldError: HTTPStatus.CONFLICT,
        errors.OrderTerminalError: HTTPStatus.GONE,
        errors.PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        errors.InvalidArgumentError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.ValidationError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.ProviderError: HTTPStatus.BAD_GATEWAY,
        errors.APIError: HTTPStatus.BAD_GATEWAY,
        errors.InvalidResponseError: HTTPStatus.BAD_GATEWAY,
        errors.NetworkError: HTTPStatus.BAD_GATEWAY,
        errors.RateLimitError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.TempBannedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.InsufficientBalanceError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.ServiceUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.FxRateUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.JournalError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.RequestTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
        errors.OtpTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
        errors.UnauthorizedError: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.ForbiddenError: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.SmscodeError: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The HTTP status that `add_error_handlers` answers with, by class; a class without one has its base's."""


def lifespan(
    make: Callable[[], AsyncClient] = AsyncClient,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, AsyncClient]]]:
    """Return a lifespan that opens one client for an application and closes it at the end.

    >>> app = FastAPI(lifespan=lifespan(lambda: AsyncClient(journal="orders.db")))

    ``make`` is called once in each process, when the application starts; by default the token is read from
    SMSCODE_TOKEN. Endpoints get the client as `ClientDep`; it is also in ``app.state.smscode``. A lifespan of
    your own opens it with ``async with lifespan()(app) as state``, and yields that state.

    When the application starts, it raises what ``make`` raises, such as `ConfigurationError` without a token,
    and `InvalidArgumentError` if the result is not an `AsyncClient`.
    """

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
    status = next(ERROR_STATUSES[base] for base in type(error).__mro__ if base in ERROR_STATUSES)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("A request was answered with %d", status, exc_info=error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return JSONResponse({"detail": status.phrase}, status)
    wait = error.retry_after
    body = {
        "detail": error.message,
        "error": type(error).__name__,
        "outcome": error.outcome,
        "retry_after": wait,
        "idempotency_key": error.idempotency_key,
    }
    return JSONResponse(body, status, None if wait is None else {"Retry-After": str(math.ceil(wait))})


def webhook_router(
    *to: AsyncClient | Client | Callback, secret: str | Sequence[str], path: str = DEFAULT_PATH
) -> APIRouter:
    """Return a router whose only route receives the account's webhooks at ``path``.

    ``to`` and ``secret`` are those of `smscode.ext.asgi.webhook_app`. For the client of `lifespan`, pass a
    function: ``async def notify(event): app.state.smscode.notify(event)``. The route is not in the
    application's OpenAPI document, because only the service calls it.

    Raises `InvalidArgumentError` like `webhook_app`.
    """
    endpoint = webhook_app(*to, secret=secret)
    return APIRouter(routes=[Route(path, endpoint, include_in_schema=False)])
