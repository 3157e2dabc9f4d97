"""What a response means: a result, the documented error, or nothing that can be relied on."""

from __future__ import annotations

import copy
import pickle
import traceback
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smscode import (
    APIError,
    ConfigurationError,
    InvalidArgumentError,
    InvalidResponseError,
    OrderTerminalError,
    OtpTimeoutError,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    SmscodeError,
    calls,
    errors,
)
from smscode.core import answers
from smscode.core.api.call import Response
from smscode.core.api.catalog import product_rows
from smscode.core.retry import TABLE, for_every_code
from smscode.errors import API_ERRORS, Outcome

from .support import CALLS, ORDER, PAGE, PRODUCT, error_of, read, refusal, respond, success

DATE = "Sun, 14 Jun 2026 04:00:00 GMT"
BALANCE: dict[str, object] = {"currency": "IDR", "balance": 500000}

DOCUMENTED: dict[str, tuple[str, int, Outcome]] = {
    "UNAUTHORIZED": ("UnauthorizedError", 401, "rejected"),
    "FORBIDDEN": ("ForbiddenError", 403, "rejected"),
    "NOT_FOUND": ("NotFoundError", 404, "rejected"),
    "CONFLICT": ("ConflictError", 409, "rejected"),
    "INSUFFICIENT_BALANCE": ("InsufficientBalanceError", 409, "rejected"),
    "CANCEL_TOO_EARLY": ("CancelTooEarlyError", 409, "rejected"),
    "REQUEST_IN_PROGRESS": ("RequestInProgressError", 409, "unknown"),
    "VALIDATION_ERROR": ("ValidationError", 422, "rejected"),
    "PROVIDER_ERROR": ("ProviderError", 422, "failed"),
    "NO_OFFER_AVAILABLE": ("NoOfferAvailableError", 422, "rejected"),
    "IDEMPOTENCY_KEY_REUSED": ("IdempotencyKeyReuseError", 422, "rejected"),
    "RATE_LIMIT_EXCEEDED": ("RateLimitError", 429, "rejected"),
    "TEMP_BANNED_ABUSE_GUARD": ("TempBannedError", 429, "rejected"),
    "INTERNAL_ERROR": ("InternalError", 500, "unknown"),
    "SERVICE_UNAVAILABLE": ("ServiceUnavailableError", 503, "unknown"),
    "FX_RATE_UNAVAILABLE": ("FxRateUnavailableError", 503, "rejected"),
}


def invalid(response: Response, message: str = "") -> InvalidResponseError:
    """Read a response that must not be believed."""
    error = error_of("balance.get", response, "v1")
    assert type(error) is InvalidResponseError
    assert error.outcome == "unknown"
    assert error.status_code == response.status_code
    assert error.message.startswith(message)
    return error


@pytest.mark.parametrize("code", DOCUMENTED)
def test_a_documented_code_has_its_own_class_status_and_outcome(code: str) -> None:
    name, status, outcome = DOCUMENTED[code]
    error = error_of("orders.create", refusal(code, status, details={"a": [1]}))
    assert type(error).__name__ == name
    assert isinstance(error, APIError)
    assert (error.code, error.status_code, error.outcome) == (code, status, outcome)
    assert (error.message, error.details) == ("No.", {"a": [1]})
    assert (error.retry_after, error.request_id, error.idempotency_key) == (None, None, None)


def test_every_documented_code_is_known_and_no_two_share_a_class() -> None:
    known = {code: (row[0].__name__, row[1], TABLE[code].outcome) for code, row in API_ERRORS.items()}
    assert {code: known[code] for code in DOCUMENTED} == DOCUMENTED
    assert len({row[0] for row in API_ERRORS.values()}) == len(API_ERRORS)


def test_a_code_of_which_no_table_says_more_means_what_its_status_says() -> None:
    statuses = {"A": 422, "B": 409, "C": 503, "D": 422}
    rows = {"unknown refusal": 1, "unknown code": 2, "unknown code of a failing service": 3, "D": 4}
    table = for_every_code(rows, {code: (APIError, status) for code, status in statuses.items()})
    assert table == {**rows, "A": 1, "B": 2, "C": 3}


@pytest.mark.parametrize("code", API_ERRORS)
def test_a_code_is_found_by_its_class_status_and_outcome(code: str) -> None:
    class_, status = API_ERRORS[code]
    error = error_of("orders.create", refusal(code, status))
    assert (type(error), error.outcome) == (class_, TABLE[code].outcome)


@pytest.mark.parametrize("code", DOCUMENTED)
def test_the_code_decides_and_the_status_is_kept_where_they_disagree(code: str) -> None:
    name, _, outcome = DOCUMENTED[code]
    for status in (200, 201, 400, 418, 429, 500, 599):
        error = error_of("balance.get", refusal(code, status))
        assert (type(error).__name__, error.status_code, error.outcome) == (name, status, outcome)


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("SOMETHING_NEW", "SOMETHING_NEW"),
        ("not_found", "not_found"),
        ("", ""),
        ("X" * 10_240, "X" * 300),
        ("A\x1b[31mB", "A [31mB"),
        (404, None),
        (None, None),
        (True, None),
        (["NOT_FOUND"], None),
    ],
)
def test_an_unknown_code_is_a_plain_api_error_that_is_a_refusal_by_its_status(
    code: object, kept: str | None
) -> None:
    for status in (200, 400, 404, 408, 409, 422, 425, 500, 503, 999):
        error = error_of("orders.create", refusal(code, status))
        assert type(error) is APIError
        outcome = "rejected" if kept and status in (400, 404, 422) else "unknown"
        assert (error.code, error.status_code, error.outcome) == (kept, status, outcome)


@pytest.mark.parametrize(
    "fields", [{}, {"error": None}, {"error": "x"}, {"error": []}, {"error": {}}, {"error": 1}]
)
def test_a_refusal_without_an_error_object_is_an_error_all_the_same(fields: dict[str, object]) -> None:
    for status in (200, 404, 500):
        error = error_of("orders.create", respond({"success": False, **fields}, status))
        assert type(error) is APIError
        assert (error.code, error.details, error.outcome) == (None, None, "unknown")
        assert error.message == f"The service answered HTTP {status}."


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"null", "null"),
        (b"[]", "an array"),
        (b'"x"', "a string"),
        (b"1", "an integer"),
        (b"1.5", "a number"),
        (b"true", "a boolean"),
    ],
)
def test_what_is_no_object_is_no_answer(body: bytes, found: str) -> None:
    for status in (200, 404, 500):
        invalid(respond(raw=body, status=status), f"$: expected a JSON object, got {found}.")


def test_an_empty_body_is_no_answer() -> None:
    for status in (200, 204, 401, 404, 500, 502):
        invalid(respond(raw=b"", status=status), "$: expected a JSON object, got an empty body (not JSON")


def test_a_web_page_is_no_answer_and_is_not_quoted() -> None:
    html = b"<html>secret page</html>"
    for status in (200, 302, 401, 403, 404, 407, 500, 502, 503, 504):
        error = invalid(respond(raw=html, status=status, headers={"content-type": "text/html"}))
        assert "secret" not in str(error)
    message = invalid(respond(raw=html, headers={"content-type": "text/html\x1b[1m"})).message
    assert message.startswith(
        "$: expected a JSON object, got 24 bytes of text/html [1m (not JSON at character 0)"
    )
    assert "no content type" in invalid(respond(raw=html)).message


def test_the_content_type_does_not_matter_when_the_body_is_an_answer() -> None:
    response = evolve(success(BALANCE), headers={"content-type": "text/html"})
    assert read("balance.get", response, "v1").data.balance.canonical_amount == 500000


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" * 2 + b'{"success":true,"data":{}}',
        '{"success":true,"data":{}}'.encode("utf-16"),
        '{"success":true,"data":{}}'.encode("utf-32"),
        b'{"success":true,"data":"\xe9"}',
        b'{"success":true,"data":NaN}',
        b'{"success":true,"data":Infinity}',
        b'{"success":true,"data":-Infinity}',
        b'{"success":true,"data":1e400}',
        b'{"success":true,"data":' + b"9" * 5000 + b"}",
        b'{"success":true,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"success":true,"data":{"id":1,"id":2}}',
        b'{"success":true,"data":{}} x',
        b'{"success":true,"data":{}}{}',
    ],
    ids=lambda body: repr(body)[:40],
)
def test_a_body_that_is_no_strict_json_is_no_answer(body: bytes) -> None:
    invalid(respond(raw=body), "$: expected a JSON object, got ")


@pytest.mark.parametrize("value", ["true", "false", 1, 0, None, [], {}])
def test_success_is_true_or_false_and_nothing_else(value: object) -> None:
    for status in (200, 429, 500):
        error = invalid(respond({"success": value, "data": BALANCE}, status))
        assert error.message.startswith("$.success: expected a boolean, got ")


def test_an_answer_without_success_or_data_is_none() -> None:
    invalid(respond({"data": BALANCE}), "$: the field 'success' is missing.")
    invalid(respond({"success": True}), "$: the field 'data' is missing.")


@pytest.mark.parametrize("operation", CALLS)
def test_no_operation_is_content_without_its_data(operation: str) -> None:
    for data in (None, 5, "x", True):
        for version in ("v1", "v2"):
            error = error_of(operation, success(data), version)
            assert type(error) is InvalidResponseError
            assert error.message.startswith("$.data")


@pytest.mark.parametrize("status", [0, 99, 100, 199, 300, 301, 304, 307, 400, 429, 500, 600, 999])
def test_success_is_not_believed_with_another_status_than_2xx(status: int) -> None:
    invalid(evolve(success(BALANCE), status_code=status), "$")


@pytest.mark.parametrize("status", [200, 201, 226, 299])
def test_every_2xx_may_be_a_success(status: int) -> None:
    assert read("balance.get", evolve(success(BALANCE), status_code=status), "v1").status_code == status


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_no_answer_even_with_the_error_envelope(status: int) -> None:
    for response in (respond(raw=b"", status=status), refusal("NOT_FOUND", status)):
        invalid(response, "$: expected an answer, got a redirect")


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"message":"Slow down"}', b"[]", b"null"])
@pytest.mark.parametrize(("status", "class_"), [(413, PayloadTooLargeError), (429, RateLimitError)])
def test_413_and_429_speak_for_themselves(body: bytes, status: int, class_: type[APIError]) -> None:
    error = error_of("orders.create", respond(raw=body, status=status, headers={"retry-after": "7"}))
    assert type(error) is class_
    assert (error.outcome, error.code, error.retry_after) == ("rejected", None, 7.0)
    assert error.message == f"The service answered HTTP {status}."


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        (" 7 ", 7),
        ("007", 7),
        ("86400", 86400),
        ("999999999", 999999999),
        ("Sun, 14 Jun 2026 04:01:30 GMT", 90),
        ("Sunday, 14-Jun-26 04:01:30 GMT", 90),
        ("Sun, 14 Jun 2026 11:01:30 +0700", 90),
        ("Sun, 14 Jun 2026 03:00:00 GMT", 0),
        ("Sun Jun 14 04:01:30 2026", 90),
        ("Sun, 14 Jun 2026 04:01:30 -0000", 90),
        ("Sun, 14 Jun 2026 04:01:30", 90),
        ("1.5", 1.5),
        ("0.25", 0.25),
        # Sent twice: the longest counts, and what makes no sense does not.
        ("5, 5", 5),
        ("5,60, 7", 60),
        ("-1, 5", 5),
        ("soon, 5", 5),
        ("5, ", 5),
        (", ,5", 5),
        ("5, Sun, 14 Jun 2026 04:01:30 GMT", 90),
        ("Sunday, 14-Jun-26 04:01:30 GMT, 100", 100),
        ("Sun, 14 Jun 2026 04:01:30 GMT, Sun, 14 Jun 2026 04:02:00 GMT", 120),
        # Seconds since 1970, and thousandths and millionths of them.
        ("1781409690", 90),
        ("1781409690.5", 90.5),
        ("1781409690000", 90),
        ("1781409690000000", 90),
        ("1000000000", 0),
    ],
)
def test_retry_after_is_seconds_or_a_time_against_the_services_own_clock(value: str, seconds: float) -> None:
    response = respond({}, 429, {"retry-after": value, "date": DATE})
    assert answers.find_retry_after(response) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "-1",
            "-1.5",
            "1.",
            ".5",
            "1.5.5",
            "nan",
            "inf",
            "1e9",
            "+5",
            "5 s",
            "1_0",
            "0x10",
            "\u00b2",
            "\uff15",
            "\u0665",
            "9" * 21,
        ),
        *("soon", "14 Jun 2026", "2026-06-14T04:01:30Z", "Sun, 99 Jun 2026 04:01:30 GMT"),
        *(",", "-1, soon", "Sun, soon"),
    ],
)
def test_any_other_retry_after_counts_as_absent(value: str) -> None:
    response = respond({}, 429, {"retry-after": value, "date": DATE})
    assert answers.find_retry_after(response) is None
    assert answers.find_retry_after(respond({}, 429)) is None


def long_page(*, unreadable: int = -1) -> Response:
    rows = [{**PRODUCT, "id": number, "price": "?" if number == unreadable else 1} for number in range(4_000)]
    return success(rows, **PAGE)


def test_the_products_of_an_iteration_are_decoded_while_it_runs() -> None:
    call = product_rows(calls.catalog.products(limit=10))
    with pytest.raises(StopIteration) as end:
        next(answers.read(call, long_page(unreadable=3_500), "v1"))
    page = end.value.value.data
    assert (page.problems, page.limit, page.count) == ([], 10, 1)
    parts = list(page.parts)
    assert len(parts) >= 4
    assert [product.id for part in parts for product in part] == [*range(3_500), *range(3_501, 4_000)]
    assert [problem.row_id for problem in page.problems] == [3_500]


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (302, "$: expected an answer, got a redirect, which is never followed."),
        (404, "$.success: expected false with HTTP 404, got true."),
    ],
)
def test_the_rows_of_an_answer_that_is_no_success_are_not_decoded(status: int, problem: str) -> None:
    steps = answers.read(CALLS["catalog.products"], evolve(long_page(), status_code=status), "v1")
    with pytest.raises(InvalidResponseError) as caught:
        next(steps)
    assert caught.value.message == problem


def test_an_answer_says_when_it_was_given() -> None:
    arrived = datetime(2026, 6, 14, 4, 1, tzinfo=UTC)
    for headers, date in (
        ({}, arrived),
        ({"date": "Sun, 14 Jun 2026 04:00:00 GMT"}, arrived.replace(minute=0)),
    ):
        response = respond({"success": True, "data": []}, headers=headers)
        assert read("orders.active", evolve(response, received_at=arrived)).date == date


@pytest.mark.parametrize("date", [{}, {"date": ""}, {"date": "garbage"}])
def test_the_time_of_arrival_stands_in_for_a_date_that_is_missing_or_wrong(date: dict[str, str]) -> None:
    headers = {"retry-after": "Sun, 14 Jun 2026 04:01:30 GMT", **date}
    response = respond({}, 429, headers)
    assert answers.find_retry_after(response) is None
    assert answers.find_retry_after(respond({}, 429, {"retry-after": "1781409690"})) is None
    arrived = evolve(response, received_at=datetime(2026, 6, 14, 4, 1, tzinfo=UTC))
    assert answers.find_retry_after(arrived) == 30


@given(
    st.text(max_size=30)
    | st.text("0123456789.,-+ :SunJGMTe", max_size=40)
    | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,2} Jun \d{1,6} \d\d:\d\d:\d\d [-+]?\w{1,5}\Z")
)
def test_no_retry_after_makes_a_negative_or_infinite_wait(value: str) -> None:
    found = answers.find_retry_after(respond({}, 429, {"retry-after": value, "date": DATE}))
    assert found is None or 0 <= found < float("inf")


@pytest.mark.parametrize("code", ["RATE_LIMIT_EXCEEDED", "SERVICE_UNAVAILABLE", "INTERNAL_ERROR", "NEW"])
def test_every_error_carries_its_retry_after_and_request_id(code: str) -> None:
    error = error_of("balance.get", refusal(code, 503, {"retry-after": "30", "x-request-id": "r-1"}))
    assert (error.retry_after, error.request_id) == (30, "r-1")
    error = invalid(respond(raw=b"<html>", status=503, headers={"retry-after": "30", "x-request-id": "r-1"}))
    assert (error.retry_after, error.request_id) == (30, "r-1")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("r-1", "r-1"),
        (" r-1 ", "r-1"),
        ("r-1, r-2", "r-1"),
        ("a" * 128, "a" * 128),
        ("", None),
        (",", None),
        ("a" * 129, None),
        ("a" * 10_240, None),
        ("r\u00e9q", None),
        ("r 1", None),
        ("r\n1", None),
        ("r\x1b[31m", None),
    ],
)
def test_a_request_id_is_the_first_and_fit_to_be_shown(value: str, found: str | None) -> None:
    response = evolve(success(BALANCE), headers={"x-request-id": value})
    assert read("balance.get", response, "v1").request_id == found
    assert read("balance.get", success(BALANCE), "v1").request_id is None


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Order not found", "Order not found"),
        ("\x1b[31mred\x1b[0m\x07", " [31mred [0m "),
        ("line\r\nbreak\u2028", "line  break "),
        ("\u202eevil", " evil"),
        ("token Bearer abc.def-123 is bad", "token Bearer [removed] is bad"),
        ("BEARER  x bearer y", "Bearer [removed] Bearer [removed]"),
        ("x" * 1_000_000, "x" * 300),
        ("Bearer " + "x" * 592 + " and nothing behind 600 characters", "Bearer [removed] "),
        ("\u8bf7\u6c42\u5931\u8d25", "\u8bf7\u6c42\u5931\u8d25"),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_a_message_is_made_fit_to_be_shown(message: str, shown: str) -> None:
    error = error_of("balance.get", refusal("CONFLICT", 409, message=message))
    assert error.message == shown


@given(st.integers(0, 700))
def test_an_echoed_token_is_never_shown_wherever_the_message_is_cut(offset: int) -> None:
    error = error_of("balance.get", refusal("CONFLICT", 409, message="x" * offset + " Bearer canary-7Qx9 y"))
    assert "canary" not in str(error)
    assert len(error.message) <= 300


@pytest.mark.parametrize("message", [None, {}, [], 5, True, ""])
def test_a_message_that_is_no_text_is_replaced(message: object) -> None:
    error = error_of("balance.get", refusal("CONFLICT", 409, message=message))
    assert error.message == "The service answered HTTP 409."


@pytest.mark.parametrize("details", [None, True, 5, 1.5, "x", [], {"until": None}, [[{"a": 1}]]])
def test_details_are_kept_as_they_are(details: Any) -> None:
    found = error_of("orders.create", refusal("PROVIDER_ERROR", 422, details=details)).details
    assert found == (Decimal("1.5") if details == 1.5 else details)


def test_details_nested_too_deeply_are_no_answer_and_large_ones_are_kept() -> None:
    deep = b'{"success":false,"error":{"code":"CONFLICT","details":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    invalid(respond(raw=deep, status=409), "$: expected a JSON object")
    large = "x" * 5_000_000
    assert error_of("orders.create", refusal("CONFLICT", 409, details=large)).details == large


def test_the_text_of_an_error_tells_what_is_known_and_what_to_do() -> None:
    error = errors.InsufficientBalanceError(
        "Balance too low",
        code="INSUFFICIENT_BALANCE",
        status_code=409,
        request_id="r-1",
        retry_after=1.5,
        idempotency_key="k",
    )
    assert str(error) == (
        "Balance too low [code INSUFFICIENT_BALANCE, HTTP 409, request id r-1, retry after 1.5 s, "
        "idempotency key k] Top up; the same idempotency key may be used again."
    )
    assert str(APIError("Plain.")) == "Plain."
    assert str(APIError("Now.", retry_after=0.0)) == "Now. [retry after 0 s]"
    assert str(errors.ConflictError("No.")) == "No. Read the order to see its state."
    assert "SECRET" not in str(APIError("x", details={"note": "SECRET"}))


ALL = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SmscodeError)
]


@pytest.mark.parametrize("class_", ALL, ids=lambda class_: class_.__name__)
def test_an_error_survives_pickling_and_copying_whole(class_: type[SmscodeError]) -> None:
    error = class_(
        "No.",
        code="CODE",
        status_code=422,
        details={"a": [Decimal("1.5"), None]},
        request_id="r-1",
        retry_after=2.5,
        idempotency_key="k",
        outcome="unknown",
        attempts=3,
    )
    if isinstance(error, OtpTimeoutError):
        error.order_id, error.text = 1001, "hello"
    if isinstance(error, OrderTerminalError):
        error.order_id, error.status = 1001, "CANCELED"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is class_
        assert vars(again) == vars(error)
        assert (str(again), again.args) == (str(error), ("No.",))
    assert vars(copy.copy(error)) == vars(copy.deepcopy(error)) == vars(error)
    error.attempts = 4  # never frozen
    assert error.attempts == 4


def test_an_error_knows_nothing_unless_told() -> None:
    error = SmscodeError("No.")
    assert vars(error) == {
        "message": "No.",
        "code": None,
        "status_code": None,
        "details": None,
        "request_id": None,
        "retry_after": None,
        "idempotency_key": None,
        "outcome": "not_sent",
        "attempts": 0,
        "trouble": None,
    }
    assert (OtpTimeoutError("No.").order_id, OtpTimeoutError("No.").text) == (None, None)
    assert (OrderTerminalError("No.").order_id, OrderTerminalError("No.").status) == (None, None)


@pytest.mark.parametrize(
    ("class_", "base"),
    [
        (RequestTimeoutError, errors.NetworkError),
        (RequestTimeoutError, TimeoutError),
        (OtpTimeoutError, TimeoutError),
        (InvalidArgumentError, ValueError),
        (ConfigurationError, ValueError),
        (errors.ClientStateError, RuntimeError),
    ],
)
def test_errors_are_caught_by_the_built_in_class_they_resemble(
    class_: type[SmscodeError], base: type[Exception]
) -> None:
    with pytest.raises(base, match=r"\ANo\.\Z"):
        raise class_("No.")


@pytest.mark.parametrize(
    "response",
    [
        success({**ORDER, "phone_number": "+62812-canary", "amount": "?"}),
        evolve(success({**ORDER, "phone_number": "+62812-canary"}), status_code=500),
        respond({"success": False, "error": {"code": "CONFLICT"}, "data": "+62812-canary"}, 409),
    ],
)
def test_no_variable_in_the_traceback_of_an_error_shows_what_came(response: Response) -> None:
    error = error_of("orders.get", response, "v1")
    shown = [repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert any("InvalidResponseError" in text or "ConflictError" in text for text in shown)
    assert not [text for text in shown if "canary" in text]
    assert (error.__context__, error.__cause__) == (None, None)


def test_rows_that_cannot_be_read_have_errors_by_their_ids() -> None:
    rows = [{**ORDER, "id": 7, "status": 5}, 5, {**ORDER, "id": 9, "expires_at": "soon"}]
    response = evolve(success(rows), headers={"x-request-id": "r-1"}, status_code=203)
    found = answers.row_errors(read("orders.active", response))
    assert found.keys() == {7, 9}
    assert found[7].message.startswith("$.data[0].status: expected ")
    assert found[9].message.startswith("$.data[2].expires_at: expected ")
    for error in found.values():
        assert type(error) is InvalidResponseError
        assert (error.status_code, error.request_id) == (203, "r-1")
        assert (error.trouble, error.outcome) == ("unexpected data", "unknown")


def test_a_response_does_not_show_its_body() -> None:
    assert "secret" not in repr(Response(200, {}, b"secret"))
