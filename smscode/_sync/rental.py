# Generated from smscode/_async/rental.py by `nox -s generate`: change that file, not this one.

"""A rented number that is given back at the end of a block."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from ..core import release
from ..core.release import Released, Step
from ..errors import ClientStateError, OrderTerminalError, OtpTimeoutError, ProviderError, SmscodeError
from ..models import CreatedOrder, CreatedOrders, ResendResult, Sms
from .driver import Driver

if TYPE_CHECKING:
    from .orders import Orders

_LAST_CALL = 4.0  # seconds for a call made while everything is being cancelled
_LAST_CALLS = 5.0  # ... and for all of them


class Purchase(Protocol):
    """Whatever buys the number."""

    def __call__(self) -> CreatedOrders:
        """Buy it."""
        ...


class Rental:
    """A number that belongs to the block it was rented for; see `orders.rent`.

    ``released`` is None until the block ended, then a `Released`, or the error with which giving the
    number back failed.
    """

    def __init__(
        self, orders: Orders, driver: Driver, purchase: Purchase, release_timeout: float
    ) -> None:
        self._orders = orders
        self._runtime = driver.runtime
        self._purchase = purchase
        self._release_timeout = release_timeout
        self._entered = False
        self._order: CreatedOrder | None = None
        self._sms: Sms | None = None
        self._received = False
        self._ended = False
        self._after: tuple[int | None, str | None] = None, None
        self.released: Released | SmscodeError | None = None

    @property
    def order(self) -> CreatedOrder:
        """The order, as it was when it was created."""
        if self._order is None:
            raise ClientStateError("This rental has no number yet: use it in a with block.")
        return self._order

    @property
    def order_id(self) -> int:
        """The order's id."""
        return self.order.id

    @property
    def phone_number(self) -> str | None:
        """The number; None only where the service's answer could not be read in full."""
        return self.order.phone_number

    def wait_for_otp(self, *, timeout: float | None = None) -> Sms:
        """Wait for an SMS with a code; see `orders.wait_for_otp`. After a resend, for a newer one."""
        return self._wait(True, timeout)

    def wait_for_sms(self, *, timeout: float | None = None) -> Sms:
        """Wait for any SMS, also one without a code. After a resend, for a newer one."""
        return self._wait(False, timeout)

    def _wait(self, needs_code: bool, timeout: float | None) -> Sms:
        try:
            self._sms = self._orders._wait(self.order_id, needs_code, timeout, *self._after)
        except OtpTimeoutError as error:
            self._received = self._received or error.text is not None
            raise
        except OrderTerminalError:
            self._ended = True
            raise
        self._received = True
        return self._sms

    def resend(self, *, timeout: float | None = None) -> ResendResult:
        """Ask for another SMS; from then on only a newer one than the last counts.

        Where no wait has given one yet, the order is read first, to know what is not new.
        """
        if self._sms is not None:
            self._after = self._sms.revision, self._sms.code or self._after[1]
        else:
            order = self._orders.get(self.order_id, timeout=timeout)
            self._after = order.sms_revision, order.otp_code
        return self._orders.resend(self.order_id, timeout=timeout)

    def __enter__(self) -> Self:
        if self._entered:
            raise ClientStateError("This rental was used before: each is for one block.")
        self._entered = True
        created = self._purchase()
        if not created.orders:
            raise ProviderError(
                "No number could be rented.", idempotency_key=created.idempotency_key, outcome="failed"
            )
        self._order = created.orders[0]
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_value is not None and not isinstance(exc_value, Exception):
            self._release_at_last()
            return
        try:
            self.released = self._release(None, self._release_timeout)
        except BaseException:
            self._release_at_last()
            raise
        if exc_value is None and isinstance(self.released, SmscodeError):
            raise self.released

    def _release_at_last(self) -> None:
        """Try to give the number back although everything is being cancelled, for a short time."""
        self.released = Released.LEFT_TO_EXPIRE
        with self._runtime.shield(_LAST_CALLS):
            self.released = self._release(_LAST_CALL, 0.0)

    def _release(self, timeout: float | None, patience: float) -> Released | SmscodeError:
        """Give the number back, with ``patience`` in seconds until that is allowed."""
        if self._ended:
            return Released.ALREADY_RELEASED
        step: Step = release.first_step(received=self._received)
        while True:
            try:
                self._take(step, timeout, patience)
            except SmscodeError as error:
                next_step = release.refused(step, error)
            else:
                return release.done(step)
            if isinstance(next_step, Released | SmscodeError):
                return next_step
            step = next_step

    def _take(self, step: Step, timeout: float | None, patience: float) -> None:
        if step == "finish":
            self._orders.finish(self.order_id, timeout=timeout)
        elif patience > 0:
            self._orders.cancel(self.order_id, wait=True, timeout=patience)
        else:
            self._orders.cancel(self.order_id, timeout=timeout)
