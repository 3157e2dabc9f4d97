# Generated from tests/_async/test_purchases.py by `nox -s generate`: change that file, not this one.

"""Purchases through the client: at most once, whatever happens, and never lost."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import httpx
import pytest

from smscode import (
    Answer,
    CancelTooEarlyError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    NotFoundError,
    OrderStatus,
    ProviderError,
    PurchaseTooOldError,
    RateLimits,
    TempBannedError,
    calls,
)
from smscode._concurrency import Runtime
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox

from ..concurrency import VirtualClient
from .helpers import Script, rent, still_sandbox

pytestmark = pytest.mark.anyio

LOST = httpx.ReadError("lost")
CREATE = "POST /orders/create"


class Lossy(httpx.BaseTransport):
    """A sandbox whose answers to some requests get lost after they were carried out."""

    def __init__(self, sandbox: Sandbox, path: str, times: int) -> None:
        self._inner = sandbox.transport()
        self._path = path
        self.times = times
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self._inner.handle_request(request)
        if self.times and request.url.path.endswith(self._path):
            self.times -= 1
            raise httpx.ReadError("lost")
        return response


def lossy(path: str, times: int, **options: Any) -> tuple[Sandbox, Lossy, VirtualClient]:
    sandbox = still_sandbox(otp_after=5)
    transport = Lossy(sandbox, path, times)
    return sandbox, transport, VirtualClient(sandbox, transport=transport, **options)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_purchase_whose_answers_get_lost_is_made_once() -> None:
    sandbox, transport, client = lossy("/create", 3)
    created = client.orders.create(catalog_product_id=87)
    assert len(sandbox.ledger) == 2
    assert len({(r.content, r.headers["idempotency-key"]) for r in transport.requests}) == 1
    assert created.orders[0].id == (client.orders.active())[0].id
    assert client.orders.unresolved() == ()


def test_a_purchase_in_doubt_is_settled_by_submitting_it() -> None:
    sandbox, _, client = lossy("/create", 8)
    with pytest.raises(NetworkError) as lost:
        client.orders.create(catalog_product_id=87, idempotency_key="mine")
    assert (lost.value.outcome, lost.value.attempts, lost.value.idempotency_key) == ("unknown", 8, "mine")
    (intent,) = client.orders.unresolved()
    assert intent.idempotency_key == "mine"
    created = client.orders.submit(intent)
    assert len(created) == 1
    assert len(sandbox.ledger) == 2
    assert client.orders.unresolved() == ()


@pytest.mark.parametrize("stored", [False, True])
def test_a_client_that_closes_with_a_purchase_in_doubt_says_so_once(
    stored: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"journal": tmp_path / "orders.db"} if stored else {}
    _, _, client = lossy("/create", 8, **options)
    with pytest.raises(NetworkError):
        client.orders.create(catalog_product_id=87, idempotency_key="mine")
    for _ in range(2):
        client.close()
    (said,) = [record.getMessage() for record in caplog.records if "in doubt" in record.getMessage()]
    assert "closed with 1 purchase in doubt" in said
    assert "idempotency key mine. " in said
    assert ("orders.recover() of a new client with the same journal" in said) is stored
    assert ("the same purchase with the same idempotency_key" in said) is not stored


@pytest.mark.parametrize("journal", [False, True])
def test_a_purchase_is_freed_when_its_orders_have_ended(journal: bool, tmp_path: Path) -> None:
    """At once, not by the next garbage collection: a bot that buys thousands has few of these."""
    sandbox = still_sandbox(otp_after=None)
    options: dict[str, Any] = {"journal": tmp_path / "orders.db"} if journal else {}
    with VirtualClient(sandbox, **options) as client:
        order_id = rent(client)
        purchase = weakref.ref(client._ordering.purchases.book._by_order[order_id])
        sandbox.advance(120)
        gc.collect()
        gc.disable()
        try:
            client.orders.cancel(order_id)
            assert purchase() is None
        finally:
            gc.enable()


def test_a_prepared_purchase_is_sent_when_it_is_submitted() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    intent = client.orders.prepare(catalog_product_id=87, quantity=2)
    assert sandbox.requests[CREATE] == 0
    first = client.orders.submit(intent)
    again = client.orders.submit(intent)
    assert [order.id for order in first] == [order.id for order in again]
    assert first.idempotency_key == intent.idempotency_key


def test_a_purchase_sent_by_hand_is_looked_after_too() -> None:
    _, _, client = lossy("/create", 8)
    with pytest.raises(NetworkError):
        client.send(calls.orders.create(catalog_product_id=87))
    (intent,) = client.orders.unresolved()
    answer = client.send(intent.call)
    assert answer.data.idempotency_key == intent.idempotency_key


def test_a_reactivation_is_looked_after_too() -> None:
    sandbox = still_sandbox(otp_after=0)
    transport = Lossy(sandbox, "/reactivate", 8)
    client = VirtualClient(sandbox, transport=transport)
    order_id = rent(client)
    client.orders.wait_for_otp(order_id)
    client.orders.finish(order_id)
    with pytest.raises(NetworkError):
        client.orders.reactivate(order_id)
    (intent,) = client.orders.unresolved()
    assert len(client.orders.submit(intent)) == 1
    assert len(sandbox.ledger) == 3


def test_a_refusal_leaves_nothing_in_doubt() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    with pytest.raises(NoOfferAvailableError) as refused:
        client.orders.create(catalog_product_id=87, max_price="0.01")
    sandbox.fail_next("orders.create", "PROVIDER_ERROR")
    with pytest.raises(ProviderError) as failed:
        client.orders.create(catalog_product_id=87)
    assert (refused.value.outcome, failed.value.outcome) == ("rejected", "failed")
    assert client.orders.unresolved() == ()


def test_an_intent_needs_the_rate_for_a_price_of_the_other_version() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    with pytest.raises(InvalidArgumentError, match="max_price"):
        client.orders.prepare(catalog_product_id=87, max_price=Money.idr(15_000))
    fx = (client.catalog.exchange_rate()).fx
    intent = client.orders.prepare(catalog_product_id=87, max_price=Money.idr(15_000), fx=fx)
    assert len(client.orders.submit(intent)) == 1


def test_only_an_intent_is_submitted() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    with pytest.raises(InvalidArgumentError, match=r"intent: expected a smscode\.OrderIntent, got str"):
        client.orders.submit("key")  # type: ignore[arg-type]  # that is the point


def test_a_closed_client_leaves_no_intent_behind() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    client.close()
    with pytest.raises(ClientStateError):
        client.orders.create(catalog_product_id=87)
    assert client.orders.unresolved() == ()


def test_nothing_is_ordered_while_a_ban_lasts() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    sandbox.fail_next("orders.create", "TEMP_BANNED_ABUSE_GUARD", retry_after=60)
    for _ in range(3):
        with pytest.raises(TempBannedError):
            client.orders.create(catalog_product_id=87)
    assert sandbox.requests[CREATE] == 1
    assert client.runtime.slept == []
    client.runtime.sleep(60)
    assert len(client.orders.create(catalog_product_id=87)) == 1


@pytest.mark.parametrize("limits", [RateLimits(), None], ids=["limited", "unlimited"])
def test_a_ban_ends_what_waits_for_a_connection_too(limits: RateLimits | None) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "TEMP_BANNED_ABUSE_GUARD", retry_after=60)
    client = VirtualClient(sandbox, max_connections=1, rate_limits=limits, timeout=None)
    outcomes: list[str] = []

    def buy(_: int) -> None:
        with pytest.raises(TempBannedError) as refused:
            client.orders.create(catalog_product_id=87)
        outcomes.append(refused.value.outcome)

    Runtime().for_each(buy, range(5))
    assert sandbox.requests[CREATE] == 1
    assert sorted(outcomes) == ["not_sent"] * 4 + ["rejected"]
    assert client.orders.unresolved() == ()


def test_a_ban_lasts_no_longer_for_those_that_waited_for_a_connection() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "TEMP_BANNED_ABUSE_GUARD", retry_after=60)
    others = 4

    class Slow(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            while len(client._driver._connections._semaphore._waiters) < others:
                Runtime().sleep(0.001)
            client.runtime.sleep(20)
            return sandbox.transport().handle_request(request)

    client = VirtualClient(sandbox, transport=Slow(), max_connections=1, timeout=None)
    left: list[float | None] = []

    def buy(_: int) -> None:
        with pytest.raises(TempBannedError) as refused:
            client.orders.create(catalog_product_id=87)
        left.append(refused.value.retry_after)

    Runtime().for_each(buy, range(others + 1))
    assert left == [60.0] * (others + 1)
    others = 0
    client.runtime.sleep(60)
    assert len(client.orders.create(catalog_product_id=87)) == 1


def test_a_purchase_in_doubt_stays_so_while_a_ban_lasts() -> None:
    sandbox, transport, client = lossy("/create", 100)
    with pytest.raises(NetworkError):
        client.orders.create(catalog_product_id=87, timeout=5)
    (intent,) = client.orders.unresolved()
    transport.times = 0
    sandbox.fail_next("orders.create", "TEMP_BANNED_ABUSE_GUARD", retry_after=600)
    for _ in range(2):
        with pytest.raises(TempBannedError) as refused:
            client.orders.submit(intent)
        assert refused.value.outcome == "unknown"
        assert client.orders.unresolved() == (intent,)


def test_a_cancel_whose_answer_was_lost_refunds_once() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = VirtualClient(sandbox, transport=Lossy(sandbox, "/cancel", 1))
    balance = sandbox.balance
    order_id = rent(client)
    sandbox.advance(120)
    canceled = client.orders.cancel(order_id)
    assert canceled.status == OrderStatus.CANCELED
    assert canceled.new_balance.canonical_amount == sandbox.balance == balance


def test_a_finish_whose_answer_was_lost_is_a_success() -> None:
    sandbox, transport, client = lossy("/finish", 1)
    order_id = rent(client)
    sandbox.advance(5)
    finished = client.orders.finish(order_id)
    assert finished.status == OrderStatus.COMPLETED
    assert [r.url.path.rsplit("/", 1)[-1] for r in transport.requests[-2:]] == ["finish", str(order_id)]


def test_a_cancel_that_an_sms_forestalled_shows_the_order() -> None:
    sandbox = still_sandbox(otp_after=None)
    script = Script([], then=sandbox.transport())
    client = VirtualClient(sandbox, transport=script)
    order_id = rent(client)
    sandbox.deliver_sms(order_id, code="123456")
    client.orders.finish(order_id)
    script.add(LOST)
    with pytest.raises(ConflictError) as ended:
        client.orders.cancel(order_id)
    assert getattr(ended.value.order, "otp_code", None) == "123456"


@pytest.mark.parametrize("wait", [False, True])
def test_a_cancel_that_comes_too_early_needs_the_order_only_to_wait(wait: bool) -> None:
    sandbox = still_sandbox(otp_after=None)
    client = VirtualClient(sandbox)
    order_id = rent(client)
    sandbox.fail_next("orders.get", "NOT_FOUND")
    with pytest.raises(NotFoundError if wait else CancelTooEarlyError):
        client.orders.cancel(order_id, wait=wait)


def test_an_answer_without_a_date_leaves_the_one_that_is_known() -> None:
    client = VirtualClient(still_sandbox())
    client.balance()
    recovery = client._ordering.recovery
    date = recovery._date
    recovery.see(Answer(None, None, 200, None))
    assert recovery._date == date


def test_a_cancel_can_wait_until_it_is_allowed() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = VirtualClient(sandbox)
    order_id = rent(client)
    with pytest.raises(CancelTooEarlyError):
        client.orders.cancel(order_id)
    with pytest.raises(CancelTooEarlyError):
        client.orders.cancel(order_id, wait=True, timeout=100)
    canceled = client.orders.cancel(order_id, wait=True)
    assert canceled.status == OrderStatus.CANCELED
    assert 120 <= sum(client.runtime.slept) <= 125


def test_a_client_without_a_journal_cannot_recover() -> None:
    client = VirtualClient(still_sandbox())
    with pytest.raises(ConfigurationError, match="no journal"):
        client.orders.recover()


def test_what_is_bought_is_settled_in_the_journal(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = VirtualClient(sandbox, journal=journal)
        client.orders.create(catalog_product_id=87)
        assert client.orders.recover() == []


def test_what_an_ended_process_left_is_recovered_in_order(tmp_path: Path) -> None:
    sandbox, transport, _ = lossy("/create", 16)
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        before = VirtualClient(sandbox, transport=transport, journal=journal)
        for key in ("first", "second"):
            with pytest.raises(NetworkError):
                before.orders.create(catalog_product_id=87, idempotency_key=key)
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = VirtualClient(sandbox, journal=journal)
        recovered = client.orders.recover()
        assert [found.intent.idempotency_key for found in recovered] == ["first", "second"]
        assert all(found.orders is not None and len(found.orders) == 1 for found in recovered)
        assert client.orders.recover() == []
    assert len(sandbox.ledger) == 3


def test_what_cannot_be_recovered_says_why_and_stays(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = VirtualClient(sandbox, transport=Script([LOST] * 16), journal=journal)
        with pytest.raises(NetworkError):
            client.orders.create(catalog_product_id=87)
        (still_lost,) = client.orders.recover()
        assert isinstance(still_lost.error, NetworkError)
        (too_old,) = client.orders.recover(max_age=1e-9)
        assert isinstance(too_old.error, PurchaseTooOldError)
        assert too_old.error.outcome == "unknown"
        assert sandbox.requests[CREATE] == 0


def left_in_doubt(sandbox: Sandbox, path: Path) -> None:
    """Leave a purchase behind that was carried out without its answer arriving."""
    with SQLiteJournal(path) as journal:
        transport = Lossy(sandbox, "/create", 8)
        client = VirtualClient(sandbox, transport=transport, journal=journal)
        with pytest.raises(NetworkError):
            client.orders.create(catalog_product_id=87)


def test_what_was_left_in_doubt_stays_so_while_the_service_cannot_be_reached(tmp_path: Path) -> None:
    sandbox, path = still_sandbox(), tmp_path / "orders.db"
    left_in_doubt(sandbox, path)
    with SQLiteJournal(path) as journal:
        script = Script([httpx.ConnectError("refused")] * 8, then=sandbox.transport())
        client = VirtualClient(sandbox, transport=script, journal=journal)
        (unreached,) = client.orders.recover()
        assert unreached.error is not None
        assert unreached.error.outcome == "unknown"
        (found,) = client.orders.recover()
        assert found.orders is not None
        assert len(found.orders) == 1
    assert len(sandbox.ledger) == 2


def test_what_was_left_in_doubt_waits_for_a_client_of_its_version(tmp_path: Path) -> None:
    sandbox, path = still_sandbox(), tmp_path / "orders.db"
    left_in_doubt(sandbox, path)
    with SQLiteJournal(path) as journal:
        (refused,) = VirtualClient(sandbox, api_version="v1", journal=journal).orders.recover()
        assert isinstance(refused.error, InvalidArgumentError)
        (found,) = VirtualClient(sandbox, journal=journal).orders.recover()
        assert found.orders is not None


def test_a_refusal_that_the_caller_was_told_is_not_recovered(tmp_path: Path) -> None:
    sandbox, path = still_sandbox(), tmp_path / "orders.db"
    with SQLiteJournal(path) as journal:
        client = VirtualClient(sandbox, journal=journal)
        with pytest.raises(NoOfferAvailableError) as refused:
            client.orders.create(catalog_product_id=87, max_price="0.01")
        assert refused.value.outcome == "rejected"
        assert client.orders.recover() == []
    assert len(sandbox.ledger) == 1


def test_a_refusal_after_a_lost_answer_is_certain_once_that_attempt_cannot_arrive(
    tmp_path: Path,
) -> None:
    sandbox, path = still_sandbox(), tmp_path / "orders.db"
    with SQLiteJournal(path) as journal:
        script = Script([LOST], then=sandbox.transport())
        client = VirtualClient(sandbox, transport=script, journal=journal)
        with pytest.raises(NoOfferAvailableError) as refused:
            client.orders.create(catalog_product_id=87, max_price="0.01")
        assert refused.value.outcome == "unknown"
        (intent,) = client.orders.unresolved()
        client.runtime.pass_by(61)
        with pytest.raises(NoOfferAvailableError) as refused:
            client.orders.submit(intent)
        assert refused.value.outcome == "rejected"
        assert client.orders.unresolved() == ()
        assert client.orders.recover() == []


def test_a_key_that_the_journal_has_with_another_order_is_refused(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    path = tmp_path / "orders.db"
    with SQLiteJournal(path) as journal:
        client = VirtualClient(sandbox, journal=journal)
        client.orders.create(catalog_product_id=87, idempotency_key="mine")
    with SQLiteJournal(path) as journal:
        client = VirtualClient(sandbox, journal=journal)
        with pytest.raises(InvalidArgumentError, match="another order"):
            client.orders.create(catalog_product_id=87, quantity=2, idempotency_key="mine")
    assert sandbox.requests[CREATE] == 1


def test_the_journal_holds_no_token(tmp_path: Path) -> None:
    sandbox = still_sandbox(token="canary-4711")
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = VirtualClient(sandbox, journal=journal)
        client.orders.create(catalog_product_id=87)
        assert b"canary" not in everything_in(tmp_path)


def test_many_purchases_at_once_are_all_different() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    ids: list[int] = []

    def buy(_: int) -> None:
        ids.append(rent(client))

    Runtime().for_each(buy, range(30))
    assert len(set(ids)) == 30
    assert len(sandbox.ledger) == 31
