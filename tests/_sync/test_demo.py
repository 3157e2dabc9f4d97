# Generated from tests/_async/test_demo.py by `nox -s generate`: change that file, not this one.

"""What the demonstration does with a client."""

from __future__ import annotations

import io
from typing import Literal

import httpx
import pytest

from smscode import Client, OtpTimeoutError, UnauthorizedError
from smscode.demo.report import DemoProgress
from smscode.sandbox import Sandbox

from ..concurrency import Demo, VirtualClient
from .helpers import Script, body_of, still_sandbox, success

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def quick_client(sandbox: Sandbox, version: Version) -> Client:
    transport: httpx.BaseTransport = sandbox.transport()
    return Client(sandbox.token, transport=transport, api_version=version, poll_interval=0.005)


def test_all_numbers_are_rented_awaited_and_finished(version: Version) -> None:
    sandbox = Sandbox(otp_after=0.01)
    terminal = Terminal()
    with quick_client(sandbox, version) as client:
        done = Demo.rent_all(client, DemoProgress(12, terminal))
    assert len({rental.order.id for rental in done.rentals}) == 12
    assert all(rental.code and rental.finished and rental.seconds > 0 for rental in done.rentals)
    assert done.errors == ()
    assert done.spent == done.charged == 1_000_000 - sandbox.balance > 0
    assert terminal.getvalue().endswith("rented 12/12   codes 12/12   finished 12/12")


def test_a_number_that_fails_is_reported_and_the_others_go_on(version: Version) -> None:
    sandbox = Sandbox(otp_after=0.01)
    sandbox.fail_next("orders.create", "UNAUTHORIZED", times=2)
    with quick_client(sandbox, version) as client:
        done = Demo.rent_all(client, DemoProgress(5, io.StringIO()))
    assert (len(done.rentals), len(done.errors)) == (3, 2)
    assert {type(error) for error in done.errors} == {UnauthorizedError}
    assert done.spent == done.charged


def test_one_number_is_waited_for_a_minute(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    progress = DemoProgress(1, Terminal())
    with VirtualClient(sandbox, api_version=version) as client:
        product = (client.catalog.products()).items[0]
        began = client.runtime.now()
        with pytest.raises(OtpTimeoutError):
            Demo.rent_one(client, product, progress)
        assert client.runtime.now() - began == 60
    assert sandbox.requests["POST /orders/finish"] == 0


def test_one_number_costs_at_most_what_was_shown(version: Version) -> None:
    sandbox = still_sandbox()
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script, api_version=version) as client:
        product = (client.catalog.products()).items[-1]
        rental = Demo.rent_one(client, product, DemoProgress(1, io.StringIO()))
    limit = product.price.as_max_price()
    assert body_of(script.requests[1])["max_price"] == (limit if version == "v1" else str(limit))
    assert rental.order.amount is not None
    assert rental.order.amount <= product.price
    assert rental.finished


def test_a_number_counts_as_finished_only_if_the_service_says_so() -> None:
    sandbox = still_sandbox(otp_after=0)

    class Undecided(Script):
        """Leaves every order as it is."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/finish"):
                return success({"order_id": 1001, "status": "OTP_RECEIVED"})
            return super().handle_request(request)

    undecided = Undecided([], sandbox.transport())
    with VirtualClient(sandbox, transport=undecided) as client:
        product = (client.catalog.products()).items[0]
        rental = Demo.rent_one(client, product, DemoProgress(1, io.StringIO()))
    assert not rental.finished
