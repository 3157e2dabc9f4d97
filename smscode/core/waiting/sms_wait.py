"""One wait for one order's SMS: which message ends it, and how it can fail; and who waits."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sized
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from attrs import define, field, frozen

from ... import _exact
from ..._visible_text import is_blank
from ...errors import (
    API_ERRORS,
    APIError,
    InvalidArgumentError,
    InvalidResponseError,
    NetworkError,
    OrderTerminalError,
    OtpTimeoutError,
    SmscodeError,
)
from ...models import ActiveOrder, Order, OtpSms, Sms
from ..api import arguments, references
from ..api.references import OrderRef
from ..order_status import has_ended, is_over
from ..retry import TABLE, Action, failure_kind
from .codes import code_in, code_pattern, has_old_code, is_newer, same

_FINAL = tuple(
    class_ for code, (class_, _) in API_ERRORS.items() if code in TABLE and TABLE[code].read is Action.STOP
)
"""The documented refusals that stay the same if repeated. A ban is one: repeating can extend it."""


def is_transient(error: SmscodeError) -> bool:
    """Return True if a wait continues after a poll that failed with this error.

    Only a refusal in the API's own envelope with a final code ends a wait: pages of proxies and firewalls
    can have any status, and a failing service can send any code.
    """
    if isinstance(error, APIError):
        return not isinstance(error, _FINAL) and failure_kind(error) != "unknown refusal"
    return isinstance(error, NetworkError | InvalidResponseError)


@frozen
class OtpOutcome:
    """How the wait for one order's code ended: with the ``sms``, or with the ``error``."""

    order_id: int
    sms: OtpSms | None = None
    error: SmscodeError | None = None


def _check_code(code: object) -> str:
    """Check a code that the caller got from the service; any length and any characters are valid."""
    text = _exact.text(code)
    if text is None:
        raise arguments.wrong("after_code", "a string", code)
    if is_blank(text):
        raise InvalidArgumentError(
            "after_code: expected the code of an Sms, got a blank text; omit it instead."
        )
    return text


class SmsWait:
    """One wait for one order's SMS, and how it ended.

    Only a message newer than the known one ends it. ``after_revision``, ``after_code``, ``after_text`` and
    ``after_time`` describe the known message, as far as they are given. ``pattern`` finds the code in a text;
    a message whose text it does not match ends no wait.
    """

    def __init__(
        self,
        order_id: OrderRef,
        *,
        needs_code: bool,
        pattern: str | re.Pattern[str] | None = None,
        after_revision: int | None = None,
        after_code: str | None = None,
        after_text: str | None = None,
        after_time: datetime | None = None,
    ) -> None:
        self.order_id: int = references.order_id(order_id)
        self.needs_code = needs_code
        self.pattern: re.Pattern[str] | None = code_pattern(pattern)
        if after_revision is not None:
            after_revision = arguments.integer("after_revision", after_revision, 0, 2**63 - 1)
        if after_code is not None:
            after_code = _check_code(after_code)
        self.known: Sms = Sms(self.order_id, after_code, after_text, after_revision, after_time)
        self.sms: Sms | None = None
        self.error: SmscodeError | None = None
        self.failure: SmscodeError | None = None  # of the last read of the order, None if that succeeded
        self.text: str | None = None
        self.order: ActiveOrder | Order | None = None
        self.reported = False  # True once its waiter was told to collect the result

    @property
    def ended(self) -> bool:
        """True once the SMS arrived, or cannot arrive any more."""
        return self.sms is not None or self.error is not None

    def outcome(self) -> OtpOutcome:
        """Return how a wait for a code ended."""
        assert self.sms is None or isinstance(self.sms, OtpSms)
        return OtpOutcome(self.order_id, self.sms, self.error)

    def result(self) -> Sms:
        """Return the SMS of a wait that ended, or raise its error."""
        if self.error is not None:
            raise self.error
        assert self.sms is not None
        return self.sms

    def see(self, order: ActiveOrder | Order, now: datetime | None = None) -> None:
        """Update from an order as the service answered it; ``now`` is the date of the answer."""
        if not self.ended:
            self.failure = None
            self._evaluate(order, now, of_event=False)

    def see_event(self, order: ActiveOrder) -> None:
        """Update from an order as a webhook describes it.

        The events that end an order carry no revision. If the known message has one, the code in such an
        event may be an old one. The event is ignored then, and the next poll decides.
        """
        known = self.known
        if is_over(order.status) and known.revision is not None and order.sms_revision is None:
            empty = order.otp_code is None and order.otp_message is None
            other_code = order.otp_code is not None and known.code is not None
            if not empty and not (other_code and not same(order.otp_code, known.code)):
                return
        if not self.ended:
            self._evaluate(order, None, of_event=True)

    def _evaluate(self, order: ActiveOrder | Order, now: datetime | None, *, of_event: bool) -> None:
        over = has_ended(order, now)
        if self._is_outdated(order) and not over:
            return
        self.order = order
        if order.otp_code is not None or order.otp_message is not None:
            sms = self._message(order)
            if is_newer(sms, self.known, of_event=of_event):
                code = None if self.pattern is None and has_old_code(sms, self.known) else sms.code
                if not self.needs_code:
                    self.sms = Sms(sms.order_id, code, sms.text, sms.revision, sms.received_at)
                    return
                if code is not None:
                    self.sms = OtpSms(sms.order_id, sms.text, sms.revision, sms.received_at, code=code)
                    return
                self.text = sms.text
        if over:
            error = OrderTerminalError(
                f"Order {order.id} ended as {order.status} without the SMS waited for."
            )
            error.order_id, error.status, error.order = order.id, str(order.status), order
            self.error = error

    def _message(self, order: ActiveOrder | Order) -> Sms:
        """Return the message that an order shows, with the code that the pattern finds in its text.

        An older server may show only a code. It counts, because there is no text to compare with the pattern.
        """
        code, text = order.otp_code, order.otp_message
        if self.pattern is not None and text is not None:
            code = code_in(text, self.pattern)
        return Sms(order.id, code, text, order.sms_revision, order.otp_received_at)

    def _is_outdated(self, order: ActiveOrder | Order) -> bool:
        """Return True if a newer state was seen before: webhooks and polls can overtake each other."""
        if self.order is None or order.sms_revision is None or self.order.sms_revision is None:
            return False
        return order.sms_revision < self.order.sms_revision

    def timeout_error(self, waited: float, failure: SmscodeError | None = None) -> OtpTimeoutError:
        """Return the error for a wait that timed out after ``waited`` seconds.

        ``failure`` is the error of the last poll, None if it succeeded.
        """
        failure = failure or self.failure
        choices = _choices(self.order, self.needs_code)
        seen = "not seen" if self.order is None else f"last seen as {self.order.status}"
        met_none = "without a code" if self.pattern is None else "that the pattern does not match"
        text = f" A message {met_none} came." if self.text is not None else ""
        met = "" if failure is None else f" The last look at the service failed: {failure.message}"
        named = ", ".join(f"orders.{name}" for name in choices) + _later(self.order, choices)
        error = OtpTimeoutError(
            f"No SMS for order {self.order_id} in time: waited {round(waited, 1):g} s, order {seen}."
            f"{text}{met} Possible now: {named}."
        )
        error.order_id, error.text, error.order = self.order_id, self.text, self.order
        error.waited, error.failure, error.choices = waited, failure, choices
        error.__cause__ = failure
        return error


class WaitSignal(Protocol):
    """Wakes a participant, from any thread, any number of times."""

    def wake(self) -> object:
        """Wake the participant."""
        ...


S = TypeVar("S", bound=WaitSignal)

LINGER = 0.25  # seconds


@define(eq=False)
class Participant(Generic[S]):
    """A task or thread that takes part in the shared poll.

    ``ready`` are its results that are not collected yet. ``to_read`` are orders that the polls do not show,
    and ``reading`` those that are being read. ``failure`` ends its participation. It is ``resting`` between
    two results, and ``following`` while it waits for a signal and could poll at once. While it is ``polling``
    it is not woken to read. ``linger`` is how many seconds it leaves reads to end when it has a result.
    """

    signal: S
    ready: Sized
    to_read: dict[int, None] = field(factory=dict[int, None])  # a set that keeps its order
    reading: dict[int, None] = field(factory=dict[int, None])
    read_at: float = float("-inf")
    linger: float = LINGER
    failure: SmscodeError | None = None
    resting: bool = True
    following: bool = False
    polling: bool = False

    def wants(self, order_id: int) -> bool:
        """Return True if a read of this order can have a result for this participant."""
        return True


class Waiter(Participant[S]):
    """A participant that waits for one order's SMS, or for several.

    ``open`` are the waits that continue, by order, and ``ended`` the results that are not collected yet.
    """

    def __init__(self, waits: Iterable[SmsWait], signal: S) -> None:
        self.open: dict[int, SmsWait] = {sms_wait.order_id: sms_wait for sms_wait in waits}
        self.ended: deque[SmsWait] = deque()
        super().__init__(signal, self.ended)

    def wants(self, order_id: int) -> bool:
        """Return True if there is an open wait for this order."""
        return order_id in self.open


def _later(order: ActiveOrder | Order | None, choices: tuple[str, ...]) -> str:
    """Return from when on the order can be cancelled, where that is not yet possible."""
    if order is not None and order.cancel_available_at is not None:
        since = f"from {order.cancel_available_at.isoformat()} on"
        return f" ({since})" if "cancel" in choices else f", orders.cancel {since}"
    stated = order is not None and order.can_cancel is not None
    return " (from two minutes after its creation on)" if "cancel" in choices and not stated else ""


def _choices(order: ActiveOrder | Order | None, needs_code: bool) -> tuple[str, ...]:
    """Return the methods of `orders` that make sense for an order without the expected SMS.

    Older servers do not say what they allow; the documentation decides then.
    """
    again = "wait_for_otp" if needs_code else "wait_for_sms"
    if order is None:
        return again, "get"
    received = order.otp_code is not None or order.otp_message is not None
    allowed = {
        "resend": (order.can_resend, received),
        "finish": (order.can_finish, received),
        "cancel": (order.can_cancel, not received),
    }
    return again, *(name for name, (said, usual) in allowed.items() if (usual if said is None else said))
