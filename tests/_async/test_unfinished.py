"""Unfinished business: what is in doubt, bought, handed over, recovered and closed, with a journal."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from smscode import (
    ClientStateError,
    ConfigurationError,
    InvalidArgumentError,
    JournalError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    OrderStatus,
    PurchaseTooOldError,
    Recovered,
    SmscodeError,
    TempBannedError,
    calls,
    webhooks,
)
from smscode import journal as journal_module
from smscode._concurrency import AsyncCaller, AsyncSignal
from smscode.core.purchases.records import PurchaseState, close
from smscode.core.purchases.states import Purchase
from smscode.core.settings import Settings
from smscode.journal import Read, SQLiteJournal, Write
from smscode.sandbox import Sandbox

from ..concurrency import AsyncDelivery, AsyncVirtualClient
from ..journal_tools import locked
from ..journals import leave_behind
from .helpers import AsyncScript, refusal, rent, still_sandbox

pytestmark = pytest.mark.anyio

EndedEvent = webhooks.OrderCompleted | webhooks.OrderExpired | webhooks.OrderCanceled
LOST = httpx.ReadError("lost")
CREATE = "POST /orders/create"
LIST = "GET /orders"
GET = "GET /orders/{id}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


def account_of(sandbox: Sandbox) -> str:
    return Settings.resolve(sandbox.token, None, "v2", {}).account


def told(recovered: list[Recovered]) -> list[tuple[str, str, list[int]]]:
    return [(one.intent.idempotency_key, one.state, [order.id for order in one.orders]) for one in recovered]


class AsyncDeaf(httpx.AsyncBaseTransport):
    """A sandbox whose answers to purchases get lost after they were carried out."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith("/create"):
            raise httpx.ReadError("lost")
        return response


async def test_orders_that_live_are_recovered_once_by_the_next_process(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, journal=str(path)) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=2, idempotency_key="sale")
        ids = [order.id for order in created]
        assert told(list(client.orders.bought())) == [("sale", "open", ids)]
        assert client.orders.unresolved() == ()
        assert await client.orders.recover() == []
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        (open_,) = await client.orders.recover()
        assert told([open_]) == [("sale", "open", ids)]
        assert open_.orders[0].created_at is not None, "it was read as it is now"
        assert await client.orders.recover() == []
        assert client.orders.bought() == (open_,)
    assert (sandbox.requests[CREATE], sandbox.requests[LIST], sandbox.requests[GET]) == (1, 1, 0)


@pytest.mark.parametrize("how", ["cancel", "finish", "get", "list", "active", "wait", "webhook", "expire"])
async def test_a_purchase_is_over_when_the_end_of_its_order_is_seen(how: str, path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        order_id = await rent(client)
        assert len(journal.records(account_of(sandbox))) == 1
        sandbox.advance(150)
        await end_order(how, sandbox, client, order_id)
        assert client.orders.bought() == ()
        assert journal.records(account_of(sandbox)) == []
        refunded = 0 if how == "finish" else 15_000
        assert journal.totals(account_of(sandbox)).refunded in (refunded, 0 if how == "expire" else refunded)
        assert journal.totals(account_of(sandbox)).charged == 15_000
        assert await client.orders.recover() == []


async def end_order(how: str, sandbox: Sandbox, client: AsyncVirtualClient, order_id: int) -> None:
    """End an order, and show that to the client."""
    if how == "cancel":
        await client.orders.cancel(order_id)
    elif how == "finish":
        sandbox.deliver_sms(order_id)
        await client.orders.finish(order_id)
    elif how == "expire":
        await client.balance()
        client.runtime.pass_by(3600)
        await client.balance()
    else:
        other = AsyncVirtualClient(sandbox)
        canceled = await other.orders.cancel(order_id)
        assert canceled.refund_amount == Money.idr(15_000)
        if how == "get":
            await client.orders.get(order_id)
        elif how == "list":
            await client.orders.list()
        elif how == "wait":
            with pytest.raises(SmscodeError):
                await client.orders.wait_for_otp(order_id, timeout=0)
        elif how == "active":
            assert await client.orders.active() == []
            assert len(client.orders.bought()) == 1, "that it is not there says nothing"
            await client.orders.get(order_id)
        else:
            client.notify(ended(order_id))


def ended(order_id: int, event: type[EndedEvent] = webhooks.OrderCanceled) -> EndedEvent:
    """Make the event of an order that has ended."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("phone_number", "otp_code", "otp_message", "catalog_product_id", "country", "platform")
    )
    return event(timestamp=datetime(2026, 6, 14, tzinfo=UTC), order_id=order_id, product_id=1, **nothing)


async def test_a_purchase_that_was_bought_but_never_handed_over_is_undelivered(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, transport=AsyncDeaf(sandbox), journal=path) as client:
        with pytest.raises(NetworkError) as lost:
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        assert lost.value.outcome == "unknown"
        (intent,) = client.orders.unresolved()
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert told(await client.orders.recover()) == [("sale", "settled", [1001])]
        client.orders.dismiss(intent)
        assert client.orders.bought() == ()
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert await client.orders.recover() == []


async def test_what_is_dismissed_is_not_recovered(path: Path) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, transport=AsyncDeaf(sandbox), journal=path) as client:
        with pytest.raises(NetworkError):
            await client.orders.create(catalog_product_id=87)
        (intent,) = client.orders.unresolved()
        client.orders.dismiss(intent)
        assert client.orders.unresolved() == ()
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert await client.orders.recover() == []


async def test_orders_that_the_pages_do_not_show_are_read_one_by_one(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        await rent(client)
        await rent(client)
    for then in ([success_page()], [success_page(), refusal(404, "NOT_FOUND")]):
        script = AsyncScript(then, then=sandbox.transport())
        async with AsyncVirtualClient(sandbox, transport=script, journal=path) as client:
            assert [ids for _, _, ids in told(await client.orders.recover())] == [[1001], [1002]]


def success_page() -> httpx.Response:
    """Make an empty page of orders."""
    return httpx.Response(200, json={"success": True, "data": []})


@pytest.mark.parametrize(
    "answers",
    [(refusal(401, "UNAUTHORIZED"),), (success_page(), refusal(401, "UNAUTHORIZED"))],
    ids=["the page", "the order itself"],
)
async def test_orders_that_cannot_be_read_are_given_all_the_same(
    path: Path, caplog: pytest.LogCaptureFixture, answers: tuple[httpx.Response, ...]
) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        order_id = await rent(client)
    script = AsyncScript(answers)
    async with AsyncVirtualClient(sandbox, transport=script, journal=path) as client:
        (found,) = await client.orders.recover()
        assert [(order.id, order.amount) for order in found.orders] == [(order_id, Money.idr(15_000))]
    assert "could not be read as they are now" in caplog.text


async def test_orders_far_back_are_found_by_pages(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None, balance=10**9)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        order_id = await rent(client)
    async with AsyncVirtualClient(sandbox) as other:
        await other.orders.create_many(150, catalog_product_id=87)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert [ids for _, _, ids in told(await client.orders.recover())] == [[order_id]]
    assert (sandbox.requests[LIST], sandbox.requests[GET]) == (2, 0)


# --- Accounts


async def test_an_account_by_name_is_found_again_after_its_token_was_replaced(path: Path) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(
        sandbox, transport=AsyncDeaf(sandbox), journal=path, account="shop"
    ) as client:
        with pytest.raises(NetworkError):
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
    replaced = Sandbox(token="another-token-4711")
    async with AsyncVirtualClient(replaced, transport=sandbox.transport(), journal=path) as client:
        assert await client.orders.recover() == [], "it is another account's"
    async with AsyncVirtualClient(replaced, journal=path, account="shop") as client:
        (found,) = await client.orders.recover()
        assert (found.state, found.orders) == ("unsettled", ())
        assert isinstance(found.error, ClientStateError)
        assert found.error.outcome == "unknown"
        assert "another token" in found.error.message
        (intent,) = client.orders.unresolved()
        await client.orders.submit(intent)
        assert client.orders.unresolved() == ()


async def test_a_former_tokens_purchases_in_doubt_are_shown_and_stay_where_they_are(path: Path) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, transport=AsyncDeaf(sandbox), journal=path) as client:
        with pytest.raises(NetworkError):
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
    async with AsyncVirtualClient(still_sandbox(token="another-token-4711"), journal=path) as client:
        assert told(await client.orders.recover()) == [("sale", "unsettled", [])]
        assert client.orders.unresolved() == ()
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert told(await client.orders.recover()) == [("sale", "settled", [1001])]


@pytest.mark.parametrize("url", ["https://API.smscode.gg", "https://api.smscode.gg:443", "https://[::1]:443"])
async def test_an_address_that_is_spelled_otherwise_is_the_same_accounts(url: str) -> None:
    plain = url.lower().replace(":443", "")
    spelled = Settings.resolve("token-4711", url, "v2", {})
    assert spelled.account == Settings.resolve("token-4711", plain, "v2", {}).account
    assert Settings.resolve("token-4711", "http://localhost:443", "v2", {}).account != spelled.account


@pytest.mark.parametrize("account", ["", "x" * 65, 7])
async def test_an_account_that_is_no_name_is_refused(account: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="account: expected"):
        AsyncVirtualClient(still_sandbox(), account=account)


@pytest.mark.parametrize("journal", [7, b"orders.db", object()])
async def test_a_journal_that_is_no_path_is_refused(journal: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="journal: expected a SQLiteJournal or the path of one"):
        AsyncVirtualClient(still_sandbox(), journal=journal)


# --- What an error says of the key


async def outcome(call: Any, *arguments: Any, **options: Any) -> tuple[str, str, str | None]:
    """Return what the error of a call says."""
    with pytest.raises(SmscodeError) as error:
        await call(*arguments, **options)
    return type(error.value).__name__, error.value.outcome, error.value.idempotency_key


async def test_an_error_found_before_sending_speaks_of_the_key(path: Path) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, transport=AsyncDeaf(sandbox), journal=path) as client:
        for key in ("sale", None):
            expected = ("InvalidArgumentError", "not_sent", key)
            assert await outcome(client.orders.create, idempotency_key=key) == expected
        with pytest.raises(NetworkError):
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        wrong = ("InvalidArgumentError", "unknown", "sale")
        assert await outcome(client.orders.create, idempotency_key="sale") == wrong
        assert await outcome(client.orders.create, product_id=5, idempotency_key="sale") == wrong
        with pytest.raises(InvalidArgumentError) as prepared:
            cast(Any, client.orders).prepare(idempotency_key="sale")
        assert (prepared.value.outcome, prepared.value.idempotency_key) == ("unknown", "sale")
        with pytest.raises(InvalidArgumentError) as prepared:
            client.orders.prepare(quantity=0, catalog_product_id=87)
        assert prepared.value.outcome == "not_sent"
        assert await outcome(client.orders.create, catalog_product_id=87, timeout=0) == (
            "InvalidArgumentError",
            "not_sent",
            None,
        )
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert await outcome(client.orders.create, idempotency_key="sale") == wrong
        assert (await outcome(client.orders.create, idempotency_key="other"))[1] == "not_sent"
        assert await outcome(client.orders.create, product_id=5, idempotency_key="sale") == wrong
    closed = ("ClientStateError", "unknown", "sale")
    assert await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale") == closed


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (PurchaseState.WRITTEN, "unknown"),
        (PurchaseState.BOUGHT, "unknown"),
        (PurchaseState.REFUSED, "not_sent"),
        (PurchaseState.WITHDRAWN, "not_sent"),
    ],
)
async def test_an_error_says_what_the_journal_has_of_the_key(
    state: PurchaseState, says: str, path: Path
) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        intent = client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        leave_behind(journal, account_of(sandbox), intent, state=state)
        wrong: dict[str, Any] = {"catalog_product_id": 87, "quantity": 0, "idempotency_key": "sale"}
        assert await outcome(client.orders.create, **wrong) == ("InvalidArgumentError", says, "sale")


async def test_purchases_are_recovered_oldest_first_whoever_made_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        intent = AsyncVirtualClient(sandbox).orders.prepare(catalog_product_id=87, idempotency_key="left")
        leave_behind(journal, account_of(sandbox), intent)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        with monkeypatch.context() as patch:
            patch.setattr(client._ordering.purchases, "_hand_over", interrupt)
            with pytest.raises(KeyboardInterrupt):
                await client.orders.create(catalog_product_id=87, idempotency_key="own")
        assert [one.idempotency_key for one in client.orders.unresolved()] == ["own"]
        recovered = await client.orders.recover()
        assert told(recovered) == [("left", "settled", [1002]), ("own", "undelivered", [1001])]


async def test_a_rate_that_cannot_be_read_says_nothing_was_bought() -> None:
    client = AsyncVirtualClient(still_sandbox(), transport=AsyncScript([LOST] * 4))
    wish: dict[str, Any] = {"catalog_product_id": 87, "max_price": Money.idr(15_000)}
    with pytest.raises(NetworkError) as lost:
        await client.orders.create(**wish, idempotency_key="sale")
    error = lost.value
    assert (error.outcome, error.idempotency_key, error.trouble) == ("not_sent", "sale", "connection broke")


async def test_what_was_bought_stays_bought_whatever_a_repetition_is_answered(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    answers = [refusal(422, "PROVIDER_ERROR"), refusal(401, "UNAUTHORIZED")]
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        order_id = await rent(client, idempotency_key="sale")
        script = AsyncScript(answers)
        other = AsyncVirtualClient(sandbox, transport=script, journal=journal)
        for _ in answers:
            assert (await outcome(other.orders.create, catalog_product_id=87, idempotency_key="sale"))[
                1
            ] == "unknown"
        assert [record.orders[0].id for record in journal.records(account_of(sandbox))] == [order_id]
        again = await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        assert again.orders[0].id == order_id
    assert len(sandbox.ledger) == 2


@pytest.mark.parametrize(
    ("answers", "error"), [([refusal(422, "PROVIDER_ERROR")], "ProviderError"), ([LOST] * 8, "NetworkError")]
)
async def test_a_repetition_that_fails_leaves_a_purchase_of_this_client_bought(
    answers: list[httpx.Response | Exception], error: str
) -> None:
    sandbox = still_sandbox(otp_after=None)
    script = AsyncScript([], then=sandbox.transport())
    client = AsyncVirtualClient(sandbox, transport=script)
    await rent(client, idempotency_key="sale")
    script.add(*answers)
    repeated = await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale")
    assert repeated == (error, "unknown", "sale")
    assert [one.state for one in client.orders.bought()] == ["open"]
    assert client.orders.unresolved() == ()


async def test_a_refusal_frees_the_key_and_is_on_disk_when_it_is_said(path: Path) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "NO_OFFER_AVAILABLE")
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        refused = await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale")
        assert refused == ("NoOfferAvailableError", "rejected", "sale")
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT state FROM purchase").fetchall() == [("refused",)]
        connection.close()
        await client.orders.create(catalog_product_id=87, quantity=2, idempotency_key="sale")


@pytest.mark.parametrize("how", ["refused", "refused after its end", "under way elsewhere", "interrupted"])
async def test_no_memory_is_kept_of_a_purchase_that_bought_nothing(
    how: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as theirs, SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        intent = client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        if how == "refused after its end":
            (order,) = await client.orders.submit(intent)
            sandbox.deliver_sms(order.id)
            await client.orders.finish(order.id)
        elif how == "under way elsewhere":
            leave_behind(theirs, account_of(sandbox), intent)
        elif how == "interrupted":
            monkeypatch.setattr(client._driver, "run", interrupt)
        sandbox.fail_next("orders.create", "UNAUTHORIZED")
        with pytest.raises((SmscodeError, KeyboardInterrupt)):
            await client.orders.submit(intent)
        assert client._ordering.purchases.book._purchases == {}


FORCED, LASTING, BOTH = (True, False), (False, True), (True, True)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """Note of each write whether it outlasts a loss of power, and whether it is tried until it works."""
    noted: list[tuple[bool, bool]] = []
    apply = SQLiteJournal.apply

    def note(journal: SQLiteJournal, write: Write[Any]) -> Write[Any]:
        noted.append((write.durable, write.lasting))
        return apply(journal, write)

    monkeypatch.setattr(SQLiteJournal, "apply", note)
    return noted


async def test_a_purchase_is_forced_to_disk_before_it_is_sent(
    path: Path, writes: list[tuple[bool, bool]]
) -> None:
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        await AsyncVirtualClient(sandbox, journal=journal).orders.create(catalog_product_id=87)
    assert writes[0] == FORCED
    assert set(writes[1:]) == {LASTING}, "what is lost of these is found again by the key"


@pytest.mark.parametrize("code", ["NO_OFFER_AVAILABLE", "TEMP_BANNED_ABUSE_GUARD"])
async def test_what_says_that_nothing_was_bought_is_forced_to_disk_and_lasts(
    path: Path, writes: list[tuple[bool, bool]], code: str
) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", code, retry_after=60)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        assert (await outcome(client.orders.create, catalog_product_id=87))[1] == "rejected"
    assert writes == [FORCED, BOTH]


async def test_the_withdrawal_of_an_interrupted_purchase_is_forced_to_disk_and_lasts(
    path: Path, writes: list[tuple[bool, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        monkeypatch.setattr(client._driver, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            await client.orders.create(catalog_product_id=87)
    assert writes[0] == FORCED
    assert set(writes[1:]) == {BOTH}


def interrupt(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


async def test_an_interrupt_of_the_clean_up_of_an_interrupted_purchase_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncVirtualClient(still_sandbox(), journal=path) as client:
        purchases = client._ordering.purchases
        leave, left = purchases._leave, [KeyboardInterrupt()]

        def interrupted(purchase: Purchase) -> None:
            if left:
                raise left.pop()
            leave(purchase)

        monkeypatch.setattr(purchases, "_leave", interrupted)
        monkeypatch.setattr(client._driver, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        assert left == []
        assert await client.orders.recover() == []


async def test_what_is_recovered_is_forced_to_disk_as_this_process_own(
    path: Path, writes: list[tuple[bool, bool]]
) -> None:
    with SQLiteJournal(path) as journal:
        assert await AsyncVirtualClient(still_sandbox(), journal=journal).orders.recover() == []
    assert writes == [FORCED]


async def test_a_closed_client_recovers_nothing_and_writes_nothing(
    path: Path, writes: list[tuple[bool, bool]]
) -> None:
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(still_sandbox(), journal=journal)
        await client.aclose()
        with pytest.raises(ClientStateError, match="closed"):
            await client.orders.recover()
        with pytest.raises(ClientStateError, match="closed"):
            await client.orders.create(catalog_product_id=87)
    assert writes == []


async def test_a_purchase_that_may_not_be_sent_is_withdrawn(path: Path) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "TEMP_BANNED_ABUSE_GUARD", retry_after=60)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        with pytest.raises(TempBannedError):
            await client.orders.create(catalog_product_id=87)
        assert await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale") == (
            "TempBannedError",
            "not_sent",
            "sale",
        )
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT state FROM purchase WHERE idempotency_key = 'sale'").fetchall() == [
            ("withdrawn",)
        ]
        connection.close()
        assert await client.orders.recover() == []


async def test_a_purchase_whose_journal_is_closed_before_it_is_sent_is_never_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox()
    journal = SQLiteJournal(path)
    client = AsyncVirtualClient(sandbox, journal=journal)
    run = client._driver.run

    async def close_first(*arguments: Any, **options: Any) -> Any:
        journal.close()
        return await run(*arguments, **options)

    monkeypatch.setattr(client._driver, "run", close_first)
    with pytest.raises(ClientStateError, match="was closed before this purchase was sent"):
        await client.orders.create(catalog_product_id=87, idempotency_key="sale")
    assert sandbox.requests[CREATE] == 0
    with SQLiteJournal(path) as another:
        assert another.records(account_of(sandbox)) == []


async def test_a_repetition_that_is_refused_leaves_what_an_ended_process_has_in_doubt(path: Path) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "UNAUTHORIZED")
    order: dict[str, Any] = {"catalog_product_id": 87, "idempotency_key": "sale"}
    with SQLiteJournal(path) as journal:
        leave_behind(journal, account_of(sandbox), AsyncVirtualClient(sandbox).orders.prepare(**order))
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert await outcome(client.orders.create, **order) == ("UnauthorizedError", "unknown", "sale")
        assert [intent.idempotency_key for intent in client.orders.unresolved()] == ["sale"]


@pytest.mark.parametrize(("ago", "says"), [(100.0, "rejected"), (30.0, "unknown")])
async def test_an_attempt_of_an_ended_process_can_arrive_a_minute_after_its_end_and_no_later(
    path: Path, ago: float, says: str
) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "NO_OFFER_AVAILABLE")
    order: dict[str, Any] = {"catalog_product_id": 87, "idempotency_key": "sale"}
    with SQLiteJournal(path) as journal:
        intent = AsyncVirtualClient(sandbox).orders.prepare(**order)
        leave_behind(journal, account_of(sandbox), intent, open_until=time.time() - ago)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert (await outcome(client.orders.create, **order))[1] == says


@pytest.mark.parametrize("left", [None, 50.0], ids=["no time limit", "time left"])
async def test_an_attempt_of_a_killed_process_ended_by_now_if_nothing_else_is_known(
    path: Path, left: float | None
) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "NO_OFFER_AVAILABLE", times=3)
    order: dict[str, Any] = {"catalog_product_id": 87, "idempotency_key": "sale"}
    until = None if left is None else time.time() + left
    with SQLiteJournal(path) as journal:
        intent = AsyncVirtualClient(sandbox).orders.prepare(**order)
        leave_behind(journal, account_of(sandbox), intent, open_until=until)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        said: list[str] = []
        for seconds in (0.0, 59.5, 0.5):
            client.runtime.pass_by(seconds)
            said.append((await outcome(client.orders.create, **order))[1])
        assert said == ["unknown", "unknown", "rejected"]


@pytest.mark.parametrize("where", ["_driver.run", "_settle", "_write"])
async def test_an_interrupt_before_it_is_sent_or_while_a_refusal_is_stored_forgets_a_purchase(
    where: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "INSUFFICIENT_BALANCE")
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        purchases = client._ordering.purchases
        intent = client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        object_, _, name = where.rpartition(".")
        monkeypatch.setattr(getattr(purchases, object_) if object_ else purchases, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            await purchases.submit(intent, AsyncDelivery(lambda delivery, why: None, fresh=True))
        assert not purchases.book.knows("sale")


async def test_a_purchase_is_one_clients_of_a_journal_at_a_time(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        held = AsyncDelivery(lambda delivery, why: None, fresh=True)
        journal.holders[account_of(sandbox), "sale"] = held
        refused = await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale")
        assert refused == ("ClientStateError", "unknown", "sale")
        assert client.orders.unresolved() == ()
        leave_behind(
            journal, account_of(sandbox), client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        )
        assert await client.orders.recover() == []
        held.ended = True
        assert told(await client.orders.recover()) == [("sale", "settled", [1001])]
    assert sandbox.requests[CREATE] == 1


async def test_a_call_that_ended_without_its_clean_up_holds_nothing(path: Path) -> None:
    """Its event loop was stopped and closed, say."""
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        held = AsyncDelivery(lambda delivery, why: None, fresh=True)
        caller = held.caller = AsyncCaller(lambda _: None)
        journal.holders[account_of(sandbox), "sale"] = held
        wish: dict[str, Any] = {"catalog_product_id": 87, "idempotency_key": "sale"}
        assert await outcome(client.orders.create, **wish) == ("ClientStateError", "unknown", "sale")
        caller.finish()
        assert len(await client.orders.create(**wish)) == 1


async def test_the_end_of_its_caller_leaves_what_an_interrupted_clean_up_did_not(path: Path) -> None:
    async with AsyncVirtualClient(still_sandbox(), journal=str(path)) as client:
        purchases = client._ordering.purchases
        intent = client.orders.prepare(catalog_product_id=87, idempotency_key="sale")

        async def buy(delivery: AsyncDelivery) -> None:
            answer = await purchases.submit(intent, delivery)
            purchases._hand_over(delivery)
            purchases._let_go(delivery)
            assert delivery.ended
            assert [told.intent for told in client.orders.bought()] == [intent]
            assert client.orders.unresolved() == (intent,)
            delivery.forbid(KeyboardInterrupt())  # it has ended: there is nothing to do for any of them
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(purchases, "_take_back", None)  # which would fail if it were called
                purchases._let_go(delivery)
            assert answer.data.orders
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await purchases.deliver(buy, None, "sale")
        assert told(await client.orders.recover()) == [("sale", "undelivered", [1001])]


async def test_a_call_may_end_while_another_thread_asks_whether_it_has() -> None:
    seen = [AsyncCaller(lambda _: None), None]  # by two looks in a row

    class Ending(AsyncDelivery):
        caller: Any = property(lambda _: seen.pop(0))  # as another thread changes it

    held = Ending.__new__(Ending)
    held.ended = False
    assert not held.over


async def test_an_interrupted_end_leaves_alone_what_another_call_has_taken_meanwhile() -> None:
    client = AsyncVirtualClient(still_sandbox())
    purchases = client._ordering.purchases
    intent = client.orders.prepare(catalog_product_id=87)
    other = AsyncDelivery(lambda delivery, why: None, fresh=False)

    async def buy(delivery: AsyncDelivery) -> None:
        in_doubt = purchases._begin(intent, delivery)
        in_doubt.doubt.raised = True
        purchases._end(delivery)
        assert purchases._begin(intent, other) is in_doubt
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await purchases.deliver(buy, None, intent.idempotency_key)
    (taken,) = other.purchases
    assert taken.holder is other
    assert (taken.doubt.forbidden, taken.doubt.ended) == (None, float("-inf"))


async def test_what_other_threads_of_an_interrupted_call_have_not_sent_is_forbidden() -> None:
    client = AsyncVirtualClient(still_sandbox())
    purchases = client._ordering.purchases

    async def buy(delivery: AsyncDelivery) -> None:
        own, other = (
            purchases._begin(client.orders.prepare(catalog_product_id=87), delivery) for _ in range(2)
        )
        own.doubt.raised = True
        delivery.purchases[other] = -1  # as if another thread made it
        client.runtime.pass_by(5)
        purchases._let_go(delivery)
        delivery.forbid(KeyboardInterrupt())  # it has ended
        assert (own.doubt.forbidden, own.doubt.ended) == (None, client.runtime.now())
        assert isinstance(other.doubt.forbidden, ClientStateError)
        assert str(other.doubt.forbidden) == "The call was interrupted before this purchase was sent."

    await purchases.deliver(buy, None, None)


@pytest.mark.parametrize(("timeout", "lasts"), [(30.0, 29.9), (0.5, 0.45), (None, None)])
async def test_when_the_last_attempt_of_a_purchase_is_over_is_known_before_and_after_it(
    path: Path, timeout: float | None, lasts: float | None
) -> None:
    """The service cannot begin with an attempt later than its call ends, or was interrupted."""
    left: list[float | None] = []

    class AsyncInterrupted(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            (record,) = journal.records(account_of(sandbox))
            left.append(None if record.open_until is None else record.open_until - record.written_at)
            raise KeyboardInterrupt

    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, transport=AsyncInterrupted(), journal=journal, timeout=timeout)
        with pytest.raises(KeyboardInterrupt):
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        doubt = client._ordering.purchases.book._purchases["sale"].doubt
        assert (doubt.raised, doubt.ended) == (True, client._driver.runtime.now())
        (record,) = journal.records(account_of(sandbox))
        assert record.open_until is not None
        assert record.open_until <= time.time()
    assert left == [pytest.approx(lasts) if lasts else None]


async def test_an_attempt_ends_when_its_row_says_it_does(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        run, deadlines = client._driver.run, list[float]()

        async def noted(call: Any, timeout: float | None = None, *rest: Any, **options: Any) -> Any:
            deadlines.append(options["deadline"])
            return await run(call, timeout, *rest, **options)

        client._driver.run = noted  # type: ignore[method-assign]  # to see how long it may take
        await client.orders.create(catalog_product_id=87, timeout=30)
        assert deadlines == [pytest.approx(client.runtime.now() + 29.9)]


@pytest.mark.parametrize("closed", [False, True])
async def test_an_interrupt_before_a_purchase_has_begun_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def refuse() -> None:
        raise ClientStateError("closed")

    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, journal=str(path)) as client:
        with monkeypatch.context() as patch:
            if closed:
                patch.setattr(client._driver, "check", refuse)
                patch.setattr(client._ordering.purchases, "_label", interrupted)
            else:
                patch.setattr(client._ordering.purchases, "_begin", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        assert client.orders.unresolved() == ()
        assert await client.orders.recover() == []
    assert sandbox.requests[CREATE] == 0


async def test_orders_that_the_answer_says_have_ended_are_not_recovered(path: Path) -> None:
    """A webhook of their end came before it, say."""
    async with AsyncVirtualClient(still_sandbox(), journal=str(path)) as client:
        client._ordering.purchases.book._early[1001] = 0
        created = await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        assert [order.id for order in created] == [1001]
    async with AsyncVirtualClient(still_sandbox(), journal=str(path)) as client:
        assert await client.orders.recover() == []


async def test_all_purchases_of_a_recovery_have_one_time_if_it_is_given(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        leave_behind(
            journal, account_of(sandbox), client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        )
        assert told(await client.orders.recover(timeout=20)) == [("sale", "settled", [1001])]


async def test_calls_need_nobody_who_learns_from_their_answers() -> None:
    async with AsyncVirtualClient(still_sandbox()) as client:
        client._driver.seen = None
        assert (await client.balance()).balance.canonical_amount > 0


async def test_a_living_process_keeps_its_purchase(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as theirs, SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        intent = client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        leave_behind(theirs, account_of(sandbox), intent)
        assert await outcome(client.orders.submit, intent) == ("ClientStateError", "unknown", "sale")
        assert client.orders.unresolved() == (), "it is the other process' to settle"
        assert await client.orders.recover() == []
    assert sandbox.requests[CREATE] == 0


async def test_a_purchase_for_the_other_version_is_withdrawn_and_not_in_doubt(path: Path) -> None:
    sandbox = still_sandbox()
    intent = AsyncVirtualClient(sandbox).orders.prepare(catalog_product_id=87, idempotency_key="sale")
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, api_version="v1", journal=journal)
        assert await outcome(client.orders.submit, intent) == ("InvalidArgumentError", "not_sent", "sale")
        assert client.orders.unresolved() == ()
        assert journal.records(account_of(sandbox)) == []
    assert sandbox.requests[CREATE] == 0


@pytest.mark.parametrize(
    "answers", [[LOST] * 8, [LOST, refusal(401, "UNAUTHORIZED")]], ids=["no answer", "a refusal"]
)
async def test_the_last_attempt_of_a_purchase_in_doubt_ended_with_its_call(
    answers: list[httpx.Response | Exception], path: Path
) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, transport=AsyncScript(answers), journal=journal)
        assert (await outcome(client.orders.create, catalog_product_id=87))[1] == "unknown"
        (record,) = journal.records(account_of(sandbox))
        assert record.open_until is not None
        assert record.written_at <= record.open_until <= time.time()


@pytest.mark.parametrize("stored", [False, True])
async def test_all_that_a_purchase_reads_before_it_is_within_its_time(stored: bool, path: Path) -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox, journal=path if stored else None)
    run, deadlines = client._driver.run, list[float]()

    async def noted(call: Any, timeout: float | None = None, *rest: Any, **options: Any) -> Any:
        deadlines.append(options["deadline"])
        return await run(call, timeout, *rest, **options)

    client._driver.run = noted  # type: ignore[method-assign]  # to see how long each may take
    await client.orders.create(catalog_product_id=87, max_price=Money.idr(20_000), timeout=20)
    assert deadlines == [1020.0, pytest.approx(1019.9 if stored else 1020.0)]
    await client.aclose()


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("stored", [False, True], ids=["memory", "journal"])
async def test_what_cannot_be_prepared_may_have_been_bought_before(
    stored: bool, known: bool, path: Path
) -> None:
    """A journal is not asked, because preparing waits for nothing."""
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox, journal=path if stored else None)
    if known:
        await client.orders.create(catalog_product_id=87, idempotency_key="sale")
    for key, outcome_ in (("sale", "unknown" if stored or known else "not_sent"), (None, "not_sent")):
        with pytest.raises(InvalidArgumentError) as refused:
            client.orders.prepare(catalog_product_id=87, quantity=0, idempotency_key=key)
        assert (refused.value.outcome, refused.value.idempotency_key) == (outcome_, key)
    await client.aclose()


async def test_an_old_purchase_is_not_sent_again_without_being_asked(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        intent = client.orders.prepare(catalog_product_id=87, idempotency_key="sale")
        leave_behind(journal, account_of(sandbox), intent, written_at=time.time() - 90_000)
        assert told(await client.orders.recover()) == [("sale", "unsettled", [])]
        assert await outcome(client.orders.submit, intent) == ("PurchaseTooOldError", "unknown", "sale")
        assert sandbox.requests[CREATE] == 0
        await client.orders.submit(intent, max_age=100_000)


async def test_an_old_purchase_is_not_sent_again_without_a_journal_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = AsyncVirtualClient(
        still_sandbox(), transport=AsyncScript([LOST] * 8, then=still_sandbox().transport())
    )
    intent = client.orders.prepare(catalog_product_id=87)
    with pytest.raises(NetworkError):
        await client.orders.submit(intent)
    monkeypatch.setattr(time, "time", lambda now=time.time(): now + 90_000)
    with pytest.raises(PurchaseTooOldError, match="max_age is 86400 s"):
        await client.orders.submit(intent)
    assert client.orders.unresolved() == (intent,)


@pytest.mark.parametrize(("age", "sent"), [(86_400.0, True), (86_401.0, False)])
async def test_a_purchase_without_a_journal_is_sent_again_up_to_its_max_age(
    age: float, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox, transport=AsyncScript([LOST] * 8, then=sandbox.transport()))
    intent = client.orders.prepare(catalog_product_id=87)
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    with pytest.raises(NetworkError):
        await client.orders.submit(intent)
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0 + age)
    with nullcontext() if sent else pytest.raises(PurchaseTooOldError):
        await client.orders.submit(intent)
    assert sandbox.requests[CREATE] == sent


async def test_the_first_attempt_of_a_purchase_has_no_age(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncVirtualClient(still_sandbox())
    intent = client.orders.prepare(catalog_product_id=87)
    monkeypatch.setattr(time, "time", lambda now=time.time(): now + 90_000)
    assert len(await client.orders.submit(intent)) == 1


# --- The disk


async def test_a_locked_journal_costs_the_time_of_the_call_and_nothing_is_sent(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        wish: dict[str, Any] = {"catalog_product_id": 87, "timeout": 1.0, "idempotency_key": "sale"}
        assert await outcome(client.orders.create, **wish) == ("JournalError", "not_sent", "sale")
        with pytest.raises(JournalError, match="another process has locked it") as locked:
            await client.orders.recover(timeout=1.0)
        assert locked.value.outcome == "unknown"
        other.execute("ROLLBACK")
        other.close()
        assert await client.orders.recover() == []
    assert sandbox.requests[CREATE] == 0


async def test_a_key_is_looked_up_while_its_write_waits_for_a_locked_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the answer is there when the call's time is over."""
    happened: list[str] = []
    find, sandbox = SQLiteJournal.find, still_sandbox()

    def noted(self: SQLiteJournal, *arguments: Any) -> Any:
        happened.append("looked up")
        return find(self, *arguments)

    monkeypatch.setattr(SQLiteJournal, "find", noted)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        wish: dict[str, Any] = {"catalog_product_id": 87, "timeout": 2.0, "idempotency_key": "sale"}
        done, purchases = client._ordering.purchases.done, client._ordering.purchases

        async def waited(*arguments: Any) -> Any:
            happened.append("waited")
            return await done(*arguments)

        monkeypatch.setattr(purchases, "done", waited)
        asked: list[float] = []
        wait_for_disk = purchases._runtime.wait_for_disk

        async def noted_wait(signal: Any, seconds: float) -> bool:
            asked.append(seconds)
            return await wait_for_disk(signal, seconds)

        monkeypatch.setattr(purchases._runtime, "wait_for_disk", noted_wait)
        assert (await outcome(client.orders.create, **wish))[1] == "not_sent"
        other.execute("ROLLBACK")
        other.close()
    assert happened[:2] == ["looked up", "waited"]
    assert happened.count("looked up") == 1
    assert asked[0] == pytest.approx(0.95), "half of what is left before the reserve"
    assert len(asked) == 2, "what was looked up is not waited for"


@pytest.mark.parametrize("key", [None, "sale"])
async def test_a_write_that_is_done_at_the_last_moment_counts(
    key: str | None, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        wait = client.runtime.wait_for_disk

        async def timed_out(signal: Any, seconds: float) -> bool:
            assert await wait(signal, seconds)
            return False

        monkeypatch.setattr(client.runtime, "wait_for_disk", timed_out)
        assert len(await client.orders.create(catalog_product_id=87, idempotency_key=key)) == 1


async def test_a_write_that_comes_too_late_is_withdrawn_though_nothing_is_known_of_its_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says "unknown", and the journal does not have the purchase once it is unlocked."""

    def unreadable(self: SQLiteJournal, account: str, key: str, wake: Callable[[], None]) -> Any:
        read: Read[Any] = Read(lambda store: None, wake)
        read.fail(JournalError("pretended"))
        return read

    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        wish: dict[str, Any] = {"catalog_product_id": 87, "timeout": 0.2, "idempotency_key": "sale"}
        with monkeypatch.context() as patch:
            patch.setattr(SQLiteJournal, "find", unreadable)
            assert await outcome(client.orders.create, **wish) == ("JournalError", "unknown", "sale")
            assert [intent.idempotency_key for intent in client.orders.unresolved()] == ["sale"]
        other.execute("ROLLBACK")
        other.close()
        assert journal.records(account_of(sandbox)) == []
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        assert await client.orders.recover() == []
    assert sandbox.requests[CREATE] == 0


async def test_a_write_that_ends_just_after_its_time_leaves_what_was_in_doubt_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox()
    intent = AsyncVirtualClient(sandbox).orders.prepare(catalog_product_id=87, idempotency_key="sale")
    with SQLiteJournal(path) as journal:
        leave_behind(journal, account_of(sandbox), intent)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        purchases = client._ordering.purchases
        done, late = purchases.done, [JournalError("pretended")]

        async def timed_out(*arguments: Any) -> Any:
            result = await done(*arguments)
            if late:
                raise late.pop()
            return result

        monkeypatch.setattr(purchases, "done", timed_out)
        assert await outcome(client.orders.submit, intent) == ("JournalError", "unknown", "sale")
        assert client.orders.unresolved() == (intent,)
        (record,) = journal.records(account_of(sandbox))
        assert record.state is PurchaseState.WRITTEN, "the next process sends it again"
    assert sandbox.requests[CREATE] == 0


async def test_what_is_not_on_disk_at_the_deadline_fails_without_more_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    async def noted(signal: AsyncSignal, seconds: float) -> bool:
        asked.append(seconds)
        return False

    async with AsyncVirtualClient(still_sandbox(), journal=path) as client:
        monkeypatch.setattr(client.runtime, "wait_for_disk", noted)
        never: Read[Any] = Read(lambda store: None, lambda: None)
        late = client.runtime.now() - 5
        with pytest.raises(JournalError, match="could not be written in the time of the call"):
            await client._ordering.purchases.done(AsyncSignal(), never, late)
    assert asked == [0.0]


async def test_a_look_up_that_is_not_answered_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, found = SQLiteJournal.find, list[str]()

    def silent_once(self: SQLiteJournal, account: str, key: str, wake: Callable[[], None]) -> Any:
        found.append(key)
        return Read(lambda store: None, wake) if len(found) == 1 else find(self, account, key, wake)

    monkeypatch.setattr(SQLiteJournal, "find", silent_once)
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal, locked(path):
        client = AsyncVirtualClient(sandbox, journal=journal)
        wait, waits = client.runtime.wait_for_disk, list[float]()

        async def impatient(signal: AsyncSignal, seconds: float) -> bool:
            waits.append(seconds)
            return len(waits) > 2 and await wait(signal, seconds)

        monkeypatch.setattr(client.runtime, "wait_for_disk", impatient)
        wish: dict[str, Any] = {"catalog_product_id": 87, "timeout": 50.0, "idempotency_key": "sale"}
        assert await outcome(client.orders.create, **wish) == ("JournalError", "not_sent", "sale")
    assert found == ["sale", "sale"]
    assert sandbox.requests[CREATE] == 0


async def test_a_write_that_failed_is_withdrawn_in_case_the_disk_has_it_after_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = SQLiteJournal.apply

    def failing(self: SQLiteJournal, write: Write[Any]) -> Write[Any]:
        def failed(wake: Callable[[], object]) -> None:
            write.error = JournalError("pretended")
            wake()

        if write.wake is not None:
            write.wake = partial(failed, write.wake)
        return apply(self, write)

    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        with monkeypatch.context() as patch:
            patch.setattr(SQLiteJournal, "apply", failing)
            refused = await outcome(client.orders.create, catalog_product_id=87)
        assert refused[:2] == ("JournalError", "not_sent")
        assert client.orders.unresolved() == ()
        assert journal.records(account_of(sandbox)) == []
    assert sandbox.requests[CREATE] == 0


async def test_what_a_call_holds_in_its_journal_ends_with_the_call(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        other = AsyncDelivery(lambda delivery, why: None, fresh=True)
        place = (account_of(sandbox), "taken")

        async def buy(delivery: AsyncDelivery) -> None:
            intent = client.orders.prepare(catalog_product_id=87, idempotency_key="taken")
            await client._ordering.purchases.submit(intent, delivery)
            assert journal.holders == {place: delivery}
            journal.holders[place] = other

        await client.orders.create(catalog_product_id=87)
        assert journal.holders == {}
        await client._ordering.purchases.deliver(buy, None, "taken")
        assert journal.holders == {place: other}, "what another call holds by then stays"


async def test_the_clients_of_a_journal_begin_and_end_a_purchase_under_its_lock(path: Path) -> None:
    """They may be of several threads, and of two that begin at once only one may send."""
    taken: list[bool] = []

    class Lock:
        def __enter__(self) -> None:
            taken.append((account_of(sandbox), "sale") in journal.holders)

        def __exit__(self, *error: object) -> None:
            taken.append((account_of(sandbox), "sale") in journal.holders)

    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        journal.lock = cast(Any, Lock())
        client = AsyncVirtualClient(sandbox, journal=journal)
        await client.orders.create(catalog_product_id=87, idempotency_key="sale")
    assert taken == [False, True, True, False]


async def test_a_lost_journal_refuses_purchases_and_keeps_what_was_bought(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_CLOSING", 0.1)
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        order_id = await rent(client)
        os.unlink(path)
        assert (await outcome(client.orders.create, catalog_product_id=87))[:2] == (
            "JournalError",
            "not_sent",
        )
        known = await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale")
        assert known[1] == "unknown", "nothing can be ruled out"
        assert [one.orders[0].id for one in client.orders.bought()] == [order_id]
    assert sandbox.requests[CREATE] == 1


async def test_a_refusal_that_cannot_be_stored_is_not_certain(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_CLOSING", 0.1)
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:

        class AsyncLosing(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                os.unlink(path)
                return refusal(422, "NO_OFFER_AVAILABLE")

        client = AsyncVirtualClient(sandbox, transport=AsyncLosing(), journal=journal)
        with pytest.raises(NoOfferAvailableError) as refused:
            await client.orders.create(catalog_product_id=87, timeout=0.3)
        assert refused.value.outcome == "unknown"
        assert len(client.orders.unresolved()) == 1


async def test_a_closed_journal_refuses_purchases(path: Path) -> None:
    sandbox = still_sandbox()
    journal = SQLiteJournal(path)
    client = AsyncVirtualClient(sandbox, journal=journal)
    journal.close()
    assert (await outcome(client.orders.create, catalog_product_id=87))[:2] == (
        "ClientStateError",
        "not_sent",
    )


class AsyncClosing(httpx.AsyncBaseTransport):
    """A sandbox whose client is closed while a purchase is under way."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.client: AsyncVirtualClient | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self.client is not None
        await self.client.aclose()
        return await self._inner.handle_async_request(request)


async def test_the_last_call_of_a_closed_client_closes_its_journal_once_and_without_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []
    close = SQLiteJournal.close

    def noted(self: SQLiteJournal, *, wait: bool = True) -> None:
        waited.append(wait)
        close(self, wait=wait)

    monkeypatch.setattr(SQLiteJournal, "close", noted)
    sandbox = still_sandbox(otp_after=None)

    async def nothing(delivery: AsyncDelivery) -> None:
        assert not delivery.over

    async def close_first(delivery: AsyncDelivery) -> None:
        await client.aclose()
        await client._ordering.purchases.deliver(nothing, None, None)
        assert waited == [], "this call is still under way"

    client = AsyncVirtualClient(sandbox, journal=path)
    await client._ordering.purchases.deliver(close_first, None, None)
    assert waited == [False]
    waited.clear()
    other = AsyncVirtualClient(sandbox, journal=path)
    transport = AsyncClosing(sandbox)
    client = transport.client = AsyncVirtualClient(sandbox, transport=transport, journal=path)
    assert await rent(client) == 1001
    assert (await outcome(client.orders.create, catalog_product_id=87))[0] == "ClientStateError"
    assert waited == [], "the other client uses the file"
    assert await rent(other) == 1002
    transport.client = last = AsyncVirtualClient(sandbox, transport=transport, journal=path)
    await other.aclose()
    assert waited == []
    assert await rent(last) == 1003
    assert waited == [False]


async def test_a_folder_that_is_not_there_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere does not exist"):
        AsyncVirtualClient(still_sandbox(), journal=tmp_path / "nowhere" / "orders.db")


async def test_calls_that_are_built_by_hand_are_purchases_too(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        answer = await client.send(calls.orders.create(catalog_product_id=87, idempotency_key="sale"))
        ids = [order.id for order in answer.data]
        assert told(list(client.orders.bought())) == [("sale", "open", ids)]
        sandbox.deliver_sms(ids[0])
        finished = await client.orders.finish(ids[0])
        assert finished.status == OrderStatus.COMPLETED
        again = await client.orders.reactivate(ids[0], idempotency_key="again")
        assert told(list(client.orders.bought())) == [("again", "open", [again.orders[0].id])]


async def test_an_interrupt_at_the_last_moment_leaves_the_orders_to_nobody_but_the_client(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        end, left = client._ordering.purchases._end, [KeyboardInterrupt()]

        def interrupted(delivery: AsyncDelivery) -> None:
            if left:
                raise left.pop()
            end(delivery)

        monkeypatch.setattr(client._ordering.purchases, "_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            await client.orders.create(catalog_product_id=87, idempotency_key="sale")
        (intent,) = client.orders.unresolved()
        assert told(list(client.orders.bought())) == [("sale", "undelivered", [1001])]
        assert [record.handed_at for record in journal.records(account_of(sandbox))] == [None]
        await client.orders.submit(intent)
        assert client.orders.unresolved() == ()
    assert sandbox.requests[CREATE] == 2
    assert len(sandbox.ledger) == 2


@pytest.mark.parametrize("event", [webhooks.OrderCompleted, webhooks.OrderExpired])
async def test_webhooks_end_orders(event: type[EndedEvent], path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        order_id = await rent(client)
        client.notify(ended(order_id + 1, event))
        assert len(client.orders.bought()) == 1
        client.notify(ended(order_id, event))
        assert client.orders.bought() == ()
        refunded = 15_000 if event is webhooks.OrderExpired else 0
        assert journal.totals(account_of(sandbox)).refunded == refunded


async def test_a_name_for_the_account_finds_what_the_same_token_wrote_without_it(path: Path) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, transport=AsyncDeaf(sandbox), journal=path) as client:
        with pytest.raises(NetworkError):
            await client.orders.create(catalog_product_id=87, idempotency_key="doubt")
        intent = client.orders.unresolved()[0]
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        bought = await rent(client, idempotency_key="bought")
    with SQLiteJournal(path) as journal:
        old = intent.restore("old", intent.operation, intent.version, intent.body)
        own = Settings.resolve(sandbox.token, None, "v2", {})
        written: dict[str, Any] = {"written_at": time.time() - 90_000, "credential": own.credential}
        leave_behind(journal, own.account, old, **written)
    async with AsyncVirtualClient(sandbox, journal=path, account="shop") as client:
        found = await client.orders.recover()
        assert told(found[:2]) == [("old", "unsettled", []), ("doubt", "settled", [1001])]
        assert told(found[2:]) == [("bought", "open", [bought])]
        assert isinstance(found[0].error, PurchaseTooOldError)
        client.orders.dismiss(found[0].intent)
        sandbox.deliver_sms(bought)
        await client.orders.finish(bought)
    async with AsyncVirtualClient(sandbox, journal=path, account="shop") as client:
        assert told(await client.orders.recover()) == [("doubt", "open", [1001])]
    assert sandbox.requests[CREATE] == 3 + 7, "seven attempts got no answer, one settled it, one bought"


async def test_what_was_settled_since_it_was_claimed_is_not_sent(path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(path) as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        intents = [client.orders.prepare(catalog_product_id=87, idempotency_key=key) for key in ("a", "b")]
        for intent in intents:
            leave_behind(journal, account_of(sandbox), intent)
        claimed = client._ordering.recovery._claimed

        async def settled(delivery: AsyncDelivery) -> Any:
            found = await claimed(delivery)
            client._ordering.recovery._purchases.change("a", close(time.time()))
            return found

        client._ordering.recovery._claimed = settled  # type: ignore[method-assign]  # at this very moment
        assert told(await client.orders.recover()) == [("b", "settled", [1001])]
        assert client.orders.unresolved() == ()
    assert sandbox.requests[CREATE] == 1


async def test_keys_that_are_none_are_refused_and_never_looked_up(path: Path) -> None:
    keys: tuple[Any, ...] = ("\ud800", "", "x" * 129, 2**70, object(), [], {}, b"key")
    async with AsyncVirtualClient(still_sandbox(), journal=path) as client:
        for key in keys:
            error = await outcome(client.orders.create, catalog_product_id=87, idempotency_key=key)
            assert error == ("InvalidArgumentError", "not_sent", None)
            error = await outcome(client.orders.create_many, 5, catalog_product_id=87, idempotency_key=key)
            assert error[:2] == ("InvalidArgumentError", "not_sent")


async def test_a_call_for_many_speaks_of_all_its_keys(path: Path) -> None:
    sandbox = still_sandbox(balance=10**9)
    script = AsyncScript([refusal(422, "NO_OFFER_AVAILABLE"), *[LOST] * 8])
    async with AsyncVirtualClient(sandbox, transport=script, journal=path) as client:
        bulk = await client.orders.create_many(100, catalog_product_id=87, idempotency_key="B")
        assert [error.outcome for error in bulk.errors] == ["rejected"]
        with pytest.raises(NetworkError):
            await client.orders.create(catalog_product_id=87, idempotency_key="B-7")
        error = await outcome(client.orders.create_many, 0, catalog_product_id=87, idempotency_key="B")
        assert error[:2] == ("InvalidArgumentError", "unknown")
        error = await outcome(client.orders.create_many, 0, catalog_product_id=87, idempotency_key="C")
        assert error[:2] == ("InvalidArgumentError", "not_sent")


async def test_a_purchase_that_is_over_is_still_too_old_to_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    order_id = await rent(client, idempotency_key="sale")
    sandbox.deliver_sms(order_id)
    await client.orders.finish(order_id)
    again = await client.orders.create(catalog_product_id=87, idempotency_key="sale")
    assert again.orders[0].id == order_id
    assert client.orders.bought() == ()
    sandbox.fail_next("orders.create", "UNAUTHORIZED")
    error = await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale")
    assert error == ("UnauthorizedError", "unknown", "sale")
    assert client.orders.unresolved() == ()
    monkeypatch.setattr(time, "time", lambda now=time.time(): now + 90_000)
    error = await outcome(client.orders.create, catalog_product_id=87, idempotency_key="sale")
    assert error == ("PurchaseTooOldError", "unknown", "sale")


async def test_a_cancel_that_waits_keeps_one_deadline_for_all_its_requests() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    order_id = await rent(client)
    deadlines: list[float | None] = []
    run = client._driver.run

    async def watched(call: Any, timeout: float | None = None, *rest: Any, **options: Any) -> Any:
        deadlines.append(options.get("deadline"))
        return await run(call, timeout, *rest, **options)

    client._driver.run = watched  # type: ignore[method-assign]  # to see what each request may take
    await client.orders.cancel(order_id, wait=True, timeout=300)
    assert len(deadlines) == 3
    assert len(set(deadlines)) == 1
