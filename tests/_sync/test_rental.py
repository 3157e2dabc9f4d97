# Generated from tests/_async/test_rental.py by `nox -s generate`: change that file, not this one.

"""A number rented for a block: what happens to it at the end, however the block ends."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest

from smscode import (
    Rental,
    ClientStateError,
    ConflictError,
    CreatedOrder,
    InvalidArgumentError,
    NetworkError,
    NoOfferAvailableError,
    NotFoundError,
    OrderStatus,
    OrderTerminalError,
    OtpTimeoutError,
    ProviderError,
    Released,
    RequestTimeoutError,
    UnauthorizedError,
    webhooks,
)
from smscode.sandbox import Sandbox

from ..concurrency import VirtualClient
from .helpers import Script, rent, still_sandbox, success

pytestmark = pytest.mark.anyio

CANCEL, FINISH, GET = "POST /orders/cancel", "POST /orders/finish", "GET /orders/{id}"
LOST = httpx.ReadError("lost")


class Interrupted(BaseException):
    """What ends a block from outside, as a cancellation or Ctrl-C does."""


def status_of(client: VirtualClient, order_id: int) -> OrderStatus | str:
    return (client.orders.get(order_id)).status


def learn_nothing(*_: object) -> None:
    """Replace the answers that were to follow."""


def ends(rental: Rental, error: type[BaseException]) -> None:
    """End a block that has its code with an error."""
    with rental:
        rental.wait_for_otp()
        raise error


def test_after_a_code_the_order_is_finished(version: Any, generation: Any) -> None:
    sandbox = still_sandbox(otp_after=5, generation=generation)
    with VirtualClient(sandbox, api_version=version) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            assert rental.phone_number is not None
            assert (rental.order_id, rental.phone_number) == (rental.order.id, rental.order.phone_number)
            assert (rental.wait_for_otp(timeout=60)).code is not None
            assert rental.released is None
        assert rental.released is Released.FINISHED
        assert status_of(client, rental.order_id) == OrderStatus.COMPLETED
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (1, 0)


def test_after_a_message_without_a_code_the_order_is_finished() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            assert (rental.wait_for_sms()).text == "Welcome!"
        assert rental.released is Released.FINISHED
        with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            with pytest.raises(OtpTimeoutError):
                rental.wait_for_otp(timeout=5)
        assert rental.released is Released.FINISHED
    assert sandbox.requests[CANCEL] == 0


def test_without_any_sms_the_order_is_cancelled() -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    balance = sandbox.balance
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(OtpTimeoutError):
            with rental:
                rental.wait_for_otp(timeout=5)
        assert rental.released is Released.CANCELED
    assert sandbox.balance == balance


def test_an_order_that_is_too_new_is_left_to_expire() -> None:
    sandbox = still_sandbox(otp_after=None)
    balance = sandbox.balance
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            pass
        with client.orders.rent(catalog_product_id=87, release_timeout=60) as other:
            pass
        assert rental.released is other.released is Released.LEFT_TO_EXPIRE
        assert client.runtime.slept == []
        client.runtime.sleep(1200)
    assert sandbox.balance == balance


def test_with_time_to_wait_an_order_is_cancelled_as_soon_as_it_may_be() -> None:
    sandbox = still_sandbox(otp_after=None)
    balance = sandbox.balance
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87, release_timeout=200) as rental:
            pass
        assert rental.released is Released.CANCELED
        assert 120 <= sum(client.runtime.slept) <= 125
    assert sandbox.balance == balance


def test_an_sms_that_nobody_saw_finishes_the_order() -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            pass
        assert rental.released is Released.FINISHED
        assert status_of(client, rental.order_id) == OrderStatus.COMPLETED


@pytest.mark.parametrize("seen", [True, False])
def test_an_order_that_has_ended_is_released_already(seen: bool) -> None:
    sandbox = still_sandbox(otp_after=0 if seen else None, cancel_after=0)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            if seen:
                rental.wait_for_otp()
                client.orders.finish(rental.order_id)
            else:
                client.orders.cancel(rental.order_id)
        assert rental.released is Released.ALREADY_RELEASED


def test_an_order_that_a_wait_saw_end_takes_no_request() -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=60)
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(OrderTerminalError):
            with rental:
                rental.wait_for_otp()
        assert rental.released is Released.ALREADY_RELEASED
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (0, 0)


def test_a_release_that_fails_is_raised_after_a_good_block() -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        sandbox.fail_next("orders.finish", "UNAUTHORIZED")
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(UnauthorizedError) as failed:
            with rental:
                rental.wait_for_otp()
        assert rental.released is None
        assert rental.release_error is failed.value


def test_a_release_that_fails_does_not_hide_what_the_block_raised() -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        sandbox.fail_next("orders.finish", "UNAUTHORIZED")
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(ZeroDivisionError):
            ends(rental, ZeroDivisionError)
        assert rental.released is None
        assert isinstance(rental.release_error, UnauthorizedError)


def test_a_block_that_is_interrupted_gives_its_number_back() -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87, release_timeout=600)
        with pytest.raises(Interrupted):
            ends(rental, Interrupted)
        assert rental.released is Released.FINISHED
        sandbox.set_otp_after(None)
        other = client.orders.rent(catalog_product_id=87, release_timeout=600)
        with pytest.raises(Interrupted):
            with other:
                raise Interrupted
        assert other.released is Released.LEFT_TO_EXPIRE
        assert client.runtime.slept == []


def test_a_release_that_is_interrupted_is_tried_once_more() -> None:
    class Interrupting(Script):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/finish") and not self.requests:
                self.requests.append(request)
                raise Interrupted
            assert self._then is not None
            return self._then.handle_request(request)

    sandbox = still_sandbox(otp_after=0)
    transport = Interrupting([], sandbox.transport())
    with VirtualClient(sandbox, transport=transport) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(Interrupted):
            with rental:
                rental.wait_for_otp()
        assert rental.released is Released.FINISHED


# -- another SMS -----------------------------------------------------------------------------------


def test_after_a_resend_only_a_newer_sms_counts(version: Any, generation: Any) -> None:
    sandbox = still_sandbox(otp_after=5, generation=generation, resend_cooldown=0)
    with VirtualClient(sandbox, api_version=version) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            codes = [(rental.wait_for_otp(timeout=60)).code]
            for _ in range(2):
                assert (rental.resend()).resent
                codes.append((rental.wait_for_otp(timeout=60)).code)
        assert rental.released is Released.FINISHED
    assert None not in codes
    assert len(set(codes)) == 3


def test_a_resend_before_any_wait_looks_at_what_is_there() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, code="111111")
            rental.resend()
            with pytest.raises(OtpTimeoutError):
                rental.wait_for_sms(timeout=5)
            sandbox.deliver_sms(rental.order_id, code="111111")
            assert (rental.wait_for_otp(timeout=5)).revision == 2


# -- buying ----------------------------------------------------------------------------------------


def test_a_purchase_that_fails_gives_nothing_back() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    rental = client.orders.rent(catalog_product_id=87, max_price="0.01")
    with pytest.raises(NoOfferAvailableError):
        rental.__enter__()
    assert rental.released is None
    with pytest.raises(ClientStateError, match="no number yet"):
        _ = rental.order
    with pytest.raises(ClientStateError, match="used before"):
        rental.__enter__()
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (0, 0)


def test_a_purchase_in_doubt_is_unresolved() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox, transport=Script([LOST] * 8))
    with pytest.raises(NetworkError):
        client.orders.rent(catalog_product_id=87, idempotency_key="mine").__enter__()
    (intent,) = client.orders.unresolved()
    assert intent.idempotency_key == "mine"


def test_an_answer_without_any_order_is_a_failure() -> None:
    sandbox = still_sandbox()
    empty = success({"orders": [], "failed_count": 1})
    client = VirtualClient(sandbox, transport=Script([empty]), api_version="v1")
    with pytest.raises(ProviderError, match="No number could be rented") as failed:
        client.orders.rent(catalog_product_id=87, idempotency_key="mine").__enter__()
    assert (failed.value.outcome, failed.value.idempotency_key) == ("failed", "mine")


def test_senseless_arguments_are_refused() -> None:
    client = VirtualClient(still_sandbox())
    wrong: Any = -1
    with pytest.raises(InvalidArgumentError, match="release_timeout: expected"):
        client.orders.rent(catalog_product_id=87, release_timeout=wrong)
    with pytest.raises(InvalidArgumentError, match="catalog_product_id"):
        cast(Any, client.orders).rent().__enter__()


# -- the message -----------------------------------------------------------------------------------


def test_the_last_message_is_kept_by_the_rental() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        assert rental.sms is None
        with rental:
            assert rental.sms is None
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            with pytest.raises(OtpTimeoutError):
                rental.wait_for_otp(timeout=5)
            assert rental.sms is not None
            assert (rental.sms.code, rental.sms.text) == (None, "Welcome!")
            sandbox.deliver_sms(rental.order_id, code="123456")
            sms = rental.wait_for_otp()
            assert rental.sms is sms
        assert rental.sms is sms


def test_a_message_of_an_order_that_a_wait_saw_end_is_kept() -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=60)
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with rental:
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            client.runtime.pass_by(60)
            with pytest.raises(OrderTerminalError):
                rental.wait_for_otp()
        assert rental.released is Released.ALREADY_RELEASED
        assert rental.sms is not None
        assert rental.sms.text == "Welcome!"
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL]) == (0, 0)


def test_a_resend_that_the_supplier_cannot_do_leaves_nothing_to_read() -> None:
    sandbox = still_sandbox(otp_after=None, generation="documented")
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            assert not (rental.resend()).resent
            sandbox.deliver_sms(rental.order_id, code="123456")
            rental.wait_for_otp()
        assert rental.released is Released.FINISHED
    assert sandbox.requests[GET] == 1, "by the resend"


def test_the_end_of_a_block_takes_one_request_where_nothing_is_left_to_learn() -> None:
    sandbox = still_sandbox(otp_after=0, cancel_after=0)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            rental.wait_for_otp()
        sandbox.set_otp_after(None)
        with client.orders.rent(catalog_product_id=87):
            pass
    assert (sandbox.requests[FINISH], sandbox.requests[CANCEL], sandbox.requests[GET]) == (1, 1, 0)


def test_an_interrupted_block_takes_a_few_seconds_at_most() -> None:
    class Slow(Script):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert self._then is not None
            self.requests.append(request)
            if not request.url.path.endswith("/create"):
                client.runtime.pass_by(2.5)
            if request.method == "GET":
                raise httpx.ReadTimeout("slow")
            return self._then.handle_request(request)

    sandbox = still_sandbox(otp_after=0)
    transport = Slow([], sandbox.transport())
    client = VirtualClient(sandbox, transport=transport)
    rental = client.orders.rent(catalog_product_id=87)
    began = client.runtime.now()
    with pytest.raises(Interrupted):
        with rental:
            raise Interrupted
    assert client.runtime.now() - began <= 5.5
    assert [request.url.path.rpartition("/")[2] for request in transport.requests] == [
        *("create", "cancel", str(rental.order_id))
    ]
    assert rental.released is None
    assert isinstance(rental.release_error, ConflictError)
    assert isinstance(rental.release_error.__cause__, RequestTimeoutError)


def test_an_interrupt_after_the_number_was_given_back_sends_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(order_id: int) -> None:
        raise Interrupted

    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        rental.__enter__()
        rental.wait_for_otp()
        monkeypatch.setattr(client._driver.open_rentals, "remove", interrupt)
        monkeypatch.setattr(client._driver.open_rentals, "learn", learn_nothing)
        with pytest.raises(Interrupted):
            rental.__exit__(None, None, None)
        assert rental.released is Released.FINISHED
        monkeypatch.undo()
        client.orders.get(rental.order_id)
    assert sandbox.requests[FINISH] == 1


def test_a_wait_that_never_saw_the_order_leaves_nothing_known() -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            script.add(*[LOST] * 100)
            with pytest.raises(OtpTimeoutError) as failed:
                rental.wait_for_otp(timeout=5)
            script.clear()
            assert (failed.value.order, rental.sms) == (None, None)
        assert rental.released is Released.CANCELED


def test_a_second_end_of_the_same_block_sends_nothing() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            pass
        client.runtime.pass_by(130)
        rental.__exit__(None, None, None)
        assert rental.released is Released.LEFT_TO_EXPIRE
    assert sandbox.requests[CANCEL] == 1


# -- an order that exists --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["id", "active", "order", "created", "rental"])
def test_a_block_can_be_attached_to_an_order_that_exists(kind: str, version: Any) -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    with VirtualClient(sandbox, api_version=version) as client:
        before = client.orders.rent(catalog_product_id=87)
        before.__enter__()
        orders: dict[str, Any] = {
            "id": before.order_id,
            "active": (client.orders.active())[0],
            "order": client.orders.get(before.order_id),
            "created": before.order,
            "rental": before,
        }
        rental = client.orders.attach(orders[kind])
        with pytest.raises(ClientStateError, match="no number yet"):
            _ = rental.order
        with rental:
            assert (rental.order_id, rental.phone_number) == (before.order_id, before.phone_number)
            assert (rental.sms, rental.released, rental.release_error) == (None, None, None)
        assert rental.released is Released.CANCELED
        with pytest.raises(ClientStateError, match="used before"):
            rental.__enter__()
    assert sandbox.requests[GET] == 1 + (kind in ("id", "active"))


def test_an_order_without_its_number_is_read() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        with client.orders.attach(CreatedOrder(id=order_id)) as rental:
            assert rental.phone_number is not None
            assert rental.order.expires_at is not None
        assert rental.released is Released.LEFT_TO_EXPIRE


@pytest.mark.parametrize("read", [True, False])
def test_a_message_that_the_order_has_counts_as_received(read: bool, generation: Any) -> None:
    sandbox = still_sandbox(otp_after=0, generation=generation)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        order = client.orders.get(order_id)
        with client.orders.attach(order_id if read else order) as rental:
            assert rental.sms is not None
            assert rental.sms.code == order.otp_code
            assert (rental.wait_for_otp()).code == order.otp_code
        assert rental.released is Released.FINISHED
    assert (sandbox.requests[CANCEL], sandbox.requests[FINISH]) == (0, 1)


@pytest.mark.parametrize("read", [True, False])
def test_an_order_that_has_ended_cannot_be_attached_to(read: bool) -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        client.orders.finish(order_id)
        order = client.orders.get(order_id)
        rental = client.orders.attach(order_id if read else order)
        with pytest.raises(OrderTerminalError, match="has ended as COMPLETED") as ended:
            rental.__enter__()
        assert (ended.value.order_id, ended.value.status) == (order_id, "COMPLETED")
        assert ended.value.order == order == rental.order
        assert (rental.released, rental.release_error) == (Released.ALREADY_RELEASED, None)
        assert rental.sms is not None
        assert rental.sms.code == order.otp_code
        assert len(client._driver.open_rentals) == 0
    assert sandbox.requests[FINISH] == 1


def test_a_rental_that_was_given_back_cannot_be_attached_to() -> None:
    sandbox = still_sandbox(otp_after=None, cancel_after=0)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            pass
        with pytest.raises(OrderTerminalError, match="has ended as CANCELED"):
            client.orders.attach(rental).__enter__()


def test_an_order_of_nobody_here_cannot_be_attached_to() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        rental = client.orders.attach(4711)
        with pytest.raises(NotFoundError):
            rental.__enter__()
        assert rental.released is None
        assert len(client._driver.open_rentals) == 0


def test_a_rental_that_is_attached_to_hands_on_what_it_knows() -> None:
    sandbox = still_sandbox(otp_after=None, resend_cooldown=0)
    with VirtualClient(sandbox) as client:
        before = client.orders.rent(catalog_product_id=87)
        before.__enter__()
        sandbox.deliver_sms(before.order_id, code="123456")
        before.wait_for_otp()
        before.resend()
        with client.orders.attach(before, release_timeout=600) as rental:
            assert rental.sms == before.sms is not None
            with pytest.raises(OtpTimeoutError):
                rental.wait_for_otp(timeout=5)
            sandbox.deliver_sms(rental.order_id, code="654321")
        assert rental.released is Released.FINISHED
        assert rental.sms is not None
        assert rental.sms.code == "654321"


def test_a_message_that_came_after_a_resend_of_another_program_is_not_lost() -> None:
    sandbox = still_sandbox(otp_after=None, resend_cooldown=0)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        sandbox.deliver_sms(order_id, code="123456")
        client.orders.resend(order_id)
        with client.orders.attach(order_id) as rental:
            sandbox.deliver_sms(order_id, code="654321")
        assert rental.released is Released.FINISHED
        assert rental.sms is not None
        assert rental.sms.code == "654321"


def test_attaching_waits_to_cancel_and_reads_for_as_long_as_it_is_told() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = VirtualClient(sandbox)
    order_id = rent(client)
    with client.orders.attach(order_id, release_timeout=200) as rental:
        pass
    assert rental.released is Released.CANCELED
    assert 120 <= sum(client.runtime.slept) <= 125
    script = Script([LOST] * 100)
    other = VirtualClient(sandbox, transport=script)
    began = other.runtime.now()
    with pytest.raises(NetworkError):
        other.orders.attach(order_id, timeout=0.5).__enter__()
    assert other.runtime.now() - began <= 0.5


def test_what_is_no_order_is_not_attached_to() -> None:
    client = VirtualClient(still_sandbox())
    wrong: Any
    for wrong in (True, "1001", 1.0, None, client):
        with pytest.raises(InvalidArgumentError, match="order: expected an order's id, an order, or a"):
            client.orders.attach(wrong)
    for wrong in (0, -1, 2**63):
        with pytest.raises(InvalidArgumentError, match="order: expected a positive int"):
            client.orders.attach(wrong)
    wrong = -1
    with pytest.raises(InvalidArgumentError, match="release_timeout: expected"):
        client.orders.attach(1001, release_timeout=wrong)
    with pytest.raises(ClientStateError, match="no number yet"):
        client.orders.attach(client.orders.rent(catalog_product_id=87))


# -- closing with numbers that are open ------------------------------------------------------------


def test_a_client_that_closes_with_open_numbers_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = still_sandbox(otp_after=None)
    told: list[object] = []
    client = VirtualClient(sandbox, on_event=told.append)
    with client.orders.rent(catalog_product_id=87) as left:
        pass
    assert left.released is Released.LEFT_TO_EXPIRE
    order_id = rent(client)
    client.orders.attach(order_id).__enter__()
    before = len(told), sum(sandbox.requests.values())
    client.close()
    client.close()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("smscode", "WARNING")
    assert record.getMessage() == (
        f"The client was closed with 2 rented numbers still open: order {left.order_id} (expires 2026-06-14"
        f" 04:20:12 UTC), order {order_id} (expires 2026-06-14 04:20:12 UTC). To give a number back use"
        " orders.attach(order_id) of a new client in a with block; otherwise its order expires and is"
        " refunded if no SMS came."
    )
    assert (len(told), sum(sandbox.requests.values())) == before


def test_a_client_says_nothing_of_numbers_that_are_not_open(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        rent(client)  # for no block
        with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, code="123456")
        for settle in (client.orders.cancel, client.orders.get):
            with client.orders.rent(catalog_product_id=87) as rental:
                pass
            assert rental.released is Released.LEFT_TO_EXPIRE
            client.runtime.pass_by(130 if settle == client.orders.cancel else 1300)
            settle(rental.order_id)
            assert rental.order_id not in client._driver.open_rentals
        with client.orders.rent(catalog_product_id=87) as rental:
            pass
        client.runtime.pass_by(1300)
    assert caplog.records == []


def test_a_number_that_could_not_be_given_back_is_open(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        sandbox.fail_next("orders.finish", "UNAUTHORIZED")
        with pytest.raises(UnauthorizedError):
            with client.orders.rent(catalog_product_id=87):
                pass
    (record,) = caplog.records
    assert "1 rented number still open: order 1001 (" in record.getMessage()


def test_a_block_around_a_closed_client_says_so() -> None:
    sandbox: Sandbox = still_sandbox(otp_after=0)
    client = VirtualClient(sandbox)
    rental = client.orders.rent(catalog_product_id=87)
    with pytest.raises(ClientStateError):
        with rental:
            client.close()
    assert rental.released is None
    assert isinstance(rental.release_error, ClientStateError)


# -- which message counts after a resend where none are counted -------------------------------------


@pytest.mark.parametrize("seen", [True, False])
def test_after_a_resend_a_message_without_a_code_is_not_given_out_again(
    seen: bool, generation: Any
) -> None:
    sandbox = still_sandbox(otp_after=None, generation=generation)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            sandbox.deliver_sms(rental.order_id, text="Welcome!")
            if seen:
                assert (rental.wait_for_sms()).text == "Welcome!"
            rental.resend()
            with pytest.raises(OtpTimeoutError):
                rental.wait_for_sms(timeout=10)
            sandbox.deliver_sms(rental.order_id, text="Code 482913", code="482913")
            assert (rental.wait_for_otp(timeout=10)).code == "482913"


def test_a_late_webhook_of_the_first_code_does_not_end_the_wait_for_the_third() -> None:
    sandbox = still_sandbox(otp_after=None, generation="documented")
    with VirtualClient(sandbox, poll_interval=3.0) as client:
        with client.orders.rent(catalog_product_id=87) as rental:
            late = webhooks.OtpReceived(timestamp=sandbox.now, order_id=rental.order_id, otp_code="111111")
            for code in ("111111", "222222"):
                sandbox.deliver_sms(rental.order_id, code=code)
                assert (rental.wait_for_otp(timeout=10)).code == code
                client.runtime.pass_by(65)
                rental.resend()
            client.notify(late)
            with pytest.raises(OtpTimeoutError):
                rental.wait_for_otp(timeout=10)
            again = webhooks.OtpReceived(timestamp=sandbox.now, order_id=rental.order_id, otp_code="222222")
            client.notify(again)
            assert (rental.wait_for_otp(timeout=10)).code == "222222", "sent after the resend"


def test_an_order_that_ended_in_an_unknown_state_is_not_given_back_again() -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=transport, api_version="v1") as client:
        rental = client.orders.rent(catalog_product_id=87)
        rental.__enter__()
        row: dict[str, Any] = {"id": rental.order_id, "status": "REFUNDED", "product_id": 1, "amount": 1}
        row |= dict.fromkeys(("created_at", "otp_code", "otp_received_at", "failed_reason", "canceled_at"))
        row |= {"phone_number": "+62812", "expires_at": "2026-06-14T03:00:00Z"}
        transport.add(success([]), success(row))
        with pytest.raises(OrderTerminalError) as caught:
            rental.wait_for_otp()
        assert caught.value.status == "REFUNDED"
        rental.__exit__(None, None, None)
        assert rental.released is Released.ALREADY_RELEASED
    assert len(transport.requests) == 3


def test_a_rental_or_any_model_of_its_order_stands_for_the_id() -> None:
    sandbox = still_sandbox(otp_after=10)
    with VirtualClient(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with pytest.raises(ClientStateError, match="no number yet"):
            client.orders.get(rental)
        with rental:
            sms = client.orders.wait_for_otp(rental)
            order = client.orders.get(rental)
            assert order == client.orders.get(rental.order) == client.orders.get(sms)
            (active,) = client.orders.active()
            assert client.orders.wait_for_sms(active, timeout=0)
            outcomes = [outcome for outcome in client.orders.otps([order, rental], timeout=0)]
            assert [outcome.order_id for outcome in outcomes] == [order.id]
            assert (client.orders.finish(rental)).order_id == order.id
