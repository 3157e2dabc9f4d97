"""Ctrl-C at lines of `orders.obtain` and of a spending limit, in the synchronous client."""

from __future__ import annotations

import os

import pytest

import smscode
from smscode import OrderStatus, SpendingLimit, SpendingLimitError
from smscode.sandbox import Sandbox

from ._sync.helpers import still_sandbox
from .concurrency import VirtualClient
from .interrupts import Line, Tracer, files_of_package

FILES = files_of_package(
    *("_sync/order_obtaining.py", "_sync/obtaining.py", "core/obtaining.py", "core/obtain_numbers.py"),
    "core/purchases/spending.py",
)
LIMIT = 100_000
STEP = int(os.environ.get("SMSCODE_LINES", "5"))  # 1: every line


def interrupted(at: Line | None) -> Tracer:
    """Obtain a code with the second number, and interrupt that at a line; then look at the books."""
    sandbox: Sandbox = still_sandbox(otp_after=20)
    sandbox.play("never", catalog_product_id=93)
    spending = SpendingLimit(total=smscode.Money.idr(LIMIT))
    client = VirtualClient(sandbox, spending=spending)

    def first_time(line: Line, number: int) -> bool:
        return line == at and not tracer.raised

    tracer = Tracer(FILES, first_time)

    def obtain() -> None:
        client.orders.obtain(
            lambda rental: None, service="whatsapp", country=["vietnam", "indonesia"], budget="2.00", wait=125
        )

    if at is None:
        tracer.run(obtain)
    else:
        with pytest.raises(KeyboardInterrupt):
            tracer.run(obtain)
    check(sandbox, client)
    return tracer


def check(sandbox: Sandbox, client: VirtualClient) -> None:
    orders = list(sandbox._app.world.orders.values())
    named = {order.id for one in client.orders.bought() for order in one.orders}
    doubts = client.orders.unresolved()
    left = [order for order in orders if not order.status.terminal and order.id not in named]
    assert len(left) <= len(doubts), "a number that nobody knows of"
    for order in orders:
        age = (sandbox.now - order.created_at).total_seconds()
        late = order.status is OrderStatus.ACTIVE and age > 126 and order.id in named
        assert not late, "it could be given back"
    charged = -sum(entry.amount for entry in sandbox.ledger if entry.order_id is not None)
    with pytest.raises(SpendingLimitError) as refused:
        client.orders.create(catalog_product_id=87, max_price="9999")
    assert refused.value.left is not None
    assert LIMIT - refused.value.left >= charged


def test_an_interrupt_at_any_line_loses_no_number_and_no_money() -> None:
    interrupted(None)  # the lines that only the first call runs are those of modules
    lines = list(dict.fromkeys(interrupted(None).lines))
    assert len(lines) > 150
    for line in lines[::STEP]:
        assert interrupted(line).raised
