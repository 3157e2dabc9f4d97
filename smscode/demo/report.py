"""The progress and the report of the demo."""

from __future__ import annotations

import threading
from typing import TextIO

from attrs import define, field, frozen

from .._serialization import to_dict
from ..errors import SmscodeError
from ..models import CreatedOrder, Product
from ..money import Money

_PRODUCTS = 5


@frozen
class Rental:
    """A rented number; ``seconds`` passed between its purchase and its code."""

    order: CreatedOrder
    code: str | None
    seconds: float
    finished: bool


@define
class DemoProgress:
    """Counts the steps of the rentals, and shows them on a terminal.

    The lock guards the counts and the line; no other lock is taken under it.
    """

    count: int
    out: TextIO
    _done: dict[str, int] = field(factory=lambda: {"rented": 0, "codes": 0, "finished": 0})
    _lock: threading.Lock = field(factory=threading.Lock)

    def note(self, step: str) -> None:
        """Count a step: "rented", "codes" or "finished"."""
        with self._lock:
            self._done[step] += 1
            if self.out.isatty():
                steps = "   ".join(f"{name} {done}/{self.count}" for name, done in self._done.items())
                self.out.write(f"\r{steps}")
                self.out.flush()

    def clear(self) -> None:
        """Clear the line on the terminal."""
        if self.out.isatty():
            self.out.write("\r\x1b[K")
            self.out.flush()


@frozen
class Rentals:
    """The numbers of a run, the errors of those that failed, and the balance before and after."""

    rentals: tuple[Rental, ...]
    errors: tuple[SmscodeError, ...]
    before: Money
    after: Money

    @property
    def spent(self) -> int:
        """The decrease of the balance, in rupiah."""
        return self.before.canonical_amount - self.after.canonical_amount

    @property
    def charged(self) -> int:
        """The sum of the prices of the orders, in rupiah."""
        amounts = (rental.order.amount for rental in self.rentals)
        return sum(amount.canonical_amount for amount in amounts if amount is not None)


@frozen
class Report:
    """A finished run, with its requests and seconds."""

    count: int
    done: Rentals
    requests: int
    seconds: float

    @property
    def adds_up(self) -> bool:
        """Whether every number got its code, every order was finished, and the balance is right."""
        done = self.done
        whole = sum(1 for rental in done.rentals if rental.code is not None and rental.finished)
        distinct = len({rental.order.id for rental in done.rentals})
        return whole == distinct == self.count and done.spent == done.charged

    def lines(self) -> list[str]:
        """Return a table and a summary, as lines."""
        done = self.done
        rows = [f"{'order':>8}  {'number':<16} {'code':<8} {'seconds':>7}"]
        for rental in sorted(done.rentals, key=lambda rental: rental.order.id):
            order, code = rental.order, rental.code or "-"
            rows.append(f"{order.id:>8}  {order.phone_number or '-':<16} {code:<8} {rental.seconds:>7.2f}")
        finished = sum(1 for rental in done.rentals if rental.finished)
        check = "ok" if done.spent == done.charged else "WRONG"
        return [
            *rows,
            *(f"failed: {error}" for error in done.errors),
            "",
            f"finished  {finished} of {self.count} in {self.seconds:.1f} s",
            f"balance   {done.before} before, {done.after} after",
            f"spent     {Money.idr(done.spent)} = sum of orders {Money.idr(done.charged)}: {check}",
            f"requests  {self.requests}",
        ]

    def record(self) -> dict[str, object]:
        """Return the report as JSON values."""
        done = self.done
        return {
            "rentals": [
                {
                    "order_id": rental.order.id,
                    "phone_number": rental.order.phone_number,
                    "code": rental.code,
                    "seconds": round(rental.seconds, 3),
                    "finished": rental.finished,
                }
                for rental in sorted(done.rentals, key=lambda rental: rental.order.id)
            ],
            "errors": [str(error) for error in done.errors],
            "balance_before": to_dict(done.before),
            "balance_after": to_dict(done.after),
            "spent": to_dict(Money.idr(done.spent)),
            "charged": to_dict(Money.idr(done.charged)),
            "adds_up": self.adds_up,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }


def choose(products: tuple[Product, ...], count: int) -> list[Product]:
    """Return ``count`` products, in turn of the cheapest ones with enough stock for all numbers."""
    plenty = [product for product in products if product.available >= count][:_PRODUCTS]
    return [plenty[number % len(plenty)] for number in range(count)]
