"""Rate limits of clients, in virtual time: calls wait, and clients of one account share."""

from __future__ import annotations

import logging

import httpx
import pytest

from smscode import AsyncClient, InvalidArgumentError, NotFoundError, RateLimitError, RateLimits
from smscode._concurrency import AsyncRuntime
from smscode.events import ClientEvent, RequestFailed, RequestSent
from smscode.sandbox import Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import AsyncScript, refusal, still_sandbox, success, until

pytestmark = pytest.mark.anyio

PERIOD = 60.25
FEW = RateLimits(balance=2)


async def test_a_call_beyond_the_limit_waits_for_a_window() -> None:
    async with AsyncVirtualClient(still_sandbox(), rate_limits=FEW, timeout=100) as client:
        start = client.runtime.now()
        for _ in range(2):
            await client.balance()
        assert client.runtime.now() == start
        await client.balance()
        assert client.runtime.now() == pytest.approx(start + PERIOD)


async def test_other_groups_do_not_wait() -> None:
    async with AsyncVirtualClient(still_sandbox(), rate_limits=FEW) as client:
        start = client.runtime.now()
        for _ in range(2):
            await client.balance()
        await client.catalog.countries()
        assert client.runtime.now() == start


async def test_a_wait_beyond_the_deadline_is_refused_at_once() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, rate_limits=FEW) as client:
        start = client.runtime.now()
        for _ in range(2):
            await client.balance()
        with pytest.raises(RateLimitError, match=r"rate limit of balance \(2 per 60 s\)") as raised:
            await client.balance(timeout=60)
        assert client.runtime.now() == start
        assert raised.value.retry_after == pytest.approx(PERIOD)
        assert (raised.value.outcome, raised.value.attempts) == ("not_sent", 0)
        assert sandbox.requests["GET /balance"] == 2


async def test_without_limits_nobody_waits() -> None:
    async with AsyncVirtualClient(still_sandbox(rate_limits=False), rate_limits=None) as client:
        start = client.runtime.now()
        for _ in range(700):
            await client.balance()
        assert client.runtime.now() == start


async def test_a_refusal_holds_up_its_group_and_no_other() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", retry_after=40)
    async with AsyncVirtualClient(sandbox, timeout=100) as client:
        start = client.runtime.now()
        with pytest.raises(RateLimitError):
            await client.balance(timeout=10)
        await client.catalog.countries()
        assert client.runtime.now() == start
        await client.balance()
        assert client.runtime.now() == pytest.approx(start + 42)  # half of the jitter of a tenth


class AsyncRefusal(httpx.AsyncBaseTransport):
    """Refuses the first request as soon as others wait for its connection; notes when each came."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.client: AsyncVirtualClient
        self.arrivals: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.arrivals.append(self.client.runtime.now())
        if len(self.arrivals) > 1:
            return await self._inner.handle_async_request(request)
        await until(lambda: len(self.client._driver._connections._semaphore._waiters) == 4)
        return refusal(429, "RATE_LIMIT_EXCEEDED", headers={"retry-after": "20"})


async def test_nobody_is_early_not_even_who_has_a_slot_and_waits_for_a_connection() -> None:
    sandbox = still_sandbox()
    transport = AsyncRefusal(sandbox)
    events: list[ClientEvent] = []
    client = AsyncVirtualClient(
        sandbox, transport=transport, max_connections=1, timeout=None, on_event=events.append
    )
    transport.client = client
    async with client:
        start = client.runtime.now()

        async def ask(number: int) -> None:
            if number:
                await until(lambda: transport.arrivals)
                await client.balance()
            else:
                with pytest.raises(RateLimitError):
                    await client.balance(timeout=20)

        await AsyncRuntime().for_each(ask, range(5))
    assert len(transport.arrivals) == 5
    assert transport.arrivals[0] == start
    assert min(transport.arrivals[1:]) >= start + 21
    held_up = [event.trouble for event in events if isinstance(event, RequestFailed)]
    assert set(held_up) == {"not sent"}
    assert [event.attempt for event in events if isinstance(event, RequestSent)] == [1] * (5 + len(held_up))


async def test_a_shared_account_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", retry_after=1, times=5)
    async with AsyncVirtualClient(sandbox, timeout=100) as client:
        with caplog.at_level(logging.WARNING, "smscode"):
            await client.balance()
    said = [record for record in caplog.records if "something else seems to use" in record.getMessage()]
    assert len(said) == 1
    assert "group balance" in said[0].getMessage()
    assert sandbox.requests["GET /balance"] == 6


async def test_a_refusal_by_a_proxy_holds_up_its_group_for_five_minutes_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = still_sandbox()
    script = AsyncScript([refusal(429, headers={"retry-after": "17812250"})], then=sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=script, timeout=100) as client:
        start = client.runtime.now()
        for hint in (17_812_250, 300):
            with pytest.raises(RateLimitError) as raised:
                await client.balance()
            assert raised.value.retry_after == pytest.approx(hint)
        assert len(script.requests) == 1
        for release in (client.orders.cancel, client.orders.finish):
            with pytest.raises(NotFoundError):
                await release(404)
        assert client.runtime.now() == start
        await client.balance(timeout=1000)
        assert client.runtime.now() == pytest.approx(start + 300)
    assert not [record for record in caplog.records if "something else seems to use" in record.getMessage()]


async def test_a_hint_beyond_the_deadline_is_told_as_it_is() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", retry_after=86_400)
    async with AsyncVirtualClient(sandbox) as client:
        with pytest.raises(RateLimitError) as raised:
            await client.balance(timeout=1000)  # five minutes of pause would fit into it
        assert raised.value.retry_after == 86_400
        assert sandbox.requests["GET /balance"] == 1


class AsyncSlowProbe(httpx.AsyncBaseTransport):
    """Refuses the first request; the second one is answered when it is told to."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.client: AsyncVirtualClient
        self.arrivals: list[float] = []
        self.go_on = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.arrivals.append(self.client.runtime.now())
        if len(self.arrivals) == 1:
            return refusal(429, "RATE_LIMIT_EXCEEDED", headers={"retry-after": "7"})
        if len(self.arrivals) == 2:
            await until(lambda: self.go_on)
        return await self._inner.handle_async_request(request)


async def test_a_probe_without_an_answer_holds_up_its_group_for_ten_seconds() -> None:
    sandbox = still_sandbox()
    transport = AsyncSlowProbe(sandbox)
    client = transport.client = AsyncVirtualClient(sandbox, transport=transport, timeout=1000)
    async with client:
        start = client.runtime.now()

        async def ask(number: int) -> None:
            if number:
                await until(lambda: len(transport.arrivals) == 2)
            await client.balance()
            transport.go_on = True

        await AsyncRuntime().for_each(ask, range(2))
    assert [arrival - start for arrival in transport.arrivals] == pytest.approx([0, 7.35, 17.35])


async def test_clients_of_one_account_share_its_limits() -> None:
    def client(token: str = "token", **options: object) -> AsyncClient:
        answers = [success({"currency": "IDR", "balance": 5})] * 2
        return AsyncClient(token, transport=AsyncScript(answers), api_version="v1", rate_limits=FEW)

    async with client() as one, client() as same, client("other") as other:
        await one.balance()
        await same.balance()
        for used_up in (one, same):
            with pytest.raises(RateLimitError):
                await used_up.balance(timeout=1)
        await other.balance()


async def test_a_new_client_does_not_get_a_new_budget() -> None:
    for _ in range(2):
        script = AsyncScript([success({"currency": "IDR", "balance": 5})])
        async with AsyncClient("token", transport=script, api_version="v1", rate_limits=FEW) as client:
            await client.balance()
    async with AsyncClient("token", transport=AsyncScript([]), api_version="v1", rate_limits=FEW) as client:
        with pytest.raises(RateLimitError):
            await client.balance(timeout=1)


async def test_the_strictest_limits_hold_for_all() -> None:
    sandbox = still_sandbox()
    async with AsyncClient(sandbox.token, transport=sandbox.transport()) as generous:
        await generous.balance()
        async with AsyncClient(
            sandbox.token, transport=sandbox.transport(), rate_limits=RateLimits(balance=1)
        ):
            with pytest.raises(RateLimitError):
                await generous.balance(timeout=1)


async def test_what_is_no_limits_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"rate_limits: expected a smscode\.RateLimits, got 5"):
        AsyncClient("token", rate_limits=5)  # type: ignore[arg-type]  # that it is wrong is tested
