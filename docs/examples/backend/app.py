"""A shop for codes: FastAPI in several workers, one client in each, webhooks, and Redis between them.

Start it with SMSCODE_TOKEN, SMSCODE_WEBHOOK_SECRET and REDIS_URL in the environment::

    WEB_CONCURRENCY=2 uvicorn app:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from smscode import (
    AsyncClient,
    ConflictError,
    InsufficientBalanceError,
    NoOfferAvailableError,
    NotFoundError,
    OrderTerminalError,
    OtpTimeoutError,
    RateLimits,
    SmscodeError,
)
from smscode.ext.fastapi import webhook_router
from smscode.ext.relay import AsyncEventRelay
from smscode.webhooks import Event

REDIS_URL = os.environ["REDIS_URL"]
SECRET = os.environ["SMSCODE_WEBHOOK_SECRET"]
WORKERS = int(os.environ.get("WEB_CONCURRENCY", "1"))  # what uvicorn goes by, too
PATIENCE = 20.0  # seconds that a customer's request waits for a code before it is told to ask again


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with (
        AsyncClient(rate_limits=RateLimits(redis=REDIS_URL, redis_fallback=1 / WORKERS)) as client,
        AsyncEventRelay(REDIS_URL, client, secret=SECRET) as relay,
    ):
        app.state.client, app.state.relay = client, relay
        yield


app = FastAPI(lifespan=lifespan)


def _client(request: Request) -> AsyncClient:
    client: AsyncClient = request.app.state.client
    return client


Smscode = Annotated[AsyncClient, Depends(_client)]


async def tell(event: Event) -> None:
    """Pass a webhook on: the wait for it may be in any of the workers."""
    relay: AsyncEventRelay = app.state.relay
    await relay.notify(event)


app.include_router(webhook_router(tell, secret=SECRET, path="/smscode-webhook"))


@app.put("/sales/{sale}")
async def rent(sale: str, catalog_product_id: int, client: Smscode) -> dict[str, object]:
    """Rent a number; the same sale never rents two, however often the customer asks."""
    # There is no journal, because there are no books to settle at a restart: a customer whose worker was
    # killed asks again, any worker repeats the purchase under the same key, and an order that no customer
    # asks for expires and is refunded. A shop that holds its customers' money needs journal= and recover().
    created = await client.orders.create(
        catalog_product_id=catalog_product_id, max_price="1.50", idempotency_key=f"sale-{sale}"
    )
    order = created.orders[0]
    return {"order_id": order.id, "phone_number": order.phone_number}


@app.post("/orders/{order_id}/code")
async def take_code(order_id: int, client: Smscode) -> dict[str, object]:
    """Hand the code out, once; 202 with no code yet means to ask again."""
    sms = await client.orders.wait_for_otp(order_id, timeout=PATIENCE)
    # Of all who ask, whoever finishes the order has the code; the others meet a conflict.
    await client.orders.finish(order_id)
    return {"code": sms.code}


@app.delete("/orders/{order_id}")
async def give_back(order_id: int, client: Smscode) -> dict[str, object]:
    """Cancel the order; it is refunded."""
    canceled = await client.orders.cancel(order_id)
    return {"refund": str(canceled.refund_amount)}


@app.get("/health")
async def health() -> dict[str, int]:
    return {"worker": os.getpid()}


STATUSES: dict[type[SmscodeError], int] = {
    OtpTimeoutError: 202,
    NoOfferAvailableError: 404,
    NotFoundError: 404,
    ConflictError: 409,
    OrderTerminalError: 410,
    InsufficientBalanceError: 503,
}


@app.exception_handler(SmscodeError)
async def explain(_: Request, error: SmscodeError) -> JSONResponse:
    """Return the customer what became of it; the request id leads to the details in the service's logs."""
    status = next((known for kind, known in STATUSES.items() if isinstance(error, kind)), 502)
    return JSONResponse({"message": error.message, "request_id": error.request_id}, status)
