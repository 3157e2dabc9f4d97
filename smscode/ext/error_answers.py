"""How an application answers the errors of this package over HTTP. It needs no extra."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

from .. import errors
from ..errors import SmscodeError

__all__ = ["ERROR_STATUSES", "ErrorAnswer", "error_answer"]

ERROR_STATUSES: Mapping[type[SmscodeError], HTTPStatus] = MappingProxyType(
    {
        errors.NotFoundError: HTTPStatus.NOT_FOUND,
        errors.ConflictError: HTTPStatus.CONFLICT,
        errors.CancelTooEarlyError: HTTPStatus.CONFLICT,
        errors.RequestInProgressError: HTTPStatus.CONFLICT,
        errors.IdempotencyKeyReuseError: HTTPStatus.CONFLICT,
        errors.NoOfferAvailableError: HTTPStatus.CONFLICT,
        errors.PurchaseTooOldError: HTTPStatus.CONFLICT,
        errors.OrderTerminalError: HTTPStatus.GONE,
        errors.PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        errors.InvalidArgumentError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.ValidationError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.ProviderError: HTTPStatus.BAD_GATEWAY,
        errors.APIError: HTTPStatus.BAD_GATEWAY,
        errors.InvalidResponseError: HTTPStatus.BAD_GATEWAY,
        errors.NetworkError: HTTPStatus.BAD_GATEWAY,
        errors.RateLimitError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.TempBannedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.InsufficientBalanceError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.ServiceUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.FxRateUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.JournalError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.RequestTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
        errors.OtpTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
        errors.UnauthorizedError: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.ForbiddenError: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.SmscodeError: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The HTTP status that an error is answered with, by class; a class without one has its base's."""


class ErrorAnswer(NamedTuple):
    """The ``body``, ``status`` and ``headers`` of the answer to an error.

    In this order a Flask view may return it as it is, and FastAPI's JSONResponse takes it as its arguments.
    """

    body: dict[str, str | float | None]
    status: HTTPStatus
    headers: dict[str, str]


def error_answer(error: SmscodeError) -> ErrorAnswer:
    """Return what to answer when a request ended with an error of this package, by `ERROR_STATUSES`.

    >>> body, status, headers = error_answer(error)

    The body is ``{"detail": message, "error": class, "outcome": ..., "retry_after": ..., "idempotency_key":
    ...}``, with a Retry-After header where the time is known. An error of the application itself, such as a
    wrong token, is answered with 500 and without details: log it.
    """
    status = next(ERROR_STATUSES[base] for base in type(error).__mro__ if base in ERROR_STATUSES)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorAnswer({"detail": status.phrase}, status, {})
    wait = error.retry_after
    body: dict[str, str | float | None] = {
        "detail": error.message,
        "error": type(error).__name__,
        "outcome": error.outcome,
        "retry_after": wait,
        "idempotency_key": error.idempotency_key,
    }
    return ErrorAnswer(body, status, {} if wait is None else {"Retry-After": str(math.ceil(wait))})
