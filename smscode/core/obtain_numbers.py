"""The numbers that obtaining a code has bought: what is known of each, until it is given back.

Each effect is yielded to a driver; see `obtain_effects`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import define, field

from ..errors import NotFoundError, SmscodeError
from ..models import ActiveOrder, CreatedOrder, Order, OtpSms
from ..money import Money
from .obtain_effects import (
    BuyOne,
    CancelOrder,
    FinishOrder,
    ObtainEffect,
    ObtainResult,
    ObtainSteps,
    ReadOrder,
    SeenOrders,
    WaitForAny,
)
from .offers import Offer, Try, TryResult
from .order_endings import (
    KnownMessages,
    Released,
    ReleaseEnding,
    ReleaseStep,
    giving_back,
    seconds_until_cancelable,
)
from .purchases.book import as_order, is_refunded
from .waiting.codes import code_in

_CANCEL_AFTER = 121.0  # seconds, where the service does not say when a cancel is allowed
_PAUSE = 5.0  # seconds until a cancel that failed is repeated, doubled each time
_LONGEST_PAUSE = 60.0


@define(eq=False)
class ObtainedNumber:
    """A number that was bought: ``charged`` in rupiah, ``due`` when it is to be cancelled once given up.

    ``pause`` is how many seconds after a cancel that fails the next one is due.
    """

    key: str
    offer: Offer | None
    order: CreatedOrder | Order
    charged: int
    due: float
    known: KnownMessages = field(factory=KnownMessages)
    sms: OtpSms | None = None
    refused: bool = False
    given_up: bool = False
    pause: float = _PAUSE
    ending: ReleaseEnding | None = None

    @property
    def open(self) -> bool:
        """Whether its order is not known to have ended."""
        return not self.known.ended

    @property
    def waited_for(self) -> bool:
        """Whether a code can still come."""
        return self.open and self.sms is None

    @property
    def to_cancel(self) -> bool:
        """Whether it is to be cancelled as soon as that is allowed."""
        return self.given_up and self.waited_for and not self.known.received

    @property
    def spent(self) -> int:
        """The rupiah that were charged, less what was refunded."""
        return 0 if is_refunded(self.known.status) else self.charged

    def as_try(self, won: bool, money: Callable[[int], Money]) -> Try:
        """Return what came of it; ``money`` makes an amount of rupiah."""
        ending = self.ending or ReleaseEnding(Released.ALREADY_RELEASED if self.known.ended else None)
        if self.to_cancel and ending.error is None:
            ending = ReleaseEnding(Released.LEFT_TO_EXPIRE)
        result: TryResult = "refused" if self.refused else "no_code"
        if self.sms is not None:
            result = "code" if won else "late_code"
        return Try(
            result=result,
            idempotency_key=self.key,
            offer=self.offer,
            spent=money(self.spent),
            order_id=self.order.id,
            phone_number=self.order.phone_number,
            sms=self.sms or self.known.sms,
            released=ending.released,
            error=ending.error,
        )


class HeldNumbers:
    """The numbers of one call of `orders.obtain`.

    ``numbers`` are those that were bought, ``keys`` the idempotency keys that were used.
    """

    def __init__(self, pattern: re.Pattern[str] | None, now: float) -> None:
        self.numbers: list[ObtainedNumber] = []
        self.keys: list[str] = []
        self._pattern = pattern
        self._now = now
        self._dated: tuple[datetime, float] | None = None  # the service's date of the last answer, and when
        self._tried: list[ObtainedNumber | Try] = []
        self._cause: SmscodeError | None = None  # the error that ends it

    def abandoning(self, now: float) -> ObtainSteps[None]:
        """Yield what to do after an interruption: cancel what can be cancelled now."""
        self._now = now
        for number in self.numbers:
            number.given_up = True
        yield from self._cancel_due()

    def adopt(self, key: str, order: Order) -> None:
        """Add a number whose purchase was interrupted after it was answered."""
        if all(number.order.id != order.id for number in self.numbers):
            self._add(key, None, order, 0)

    @property
    def _has_code(self) -> bool:
        return any(number.sms is not None for number in self.numbers)

    def _send(self, effect: ObtainEffect) -> ObtainSteps[ObtainResult]:
        if isinstance(effect, BuyOne):
            self.keys.append(effect.key)
        reply = yield effect
        self._now = reply.now
        if reply.date is not None:
            self._dated = reply.date, reply.now
        return reply.result

    @property
    def _service_now(self) -> datetime | None:
        """The service's date, as far as it is known."""
        if self._dated is None:
            return None
        date, at = self._dated
        return date + timedelta(seconds=self._now - at)

    def _add(self, key: str, offer: Offer | None, found: CreatedOrder | Order, cap: int) -> ObtainedNumber:
        order = as_order(found)
        due, date = self._now + _CANCEL_AFTER, self._service_now
        if order.can_cancel:
            due = self._now
        elif date is not None:
            due = self._now + seconds_until_cancelable(order, date)
        priced = found.amount is not None
        number = ObtainedNumber(key, offer, found, order.amount.canonical_amount if priced else cap, due)
        self.numbers.append(number)
        self._tried.append(number)
        self._see(number, order)
        return number

    def _wait(self, until: float) -> ObtainSteps[None]:
        """Wait for a code of any open number; ``until`` is later than now."""
        waited_for = {number.order.id: number for number in self.numbers if number.waited_for}
        seen = yield from self._send(WaitForAny(tuple(waited_for), until))
        if isinstance(seen, SmscodeError):
            self._cause = seen
            return
        assert isinstance(seen, SeenOrders)
        for order in seen.orders:
            self._see(waited_for[order.id], order)
        for outcome in seen.outcomes:
            number = waited_for[outcome.order_id]
            if outcome.sms is not None:
                number.known.take(outcome.sms)
                number.sms = outcome.sms
                continue
            ended = getattr(outcome.error, "order", None)
            if isinstance(ended, ActiveOrder | Order):
                self._see(number, ended)
            if number.open:
                number.known.close(None)

    def _read(self, number: ObtainedNumber) -> ObtainSteps[None]:
        found = yield from self._send(ReadOrder(number.order.id))
        if isinstance(found, Order):
            self._see(number, found)
        elif isinstance(found, NotFoundError):
            number.known.close(None)

    def _see(self, number: ObtainedNumber, order: ActiveOrder | Order) -> None:
        """Update what is known of a number."""
        if isinstance(order, Order):
            number.charged = order.amount.canonical_amount or number.charged
            if number.order.phone_number is None:
                number.order = order
        number.known.see(order, self._service_now)
        self._find_code(number)

    def _find_code(self, number: ObtainedNumber) -> None:
        sms, pattern = number.known.sms, self._pattern
        if number.sms is not None or sms is None:
            return
        code = number.known.code
        if pattern is not None and sms.text is not None:
            code = code_in(sms.text, pattern)
        if code is not None:
            number.sms = OtpSms(sms.order_id, sms.text, sms.revision, sms.received_at, code=code)

    def _await_cancels(self, until: float) -> ObtainSteps[None]:
        """Cancel all numbers that are given up, waiting for that until a time; a late code ends no wait."""
        yield from self._cancel_due()
        while (due := self._next_due()) < math.inf and due <= until:
            cause, self._cause = self._cause, None
            yield from self._wait(due)
            failed, self._cause = self._cause is not None, cause or self._cause
            if failed:
                return
            yield from self._cancel_due()

    def _next_due(self) -> float:
        return min((number.due for number in self.numbers if number.to_cancel), default=math.inf)

    def _cancel_due(self) -> ObtainSteps[None]:
        for number in self.numbers:
            if number.to_cancel and number.due <= self._now:
                yield from self._give_back(number, finish=False)

    def _give_back(self, number: ObtainedNumber, *, finish: bool) -> ObtainSteps[None]:
        """Cancel a number, or finish it if it has an SMS and ``finish`` is set."""
        steps = giving_back(number.known)
        hint = 0.0
        try:
            step = next(steps)
            while step != "finish" or finish:
                result = yield from self._send(_effect(step, number.order.id))
                error = result if isinstance(result, SmscodeError) else None
                if error is not None:
                    hint = error.retry_after or 0.0
                elif isinstance(result, Order | ActiveOrder):
                    self._see(number, result)
                step = steps.send(error)
        except StopIteration as end:
            number.ending = end.value
        self._find_code(number)
        number.due = self._now + max(hint, number.pause)
        number.pause = min(number.pause * 2, _LONGEST_PAUSE)


def _effect(step: ReleaseStep, order_id: int) -> CancelOrder | FinishOrder | ReadOrder:
    if step == "cancel":
        return CancelOrder(order_id)
    return FinishOrder(order_id) if step == "finish" else ReadOrder(order_id, listed=step == "look")
