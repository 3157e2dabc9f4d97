"""Wrong arguments are refused when a call is built, before anything could be sent."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from attrs import evolve

from smscode import (
    ActiveOrder,
    Balance,
    CanceledOrder,
    Country,
    CreatedOrder,
    CreatedOrders,
    ExchangeRate,
    FinishedOrder,
    FxRate,
    InvalidArgumentError,
    Money,
    Operator,
    Order,
    OrderPage,
    OrderStatus,
    Product,
    ProductPage,
    ProductSort,
    ReactivateOptions,
    ResendResult,
    RetryPolicy,
    RoutingPolicy,
    Service,
    Sms,
    WebhookConfig,
    WebhookTestResult,
    calls,
)
from smscode._choices import PolicyName, SortName, StatusName
from smscode.core.api import arguments, references, registry
from smscode.core.api.call import Answer, Call, Response
from smscode.core.api.parameters import Limit, OneOf, Text, Whole
from smscode.core.api.registry import ENDPOINTS

from ..support import (
    CALLS,
    NOT_INTEGERS,
    NULLABLE,
    PAGE,
    PRODUCT,
    VERSIONS,
    WHEN,
    Builder,
    active_order,
    arguments_of,
    builder,
    read,
    rows,
    success,
)

CANARY = "canary-7Qx9"
NOT_AN_ID = "expected a positive int of at most 9223372036854775807"

IDS: list[tuple[str, Builder, dict[str, Any]]] = [
    ("country_id", calls.catalog.services, {}),
    ("country_id", calls.catalog.operators, {"platform_id": 3}),
    ("platform_id", calls.catalog.operators, {"country_id": 6}),
    ("country_id", calls.catalog.products, {}),
    ("platform_id", calls.catalog.products, {}),
    ("operator_id", calls.catalog.products, {}),
    ("product_id", calls.orders.create, {}),
    ("catalog_product_id", calls.orders.create, {}),
    ("operator_id", calls.orders.create, {"catalog_product_id": 87}),
    *(("order_id", builder(name), {}) for name in CALLS if "order_id" in arguments_of(builder(name))),
]
NOT_IDS: list[Any] = [
    *NOT_INTEGERS,
    *(0, -1, 2**63, 10**5000),
    *("", ".", "..", "../balance", "a/b", "a?x=1", "a#b", "a%2Fb", "a\0", "a b", "a;b", "1" * 10_000),
    "\u0430",
    "1001",
    float("nan"),
]
BOUNDS: list[tuple[str, Builder, dict[str, Any], int, int]] = [
    ("page", calls.catalog.products, {}, 1, 2**31 - 1),
    ("limit", calls.catalog.products, {}, 1, 10_000),
    ("limit", calls.orders.list, {}, 1, 100),
    ("offset", calls.orders.list, {}, 0, 2**31 - 1),
    ("quantity", calls.orders.create, {"product_id": 142}, 1, 100),
]


def name_of(value: object) -> str | None:
    """Return a test case's name, that of its endpoint or argument."""
    return f"{value.__module__}.{value.__name__}" if callable(value) and hasattr(value, "__name__") else None


@pytest.mark.parametrize(("name", "build", "others"), IDS, ids=name_of)
def test_an_id_is_a_positive_64_bit_int_and_nothing_else(
    name: str, build: Builder, others: dict[str, Any]
) -> None:
    for value in (1, 2**31 - 1, 2**31, 2**63 - 1):
        assert build(**{name: value}, **others)
    for value in NOT_IDS:
        with pytest.raises(
            InvalidArgumentError,
            match=rf"\A{name}: {NOT_AN_ID}",
        ) as caught:
            build(**{name: value}, **others)
        assert len(caught.value.message) < 120
        assert caught.value.outcome == "not_sent"
        assert caught.value.attempts == 0


@pytest.mark.parametrize("order_id", [2**31, 3_000_000_001, 2**53 + 1, 2**63 - 1])
def test_whatever_id_the_service_gave_can_be_given_back_to_it(order_id: int) -> None:
    body = success({"orders": [{"id": order_id}], "failed_count": 0})
    (order,) = read("orders.create", body, "v1").data.orders
    for build in (calls.orders.cancel, calls.orders.finish, calls.orders.resend, calls.orders.reactivate):
        sent = build(order.id).request("v1").body
        assert sent is not None
        assert json.loads(sent) == {"id": order_id}
    for ask in (calls.orders.get, calls.orders.reactivate_options):
        assert str(order_id) in ask(order.id).request("v1").path
    products = [{**PRODUCT, "price": 1, "id": order_id, "catalog_product_id": order_id}]
    (product,) = read("catalog.products", success(products, **PAGE), "v1").data.items
    assert calls.orders.create(product_id=product.id).fields == {"product_id": order_id, "quantity": 1}
    assert calls.orders.create(catalog_product_id=product.catalog_product_id)


@pytest.mark.parametrize(
    ("name", "build", "others"),
    [row for row in IDS if row[0] == "order_id" or row[1] == calls.catalog.operators],
)
def test_a_required_id_cannot_be_none(name: str, build: Builder, others: dict[str, Any]) -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=f"{name}: {NOT_AN_ID}.*, got NoneType",
    ):
        build(**{name: None}, **others)


@pytest.mark.parametrize(("name", "build", "others", "low", "high"), BOUNDS, ids=name_of)
def test_a_number_outside_its_bounds_is_refused(
    name: str, build: Builder, others: dict[str, Any], low: int, high: int
) -> None:
    for value in (low, high):
        assert build(**{name: value}, **others)
    for wrong in (low - 1, high + 1, -(10**9), 10**12, None, *NOT_INTEGERS):
        with pytest.raises(
            InvalidArgumentError, match=rf"\A{name}: expected an int of {low}\.\.{high}, got "
        ):
            build(**{name: wrong}, **others)


@pytest.mark.parametrize("ids", [{}, {"product_id": 1, "catalog_product_id": 2}])
def test_a_purchase_names_exactly_one_product(ids: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError, match="expected product_id or catalog_product_id, exactly one"):
        calls.orders.create(**ids)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"), [("policy", "cheapest"), ("operator_id", 18), ("min_price", 100), ("min_price", 0)]
)
def test_routing_goes_with_a_catalog_product_only(name: str, value: Any) -> None:
    assert calls.orders.create(catalog_product_id=87, **{name: value})
    with pytest.raises(InvalidArgumentError, match=f"{name}: goes with catalog_product_id"):
        calls.orders.create(product_id=142, **{name: value})


def test_max_price_and_prefer_provider_are_passed_on_with_an_exact_product() -> None:
    call = calls.orders.create(product_id=142, max_price=20000, prefer_provider="acme", idempotency_key="k")
    assert call.request("v1").body == (
        b'{"product_id":142,"quantity":1,"max_price":20000,"prefer_provider":"acme"}'
    )


@pytest.mark.parametrize("build", [calls.orders.create, calls.orders.reactivate])
@pytest.mark.parametrize(
    "key", ["", "a" * 129, "a b", "a.b", "\u00e9", "a\n", "a\r\nX-Evil: 1", "\u0661", 1, b"a", True]
)
def test_a_bad_idempotency_key_is_refused(build: Builder, key: Any) -> None:
    ids = {"product_id": 142} if build == calls.orders.create else {"order_id": 1001}
    with pytest.raises(InvalidArgumentError, match=r"\Aidempotency_key: expected 1\.\.128 characters"):
        build(**ids, idempotency_key=key)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("", "."),
        ("a" * 129, "."),
        (None, "."),
        ("a b", ", found ' '."),
        ("a.b c", ", found '.'."),
        ("a\n", ", found '\\n'."),
    ],
)
def test_the_first_character_that_an_idempotency_key_cannot_have_is_named(key: object, found: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        arguments.idempotency_key(key)
    assert caught.value.message == (
        f"idempotency_key: expected 1..128 characters of A-Z, a-z, 0-9, '-' and '_'{found}"
    )


@pytest.mark.parametrize("key", ["a", "-_", "a" * 128, "AZaz09-_"])
def test_a_good_idempotency_key_is_sent_as_it_is(key: str) -> None:
    request = calls.orders.reactivate(1001, idempotency_key=key).request("v2")
    assert ("idempotency-key", key) in request.headers


def test_keys_are_made_fresh_even_when_random_is_seeded() -> None:
    made: set[str | None] = set()
    for _ in range(20):
        random.seed(1)
        made.add(calls.orders.create(product_id=142).idempotency_key)
        made.add(calls.orders.reactivate(1001).idempotency_key)
    assert len(made) == 40
    assert all(key is not None and re.fullmatch(r"[0-9a-f]{32}", key) for key in made)


@pytest.mark.parametrize(
    ("name", "build", "others", "choices"),
    [
        ("sort", calls.catalog.products, {}, ProductSort),
        ("status", calls.orders.list, {}, OrderStatus),
        ("policy", calls.orders.create, {"catalog_product_id": 87}, RoutingPolicy),
    ],
)
def test_a_choice_is_a_member_or_its_text_in_any_case(
    name: str, build: Builder, others: dict[str, Any], choices: Any
) -> None:
    for choice in choices:
        for given in (choice, choice.value, choice.value.upper(), choice.value.lower()):
            call = build(**{name: given}, **others)
            sent = call.query.get(name) or (call.fields or {}).get(name)
            assert (type(sent), sent) == (str, choice.value)
    unknown: list[Any] = ["", "unknown", " " + next(iter(choices)).value, 1, True, b"cheapest", [], object()]
    for wrong in unknown:
        with pytest.raises(InvalidArgumentError, match=rf"\A{name}: expected one of {next(iter(choices))}"):
            build(**{name: wrong}, **others)


@pytest.mark.parametrize(
    "provider",
    [
        "",
        "  ",
        "a\0",
        "a\n",
        "\u202eabc",
        "\ud800",
        "a" * 65,
        "x" * 1_000_000,
        1,
        True,
        b"acme",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_provider_that_is_no_short_printable_text_is_refused(provider: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Aprefer_provider: expected"):
        calls.orders.create(product_id=142, prefer_provider=provider)


@pytest.mark.parametrize("pair", ["", "USD", "USD-IDR", "USD/IDR ", "USD/IDR\n", "U/I", "USD/IDR/X", 1, None])
def test_a_currency_pair_has_two_codes(pair: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Apair: expected a currency pair"):
        calls.catalog.exchange_rate(pair=pair)


def test_a_currency_pair_is_sent_in_capitals() -> None:
    assert calls.catalog.exchange_rate(pair="eur/idr").query == {"pair": "EUR/IDR"}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "javascript:alert(1)",
        "ftp://example.com",
        "example.com/hook",
        "https://",
        "https://user:pw@example.com/hook",
        "https://user@example.com/hook",
        "https://example.com/hook#part",
        "https://example.com/\x00",
        "https://example.com/a b",
        "https://example.com/\u00e9",
        "https://example.com/a\\b",
        "https://:pw@example.com/hook",
        "https://example.com\\@evil.com",
        "https://ex\u00e4mple.com",
        "https://example.com:99999/",
        "https://[::1",
        "https://example.com/" + "a" * 5000,
        " ",
        b"https://example.com",
        True,
        1,
    ],
)
def test_a_bad_webhook_url_is_refused(url: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Aurl: (expected|its host)"):
        calls.webhook.update(url=url)


def test_http_to_another_machine_is_taken_where_it_is_allowed() -> None:
    address = "http://a.example/v1"
    assert arguments.web_address("base_url", address, allow_http=True) == address
    expected = "base_url: expected https (http is only for this machine itself)"
    hints = {False: ", or allow_http=True for a sandbox elsewhere.", None: "."}
    for refused, hint in hints.items():
        with pytest.raises(InvalidArgumentError) as caught:
            arguments.web_address("base_url", address, allow_http=refused)
        assert caught.value.message == expected + hint


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("::2", False),
        ("127.1", False),
        ("localhost.example.com", False),
        ("LOCALHOST", False),
    ],
)
def test_this_machine_is_localhost_or_a_loopback_address_in_full(host: str, here: bool) -> None:
    assert arguments.is_loopback(host) is here


def test_several_orders_are_ids_or_objects_and_each_counts_once() -> None:
    given = (1002, Sms(1001), active_order(1002), 1003)
    assert references.order_ids("orders", iter(given)) == [1002, 1001, 1003]
    with pytest.raises(InvalidArgumentError) as caught:
        references.order_ids("orders", 1001)
    expected = "orders: expected several orders or their ids, such as [1001, 1002], got 1001."
    assert caught.value.message == expected


def test_arguments_without_names_are_refused_with_an_example() -> None:
    plain, other = arguments.unnamed("rent"), arguments.unnamed("find", "service='whatsapp'")
    assert (type(plain), type(other)) == (TypeError, TypeError)
    assert str(plain) == (
        "rent: expected arguments with their names, such as catalog_product_id=87 or service='whatsapp',"
        " not positional arguments."
    )
    assert str(other) == (
        "find: expected arguments with their names, such as service='whatsapp', not positional arguments."
    )


@pytest.mark.parametrize(
    "secret", [" ", CANARY + "\n", CANARY * 30, CANARY + "\ud800", CANARY.encode(), 70707, True]
)
def test_a_bad_webhook_secret_is_refused_without_being_shown(secret: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Asecret: expected") as caught:
        calls.webhook.update(secret=secret)
    shown = f"{caught.value!r} {caught.value} {caught.value.args}"
    assert CANARY not in shown
    assert "70707" not in shown


def test_what_is_printed_of_a_call_shows_neither_its_body_nor_that_of_the_answer() -> None:
    call = calls.webhook.update(secret=CANARY)
    request = call.request("v2")
    body = f'{{"phone_number":"{CANARY}"}}'.encode()
    answer = Answer(True, None, 200, None, headers={"x": CANARY}, body=body)
    for one in (call, evolve(call, frozen=("v2", request)), request, Response(200, {}, body), answer):
        assert CANARY not in repr(one)
    assert hash(answer) == hash(evolve(answer, headers={}, body=b""))
    assert (Answer(True, None, 200, None).attempts, Answer(True, None, 200, None).raw) == (1, None)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (
            {"url": "https://example.com/" + "a" * 2028},
            '{"webhook_url":"https://example.com/%s"}' % ("a" * 2028),
        ),
        ({"url": ""}, '{"webhook_url":""}'),
        ({"secret": ""}, '{"webhook_secret":""}'),
        ({"secret": "s" * 256}, '{"webhook_secret":"%s"}' % ("s" * 256)),
        ({"url": "https://h", "secret": "\u00e9"}, '{"webhook_url":"https://h","webhook_secret":"\\u00e9"}'),
    ],
)
def test_a_webhook_update_sends_what_was_given_and_clears_with_empty_text(
    given: dict[str, str], body: str
) -> None:
    assert calls.webhook.update(**given).request("v2").body == body.encode()


def test_a_webhook_update_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="expected url, secret or both"):
        calls.webhook.update()


def test_an_object_of_another_class_is_refused() -> None:
    policy = RetryPolicy()
    assert arguments.instance("retry", policy, RetryPolicy) is policy
    with pytest.raises(InvalidArgumentError, match=r"\Aretry: expected a smscode\.RetryPolicy, got 3"):
        arguments.instance("retry", 3, RetryPolicy)


def test_the_whole_numbers_of_the_service_have_32_or_64_bits() -> None:
    assert arguments.INT32 == (-2_147_483_648, 2_147_483_647)
    assert arguments.INT64 == (-9_223_372_036_854_775_808, 9_223_372_036_854_775_807)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (2**64 - 1, str(2**64 - 1)),
        (1 - 2**64, str(1 - 2**64)),
        (2**64, "a huge int"),
        (-(2**64), "a huge int"),
    ],
)
def test_a_message_shows_no_int_of_more_than_64_bits(value: int, found: str) -> None:
    assert arguments.wrong("name", "something", value).message == f"name: expected something, got {found}."


@pytest.mark.parametrize("value", [Decimal(1), "canary", -5])
def test_a_message_shows_ints_and_otherwise_only_types(value: object) -> None:
    message = arguments.wrong("name", "something", value).message
    assert message.endswith("got -5." if value == -5 else f"got {type(value).__name__}.")


def test_no_module_with_endpoints_is_left_out_of_the_registry() -> None:
    folder = Path(registry.__file__).parent
    describing = {
        path.stem for path in folder.glob("*.py") if re.search(r"^[A-Z_]+ = Endpoint", path.read_text(), re.M)
    }
    assert describing == {module.__name__.rpartition(".")[2] for module in registry.MODULES}


def test_a_builder_has_the_name_of_its_operation() -> None:
    for name, call in CALLS.items():
        assert call.endpoint is ENDPOINTS[name]
        assert call.endpoint.name == name


# The operations, written out once more on purpose from the documentation: request, rate limit, what may be
# repeated, whether it states money and is of the newer generation only, and its refusals.
ACTING = "NOT_FOUND CONFLICT VALIDATION_ERROR PROVIDER_ERROR"
BUYING = (
    "NOT_FOUND CONFLICT INSUFFICIENT_BALANCE REQUEST_IN_PROGRESS VALIDATION_ERROR PROVIDER_ERROR "
    "NO_OFFER_AVAILABLE IDEMPOTENCY_KEY_REUSED TEMP_BANNED_ABUSE_GUARD"
)
OPERATIONS = {
    "catalog.countries": ("GET /catalog/countries", "catalog", "read", "", ""),
    "catalog.services": ("GET /catalog/services", "catalog", "read", "", "VALIDATION_ERROR"),
    "catalog.operators": ("GET /catalog/operators", "catalog", "read", "current_only", "VALIDATION_ERROR"),
    "catalog.products": ("GET /catalog/products", "catalog", "read", "money", "VALIDATION_ERROR"),
    "catalog.exchange_rate": ("GET /catalog/exchange-rate", "catalog", "read", "money", "NOT_FOUND"),
    "balance.get": ("GET /balance", "balance", "read", "money", ""),
    "orders.list": ("GET /orders", "order_queries", "read", "money", "VALIDATION_ERROR"),
    "orders.active": ("GET /orders/active", "order_queries", "read", "", ""),
    "orders.get": ("GET /orders/{id}", "order_queries", "read", "money", "NOT_FOUND"),
    "orders.create": ("POST /orders/create", "create", "create", "money", BUYING),
    "orders.cancel": ("POST /orders/cancel", "cancel", "transition", "money", f"{ACTING} CANCEL_TOO_EARLY"),
    "orders.finish": ("POST /orders/finish", "order_actions", "transition", "", ACTING),
    "orders.resend": ("POST /orders/resend", "order_actions", "resend", "", ACTING),
    "orders.reactivate": ("POST /orders/reactivate", "create", "create", "money current_only", BUYING),
    "orders.reactivate_options": (
        "GET /orders/{id}/reactivate-options",
        "order_queries",
        "read",
        "money current_only",
        ACTING,
    ),
    "webhook.get": ("GET /webhook", "webhook_config", "read", "", "NOT_FOUND"),
    "webhook.update": ("PATCH /webhook", "webhook_config", "config", "", "NOT_FOUND VALIDATION_ERROR"),
    "webhook.test": ("POST /webhook/test", "webhook_test", "test", "", "VALIDATION_ERROR"),
}


# Its parameters, in the same way: (name, values, default, marks), where a mark is a letter of MARKS.
MARKS = {
    "r": "required",
    "n": "nullable",
    "c": "current_only",
    "p": "needs_catalog_product",
    "q": "needs_catalog_product_currently",
}
WHOLE = Whole(-2_147_483_648, 2_147_483_647, clamped=False)
POSITIVE = Whole(1, 2_147_483_647, clamped=False)
ORDER = ("id", POSITIVE, None, "r")
PARAMETERS: dict[str, list[tuple[str, object, object, str]]] = {
    "catalog.services": [("country_id", WHOLE, None, "")],
    "catalog.operators": [("country_id", WHOLE, None, "r"), ("platform_id", WHOLE, None, "r")],
    "catalog.products": [
        ("country_id", WHOLE, None, ""),
        ("platform_id", WHOLE, None, ""),
        ("operator_id", WHOLE, None, "c"),
        ("sort", OneOf(ProductSort, any_case=False, lenient=True), "price_asc", ""),
        ("page", Whole(1, 9_223_372_036_854_775_807, clamped=True), 1, ""),
        ("limit", Whole(1, 10_000, clamped=True), 1000, ""),
    ],
    "catalog.exchange_rate": [("pair", Text(None, None), "USD/IDR", "")],
    "orders.list": [
        ("limit", Whole(1, 100, clamped=True), 20, ""),
        ("offset", Whole(0, 9_223_372_036_854_775_807, clamped=True), 0, ""),
        ("status", OneOf(OrderStatus, any_case=True, lenient=False), None, ""),
    ],
    "orders.create": [
        ("product_id", POSITIVE, None, "n"),
        ("catalog_product_id", POSITIVE, None, "n"),
        ("max_price", Limit("ROUND_FLOOR"), None, "nq"),
        ("prefer_provider", Text(64, None), None, "nq"),
        ("policy", OneOf(RoutingPolicy, any_case=False, lenient=False), "cheapest", "p"),
        ("quantity", Whole(1, 100, clamped=False), 1, ""),
        ("operator_id", POSITIVE, None, "ncp"),
        ("min_price", Limit("ROUND_CEILING"), None, "ncp"),
    ],
    "orders.cancel": [ORDER],
    "orders.finish": [ORDER],
    "orders.resend": [ORDER],
    "orders.reactivate": [ORDER, ("max_price", Limit("ROUND_FLOOR"), None, "n")],
    "webhook.update": [
        ("webhook_url", Text(2048, "^$|^https://."), None, "n"),
        ("webhook_secret", Text(256, None), None, "n"),
    ],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_parameter_is_described_as_it_is_documented(name: str) -> None:
    endpoint = ENDPOINTS[name]
    assert not (endpoint.query and endpoint.fields)
    found = endpoint.query + endpoint.fields
    described = [
        (one.name, one.kind, one.default, "".join(mark for mark, of in MARKS.items() if getattr(one, of)))
        for one in found
    ]
    assert described == PARAMETERS.get(name, [])
    assert bool(endpoint.query) == (endpoint.method == "GET" and name in PARAMETERS)
    assert all(re.fullmatch(r"[A-Z].+\.", one.about) for one in found)


def test_what_goes_with_a_catalog_product_only_depends_on_the_generation() -> None:
    fields = ENDPOINTS["orders.create"].fields
    older = {one.name for one in fields if one.is_for_catalog_product(current=False) is True}
    current = {one.name for one in fields if one.is_for_catalog_product(current=True) is True}
    assert older == {"policy", "operator_id", "min_price"}
    assert current == older | {"max_price", "prefer_provider"}


# What is decoded from an answer: the type of the result, that of a row, the field that repeats the id.
RESULTS: dict[str, tuple[object, object, str | None]] = {
    "catalog.countries": (list[Country], Country, None),
    "catalog.services": (list[Service], Service, None),
    "catalog.operators": (list[Operator], Operator, None),
    "catalog.products": (ProductPage, Product, None),
    "catalog.exchange_rate": (ExchangeRate, None, None),
    "balance.get": (Balance, None, None),
    "orders.list": (OrderPage, Order, None),
    "orders.active": (list[ActiveOrder], ActiveOrder, None),
    "orders.get": (Order, None, "id"),
    "orders.create": (CreatedOrders, None, None),
    "orders.cancel": (CanceledOrder, None, "order_id"),
    "orders.finish": (FinishedOrder, None, "order_id"),
    "orders.resend": (ResendResult, None, "order_id"),
    "orders.reactivate": (CreatedOrders, None, None),
    "orders.reactivate_options": (ReactivateOptions, None, None),
    "webhook.get": (WebhookConfig, None, None),
    "webhook.update": (WebhookConfig, None, None),
    "webhook.test": (WebhookTestResult, None, None),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_the_result_that_is_documented(name: str) -> None:
    endpoint = ENDPOINTS[name]
    assert (endpoint.result, endpoint.rows, endpoint.echoes) == RESULTS[name]
    assert (endpoint.later, endpoint.any_data) == (False, False)


def test_a_row_that_cannot_be_read_costs_only_itself() -> None:
    good = {"id": 6, "name": "Indonesia", "active": True}
    answer = read("catalog.countries", success([good, {**good, "id": "7"}]), "v1")
    assert [country.id for country in answer.data] == [6]
    assert [str(problem) for problem in answer.problems] == [
        "$.data[1].id: expected an integer, got a string"
    ]


NAMED = {code for row in OPERATIONS.values() for code in row[-1].split()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described_as_it_is_documented(name: str) -> None:
    endpoint = ENDPOINTS[name]
    marks = " ".join(mark for mark in ("money", "current_only") if getattr(endpoint, mark))
    refusals = " ".join(code for code in endpoint.refusals if code in NAMED)
    request = f"{endpoint.method} {endpoint.path}"
    assert OPERATIONS[name] == (request, endpoint.group.value, endpoint.kind.value, marks, refusals)


def documented_call(row: dict[str, Any]) -> Call[Any]:
    """Build the call of a documented request from its query, body and key."""
    area, _, name = row["operation"].partition(".")
    build: Builder = getattr(getattr(calls, area), name)
    given: dict[str, Any] = {key: int(text) if text.isdigit() else text for key, text in row["query"]}
    fields: dict[str, Any] = row["body"] or {}
    given |= {key.removeprefix("webhook_"): value for key, value in fields.items()}
    if row["operation"] == "orders.get":
        given["id"] = int(row["path"].rpartition("/")[2])
    if "id" in given:
        given["order_id"] = given.pop("id")
    if row["idempotency_key"]:
        given["idempotency_key"] = row["idempotency_key"]
    if row["version"] == "v2" and "max_price" in given:
        given["max_price"] = str(given["max_price"])  # the sample forgot that v2 takes a string
    return build(**given)


@pytest.mark.parametrize("row", rows("requests"), ids=lambda row: f"{row['version']} {row['operation']}")
def test_a_documented_request_is_built_as_it_is_printed(row: dict[str, Any]) -> None:
    request = documented_call(row).request(row["version"])
    assert (request.method, request.path) == (row["method"], row["path"])
    assert {tuple(pair) for pair in row["query"]} <= set(request.query)
    assert dict(request.query).keys() - {name for name, _ in row["query"]} <= {"offset", "limit"}
    headers = {"accept": "application/json"}
    if row["idempotency_key"]:
        headers["idempotency-key"] = row["idempotency_key"]
    if row["body"] is None:
        assert request.body is None
    else:
        headers["content-type"] = "application/json"
        expected = dict(row["body"])
        if row["operation"] == "orders.create":
            expected.setdefault("quantity", 1)
        if row["version"] == "v2" and "max_price" in expected:
            expected["max_price"] = str(expected["max_price"])
        assert request.body is not None
        assert json.loads(request.body) == expected
    assert dict(request.headers) == headers
    assert len(request.headers) == len(headers)


def test_the_documented_requests_are_all_there() -> None:
    assert len(rows("requests")) == 32


@pytest.mark.parametrize("operation", CALLS)
def test_the_same_call_always_makes_the_same_bytes(operation: str) -> None:
    for version in VERSIONS:
        assert CALLS[operation].request(version) == CALLS[operation].request(version)
        assert CALLS[operation].request(version).path.startswith(f"/{version}/")


SOME_ORDER = {**dict.fromkeys(NULLABLE), "id": 1001, "status": OrderStatus.ACTIVE}


@pytest.mark.parametrize(
    "order",
    [
        CreatedOrder(id=1001),
        active_order(1001),
        Order(product_id=1, amount=Money.idr(1), **cast(Any, SOME_ORDER)),
        Sms(1001),
        FinishedOrder(1001, "COMPLETED"),
    ],
)
def test_an_order_or_what_is_about_one_stands_for_its_id(order: Any) -> None:
    for operation in ("get", "cancel", "finish", "resend", "reactivate", "reactivate_options"):
        call = builder(f"orders.{operation}")(order)
        plain = builder(f"orders.{operation}")(1001)
        assert (call.path, call.fields, call.subject) == (plain.path, plain.fields, plain.subject)
        assert call.subject == (None if operation == "reactivate" else 1001)


class Odd:
    def __init__(self, order_id: object) -> None:
        self.order_id = order_id


@pytest.mark.parametrize(
    "order", [Odd(None), Odd("1001"), Odd(0), Odd(True), CreatedOrder(id=0), CreatedOrder(id=2**63), Product]
)
def test_what_is_about_no_order_is_refused(order: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="order_id: expected a positive int of at most"):
        calls.orders.get(order)


@pytest.mark.parametrize(
    ("names", "enumeration"),
    [(StatusName, OrderStatus), (SortName, ProductSort), (PolicyName, RoutingPolicy)],
)
def test_the_literal_types_are_the_texts_of_the_enumerations(names: Any, enumeration: type[StrEnum]) -> None:
    assert get_args(names) == tuple(enumeration)


def test_all_filters_of_the_catalog_are_sent() -> None:
    call = calls.catalog.products(
        country_id=1, platform_id=2, operator_id=3, sort=cast(Any, "NAME_DESC"), page=4, limit=5
    )
    assert call.request("v2").query == (
        ("country_id", "1"),
        ("platform_id", "2"),
        ("operator_id", "3"),
        ("sort", "name_desc"),
        ("page", "4"),
        ("limit", "5"),
    )
    assert calls.catalog.services().request("v1").query == ()
    assert calls.catalog.services(country_id=1).request("v1").query == (("country_id", "1"),)
    operators = calls.catalog.operators(country_id=1, platform_id=2)
    assert operators.request("v1").query == (("country_id", "1"), ("platform_id", "2"))
    assert calls.catalog.products().query == {"page": 1, "limit": 1000}
    assert calls.catalog.exchange_rate().query == {"pair": "USD/IDR"}
    assert calls.orders.list().request("v1").query == (("limit", "20"), ("offset", "0"))


def test_all_options_of_a_purchase_are_sent() -> None:
    call = calls.orders.create(
        catalog_product_id=87,
        quantity=3,
        max_price="0.50",
        min_price=Decimal("0.10"),
        prefer_provider="acme",
        policy=RoutingPolicy.BEST_SUCCESS,
        operator_id=18,
    )
    assert call.request("v2").body == (
        b'{"catalog_product_id":87,"quantity":3,"max_price":"0.50","min_price":"0.10",'
        b'"prefer_provider":"acme","policy":"best_success","operator_id":18}'
    )
    again = calls.orders.reactivate(1001, max_price=8000).request("v1")
    assert again.body == b'{"id":1001,"max_price":8000}'
    rate = FxRate("USD/IDR", 16_000, WHEN)
    for bought in (calls.orders.create(product_id=1, fx=rate), calls.orders.reactivate(1001, fx=rate)):
        assert bought.fx == rate
