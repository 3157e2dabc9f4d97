"""Every scenario of the sandbox as a client of this package sees it, on both API versions."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import pytest

from smscode import (
    AsyncClient,
    CancelTooEarlyError,
    ForbiddenError,
    FxRateUnavailableError,
    InsufficientBalanceError,
    InternalError,
    NetworkError,
    NoOfferAvailableError,
    OrderTerminalError,
    OtpTimeoutError,
    ProviderError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServiceUnavailableError,
    SmscodeError,
    TempBannedError,
    UnauthorizedError,
)
from smscode.sandbox import Sandbox, Scenario, scenarios
from smscode.sandbox.scenarios import SCENARIOS

from ..concurrency import AsyncVirtualClient
from .helpers import WHATSAPP_INDONESIA, rent, still_sandbox

pytestmark = pytest.mark.anyio

Version: TypeAlias = Literal["v1", "v2"]
ONCE: dict[str, Any] = {"retry": RetryPolicy(max_attempts=1)}
CREATE = "POST /orders/create"
OPENING = 1_000_000


def playing(version: Version, *chosen: str | Scenario, **options: Any) -> tuple[Sandbox, AsyncVirtualClient]:
    """Make a sandbox where scenarios play in everything, and a client of it."""
    sandbox = still_sandbox(cancel_after=0, resend_cooldown=0)
    sandbox.play(*chosen)
    return sandbox, AsyncVirtualClient(sandbox, api_version=version, **options)


def test_every_scenario_has_a_test() -> None:
    assert {f"test_{name}" for name in SCENARIOS} <= globals().keys()


async def test_usual(version: Version) -> None:
    sandbox, client = playing(version, "never")
    sandbox.play("usual", catalog_product_id=WHATSAPP_INDONESIA)
    assert (await client.orders.wait_for_otp(await rent(client))).code is not None


async def test_otp_after(version: Version) -> None:
    sandbox, client = playing(version, scenarios.otp_after(50))
    began = sandbox.now
    sms = await client.orders.wait_for_otp(await rent(client))
    assert sms.received_at is not None
    assert (sms.received_at - began).total_seconds() == 50


async def test_text_only(version: Version) -> None:
    _, client = playing(version, "text_only")
    order_id = await rent(client)
    sms = await client.orders.wait_for_sms(order_id)
    assert (sms.code, sms.text) == (None, "Tap to confirm: https://example.com/c/7f3a")
    with pytest.raises(OtpTimeoutError) as caught:
        await client.orders.wait_for_otp(order_id, timeout=10)
    assert caught.value.text == sms.text


async def test_text_then_code(version: Version) -> None:
    _, client = playing(version, "text_then_code(1, 20)")
    order_id = await rent(client)
    assert (await client.orders.wait_for_sms(order_id)).code is None
    sms = await client.orders.wait_for_otp(order_id)
    assert (sms.code is not None, sms.revision) == (True, 2)


async def test_two_messages(version: Version) -> None:
    _, client = playing(version, "two_messages")
    order_id = await rent(client)
    first = await client.orders.wait_for_otp(order_id)
    second = await client.orders.wait_for_otp(order_id, after_revision=first.revision)
    assert (first.revision, second.revision) == (1, 2)
    assert first.code != second.code


async def test_never(version: Version) -> None:
    sandbox, client = playing(version, "never")
    with pytest.raises(OrderTerminalError) as caught:
        await client.orders.wait_for_otp(await rent(client))
    assert (caught.value.status, sandbox.balance) == ("EXPIRED", OPENING)


async def test_expires_soon(version: Version) -> None:
    sandbox, client = playing(version, "never, expires_soon(30)")
    began = sandbox.now
    order_id = await rent(client)
    with pytest.raises(OrderTerminalError):
        await client.orders.wait_for_otp(order_id)
    assert (sandbox.now - began).total_seconds() == 30
    assert (await client.orders.get(order_id)).failed_reason is not None


async def test_partial(version: Version) -> None:
    sandbox, client = playing(version, "partial(2)")
    created = await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=5)
    assert (len(created), created.failed_count) == (2, 3)
    assert sandbox.balance == OPENING - 30_000


async def test_no_stock(version: Version) -> None:
    sandbox, client = playing(version, "no_stock")
    with pytest.raises(NoOfferAvailableError):
        await rent(client)
    with pytest.raises(ProviderError) as caught:
        await client.orders.create(product_id=142, quantity=3)
    assert caught.value.details == {"cause_counts": {"no_numbers": 3}}
    assert sandbox.balance == OPENING


async def test_provider_error(version: Version) -> None:
    sandbox, client = playing(version, "usual")
    sandbox.play("provider_error", operation="orders.create", times=1)
    for _ in range(2):  # recorded, so the same key gives it again
        with pytest.raises(ProviderError) as caught:
            await rent(client, idempotency_key="mine")
        assert (caught.value.outcome, sandbox.balance) == ("failed", OPENING)
    assert await rent(client, idempotency_key="another")


async def test_insufficient_balance(version: Version) -> None:
    sandbox, client = playing(version, "insufficient_balance")
    with pytest.raises(InsufficientBalanceError):
        await rent(client, idempotency_key="mine")
    sandbox.clear_scenarios()
    assert await rent(client, idempotency_key="mine")


async def test_slow_create(version: Version) -> None:
    sandbox = Sandbox()
    sandbox.play("slow_create(0.05)")
    async with AsyncClient(sandbox.token, transport=sandbox.transport(), api_version=version) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            await rent(client, timeout=0.01, idempotency_key="mine")
        assert caught.value.outcome == "unknown"
        (intent,) = client.orders.unresolved()
        assert len(await client.orders.submit(intent)) == 1
    assert len(sandbox.ledger) == 2


async def test_ban(version: Version) -> None:
    sandbox, client = playing(version, "ban(100)")
    with pytest.raises(TempBannedError) as caught:
        await rent(client)
    assert (caught.value.retry_after, sandbox.requests[CREATE]) == (100, 1)
    assert await client.balance()
    client.runtime.pass_by(100)
    assert await rent(client)


async def test_too_early(version: Version) -> None:
    sandbox, client = playing(version, "never, too_early(600)")
    order_id = await rent(client)
    sandbox.advance(599)
    with pytest.raises(CancelTooEarlyError):
        await client.orders.cancel(order_id)
    assert (await client.orders.get(order_id)).can_cancel is False
    assert (await client.orders.cancel(order_id, wait=True)).status == "CANCELED"


async def test_cancel_refused(version: Version) -> None:
    sandbox, client = playing(version, "never, cancel_refused")
    order_id = await rent(client)
    with pytest.raises(ProviderError):
        await client.orders.cancel(order_id)
    sandbox.clear_scenarios()
    assert (await client.orders.cancel(order_id)).status == "CANCELED"


async def test_resend_refused(version: Version) -> None:
    _, client = playing(version, "resend_refused")
    order_id = await rent(client)
    await client.orders.wait_for_otp(order_id)
    with pytest.raises(ProviderError):
        await client.orders.resend(order_id)


async def test_fx_down(version: Version) -> None:
    sandbox, client = playing(version, "fx_down", **ONCE)
    if version == "v1":
        assert await rent(client)
        return
    with pytest.raises(FxRateUnavailableError):
        await rent(client)
    assert sandbox.balance == OPENING
    sandbox.clear_scenarios()
    assert await rent(client)


async def test_rate_limited(version: Version) -> None:
    sandbox, client = playing(version, "rate_limited(20)")
    began = sandbox.now
    with pytest.raises(RateLimitError) as caught:
        await client.balance(timeout=5)
    assert caught.value.retry_after == 20
    assert await client.balance()
    assert (sandbox.now - began).total_seconds() >= 20


async def test_maintenance(version: Version) -> None:
    sandbox, client = playing(version, "maintenance(20)", **ONCE)
    sandbox.advance(5)
    with pytest.raises(ServiceUnavailableError) as caught:
        await client.balance()
    assert caught.value.retry_after == 15
    assert await AsyncVirtualClient(sandbox, api_version=version).balance()


async def test_unauthorized(version: Version) -> None:
    _, client = playing(version, "unauthorized")
    with pytest.raises(UnauthorizedError):
        await client.balance()


async def test_suspended(version: Version) -> None:
    _, client = playing(version, "suspended")
    with pytest.raises(ForbiddenError):
        await client.balance()


async def test_internal_error(version: Version) -> None:
    sandbox, client = playing(version, "internal_error", **ONCE)
    with pytest.raises(InternalError):
        await rent(client)
    assert sandbox.balance == OPENING


async def test_bad_gateway(version: Version) -> None:
    sandbox, client = playing(version, "usual")
    sandbox.play("bad_gateway", operation="balance.get", times=2)
    assert await client.balance()
    assert sandbox.requests["GET /balance"] == 3
    sandbox.play("bad_gateway")
    with pytest.raises(SmscodeError) as caught:
        await rent(client)
    assert (caught.value.status_code, caught.value.outcome) == (502, "unknown")


async def test_late_code(version: Version) -> None:
    sandbox, client = playing(version, "late_code(400, 1)")
    began, order_id = sandbox.now, await rent(client)
    with pytest.raises(OtpTimeoutError):
        await client.orders.wait_for_otp(order_id, timeout=120)
    sms = await client.orders.wait_for_otp(order_id)
    assert sms.received_at is not None
    assert (sms.received_at - began).total_seconds() == 400


async def test_dead_numbers(version: Version) -> None:
    sandbox, client = playing(version, "otp_after(2), dead_numbers(0.5)")
    await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=20)
    sandbox.advance(2)
    statuses = {order.status async for order in client.orders.iter()}
    assert statuses == {"ACTIVE", "OTP_RECEIVED"}


async def test_prices_move(version: Version) -> None:
    sandbox, client = playing(version, "prices_move(50, 60)")
    (first, *_) = await client.catalog.find(service="whatsapp", country="indonesia")
    sandbox.advance(600)
    (later, *_) = await client.catalog.find(service="whatsapp", country="indonesia")
    assert first.price != later.price
    (order,) = await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA)
    assert order.amount == later.price


async def test_stock_runs_out(version: Version) -> None:
    _, client = playing(version, "stock_runs_out(1)")
    created = await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=5)
    assert (len(created), created.failed_count) == (3, 2), "one of each supplier"
    with pytest.raises(NoOfferAvailableError):
        await rent(client)


async def test_slow_answer(version: Version) -> None:
    sandbox = Sandbox()
    sandbox.play("slow_answer(0.6)")
    async with AsyncClient(sandbox.token, transport=sandbox.transport(), api_version=version) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            await rent(client, timeout=0.3)
        assert (caught.value.outcome, len(sandbox.ledger)) == ("unknown", 2)
        assert await client.balance()


async def test_lost_response(version: Version) -> None:
    sandbox, client = playing(version, "usual")
    sandbox.play("lost_response", operation="orders.create", times=2)
    assert await rent(client) == 1001
    assert (sandbox.requests[CREATE], len(sandbox.ledger)) == (3, 2)
    sandbox.play("lost_response")
    with pytest.raises(NetworkError) as caught:
        await rent(client)
    assert (caught.value.outcome, len(sandbox.ledger)) == ("unknown", 3)


async def test_lost_request(version: Version) -> None:
    sandbox, client = playing(version, "lost_request", **ONCE)
    with pytest.raises(NetworkError) as caught:
        await rent(client)
    assert (caught.value.outcome, len(sandbox.ledger)) == ("unknown", 1)
