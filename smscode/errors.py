"""Every error this package raises.

    SmscodeError
    +- APIError                      the service answered with an error
    |  +- UnauthorizedError          401 UNAUTHORIZED
    |  +- ForbiddenError             403 FORBIDDEN
    |  +- NotFoundError              404 NOT_FOUND
    |  +- ConflictError              409 CONFLICT
    |  +- InsufficientBalanceError   409 INSUFFICIENT_BALANCE
    |  +- CancelTooEarlyError        409 CANCEL_TOO_EARLY
    |  +- RequestInProgressError     409 REQUEST_IN_PROGRESS
    |  +- PayloadTooLargeError       413, sent without a code
    |  +- ValidationError            422 VALIDATION_ERROR
    |  +- ProviderError              422 PROVIDER_ERROR
    |  +- NoOfferAvailableError      422 NO_OFFER_AVAILABLE
    |  +- IdempotencyKeyReuseError   422 IDEMPOTENCY_KEY_REUSED
    |  +- RateLimitError             429 RATE_LIMIT_EXCEEDED
    |  +- TempBannedError            429 TEMP_BANNED_ABUSE_GUARD
    |  +- InternalError              500 INTERNAL_ERROR
    |  +- ServiceUnavailableError    503 SERVICE_UNAVAILABLE
    |  +- FxRateUnavailableError     503 FX_RATE_UNAVAILABLE
    +- NetworkError                  no answer came
    |  +- RequestTimeoutError        ... in time (also a built-in TimeoutError)
    +- InvalidResponseError          an answer came that is not what the API promises
    +- InvalidArgumentError          a wrong argument, found before anything was sent (a ValueError)
    +- ConfigurationError            the client cannot be set up (a ValueError)
    +- ClientStateError              the client cannot be used any more (a RuntimeError)
    +- JournalError                  the journal's disk is slow, full, locked or gone
    +- PurchaseTooOldError           the service may have forgotten the purchase's idempotency key
    +- OtpTimeoutError               no SMS came in time (a TimeoutError)
    +- OrderTerminalError            the order ended without the SMS that was waited for
    +- WebhookSignatureError         a webhook that the service did not sign
    +- WebhookPayloadError           a signed webhook that cannot be read

This module imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal, TypeAlias

Outcome: TypeAlias = Literal["not_sent", "rejected", "failed", "unknown"]
"""What became of the request behind an error.

``not_sent``: no byte of it reached the service. ``rejected``: the service says that it did
nothing. ``failed``: the service tried, failed, and recorded that. ``unknown``: it may have been
carried out.
"""

JsonValue: TypeAlias = "bool | int | Decimal | str | list[JsonValue] | dict[str, JsonValue] | None"
"""A JSON value as this package decodes it: numbers with a fraction are `Decimal`."""


class SmscodeError(Exception):
    """The base of every error of this package.

    ``message`` is for people. ``code`` is the service's error code, ``status_code`` the HTTP
    status, ``details`` the JSON the service attached, ``request_id`` its ``x-request-id``; each is
    None when there was none. ``retry_after`` is a number of seconds, at least 0. ``attempts`` is how
    many times the request was sent or tried. For ``outcome`` see `Outcome`.
    ``trouble`` is the row of the retry table that the error falls under, None when nothing was tried.
    """

    advice: ClassVar[str] = ""
    """What the caller can do next; appended to ``str(error)``."""

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


class APIError(SmscodeError):
    """The service answered with an error; a code this package does not know stays in ``code``."""


class UnauthorizedError(APIError):
    """The token is missing, wrong or revoked."""

    advice = "Check the token: it is made in the account settings."


class ForbiddenError(APIError):
    """The account may not do this."""


class NotFoundError(APIError):
    """The order or currency pair does not exist, or belongs to another account."""


class ConflictError(APIError):
    """The order is not in a state that allows this.

    ``order`` is the `Order`, where it was read to learn what became of an attempt without an answer.
    """

    advice = "Read the order to see its state."
    order: object = None


class InsufficientBalanceError(APIError):
    """The balance does not cover the order; the idempotency key was released."""

    advice = "Top up; the same idempotency key may be used again."


class CancelTooEarlyError(APIError):
    """The order is too new to be cancelled."""

    advice = "Wait until two minutes after its creation, or its cancel_available_at."


class RequestInProgressError(APIError):
    """A request with the same idempotency key is still being worked on."""

    advice = "Repeat it with the same idempotency key shortly."


class PayloadTooLargeError(APIError):
    """The request body is over the service's limit of 1 MB."""


class ValidationError(APIError):
    """The service refused a parameter."""


class ProviderError(APIError):
    """The SMS supplier refused; ``details`` may tell why (``cause_counts`` or ``attempts``)."""

    advice = "This result is recorded under its idempotency key: use a new key to try again."


class NoOfferAvailableError(APIError):
    """No offer matches the product, price limits and policy; the idempotency key was released."""

    advice = "Raise max_price or try later; the same idempotency key may be used again."


class IdempotencyKeyReuseError(APIError):
    """The idempotency key was used before with another body."""

    advice = "Do not change an order that is being retried; a new order takes a new key."


class RateLimitError(APIError):
    """Too many requests of one endpoint group within 60 seconds."""


class TempBannedError(APIError):
    """Ordering is paused for this account because too many of its orders failed.

    ``details`` holds ``until``, ``tier`` and ``retry_after_seconds``.
    """

    advice = "Do not retry before then: retrying can extend the ban."


class InternalError(APIError):
    """The service failed; what it did is not known."""


class ServiceUnavailableError(APIError):
    """The service is down for maintenance."""


class FxRateUnavailableError(APIError):
    """The service has no USD/IDR rate at the moment, so v2 has no money to show.

    Nothing was charged or refunded: the rate is found before the ledger is touched.
    """

    advice = "Wait for retry_after, or use api_version='v1', which needs no rate."


class NetworkError(SmscodeError):
    """No answer came: the connection could not be made, or broke."""


class RequestTimeoutError(NetworkError, TimeoutError):
    """No answer came before the deadline."""


class InvalidResponseError(SmscodeError):
    """An answer came that is not what the API promises.

    The message names the JSON path, what was expected there and what was found, never the value.
    """


class InvalidArgumentError(SmscodeError, ValueError):
    """An argument is wrong; nothing was sent."""


class ConfigurationError(SmscodeError, ValueError):
    """The client cannot be set up as asked."""


class ClientStateError(SmscodeError, RuntimeError):
    """The client cannot be used here: it is closed, or belongs to something else."""


class JournalError(SmscodeError):
    """The journal could not be written in time: its file is locked, or its disk slow, full or gone.

    Nothing is sent that is not written down, so ``outcome`` is ``not_sent`` unless an earlier attempt under
    the same key may have been carried out.
    """

    advice = "Look at the journal's file and disk, then repeat the purchase under the same idempotency key."


class PurchaseTooOldError(SmscodeError):
    """The purchase was first sent too long ago to be sent again: the service may have forgotten its key.

    It may have been bought. Compare with the order list, then `orders.dismiss` it, or submit it with a
    larger ``max_age``.
    """


class OtpTimeoutError(SmscodeError, TimeoutError):
    """No matching SMS came in time. The message says what the last poll met and what can be done now.

    ``order_id`` is the order; ``text`` the last message it received, if one came without a code;
    ``order`` the `ActiveOrder` or `Order` as it was last seen, None if it never was. ``waited`` is in
    seconds. ``failure`` is the error of the last look at the service, also the ``__cause__``; None if it was
    answered. ``choices`` are the methods of `orders` that make sense now, such as "resend" and "cancel".
    """

    order_id: int | None = None
    text: str | None = None
    order: object = None
    waited: float | None = None
    failure: SmscodeError | None = None
    choices: tuple[str, ...] = ()


class OrderTerminalError(SmscodeError):
    """The order ended without the SMS that was waited for; ``order_id`` and ``status`` tell how.

    `orders.attach` raises it for any order that has ended. ``order`` is the `Order`, or an `ActiveOrder`
    with what a webhook said of it.
    """

    order_id: int | None = None
    status: str | None = None
    order: object = None


class WebhookSignatureError(SmscodeError):
    """The webhook is not signed with the secret: do not trust its body."""


class WebhookPayloadError(SmscodeError):
    """The webhook is signed, but its body is not an event."""


API_ERRORS: Mapping[str, tuple[type[APIError], int]] = {
    "UNAUTHORIZED": (UnauthorizedError, 401),
    "FORBIDDEN": (ForbiddenError, 403),
    "NOT_FOUND": (NotFoundError, 404),
    "CONFLICT": (ConflictError, 409),
    "INSUFFICIENT_BALANCE": (InsufficientBalanceError, 409),
    "CANCEL_TOO_EARLY": (CancelTooEarlyError, 409),
    "REQUEST_IN_PROGRESS": (RequestInProgressError, 409),
    "VALIDATION_ERROR": (ValidationError, 422),
    "PROVIDER_ERROR": (ProviderError, 422),
    "NO_OFFER_AVAILABLE": (NoOfferAvailableError, 422),
    "IDEMPOTENCY_KEY_REUSED": (IdempotencyKeyReuseError, 422),
    "RATE_LIMIT_EXCEEDED": (RateLimitError, 429),
    "TEMP_BANNED_ABUSE_GUARD": (TempBannedError, 429),
    "INTERNAL_ERROR": (InternalError, 500),
    "SERVICE_UNAVAILABLE": (ServiceUnavailableError, 503),
    "FX_RATE_UNAVAILABLE": (FxRateUnavailableError, 503),
}
"""Every documented code: its class and its HTTP status."""

STATUS_ERRORS: Mapping[int, type[APIError]] = {413: PayloadTooLargeError, 429: RateLimitError}
"""The statuses that mean something even without the error envelope (a proxy may send them)."""
