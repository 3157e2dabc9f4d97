"""Every JSON sample of the documentation, and of the newer schema, decodes to what it says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import attrs
import pytest

from smscode import (
    APIError,
    Balance,
    CancelTooEarlyError,
    CreatedOrder,
    CreatedOrders,
    ExchangeRate,
    FxRate,
    FxRateUnavailableError,
    InsufficientBalanceError,
    Money,
    NotFoundError,
    Order,
    OrderPage,
    OrderStatus,
    ProductPage,
    ProviderError,
    RateLimitError,
    TempBannedError,
    UnauthorizedError,
    webhooks,
)
from smscode.core.api.call import Answer
from smscode.core.decoding.converter import structure
from smscode.core.versions import ApiVersion
from smscode.errors import Outcome

from .support import CALLS, KEY, REQUEST_ID, Sample, error_of, exactly, places, read, rows, sample_id, samples

MONEY = {"price", "amount", "balance", "refund_amount", "new_balance", "cost"}
TIMES = {"timestamp", "rate_as_of"}

ERRORS: Mapping[str, tuple[type[APIError], Outcome]] = {
    "ERROR_CODE": (APIError, "rejected"),
    "UNAUTHORIZED": (UnauthorizedError, "rejected"),
    "NOT_FOUND": (NotFoundError, "rejected"),
    "CANCEL_TOO_EARLY": (CancelTooEarlyError, "rejected"),
    "INSUFFICIENT_BALANCE": (InsufficientBalanceError, "rejected"),
    "PROVIDER_ERROR": (ProviderError, "failed"),
    "RATE_LIMIT_EXCEEDED": (RateLimitError, "rejected"),
    "TEMP_BANNED_ABUSE_GUARD": (TempBannedError, "rejected"),
    "FX_RATE_UNAVAILABLE": (FxRateUnavailableError, "rejected"),
}

EVENTS = {
    "order.otp_received": webhooks.OtpReceived,
    "order.completed": webhooks.OrderCompleted,
    "order.canceled": webhooks.OrderCanceled,
    "webhook.test": webhooks.WebhookTest,
}


def same(name: str, raw: Any, value: object, version: ApiVersion) -> None:
    """Assert that a decoded value says what the JSON says, whatever the codec thinks."""
    if raw is None:
        assert value is None, name
    elif name in MONEY:
        same_money(name, raw, value, version)
    elif name.endswith("_at") or name in TIMES:
        assert isinstance(value, datetime), name
        assert value.utcoffset() is not None, name
        assert value.isoformat() == raw, name
    elif name == "status" and isinstance(raw, str):
        assert isinstance(value, OrderStatus), name
        assert value.value == raw, name
    elif isinstance(raw, dict):
        same_object(name, cast("dict[str, Any]", raw), value, version)
    else:
        assert exactly(value) == exactly(raw), name


def same_money(name: str, raw: Any, value: object, version: ApiVersion) -> None:
    """Assert an amount: v1 states whole rupiah, v2 both currencies."""
    assert isinstance(value, Money), name
    stated = (
        value.amount,
        str(value.amount),
        value.currency,
        value.canonical_amount,
        value.canonical_currency,
    )
    if version == "v1":
        assert stated == (Decimal(raw), str(raw), "IDR", raw, "IDR"), name
    else:
        wire = (raw["amount"], raw["currency"], raw["canonical_amount"], raw["canonical_currency"])
        assert stated == (Decimal(raw["amount"]), *wire), name


def same_object(name: str, raw: dict[str, Any], value: object, version: ApiVersion) -> None:
    """Assert every field that was sent, and that every other field of the model is None."""
    fields = {field.name for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(value)))}
    for key, item in raw.items():
        assert key in fields, f"{name}.{key} is not on the model"
        same(key, item, getattr(value, key), version)
    for key in fields - raw.keys():
        assert getattr(value, key) is None, f"{name}.{key} was not sent"


def same_rows(raw: list[dict[str, Any]], values: object, version: ApiVersion) -> None:
    assert isinstance(values, (list, tuple))
    found = list(cast("Iterable[object]", values))
    assert len(found) == len(raw)
    for number, (row, value) in enumerate(zip(raw, found, strict=True)):
        same_object(f"[{number}]", row, value, version)


def same_answer(body: Mapping[str, Any], answer: Answer[Any], version: ApiVersion) -> None:
    """Assert a whole answer against the envelope it came in."""
    data, meta = body["data"], body.get("meta", {})
    result: object = answer.data
    same("fx", meta.get("fx"), answer.fx, version)
    if isinstance(result, ProductPage):
        same_rows(data, result.items, version)
        assert (result.page, result.limit, result.count) == (meta["page"], meta["limit"], meta["count"])
        assert list(result) == list(result.items)
        assert len(result) == len(data)
    elif isinstance(result, OrderPage):
        same_rows(data, result.items, version)
        assert (result.limit, result.offset) == (5, 15), "what the call asked for"
        assert list(result) == list(result.items)
        assert len(result) == len(data)
    elif isinstance(result, CreatedOrders):
        same_rows(data["orders"], result.orders, version)
        assert exactly(result.failed_count) == exactly(data["failed_count"])
        assert result.idempotency_key == KEY
        assert result.problems == ()
        assert list(result) == list(result.orders)
        assert len(result) == len(data["orders"])
    elif isinstance(result, Balance):
        same_money("balance", data["balance"], result.balance, version)
        assert data.get("currency", "USD") == result.balance.currency
    elif isinstance(data, list):
        assert type(result) is list
        same_rows(cast("list[dict[str, Any]]", data), cast("list[object]", result), version)
    else:
        same_object("data", data, result, version)
    if isinstance(result, (ProductPage, OrderPage, CreatedOrders, Balance)):
        assert result.fx == answer.fx
    if isinstance(result, ExchangeRate):
        assert result.fx == FxRate(result.pair, result.rate, result.rate_as_of)


def test_the_samples_are_all_there() -> None:
    def count(source: str) -> Counter[str]:
        return Counter(row["kind"] for row in rows(source))

    assert count("documentation") == {"success": 36, "error": 3, "webhook": 2, "money": 2}
    assert count("examples") == {"success": 36, "error": 9, "webhook": 6}
    assert {sample.operation for sample in samples("success")} <= CALLS.keys()
    documented = {row["operation"] for row in rows("documentation") if row["kind"] == "success"}
    assert len(documented) == 15


@pytest.mark.parametrize("sample", samples("success"), ids=sample_id)
def test_a_success_says_what_the_sample_says(sample: Sample) -> None:
    answer = read(sample.operation, sample.response(), sample.version)
    assert (answer.status_code, answer.request_id, answer.attempts) == (200, REQUEST_ID, 1)
    same_answer(sample.body, answer, sample.version)


@pytest.mark.parametrize("sample", samples("error"), ids=sample_id)
def test_an_error_says_what_the_sample_says(sample: Sample) -> None:
    error = error_of(sample.operation, sample.response(), sample.version)
    stated = sample.body["error"]
    class_, outcome = ERRORS[stated["code"]]
    assert type(error) is class_
    assert error.outcome == outcome
    assert error.message == stated["message"]
    assert error.code == stated["code"]
    assert error.details == stated.get("details")
    assert error.status_code == sample.status
    assert error.request_id == REQUEST_ID
    wait = sample.headers.get("retry-after")
    assert error.retry_after == (None if wait is None else float(wait))


@pytest.mark.parametrize("sample", samples("webhook"), ids=sample_id)
def test_a_webhook_says_what_the_sample_says(sample: Sample) -> None:
    event = webhooks.parse(json.dumps(sample.body).encode())
    assert type(event) is EVENTS[sample.body["event"]]
    same_object(
        "webhook", {"timestamp": sample.body["timestamp"], **sample.body["data"]}, event, sample.version
    )


@pytest.mark.parametrize("sample", samples("money"), ids=sample_id)
def test_a_money_object_says_what_the_sample_says(sample: Sample) -> None:
    same_money("money", sample.body, structure("v2", sample.body, Money, "$"), "v2")


@pytest.mark.parametrize("operation", ["orders.get", "catalog.products", "orders.create", "orders.cancel"])
def test_the_comparison_above_notices_every_single_change(operation: str) -> None:
    sample = [s for s in samples("success") if s.operation == operation and s.version == "v2"][-1]
    answer = read(operation, sample.response())
    leaves = [
        (container, key)
        for container, key in places(sample.body)
        if key != "success" and not isinstance(container[key], (dict, list))
    ]
    assert len(leaves) > 5
    for container, key in leaves:
        kept = container[key]
        container[key] = "2000-01-01T00:00:00+00:00" if kept is None else None
        with pytest.raises((AssertionError, TypeError)):
            same_answer(sample.body, answer, "v2")
        container[key] = kept
    same_answer(sample.body, answer, "v2")


def test_an_order_of_the_older_service_written_out() -> None:
    sample = next(s for s in samples("success") if s.operation == "orders.get" and s.version == "v1")
    assert read("orders.get", sample.response(), "v1").data == Order(
        id=1001,
        status=OrderStatus.OTP_RECEIVED,
        created_at=datetime(2026, 2, 25, 10, 0, tzinfo=UTC),
        product_id=142,
        phone_number="+6281234567890",
        amount=Money(Decimal(15000), "IDR", 15000, "IDR"),
        otp_code="123456",
        otp_received_at=datetime(2026, 2, 25, 10, 5, tzinfo=UTC),
        expires_at=datetime(2026, 2, 25, 10, 20, tzinfo=UTC),
        canceled_at=None,
        failed_reason=None,
    )


def test_a_purchase_of_the_newer_service_written_out() -> None:
    sample = [s for s in samples("success") if s.operation == "orders.create" and s.version == "v2"][-1]
    assert read("orders.create", sample.response()).data == CreatedOrders(
        orders=(
            CreatedOrder(
                id=70413,
                status=OrderStatus.ACTIVE,
                product_id=5540,
                catalog_product_id=412,
                amount=Money(Decimal("0.5968"), "USD", 9800, "IDR"),
                phone_number="+84987654321",
                expires_at=datetime(2026, 6, 14, 4, 30, 5, tzinfo=UTC),
                can_finish=False,
                can_resend=False,
                can_cancel=False,
                can_replace=False,
                can_reactivate=False,
                cancel_available_at=datetime(2026, 6, 14, 4, 12, 5, tzinfo=UTC),
                replace_available_at=datetime(2026, 6, 14, 4, 12, 5, tzinfo=UTC),
            ),
        ),
        failed_count=0,
        idempotency_key=KEY,
        fx=FxRate("USD/IDR", 16420, datetime(2026, 6, 14, 3, 15, tzinfo=UTC)),
    )
