# Generated from tests/_async/test_spending.py by `nox -s generate`: change that file, not this one.

"""A spending limit of a client: nothing beyond it is sent, with a journal and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smscode import (
    InvalidArgumentError,
    InvalidResponseError,
    Money,
    NoOfferAvailableError,
    SpendingLimit,
    SpendingLimitError,
    UnauthorizedError,
)
from smscode.sandbox import Sandbox

from ..concurrency import Delivery, VirtualClient
from .helpers import HTML, Script, refusal, rent, still_sandbox

pytestmark = pytest.mark.anyio

CREATE = "POST /orders/create"
RATE = "GET /catalog/exchange-rate"
PRICE = 15_000  # rupiah for the product of these tests
CAP = {"max_price": "0.96"}  # 15,600 rupiah


@pytest.fixture(params=[False, True], ids=["memory", "journal"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    return {"journal": tmp_path / "orders.db"} if request.param else {}


def limited(sandbox: Sandbox, options: dict[str, Any], **limit: Any) -> VirtualClient:
    return VirtualClient(sandbox, spending=SpendingLimit(**limit), **options)


def charges(sandbox: Sandbox) -> int:
    return sum(-entry.amount for entry in sandbox.ledger if entry.order_id is not None)


def test_a_purchase_beyond_the_limit_is_not_sent(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    with limited(sandbox, options, total=Money.idr(40_000)) as client:
        rent(client, **CAP)
        sent = sandbox.requests[CREATE]
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, quantity=2, **CAP, idempotency_key="mine")
        error = refused.value
        assert (error.outcome, error.period, error.left) == ("not_sent", "total", 40_000 - charges(sandbox))
        assert (error.cap, error.idempotency_key, error.trouble) == (31_200, "mine", "spending limit")
        assert sandbox.requests[CREATE] == sent
        assert client.orders.unresolved() == ()
        rent(client, **CAP, idempotency_key="mine")  # the key is free for what the limit admits


def test_what_was_refunded_may_be_spent_again(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    with limited(sandbox, options, total=Money.idr(20_000)) as client:
        for _ in range(3):
            order_id = rent(client, **CAP)
            with pytest.raises(SpendingLimitError):
                rent(client, **CAP)
            client.orders.cancel(order_id)
        assert charges(sandbox) == 0


def test_a_purchase_in_doubt_counts_as_its_cap_until_it_is_settled(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Script([], sandbox.transport())
    limit = SpendingLimit(total=Money.idr(30_000))
    with VirtualClient(sandbox, transport=transport, spending=limit, **options) as client:
        assert client.orders.bought() == ()
        client.balance()  # its answer states the rate
        transport.add(*[HTML] * 20)
        with pytest.raises(InvalidResponseError):
            rent(client, **CAP)
        transport.clear()
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, **CAP)
        assert refused.value.left == 14_400
        (intent,) = client.orders.unresolved()
        client.orders.submit(intent)
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, **CAP)
        assert refused.value.left == 30_000 - charges(sandbox)


def test_a_refused_purchase_counts_nothing(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    with limited(sandbox, options, total=Money.idr(15_600)) as client:
        for _ in range(2):
            with pytest.raises(NoOfferAvailableError):
                rent(client, max_price="0.01")
        rent(client, **CAP)


def test_a_purchase_without_a_cap_is_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    sandbox = still_sandbox()
    with limited(sandbox, options, per_hour="10") as client:
        for key in (None, "mine"):
            with pytest.raises(InvalidArgumentError, match="max_price") as refused:
                rent(client, idempotency_key=key)
            assert refused.value.outcome == "not_sent"
        with pytest.raises(InvalidArgumentError, match="max_price"):
            client.orders.create_many(150, catalog_product_id=87)
        with pytest.raises(InvalidArgumentError, match="max_price"):
            client.orders.reactivate(1001)
        assert sandbox.requests.total() == 0


def test_an_uncapped_purchase_in_doubt_can_be_settled_under_a_limit(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Script([HTML] * 20, sandbox.transport())
    path = tmp_path / "orders.db"
    with VirtualClient(sandbox, transport=transport, journal=path) as client:
        with pytest.raises(InvalidResponseError):
            rent(client, idempotency_key="mine")
    with limited(sandbox, {"journal": path}, total="1.50") as client:
        rent(client, idempotency_key="mine")
        with pytest.raises(SpendingLimitError):
            rent(client, max_price="1.00")


def test_what_is_recovered_needs_neither_a_cap_nor_the_rate(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Script([HTML] * 20, sandbox.transport())
    path = tmp_path / "orders.db"
    with VirtualClient(sandbox, transport=transport, journal=path) as client:
        with pytest.raises(InvalidResponseError):
            rent(client, idempotency_key="mine")
    with limited(sandbox, {"journal": path}, total="0.01") as client:
        (recovered,) = client.orders.recover()
        assert (recovered.state, len(recovered.orders)) == ("settled", 1)
        assert sandbox.requests[RATE] == 0


def test_a_limit_in_dollars_reads_the_rate_once(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    with limited(sandbox, options, total="1.40") as client:
        rent(client, max_price="1.00")
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, max_price="1.00")
        assert refused.value.left == 22_750 - charges(sandbox)
        assert sandbox.requests[RATE] == 1


def test_a_limit_in_dollars_is_converted_once_and_a_cap_at_the_newest_rate(
    options: dict[str, Any],
) -> None:
    sandbox = still_sandbox(otp_after=None)
    with limited(sandbox, options, total="1.40") as client:
        rent(client, max_price="1.00")
        sandbox.set_rate(20_000)
        client.balance()  # its answer states the rate
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, max_price="1.00")
        assert (refused.value.left, refused.value.cap) == (22_750 - PRICE, 20_000)


def test_without_the_rate_nothing_is_sent(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Script([refusal(401, "UNAUTHORIZED")], sandbox.transport())
    limit = SpendingLimit(total="5")
    with VirtualClient(sandbox, transport=transport, spending=limit, **options) as client:
        with pytest.raises(UnauthorizedError) as refused:
            rent(client, max_price="1.00")
        assert refused.value.outcome == "not_sent"
        assert len(transport.requests) == 1


def test_a_limit_of_rupiah_needs_no_rate(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    with limited(sandbox, options | {"api_version": "v1"}, per_hour=20_000) as client:
        rent(client, max_price=16_000)
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, max_price=16_000)
        assert refused.value.period == "per_hour"
        assert sandbox.requests[RATE] == 0


def test_many_purchases_at_once_stay_within_the_limit(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None, balance=10**9)
    with limited(sandbox, options, total=Money.idr(100 * 15_600 + 100 * PRICE)) as client:
        result = client.orders.create_many(400, catalog_product_id=87, max_price="0.96")
        assert result.failed_count > 0
        assert {type(error) for error in result.errors} == {SpendingLimitError}
        assert charges(sandbox) <= 100 * 15_600 + 100 * PRICE


def test_a_few_numbers_are_within_a_limit_too(options: dict[str, Any]) -> None:
    sandbox = still_sandbox(otp_after=None)
    with limited(sandbox, options, total=Money.idr(40_000)) as client:
        assert len(client.orders.create_many(2, catalog_product_id=87, max_price="0.96")) == 2
        (error,) = (client.orders.create_many(1, catalog_product_id=87, max_price="0.96")).errors
        assert isinstance(error, SpendingLimitError)
        assert (error.outcome, error.left) == ("not_sent", 10_000)


def test_with_a_journal_the_limit_holds_over_restarts(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    path = tmp_path / "orders.db"
    for _ in range(2):
        with limited(sandbox, {"journal": path}, total=Money.idr(31_000)) as client:
            rent(client, **CAP)
    with limited(sandbox, {"journal": path}, total=Money.idr(31_000)) as client:
        with pytest.raises(SpendingLimitError) as refused:
            rent(client, **CAP)
        assert refused.value.left == 31_000 - charges(sandbox)
    with VirtualClient(sandbox, journal=path) as client:
        rent(client)  # a client without a limit is not held up


@pytest.mark.parametrize("limit", [5, "1.00", {"total": 5}])
def test_a_limit_is_a_spending_limit(limit: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="spending"):
        VirtualClient(still_sandbox(), spending=limit)


def test_a_limit_is_in_the_currency_of_the_client() -> None:
    with pytest.raises(InvalidArgumentError, match="per_hour"):
        limited(still_sandbox(), {}, per_hour=5_000)
    with pytest.raises(InvalidArgumentError, match="total"):
        limited(still_sandbox(), {"api_version": "v1"}, total="1.00")


def test_a_client_without_a_limit_keeps_no_ledger() -> None:
    client = VirtualClient(still_sandbox(otp_after=None))
    rent(client)
    assert client._ordering.purchases.ledger is None


def test_a_repeated_call_without_a_cap_says_of_each_purchase_what_is_known(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    free = VirtualClient(sandbox, journal=tmp_path / "orders.db")
    rent(free, idempotency_key="first")
    client = limited(sandbox, {"journal": tmp_path / "orders.db"}, total="9.00")
    purchases = client._ordering.purchases
    keys = ("first", "second")
    intents = [client.orders.prepare(catalog_product_id=87, idempotency_key=key) for key in keys]

    def buy(delivery: Delivery) -> None:
        results = purchases.submit_all(intents, delivery, None)
        refused = results[intents[1]]
        assert isinstance(refused, InvalidArgumentError)
        assert (refused.outcome, refused.idempotency_key) == ("not_sent", "second")

    purchases.deliver(buy, None, *keys)
