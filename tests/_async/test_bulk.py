"""Many numbers by several calls: none too many, and none lost when a call fails."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import httpx
import pytest

from smscode import (
    CancelTooEarlyError,
    ConflictError,
    InvalidArgumentError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    NotFoundError,
    ProviderError,
)
from smscode.sandbox import Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import AsyncScript, body_of, still_sandbox

pytestmark = pytest.mark.anyio

CREATE = "POST /orders/create"
RICH = 10**9


class Interrupted(BaseException):
    """What ends a call from outside, as a cancellation or Ctrl-C does."""


class AsyncFailing(AsyncScript):
    """A sandbox whose answers to some purchases, told by their keys, get lost or interrupt the caller."""

    def __init__(self, sandbox: Sandbox, lost: str = "", interrupting: str = "") -> None:
        super().__init__([], sandbox.transport())
        self.lost = lost
        self.interrupting = interrupting

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        key = request.headers.get("idempotency-key")
        if key == self.lost:
            raise httpx.ReadError("lost")
        if key == self.interrupting:
            raise Interrupted
        return response


async def test_many_numbers_take_as_many_calls_as_needed(version: str) -> None:
    sandbox = still_sandbox(balance=RICH)
    script = AsyncScript([], sandbox.transport())
    client = AsyncVirtualClient(sandbox, transport=script, api_version=version)
    done = await client.orders.create_many(230, catalog_product_id=87, idempotency_key="mine")
    sent = {request.headers["idempotency-key"]: body_of(request)["quantity"] for request in script.requests}
    assert sent == {"mine-1": 100, "mine-2": 100, "mine-3": 30}
    assert [intent.idempotency_key for intent in done.intents] == ["mine-1", "mine-2", "mine-3"]
    assert len({order.id for order in done}) + done.failed_count == 230
    assert (done.errors, client.orders.unresolved()) == ((), ())
    again = await client.orders.create_many(230, catalog_product_id=87, idempotency_key="mine")
    assert [order.id for order in again] == [order.id for order in done]
    assert len(sandbox.ledger) == 1 + len(done)


async def test_one_number_takes_one_call() -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    done = await client.orders.create_many(1, catalog_product_id=87, max_price=Money.idr(20_000))
    assert (len(done), done.failed_count, sandbox.requests[CREATE]) == (1, 0, 1)
    assert len(done.intents[0].idempotency_key) == 32


async def test_a_call_that_fails_takes_nothing_from_the_others() -> None:
    sandbox = still_sandbox(balance=RICH)
    sandbox.fail_next("orders.create", "PROVIDER_ERROR")
    client = AsyncVirtualClient(sandbox)
    done = await client.orders.create_many(130, product_id=142)
    (error,) = done.errors
    assert isinstance(error, ProviderError)
    assert error.idempotency_key in {intent.idempotency_key for intent in done.intents}
    assert done.failed_count == 130 - len(done)
    assert 0 < len(done) == len(sandbox.ledger) - 1


async def test_a_call_in_doubt_is_unresolved_and_can_be_settled() -> None:
    sandbox = still_sandbox(balance=RICH)
    transport = AsyncFailing(sandbox, lost="mine-2")
    client = AsyncVirtualClient(sandbox, transport=transport)
    done = await client.orders.create_many(130, catalog_product_id=87, idempotency_key="mine")
    (error,) = done.errors
    assert isinstance(error, NetworkError)
    assert (error.outcome, error.idempotency_key) == ("unknown", "mine-2")
    (intent,) = client.orders.unresolved()
    transport.lost = ""
    settled = await client.orders.submit(intent)
    assert len(done) + len(settled) == len(sandbox.ledger) - 1


async def test_everything_failing_is_a_result_too() -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    done = await client.orders.create_many(101, catalog_product_id=87, max_price="0.01")
    assert (len(done), done.failed_count) == (0, 101)
    assert [type(error) for error in done.errors] == [NoOfferAvailableError] * 2


class AsyncSlow(AsyncScript):
    """A sandbox of which each request takes a second."""

    runtime: Any = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.runtime.pass_by(1)
        return await super().handle_async_request(request)


@pytest.mark.parametrize(("timeout", "deadlines"), [(None, {1090.0, 1100.0}), (40.0, {1040.0})])
async def test_a_time_that_is_given_is_for_all_calls_together_and_the_clients_limit_for_ten_at_once(
    timeout: float | None, deadlines: set[float]
) -> None:
    sandbox = still_sandbox(balance=RICH)
    slow = AsyncSlow([], sandbox.transport())
    client = AsyncVirtualClient(sandbox, transport=slow)
    slow.runtime = client.runtime
    run, seen = client._driver.run, list[float]()

    async def noted(call: Any, timeout: float | None = None, *rest: Any, **options: Any) -> Any:
        seen.append(options["deadline"])
        return await run(call, timeout, *rest, **options)

    client._driver.run = noted  # type: ignore[method-assign]  # to see what each call may take
    done = await client.orders.create_many(1_001, catalog_product_id=87, timeout=timeout)
    assert len(done) + done.failed_count == 1_001
    assert [body_of(request)["quantity"] for request in slow.requests] == [100] * 10 + [1]
    assert set(seen) == deadlines


async def test_senseless_arguments_are_refused_before_anything_is_sent() -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(InvalidArgumentError, match=r"count: expected an int of 1\.\.10000"):
        await client.orders.create_many(0, catalog_product_id=87)
    with pytest.raises(InvalidArgumentError, match="product_id"):
        await cast(Any, client.orders).create_many(500)
    with pytest.raises(InvalidArgumentError, match="idempotency_key"):
        await client.orders.create_many(1, catalog_product_id=87, idempotency_key="k" * 127)
    assert sum(sandbox.requests.values()) == 0


async def test_an_interruption_leaves_all_that_may_have_bought_unresolved() -> None:
    sandbox = still_sandbox(balance=RICH)
    transport = AsyncFailing(sandbox, interrupting="mine-2")
    client = AsyncVirtualClient(sandbox, transport=transport)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # a group of them, in a task group
        await client.orders.create_many(2500, catalog_product_id=87, idempotency_key="mine")
    assert isinstance(caught.value, Interrupted | BaseExceptionGroup)
    assert {request.headers["idempotency-key"] for request in transport.requests} <= {
        f"mine-{number}" for number in range(1, 11)
    }
    bought = len(sandbox.ledger) - 1
    assert bought > 0
    transport.interrupting = ""
    orders: list[int] = []
    for intent in client.orders.unresolved():
        with suppress(NoOfferAvailableError):  # the stock was used up
            orders += [order.id for order in await client.orders.submit(intent)]
    assert len(set(orders)) == len(sandbox.ledger) - 1 >= bought
    assert client.orders.unresolved() == ()


async def test_several_orders_are_cancelled_and_each_has_its_outcome() -> None:
    sandbox = still_sandbox(otp_after=None, balance=RICH)
    async with AsyncVirtualClient(sandbox) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=12)
        early = await client.orders.cancel_many(created)
        assert [outcome.order_id for outcome in early] == [order.id for order in created]
        assert {type(outcome.error) for outcome in early} == {CancelTooEarlyError}
        sandbox.deliver_sms(created[0].id)
        sandbox.advance(121)
        outcomes = await client.orders.cancel_many([*created, created[1], 999_999])
        assert [outcome.order_id for outcome in outcomes] == [*(order.id for order in created), 999_999]
        assert [type(outcome.error) for outcome in (outcomes[0], outcomes[-1])] == [
            ConflictError,
            NotFoundError,
        ]
        refunded = [outcome.canceled for outcome in outcomes[1:-1] if outcome.canceled is not None]
        assert [canceled.status for canceled in refunded] == ["CANCELED"] * 11


async def test_the_time_for_several_cancellations_is_for_all_of_them() -> None:
    sandbox = still_sandbox(otp_after=None, balance=RICH)
    async with AsyncVirtualClient(sandbox) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=11)
        outcomes = await client.orders.cancel_many(created, wait=True, timeout=60)
        assert {outcome.canceled for outcome in outcomes} == {None}
        (one,) = await client.orders.cancel_many([created[0]], wait=True)
        assert one.canceled is not None
        assert await client.orders.cancel_many([]) == []
        requests = sum(sandbox.requests.values())
        with pytest.raises(InvalidArgumentError, match="order_id: expected"):
            await client.orders.cancel_many([created[0], cast(Any, "1")])
        with pytest.raises(InvalidArgumentError, match="timeout: expected"):
            await client.orders.cancel_many(created, timeout=0)
        assert sum(sandbox.requests.values()) == requests
