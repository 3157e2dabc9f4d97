"""A number rented for a block: what happens to it at the end, however the block ends."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smscode import (
    AsyncRental,
    ClientStateError,
    InvalidArgumentError,
    NetworkError,
    NoOfferAvailableError,
    OrderStatus,
    OrderTerminalError,
    OtpTimeoutError,
    ProviderError,
    Released,
    UnauthorizedError,
)
from smscode.sandbox import Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import AsyncScript, still_sandbox, success

pytestmark = pytest.mark.anyio

CANCEL, FINISH = "POST /orders/cancel", "POST /orders/finish"
LOST = httpx.ReadError("lost")


class Interrupted(BaseException):
    """What ends a block from outside, as a cancellation or Ctrl-C does."""


async def status_of(client: AsyncVirtualClient, order_id: int) -> OrderStatus | str:
    return (await client.orders.get(order_id)).status


async def ends(rental: AsyncRental, error: type[BaseException]) -> None:
    """Let a block that has its code end with an error."""
    async with rental:
        await rental.wait_for_otp()
        raise error


async def test_after_a_code_the_order_is_finished(version: Any, generation: Any) -> None:
    sandbox = still_sandbox(otp_after=5, generation=generation)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            assert rental.phone_number is not None
            assert (rental.order_id, rental.phone_number) == (rental.order.id, rental.order.phone_number)
            assert (await rental.wait_for_otp(timeout=60)).code is not None
            assert rental.released is None
        assert rental.released is Released.FINISHED
        assert await status_of(client, rental.order_id) == OrderStatus.COMPLETED
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (1, 0)


async def test_after_a_message_without_a_code_the_order_is_finished() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            assert (await rental.wait_for_sms()).text == "Welcome!"
        assert rental.released is Released.FINISHED
        async with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            with pytest.raises(OtpTimeoutError):
                await rental.wait_for_otp(timeout=5)
        assert rental.released is Released.FINISHED
    assert sandbox.requests[CANCEL] == 0


async def test_without_any_sms_the_order_is_cancelled() -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    balance = sandbox.balance
    async with AsyncVirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(OtpTimeoutError):
            async with rental:
                await rental.wait_for_otp(timeout=5)
        assert rental.released is Released.CANCELED
    assert sandbox.balance == balance


async def test_an_order_that_is_too_new_is_left_to_expire() -> None:
    sandbox = still_sandbox(otp_after=None)
    balance = sandbox.balance
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            pass
        async with client.orders.rent(catalog_product_id=87, release_timeout=60) as other:
            pass
        assert rental.released is other.released is Released.LEFT_TO_EXPIRE
        assert client.runtime.slept == []
        await client.runtime.sleep(1200)
    assert sandbox.balance == balance


async def test_with_time_to_wait_an_order_is_cancelled_as_soon_as_it_may_be() -> None:
    sandbox = still_sandbox(otp_after=None)
    balance = sandbox.balance
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(catalog_product_id=87, release_timeout=200) as rental:
            pass
        assert rental.released is Released.CANCELED
        assert 120 <= sum(client.runtime.slept) <= 125
    assert sandbox.balance == balance


async def test_an_sms_that_nobody_saw_finishes_the_order() -> None:
    sandbox = still_sandbox(otp_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            pass
        assert rental.released is Released.FINISHED
        assert await status_of(client, rental.order_id) == OrderStatus.COMPLETED


@pytest.mark.parametrize("seen", [True, False])
async def test_an_order_that_has_ended_is_released_already(seen: bool) -> None:
    sandbox = still_sandbox(otp_after=0 if seen else None, cancel_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            if seen:
                await rental.wait_for_otp()
                await client.orders.finish(rental.order_id)
            else:
                await client.orders.cancel(rental.order_id)
        assert rental.released is Released.ALREADY_RELEASED


async def test_an_order_that_a_wait_saw_end_takes_no_request() -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=60)
    async with AsyncVirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(OrderTerminalError):
            async with rental:
                await rental.wait_for_otp()
        assert rental.released is Released.ALREADY_RELEASED
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (0, 0)


async def test_a_release_that_fails_is_raised_after_a_good_block() -> None:
    sandbox = still_sandbox(otp_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        sandbox.fail_next("orders.finish", "UNAUTHORIZED")
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(UnauthorizedError) as failed:
            async with rental:
                await rental.wait_for_otp()
        assert rental.released is None
        assert rental.release_error is failed.value


async def test_a_release_that_fails_does_not_hide_what_the_block_raised() -> None:
    sandbox = still_sandbox(otp_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        sandbox.fail_next("orders.finish", "UNAUTHORIZED")
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(ZeroDivisionError):
            await ends(rental, ZeroDivisionError)
        assert rental.released is None
        assert isinstance(rental.release_error, UnauthorizedError)


async def test_a_block_that_is_interrupted_gives_its_number_back() -> None:
    sandbox = still_sandbox(otp_after=0)
    async with AsyncVirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87, release_timeout=600)
        with pytest.raises(Interrupted):
            await ends(rental, Interrupted)
        assert rental.released is Released.FINISHED
        sandbox.set_otp_after(None)
        other = client.orders.rent(catalog_product_id=87, release_timeout=600)
        with pytest.raises(Interrupted):
            async with other:
                raise Interrupted
        assert other.released is Released.LEFT_TO_EXPIRE
        assert client.runtime.slept == []


async def test_a_release_that_is_interrupted_is_tried_once_more() -> None:
    class AsyncInterrupting(AsyncScript):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/finish") and not self.requests:
                self.requests.append(request)
                raise Interrupted
            assert self._then is not None
            return await self._then.handle_async_request(request)

    sandbox = still_sandbox(otp_after=0)
    transport = AsyncInterrupting([], sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=transport) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(Interrupted):
            async with rental:
                await rental.wait_for_otp()
        assert rental.released is Released.FINISHED


# -- another SMS -----------------------------------------------------------------------------------


async def test_after_a_resend_only_a_newer_sms_counts(version: Any, generation: Any) -> None:
    sandbox = still_sandbox(otp_after=5, generation=generation, resend_cooldown=0)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            codes = [(await rental.wait_for_otp(timeout=60)).code]
            for _ in range(2):
                assert (await rental.resend()).resent
                codes.append((await rental.wait_for_otp(timeout=60)).code)
        assert rental.released is Released.FINISHED
    assert None not in codes
    assert len(set(codes)) == 3


async def test_a_resend_before_any_wait_looks_at_what_is_there() -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, code="111111")
            await rental.resend()
            with pytest.raises(OtpTimeoutError):
                await rental.wait_for_sms(timeout=5)
            sandbox.deliver_sms(rental.order_id, code="111111")
            assert (await rental.wait_for_otp(timeout=5)).revision == 2


# -- buying ----------------------------------------------------------------------------------------


async def test_a_purchase_that_fails_gives_nothing_back() -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    rental = client.orders.rent(catalog_product_id=87, max_price="0.01")
    with pytest.raises(NoOfferAvailableError):
        await rental.__aenter__()
    assert rental.released is None
    with pytest.raises(ClientStateError, match="no number yet"):
        _ = rental.order
    with pytest.raises(ClientStateError, match="used before"):
        await rental.__aenter__()
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (0, 0)


async def test_a_purchase_in_doubt_is_unresolved() -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox, transport=AsyncScript([LOST] * 8))
    with pytest.raises(NetworkError):
        await client.orders.rent(catalog_product_id=87, idempotency_key="mine").__aenter__()
    (intent,) = client.orders.unresolved()
    assert intent.idempotency_key == "mine"


async def test_an_answer_without_any_order_is_a_failure() -> None:
    sandbox = still_sandbox()
    empty = success({"orders": [], "failed_count": 1})
    client = AsyncVirtualClient(sandbox, transport=AsyncScript([empty]), api_version="v1")
    with pytest.raises(ProviderError, match="No number could be rented") as failed:
        await client.orders.rent(catalog_product_id=87, idempotency_key="mine").__aenter__()
    assert (failed.value.outcome, failed.value.idempotency_key) == ("failed", "mine")


async def test_senseless_arguments_are_refused() -> None:
    client = AsyncVirtualClient(still_sandbox())
    wrong: Any = -1
    with pytest.raises(InvalidArgumentError, match="release_timeout: expected"):
        client.orders.rent(catalog_product_id=87, release_timeout=wrong)
    with pytest.raises(InvalidArgumentError, match="catalog_product_id"):
        await client.orders.rent().__aenter__()


async def test_a_block_around_a_closed_client_says_so() -> None:
    sandbox: Sandbox = still_sandbox(otp_after=0)
    client = AsyncVirtualClient(sandbox)
    rental = client.orders.rent(catalog_product_id=87)
    with pytest.raises(ClientStateError):
        async with rental:
            await client.aclose()
    assert rental.released is None
    assert isinstance(rental.release_error, ClientStateError)
