"""The events of obtaining a code: one for each effect, about the number that it concerns."""

from __future__ import annotations

import pytest

from smscode import (
    CanceledOrder,
    ConflictError,
    FinishedOrder,
    Money,
    NumberRefused,
    OrderStatus,
    OtpOutcome,
    OtpSms,
)
from smscode.core.obtain_effects import (
    BuyOne,
    CancelOrder,
    EnteredNumber,
    EnterNumber,
    FindOffers,
    FinishOrder,
    FoundOffers,
    ObtainEffect,
    ObtainResult,
    ReadOrder,
    ResendSms,
    SeenOrders,
    UsedKey,
    WaitForAny,
)
from smscode.core.obtain_numbers import ObtainedNumber
from smscode.core.obtain_report import step_of
from smscode.core.order_endings import KnownMessages
from smscode.events import ObtainStepDone
from smscode.models import CreatedOrder, ResendResult

from .obtain_service import LOST

CONFLICT = ConflictError("no", outcome="rejected")
NUMBERS = [ObtainedNumber(f"key-{place}", None, CreatedOrder(id=place), 0, 0.0) for place in (1001, 1002)]
ENTER = EnterNumber(CreatedOrder(id=1002), KnownMessages())
WAIT = WaitForAny((1001, 1002), 9.0)
CODE = OtpOutcome(1002, OtpSms(1002, None, 1, None, code="4821"))
ENDED = OtpOutcome(1001, error=CONFLICT)
CANCELED = CanceledOrder(1002, OrderStatus.CANCELED, Money.idr(9_000), Money.idr(0))


@pytest.mark.parametrize(
    ("effect", "result", "step", "number", "ended"),
    [
        (FindOffers(None, 9.0), FoundOffers((), None), "find", 0, "done"),
        (BuyOne("key-1", None, 9.0), None, "buy", 0, "done"),
        (BuyOne("key-1", None, 9.0), UsedKey(), "buy", 0, "done"),
        (BuyOne("key-1", None, 9.0), LOST, "buy", 0, "NetworkError"),
        (ENTER, EnteredNumber(), "enter", 2, "done"),
        (ENTER, EnteredNumber(refused=NumberRefused()), "enter", 2, "NumberRefused"),
        (ENTER, EnteredNumber(failure=ZeroDivisionError()), "enter", 2, "ZeroDivisionError"),
        (WAIT, SeenOrders(), "wait", 0, "nothing"),
        (WAIT, SeenOrders((ENDED,)), "wait", 0, "nothing"),
        (WAIT, SeenOrders((ENDED, CODE)), "wait", 0, "code"),
        (WAIT, LOST, "wait", 0, "NetworkError"),
        (CancelOrder(1002), CANCELED, "cancel", 2, "done"),
        (CancelOrder(1001), CONFLICT, "cancel", 1, "ConflictError"),
        (FinishOrder(1001), FinishedOrder(1001, OrderStatus.COMPLETED), "finish", 1, "done"),
        (ResendSms(1002), ResendResult(1002, OrderStatus.ACTIVE, True), "resend", 2, "done"),
        (ReadOrder(1001), CONFLICT, "read", 1, "ConflictError"),
        (ReadOrder(1003), CONFLICT, "read", 0, "ConflictError"),
    ],
)
def test_each_step_is_told_of_with_its_number_and_how_it_ended(
    effect: ObtainEffect, result: ObtainResult, step: str, number: int, ended: str
) -> None:
    event = step_of(7, effect, result, NUMBERS, 1.5)
    assert event == ObtainStepDone(
        call_id=7,
        operation="orders.obtain",
        method="",
        path="",
        attempt=number,
        step=step,  # type: ignore[arg-type]  # a literal
        result=ended,
        seconds=1.5,
    )
