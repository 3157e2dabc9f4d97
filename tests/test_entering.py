"""Which functions `orders.obtain` calls, in either flavour."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from smscode import Client, InvalidArgumentError, OrderStatus, Rental
from smscode.sandbox import Sandbox

from .concurrency import AsyncVirtualClient, VirtualClient

OFFER: dict[str, Any] = {"service": "whatsapp", "country": "vietnam", "budget": "1.00"}


async def coroutine(rental: object) -> None:
    """Do nothing, as a coroutine."""


def calling(rental: object) -> Awaitable[None]:
    """Return a coroutine, without being one."""
    return coroutine(rental)


async def generator(rental: object) -> AsyncIterator[None]:
    yield


def plain(rental: object) -> None:
    """Do nothing."""


class Caller:
    async def method(self, rental: object) -> None:
        """Do nothing, as a coroutine."""

    async def __call__(self, rental: object) -> None:
        """Do nothing, as a coroutine."""


@pytest.mark.parametrize(
    "enter",
    [coroutine, partial(coroutine), partial(partial(coroutine)), generator, Caller().method, Caller(), None],
)
def test_a_synchronous_client_refuses_a_coroutine_function_before_anything_is_sent(enter: Any) -> None:
    sandbox = Sandbox()
    with Client(sandbox.token, transport=sandbox.transport()) as client:
        with pytest.raises(InvalidArgumentError, match="enter"):
            client.orders.obtain(enter, **OFFER)
        assert sandbox.requests.total() == 0


def closed(made: list[Any]) -> Callable[[object], Any]:
    def enter(rental: object) -> Any:
        made.append(coroutine(rental))
        return made[-1]

    return enter


class Later:
    def __await__(self) -> Any:
        yield  # pragma: no cover  # nobody awaits it


@pytest.mark.parametrize("kind", ["coroutine", "awaitable"])
def test_a_function_that_returns_an_awaitable_gives_the_number_back(kind: str) -> None:
    sandbox = Sandbox(otp_after=None, cancel_after=0)
    made: list[Any] = []

    def later(rental: Rental) -> Later:
        return Later()

    enter: Any = closed(made) if kind == "coroutine" else later
    client = VirtualClient(sandbox)
    with pytest.raises(InvalidArgumentError, match="awaitable"):
        client.orders.obtain(enter, **OFFER)
    assert [order.status for order in client.orders.list()] == [OrderStatus.CANCELED]
    assert all(inspect.getcoroutinestate(one) == inspect.CORO_CLOSED for one in made)


@pytest.mark.anyio
async def test_a_plain_function_gives_the_number_of_an_asynchronous_client_back() -> None:
    sandbox = Sandbox(otp_after=None, cancel_after=0)
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(InvalidArgumentError, match="async def"):
        await client.orders.obtain(plain, **OFFER)  # type: ignore[arg-type]  # a checker refuses it, too
    assert [order.status for order in await client.orders.list()] == [OrderStatus.CANCELED]


@pytest.mark.anyio
@pytest.mark.parametrize("enter", [partial(coroutine), Caller().method, Caller(), calling])
async def test_an_asynchronous_client_calls_whatever_can_be_awaited(enter: Any) -> None:
    sandbox = Sandbox(otp_after=0)
    client = AsyncVirtualClient(sandbox)
    assert (await client.orders.obtain(enter, **OFFER)).code
