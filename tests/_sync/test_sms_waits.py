# Generated from tests/_async/test_sms_waits.py by `nox -s generate`: change that file, not this one.

"""Waiting for codes: one poll for all, failures sat out, and how a wait can end."""

from __future__ import annotations

from typing import Any, Literal

import httpx
import pytest

from smscode import (
    APIError,
    Client,
    ClientStateError,
    ForbiddenError,
    InvalidArgumentError,
    InvalidResponseError,
    NotFoundError,
    OrderTerminalError,
    OtpTimeoutError,
    Sms,
    SmscodeError,
    TempBannedError,
    UnauthorizedError,
    ValidationError,
)
from smscode._concurrency import Runtime
from smscode.sandbox import Sandbox

from ..concurrency import VirtualClient
from .helpers import (
    ACTIVE,
    HTML,
    WHATSAPP_INDONESIA,
    Script,
    refusal,
    rent,
    still_sandbox,
    success,
    until,
)

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]


def polls(sandbox: Sandbox) -> int:
    return sandbox.requests[ACTIVE]


def test_a_pattern_takes_the_code_out_of_a_message_in_which_the_service_found_none() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        first, second = rent(client), rent(client)
        with client.orders.attach(first) as rental:
            sandbox.deliver_sms(first, text="Welcome!")
            with pytest.raises(OtpTimeoutError, match="that the pattern does not match"):
                rental.wait_for_otp(timeout=0, pattern=r"key (\w+)")
            sandbox.deliver_sms(first, text="Your key ab-cd", code=None)
            assert (rental.wait_for_otp(timeout=10, pattern=r"key ([a-z-]+)")).code == "ab-cd"
        sandbox.deliver_sms(second, text="Your key xy-z", code=None)
        waits = client.orders.otps([second], timeout=10, pattern=r"key ([a-z-]+)")
        assert [outcome.sms.code for outcome in waits if outcome.sms is not None] == ["xy-z"]
        with pytest.raises(InvalidArgumentError, match="pattern: this is no regular expression"):
            client.orders.otps([second], pattern="(")


def test_a_code_is_waited_for(version: Version, generation: Generation) -> None:
    sandbox = still_sandbox(otp_after=10, generation=generation)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        sms = client.orders.wait_for_otp(order_id)
        order = client.orders.get(order_id)
    assert (sms.order_id, sms.code, sms.received_at) == (order_id, order.otp_code, order.otp_received_at)
    assert sms.code is not None
    assert polls(sandbox) == 5  # after 0, 3, 6, 9 and 12 seconds


def test_a_code_that_is_there_takes_one_poll(version: Version) -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        for timeout in (0, 5, None):
            assert (client.orders.wait_for_otp(order_id, timeout=timeout)).code is not None
            client.runtime.pass_by(3)
    assert polls(sandbox) == 3


def test_the_interval_between_polls_can_be_set() -> None:
    sandbox = still_sandbox(otp_after=10)
    with VirtualClient(sandbox, poll_interval=1.0) as client:
        client.orders.wait_for_otp(rent(client))
    assert polls(sandbox) == 11


def test_two_waits_in_a_row_keep_the_interval() -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        began = client.runtime.now()
        for _ in range(3):
            client.orders.wait_for_otp(order_id)
    assert client.runtime.now() - began == 6.0


@pytest.mark.parametrize("count", [1, 20])
def test_any_number_of_waits_shares_the_polls(version: Version, count: int) -> None:
    sandbox = still_sandbox(otp_after=10)
    found: list[Sms] = []
    with VirtualClient(sandbox, api_version=version) as client:

        def wait(order_id: int) -> None:
            found.append(client.orders.wait_for_otp(order_id))

        created = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=count)
        client.runtime.crowd = count - 1
        Runtime().for_each(wait, [order.id for order in created])
    assert {sms.order_id for sms in found} == {order.id for order in created}
    assert len({sms.code for sms in found}) == count
    assert polls(sandbox) == 5
    assert sandbox.requests["GET /orders/{id}"] == 0


def test_two_waits_for_the_same_order_get_the_same_code() -> None:
    sandbox = still_sandbox(otp_after=4)
    found: list[Sms] = []
    with VirtualClient(sandbox) as client:

        def wait(order_id: int) -> None:
            found.append(client.orders.wait_for_otp(order_id))

        client.runtime.crowd = 1
        order_id = rent(client)
        Runtime().for_each(wait, [order_id, order_id])
    assert found[0] == found[1]
    assert polls(sandbox) == 3


# -- which message counts --------------------------------------------------------------------------


def test_after_a_resend_only_a_newer_code_counts(version: Version, generation: Generation) -> None:
    sandbox = still_sandbox(otp_after=5, generation=generation)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        first = client.orders.wait_for_otp(order_id)
        assert (client.orders.resend(order_id)).resent
        second = client.orders.wait_for_otp(
            order_id, after_revision=first.revision, after_code=first.code
        )
    assert second.code not in (None, first.code)
    assert second.revision == (2 if generation == "current" else None)


def test_a_repeated_code_counts_as_new_where_messages_are_counted() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        for revision in (1, 2):
            sandbox.deliver_sms(order_id, code="123456")
            sms = client.orders.wait_for_otp(
                order_id, after_revision=revision - 1, after_code="123456" if revision > 1 else None
            )
            assert (sms.code, sms.revision) == ("123456", revision)


def test_a_message_without_a_code_is_an_sms_but_no_otp(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        sandbox.deliver_sms(order_id, text="Welcome!")
        sms = client.orders.wait_for_sms(order_id)
        assert (sms.code, sms.text) == (None, "Welcome!")
        with pytest.raises(OtpTimeoutError, match="A message without a code came") as caught:
            client.orders.wait_for_otp(order_id, timeout=10)
        assert (caught.value.order_id, caught.value.text) == (order_id, "Welcome!")
        with pytest.raises(OtpTimeoutError) as caught:
            client.orders.wait_for_sms(order_id, after_revision=1, timeout=10)
        assert "without a code" not in str(caught.value)


# -- how a wait ends without an SMS ----------------------------------------------------------------


def test_a_wait_ends_when_its_time_is_over(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        began = client.runtime.now()
        with pytest.raises(OtpTimeoutError, match=f"No SMS for order {order_id} in time") as caught:
            client.orders.wait_for_otp(order_id, timeout=10)
        assert client.runtime.now() - began == 10
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.order_id, caught.value.text) == (order_id, None)
    assert polls(sandbox) == 4


def test_no_time_means_one_look(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        for number in (1, 2):
            with pytest.raises(OtpTimeoutError):
                client.orders.wait_for_otp(order_id, timeout=0)
            assert polls(sandbox) == number
        sandbox.deliver_sms(order_id, code="123456")
        assert (client.orders.wait_for_otp(order_id, timeout=0.0)).code == "123456"


def test_one_look_shows_how_an_order_ended(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    with VirtualClient(sandbox, api_version=version) as client:
        order_ids = [rent(client) for _ in range(12)]
        for order_id in order_ids:
            client.orders.cancel(order_id)
        with pytest.raises(OrderTerminalError):
            client.orders.wait_for_otp(order_ids[0], timeout=0)
        outcomes = [outcome for outcome in client.orders.otps(order_ids, timeout=0)]
    assert all(isinstance(outcome.error, OrderTerminalError) for outcome in outcomes)
    assert (len(outcomes), polls(sandbox)) == (12, 2)


def test_a_look_that_fails_is_no_code() -> None:
    sandbox = still_sandbox(otp_after=0)
    sandbox.fail_next("orders.active", 503, times=4)
    with VirtualClient(sandbox) as client:
        with pytest.raises(OtpTimeoutError):
            client.orders.wait_for_otp(rent(client), timeout=0)
    assert polls(sandbox) == 4


def test_an_expired_order_ends_its_wait(version: Version, generation: Generation) -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=60, generation=generation)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        with pytest.raises(OrderTerminalError, match="ended as EXPIRED") as caught:
            client.orders.wait_for_otp(order_id)
    assert (caught.value.order_id, caught.value.status) == (order_id, "EXPIRED")
    assert polls(sandbox) == 21
    assert sandbox.requests["GET /orders/{id}"] == 1


def test_a_cancelled_order_ends_its_wait(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        client.orders.cancel(order_id)
        with pytest.raises(OrderTerminalError) as caught:
            client.orders.wait_for_sms(order_id)
    assert caught.value.status == "CANCELED"


def test_a_code_of_a_finished_order_is_still_found(version: Version) -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox, api_version=version) as client:
        order_id = rent(client)
        client.orders.finish(order_id)
        assert (client.orders.wait_for_otp(order_id)).code is not None


def test_only_the_wait_for_an_unknown_order_fails(version: Version) -> None:
    sandbox = still_sandbox(otp_after=10)
    ends: dict[int, Sms | SmscodeError] = {}
    with VirtualClient(sandbox, api_version=version) as client:

        def wait(order_id: int) -> None:
            try:
                ends[order_id] = client.orders.wait_for_otp(order_id)
            except SmscodeError as error:
                ends[order_id] = error

        order_id = rent(client)
        Runtime().for_each(wait, [order_id, 999])
    missing, found = ends[999], ends[order_id]
    assert isinstance(missing, NotFoundError)
    assert (missing.code, missing.status_code) == ("NOT_FOUND", 404)
    assert isinstance(found, Sms)


# -- failures of the service -----------------------------------------------------------------------

PASSING: list[Any] = [
    [refusal(503)],
    [refusal(500, "INTERNAL_ERROR")],
    [refusal(504, "GATEWAY_TIMEOUT")],
    [refusal(409, "TRY_AGAIN")],
    [refusal(408)],
    [refusal(404)],
    [refusal(413)],
    [httpx.Response(403, html="<html>Checking your browser</html>")],
    [httpx.Response(200, html="<html>Please log in</html>")],
    [httpx.Response(302, headers={"location": "https://wifi.example/"})],
    [httpx.Response(200, content=b"abc", headers={"content-encoding": "identity, x-foreign"})],
    [httpx.Response(200, json={"success": True})],
    [httpx.Response(500, json={"success": False, "error": None})],
    [httpx.Response(403, json={"success": False, "error": {"message": "no code"}})],
    [refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "5"})],
    [HTML],
    [httpx.ConnectError("no")],
    [httpx.ReadTimeout("no")],
    [httpx.RemoteProtocolError("no"), HTML, refusal(503), httpx.ReadError("no")],
]


@pytest.mark.parametrize("failures", PASSING)
def test_failures_that_pass_are_sat_out(
    version: Version, failures: list[httpx.Response | Exception]
) -> None:
    sandbox = still_sandbox(otp_after=60)
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script, api_version=version) as client:
        order_id = rent(client)
        script.add(*failures * 12)
        assert (client.orders.wait_for_otp(order_id, timeout=600)).code is not None
    assert len(script.requests) > 13


def test_a_poll_is_put_off_for_as_long_as_the_service_asks() -> None:
    sandbox = still_sandbox(otp_after=0)
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script) as client:
        order_id = rent(client)
        script.add(refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "50"}))
        began = client.runtime.now()
        client.orders.wait_for_otp(order_id)
        assert client.runtime.now() - began == pytest.approx(50 * 1.05)
    assert len(script.requests) == 3


def test_a_failing_service_does_not_prolong_a_wait() -> None:
    sandbox = still_sandbox(otp_after=0)
    sandbox.fail_next("orders.active", 503, times=1000)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        began = client.runtime.now()
        with pytest.raises(OtpTimeoutError):
            client.orders.wait_for_otp(order_id, timeout=60)
        assert client.runtime.now() - began == 60


def test_a_failing_look_at_one_order_is_sat_out() -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    sandbox.fail_next("orders.get", 503, times=6)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        client.orders.cancel(order_id)
        with pytest.raises(OrderTerminalError):
            client.orders.wait_for_otp(order_id)
    assert sandbox.requests["GET /orders/{id}"] == 7


@pytest.mark.parametrize(
    ("answer", "class_"),
    [
        (refusal(401, "UNAUTHORIZED"), UnauthorizedError),
        (refusal(403, "FORBIDDEN"), ForbiddenError),
        (refusal(404, "NOT_FOUND"), NotFoundError),
        (refusal(422, "VALIDATION_ERROR"), ValidationError),
        (refusal(429, "TEMP_BANNED_ABUSE_GUARD", {"retry-after": "3"}), TempBannedError),
        (refusal(400, "TOKEN_REVOKED"), APIError),
    ],
)
def test_final_refusals_end_the_wait(
    version: Version, answer: httpx.Response, class_: type[SmscodeError]
) -> None:
    sandbox = still_sandbox()
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script, api_version=version) as client:
        order_id = rent(client)
        script.add(*[answer] * 4)
        with pytest.raises(class_) as caught:
            client.orders.wait_for_otp(order_id)
    assert len(script.requests) == 1 + caught.value.attempts


def test_a_failure_that_stays_ends_every_wait() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.active", "UNAUTHORIZED", times=100)
    errors: list[SmscodeError] = []
    with VirtualClient(sandbox) as client:

        def wait(order_id: int) -> None:
            with pytest.raises(UnauthorizedError) as caught:
                client.orders.wait_for_otp(order_id)
            errors.append(caught.value)

        began = client.runtime.now()
        Runtime().for_each(wait, [1001, 1002, 1003])
        assert client.runtime.now() <= began + 6
    assert len(set(map(id, errors))) == 3
    assert {(error.code, error.status_code) for error in errors} == {("UNAUTHORIZED", 401)}


def test_an_order_that_cannot_be_read_ends_nobody_elses_wait() -> None:
    sandbox = still_sandbox(otp_after=10, cancel_after=0)
    ends: dict[int, Sms | SmscodeError] = {}
    with VirtualClient(sandbox) as client:

        def wait(order_id: int) -> None:
            try:
                ends[order_id] = client.orders.wait_for_otp(order_id)
            except SmscodeError as error:
                ends[order_id] = error

        gone, good = rent(client), rent(client)
        client.orders.cancel(gone)
        sandbox.fail_next("orders.get", "FORBIDDEN")
        Runtime().for_each(wait, [good, gone])
    refused, found = ends[gone], ends[good]
    assert isinstance(refused, ForbiddenError)
    assert isinstance(found, Sms)


@pytest.mark.parametrize("failing", [False, True])
def test_orders_that_leave_the_list_together_are_read_once_each(failing: bool) -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=60)
    with VirtualClient(sandbox) as client:
        created = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=25)
        if failing:
            sandbox.fail_next("orders.get", "FORBIDDEN")
        outcomes = [outcome for outcome in client.orders.otps(order.id for order in created)]
    assert {outcome.order_id for outcome in outcomes} == {order.id for order in created}
    assert sum(isinstance(outcome.error, OrderTerminalError) for outcome in outcomes) == 25 - failing
    assert polls(sandbox) == 21
    assert sandbox.requests["GET /orders/{id}"] == 25


def test_a_closed_client_waits_for_nothing() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        pass
    with pytest.raises(ClientStateError, match="closed"):
        client.orders.wait_for_otp(1001)
    assert polls(sandbox) == 0


# -- one wait takes over from another --------------------------------------------------------------


def test_when_the_polling_wait_ends_another_one_polls_on() -> None:
    sandbox = still_sandbox(otp_after=10)
    with VirtualClient(sandbox) as client:
        ended: list[str] = []

        def wait(timeout: float | None) -> None:
            if timeout is None:
                until(lambda: polls(sandbox))
                assert (client.orders.wait_for_otp(order_id)).code is not None
                ended.append("code")
            else:
                with pytest.raises(OtpTimeoutError):
                    client.orders.wait_for_otp(order_id, timeout=timeout)
                ended.append("time")

        order_id = rent(client)
        client.runtime.crowd = 1
        began = client.runtime.now()
        Runtime().for_each(wait, [5.0, None])
    assert ended == ["time", "code"]
    assert client.runtime.now() - began == 12
    assert polls(sandbox) == 5


def test_the_time_of_a_wait_that_follows_is_kept() -> None:
    sandbox = Sandbox(otp_after=None)
    transport: httpx.BaseTransport = sandbox.transport()
    with Client(sandbox.token, transport=transport, poll_interval=60) as client:
        ends: list[float] = []

        def wait(timeout: float) -> None:
            with pytest.raises(OtpTimeoutError):
                client.orders.wait_for_otp(order_id, timeout=timeout)
            ends.append(timeout)

        order_id = rent(client)
        Runtime().for_each(wait, [0.05, 0.01])
    assert sorted(ends) == [0.01, 0.05]
    assert polls(sandbox) == 1


# -- rows that cannot be read ----------------------------------------------------------------------


def active_row(order_id: int, **changes: object) -> dict[str, object]:
    row = {"id": order_id, "status": "OTP_RECEIVED", "otp_code": "4711", "otp_message": "Code 4711"}
    return {**row, **dict.fromkeys(("otp_received_at", "expires_at", "failed_reason")), **changes}


ODD_ROWS: list[dict[str, object]] = [
    active_row(1002, expires_at=""),
    active_row(1002, status=None),
    active_row(1002, otp_code=4711),
    {"id": 1002},
]


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_only_a_wait_for_an_order_whose_row_cannot_be_read_hears_of_it(
    odd: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [odd, "no row", active_row(1001)]
    script = Script([success(rows), success(rows), refusal(404), success(rows), refusal(404)])
    with VirtualClient(still_sandbox(), transport=script) as client:
        assert (client.orders.wait_for_otp(1001, timeout=5)).code == "4711"
        client.runtime.pass_by(3)
        with pytest.raises(OtpTimeoutError) as caught:
            client.orders.wait_for_otp(1002, timeout=4)
        script.clear()
        script.add(success(rows))
        assert [order.id for order in client.orders.active()] == [1001]
    assert isinstance(caught.value.failure, InvalidResponseError)
    assert caught.value.__cause__ is caught.value.failure
    assert caught.value.failure.message.startswith(("$.data[0]", "$: expected a JSON object"))
    assert [text for text in caplog.messages if "1002" in text and "$.data[0]" in text] == caplog.messages
    assert len(caplog.messages) == 1, "logged once, not per poll"


def test_of_many_odd_rows_some_are_logged_and_no_more_than_a_thousand(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def page(first: int, count: int) -> httpx.Response:
        return success([{"id": number} for number in range(first, first + count)])

    script = Script([page(1, 7), page(1, 7), page(8, 1100), page(5_000, 3)])
    with VirtualClient(still_sandbox(), transport=script) as client:
        for _ in range(4):
            assert client.orders.active() == []
    assert len(caplog.messages) == 2
    assert caplog.messages[0].endswith("; and 2 more.")
    assert "$.data[4]" in caplog.messages[0]
    assert "$.data[5]" not in caplog.messages[0]


def test_a_page_of_orders_names_its_odd_rows_and_the_list_goes_on_behind_them() -> None:
    row: dict[str, Any] = {"status": "ACTIVE", "product_id": 1, "amount": 1}
    row |= dict.fromkeys(("created_at", "phone_number", "otp_code", "otp_received_at", "expires_at"))
    row |= dict.fromkeys(("canceled_at", "failed_reason"))
    pages = [
        [{**row, "id": 3}, {**row, "id": 2, "amount": None}],
        [{**row, "id": 0, "amount": -1}, {**row, "id": "x"}],
        [{**row, "id": 1}],
    ]
    script = Script([success(page) for page in [*pages, pages[0]]])
    with VirtualClient(still_sandbox(), transport=script, api_version="v1") as client:
        assert [order.id for order in client.orders.iter(page_size=2)] == [3, 1]
        found = client.orders.list(limit=2)
    assert [request.url.params["offset"] for request in script.requests] == ["0", "2", "4", "0"]
    assert [order.id for order in found] == [3]
    assert found.problems == ("$.data[1].amount: expected an integer of rupiah, got null",)
