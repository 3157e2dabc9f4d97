"""Rents one number: buys it, shows it, waits for its code, releases it, and reports what happened."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NotRequired, TypedDict

from attrs import define, field

from .._async.client import AsyncClient
from .._async.rental import AsyncRental
from ..core.order_endings import Released
from ..errors import OrderTerminalError, OtpTimeoutError, SmscodeError
from ..models import CreatedOrder, Order, OrderStatus, RoutingPolicy, Sms
from ..money import Money
from .exits import Exit
from .interrupts import InterruptHandler
from .screen import when
from .session import Session

IN_DOUBT = "`smscode orders --unresolved` shows it, and `smscode recover` settles it."


class RentRequest(TypedDict):
    """The arguments of `orders.rent`."""

    catalog_product_id: int
    operator_id: int | None
    max_price: Money
    policy: RoutingPolicy | None
    min_price: NotRequired[int | str | None]


@define
class Renting:
    """One number from its purchase to its end.

    ``timeout`` limits the wait for the code, in seconds; None waits until the order ends. It is ``alone`` if
    no other number is rented by this command.
    """

    session: Session
    request: RentRequest
    timeout: float | None
    alone: bool = True
    order: CreatedOrder | Order | None = field(default=None, init=False)
    sms: Sms | None = field(default=None, init=False)
    shown: bool = field(default=False, init=False)
    rental: AsyncRental | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)

    async def take(self, client: AsyncClient, interrupts: InterruptHandler) -> None:
        """Rent a number, wait for its code, and release it."""
        self.rental = rental = client.orders.rent(**self.request)
        try:
            async with rental:
                self.order = order = rental.order
                if self.alone:
                    self.session.doubt = ""
                self._show_number(order)
                with interrupts.waiting(), self._progress(order):
                    self.sms = await rental.wait_for_otp(timeout=self.timeout)
                self._show_code()
        except Exception as caught:  # of any class: what happened to the money is reported
            self.error = caught

    def report(self, client: AsyncClient, interrupts: InterruptHandler) -> int:
        """Report the result and return the exit code. Raises the error that nothing was rented for."""
        error, rental = self.error, self.rental
        if self.order is None or rental is None:
            if error is not None:
                self.session.doubt = IN_DOUBT
                raise error
            self._report_nothing_rented(client)
            return interrupts.code
        try:
            self._show_late_code(rental.sms)
        except Exception as caught:
            error = caught
        self._report_end(self.order, rental.released, rental.release_error, error)
        self.session.afterwards = ""  # it is reported
        client._driver.open_rentals.remove(self.order.id)  # so that closing does not warn of it again
        if self.shown and isinstance(error, SmscodeError | None):
            return Exit.OK
        if interrupts.code or isinstance(error, OtpTimeoutError | OrderTerminalError):
            return interrupts.code or Exit.NO_CODE
        assert error is not None, "a wait ends with a code, an error or an interrupt"
        self.session.rented = True
        raise error

    def _progress(self, order: CreatedOrder | Order) -> AbstractContextManager[None]:
        if not self.alone:  # there would be one for each
            return nullcontext()
        allowed = order.cancel_available_at
        since = "two minutes" if allowed is None else when(allowed)  # older servers do not send it
        text = f"waiting for the code; Ctrl-C gives the number back from {since} on"
        return self.session.screen.progress(text)

    def report_interrupted(self) -> None:
        """Report the state after an interrupt that did not wait for the release of the number."""
        screen = self.session.screen
        if self.order is None:
            screen.warn(f"Interrupted. The number may have been bought: {IN_DOUBT}")
        else:
            hint = f"`smscode order {self.order.id}` shows whether the number was given back."
            screen.warn(f"Interrupted. {hint} If not: {self._left(self.order)}")

    def _show_number(self, order: CreatedOrder | Order) -> None:
        if not self.alone:
            until = [when(order.expires_at)] if self.session.screen.pretty else []
            cells = ("number", order.id, order.phone_number, *until, None)
            self.session.screen.step("rented", {"order": order}, cells)
            return
        pairs: dict[str, object] = {"order": order.id, "number": order.phone_number}
        if self.session.screen.pretty:
            pairs["until"] = when(order.expires_at)
        self.session.screen.event("rented", {"order": order}, pairs)

    def _show_code(self) -> None:
        if self.sms is None:
            return
        if self.alone:
            self.session.screen.event("code", {"sms": self.sms}, {"code": self.sms.code})
        else:
            number = None if self.order is None else self.order.phone_number
            cells = ("code", self.sms.order_id, number, self.sms.code)
            self.session.screen.step("code", {"sms": self.sms}, cells)
        self.shown = True

    def _show_late_code(self, sms: Sms | None) -> None:
        """Show a code that came while the number was released: it is paid for."""
        if self.sms is None and sms is not None and sms.code is not None:
            self.sms = sms
            self._show_code()

    def _report_nothing_rented(self, client: AsyncClient) -> None:
        left = [intent.idempotency_key for intent in client.orders.unresolved()]
        text = f"The number may have been bought: {IN_DOUBT}" if left else "Nothing was bought."
        self.session.screen.warn(f"Interrupted. {text}")

    @staticmethod
    def _left(order: CreatedOrder | Order) -> str:
        ends = f"Order {order.id} ends by itself at {when(order.expires_at)}"
        refund = f"{_price(order)} is refunded then if no SMS came"
        return f"{ends}; {refund}. Sooner: `smscode cancel {order.id} --wait`."

    def _report_end(
        self,
        order: CreatedOrder | Order,
        released: Released | None,
        release_error: SmscodeError | None,
        error: Exception | None,
    ) -> None:
        """Report what happened to the number and the money."""
        screen = self.session.screen
        status = "unknown" if released is None else released.value
        why = "No code came in time. " if isinstance(error, OtpTimeoutError) and not self.shown else ""
        if released is Released.FINISHED:
            text = f"Finished; {_price(order)} was charged."
        elif released is Released.CANCELED:
            text = f"{why}Canceled; {_price(order)} was refunded."
        elif released is Released.ALREADY_RELEASED:
            text = _ended(order, error)
        elif released is Released.LEFT_TO_EXPIRE:
            text = f"{why}It is too early to cancel. {self._left(order)}"
        else:
            reason = "it was interrupted." if release_error is None else release_error.message
            text = f"{why}Giving the number back failed: {reason} {self._left(order)}"
        if self.sms is not None and not self.shown:
            # It could not be written to the standard output, but it is paid for.
            text += f" Its code is {self.sms.code}; `smscode order {order.id}` shows it, too."
        if not self.alone:
            text = f"Order {order.id}: {text}"
        if screen.as_json:
            data = {"order_id": order.id, "released": status, "amount": order.amount, "message": text}
            try:
                screen.event("released", data, {})
            except OSError:
                screen.warn(text)
        elif released is Released.FINISHED and self.shown and isinstance(error, OtpTimeoutError | None):
            screen.say(text)
        else:
            screen.warn(text)


def _price(order: CreatedOrder | Order) -> str:
    return "its price" if order.amount is None else str(order.amount)


def _ended(order: CreatedOrder | Order, error: Exception | None) -> str:
    """Return how an order ended that was not ended here."""
    if not isinstance(error, OrderTerminalError):
        return f"Order {order.id} had ended already: `smscode order {order.id}` shows how."
    money = "charged" if error.status == OrderStatus.COMPLETED else "refunded"
    return f"Order {order.id} ended without a code ({error.status}); {_price(order)} was {money}."
