"""The events of obtaining a code."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SmscodeError
from ..events import ObtainStepDone, ObtainStepName
from .obtain_effects import (
    BuyOne,
    CancelOrder,
    EnteredNumber,
    EnterNumber,
    FindOffers,
    FinishOrder,
    ObtainEffect,
    ObtainResult,
    ReadOrder,
    ResendSms,
    SeenOrders,
    WaitForAny,
)
from .obtain_numbers import ObtainedNumber

_NAMES: dict[type[ObtainEffect], ObtainStepName] = {
    FindOffers: "find",
    BuyOne: "buy",
    EnterNumber: "enter",
    WaitForAny: "wait",
    CancelOrder: "cancel",
    FinishOrder: "finish",
    ResendSms: "resend",
    ReadOrder: "read",
}


def step_of(
    call_id: int,
    effect: ObtainEffect,
    result: ObtainResult,
    numbers: Sequence[ObtainedNumber],
    seconds: float,
) -> ObtainStepDone:
    """Return the event for an effect that was carried out. It holds no id, no number and no code."""
    order_id: int | None = None
    if isinstance(effect, CancelOrder | FinishOrder | ResendSms | ReadOrder):
        order_id = effect.order_id
    elif isinstance(effect, EnterNumber):
        order_id = effect.order.id
    number = next((place for place, one in enumerate(numbers, 1) if one.order.id == order_id), 0)
    return ObtainStepDone(
        call_id=call_id,
        operation="orders.obtain",
        method="",
        path="",
        attempt=number,
        step=_NAMES[type(effect)],
        result=_result(result),
        seconds=seconds,
    )


def _result(result: ObtainResult) -> str:
    if isinstance(result, EnteredNumber):
        ended = result.refused or result.failure
        return "done" if ended is None else type(ended).__name__
    if isinstance(result, SeenOrders):
        return "code" if any(outcome.sms is not None for outcome in result.outcomes) else "nothing"
    if isinstance(result, SmscodeError):
        return type(result).__name__
    return "done"
