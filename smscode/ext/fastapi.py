"""A webhook endpoint for FastAPI (extra ``fastapi``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._async.client import AsyncClient
from .._sync.client import Client
from ..errors import ConfigurationError
from ._webhook_listeners import DEFAULT_PATH, Callback
from .asgi import webhook_app

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["webhook_router"]


def webhook_router(
    *to: AsyncClient | Client | Callback, secret: str | Sequence[str], path: str = DEFAULT_PATH
) -> APIRouter:
    """Return a router whose only route receives the account's webhooks at ``path``.

    ``to`` and ``secret`` are those of `smscode.ext.asgi.webhook_app`. For a client that is made when the
    application starts, pass a function: ``async def notify(event): app.state.client.notify(event)``. The
    route is not in the application's OpenAPI document, because only the service calls it.

    Raises `ConfigurationError` without the ``fastapi`` extra, and `InvalidArgumentError` like `webhook_app`.
    """
    try:
        from fastapi import APIRouter
        from starlette.routing import Route
    except ImportError:
        raise ConfigurationError(
            'The webhook router needs FastAPI: pip install "smscode-async[fastapi]"'
        ) from None
    endpoint = webhook_app(*to, secret=secret)
    return APIRouter(routes=[Route(path, endpoint, include_in_schema=False)])
