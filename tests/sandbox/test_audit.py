"""The audit: every rupiah is accounted for, and what does not add up is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve

from smscode.models import OrderStatus
from smscode.sandbox import Audit, AuditLine
from smscode.sandbox.service.ledger import Ledger, Movement
from smscode.sandbox.service.world import World

from .harness import START, Api


@pytest.fixture
def version() -> str:
    return "v1"


def world_of(api: Api) -> World:
    return api.sandbox.transport().app.world


def test_every_rupiah_is_accounted_for() -> None:
    api = Api(otp_after=None, balance=200_000)
    finished, canceled, running, expired = api.rent(4)
    api.sandbox.deliver_sms(finished)
    api.post("/orders/finish", id=finished)
    api.sandbox.advance(120)
    api.post("/orders/cancel", id=canceled)
    api.sandbox.advance(600)
    (late,) = api.rent(1, product_id=143)
    api.sandbox.deliver_sms(running)
    price = api.order(late)["amount"]
    assert api.sandbox.audit() == Audit(
        opening_balance=200_000,
        charges=60_000 + price,
        refunds=15_000,
        closing_balance=155_000 - price,
        orders=(
            AuditLine(finished, 15_000, 0, OrderStatus.COMPLETED),
            AuditLine(canceled, 15_000, 15_000, OrderStatus.CANCELED),
            AuditLine(running, 15_000, 0, OrderStatus.OTP_RECEIVED),
            AuditLine(expired, 15_000, 0, OrderStatus.ACTIVE),
            AuditLine(late, price, 0, OrderStatus.ACTIVE),
        ),
        discrepancies=(),
    )
    assert api.sandbox.audit().held == 30_000 + price
    api.sandbox.advance(3600)
    audit = api.sandbox.audit()
    assert (audit.refunds, audit.held) == (30_000 + price, 0)
    assert audit.closing_balance == api.sandbox.balance == 170_000


def test_it_can_be_read_by_people() -> None:
    api = Api(otp_after=None)
    first, _ = api.rent(2)
    api.sandbox.advance(120)
    api.post("/orders/cancel", id=first)
    assert str(api.sandbox.audit()).splitlines() == [
        "opening balance       Rp 1,000,000",
        "charges                 -Rp 30,000  orders: 2",
        "refunds                  Rp 15,000  orders: 1",
        "closing balance         Rp 985,000",
        "held                     Rp 15,000  orders that have not ended: 1",
        "order 1001               Rp 15,000  CANCELED, refunded Rp 15,000",
        "order 1002               Rp 15,000  ACTIVE, refunded Rp 0",
        "It all adds up.",
    ]


def test_a_balance_that_was_set_is_accounted_for() -> None:
    api = Api(otp_after=None)
    api.rent()
    api.sandbox.set_balance(5)
    audit = api.sandbox.audit()
    assert (audit.opening_balance, audit.adjustments, audit.closing_balance) == (1_000_000, -984_995, 5)
    assert audit.discrepancies == ()
    assert "adjustments            -Rp 984,995" in str(audit)


def test_of_many_orders_it_shows_the_first() -> None:
    api = Api(balance=10_000_000)
    api.rent(60)
    assert str(api.sandbox.audit()).splitlines()[-2:] == ["and 10 more orders", "It all adds up."]


def _charge_twice(world: World) -> None:
    world.ledger.debit(START, 15_000, 1001)


def _charge_another_price(world: World) -> None:
    world.orders[1001].amount = 14_000


def _refund_a_running_order(world: World) -> None:
    world.ledger.refund(START, 15_000, 1001)


def _keep_the_refund(world: World) -> None:
    world.orders[1001].status = OrderStatus.EXPIRED


def _forget_a_movement(world: World) -> None:
    world.ledger.balance += 1


def _pay_for_no_order(world: World) -> None:
    world.ledger.debit(START, 1, 7)


def _give_money_away(world: World) -> None:
    world.ledger.movements.append(Movement(START + timedelta(1), "deposit", 5))
    world.ledger.balance += 5


def _refund_too_little(world: World) -> None:
    world.orders[1001].status = OrderStatus.CANCELED
    world.ledger.refund(START, 14_999, 1001)


def _deposit_for_an_order(world: World) -> None:
    world.ledger.movements.append(Movement(START, "deposit", 0, 1001))


def _spend_what_is_not_there(world: World) -> None:
    world.ledger.movements[0] = evolve(world.ledger.movements[0], amount=14_000)
    world.ledger.balance = -1_000


@pytest.mark.parametrize(
    ("defect", "found"),
    [
        (_charge_twice, "order 1001 costs 15000 and was charged [15000, 15000]"),
        (_charge_another_price, "order 1001 costs 14000 and was charged [15000]"),
        (_refund_a_running_order, "order 1001 is ACTIVE and was refunded [15000], not []"),
        (_keep_the_refund, "order 1001 is EXPIRED and was refunded [], not [15000]"),
        (_refund_too_little, "order 1001 is CANCELED and was refunded [14999], not [15000]"),
        (_forget_a_movement, "1000000 - 15000 + 0 is not the balance of 985001"),
        (_pay_for_no_order, "movement 2 (order) belongs to no order 7"),
        (_give_money_away, "movement 2 belongs to no order"),
        (_deposit_for_an_order, "movement 2 (deposit) belongs to no order 1001"),
        (_spend_what_is_not_there, "movement 1 leaves a balance of -1000"),
    ],
)
def test_what_does_not_add_up_is_said(defect: Callable[[World], None], found: str) -> None:
    api = Api(otp_after=None)
    api.rent()
    defect(world_of(api))
    audit = api.sandbox.audit()
    assert found in audit.discrepancies
    assert f"DOES NOT ADD UP: {found}" in str(audit)
    assert "It all adds up" not in str(audit)


def test_a_ledger_without_orders_adds_up() -> None:
    assert Ledger(START, 5).balance == 5
    assert Api(balance=0).sandbox.audit() == Audit(0, 0, 0, 0, (), ())
