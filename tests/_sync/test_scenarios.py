# Generated from tests/_async/test_scenarios.py by `nox -s generate`: change that file, not this one.

"""Every scenario of the sandbox as a client of this package sees it, on both API versions."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import pytest

from smscode import (
    Client,
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

from ..concurrency import VirtualClient
from .helpers import WHATSAPP_INDONESIA, rent, still_sandbox

pytestmark = pytest.mark.anyio

Version: TypeAlias = Literal["v1", "v2"]
ONCE: dict[str, Any] = {"retry": RetryPolicy(max_attempts=1)}
CREATE = "POST /orders/create"
OPENING = 1_000_000


def playing(version: Version, *chosen: str | Scenario, **options: Any) -> tuple[Sandbox, VirtualClient]:
    """Make a sandbox where scenarios play in everything, and a client of it."""
    sandbox = still_sandbox(cancel_after=0, resend_cooldown=0)
    sandbox.play(*chosen)
    return sandbox, VirtualClient(sandbox, api_version=version, **options)


def test_every_scenario_has_a_test() -> None:
    assert {f"test_{name}" for name in SCENARIOS} <= globals().keys()


def test_usual(version: Version) -> None:
    sandbox, client = playing(version, "never")
    sandbox.play("usual", catalog_product_id=WHATSAPP_INDONESIA)
    assert (client.orders.wait_for_otp(rent(client))).code is not None


def test_otp_after(version: Version) -> None:
    sandbox, client = playing(version, scenarios.otp_after(50))
    began = sandbox.now
    sms = client.orders.wait_for_otp(rent(client))
    assert sms.received_at is not None
    assert (sms.received_at - began).total_seconds() == 50


def test_text_only(version: Version) -> None:
    _, client = playing(version, "text_only")
    order_id = rent(client)
    sms = client.orders.wait_for_sms(order_id)
    assert (sms.code, sms.text) == (None, "Tap to confirm: https://example.com/c/7f3a")
    with pytest.raises(OtpTimeoutError) as caught:
        client.orders.wait_for_otp(order_id, timeout=10)
    assert caught.value.text == sms.text


def test_text_then_code(version: Version) -> None:
    _, client = playing(version, "text_then_code(1, 20)")
    order_id = rent(client)
    assert (client.orders.wait_for_sms(order_id)).code is None
    sms = client.orders.wait_for_otp(order_id)
    assert (sms.code is not None, sms.revision) == (True, 2)


def test_two_messages(version: Version) -> None:
    _, client = playing(version, "two_messages")
    order_id = rent(client)
    first = client.orders.wait_for_otp(order_id)
    second = client.orders.wait_for_otp(order_id, after_revision=first.revision)
    assert (first.revision, second.revision) == (1, 2)
    assert first.code != second.code


def test_never(version: Version) -> None:
    sandbox, client = playing(version, "never")
    with pytest.raises(OrderTerminalError) as caught:
        client.orders.wait_for_otp(rent(client))
    assert (caught.value.status, sandbox.balance) == ("EXPIRED", OPENING)


def test_expires_soon(version: Version) -> None:
    sandbox, client = playing(version, "never, expires_soon(30)")
    began = sandbox.now
    order_id = rent(client)
    with pytest.raises(OrderTerminalError):
        client.orders.wait_for_otp(order_id)
    assert (sandbox.now - began).total_seconds() == 30
    assert (client.orders.get(order_id)).failed_reason is not None


def test_partial(version: Version) -> None:
    sandbox, client = playing(version, "partial(2)")
    created = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=5)
    assert (len(created), created.failed_count) == (2, 3)
    assert sandbox.balance == OPENING - 30_000


def test_no_stock(version: Version) -> None:
    sandbox, client = playing(version, "no_stock")
    with pytest.raises(NoOfferAvailableError):
        rent(client)
    with pytest.raises(ProviderError) as caught:
        client.orders.create(product_id=142, quantity=3)
    assert caught.value.details == {"cause_counts": {"no_numbers": 3}}
    assert sandbox.balance == OPENING


def test_provider_error(version: Version) -> None:
    sandbox, client = playing(version, "usual")
    sandbox.play("provider_error", operation="orders.create", times=1)
    for _ in range(2):  # recorded, so the same key gives it again
        with pytest.raises(ProviderError) as caught:
            rent(client, idempotency_key="mine")
        assert (caught.value.outcome, sandbox.balance) == ("failed", OPENING)
    assert rent(client, idempotency_key="another")


def test_insufficient_balance(version: Version) -> None:
    sandbox, client = playing(version, "insufficient_balance")
    with pytest.raises(InsufficientBalanceError):
        rent(client, idempotency_key="mine")
    sandbox.clear_scenarios()
    assert rent(client, idempotency_key="mine")


def test_slow_create(version: Version) -> None:
    sandbox = Sandbox()
    sandbox.play("slow_create(0.05)")
    with Client(sandbox.token, transport=sandbox.transport(), api_version=version) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            rent(client, timeout=0.01, idempotency_key="mine")
        assert caught.value.outcome == "unknown"
        (intent,) = client.orders.unresolved()
        assert len(client.orders.submit(intent)) == 1
    assert len(sandbox.ledger) == 2


def test_ban(version: Version) -> None:
    sandbox, client = playing(version, "ban(100)")
    with pytest.raises(TempBannedError) as caught:
        rent(client)
    assert (caught.value.retry_after, sandbox.requests[CREATE]) == (100, 1)
    assert client.balance()
    client.runtime.pass_by(100)
    assert rent(client)


def test_too_early(version: Version) -> None:
    sandbox, client = playing(version, "never, too_early(600)")
    order_id = rent(client)
    sandbox.advance(599)
    with pytest.raises(CancelTooEarlyError):
        client.orders.cancel(order_id)
    assert (client.orders.get(order_id)).can_cancel is False
    assert (client.orders.cancel(order_id, wait=True)).status == "CANCELED"


def test_cancel_refused(version: Version) -> None:
    sandbox, client = playing(version, "never, cancel_refused")
    order_id = rent(client)
    with pytest.raises(ProviderError):
        client.orders.cancel(order_id)
    sandbox.clear_scenarios()
    assert (client.orders.cancel(order_id)).status == "CANCELED"


def test_resend_refused(version: Version) -> None:
    _, client = playing(version, "resend_refused")
    order_id = rent(client)
    client.orders.wait_for_otp(order_id)
    with pytest.raises(ProviderError):
        client.orders.resend(order_id)


def test_fx_down(version: Version) -> None:
    sandbox, client = playing(version, "fx_down", **ONCE)
    if version == "v1":
        assert rent(client)
        return
    with pytest.raises(FxRateUnavailableError):
        rent(client)
    assert sandbox.balance == OPENING
    sandbox.clear_scenarios()
    assert rent(client)


def test_rate_limited(version: Version) -> None:
    sandbox, client = playing(version, "rate_limited(20)")
    began = sandbox.now
    with pytest.raises(RateLimitError) as caught:
        client.balance(timeout=5)
    assert caught.value.retry_after == 20
    assert client.balance()
    assert (sandbox.now - began).total_seconds() >= 20


def test_maintenance(version: Version) -> None:
    sandbox, client = playing(version, "maintenance(20)", **ONCE)
    sandbox.advance(5)
    with pytest.raises(ServiceUnavailableError) as caught:
        client.balance()
    assert caught.value.retry_after == 15
    assert VirtualClient(sandbox, api_version=version).balance()


def test_unauthorized(version: Version) -> None:
    _, client = playing(version, "unauthorized")
    with pytest.raises(UnauthorizedError):
        client.balance()


def test_suspended(version: Version) -> None:
    _, client = playing(version, "suspended")
    with pytest.raises(ForbiddenError):
        client.balance()


def test_internal_error(version: Version) -> None:
    sandbox, client = playing(version, "internal_error", **ONCE)
    with pytest.raises(InternalError):
        rent(client)
    assert sandbox.balance == OPENING


def test_bad_gateway(version: Version) -> None:
    sandbox, client = playing(version, "usual")
    sandbox.play("bad_gateway", operation="balance.get", times=2)
    assert client.balance()
    assert sandbox.requests["GET /balance"] == 3
    sandbox.play("bad_gateway")
    with pytest.raises(SmscodeError) as caught:
        rent(client)
    assert (caught.value.status_code, caught.value.outcome) == (502, "unknown")


def test_late_code(version: Version) -> None:
    sandbox, client = playing(version, "late_code(400, 1)")
    began, order_id = sandbox.now, rent(client)
    with pytest.raises(OtpTimeoutError):
        client.orders.wait_for_otp(order_id, timeout=120)
    sms = client.orders.wait_for_otp(order_id)
    assert sms.received_at is not None
    assert (sms.received_at - began).total_seconds() == 400


def test_dead_numbers(version: Version) -> None:
    sandbox, client = playing(version, "otp_after(2), dead_numbers(0.5)")
    client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=20)
    sandbox.advance(2)
    statuses = {order.status for order in client.orders.iter()}
    assert statuses == {"ACTIVE", "OTP_RECEIVED"}


def test_prices_move(version: Version) -> None:
    sandbox, client = playing(version, "prices_move(50, 60)")
    (first, *_) = client.catalog.find(service="whatsapp", country="indonesia")
    sandbox.advance(600)
    (later, *_) = client.catalog.find(service="whatsapp", country="indonesia")
    assert first.price != later.price
    (order,) = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA)
    assert order.amount == later.price


def test_stock_runs_out(version: Version) -> None:
    _, client = playing(version, "stock_runs_out(1)")
    created = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=5)
    assert (len(created), created.failed_count) == (3, 2), "one of each supplier"
    with pytest.raises(NoOfferAvailableError):
        rent(client)


def test_slow_answer(version: Version) -> None:
    sandbox = Sandbox()
    sandbox.play("slow_answer(0.6)")
    with Client(sandbox.token, transport=sandbox.transport(), api_version=version) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            rent(client, timeout=0.3)
        assert (caught.value.outcome, len(sandbox.ledger)) == ("unknown", 2)
        assert client.balance()


def test_lost_response(version: Version) -> None:
    sandbox, client = playing(version, "usual")
    sandbox.play("lost_response", operation="orders.create", times=2)
    assert rent(client) == 1001
    assert (sandbox.requests[CREATE], len(sandbox.ledger)) == (3, 2)
    sandbox.play("lost_response")
    with pytest.raises(NetworkError) as caught:
        rent(client)
    assert (caught.value.outcome, len(sandbox.ledger)) == ("unknown", 3)


def test_lost_request(version: Version) -> None:
    sandbox, client = playing(version, "lost_request", **ONCE)
    with pytest.raises(NetworkError) as caught:
        rent(client)
    assert (caught.value.outcome, len(sandbox.ledger)) == ("unknown", 1)
