"""Renting one number: bought, shown, waited for, given back, and the truth told at every turn."""

from __future__ import annotations

from typing import TypedDict

from attrs import define, field

from .._async.client import AsyncClient
from ..core.order_endings import Released
from ..errors import OrderTerminalError, OtpTimeoutError, SmscodeError
from ..models import CreatedOrder, Order, OrderStatus, RoutingPolicy, Sms
from ..money import Money
from .exits import Exit
from .interrupts import Stop
from .screen import when
from .session import Session

IN_DOUBT = "`smscode orders --unresolved` shows it, and `smscode recover` settles it."


class RentRequest(TypedDict):
    """What to rent: arguments of `orders.rent`."""

    catalog_product_id: int | None
    operator_id: int | None
    max_price: Money
    policy: RoutingPolicy | None


@define
class Renting:
    """One number from its purchase to its end; ``patience`` is in seconds, None until the order ends."""

    session: Session
    wish: RentRequest
    patience: float | None
    order: CreatedOrder | Order | None = field(default=None, init=False)
    sms: Sms | None = field(default=None, init=False)
    shown: bool = field(default=False, init=False)

    async def run(self, client: AsyncClient) -> int:
        """Rent, wait, give back where that is allowed, say what became of the money; give the exit code."""
        screen = self.session.screen
        stop = Stop(lambda: screen.note("Stopping. Ctrl-C again does not wait for the service's answer."))
        rental = client.orders.rent(**self.wish)
        error: Exception | None = None
        with stop.listening(), self.session.changing(IN_DOUBT), stop.everything:
            try:
                async with rental:
                    self.order = order = rental.order
                    self.session.doubt = ""
                    self._show_number(order)
                    with stop.waiting, screen.progress("waiting for the code; Ctrl-C gives the number back"):
                        self.sms = await rental.wait_for_otp(timeout=self.patience)
                    self._show_code()
            except Exception as caught:  # whatever breaks, what became of the money is said
                error = caught
        if self.order is None:
            if error is not None:
                self.session.doubt = IN_DOUBT
                raise error
            self._tell_nothing_rented(client)
            return stop.code
        try:
            self._show_late_code(rental.sms)
        except Exception as caught:
            error = caught
        self._tell_end(self.order, rental.released, rental.release_error, error)
        self.session.afterwards = ""  # it has been said
        client._driver.open_rentals.remove(self.order.id)  # closing need not say it again
        if self.shown and isinstance(error, SmscodeError | None):
            return Exit.OK
        if stop.code or isinstance(error, OtpTimeoutError | OrderTerminalError):
            return stop.code or Exit.NO_CODE
        assert error is not None, "a wait ends with a code, an error or an interrupt"
        self.session.rented = True
        raise error

    def tell_interrupted(self) -> int:
        """Print where things stand for somebody who did not want to wait for the number's return."""
        screen = self.session.screen
        if self.order is None:
            screen.warn(f"Interrupted. The number may have been bought: {IN_DOUBT}")
        else:
            told = f"`smscode order {self.order.id}` tells whether the number was given back."
            screen.warn(f"Interrupted. {told} If not: {self._left(self.order)}")
        return Exit.INTERRUPTED

    def _show_number(self, order: CreatedOrder | Order) -> None:
        pairs: dict[str, object] = {"order": order.id, "number": order.phone_number}
        if self.session.screen.pretty:
            pairs["until"] = when(order.expires_at)
        self.session.screen.event("rented", {"order": order}, pairs)

    def _show_code(self) -> None:
        if self.sms is not None:
            self.session.screen.event("code", {"sms": self.sms}, {"code": self.sms.code})
            self.shown = True

    def _show_late_code(self, sms: Sms | None) -> None:
        """Show a code that only giving the number back has met: it is paid for."""
        if self.sms is None and sms is not None and sms.code is not None:
            self.sms = sms
            self._show_code()

    def _tell_nothing_rented(self, client: AsyncClient) -> None:
        left = [intent.idempotency_key for intent in client.orders.unresolved()]
        said = f"The number may have been bought: {IN_DOUBT}" if left else "Nothing was bought."
        self.session.screen.warn(f"Interrupted. {said}")

    @staticmethod
    def _left(order: CreatedOrder | Order) -> str:
        ends = f"Order {order.id} ends by itself at {when(order.expires_at)}"
        refund = f"{_price(order)} is refunded then if no SMS came"
        return f"{ends}; {refund}. Sooner: `smscode cancel {order.id} --wait`."

    def _tell_end(
        self,
        order: CreatedOrder | Order,
        released: Released | None,
        release_error: SmscodeError | None,
        error: Exception | None,
    ) -> None:
        """Print what became of the number, and of the money."""
        screen = self.session.screen
        status = "unknown" if released is None else released.value
        why = "No code came in time. " if isinstance(error, OtpTimeoutError) and not self.shown else ""
        if released is Released.FINISHED:
            said = f"Finished; {_price(order)} was charged."
        elif released is Released.CANCELED:
            said = f"{why}Canceled; {_price(order)} was refunded."
        elif released is Released.ALREADY_RELEASED:
            said = _ended(order, error)
        elif released is Released.LEFT_TO_EXPIRE:
            said = f"{why}It is too early to cancel. {self._left(order)}"
        else:
            reason = "it was interrupted." if release_error is None else release_error.message
            said = f"{why}Giving the number back failed: {reason} {self._left(order)}"
        if self.sms is not None and not self.shown:
            # The standard output did not take it, and it is paid for.
            said += f" Its code is {self.sms.code}; `smscode order {order.id}` shows it, too."
        if screen.as_json:
            data = {"order_id": order.id, "released": status, "amount": order.amount, "message": said}
            try:
                screen.event("released", data, {})
            except OSError:
                screen.warn(said)
        elif released is Released.FINISHED and self.shown and isinstance(error, OtpTimeoutError | None):
            screen.note(said)
        else:
            screen.warn(said)


def _price(order: CreatedOrder | Order) -> str:
    return "its price" if order.amount is None else str(order.amount)


def _ended(order: CreatedOrder | Order, error: Exception | None) -> str:
    """Print how an order ended that was ended by something else."""
    if not isinstance(error, OrderTerminalError):
        return f"Order {order.id} had ended already: `smscode order {order.id}` tells how."
    money = "charged" if error.status == OrderStatus.COMPLETED else "refunded"
    return f"Order {order.id} ended without a code ({error.status}); {_price(order)} was {money}."
