"""Decoding is exact: every type must match, every mismatch is named by its JSON path."""

from __future__ import annotations

import contextvars
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import APIError, InvalidResponseError, Money, OrderStatus, models, webhooks
from smscode._fields import mask
from smscode.core import answers
from smscode.core.api.call import Answer
from smscode.core.decoding import converter, rows_msgspec, strict_json
from smscode.core.decoding.converter import Mismatch, salvage, structure
from smscode.core.versions import ApiVersion

from ..support import (
    CALLS,
    FX,
    NULLABLE,
    ORDER,
    PAGE,
    PRODUCT,
    VERSIONS,
    Sample,
    attempt,
    error_of,
    exactly,
    finish,
    places,
    problem_of,
    read,
    respond,
    sample_id,
    samples,
    success,
    usd,
)

ACTIVE = ("id", "status", "otp_code", "otp_received_at", "expires_at", "failed_reason")
VALUES: dict[str, Any] = {
    "true": True,
    "false": False,
    "0": 0,
    "1": 1,
    "-1": -1,
    "1.0": Decimal("1.0"),
    "1.9": Decimal("1.9"),
    "null": None,
    '""': "",
    '"false"': "false",
    '"123"': "123",
    '"12"': "12",
    "[]": [],
    "[1]": [1],
    "{}": {},
}
"""The values that lenient converters make something else of."""


@attrs.frozen
class Box:
    """One field of every type that the models are made of."""

    integer: int = 0
    boolean: bool = False
    string: str = ""
    maybe_integer: int | None = None
    maybe_boolean: bool | None = None
    maybe_string: str | None = None
    maybe_time: datetime | None = None
    status: OrderStatus | str = ""
    maybe_status: OrderStatus | str | None = None


PLAIN: dict[str, set[str]] = {
    "integer": {"0", "1", "-1"},
    "boolean": {"true", "false"},
    "string": {'""', '"false"', '"123"', '"12"'},
    "status": {'""', '"false"', '"123"', '"12"'},
}
TAKEN = {**PLAIN, "maybe_time": {"null"}, **{f"maybe_{kind}": {"null", *PLAIN[kind]} for kind in PLAIN}}
"""Which of the values each field of `Box` takes."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", VALUES)
@pytest.mark.parametrize("name", TAKEN)
def test_a_value_is_taken_as_it_is_or_not_at_all(version: ApiVersion, name: str, text: str) -> None:
    value = VALUES[text]
    if text in TAKEN[name]:
        assert exactly(getattr(structure(version, {name: value}, Box, "$"), name)) == exactly(value)
    else:
        with pytest.raises(Mismatch, match="expected") as caught:
            structure(version, {name: value}, Box, "$")
        assert caught.value.path == f"$.{name}"


@attrs.frozen
class Sum:
    """What `Box` lacks."""

    decimal: Decimal
    money: Money
    time: datetime
    box: Box


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_converter_takes_each_type_exactly(version: ApiVersion) -> None:
    for cached in (converter._converter, converter.hook):
        cached.cache_clear()
    money = 15_000 if version == "v1" else usd("0.9231", 15_000)
    text = "an integer of rupiah" if version == "v1" else "an object"
    box = {"integer": 1, "boolean": True, "string": "x", "maybe_integer": None, "status": "ACTIVE"}
    value: dict[str, Any] = {"decimal": "1.5", "money": money, "time": "2026-02-25t10:00:00z", "box": box}
    expected = Sum(
        Decimal("1.5"),
        Money(Decimal(15_000), "IDR", 15_000) if version == "v1" else Money(Decimal("0.9231"), "USD", 15_000),
        datetime(2026, 2, 25, 10, tzinfo=UTC),
        Box(1, True, "x", None, status=OrderStatus.ACTIVE),
    )
    assert converter.hook(version, Sum)(value, Sum) == structure(version, value, Sum, "$") == expected
    refused: list[tuple[dict[str, Any], str]] = [
        ({"decimal": True}, "decimal: expected a decimal string, got a boolean"),
        ({"money": "1"}, f"money: expected {text}, got a string"),
        ({"time": 5}, "time: expected an RFC 3339 time, got an integer"),
        ({"box": [box]}, "box: expected an object, got an array"),
        ({"box": {**box, "integer": "1"}}, "box.integer: expected an integer, got a string"),
        ({"box": {**box, "boolean": 1}}, "box.boolean: expected a boolean, got an integer"),
        ({"box": {**box, "string": 1}}, "box.string: expected a string, got an integer"),
        ({"box": {**box, "maybe_integer": ""}}, "box.maybe_integer: expected an integer, got a string"),
        ({"box": {**box, "status": None}}, "box.status: expected a string, got null"),
    ]
    for other, problem in refused:
        with pytest.raises(Mismatch) as caught:
            structure(version, {**value, **other}, Sum, "$")
        assert str(caught.value) == f"$.{problem}"


@pytest.mark.parametrize("text", sorted(VALUES.keys() - {"{}"}))
def test_only_an_object_becomes_a_model(text: str) -> None:
    for version in VERSIONS:
        with pytest.raises(Mismatch, match=r"\A\$: expected an object, got"):
            structure(version, VALUES[text], Box, "$")


@pytest.mark.parametrize("text", sorted(VALUES.keys() - {"[]", "[1]"}))
@pytest.mark.parametrize(
    "operation", ["catalog.countries", "catalog.products", "orders.list", "orders.active"]
)
def test_only_an_array_becomes_a_list_and_never_an_empty_one(operation: str, text: str) -> None:
    raw = f'{{"success":true,"data":{text},"meta":{json.dumps(PAGE)}}}'.encode()
    error = error_of(operation, respond(raw=raw))
    assert type(error) is InvalidResponseError
    assert error.message.startswith("$.data: expected an array, got ")


@pytest.mark.parametrize(
    ("row", "row_id"),
    [({"id": 7}, 7), ({"id": True}, None), ({"id": "7"}, None), ({}, None), (None, None), ([7], None)],
)
def test_a_row_that_cannot_be_read_is_named_by_its_id_if_that_is_one(row: object, row_id: int | None) -> None:
    (problem,) = read("catalog.products", success([PRODUCT, row], **PAGE), "v1").problems
    assert problem.row_id == row_id
    assert problem.path.startswith("$.data[1]")


def test_the_coercions_of_a_default_converter_are_impossible() -> None:
    """``"false"`` is not True, 1.9 is not 1, null is not "None", "123" is not [1, 2, 3]."""
    cases: list[tuple[str, object, str]] = [
        ("active", "false", "expected a boolean, got a string"),
        ("active", 1, "expected a boolean, got an integer"),
        ("id", 1.9, "expected an integer, got a number"),
        ("id", 1.0, "expected an integer, got a number"),
        ("id", "12", "expected an integer, got a string"),
        ("id", True, "expected an integer, got a boolean"),
        ("id", None, "expected an integer, got null"),
        ("available", [], "expected an integer, got an array"),
        ("name", 5, "expected a string, got an integer"),
        ("name", {}, "expected a string, got an object"),
    ]
    for name, value, problem in cases:
        found = problem_of("catalog.products", success([PRODUCT, {**PRODUCT, name: value}], **PAGE), "v1")
        assert found == f"$.data[1].{name}: {problem}."
    service: dict[str, object] = {"id": 1, "name": None, "code": "wa", "active": True}
    found = problem_of("catalog.services", success([service]))
    assert found == "$.data[0].name: expected a string, got null."


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ('"0.10"', "0.10"),
        ('"1e1"', "1E+1"),
        ('"46.8750"', "46.8750"),
        ("0.1", "0.1"),
        ("1", "1"),
        ("1.50", "1.50"),
        ('"-5.00"', "-5.00"),
    ],
)
def test_an_amount_is_decimal_to_the_last_digit(amount: str, expected: str) -> None:
    raw = f'{{"success":true,"data":{{"balance":{json.dumps(usd("X", 1))}}}}}'.replace('"X"', amount)
    answer = read("balance.get", respond(raw=raw.encode()))
    assert exactly(answer.data.balance.amount) == (Decimal, expected)


def test_amounts_are_read_without_a_decimal_context_of_the_task() -> None:
    """`decimal` would make one for each of the thousand tasks that buy at once."""
    response = success({"balance": usd("46.8750", 750_000)}, fx=FX)
    task = contextvars.Context()
    answer = task.run(read, "balance.get", response)
    assert exactly(answer.data.balance.amount) == (Decimal, "46.8750")
    assert not task


A_DOLLAR = usd("1.00", 1)
NOT_DECIMAL = [" 1 ", "1,00", "", "+1", "NaN", "Infinity", "1_0", "\uff11", "1" * 21, "1e100"]


@pytest.mark.parametrize("amount", NOT_DECIMAL)
def test_a_string_that_is_no_plain_decimal_is_no_amount(amount: str) -> None:
    response = success([{**PRODUCT, "price": {**A_DOLLAR, "amount": amount}}], **PAGE, fx=FX)
    message = "$.data[0].price.amount: expected a decimal string such as '0.9231'."
    assert problem_of("catalog.products", response) == message


WRONG_CURRENCY = ": expected an amount in USD with its value in IDR"
WRONG_MONEY: list[tuple[object, str]] = [
    ({**A_DOLLAR, "amount": None}, ".amount: expected a decimal string, got null"),
    ({**A_DOLLAR, "amount": True}, ".amount: expected a decimal string, got a boolean"),
    ({**A_DOLLAR, "amount": []}, ".amount: expected a decimal string, got an array"),
    ({**A_DOLLAR, "canonical_amount": "1"}, ".canonical_amount: expected an integer, got a string"),
    ({**A_DOLLAR, "canonical_amount": True}, ".canonical_amount: expected an integer, got a boolean"),
    ({**A_DOLLAR, "canonical_amount": 1.5}, ".canonical_amount: expected an integer, got a number"),
    ({**A_DOLLAR, "currency": "EUR"}, WRONG_CURRENCY),
    ({**A_DOLLAR, "canonical_currency": "USD"}, WRONG_CURRENCY),
    ({"amount": "1.00"}, ".currency: the field 'currency' is missing"),
    ("1.00", ": expected an object, got a string"),
    (15000, ": expected an object, got an integer"),
    (None, ": expected an object, got null"),
    ({}, ".amount: the field 'amount' is missing"),
]


@pytest.mark.parametrize(("price", "problem"), WRONG_MONEY)
def test_what_is_no_money_of_v2_is_named_by_its_path(price: object, problem: str) -> None:
    response = success([{**PRODUCT, "price": price}], **PAGE, fx=FX)
    assert problem_of("catalog.products", response) == f"$.data[0].price{problem}."


@pytest.mark.parametrize("price", ["15000", 15000.5, True, None, [], usd("1.00", 1)])
def test_what_is_no_integer_of_rupiah_is_no_money_of_v1(price: object) -> None:
    message = problem_of("catalog.products", success([{**PRODUCT, "price": price}], **PAGE), "v1")
    assert message.startswith("$.data[0].price: expected an integer of rupiah, got ")


@pytest.mark.parametrize("rate", [0, -16_250])
def test_an_exchange_rate_is_above_zero(rate: int) -> None:
    error = error_of("catalog.exchange_rate", success({"pair": "USD/IDR", "rate": rate}))
    assert error.message == "$.data: rate: expected a positive number."


def test_a_price_is_never_negative_and_a_balance_may_be() -> None:
    found = problem_of("catalog.products", success([{**PRODUCT, "price": -1}], **PAGE), "v1")
    assert found == "$.data[0]: price: expected no negative amount."
    error = error_of("orders.get", success({**ORDER, "amount": usd("-1.0000", -1)}, fx=FX))
    assert error.message == "$.data: amount: expected no negative amount."
    assert read("balance.get", success({"currency": "IDR", "balance": -5}), "v1").data.balance == Money.idr(
        -5
    )


def test_a_balance_of_thirty_digits_is_kept_and_one_in_another_currency_refused() -> None:
    balance = read("balance.get", success({"currency": "IDR", "balance": 10**30}), "v1").data.balance
    assert (balance.canonical_amount, balance.amount) == (10**30, Decimal(10**30))
    assert read("balance.get", success({"balance": 5}), "v1").data.balance == Money.idr(5)
    error = error_of("balance.get", success({"currency": "USD", "balance": 5}), "v1")
    assert error.message == "$.data.currency: expected IDR."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-25T10:00:00+00:00", datetime(2026, 2, 25, 10, tzinfo=UTC)),
        ("2026-02-25T10:00:00Z", datetime(2026, 2, 25, 10, tzinfo=UTC)),
        ("2026-02-25 10:00:00Z", datetime(2026, 2, 25, 10, tzinfo=UTC)),
        ("2026-02-25T17:00:00+07:00", datetime(2026, 2, 25, 10, tzinfo=UTC)),
        ("2026-02-25T10:00:00.5Z", datetime(2026, 2, 25, 10, 0, 0, 500_000, UTC)),
        ("2026-02-25T10:00:00.123456789Z", datetime(2026, 2, 25, 10, 0, 0, 123_456, UTC)),
        ("2026-02-25T10:00:00." + "9" * 1000 + "Z", datetime(2026, 2, 25, 10, 0, 0, 999_999, UTC)),
        ("2026-02-25t10:00:00z", datetime(2026, 2, 25, 10, tzinfo=UTC)),
        ("2026-02-25t10:00:00.25+00:00", datetime(2026, 2, 25, 10, 0, 0, 250_000, UTC)),
        ("2026-02-25T10:00:00-00:00", datetime(2026, 2, 25, 10, tzinfo=UTC)),
        ("2026-02-25T10:00:00+23:59", datetime(2026, 2, 24, 10, 1, tzinfo=UTC)),
        # A leap second, wherever on the earth it is, is the second after it.
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("1990-12-31T15:59:60-08:00", datetime(1991, 1, 1, tzinfo=UTC)),
        ("2017-01-01t05:29:60.5+05:30", datetime(2017, 1, 1, 0, 0, 0, 500_000, UTC)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_time_is_read_in_every_form_of_rfc_3339(text: str, expected: datetime) -> None:
    created = read("orders.get", success({**ORDER, "created_at": text}), "v1").data.created_at
    assert created == expected
    assert cast("timedelta", created.utcoffset()) is not None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-02-25",
        "2026-02-25T10:00:00",
        "2026-02-25T10:00",
        "2026-02-25T10:00:60Z",
        "2026-02-25T23:59:60+01:00",
        "9999-12-31T23:59:60Z",
        "2026-02-25T10:00:61Z",
        "2026-02-25T24:00:00Z",
        "2026-02-25T10:60:00Z",
        "2026-02-25T10:00:00.Z",
        "2026-02-25T10:00:00,5Z",
        "2026-02-25T10:00:00+01:60",
        "2026-02-25T10:00:00+0100",
        "2026-13-25T10:00:00Z",
        "2026-02-25_10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-02-25T10:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-02-25T10:00:00Z\n",
        "20260225T100000Z",
        "2026-W09-3T10:00:00Z",
        "\u0662026-02-25T10:00:00Z",
        1772013600,
        1772013600.5,
        True,
        [],
        {},
    ],
)
def test_anything_else_is_no_time_and_is_not_quoted(value: object) -> None:
    message = error_of("orders.get", success({**ORDER, "expires_at": value}), "v1").message
    assert message.startswith("$.data.expires_at: expected a")
    assert "2026" not in message
    assert "24" not in message


def test_a_field_that_the_schema_allows_to_be_null_may_be_null() -> None:
    order = read("orders.get", success({**ORDER, **dict.fromkeys(NULLABLE)}), "v1").data
    assert [getattr(order, name) for name in NULLABLE] == [None] * 7


@pytest.mark.parametrize("name", ORDER)
def test_a_missing_or_renamed_field_is_named(name: str) -> None:
    order = {("x_" if key == name else "") + key: value for key, value in ORDER.items()}
    error = error_of("orders.get", success(order), "v1")
    assert error.message == f"$.data.{name}: the field '{name}' is missing."


def test_a_status_that_is_not_known_is_kept_as_text_and_ends_nothing() -> None:
    known = read("orders.get", success(ORDER), "v1").data.status
    new = read("orders.get", success({**ORDER, "status": "PAUSED"}), "v1").data.status
    lower = read("orders.get", success({**ORDER, "status": "active"}), "v1").data.status
    assert (type(known), type(new), type(lower)) == (OrderStatus, str, str)
    assert (new, lower) == ("PAUSED", "active")


def test_exactly_three_states_are_terminal() -> None:
    ended = {status.value for status in OrderStatus if status.terminal}
    assert ended == {"COMPLETED", "CANCELED", "EXPIRED"}


@pytest.mark.parametrize("sample", samples("success"), ids=sample_id)
def test_unknown_fields_are_ignored_everywhere(sample: Sample) -> None:
    body = copy.deepcopy(sample.body)
    for container, key in list(places([body])):
        if isinstance(container[key], dict):
            container[key]["new_field"] = {"x": [None]}
    plain = read(sample.operation, sample.response(), sample.version)
    assert read(sample.operation, respond(body), sample.version).data == plain.data


def test_phone_numbers_and_codes_are_kept_letter_by_letter_and_masked_when_shown() -> None:
    for phone in ("15551234567", "+1 555 1234567", "call me", ""):
        for code in ("0048", " 48 ", "a-1", "\u0664\u0668", "9" * 10_000):
            order = read("orders.get", success({**ORDER, "phone_number": phone, "otp_code": code}), "v1").data
            assert (order.phone_number, order.otp_code) == (phone, code)
    order = read(
        "orders.get", success({**ORDER, "otp_code": "004821", "otp_message": "Say 004821"}), "v1"
    ).data
    assert "'+628********90'" in repr(order)
    assert "004821" not in repr(order)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(
    "blank", ["", " ", "\t\r\n", "\u00a0", "\u2003\u3000", "\u200b", "\ufeff \u2060", "\0"]
)
def test_a_blank_code_or_message_is_none_wherever_orders_are_read(
    blank: str, count: int, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(rows_msgspec, "library", lambda: None)
    blanks: dict[str, Any] = {"otp_code": blank, "otp_message": blank}
    listed = [{**ORDER, **blanks, "id": n} for n in range(1, count + 1)]
    active = [{name: row.get(name) for name in (*ACTIVE, "otp_message")} for row in listed]
    created = success({"orders": [{"id": 1, **blanks}, {"id": 2, "status": 5, **blanks}], "failed_count": 0})
    facts: dict[str, Any] = {**listed[0], "amount": Money.idr(1)}
    found: list[Any] = [
        *read("orders.list", success(listed), "v1").data.items,
        *read("orders.active", success(active), "v1").data,
        *read("orders.create", created, "v1").data,
        read("orders.get", success({**ORDER, **blanks}), "v1").data,
        webhooks.OtpReceived(order_id=1, **blanks),
        models.Order(**facts),
    ]
    assert {order.otp_code for order in found} == {None}
    assert {getattr(order, "otp_message", None) for order in found} == {None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("+6281234567890", "'+628********90'"),
        ("+12345678", "'+123***78'"),
        ("+1234567", "'********'"),
        ("004821", "'******'"),
        ("A message of any length", "'********'"),
        ("", "''"),
        (None, "None"),
    ],
)
def test_a_private_value_shows_the_ends_of_a_phone_number_at_most(value: object, shown: str) -> None:
    assert mask(value) == shown


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ({}, "$.meta: expected an object, got null"),
        ({"page": 1, "limit": 10}, "$.meta.count: the field 'count' is missing"),
        ({**PAGE, "page": "1"}, "$.meta.page: expected an integer, got a string"),
        ({**PAGE, "fx": {**FX, "rate": 0}}, "$.meta.fx: FxRate.rate: expected a positive int"),
        ({**PAGE, "fx": {**FX, "rate": 1.5}}, "$.meta.fx.rate: expected an integer, got a number"),
        ({**PAGE, "fx": []}, "$.meta.fx: expected an object, got an array"),
        (
            {**PAGE, "fx": {**FX, "rate_as_of": "soon"}},
            "$.meta.fx.rate_as_of: expected an RFC 3339 time with an offset",
        ),
    ],
)
def test_bad_meta_is_named_by_its_path(meta: dict[str, object], problem: str) -> None:
    response = success([{**PRODUCT, "price": usd("0.9231", 15000)}], **meta)
    assert error_of("catalog.products", response).message == f"{problem}."


def test_a_rate_seen_before_lets_no_other_pass_that_is_equal_to_it() -> None:
    """Rates are remembered by what they are made of; True is equal to 1, and 1.0, too."""
    for number in range(2):
        for shown in ("1", "true", "1.0", "1", '"1"', "[1]", "1"):
            text = json.dumps({"success": True, "data": {"balance": usd("1", 1)}, "meta": {"fx": FX}})
            body = text.replace(f'"rate": {FX["rate"]}', f'"rate": {shown}, "more": {number}')
            assert body != text
            if shown == "1":
                fx = read("balance.get", respond(raw=body.encode())).fx
                assert fx is not None
                assert (fx.pair, fx.rate, type(fx.rate)) == ("USD/IDR", 1, int)
            else:
                problem = error_of("balance.get", respond(raw=body.encode())).message
                assert problem.startswith("$.meta.fx.rate: expected an integer, got "), shown


def test_answers_with_the_same_rate_share_it() -> None:
    balance, fx = {"balance": usd("1", 1)}, {**FX, "rate": 16_999}
    first, second = (read("balance.get", success(balance, fx=fx)).fx for _ in range(2))
    assert first is not None
    assert (first.rate, first is second) == (16_999, True)


def test_a_v2_answer_without_a_rate_has_none() -> None:
    for meta in ({"fx": None}, {"other": 1}):
        assert read("balance.get", success({"balance": usd("30.77", 500000)}, **meta)).fx is None
    assert (
        read("balance.get", respond({"success": True, "data": {"balance": usd("1", 1)}, "meta": []})).fx
        is None
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON at character 0"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "not JSON at character 0"),
        (b"\xef\xbb\xbf", "not JSON at character 0"),
        (b"\xef\xbb{}", "not UTF-8 text"),
        (b"{}\xef\xbb\xbf", "not JSON at character 2"),
        ('{"a":1}'.encode("utf-32"), "not UTF-8 text"),
        (b"{} x", "not JSON at character 3"),
        (b"{}{}", "not JSON at character 2"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":-Infinity}', "-Infinity is not JSON"),
        (b'{"a":1e400}', "a number is out of range"),
        (b'{"a":1e-400}', "a number is out of range"),
        (b'{"a":1e99999999999999999999}', "a number is out of range"),
        (b'{"a":1,"a":2}', "an object names a field twice"),
        (b'[{"b":{"a":1,"c":0,"a":1}}]', "an object names a field twice"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8 text"),
        (b'{"a":"\xe9"}', "not UTF-8 text"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply: more than 100 levels"),
        (b"[" * 101, "not JSON at character 101"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested too deeply: more than 100 levels"),
        (b'[{"a":' * 51 + b"1" + b"}]" * 51, "nested too deeply: more than 100 levels"),
        (b'["]",' * 101 + b"1" + b',"["]' * 101, "nested too deeply: more than 100 levels"),
        (b"[[]," * 101 + b"[]" + b"]" * 101, "nested too deeply: more than 100 levels"),
        (b"[" * 70 + b"}" * 70 + b"[" * 70, "not JSON at character 70"),
    ],
)
def test_what_two_readers_may_understand_differently_is_no_json(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        strict_json.parse(body)


def test_an_integer_of_five_thousand_digits_is_no_json() -> None:
    with pytest.raises(ValueError, match="digits"):
        strict_json.parse(b'{"a":' + b"9" * 5000 + b"}")


EMPTY: list[object] = [[], {}]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'{"a":"\ud83d\ude00","b":0.10}', {"a": "\U0001f600", "b": Decimal("0.10")}),
        (b' [1, true, null, "x"] ', [1, True, None, "x"]),
        ('"\u00e9\U0001f1ee"'.encode(), "\u00e9\U0001f1ee"),
        (b"1e308", Decimal("1e308")),
        (rb'{"a":["x\ud800y",1],"\udfff":null}', {"a": ["x?y", 1], "?": None}),
        (b"\xef\xbb\xbf [1]", [1]),
        ('"\ufeff"'.encode(), "\ufeff"),
        # Brackets count where they open and close something, and only as deep as they are.
        (b"[%b1]" % (b"[],{}," * 500), [*EMPTY * 500, 1]),
        (b'["%b"]' % (b"[{" * 500), ["[{" * 500]),
        (rb'["%b",2]' % (rb"\"[" * 500), ['"[' * 500, 2]),
        (b'"%b"' % (b"[{" * 500), "[{" * 500),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_json_is_read_to_the_last_digit(body: bytes, value: object) -> None:
    found = strict_json.parse(body)
    assert found == value
    assert str(found) == str(value)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_hundred_levels_are_read_and_not_one_more(opening: str, closing: str) -> None:
    for levels in (99, 100):
        assert strict_json.parse(f"{opening * levels}1{closing * levels}".encode())
    with pytest.raises(ValueError, match="nested too deeply"):
        strict_json.parse(f"{opening * 101}1{closing * 101}".encode())


@pytest.mark.parametrize("count", [1, 400])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", ["price", "name", "new"])
def test_the_levels_of_a_page_are_counted_alike_in_slices_and_as_a_whole(
    name: str, fast: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(rows_msgspec, "library", lambda: None)
    for deep, levels in ((False, 97), (True, 98)):  # and the envelope, the array and the row
        rows = [{**PRODUCT, "price": 1, "id": n} for n in range(1, count + 1)]
        text = json.dumps({"success": True, "data": [*rows, {**rows[0], name: "X"}], "meta": PAGE})
        body = text.replace('"X"', "[" * levels + "]" * levels).encode()
        if deep:
            message = error_of("catalog.products", respond(raw=body), "v1").message
            assert "nested too deeply: more than 100 levels" in message
        elif name == "new":
            assert len(read("catalog.products", respond(raw=body), "v1").data) == count + 1
        else:
            message = problem_of("catalog.products", respond(raw=body), "v1")
            assert message.startswith(f"$.data[{count}].{name}: expected a")


@pytest.mark.parametrize("count", [1, 400])
def test_a_byte_order_mark_changes_nothing_of_an_answer_of_any_length(count: int) -> None:
    rows = [{**PRODUCT, "price": 1, "id": n} for n in range(1, count + 1)]
    plain = success(rows, **PAGE).body
    marked = read("catalog.products", respond(raw=b"\xef\xbb\xbf" + plain), "v1")
    assert marked.data == read("catalog.products", respond(raw=plain), "v1").data


def nested(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make JSON values of some scalars."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text('aé"', max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    )


@given(nested(st.text(st.characters(codec="utf-8"), max_size=8)))
def test_what_is_written_is_read_back(value: Any) -> None:
    written = strict_json.render({"value": value})
    assert written.isascii()
    assert strict_json.parse(written) == {"value": value}


def test_a_request_body_is_compact_and_all_ascii() -> None:
    assert strict_json.render({"b": [1, "\u00e9"], "a": None}) == b'{"b":[1,"\\u00e9"],"a":null}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        strict_json.render({"a": float("nan")})


json_values = nested(st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8))


def dropped(container: Any, key: Any, _: Any) -> None:
    del container[key]


def replaced(container: Any, key: Any, value: Any) -> None:
    container[key] = value


@given(st.sampled_from(samples("success")), st.data(), st.sampled_from([dropped, replaced]), json_values)
def test_a_damaged_answer_gives_a_result_or_an_invalid_response(
    sample: Sample, data: st.DataObject, damage: Callable[[Any, Any, Any], None], value: Any
) -> None:
    body = copy.deepcopy(sample.body)
    container, key = data.draw(st.sampled_from(list(places(body))))
    damage(container, key, value)
    found = attempt(lambda: read(sample.operation, respond(body), sample.version))
    if isinstance(found, InvalidResponseError):
        assert found.message.startswith("$")
        assert (found.status_code, found.outcome) == (200, "unknown")
    else:
        assert isinstance(found, Answer if body.get("success") is True else APIError)


@given(st.sampled_from(samples("success")), st.data())
def test_a_cut_answer_is_never_a_result(sample: Sample, data: st.DataObject) -> None:
    whole = json.dumps(sample.body).encode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    error = error_of(sample.operation, respond(raw=cut), sample.version)
    assert type(error) is InvalidResponseError
    assert error.message.startswith("$: expected a JSON object, got ")


def test_every_field_that_can_be_read_is_salvaged_wherever_the_odd_ones_are() -> None:
    fields: dict[str, Any] = {"id": 7, "status": 5, "product_id": 142, "amount": "x", "phone_number": "+62"}
    order = salvage(
        "v2", {**fields, "expires_at": "soon", "can_cancel": True}, models.CreatedOrder, "$", "id"
    )
    assert order == models.CreatedOrder(id=7, product_id=142, phone_number="+62", can_cancel=True)


def test_an_answer_about_another_order_is_refused() -> None:
    call = CALLS["orders.get"]
    finish(answers.read(call, success(ORDER), "v1"))
    with pytest.raises(InvalidResponseError, match=r"\A\$\.data\.id: expected order 1001, got another one\."):
        finish(answers.read(call, success({**ORDER, "id": 1002}), "v1"))


def test_what_is_salvaged_needs_its_field() -> None:
    with pytest.raises(Mismatch, match="id"):
        salvage("v2", {"phone_number": "+62"}, models.CreatedOrder, "$", "id")


def test_a_number_beyond_a_double_is_refused() -> None:
    assert strict_json.parse(b"1e308") == Decimal("1e308")
    with pytest.raises(ValueError, match="out of range"):
        strict_json.parse(b"1e309")
