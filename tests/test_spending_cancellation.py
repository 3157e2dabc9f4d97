"""A spending limit and purchases that end anywhere: what is counted is never less than what was charged."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from smscode import AsyncClient, SpendingLimit, SpendingLimitError
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox

from .test_purchase_cancellation import Steps

pytestmark = pytest.mark.anyio
PRICE, CAP = 15_000, 15_600  # of the product, in rupiah, and what a purchase may cost


class Lossy(httpx.AsyncBaseTransport):
    """Carries out each request, and loses the answer to every second purchase."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = Steps(sandbox, 2)
        self._purchases = itertools.count()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith("/create") and next(self._purchases) % 2 == 0:
            raise httpx.ReadError("lost")
        return response


def charged(sandbox: Sandbox) -> int:
    return -sum(entry.amount for entry in sandbox.ledger if entry.order_id is not None)


async def left_of(client: AsyncClient, limit: int) -> int:
    """Return what a limit leaves, as the refusal of a purchase names it."""
    with pytest.raises(SpendingLimitError) as refused:
        await client.orders.create(catalog_product_id=87, max_price="9999")
    assert refused.value.left is not None
    return refused.value.left


async def end_anywhere(sandbox: Sandbox, journal: SQLiteJournal | None, steps: int, limit: int) -> bool:
    """Buy twice and cancel that after so many turns; return whether it was over before."""
    over = False
    spending = SpendingLimit(total=f"{limit / 16_250}")
    client = AsyncClient(sandbox.token, transport=Lossy(sandbox), journal=journal, spending=spending)

    async def buy() -> None:
        nonlocal over
        for _ in range(2):
            with contextlib.suppress(SpendingLimitError):
                await client.orders.create(catalog_product_id=87, max_price="0.96")
        over = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(buy)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    spent = charged(sandbox)
    assert spent <= limit
    assert limit - await left_of(client, limit) >= spent
    return over


@pytest.mark.parametrize("stored", [False, True])
async def test_a_purchase_that_is_cancelled_anywhere_counts_at_least_what_it_cost(
    stored: bool, tmp_path: Path
) -> None:
    limit = 2 * 16_250
    for steps in itertools.chain(range(0, 150, 5), (200 * 2**more for more in itertools.count())):
        sandbox = Sandbox(otp_after=None)
        path = tmp_path / f"{steps}.db"
        if not stored:
            over = await end_anywhere(sandbox, None, steps, limit)
        else:
            with SQLiteJournal(path) as journal:
                over = await end_anywhere(sandbox, journal, steps, limit)
            before = charged(sandbox)
            with SQLiteJournal(path) as journal:  # the next process, after the first one has ended
                over = await end_anywhere(sandbox, journal, 10_000 if over else steps, limit) and over
            assert before <= charged(sandbox) <= limit
        if over:
            break
