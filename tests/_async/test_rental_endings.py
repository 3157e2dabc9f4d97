"""Rentals for every pair of what the service has when the block ends, and which call fails how."""

from __future__ import annotations

from typing import Any, Protocol

import httpx
import pytest

from smscode import AsyncRental, NetworkError, OrderStatus, Released, SmscodeError
from smscode.sandbox import Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import refusal, still_sandbox

pytestmark = pytest.mark.anyio

CODE = "123456"
FINISHED, CANCELED = Released.FINISHED, Released.CANCELED
LEFT_TO_EXPIRE, ALREADY_RELEASED = Released.LEFT_TO_EXPIRE, Released.ALREADY_RELEASED


class Interrupted(BaseException):
    """What ends a block from outside, as a cancellation or Ctrl-C does."""


class AsyncFaulty(httpx.AsyncBaseTransport):
    """A sandbox of whose answers to a call some fail, as soon as ``call`` and ``fault`` are set."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner: httpx.AsyncBaseTransport = sandbox.transport()
        self.call = self.fault = ""
        self.left = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        if self.left <= 0 or self.call != ("get" if last.isdigit() else last):
            return await self._inner.handle_async_request(request)
        self.left -= 1
        if self.fault == "unreachable":
            raise httpx.ConnectError("refused")
        if self.fault == "refused":
            return refusal(403, "FORBIDDEN")
        if self.fault == "answer lost":
            await self._inner.handle_async_request(request)
        raise httpx.ReadError("lost")


async def too_new(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    """Leave the order as it is."""


async def without_sms(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    client.runtime.pass_by(130)


async def with_a_code(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    client.runtime.sandbox.deliver_sms(rental.order_id, code=CODE)


async def with_a_text(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    client.runtime.sandbox.deliver_sms(rental.order_id, text="Welcome!")


async def seen(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    await with_a_code(client, rental)
    assert (await rental.wait_for_otp()).code == CODE


async def seen_and_more_came(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    await seen(client, rental)
    assert (await rental.resend()).resent
    client.runtime.sandbox.deliver_sms(rental.order_id, code="654321")


async def seen_and_no_more_came(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    await seen(client, rental)
    assert (await rental.resend()).resent


async def finished_by_another(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    await with_a_code(client, rental)
    await client.orders.finish(rental.order_id)


async def canceled_by_another(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    client.runtime.pass_by(130)
    await client.orders.cancel(rental.order_id)


async def expired(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    client.runtime.pass_by(1300)


async def completed(client: AsyncVirtualClient, rental: AsyncRental) -> None:
    await with_a_code(client, rental)
    client.runtime.pass_by(1300)


class State(Protocol):
    """Bring about what the service has when the block ends."""

    __name__: str

    async def __call__(self, client: AsyncVirtualClient, rental: AsyncRental, /) -> None: ...


STATES: dict[State, Released] = {
    too_new: LEFT_TO_EXPIRE,
    without_sms: CANCELED,
    with_a_code: FINISHED,
    with_a_text: FINISHED,
    seen: FINISHED,
    seen_and_more_came: FINISHED,
    seen_and_no_more_came: FINISHED,
    finished_by_another: ALREADY_RELEASED,
    canceled_by_another: ALREADY_RELEASED,
    expired: ALREADY_RELEASED,
    completed: ALREADY_RELEASED,
}
CALLS = ("cancel", "get", "finish", "active")
FAULTS = ("unreachable", "lost", "answer lost", "refused")
EXITS: tuple[type[BaseException] | None, ...] = (None, ZeroDivisionError, Interrupted)
# The older generation shows less of an order: it has no text and counts no messages.
CASES = [(state, "current") for state in STATES] + [
    (state, "documented") for state in (with_a_code, with_a_text, seen_and_more_came, completed)
]
OPEN = (OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED)


async def run(rental: AsyncRental, state: State, client: AsyncVirtualClient, exit_: Any, arm: Any) -> None:
    async with rental:
        await state(client, rental)
        arm()
        if exit_ is not None:
            raise exit_


async def ending(
    state: State, call: str, fault: str, times: int, exit_: type[BaseException] | None, generation: Any
) -> AsyncRental:
    """End a block, and check that what is said of it is true."""
    sandbox = still_sandbox(otp_after=None, resend_cooldown=0, generation=generation)
    transport = AsyncFaulty(sandbox)
    client = AsyncVirtualClient(sandbox, transport=transport)

    def arm() -> None:
        transport.call, transport.fault, transport.left = call, fault, times

    await client.orders.create(catalog_product_id=87)  # one that is none of the block's business
    rental = client.orders.rent(catalog_product_id=87)
    raised: BaseException | None = None
    try:
        await run(rental, state, client, exit_, arm)
    except (SmscodeError, ZeroDivisionError, Interrupted) as error:
        raised = error
    transport.left = 0
    truth = await AsyncVirtualClient(sandbox).orders.get(rental.order_id)
    assert (rental.released is None) == (rental.release_error is not None)
    if exit_ is None:
        assert raised is rental.release_error
    else:
        assert type(raised) is exit_
    if truth.status in OPEN:
        assert rental.released in (None, LEFT_TO_EXPIRE)
        assert rental.order_id in client._driver.open_rentals
    elif rental.released is not None:
        assert rental.order_id not in client._driver.open_rentals
        if rental.released is FINISHED:
            assert truth.status == OrderStatus.COMPLETED
        elif rental.released is CANCELED:
            assert truth.status == OrderStatus.CANCELED
        if truth.otp_code is not None:
            assert rental.sms is not None
            assert rental.sms.code == truth.otp_code
        elif truth.status == OrderStatus.COMPLETED:
            assert rental.sms is not None
            assert rental.sms.text == "Welcome!"
    return rental


@pytest.mark.parametrize("exit_", EXITS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_without_a_fault_every_number_is_given_back(
    state: State, exit_: type[BaseException] | None, generation: Any
) -> None:
    rental = await ending(state, "", "", 0, exit_, generation)
    assert rental.released is STATES[state]
    if state is with_a_text:
        assert rental.sms is not None
        assert (rental.sms.code, rental.sms.text) == (None, "Welcome!")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("state", "generation"), CASES, ids=lambda value: getattr(value, "__name__", value))
async def test_whichever_call_fails_however_what_is_said_is_true_and_no_code_is_lost(
    state: State, generation: Any, call: str, fault: str
) -> None:
    for exit_ in EXITS:
        await ending(state, call, fault, 1000, exit_, generation)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "refused"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_a_failure_that_passes_changes_nothing(state: State, call: str, fault: str) -> None:
    for exit_ in EXITS:
        rental = await ending(state, call, fault, 1, exit_, "current")
        # An order that was cancelled in the end may have been cancelled by the attempt that was lost.
        doubtful = state is canceled_by_another and call == "cancel" and fault != "unreachable"
        assert rental.released is STATES[state] or (doubtful and rental.released is CANCELED)


async def test_an_end_that_only_reading_tells_of_has_its_code_too() -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = AsyncFaulty(sandbox)
    async with AsyncVirtualClient(sandbox, transport=transport) as client:
        async with client.orders.rent(catalog_product_id=87) as rental:
            await completed(client, rental)
            transport.call, transport.fault, transport.left = "cancel", "lost", 1
        assert rental.released is ALREADY_RELEASED
        assert rental.sms is not None
        assert rental.sms.code == CODE
    assert sandbox.requests["GET /orders/{id}"] == 1


async def test_a_service_that_is_away_leaves_the_number_to_be_attached_to_later() -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = AsyncFaulty(sandbox)
    async with AsyncVirtualClient(sandbox, transport=transport) as client:
        rental = client.orders.rent(catalog_product_id=87)

        def arm() -> None:
            transport.call, transport.fault, transport.left = "cancel", "unreachable", 1000

        with pytest.raises(NetworkError):
            await run(rental, without_sms, client, None, arm)
        assert rental.released is None
        transport.left = 0
        async with client.orders.attach(rental) as again:
            pass
        assert again.released is CANCELED
        assert len(client._driver.open_rentals) == 0
