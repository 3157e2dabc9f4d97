"""The order methods that wait for SMS."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Iterable

from ..core.api import references
from ..core.api.references import OrderRef
from ..core.timeouts import check_wait
from ..core.waiting.codes import code_pattern
from ..core.waiting.order_changes import OrderChange
from ..core.waiting.sms_wait import OtpOutcome, SmsWait
from ..models import OtpSms, Sms
from .sms_waits import AsyncSmsWaits


class AsyncOrderWaits:
    """The part of ``client.orders`` that waits for SMS, with one poll for all waits."""

    _waits: AsyncSmsWaits

    async def wait_for_otp(
        self,
        order_id: OrderRef,
        *,
        timeout: float | None = None,
        after_revision: int | None = None,
        after_code: str | None = None,
        pattern: str | re.Pattern[str] | None = None,
    ) -> OtpSms:
        """Wait for an SMS with a code, and return it.

        >>> sms = await client.orders.wait_for_otp(order_id, timeout=120)
        >>> print(sms.code)

        ``timeout`` is the number of seconds to wait: 0 checks once, None waits until the order ends. After a
        resend, pass ``revision`` and ``code`` of the last `Sms` as ``after_revision`` and ``after_code``, so
        that only a newer message is returned.

        ``pattern`` is a regular expression, searched in the text of each message. Its first group, or the
        whole match, is the code, also where the service found none. A message that does not match is skipped.
        The expression is applied at every poll and is not interrupted: one that backtracks without end, such
        as "(a+)+$", can hold the program for hours.

        All waits of a client share one poll per ``poll_interval``. Transient failures of the service are
        retried until the timeout; the last one is in ``failure`` of the error.

        Raises `OtpTimeoutError` if no such SMS arrived in time, `OrderTerminalError` if the order ended
        without one, `NotFoundError` if the account does not have the order, and a refusal that repeating does
        not change, such as `UnauthorizedError`, at once.
        """
        sms_wait = SmsWait(
            order_id,
            needs_code=True,
            pattern=pattern,
            after_revision=after_revision,
            after_code=after_code,
        )
        sms = await self._wait(sms_wait, timeout)
        assert isinstance(sms, OtpSms)
        return sms

    async def wait_for_sms(
        self, order_id: OrderRef, *, timeout: float | None = None, after_revision: int | None = None
    ) -> Sms:
        """Wait for any SMS, also one without a code, and return it.

        The arguments and errors are those of `wait_for_otp`.
        """
        return await self._wait(SmsWait(order_id, needs_code=False, after_revision=after_revision), timeout)

    def otps(
        self,
        order_ids: Iterable[OrderRef],
        *,
        timeout: float | None = None,
        pattern: str | re.Pattern[str] | None = None,
    ) -> AsyncGenerator[OtpOutcome]:
        """Wait for the codes of several orders, and yield each order's outcome as soon as it is known.

        >>> async for outcome in client.orders.otps([order.id for order in created], timeout=120):
        ...     print(outcome.order_id, outcome.sms.code if outcome.sms else outcome.error)

        Each order is yielded once: with its SMS, or with the error that `wait_for_otp` would have raised for
        it, such as `OrderTerminalError`. ``timeout`` is the number of seconds for all of them: 0 checks once,
        None waits until all orders have ended. ``pattern`` is as in `wait_for_otp`. An error that
        concerns all orders, such as `UnauthorizedError`, is raised.
        """
        compiled = code_pattern(pattern)
        ids = references.order_ids("order_ids", order_ids)
        waits = [SmsWait(order_id, needs_code=True, pattern=compiled) for order_id in ids]
        return self._waits.each(waits, math.inf if timeout is None else check_wait(timeout))

    def changes(self, *, timeout: float | None = None) -> AsyncGenerator[OrderChange]:
        """Yield the active orders as they are, and then every change of any order of the account.

        >>> async for change in client.orders.changes():
        ...     print(change.order_id, change.status, change.sms.code if change.sms else "")

        A change is a new order, an SMS, another status, what can be done with the order now, and its end,
        whatever program bought it. Polls show them, and at once webhooks that are passed to ``notify``. An
        order that left the list is read once more for its end. The polls are those of the waits: one per
        ``poll_interval``, however many waits and loops of this kind there are.

        While the body of the loop runs, the newest state of each order is kept, not every step; of orders
        that end meanwhile, the last 10,000. ``timeout`` is the number of seconds for all changes, after which
        the iteration ends: 0 polls once, None (the default) goes on without end.

        Transient failures are ridden out; the last is raised if no poll succeeded within the timeout. Raises
        a refusal that repeating does not change, such as `UnauthorizedError`, at once.
        """
        return self._waits.changes(math.inf if timeout is None else check_wait(timeout))

    async def _wait(self, sms_wait: SmsWait, timeout: float | None) -> Sms:
        return await self._waits.wait(sms_wait, math.inf if timeout is None else check_wait(timeout))
