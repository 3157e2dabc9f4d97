"""Whatever is done with the sandbox, its ledger adds up and its orders only do what orders may do.

200 runs, or as many as ``SMSCODE_SANDBOX_RUNS`` says: ``nox -s invariants`` makes 5,000.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from smscode.core.api.call import Response
from smscode.models import OrderStatus
from smscode.sandbox import AbuseGuard, Behaviour, Delivery, Message, Sandbox
from smscode.sandbox.control.audit import audit
from smscode.sandbox.http.api_error import Problem
from smscode.sandbox.http.app import App
from smscode.sandbox.http.deferred import Deferred
from smscode.sandbox.service import order_book
from smscode.sandbox.service.orders import ServiceOrder

from .harness import START, URL

RUNS = int(os.environ.get("SMSCODE_SANDBOX_RUNS", "200"))
OPENING = 400_000
ACTIVE, OTP_RECEIVED = OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED
COMPLETED, CANCELED, EXPIRED = OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED

TRANSITIONS: Mapping[tuple[OrderStatus, bool], set[OrderStatus]] = {
    (ACTIVE, False): {OTP_RECEIVED, CANCELED, EXPIRED},
    (OTP_RECEIVED, True): {OTP_RECEIVED, ACTIVE, COMPLETED},
    (ACTIVE, True): {OTP_RECEIVED, COMPLETED, ACTIVE},  # the last by another resend, which changes nothing
}
"""Where an order may go from a status, without and with an SMS: the table of the service's semantics."""

Step: TypeAlias = tuple[OrderStatus, bool, OrderStatus]
MESSAGES = [
    None,
    (),
    (),
    (Message(0.0),),
    (Message(30.0, "Click here"), Message(60.0)),
    (Message(130.0),),
    (Message(1200.0),),
]
BEHAVIOURS = [
    Behaviour(),
    Behaviour(takes=90.0),
    Behaviour(takes=5.0, messages=(), at_most=1),
    Behaviour(outcome="no_numbers"),
    Behaviour(outcomes={"alpha": "provider_unavailable"}, at_most=2),
    Behaviour(problem=Problem("PROVIDER_ERROR", "No", 422)),
    Behaviour(messages=(Message(1.0),), cancel="provider_error", resend="provider_error"),
]
WISHES: list[dict[str, Any]] = [
    {"product_id": 142},
    {"product_id": 9999},
    {"catalog_product_id": 87},
    {"catalog_product_id": 87, "policy": "best_success"},
    {"catalog_product_id": 87, "operator_id": 2},
    {"catalog_product_id": 120},
    {"catalog_product_id": 121},
]


class Watched(ServiceOrder):
    """An order that remembers each change of its status; what it begins with is no change."""

    steps: ClassVar[dict[int, list[Step]]] = {}

    def __setattr__(self, name: str, value: object) -> None:
        if name == "status" and hasattr(self, "number_free"):  # the last field, so it is all there
            assert isinstance(value, OrderStatus)
            self.steps.setdefault(self.id, []).append((self.status, self.sms_revision > 0, value))
        super().__setattr__(name, value)


OPTIONS: dict[str, Any] = {
    "balance": OPENING,
    "clock": lambda: START,
    "rate_limits": {"create": 25, "cancels_per_day": 6},
    "abuse_guard": AbuseGuard(orders=12, ban=600),
}


def send(app: App, method: str, target: str, headers: dict[str, str], body: bytes) -> Response | None:
    """Return the answer to a request, None for one that takes longer."""
    exchange = app.begin(method, target, headers, body)
    if isinstance(exchange.answer, Deferred) and app.until_settled(exchange) > 0:
        return None
    return app.complete(exchange)


class Service(RuleBasedStateMachine):
    """Everything that can be done with a sandbox, in any order."""

    def __init__(self) -> None:
        super().__init__()
        Watched.steps.clear()
        self.sandbox = self.make()
        self.app = self.sandbox.transport().app
        self.world = self.app.world
        self.events: Counter[str] = Counter()
        self.results: dict[tuple[str, str], Any] = {}
        self.stock = {tier.id: tier.stock for tier in self.world.catalog.tiers.values()}
        self.revisions: dict[int, tuple[int, object]] = {}
        self.runs_out = False
        self.ask("PATCH", "/webhook", webhook_url=URL)

    def make(self) -> Sandbox:
        return Sandbox(**OPTIONS, deliver=self.deliver)

    def deliver(self, delivery: Delivery) -> int:
        self.events[json.loads(delivery.body)["event"]] += 1
        return 204

    def ask(self, method: str, path: str, key: str | None = None, version: str = "v1", **fields: Any) -> Any:
        """Send a request and return its data, None for a refusal or an answer that takes longer."""
        headers = {"authorization": f"Bearer {self.sandbox.token}"}
        if key is not None:
            headers["idempotency-key"] = key
        body = json.dumps(fields).encode() if fields else b""
        response = self.send(method, f"/{version}{path}", headers, body)
        if response is None:
            return None
        answer = json.loads(response.body)
        assert answer["success"] is (response.status_code == 200)
        assert response.status_code < 500 or answer["error"]["code"] == "FX_RATE_UNAVAILABLE"
        return answer.get("data")

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response | None:
        return send(self.app, method, target, headers, body)

    def some_order(self, data: st.DataObject, *statuses: OrderStatus) -> int:
        """Draw an order, in one of some states if there is one."""
        orders = self.world.orders.values()
        fitting = [order.id for order in orders if order.status in statuses]
        return data.draw(st.sampled_from(fitting or list(self.world.orders) or [1001]), label="order")

    def bought(self, operation: str, key: str | None, result: Any, quantity: int) -> None:
        """Hold a purchase against the first answer for the same key."""
        if result is None:
            return
        assert len(result["orders"]) + result["failed_count"] == quantity
        assert all(order["status"] == "ACTIVE" and order["otp_code"] is None for order in result["orders"])
        if key is not None:
            ids = [order["id"] for order in result["orders"]]
            assert self.results.setdefault((operation, key), (quantity, ids)) == (quantity, ids)

    # -- what can be done --------------------------------------------------------------------

    versions = st.sampled_from(["v1", "v2"])
    keys = st.none() | st.sampled_from(["a", "b", "c"])

    def create(self, version: str, key: str | None, quantity: int, wish: dict[str, Any]) -> None:
        result = self.ask("POST", "/orders/create", key, version, quantity=quantity, **wish)
        self.bought("create", key, result, quantity)

    @rule(version=versions, messages=st.sampled_from(MESSAGES))
    def rent_one(self, version: str, messages: tuple[Message, ...] | None) -> None:
        self.rent(version, messages)

    def rent(self, version: str, messages: tuple[Message, ...] | None) -> None:
        self.sandbox.set_behaviour(Behaviour(messages=messages))
        self.create(version, None, 1, {"product_id": 142})
        self.sandbox.set_behaviour(Behaviour())

    @rule(
        version=versions,
        key=keys,
        quantity=st.integers(1, 4),
        wish=st.sampled_from(WISHES),
        behaviour=st.sampled_from(BEHAVIOURS),
    )
    def purchase(
        self, version: str, key: str | None, quantity: int, wish: dict[str, Any], behaviour: Behaviour
    ) -> None:
        self.sandbox.set_behaviour(behaviour)
        self.create(version, key, quantity, wish)
        self.sandbox.set_behaviour(Behaviour())

    @rule(version=versions, key=keys, takes=st.sampled_from([0.0, 0.0, 90.0]), data=st.data())
    def reactivate(self, version: str, key: str | None, takes: float, data: st.DataObject) -> None:
        order_id = self.some_order(data, COMPLETED)
        self.ask("GET", f"/orders/{order_id}/reactivate-options", version=version)
        self.sandbox.set_behaviour(Behaviour(takes=takes, messages=()))
        self.bought("reactivate", key, self.ask("POST", "/orders/reactivate", key, version, id=order_id), 1)
        self.sandbox.set_behaviour(Behaviour())

    @rule(version=versions, data=st.data())
    def cancel(self, version: str, data: st.DataObject) -> None:
        self.ask("POST", "/orders/cancel", version=version, id=self.some_order(data, ACTIVE))

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.ask("POST", "/orders/finish", id=self.some_order(data, OTP_RECEIVED, ACTIVE))

    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        self.ask("POST", "/orders/resend", id=self.some_order(data, OTP_RECEIVED))

    @rule(version=versions, action=st.sampled_from(["cancel", "finish", "resend"]), data=st.data())
    def act_on_any(self, version: str, action: str, data: st.DataObject) -> None:
        self.ask("POST", f"/orders/{action}", version=version, id=self.some_order(data))

    @rule(data=st.data(), text=st.none() | st.just("Click here"))
    def receive(self, data: st.DataObject, text: str | None) -> None:
        order_id = self.some_order(data, ACTIVE, OTP_RECEIVED)
        if order_id in self.world.open:
            self.sandbox.deliver_sms(order_id, text=text)

    @rule(seconds=st.sampled_from([2, 31, 120, 120, 700]))
    def wait(self, seconds: float) -> None:
        self.sandbox.advance(seconds)

    @rule(seconds=st.sampled_from([1200, 1200, 90_000]))
    def wait_for_the_end(self, seconds: float) -> None:
        self.sandbox.advance(seconds)

    @rule(version=versions)
    def wait_for_a_second_sms(self, version: str) -> None:
        self.rent(version, ())
        order_id = max(self.world.orders, default=1001)
        if order_id in self.world.open:
            self.sandbox.deliver_sms(order_id)
        self.ask("POST", "/orders/resend", version=version, id=order_id)

    @rule(version=versions, takes=st.sampled_from([0.0, 0.0, 90.0]), sms=st.booleans())
    def rent_the_same_number_again(self, version: str, takes: float, sms: bool) -> None:
        self.rent(version, (Message(0.0),))
        parent = max(self.world.orders, default=1001)
        self.ask("POST", "/orders/finish", version=version, id=parent)
        self.sandbox.set_behaviour(Behaviour(takes=takes, messages=(Message(9.0),) if sms else ()))
        self.bought("reactivate", None, self.ask("POST", "/orders/reactivate", version=version, id=parent), 1)
        self.sandbox.set_behaviour(Behaviour())

    @rule(path=st.sampled_from(["/orders", "/orders/active", "/balance"]), data=st.data())
    def read_without_a_rate(self, path: str, data: st.DataObject) -> None:
        self.sandbox.set_rate(None)
        self.ask("GET", path, version="v2")
        self.ask("POST", "/orders/cancel", version="v2", id=self.some_order(data, ACTIVE))
        self.ask("POST", "/orders/create", version="v2", product_id=142)
        self.sandbox.set_rate(16_250)

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def the_ledger_adds_up(self) -> None:
        found = audit(self.world.ledger, self.world.orders)
        assert found.discrepancies == ()
        assert (found.opening_balance, found.closing_balance) == (OPENING, self.world.ledger.balance)
        assert found.held == sum(order.amount for order in self.world.open.values())

    @invariant()
    def orders_only_do_what_orders_may_do(self) -> None:
        for order_id, steps in Watched.steps.items():
            for old, delivered, new in steps:
                assert new in TRANSITIONS.get((old, delivered), set()), (order_id, old, delivered, new)
        for order in self.world.orders.values():
            before, first = self.revisions.get(order.id, (0, None))
            assert order.sms_revision >= before
            assert first in (None, order.otp_received_at), "the time of the first SMS never moves"
            self.revisions[order.id] = (order.sms_revision, order.otp_received_at)
            assert (order.sms_revision > 0) == (order.otp_message is not None)
            assert (order.canceled_at is not None) == (order.status is CANCELED)

    @invariant()
    def every_change_is_told(self) -> None:
        news = Counter(new for steps in Watched.steps.values() for _, _, new in steps)
        assert self.events["order.otp_received"] == news[OTP_RECEIVED]
        assert self.events["order.completed"] == news[COMPLETED]
        assert self.events["order.canceled"] == news[CANCELED]
        assert self.events["order.expired"] == news[EXPIRED]

    @invariant()
    def what_is_held_is_what_is_open(self) -> None:
        orders = self.world.orders.values()
        assert list(self.world.open) == [order.id for order in orders if not order.status.terminal]
        held = Counter(order.tier.id for order in self.world.open.values() if order.parent_id is None)
        stock = {tier.id: tier.stock for tier in self.world.catalog.tiers.values()}
        left = {id_: full - held[id_] for id_, full in self.stock.items()}
        if self.runs_out:
            assert all(number <= left[id_] for id_, number in stock.items())
        else:
            assert stock == left
        assert min(stock.values()) >= 0
        numbers = [order.phone_number for order in self.world.open.values()]
        assert len(set(numbers)) == len(numbers), "nobody shares a number"

    @invariant()
    def nothing_lives_longer_than_it_should(self) -> None:
        now = self.sandbox.now
        assert all(now < order.expires_at for order in self.world.open.values())
        settling = self.world.settling.values()
        assert all(now < purchase.ready_at for purchase in settling)
        unsettled = {key for key, record in self.world.keys.records.items() if record.result is None}
        assert unsettled == {(purchase.scope, purchase.key) for purchase in settling if purchase.key}
        due = self.world.next_due()
        assert due is None or due <= now + timedelta(seconds=1200)


def test_the_ledger_adds_up_and_orders_do_what_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_book, "ServiceOrder", Watched)
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=30,
            deadline=None,
            derandomize=RUNS == 200,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
