"""The report of an error on the command line: what happened, to the money, too, and what to do."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping

from attrs import frozen

from .._http.failures import causes, proxy_refused
from .._plain import plain
from ..errors import (
    CancelTooEarlyError,
    ConfigurationError,
    ConflictError,
    FxRateUnavailableError,
    IdempotencyKeyReuseError,
    InsufficientBalanceError,
    InvalidArgumentError,
    JournalError,
    JsonValue,
    NetworkError,
    NoOfferAvailableError,
    OrderTerminalError,
    OtpTimeoutError,
    Outcome,
    ProviderError,
    SmscodeError,
    UnauthorizedError,
)
from .exits import Exit

_ADVICE: Mapping[type[SmscodeError], str] = {
    UnauthorizedError: "Check SMSCODE_TOKEN: a token is made in the account settings.",
    InsufficientBalanceError: "Top up first.",
    CancelTooEarlyError: "Give --wait to cancel it as soon as that is allowed.",
    ConflictError: "`smscode order ID` shows its state.",
    NoOfferAvailableError: "Raise --max-price, or try later or another country.",
    ProviderError: "Try again, or another country or operator.",
    FxRateUnavailableError: "Try later, or with --api-version v1, which needs no rate.",
    IdempotencyKeyReuseError: "Start the command again.",
    NetworkError: "Is the network there, and SMSCODE_BASE_URL right, if it is set?",
}
_MOST_DETAILS = 300
_MONEY: Mapping[Outcome, str] = {
    "not_sent": "Nothing was sent, so nothing was bought or changed.",
    "rejected": "Nothing was bought or changed.",
    "failed": "It was tried and failed; nothing was bought.",
    "unknown": "It may have been carried out.",
}


def _advice_by_cause(error: SmscodeError) -> str:
    """Return what to do if a proxy or a certificate refused the connection, empty for other errors."""
    if isinstance(error, NetworkError):
        for cause in causes(error):
            if proxy_refused(cause):
                return "Is HTTPS_PROXY right, with user name and password if the proxy wants them?"
            if isinstance(cause, ssl.SSLCertVerificationError):
                return "Is the clock right, and SSL_CERT_FILE, if the certificate is a proxy's or your own?"
    return ""


def _in_words(value: JsonValue) -> str:
    """Return a JSON value as a line of text: names and values, separated by semicolons and commas."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_in_words(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return value if isinstance(value, str) else json.dumps(value)


@frozen
class ErrorReport:
    """An error of a command.

    ``doubt`` is the hint to show if the request may have been carried out; empty for a command that only
    reads. ``rented`` is True if a number was rented before. ``hint`` is said instead of the usual advice.
    """

    error: SmscodeError
    doubt: str
    rented: bool = False
    hint: str = ""

    @property
    def exit(self) -> Exit:
        """The exit code of the command."""
        if self.doubt and self.error.outcome == "unknown":  # of any class: the money comes first
            return Exit.NO_CODE if self.rented else Exit.UNKNOWN
        if isinstance(self.error, InvalidArgumentError):
            return Exit.USAGE
        if isinstance(self.error, ConfigurationError | JournalError):
            return Exit.SETUP
        if self.rented or isinstance(self.error, OtpTimeoutError | OrderTerminalError):
            return Exit.NO_CODE
        return Exit.FAILED

    @property
    def advice(self) -> str:
        """What the user can do next, as sentences."""
        advice = self.hint or _advice_by_cause(self.error) or _ADVICE.get(type(self.error), self.error.advice)
        if self.error.retry_after is None:
            return advice
        return f"{advice} Wait {self.error.retry_after:.0f} s.".lstrip()

    @property
    def lines(self) -> tuple[str, ...]:
        """The report for people: one to three lines."""
        facts = ", ".join(
            fact
            for fact in (
                self.error.code,
                self.error.request_id and f"request {self.error.request_id}",
                self.exit is Exit.UNKNOWN
                and self.error.idempotency_key
                and f"key {self.error.idempotency_key}",
            )
            if fact
        )
        first = f"{self.error.message} [{facts}]" if facts else self.error.message
        money = ""
        if self.doubt and self.exit in (Exit.FAILED, Exit.UNKNOWN):
            money = _MONEY[self.error.outcome]
        todo = self.doubt if self.exit is Exit.UNKNOWN else self.advice
        return tuple(line for line in (first, self._details, f"{money} {todo}".strip()) if line)

    @property
    def _details(self) -> str:
        """The service's details, such as which parameter is wrong; their shape is not documented."""
        found = plain(self.error.details)
        if isinstance(found, dict) and [*found] == ["fields"]:  # which fields are wrong: the usual content
            found = found["fields"]
        return _in_words(found)[:_MOST_DETAILS] if found else ""

    @property
    def record(self) -> dict[str, object]:
        """The report for programs, as JSON values."""
        error = self.error
        return {
            "error": type(error).__name__,
            "message": error.message,
            "code": error.code,
            "status_code": error.status_code,
            "details": plain(error.details),
            "request_id": error.request_id,
            "retry_after": error.retry_after,
            "idempotency_key": error.idempotency_key,
            "outcome": error.outcome,
            "advice": self.doubt if self.exit is Exit.UNKNOWN else self.advice,
            "exit_code": int(self.exit),
        }
