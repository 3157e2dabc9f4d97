# Generated from tests/_async/test_rate_limiter.py by `nox -s generate`: change that file, not this one.

"""Rate limits of clients, in virtual time: calls wait, and clients of one account share."""

from __future__ import annotations

import logging

import httpx
import pytest

from smscode import Client, InvalidArgumentError, NotFoundError, RateLimitError, RateLimits
from smscode._concurrency import Runtime
from smscode.events import ClientEvent, RequestFailed, RequestSent
from smscode.sandbox import Sandbox

from ..concurrency import VirtualClient
from .helpers import Script, refusal, still_sandbox, success, until

pytestmark = pytest.mark.anyio

PERIOD = 60.25
FEW = RateLimits(balance=2)


def test_a_call_beyond_the_limit_waits_for_a_window() -> None:
    with VirtualClient(still_sandbox(), rate_limits=FEW, timeout=100) as client:
        start = client.runtime.now()
        for _ in range(2):
            client.balance()
        assert client.runtime.now() == start
        client.balance()
        assert client.runtime.now() == pytest.approx(start + PERIOD)


def test_other_groups_do_not_wait() -> None:
    with VirtualClient(still_sandbox(), rate_limits=FEW) as client:
        start = client.runtime.now()
        for _ in range(2):
            client.balance()
        client.catalog.countries()
        assert client.runtime.now() == start


def test_a_wait_beyond_the_deadline_is_refused_at_once() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox, rate_limits=FEW) as client:
        start = client.runtime.now()
        for _ in range(2):
            client.balance()
        with pytest.raises(RateLimitError, match=r"rate limit of balance \(2 per 60 s\)") as raised:
            client.balance(timeout=60)
        assert client.runtime.now() == start
        assert raised.value.retry_after == pytest.approx(PERIOD)
        assert (raised.value.outcome, raised.value.attempts) == ("not_sent", 0)
        assert sandbox.requests["GET /balance"] == 2


def test_without_limits_nobody_waits() -> None:
    with VirtualClient(still_sandbox(rate_limits=False), rate_limits=None) as client:
        start = client.runtime.now()
        for _ in range(700):
            client.balance()
        assert client.runtime.now() == start


def test_a_refusal_holds_up_its_group_and_no_other() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", retry_after=40)
    with VirtualClient(sandbox, timeout=100) as client:
        start = client.runtime.now()
        with pytest.raises(RateLimitError):
            client.balance(timeout=10)
        client.catalog.countries()
        assert client.runtime.now() == start
        client.balance()
        assert client.runtime.now() == pytest.approx(start + 42)  # half of the jitter of a tenth


class Refusal(httpx.BaseTransport):
    """Refuses the first request as soon as others wait for its connection; notes when each came."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.client: VirtualClient
        self.arrivals: list[float] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.arrivals.append(self.client.runtime.now())
        if len(self.arrivals) > 1:
            return self._inner.handle_request(request)
        until(lambda: len(self.client._driver._connections._semaphore._waiters) == 4)
        return refusal(429, "RATE_LIMIT_EXCEEDED", headers={"retry-after": "20"})


def test_nobody_is_early_not_even_who_has_a_slot_and_waits_for_a_connection() -> None:
    sandbox = still_sandbox()
    transport = Refusal(sandbox)
    events: list[ClientEvent] = []
    client = VirtualClient(
        sandbox, transport=transport, max_connections=1, timeout=None, on_event=events.append
    )
    transport.client = client
    with client:
        start = client.runtime.now()

        def ask(number: int) -> None:
            if number:
                until(lambda: transport.arrivals)
                client.balance()
            else:
                with pytest.raises(RateLimitError):
                    client.balance(timeout=20)

        Runtime().for_each(ask, range(5))
    assert len(transport.arrivals) == 5
    assert transport.arrivals[0] == start
    assert min(transport.arrivals[1:]) >= start + 21
    held_up = [event.trouble for event in events if isinstance(event, RequestFailed)]
    assert set(held_up) == {"not sent"}
    assert [event.attempt for event in events if isinstance(event, RequestSent)] == [1] * (5 + len(held_up))


def test_a_shared_account_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", retry_after=1, times=5)
    with VirtualClient(sandbox, timeout=100) as client:
        with caplog.at_level(logging.WARNING, "smscode"):
            client.balance()
    said = [record for record in caplog.records if "something else seems to use" in record.getMessage()]
    assert len(said) == 1
    assert "group balance" in said[0].getMessage()
    assert sandbox.requests["GET /balance"] == 6


def test_a_refusal_by_a_proxy_holds_up_its_group_for_five_minutes_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = still_sandbox()
    script = Script([refusal(429, headers={"retry-after": "17812250"})], then=sandbox.transport())
    with VirtualClient(sandbox, transport=script, timeout=100) as client:
        start = client.runtime.now()
        for hint in (17_812_250, 300):
            with pytest.raises(RateLimitError) as raised:
                client.balance()
            assert raised.value.retry_after == pytest.approx(hint)
        assert len(script.requests) == 1
        for release in (client.orders.cancel, client.orders.finish):
            with pytest.raises(NotFoundError):
                release(404)
        assert client.runtime.now() == start
        client.balance(timeout=1000)
        assert client.runtime.now() == pytest.approx(start + 300)
    assert not [record for record in caplog.records if "something else seems to use" in record.getMessage()]


def test_a_hint_beyond_the_deadline_is_told_as_it_is() -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", retry_after=86_400)
    with VirtualClient(sandbox) as client:
        with pytest.raises(RateLimitError) as raised:
            client.balance(timeout=1000)  # five minutes of pause would fit into it
        assert raised.value.retry_after == 86_400
        assert sandbox.requests["GET /balance"] == 1


class SlowProbe(httpx.BaseTransport):
    """Refuses the first request; the second one is answered when it is told to."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.client: VirtualClient
        self.arrivals: list[float] = []
        self.go_on = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.arrivals.append(self.client.runtime.now())
        if len(self.arrivals) == 1:
            return refusal(429, "RATE_LIMIT_EXCEEDED", headers={"retry-after": "7"})
        if len(self.arrivals) == 2:
            until(lambda: self.go_on)
        return self._inner.handle_request(request)


def test_a_probe_without_an_answer_holds_up_its_group_for_ten_seconds() -> None:
    sandbox = still_sandbox()
    transport = SlowProbe(sandbox)
    client = transport.client = VirtualClient(sandbox, transport=transport, timeout=1000)
    with client:
        start = client.runtime.now()

        def ask(number: int) -> None:
            if number:
                until(lambda: len(transport.arrivals) == 2)
            client.balance()
            transport.go_on = True

        Runtime().for_each(ask, range(2))
    assert [arrival - start for arrival in transport.arrivals] == pytest.approx([0, 7.35, 17.35])


def test_clients_of_one_account_share_its_limits() -> None:
    def client(token: str = "token", **options: object) -> Client:
        answers = [success({"currency": "IDR", "balance": 5})] * 2
        return Client(token, transport=Script(answers), api_version="v1", rate_limits=FEW)

    with client() as one, client() as same, client("other") as other:
        one.balance()
        same.balance()
        for used_up in (one, same):
            with pytest.raises(RateLimitError):
                used_up.balance(timeout=1)
        other.balance()


def test_a_new_client_does_not_get_a_new_budget() -> None:
    for _ in range(2):
        script = Script([success({"currency": "IDR", "balance": 5})])
        with Client("token", transport=script, api_version="v1", rate_limits=FEW) as client:
            client.balance()
    with Client("token", transport=Script([]), api_version="v1", rate_limits=FEW) as client:
        with pytest.raises(RateLimitError):
            client.balance(timeout=1)


def test_the_strictest_limits_hold_for_all() -> None:
    sandbox = still_sandbox()
    with Client(sandbox.token, transport=sandbox.transport()) as generous:
        generous.balance()
        with Client(
            sandbox.token, transport=sandbox.transport(), rate_limits=RateLimits(balance=1)
        ):
            with pytest.raises(RateLimitError):
                generous.balance(timeout=1)


def test_what_is_no_limits_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"rate_limits: expected a smscode\.RateLimits, got 5"):
        Client("token", rate_limits=5)  # type: ignore[arg-type]  # that it is wrong is tested
