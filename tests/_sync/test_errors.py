# Generated from tests/_async/test_errors.py by `nox -s generate`: change that file, not this one.

"""What goes wrong, as the caller sees it: the service's refusals, and arguments that are never sent."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal

import httpx
import pytest

from smscode import (
    APIError,
    Client,
    CancelTooEarlyError,
    ClientStateError,
    ConfigurationError,
    ConflictError,
    FxRateUnavailableError,
    IdempotencyKeyReuseError,
    InsufficientBalanceError,
    InvalidArgumentError,
    InvalidResponseError,
    Money,
    NoOfferAvailableError,
    NotFoundError,
    RetryPolicy,
    SmscodeError,
    Timeouts,
    UnauthorizedError,
    ValidationError,
)
from smscode.core.retry import TABLE, failure_kind
from smscode.errors import API_ERRORS

from ..concurrency import OtherClient, OtherTransport, VirtualClient
from .helpers import HTML, WHATSAPP_INDONESIA, Script, refusal, rent, still_sandbox

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
ONCE = RetryPolicy(max_attempts=1)
CANARY = "canary-7Qx9-token"


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", API_ERRORS)
def test_each_documented_code_has_its_class(version: Version, code: str) -> None:
    class_, status = API_ERRORS[code]
    outcome = TABLE[failure_kind(class_("", code=code, status_code=status))].outcome
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", code, message="As scripted", details={"a": 1}, retry_after=7)
    with VirtualClient(sandbox, api_version=version, retry=ONCE) as client:
        with pytest.raises(class_) as caught:
            client.balance(timeout=5)
    error = caught.value
    assert type(error) is class_
    assert (error.code, error.status_code, error.outcome) == (code, status, outcome)
    assert (error.message, error.details, error.retry_after) == ("As scripted", {"a": 1}, 7)
    assert (error.request_id, error.attempts, error.idempotency_key) == ("sandbox-000001", 1, None)


def test_an_unknown_code_is_kept(version: Version) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "TEAPOT", status=418)
    with VirtualClient(sandbox, api_version=version) as client:
        with pytest.raises(APIError) as caught:
            client.balance()
    assert type(caught.value) is APIError
    assert (caught.value.code, caught.value.status_code, caught.value.outcome) == ("TEAPOT", 418, "rejected")


def test_the_error_of_a_purchase_has_its_key(version: Version) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.create", "INTERNAL_ERROR", times=2)
    with VirtualClient(sandbox, api_version=version, retry=ONCE) as client:
        with pytest.raises(APIError) as caught:
            client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, idempotency_key="key-1")
        assert (caught.value.idempotency_key, caught.value.outcome) == ("key-1", "unknown")
        with pytest.raises(APIError) as caught:
            client.orders.create(catalog_product_id=WHATSAPP_INDONESIA)
    assert len(caught.value.idempotency_key or "") == 32
    assert sandbox.balance == 1_000_000


def test_a_wrong_token_is_refused(version: Version) -> None:
    sandbox = still_sandbox()
    with Client(CANARY, transport=sandbox.transport(), api_version=version) as client:
        with pytest.raises(UnauthorizedError) as caught:
            client.balance()
    assert (caught.value.status_code, caught.value.outcome, caught.value.attempts) == (401, "rejected", 1)
    assert CANARY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert sandbox.requests == {"GET /balance": 1}


def test_a_missing_order_is_not_found(version: Version) -> None:
    with VirtualClient(still_sandbox(), api_version=version) as client:
        with pytest.raises(NotFoundError):
            client.orders.get(999)


def test_an_order_without_sms_cannot_be_finished_nor_soon_cancelled(version: Version) -> None:
    with VirtualClient(still_sandbox(), api_version=version) as client:
        order_id = rent(client)
        with pytest.raises(ConflictError) as conflict:
            client.orders.finish(order_id)
        with pytest.raises(CancelTooEarlyError) as early:
            client.orders.cancel(order_id)
    assert (conflict.value.code, conflict.value.outcome) == ("CONFLICT", "rejected")
    assert (early.value.status_code, early.value.outcome) == (409, "rejected")


def test_a_purchase_beyond_the_balance_is_refused(version: Version) -> None:
    with VirtualClient(still_sandbox(balance=14_999), api_version=version) as client:
        with pytest.raises(InsufficientBalanceError) as caught:
            client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, idempotency_key="key-1")
    assert (caught.value.idempotency_key, caught.value.outcome) == ("key-1", "rejected")


def test_a_purchase_below_every_price_finds_no_offer(version: Version) -> None:
    with VirtualClient(still_sandbox(), api_version=version) as client:
        with pytest.raises(NoOfferAvailableError):
            rent(client, max_price=Money.idr(14_000))


def test_a_key_of_another_purchase_is_refused(version: Version) -> None:
    sandbox = still_sandbox()
    again = {"catalog_product_id": WHATSAPP_INDONESIA, "quantity": 2, "idempotency_key": "key-1"}
    with VirtualClient(sandbox, api_version=version) as client:
        rent(client, idempotency_key="key-1")
        with pytest.raises(InvalidArgumentError, match="idempotency_key"):
            rent(client, **again)
    with VirtualClient(sandbox, api_version=version) as other_process:
        with pytest.raises(IdempotencyKeyReuseError):
            rent(other_process, **again)
    assert sandbox.requests["POST /orders/create"] == 2


def test_what_the_service_finds_invalid_is_explained(version: Version) -> None:
    with VirtualClient(still_sandbox(), api_version=version) as client:
        with pytest.raises(ValidationError) as caught:
            client.webhook.update(url="https://10.0.0.1/")
    details: Any = caught.value.details
    assert details["fields"].keys() == {"webhook_url"}


def test_without_a_rate_v2_says_when_to_try_again() -> None:
    sandbox = still_sandbox(rate=None)
    with VirtualClient(sandbox) as client:
        with pytest.raises(FxRateUnavailableError) as caught:
            client.balance()
    assert (caught.value.status_code, caught.value.retry_after, caught.value.attempts) == (503, 30, 1)
    with VirtualClient(sandbox, api_version="v1") as client:
        assert (client.balance()).balance == Money.idr(1_000_000)


def test_without_a_rate_a_limit_in_rupiah_buys_nothing() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        sandbox.set_rate(None)
        with pytest.raises(FxRateUnavailableError):
            rent(client, max_price=Money.idr(15_000))
    assert sandbox.requests["POST /orders/create"] == 0


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(200), "an empty body"),
        (httpx.Response(200, html="<html>"), "of text/html"),
        (httpx.Response(200, content=b'{"success":true,'), "expected a JSON object"),
        (httpx.Response(200, json=[]), "expected a JSON object, got an array"),
        (httpx.Response(200, json={"success": "true", "data": {}}), r"\$\.success"),
        (httpx.Response(200, json={"success": True}), "'data' is missing"),
        (httpx.Response(200, json={"success": True, "data": {"balance": 1.5}}), r"\$\.data\.balance"),
    ],
)
def test_an_answer_that_cannot_be_read_is_named(response: httpx.Response, message: str) -> None:
    response.headers["x-request-id"] = "req-9"
    script = Script([response])
    with VirtualClient(still_sandbox(), transport=script, retry=ONCE) as client:
        with pytest.raises(InvalidResponseError, match=message) as caught:
            client.balance()
    assert (caught.value.status_code, caught.value.request_id) == (200, "req-9")
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)


def test_a_page_of_a_proxy_is_not_an_answer() -> None:
    with VirtualClient(still_sandbox(), transport=Script([HTML]), retry=ONCE) as client:
        with pytest.raises(InvalidResponseError, match="text/html") as caught:
            client.balance()
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("status", "retry_after", "class_name"),
    [(429, 3600, "RateLimitError"), (413, None, "PayloadTooLargeError")],
)
def test_a_bare_status_that_speaks_for_itself_is_understood(
    status: int, retry_after: int | None, class_name: str
) -> None:
    headers = None if retry_after is None else {"retry-after": str(retry_after)}
    script = Script([refusal(status, headers=headers)])
    with VirtualClient(still_sandbox(), transport=script) as client:
        with pytest.raises(APIError) as caught:
            client.balance()
    assert (type(caught.value).__name__, caught.value.retry_after) == (class_name, retry_after)


# -- arguments -------------------------------------------------------------------------------------

PRODUCT = {"product_id": 142}
CATALOG = {"catalog_product_id": WHATSAPP_INDONESIA}
WRONG_IDS: list[Any] = [0, -1, True, 1.0, "1001", None, 2**63]

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("balance", {"timeout": 0}),
    ("balance", {"timeout": -1}),
    ("balance", {"timeout": math.nan}),
    ("balance", {"timeout": True}),
    ("balance", {"timeout": "5"}),
    ("catalog.services", {"country_id": 0}),
    ("catalog.operators", {"country_id": 6, "platform_id": "3"}),
    ("catalog.operators", {"country_id": None, "platform_id": 3}),
    ("catalog.products", {"sort": "cheap"}),
    ("catalog.products", {"sort": 1}),
    ("catalog.products", {"page": 0}),
    ("catalog.products", {"limit": 10_001}),
    ("catalog.products", {"limit": 1.0}),
    ("catalog.exchange_rate", {"pair": "USDIDR"}),
    ("orders.list", {"limit": 101}),
    ("orders.list", {"limit": True}),
    ("orders.list", {"offset": -1}),
    ("orders.list", {"status": "DONE"}),
    ("orders.create", {}),
    ("orders.create", PRODUCT | CATALOG),
    ("orders.create", {"catalog_product_id": "87"}),
    ("orders.create", CATALOG | {"quantity": 0}),
    ("orders.create", CATALOG | {"quantity": 101}),
    ("orders.create", CATALOG | {"quantity": True}),
    ("orders.create", CATALOG | {"max_price": 1.5}),
    ("orders.create", CATALOG | {"max_price": 0}),
    ("orders.create", CATALOG | {"max_price": "-1"}),
    ("orders.create", CATALOG | {"max_price": "1,5"}),
    ("orders.create", CATALOG | {"max_price": True}),
    ("orders.create", CATALOG | {"max_price": Decimal("nan")}),
    ("orders.create", CATALOG | {"min_price": -1}),
    ("orders.create", CATALOG | {"policy": "fastest"}),
    ("orders.create", CATALOG | {"operator_id": 0}),
    ("orders.create", CATALOG | {"prefer_provider": ""}),
    ("orders.create", CATALOG | {"prefer_provider": "x" * 65}),
    ("orders.create", CATALOG | {"idempotency_key": ""}),
    ("orders.create", CATALOG | {"idempotency_key": "a b"}),
    ("orders.create", CATALOG | {"idempotency_key": "ä"}),
    ("orders.create", CATALOG | {"idempotency_key": "k" * 129}),
    ("orders.create", CATALOG | {"timeout": 0}),
    ("orders.create", PRODUCT | {"policy": "cheapest"}),
    ("orders.create", PRODUCT | {"operator_id": 1}),
    ("orders.create", PRODUCT | {"min_price": Decimal("0.1")}),
    ("orders.reactivate", {"order_id": 1001, "max_price": False}),
    ("orders.reactivate", {"order_id": 1001, "idempotency_key": "a/b"}),
    ("orders.wait_for_otp", {"order_id": 1001, "timeout": -1}),
    ("orders.wait_for_otp", {"order_id": 1001, "timeout": False}),
    ("orders.wait_for_otp", {"order_id": 1001, "after_revision": -1}),
    ("orders.wait_for_otp", {"order_id": 1001, "after_code": 123456}),
    ("orders.wait_for_sms", {"order_id": 1001, "after_revision": "1"}),
    ("webhook.update", {}),
    ("webhook.update", {"url": "http://hooks.example.net/"}),
    ("webhook.update", {"url": "ftp://hooks.example.net/"}),
    ("webhook.update", {"url": "https://hooks.example.net/" + "a" * 2048}),
    ("webhook.update", {"url": 1}),
    ("webhook.update", {"secret": "s" * 257}),
    ("webhook.update", {"secret": b"s"}),
    ("webhook.ensure", {"url": "hooks.example.net"}),
    *(
        (f"orders.{name}", {"order_id": wrong})
        for wrong in WRONG_IDS
        for name in (
            *("get", "cancel", "finish", "resend", "reactivate", "reactivate_options"),
            *("wait_for_otp", "wait_for_sms"),
        )
    ),
]


@pytest.mark.parametrize(("method", "arguments"), WRONG)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    version: Version, method: str, arguments: dict[str, Any]
) -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox, api_version=version) as client:
        with pytest.raises(InvalidArgumentError) as caught:
            attrgetter(method)(client)(**arguments)
    assert isinstance(caught.value, ValueError)
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("version", "limit"), [("v1", "1.5"), ("v1", Decimal("1.5")), ("v2", 20_000), ("v2", "1.123456789")]
)
@pytest.mark.parametrize("name", ["max_price", "min_price"])
def test_a_price_limit_of_the_other_version_is_refused(version: Version, name: str, limit: Any) -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox, api_version=version) as client:
        with pytest.raises(InvalidArgumentError, match=name):
            rent(client, **{name: limit})
    assert not sandbox.requests


# -- setting a client up ---------------------------------------------------------------------------

WRONG_SETTINGS: list[tuple[str, Any, str]] = [
    ("token", "", "token"),
    ("token", 7, "token"),
    ("token", b"token", "token"),
    ("token", "Bearer abc", "Bearer"),
    ("token", "bearer abc", "Bearer"),
    ("token", "two words", "position 3"),
    ("token", "abc\n", "position 3"),
    ("token", "tökén", "position 1"),
    ("token", "x" * 4097, "4096"),
    ("api_version", "v3", "api_version"),
    ("api_version", 2, "api_version"),
    ("api_version", None, "api_version"),
    ("base_url", "http://api.smscode.gg", "https"),
    ("base_url", "http://127.0.0.1.example.net", "https"),
    ("base_url", "https://user:pw@host", "user name"),
    ("base_url", "https://host/#a", "fragment"),
    ("base_url", "https://host/?a=1", "no query"),
    ("base_url", "api.smscode.gg", "https://host"),
    ("base_url", "https://", "https://host"),
    ("base_url", "https://host:99999", "port"),
    ("base_url", "https://hö.st", "ASCII"),
    ("base_url", "", "https://host"),
    ("base_url", b"https://host", "base_url"),
    ("timeout", 0, "timeout"),
    ("timeout", -1.0, "timeout"),
    ("timeout", math.nan, "timeout"),
    ("timeout", True, "timeout"),
    ("timeout", "30", "timeout"),
    ("timeout", httpx.Timeout(5), "timeout"),
    ("retry", 3, "retry"),
    ("retry", None, "retry"),
    ("max_connections", 0, "max_connections"),
    ("max_connections", 1001, "max_connections"),
    ("max_connections", 5.0, "max_connections"),
    ("max_connections", None, "max_connections"),
    ("poll_interval", 0, "poll_interval"),
    ("poll_interval", None, "poll_interval"),
    ("transport", object(), "transport"),
    ("transport", OtherTransport(), "transport"),
    ("http_client", object(), "http_client"),
    ("http_client", OtherClient(), "http_client"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG_SETTINGS)
def test_a_client_cannot_be_set_up_with_a_wrong_argument(name: str, value: Any, message: str) -> None:
    settings: dict[str, Any] = {"token": "token", name: value}
    with pytest.raises(InvalidArgumentError, match=message):
        Client(**settings)


@pytest.mark.parametrize("name", ["total", "create", "connect", "read"])
def test_timeouts_are_checked(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"timeout.{name}"):
        Timeouts(**{name: 0})


@pytest.mark.parametrize(
    "options", [{"max_attempts": 0}, {"max_attempts": 51}, {"max_attempts": True}, {"base": 0}, {"cap": -1}]
)
def test_a_retry_policy_is_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=f"retry.{next(iter(options))}"):
        RetryPolicy(**options)


def test_a_client_goes_through_one_thing_only() -> None:
    with httpx.Client() as http_client:
        with pytest.raises(InvalidArgumentError, match="at most one"):
            Client("token", transport=Script([]), http_client=http_client)


def test_a_closed_http_client_is_refused() -> None:
    http_client = httpx.Client()
    http_client.close()
    with pytest.raises(InvalidArgumentError, match="an open client of httpx or httpx2"):
        Client("token", http_client=http_client)


def test_a_client_needs_a_token() -> None:
    with pytest.raises(ConfigurationError, match="SMSCODE_TOKEN"):
        Client()


def test_the_environment_sets_up_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = still_sandbox()
    monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
    monkeypatch.setenv("SMSCODE_BASE_URL", "http://localhost:8080/api")
    script = Script([], sandbox.transport())
    with Client(transport=script) as client:
        with pytest.raises(NotFoundError):
            client.balance()
    assert str(script.requests[0].url) == "http://localhost:8080/api/v2/balance"
    assert script.requests[0].headers["authorization"] == f"Bearer {sandbox.token}"


def test_what_is_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = still_sandbox()
    monkeypatch.setenv("SMSCODE_TOKEN", "another-token")
    monkeypatch.setenv("SMSCODE_BASE_URL", "https://elsewhere.example.net")
    script = Script([], sandbox.transport())
    with Client(sandbox.token, base_url="https://host", transport=script) as client:
        client.balance()
    assert str(script.requests[0].url) == "https://host/v2/balance"


@pytest.mark.parametrize("name", ["SMSCODE_TOKEN", "SMSCODE_BASE_URL"])
def test_a_wrong_setting_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SMSCODE_TOKEN", "token")
    monkeypatch.setenv(name, "not usable")
    with pytest.raises(InvalidArgumentError, match=name):
        Client()


# -- the token stays hidden ------------------------------------------------------------------------


def test_the_token_is_shown_nowhere() -> None:
    echo = httpx.Response(
        401,
        json={"success": False, "error": {"code": "UNAUTHORIZED", "message": f"no: Bearer {CANARY} !"}},
    )
    transport = Script([echo, httpx.ConnectError("no"), httpx.LocalProtocolError(f"Bearer {CANARY}")])
    shown: list[str] = []
    with Client(CANARY, transport=transport, retry=ONCE) as client:
        for _ in range(3):
            with pytest.raises(SmscodeError) as caught:
                client.balance()
            error: BaseException | None = caught.value
            while error is not None:
                shown += [str(error), repr(error), str(vars(error))]
                error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        parts = (
            client,
            client._settings,
            client._settings.token,
            client._driver,
            client._settings.token.header,
        )
        shown += [f"{part!r} {part!s}" for part in parts]
    assert CANARY not in " ".join(shown)


@pytest.mark.parametrize("value", [f"{CANARY} x", f"Bearer {CANARY}", f"{CANARY}\n", f"{CANARY}é"])
def test_a_refused_token_is_not_shown(value: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Client(value)
    assert CANARY not in f"{caught.value} {caught.value!r}"


def test_neither_client_nor_token_can_be_copied() -> None:
    client = VirtualClient(still_sandbox())
    for held in (client, client._settings.token):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                attempt(held)


def test_a_closed_client_says_so(version: Version) -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox, api_version=version)
    order_id = rent(client)
    client.close()
    client.close()
    for use in (client.balance, client.orders.active, client.catalog.countries):
        with pytest.raises(ClientStateError, match="closed"):
            use()
    with pytest.raises(ClientStateError):
        client.orders.wait_for_otp(order_id)
    with pytest.raises(ClientStateError):
        [product for product in client.catalog.iter_products()]
    assert sandbox.requests == {"POST /orders/create": 1}
