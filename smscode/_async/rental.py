"""A rented number that is released at the end of a with block."""

from __future__ import annotations

import math
import re
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from .. import _exact
from .._concurrency import AsyncBlock
from ..core import order_endings
from ..core.api import arguments, orders
from ..core.api.call import CallKind
from ..core.order_endings import After, KnownMessages, Released, ReleaseEnding, ReleaseStep
from ..core.waiting.sms_wait import SmsWait
from ..errors import (
    ClientStateError,
    InvalidArgumentError,
    OrderTerminalError,
    OtpTimeoutError,
    ProviderError,
    RequestTimeoutError,
    SmscodeError,
)
from ..models import (
    ActiveOrder,
    CanceledOrder,
    CreatedOrder,
    CreatedOrders,
    FinishedOrder,
    Order,
    OtpSms,
    ResendResult,
    Sms,
)
from .driver import AsyncDriver

_LAST_CALL = 4.0  # seconds for a call made while everything is being cancelled
_LAST_CALLS = 5.0  # ... and for all of them
_LEAST = 0.001  # ... and for one whose time is over already, so that it fails as a call does


class AsyncOrderActions(Protocol):
    """The methods of the client's ``orders`` that a rental uses."""

    async def get(self, order_id: int, *, timeout: float | None = None) -> Order:
        """Read the order."""
        ...

    async def active(self, *, timeout: float | None = None) -> list[ActiveOrder]:
        """Read all orders that have not ended."""
        ...

    async def cancel(
        self, order_id: int, *, wait: bool = False, timeout: float | None = None
    ) -> CanceledOrder:
        """Cancel the order."""
        ...

    async def finish(self, order_id: int, *, timeout: float | None = None) -> FinishedOrder:
        """Finish the order."""
        ...

    async def resend(self, order_id: int, *, timeout: float | None = None) -> ResendResult:
        """Request another SMS."""
        ...

    async def _wait(self, sms_wait: SmsWait, timeout: float | None) -> Sms: ...


class BuyNumber(Protocol):
    """A function that buys the number of a rental."""

    async def __call__(self) -> CreatedOrders:
        """Buy it."""
        ...


class AsyncRental(AsyncBlock):
    """A rented number for one with block, returned by `orders.rent` and `orders.attach`.

    ``released`` says how the number was released at the end of the block. It is None before, and stays None
    if the number is not known to be released: then ``release_error`` is the error, None if the release was
    interrupted, and the number may still be rented: use `orders.attach` to release it.
    """

    def __init__(
        self,
        orders: AsyncOrderActions,
        driver: AsyncDriver,
        source: BuyNumber | Attachment,
        release_timeout: float,
        read_timeout: float | None = None,
    ) -> None:
        """Set up. ``source`` is a function that buys the number, or an existing order."""
        self._orders = orders
        self._driver = driver
        self._runtime = driver.runtime
        self._open = driver.open_rentals
        self._source = source
        self._release_timeout = release_timeout
        self._read_timeout = read_timeout
        self._entered = False
        self._exited = False
        self._order: CreatedOrder | Order | None = None
        self._known = KnownMessages()
        self._after: After = {}
        self.released: Released | None = None
        self.release_error: SmscodeError | None = None

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._order is None:
            return f"{name}(no number yet)"
        ended = "" if self.released is None else f", released={self.released}"
        return f"{repr(self._order).replace(type(self._order).__name__, name, 1)[:-1]}{ended})"

    @classmethod
    def held(
        cls, orders: AsyncOrderActions, driver: AsyncDriver, order: CreatedOrder | Order, known: KnownMessages
    ) -> Self:
        """Return a rental that its maker releases, not a with block; ``known`` is shared with its maker."""
        rental = cls(orders, driver, order, 0.0)
        rental._entered = rental._exited = True
        rental._order, rental._known = order, known
        rental._open.add(order.id, order.expires_at, rental._runtime.wall_clock())
        return rental

    @property
    def order(self) -> CreatedOrder | Order:
        """The order as it was at the beginning of the block. Raises `ClientStateError` before that."""
        if self._order is None:
            raise ClientStateError("This rental has no number yet: use it in a with block.")
        return self._order

    @property
    def order_id(self) -> int:
        """The order's id."""
        return self.order.id

    @property
    def phone_number(self) -> str | None:
        """The phone number; None only if the service's answer could not be read completely."""
        return self.order.phone_number

    @property
    def sms(self) -> Sms | None:
        """The last message that this rental knows, None before the first.

        It is set by the waits, and at the end of the block if an SMS arrived that no wait returned. Its
        ``code`` is None if the service found none.
        """
        return self._known.sms

    async def wait_for_otp(
        self, *, timeout: float | None = None, pattern: str | re.Pattern[str] | None = None
    ) -> OtpSms:
        """Wait for an SMS with a code; after `resend`, for a newer one.

        ``timeout`` is the number of seconds to wait: 0 checks once, None waits until the order ends.
        ``pattern`` is as in `orders.wait_for_otp`. Raises `OtpTimeoutError` if no such SMS arrived in time,
        `OrderTerminalError` if the order ended without one, and the other errors of `orders.wait_for_otp`.
        """
        sms = await self._wait(
            SmsWait(self.order_id, needs_code=True, pattern=pattern, **self._after), timeout
        )
        assert isinstance(sms, OtpSms)
        return sms

    async def wait_for_sms(self, *, timeout: float | None = None) -> Sms:
        """Wait for any SMS, also one without a code; after `resend`, for a newer one.

        The argument and errors are those of `wait_for_otp`.
        """
        return await self._wait(SmsWait(self.order_id, needs_code=False, **self._after), timeout)

    async def _wait(self, sms_wait: SmsWait, timeout: float | None) -> Sms:
        try:
            sms = await self._orders._wait(sms_wait, timeout)
        except (OtpTimeoutError, OrderTerminalError) as error:
            if isinstance(error, OrderTerminalError):
                self._known.close(None)
            if isinstance(error.order, ActiveOrder | Order):
                self._known.see(error.order)
            raise
        self._known.take(sms)
        return sms

    async def resend(self, *, timeout: float | None = None) -> ResendResult:
        """Request another SMS. Later waits only return a message newer than the last one.

        >>> if (await rental.resend()).resent:
        ...     sms = await rental.wait_for_otp(timeout=60)

        If no message is known yet, the order is read first, so that a message that arrived before is not
        returned as a new one. ``timeout`` and the errors are those of `orders.resend`.
        """
        deadline = self._driver.deadline(CallKind.RESEND, timeout)
        if self._known.sms is None:
            await self._take("read", max(deadline - self._runtime.now(), _LEAST), 0.0)
            if self._known.received and self._known.sms is None:
                # An older server shows the text only in the list of active orders.
                await self._take("look", max(deadline - self._runtime.now(), _LEAST), 0.0)
        self._after = self._known.after()
        before, self._known.asked_again = self._known.asked_again, True
        answer = await self._driver.run(orders.resend(self.order_id), deadline=deadline)
        # Without revisions, its time distinguishes a webhook from that of an earlier message.
        self._after["after_time"] = answer.date
        if not answer.data.resent:
            self._known.asked_again = before
        return answer.data

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ClientStateError("This rental was used before: each is for one block.")
        self._entered = True
        source = self._source
        if isinstance(source, int | Order | ActiveOrder | CreatedOrder | AsyncRental):
            order = await self._find(source)
        else:
            order = await self._buy(source)
        self._hold(order)
        return self

    async def _buy(self, purchase: BuyNumber) -> CreatedOrder:
        created = await purchase()
        if not created.orders:
            raise ProviderError(
                "No number could be rented.", idempotency_key=created.idempotency_key, outcome="failed"
            )
        return created.orders[0]

    async def _find(self, source: Attachment) -> CreatedOrder | Order:
        """Return the given order, read from the service if it has no phone number."""
        if isinstance(source, AsyncRental):
            self._known, self._after = source._known.copy(), source._after
            source = source.order_id if self._known.ended else source.order
        if isinstance(source, CreatedOrder | Order) and source.phone_number is not None:
            return source
        order_id = source if isinstance(source, int) else source.id
        return await self._orders.get(order_id, timeout=self._read_timeout)

    def _hold(self, order: CreatedOrder | Order) -> None:
        """Store the order and its messages. Raises `OrderTerminalError` if it has ended."""
        self._order = order
        self._open.add(order.id, order.expires_at, self._runtime.wall_clock())
        self._known.see(order)
        if self._known.ended:
            self._store(ReleaseEnding(Released.ALREADY_RELEASED))
            error = OrderTerminalError(f"Order {order.id} has ended as {order.status}.")
            error.order_id, error.status, error.order = order.id, str(order.status), order
            raise error

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._exited:
            return
        self._exited = True
        if exc_value is not None and not isinstance(exc_value, Exception):
            await self._release_at_last()
            return
        try:
            until = self._driver.deadline(CallKind.TRANSITION, None) + self._release_timeout
            self._store(await self._release(math.inf, self._release_timeout, until))
        except BaseException:
            await self._release_at_last()
            raise
        if exc_value is None and self.release_error is not None:
            raise self.release_error

    async def _release_at_last(self) -> None:
        """Try for a short time to release the number although the task is being cancelled."""
        until = self._runtime.now() + _LAST_CALLS
        error = RequestTimeoutError(
            f"The number was not given back within {_LAST_CALLS:g} s of the interruption, as far as is"
            " known. Read the order, or use orders.attach.",
            outcome="unknown",
        )
        ending = ReleaseEnding(None, error)
        with self._runtime.shield(_LAST_CALLS):
            ending = await self._release(_LAST_CALL, 0.0, until)
        self._store(ending)

    def _store(self, ending: ReleaseEnding) -> None:
        """Store how the block ended. An interrupt may come after each line, so the order matters."""
        self.release_error = ending.error
        self.released = ending.released
        if self._known.ended:
            self._open.remove(self.order_id)

    async def _release(self, timeout: float, patience: float, until: float) -> ReleaseEnding:
        """Release the number, and return how that ended.

        ``patience`` is the number of seconds to wait until cancelling is allowed. Each call has ``timeout``
        seconds, and none lasts beyond ``until`` (monotonic seconds).
        """
        steps = order_endings.giving_back(self._known)
        try:
            step = next(steps)
            while True:
                failure: SmscodeError | None = None
                try:
                    left = max(until - self._runtime.now(), _LEAST)
                    await self._take(step, min(timeout, left), patience)
                except SmscodeError as error:
                    failure = error
                step = steps.send(failure)
        except StopIteration as end:
            ending: ReleaseEnding = end.value
            return ending

    async def _take(self, step: ReleaseStep, timeout: float, patience: float) -> None:
        if step == "finish":
            await self._orders.finish(self.order_id, timeout=timeout)
        elif step == "read":
            answer = await self._driver.run(orders.get(self.order_id), timeout)
            self._known.see(answer.data, answer.date)
        elif step == "look":
            for order in await self._orders.active(timeout=timeout):
                if order.id == self.order_id:
                    self._known.see(order)
        elif patience > 0:
            await self._orders.cancel(self.order_id, wait=True, timeout=min(patience, timeout))
        else:
            await self._driver.run(orders.cancel(self.order_id), timeout)


Attachment: TypeAlias = int | Order | ActiveOrder | CreatedOrder | AsyncRental
"""What identifies an existing order: its id, an order that any method returned, or a rental."""


def checked(order: Attachment) -> Attachment:
    """Check the ``order`` argument of `orders.attach`. A rental must have a number."""
    if isinstance(order, AsyncRental):
        arguments.identity("order", order.order_id)
    elif not isinstance(order, Order | ActiveOrder | CreatedOrder):
        if _exact.whole(order) is None:
            raise InvalidArgumentError(
                "order: expected an order's id, an order, or a rental of this kind of client,"
                f" got {type(order).__name__}."
            )
        return arguments.identity("order", order)
    return order
