"""Webhooks: only what the service signed is believed, and only what is an event is read."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import (
    InvalidArgumentError,
    SmscodeError,
    WebhookPayloadError,
    WebhookSignatureError,
    calls,
    webhook_events,
    webhooks,
)
from smscode.core.api import arguments
from smscode.errors import JsonValue
from smscode.ext import asgi, wsgi
from smscode.receiver import WebhookReceiver
from smscode.webhooks import Event, OtpReceived, UnknownEvent, WebhookTest, parse, receive, sign, verify

from .support import attempt, samples

SECRET = "9f1c27d0b84e5a6633e0f7c1d25b48a97c60e3f412ab58d9047e6cb1530fa28d"
BODY = b'{"event":"webhook.test","timestamp":"2026-06-14T04:15:00+00:00","data":{"message":"ping"}}'
SIGNATURE = "sha256=b261aafab576324076e03f7f3a8b7aa682f8432aa1e82d893fcf51b9c41e3833"
DIGITS = SIGNATURE.removeprefix("sha256=")

EVENTS = {json.dumps(sample.body).encode() for sample in samples("webhook")}


def event(**changes: object) -> bytes:
    """Make the body of an order event; a field of ``data`` that is Ellipsis is left out."""
    data: dict[str, object] = {
        "order_id": 1001,
        "phone_number": "+628123456789",
        "otp_code": "1234",
        "otp_message": "Your verification code is 1234",
        "product_id": 42,
        "catalog_product_id": 87,
        "country": "Indonesia",
        "platform": "WhatsApp",
    }
    envelope: dict[str, object] = {"event": "order.otp_received", "timestamp": "2026-02-25T12:00:00+00:00"}
    for name, value in changes.items():
        (envelope if name in envelope else data)[name] = value
    kept = {name: value for name, value in data.items() if value is not ...}
    return json.dumps({**{k: v for k, v in envelope.items() if v is not ...}, "data": kept}).encode()


def sound(secret: str) -> bool:
    """Return True for a secret that nothing is wrong with."""
    return attempt(lambda: arguments.webhook_secret("secret", secret)) == secret


def test_the_known_vector_verifies() -> None:
    assert sign(BODY, SECRET) == SIGNATURE
    verify(BODY, SIGNATURE, SECRET)
    assert receive(BODY, SIGNATURE, SECRET) == WebhookTest(datetime(2026, 6, 14, 4, 15, tzinfo=UTC), "ping")


@given(st.binary(max_size=300), st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(sound))
def test_what_is_signed_verifies_and_nothing_else_does(body: bytes, secret: str) -> None:
    signature = sign(body, secret)
    verify(body, signature, secret)
    for other_body, other_secret in (
        (body + b"\n", secret),
        (b"\xef\xbb\xbf" + body, secret),
        (body, secret + "x"),
    ):
        with pytest.raises(WebhookSignatureError, match="does not match"):
            verify(other_body, signature, other_secret)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        DIGITS,
        f"sha1={DIGITS}",
        f"SHA256={DIGITS}",
        f"sha256:{DIGITS}",
        f"       {DIGITS}",
        f" {SIGNATURE}",
        f"{SIGNATURE} ",
        f"{SIGNATURE}\n",
        SIGNATURE[:-1],
        SIGNATURE + "0",
        SIGNATURE[:-1] + "g",
        SIGNATURE[:-2] + "  ",
        "sha256=" + " " * 64,
        "sha256=" + "ab " * 21 + "a",
        "sha256=" + "ab " * 20 + "abcd",
        SIGNATURE[:-1] + "\u00e9",
        SIGNATURE[:-1] + "\uff13",
        SIGNATURE[:-1] + "\0",
        "a" * 1_000_000,
        f"{SIGNATURE}, {SIGNATURE}",
        f"{SIGNATURE},{SIGNATURE}",
        "sha256=" + "0" * 64,
        f"sha256=sha256={DIGITS}"[: len(SIGNATURE)],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_any_other_signature_is_refused(signature: str | None) -> None:
    expected = "The webhook's signature is not sha256= and 64 hexadecimal digits."
    if signature is None:
        expected = "The webhook is not signed."
    elif signature == "sha256=" + "0" * 64:
        expected = "The webhook's signature does not match."
    for check in (verify, receive):
        with pytest.raises(WebhookSignatureError) as caught:
            check(BODY, signature, SECRET)
        assert caught.value.message == expected


def test_upper_case_digits_are_the_same_signature() -> None:
    verify(BODY, f"sha256={DIGITS.upper()}", SECRET)


def test_a_body_that_a_framework_wrote_anew_does_not_match() -> None:
    for body in (json.dumps(json.loads(BODY)).encode(), BODY + b"\n", b"\xef\xbb\xbf" + BODY, BODY[:-1], b""):
        with pytest.raises(WebhookSignatureError, match="does not match"):
            verify(body, SIGNATURE, SECRET)


def test_an_old_secret_is_accepted_beside_the_new_one() -> None:
    for secrets in (["new", SECRET], (SECRET, "new"), [SECRET]):
        verify(BODY, SIGNATURE, secrets)
    with pytest.raises(WebhookSignatureError, match="does not match"):
        verify(BODY, SIGNATURE, ["new", "newer"])


@pytest.mark.parametrize(
    "secret",
    ["", [], [""], [SECRET, ""], None, 5, SECRET.encode(), [SECRET.encode()], [SECRET, None], {}, "\ud800"],
    ids=lambda secret: ascii(secret)[:40],
)
def test_a_missing_or_empty_secret_is_a_mistake_of_the_caller(secret: Any) -> None:
    for signature in (SIGNATURE, sign(BODY, ""), None):
        for check in (verify, receive):
            with pytest.raises(InvalidArgumentError, match=r"\Asecret: expected the webhook secret"):
                check(BODY, signature, secret)


SPOILED = [
    *(
        f"{SECRET}{end}"
        for end in ("\n", "\r\n", "\r", " ", "\t", "\0", "\u00a0", "\u2028", "\u200b", "\x1a")
    ),
    *(f"{begin}{SECRET}" for begin in (" ", "\n", "\ufeff", "\t")),
    *(f"{SECRET[:9]}{inside}{SECRET[9:]}" for inside in ("\n", "\r\n", "\0")),
    *(f"{mark}{SECRET}{mark}" for mark in "'\""),
    *(" ", "\n", "''"),
]


@pytest.mark.parametrize("secret", SPOILED, ids=lambda secret: ascii(secret.replace(SECRET, "...")))
def test_a_secret_as_it_stands_in_a_file_is_refused_where_it_is_given_and_not_shown(secret: str) -> None:
    given: list[Callable[[], object]] = [
        lambda: verify(BODY, SIGNATURE, secret),
        lambda: receive(BODY, None, [SECRET, secret]),
        lambda: WebhookReceiver(secret),
        lambda: WebhookReceiver(["new", secret]),
        lambda: asgi.webhook_app(print, secret=secret),
        lambda: wsgi.webhook_app(print, secret=secret),
        lambda: calls.webhook.update(secret=secret),
    ]
    for configure in given:
        with pytest.raises(
            InvalidArgumentError, match=r"\Asecret: expected the webhook secret alone"
        ) as caught:
            configure()
        message = caught.value.message
        assert re.search("a line end or another character|a space at its|quotation marks around it", message)
        assert message.endswith("If it is read from a file, strip it.")
        assert SECRET not in f"{caught.value!r}"


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        ("abc\n", "a line end or another character that cannot be seen at position 3 of 4"),
        ("\ufeffabc", "a line end or another character that cannot be seen at position 0 of 4"),
        (" abc", "a space at its beginning or end"),
        ("'abc'", "quotation marks around it"),
        ('"abc"', "quotation marks around it"),
    ],
)
def test_a_secret_that_is_refused_is_told_why(secret: str, found: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        verify(BODY, SIGNATURE, secret)
    assert caught.value.message == (
        f"secret: expected the webhook secret alone, found {found}. If it is read from a file, strip it."
    )


@pytest.mark.parametrize(
    "secret", ["xabcx", "a secret", "'", '"', "'a\"", "it's", "\u00e9\U0001f511", "a'b'"]
)
def test_a_secret_may_have_spaces_and_marks_inside(secret: str) -> None:
    verify(BODY, sign(BODY, secret), secret)
    assert calls.webhook.update(secret=secret).fields == {"webhook_secret": secret}


@pytest.mark.parametrize("body", [BODY.decode(), bytearray(BODY), memoryview(BODY), None, {}, 5])
def test_a_body_that_is_not_the_raw_bytes_is_a_mistake_of_the_caller(body: Any) -> None:
    given: list[Callable[[], object]] = [
        lambda: verify(body, SIGNATURE, SECRET),
        lambda: receive(body, SIGNATURE, SECRET),
        lambda: parse(body),
    ]
    for call in given:
        with pytest.raises(InvalidArgumentError, match=r"\Abody: expected the raw bytes, got"):
            call()


@pytest.mark.parametrize("signature", [SIGNATURE.encode(), 5, [SIGNATURE]])
def test_a_signature_that_is_no_string_is_a_mistake_of_the_caller(signature: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Asignature: expected a string, got"):
        verify(BODY, signature, SECRET)


def test_a_huge_body_is_refused_before_it_is_hashed() -> None:
    verify(bytes(1024 * 1024), sign(bytes(1024 * 1024), SECRET), SECRET)
    for check in (verify, receive):
        with pytest.raises(WebhookPayloadError, match="larger than 1048576 bytes"):
            check(bytes(1024 * 1024 + 1), "not even looked at", SECRET)


def test_no_report_of_a_refusal_shows_the_secret_or_the_right_signature() -> None:
    def refused(check: Callable[..., object], body: bytes, signature: str | None) -> str:
        try:
            check(body, signature, "canary-" + "7Qx9")
        except SmscodeError as error:
            report = traceback.TracebackException.from_exception(error, capture_locals=True)
            return "".join(report.format())
        raise AssertionError("not refused")

    right = sign(BODY, "canary-" + "7Qx9")
    for check in (verify, receive):
        for signature in (None, "", SIGNATURE):
            report = refused(check, BODY, signature)
            assert "refusal" in report, "the variables are in the report"
            for leak in ("canary-7Qx9", right, right.removeprefix("sha256=")):
                assert leak not in report
        assert "canary-7Qx9" not in refused(check, bytes(2**20 + 1), SIGNATURE)


def test_no_report_of_a_refusal_shows_the_body() -> None:
    body = b'{"event":"order.completed","data":{"otp_code":"canary-%s"}}' % b"7Qx9"
    refusing: list[Callable[[], object]] = [
        lambda: parse(body),
        lambda: receive(body, sign(body, SECRET), SECRET),
        lambda: receive(body, SIGNATURE, SECRET),
        lambda: verify(body, SIGNATURE, SECRET),
    ]
    for call in refusing:
        with pytest.raises((WebhookPayloadError, WebhookSignatureError)) as caught:
            call()
        at = caught.value.__traceback__
        while at is not None:  # the frames of the package, not those of this test
            if at.tb_frame.f_globals["__name__"] == webhooks.__name__:
                assert "canary-7Qx9" not in repr(at.tb_frame.f_locals)
            at = at.tb_next


def test_a_signed_body_that_is_no_event_is_a_payload_error() -> None:
    for body in (
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"<html>",
        b'{"a":1,"a":2}',
    ):
        verify(body, sign(body, SECRET), SECRET)
        with pytest.raises(WebhookPayloadError, match=r"\A\$: expected an? "):
            receive(body, sign(body, SECRET), SECRET)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"event": ...}, "$.event: the field 'event' is missing"),
        ({"event": 5}, "$.event: expected a string, got an integer"),
        ({"event": None}, "$.event: expected a string, got null"),
        ({"order_id": "1001"}, "$.data.order_id: expected an integer, got a string"),
        ({"order_id": True}, "$.data.order_id: expected an integer, got a boolean"),
        ({"order_id": ...}, "$.data.order_id: the field 'order_id' is missing"),
        ({"order_id": None}, "$.data.order_id: expected an integer, got null"),
        ({"order_id": 1.0}, "$.data.order_id: expected an integer, got a number"),
        ({"order_id": None, "country": 5}, "$.data.order_id: expected an integer, got null"),
    ],
)
def test_without_the_event_or_the_id_of_its_order_it_is_no_event_and_says_where(
    changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(WebhookPayloadError) as caught:
        parse(event(**changes))
    assert caught.value.message == f"{problem}."


SIDE_FIELDS = [field for field in attrs.fields(OtpReceived) if field.name != "order_id"]
ODD: list[object] = [..., None, [], {}, [[1]], {"a": 1}, True, 1.5, 2**70, "", "x", "2026-02-25"]


@pytest.mark.parametrize("kind", sorted(webhook_events.ORDER_EVENTS))
@pytest.mark.parametrize("field", SIDE_FIELDS, ids=lambda field: field.name)
def test_a_side_field_that_is_missing_or_odd_is_none_and_takes_nothing_with_it(field: Any, kind: str) -> None:
    plain = parse(event(event=kind))
    for odd in ODD:
        found = parse(event(event=kind, **{field.name: odd}))
        assert attrs.evolve(found, **{field.name: getattr(plain, field.name)}) == plain
        value = getattr(found, field.name)
        # What is not odd for this field is kept; nothing is made something else.
        assert value is None or (type(value), value) == (type(odd), odd)
    assert getattr(parse(event(event=kind, **{field.name: ...})), field.name) is None


@pytest.mark.parametrize("kind", sorted(webhook_events.ORDER_EVENTS))
def test_the_event_and_the_id_of_its_order_are_all_that_must_be_there(kind: str) -> None:
    least = json.dumps({"event": kind, "data": {"order_id": 7}}).encode()
    found = parse(least)
    assert found == webhook_events.ORDER_EVENTS[kind](order_id=7)
    fields = {field.name: [17] for field in attrs.fields(OtpReceived)}
    most_odd = json.dumps({"event": kind, "timestamp": {}, "data": {**fields, "order_id": 7}}).encode()
    assert parse(most_odd) == found


def test_the_event_is_all_that_must_be_there_where_no_order_is_meant() -> None:
    payloads: list[Any] = [..., None, [], {"message": None}, {"message": 5}, {}]
    for data in payloads:
        for time in (..., None, "soon", 5):
            values = {"event": "webhook.test", "timestamp": time, "data": data}
            body = json.dumps({name: value for name, value in values.items() if value is not ...}).encode()
            assert parse(body) == WebhookTest()
            unknown = parse(body.replace(b"webhook.test", b"order.new"))
            assert unknown == UnknownEvent("order.new", None, None if data is ... else data)


@pytest.mark.parametrize("blank", ["", "  ", "\r\n", "\u00a0", "\u200b"])
def test_a_blank_code_is_no_code(blank: str) -> None:
    found = parse(event(otp_code=blank, otp_message=blank))
    assert isinstance(found, OtpReceived)
    assert (found.otp_code, found.otp_message) == (None, None)


@pytest.mark.parametrize("data", [None, [], "x", 5])
@pytest.mark.parametrize("name", ["order.otp_received", "order.completed", "order.expired", "order.canceled"])
def test_an_event_without_its_data_is_a_payload_error(name: str, data: object) -> None:
    envelope = {"event": name, "timestamp": "2026-02-25T12:00:00Z"}
    for body in ({**envelope, "data": data}, envelope):
        with pytest.raises(WebhookPayloadError, match=r"\A\$\.data: expected an object, got"):
            parse(json.dumps(body).encode())


@pytest.mark.parametrize("name", ["order.replaced", "", "Order.completed", "order.otp_received "])
def test_an_event_of_an_unknown_kind_is_kept_as_it_came(name: str) -> None:
    payloads: list[JsonValue] = [{"order_id": "x", "new": [1]}, None, [], "x"]
    for data in payloads:
        body = json.dumps(
            {"event": name, "timestamp": "2026-02-25T12:00:00Z", "data": data, "more": 1}
        ).encode()
        assert parse(body) == UnknownEvent(name, datetime(2026, 2, 25, 12, tzinfo=UTC), data)
    bare = json.dumps({"event": name, "timestamp": "2026-02-25T12:00:00Z"}).encode()
    assert parse(bare) == UnknownEvent(name, datetime(2026, 2, 25, 12, tzinfo=UTC), None)


def test_unknown_fields_are_ignored_and_a_timestamp_in_the_data_does_not_count() -> None:
    plain = parse(event())
    assert isinstance(plain, OtpReceived)
    assert parse(event(new_field={"x": 1}, id="not ours")) == plain
    odd = json.loads(event())
    odd["data"]["timestamp"] = "1999-01-01T00:00:00Z"
    assert parse(json.dumps(odd).encode()) == plain


def test_any_order_may_have_events_and_the_same_one_twice() -> None:
    first, second = parse(event(order_id=2**40)), parse(event(order_id=2**40))
    assert first == second
    assert isinstance(first, OtpReceived)
    assert first.order_id == 2**40


@pytest.mark.parametrize(
    ("name", "class_"),
    [
        ("order.otp_received", webhooks.OtpReceived),
        ("order.completed", webhooks.OrderCompleted),
        ("order.expired", webhooks.OrderExpired),
        ("order.canceled", webhooks.OrderCanceled),
    ],
)
def test_each_order_event_has_its_class_and_masks_what_is_private(name: str, class_: type) -> None:
    found = parse(event(event=name, otp_code="48291", otp_message="Code 48291"))
    assert type(found) is class_
    assert isinstance(found, webhooks.OrderEvent)
    assert "48291" not in repr(found)
    assert "+628123456789" not in repr(found)
    assert "48291" not in repr(parse(event(event="order.new", otp_code="48291")))


def test_every_event_can_be_put_into_a_set() -> None:
    bodies = [
        *EVENTS,
        event(event="webhook.test"),
        *(event(event=kind) for kind in webhook_events.ORDER_EVENTS),
    ]
    payloads: list[JsonValue] = [None, 1, "x", [], [1], {}, {"a": [{"b": 1}]}, {"a": [{"b": 2}]}]
    for data in payloads:
        bodies.append(json.dumps({"event": "order.new", "timestamp": None, "data": data}).encode())
    kinds = {type(parse(body)) for body in bodies}
    assert len(kinds) == 6
    for body in bodies:
        assert hash(parse(body)) == hash(parse(body))
    assert len({parse(body) for body in bodies * 2}) == len({repr(body) for body in bodies})


@given(
    st.sampled_from(sorted(EVENTS)),
    st.integers(0, 10**4),
    st.binary(max_size=4),
    st.none() | st.text(max_size=80) | st.just(SIGNATURE),
)
def test_whatever_is_delivered_only_the_two_errors_come_out(
    body: bytes, place: int, patch: bytes, signature: str | None
) -> None:
    place %= len(body)
    damaged = body[:place] + patch + body[place + len(patch) :]
    with pytest.raises(WebhookSignatureError):
        receive(damaged, signature, SECRET)
    found = attempt(lambda: receive(damaged, sign(damaged, SECRET), SECRET))
    if isinstance(found, WebhookPayloadError):
        assert found.message.startswith("$")
    else:
        assert isinstance(found, Event)


def test_the_signature_comes_in_the_documented_header() -> None:
    assert webhooks.SIGNATURE_HEADER == "X-Webhook-Signature"
