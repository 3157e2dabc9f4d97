# Generated from tests/_async/test_notify.py by `nox -s generate`: change that file, not this one.

"""Webhooks fed to the waits, and the codes of several orders as they come."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smscode import (
    Client,
    InvalidArgumentError,
    NotFoundError,
    OrderTerminalError,
    OtpTimeoutError,
    Sms,
    UnauthorizedError,
    webhooks,
)
from smscode._concurrency import Runtime
from smscode.core.waiting.sms_wait import OtpOutcome
from smscode.sandbox import Delivery, Sandbox

from ..concurrency import VirtualClient
from .helpers import ACTIVE, START, WHATSAPP_INDONESIA, rent, still_sandbox, until

pytestmark = pytest.mark.anyio

URL = "https://example.com/webhook"


def event(kind: Any, order_id: int, code: str | None, revision: int | None = None) -> Any:
    return kind(
        timestamp=START,
        order_id=order_id,
        phone_number=None,
        otp_code=code,
        otp_message=None if code is None else f"Your code is {code}",
        product_id=1,
        catalog_product_id=None,
        country=None,
        platform=None,
        sms_revision=revision,
    )


class Meanwhile(httpx.BaseTransport):
    """A sandbox during whose answers to a path something else happens; ``then`` may change them."""

    def __init__(self, sandbox: Sandbox, path: str) -> None:
        self._inner = sandbox.transport()
        self._path = path
        self.meanwhile: Any = lambda: None
        self.then: httpx.Response | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if not request.url.path.endswith(self._path):
            return response
        self.meanwhile()
        return self.then or response


def test_a_webhook_ends_a_wait_without_a_poll() -> None:
    sandbox = Sandbox(otp_after=None)
    transport: httpx.BaseTransport = sandbox.transport()
    with Client(sandbox.token, transport=transport, poll_interval=600) as client:
        codes: list[str | None] = []
        created = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, quantity=3)
        ids = [order.id for order in created]

        def each(order_id: int) -> None:
            if order_id:
                codes.append((client.orders.wait_for_otp(order_id, timeout=60)).code)
                return
            until(
                lambda: (
                    sandbox.requests[ACTIVE] and len(client._ordering.waits._shared_poll._participants) == 3
                )
            )
            for number in reversed(ids):
                client.notify(event(webhooks.OtpReceived, number, str(number)))

        Runtime().for_each(each, [*ids, 0])
    assert sorted(codes, key=str) == [str(number) for number in ids]
    assert sandbox.requests[ACTIVE] == 1


def test_a_webhook_that_came_before_the_answer_to_the_purchase_is_found() -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Meanwhile(sandbox, "/create")
    with VirtualClient(sandbox, transport=transport) as client:
        transport.meanwhile = lambda: client.notify(event(webhooks.OtpReceived, 1002, "123456", 1))
        order_id = (rent(client), rent(client))[1]
        for _ in range(2):
            sms = client.orders.wait_for_otp(order_id, timeout=0)
            assert (order_id, sms.code, sms.revision) == (1002, "123456", 1)
    assert sandbox.requests[ACTIVE] == 0


def test_what_the_service_sends_is_what_notify_takes() -> None:
    bodies: list[Delivery] = []

    def deliver(delivery: Delivery) -> int:
        bodies.append(delivery)
        return 200

    sandbox = still_sandbox(otp_after=10, deliver=deliver)
    with VirtualClient(sandbox) as client:
        client.webhook.update(url=URL, secret="a secret")
        order_id = rent(client)
        sandbox.advance(10)
        client.webhook.test()
        assert sandbox.wait_for_deliveries()
        for delivery in bodies * 2:
            signature = delivery.headers["X-Webhook-Signature"]
            client.notify(webhooks.receive(delivery.body, signature, "a secret"))
        sms = client.orders.wait_for_otp(order_id)
        assert sandbox.requests[ACTIVE] == 0
        assert sms.code == (client.orders.get(order_id)).otp_code
        client.orders.resend(order_id)
        newer = client.orders.wait_for_otp(
            order_id, after_revision=sms.revision, after_code=sms.code, timeout=60
        )
        assert newer.code != sms.code
        assert sandbox.requests[ACTIVE] == 5


@pytest.mark.parametrize("kind", [webhooks.OrderExpired, webhooks.OrderCanceled])
def test_an_end_that_a_webhook_told_ends_the_wait(kind: Any) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        client.notify(event(kind, 1001, None))
        with pytest.raises(OrderTerminalError) as caught:
            client.orders.wait_for_sms(1001)
    assert getattr(caught.value.order, "id", None) == 1001
    assert sandbox.requests[ACTIVE] == 0


def test_a_code_that_a_webhook_brought_outlives_the_failure_of_the_poll() -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = Meanwhile(sandbox, "/active")
    with VirtualClient(sandbox, transport=transport) as client:
        order_id = rent(client)
        transport.then = httpx.Response(
            401, json={"success": False, "error": {"code": "UNAUTHORIZED", "message": "no"}}
        )
        transport.meanwhile = lambda: client.notify(event(webhooks.OtpReceived, order_id, "123456"))
        assert (client.orders.wait_for_otp(order_id)).code == "123456"


def test_only_events_are_taken() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        client.notify(webhooks.WebhookTest(START, "ping"))
        client.notify(webhooks.UnknownEvent("order.paused", START, {"order_id": 1001}))
        with pytest.raises(InvalidArgumentError, match=r"event: expected an event of smscode\.webhooks"):
            client.notify({"event": "order.expired"})  # type: ignore[arg-type]  # that is the point


def test_the_errors_of_a_wait_show_the_order() -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=60)
    with VirtualClient(sandbox) as client:
        order_id = rent(client)
        with pytest.raises(OtpTimeoutError) as late:
            client.orders.wait_for_otp(order_id, timeout=5)
        with pytest.raises(OrderTerminalError) as ended:
            client.orders.wait_for_otp(order_id)
        assert late.value.order is not None
        assert ended.value.order == client.orders.get(order_id)


# -- several orders at once ------------------------------------------------------------------------


def test_codes_are_given_as_they_come() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        ids = [rent(client) for _ in range(3)]
        seen: list[OtpOutcome] = []
        client.notify(event(webhooks.OtpReceived, ids[1], "111"))
        for outcome in client.orders.otps([*ids, ids[0]]):
            seen.append(outcome)
            if outcome.order_id == ids[1]:
                assert sandbox.requests[ACTIVE] == 0
                sandbox.deliver_sms(ids[2], code="222")
            elif outcome.order_id == ids[2]:
                sandbox.deliver_sms(ids[0], code="333")
    assert [(one.order_id, one.sms and one.sms.code, one.error) for one in seen] == [
        (ids[1], "111", None),
        (ids[2], "222", None),
        (ids[0], "333", None),
    ]
    assert sandbox.requests[ACTIVE] == 2


def test_an_order_without_a_code_does_not_end_the_others() -> None:
    sandbox = still_sandbox(otp_after=10, cancel_after=0)
    with VirtualClient(sandbox) as client:
        canceled, good = rent(client), rent(client)
        client.orders.cancel(canceled)
        outcomes = [outcome for outcome in client.orders.otps([canceled, 999, good])]
    by_order = {outcome.order_id: outcome for outcome in outcomes}
    assert isinstance(by_order[canceled].error, OrderTerminalError)
    assert isinstance(by_order[999].error, NotFoundError)
    assert isinstance(by_order[good].sms, Sms)
    assert outcomes[2].order_id == good
    assert sandbox.requests[ACTIVE] == 5


@pytest.mark.parametrize(("timeout", "polls"), [(0, 1), (5, 2)])
def test_what_did_not_come_in_time_is_said_last(timeout: float, polls: int) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        ids = [rent(client) for _ in range(3)]
        sandbox.deliver_sms(ids[1], code="123456")
        outcomes = [outcome for outcome in client.orders.otps(ids, timeout=timeout)]
    assert [outcome.order_id for outcome in outcomes] == [ids[1], ids[0], ids[2]]
    assert [isinstance(outcome.error, OtpTimeoutError) for outcome in outcomes] == [False, True, True]
    assert sandbox.requests[ACTIVE] == polls


def test_whoever_stops_early_is_in_nobodys_way_and_leaves_nothing_behind() -> None:
    sandbox = still_sandbox(otp_after=0)
    with VirtualClient(sandbox) as client:
        ids = [rent(client) for _ in range(3)]
        codes = client.orders.otps(ids)
        for outcome in codes:
            assert outcome.sms is not None
            break
        board = client._ordering.waits._shared_poll
        assert board._leader is None
        assert (client.orders.wait_for_otp(ids[2])).code is not None
        codes.close()
        assert (len(board._participants), board._leader) == (0, None)


def test_others_poll_on_while_a_code_is_looked_at() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        first, second = rent(client), rent(client)
        sandbox.deliver_sms(first, code="111111")
        for outcome in client.orders.otps([first, second], timeout=600):
            if outcome.order_id == first:
                sandbox.deliver_sms(second, code="222222")
                assert (client.orders.wait_for_otp(second)).code == "222222"
            else:
                assert outcome.sms is not None
    assert sandbox.requests[ACTIVE] == 2  # the other's poll was looked at here, too


def test_no_orders_have_no_codes() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        assert [outcome for outcome in client.orders.otps([])] == []
        with pytest.raises(InvalidArgumentError, match="order_id: expected a positive int"):
            client.orders.otps([1001, 0])
    assert sandbox.requests[ACTIVE] == 0


def test_a_failure_that_concerns_all_orders_is_raised() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("orders.active", "UNAUTHORIZED", times=100)
    with VirtualClient(sandbox) as client:
        with pytest.raises(UnauthorizedError):
            [outcome for outcome in client.orders.otps([1001, 1002])]
