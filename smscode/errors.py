"""Every error that this package raises.

    SmscodeError
    +- APIError                      the service answered with an error
    |  +- ...                        one class for each documented code: see `API_ERRORS`
    +- NetworkError                  no answer arrived
    |  +- RequestTimeoutError        ... in time (also a built-in TimeoutError)
    +- InvalidResponseError          the answer is not what the API promises
    +- InvalidArgumentError          a wrong argument, found before anything was sent (a ValueError)
    +- ConfigurationError            the client cannot be set up (a ValueError)
    +- ClientStateError              the client cannot be used here, or any more (a RuntimeError)
    +- JournalError                  the journal cannot be written in time
    +- PurchaseTooOldError           the service may have forgotten the purchase's idempotency key
    +- SpendingLimitError            the purchase may exceed the client's spending limit
    +- OtpTimeoutError               no SMS came in time (a TimeoutError)
    +- OrderTerminalError            the order ended without the expected SMS
    +- WebhookSignatureError         a webhook that the service did not sign
    +- WebhookPayloadError           a signed webhook that cannot be read

`CodeNotObtainedError` of `orders.obtain` is beside its result, in `smscode`. Callers raise `NumberRefused`,
which is no `SmscodeError`. This module imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal, Protocol, TypeAlias

__all__ = [
    "APIError",
    "CancelTooEarlyError",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "ForbiddenError",
    "FxRateUnavailableError",
    "IdempotencyKeyReuseError",
    "InsufficientBalanceError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidResponseError",
    "JournalError",
    "NetworkError",
    "NoOfferAvailableError",
    "NotFoundError",
    "NumberRefused",
    "OrderTerminalError",
    "OtpTimeoutError",
    "Outcome",
    "PayloadTooLargeError",
    "ProviderError",
    "PurchaseTooOldError",
    "RateLimitError",
    "RequestInProgressError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "SmscodeError",
    "SpendingLimitError",
    "TempBannedError",
    "UnauthorizedError",
    "ValidationError",
    "WebhookPayloadError",
    "WebhookSignatureError",
]

Outcome: TypeAlias = Literal["not_sent", "rejected", "failed", "unknown"]
"""What happened to the request behind an error.

``not_sent``: no byte of it was sent. ``rejected``: the service answered that it did nothing.
``failed``: the service tried, failed, and stored that result. ``unknown``: the request may have been
carried out.
"""

JsonValue: TypeAlias = "bool | int | Decimal | str | list[JsonValue] | dict[str, JsonValue] | None"
"""A JSON value as this package decodes it: numbers with a fraction are `Decimal`."""


class SeenOrder(Protocol):
    """What every model of an order states; check with ``isinstance`` which one it is for its other fields."""

    @property
    def id(self) -> int:
        """The order's id."""
        ...

    @property
    def status(self) -> str | None:
        """Its `OrderStatus`, or a status that this version does not know; None if it could not be read."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """When the order ends by itself."""
        ...

    @property
    def failed_reason(self) -> str | None:
        """Why the order failed."""
        ...


class SmscodeError(Exception):
    """The base of every error of this package.

    ``message`` is for people. ``code`` is the service's error code, ``status_code`` the HTTP
    status, ``details`` the JSON the service attached, ``request_id`` its ``x-request-id``; each is
    None when there was none. ``retry_after`` is the number of seconds, at least 0, after which the call may
    be repeated, None if it is not known. ``attempts`` is the number of times that the request was sent or
    tried. For ``outcome`` see `Outcome`. ``trouble`` names the row of the retry table that applies to the
    error, None if nothing was tried.
    """

    advice: ClassVar[str] = ""
    """What the caller can do next. It is appended to ``str(error)``."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status_code: int | None = None,
        details: JsonValue = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        idempotency_key: str | None = None,
        outcome: Outcome = "not_sent",
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status_code = status_code
        self.details = details
        self.request_id = request_id
        self.retry_after = retry_after
        self.idempotency_key = idempotency_key
        self.outcome: Outcome = outcome
        self.attempts = attempts
        self.trouble: str | None = None

    def __str__(self) -> str:
        facts = [
            f"{name} {value}"
            for name, value in (
                ("code", self.code),
                ("HTTP", self.status_code),
                ("request id", self.request_id),
                ("retry after", None if self.retry_after is None else f"{self.retry_after:g} s"),
                ("idempotency key", self.idempotency_key),
            )
            if value is not None
        ]
        text = f"{self.message} [{', '.join(facts)}]" if facts else self.message
        return f"{text} {self.advice}" if self.advice else text


API_ERRORS: dict[str, tuple[type[APIError], int]] = {}
"""Every documented code: its class and its HTTP status. The classes below register themselves here."""


class APIError(SmscodeError):
    """The service answered with an error. A code that has no class of its own is kept in ``code``.

    A subclass states the ``code`` that it stands for and the HTTP ``status`` that is documented for it. What
    is done about it follows from the status, unless the code has a rule of its own in `core.retry`.
    """

    def __init_subclass__(cls, *, code: str | None = None, status: int = 0) -> None:
        super().__init_subclass__()
        if code is not None:
            API_ERRORS[code] = cls, status


class UnauthorizedError(APIError, code="UNAUTHORIZED", status=401):
    """The token is missing, wrong or revoked."""

    advice = "Check the token: it is made in the account settings."


class ForbiddenError(APIError, code="FORBIDDEN", status=403):
    """The account is not allowed to do this."""


class NotFoundError(APIError, code="NOT_FOUND", status=404):
    """The order or currency pair does not exist, or the order belongs to another account."""

    advice = "Check the id, and that the token is of the account that has it."


class ConflictError(APIError, code="CONFLICT", status=409):
    """The order is not in a state that allows this.

    ``order`` is the `Order` if it was read to find out what an attempt without an answer did, else None.
    """

    advice = "Read the order to see its state."
    order: SeenOrder | None = None


class InsufficientBalanceError(APIError, code="INSUFFICIENT_BALANCE", status=409):
    """The balance does not cover the order; the idempotency key was released."""

    advice = "Top up; the same idempotency key may be used again."


class CancelTooEarlyError(APIError, code="CANCEL_TOO_EARLY", status=409):
    """The order is too new to be cancelled; ``retry_after`` is the number of seconds until it can be."""

    advice = "Use wait=True, which cancels as soon as it is allowed: two minutes after the order's creation."


class RequestInProgressError(APIError, code="REQUEST_IN_PROGRESS", status=409):
    """The service is still processing a request with the same idempotency key."""

    advice = "Repeat it with the same idempotency key shortly."


class PayloadTooLargeError(APIError):
    """The request body is larger than 1 MB, the limit of the service."""


class ValidationError(APIError, code="VALIDATION_ERROR", status=422):
    """The service refused a parameter."""


class ProviderError(APIError, code="PROVIDER_ERROR", status=422):
    """The SMS supplier refused; ``details`` may say why (``cause_counts`` or ``attempts``)."""

    advice = "This result is recorded under its idempotency key: use a new key to try again."


class NoOfferAvailableError(APIError, code="NO_OFFER_AVAILABLE", status=422):
    """No offer matches the product, price limits and policy; the idempotency key was released."""

    advice = "Try later, another product or a higher max_price; the same idempotency key may be used again."


class IdempotencyKeyReuseError(APIError, code="IDEMPOTENCY_KEY_REUSED", status=422):
    """The idempotency key was used before with another body."""

    advice = "Do not change an order that is being retried; a new order takes a new key."


class RateLimitError(APIError, code="RATE_LIMIT_EXCEEDED", status=429):
    """More requests were sent to one endpoint group within 60 seconds than the service allows."""


class TempBannedError(APIError, code="TEMP_BANNED_ABUSE_GUARD", status=429):
    """Ordering is paused for this account because too many of its orders failed.

    ``details`` holds ``until``, ``tier`` and ``retry_after_seconds``.
    """

    advice = "Do not retry before then: retrying can extend the ban."


class InternalError(APIError, code="INTERNAL_ERROR", status=500):
    """The service failed. Whether it carried out the request is not known."""


class ServiceUnavailableError(APIError, code="SERVICE_UNAVAILABLE", status=503):
    """The service is down for maintenance."""


class FxRateUnavailableError(APIError, code="FX_RATE_UNAVAILABLE", status=503):
    """The service has no USD/IDR rate at the moment, so v2 cannot state amounts.

    Nothing was charged or refunded: the service looks up the rate before it changes the ledger.
    """

    advice = "Wait for retry_after, or use api_version='v1', which needs no rate."


class NetworkError(SmscodeError):
    """No answer arrived: the connection could not be made, or broke."""


class RequestTimeoutError(NetworkError, TimeoutError):
    """No answer arrived before the deadline."""


class InvalidResponseError(SmscodeError):
    """The answer is not what the API promises.

    The message names the JSON path, what was expected there and the type that was found, never the value.
    """


class InvalidArgumentError(SmscodeError, ValueError):
    """An argument is wrong; nothing was sent."""


class ConfigurationError(SmscodeError, ValueError):
    """The client cannot be set up as asked."""


class ClientStateError(SmscodeError, RuntimeError):
    """The client cannot be used: it is closed, or belongs to another event loop or process."""


class JournalError(SmscodeError):
    """The journal could not be written in time: its file is locked, or its disk is slow, full or missing.

    A purchase is sent only after it was written to the journal, so ``outcome`` is ``not_sent`` unless an
    earlier attempt under the same key may have been carried out.
    """

    advice = "Check the journal's file and disk, then repeat the purchase under the same idempotency key."


class PurchaseTooOldError(SmscodeError):
    """The purchase was first sent too long ago to send it again: the service may have forgotten its key.

    The numbers may have been bought. Compare with the order list, then close the purchase with
    `orders.dismiss`, or submit it with a larger ``max_age``.
    """


class SpendingLimitError(SmscodeError):
    """The purchase may exceed the client's `SpendingLimit`, so it was not sent.

    ``period`` is "total" or "per_hour", ``left`` what that limit leaves, ``cap`` the price (in rupiah).
    """

    advice = "Raise the limit, lower max_price, or wait until orders are refunded."
    period: str | None = None
    left: int | None = None
    cap: int | None = None


class OtpTimeoutError(SmscodeError, TimeoutError):
    """No matching SMS arrived in time. The message says how the last poll ended and what can be done now.

    ``order_id`` is the order; ``text`` the last message it received, if one arrived without a code;
    ``order`` the last known `ActiveOrder` or `Order`, None if it was never read. ``waited`` is in
    seconds. ``failure`` is the error of the last poll, also the ``__cause__``; None if it succeeded.
    ``choices`` are the methods of `orders` that make sense now, such as "resend" and "cancel".
    """

    order_id: int | None = None
    text: str | None = None
    order: SeenOrder | None = None
    waited: float | None = None
    failure: SmscodeError | None = None
    choices: tuple[str, ...] = ()


class OrderTerminalError(SmscodeError):
    """The order ``order_id`` ended, with this ``status``, without the expected SMS.

    `orders.attach` raises it for any order that has ended. ``order`` is the `Order`, or an `ActiveOrder`
    made from a webhook.
    """

    order_id: int | None = None
    status: str | None = None
    order: SeenOrder | None = None


class NumberRefused(Exception):
    """Raise it in the function given to `orders.obtain` to have another number at once."""


class WebhookSignatureError(SmscodeError):
    """The webhook is not signed with the secret, so its body must not be trusted."""


class WebhookPayloadError(SmscodeError):
    """The webhook is signed, but its body is not an event."""


STATUS_ERRORS: Mapping[int, type[APIError]] = {413: PayloadTooLargeError, 429: RateLimitError}
"""The statuses that have a class even without the error envelope: a proxy may send them."""
