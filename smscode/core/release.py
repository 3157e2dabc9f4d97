"""How a rental ends: what to send to give its number back, and what the answer means."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

from ..errors import CancelTooEarlyError, ConflictError, NotFoundError, SmscodeError

Step: TypeAlias = Literal["cancel", "finish"]


class Released(StrEnum):
    """What became of a rental's number at the end of its block."""

    FINISHED = "finished"
    """An SMS came; the order was finished."""
    CANCELED = "canceled"
    """No SMS came; the order was cancelled and refunded."""
    LEFT_TO_EXPIRE = "left_to_expire"
    """It could not be given back in the time allowed. It ends by itself, refunded if no SMS comes."""
    ALREADY_RELEASED = "already_released"
    """The order had ended before."""


def first_step(*, received: bool) -> Step:
    """Tell what to send: an order that received an SMS cannot be cancelled any more."""
    return "finish" if received else "cancel"


def done(step: Step) -> Released:
    """Tell what it means that a step succeeded."""
    return Released.FINISHED if step == "finish" else Released.CANCELED


def refused(step: Step, error: SmscodeError) -> Released | Step | SmscodeError:
    """Tell what it means that a step failed: the end, another step, or an error to report.

    A cancel meets a conflict when the order has ended, and also when an SMS came that nobody saw; the
    latter is what a finish then succeeds with.
    """
    if isinstance(error, CancelTooEarlyError):
        return Released.LEFT_TO_EXPIRE
    if isinstance(error, ConflictError) and step == "cancel":
        return "finish"
    if isinstance(error, ConflictError | NotFoundError):
        return Released.ALREADY_RELEASED
    return error
