# Generated from smscode/_async/order_obtaining.py by `nox -s generate`: change that file, not this one.

"""The order method that obtains a code, and not just a number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Never

from .._concurrency import Enter, Entering
from ..core.api import arguments
from ..core.api.prices import Price
from ..models import Country, Operator, Service
from .order_purchases import OrderPurchases
from .order_statistics import OrderStatistics
from .rental import Rental

if TYPE_CHECKING:  # imported when a code is obtained
    from ..core.offers import Obtained, Offer
    from .obtaining import SuccessFigures


class OrderObtaining(OrderPurchases, OrderStatistics):
    """The part of ``client.orders`` that obtains codes."""

    @cached_property
    def _success(self) -> SuccessFigures:
        from .obtaining import SuccessFigures

        return SuccessFigures(self, self._driver)

    def obtain(
        self,
        enter: Enter[Rental],
        *unnamed: Never,
        service: int | str | Service | None = None,
        country: int | str | Country | Sequence[int | str | Country] | None = None,
        operator: int | str | Operator | Sequence[int | str | Operator] | None = None,
        offers: Sequence[Offer] | None = None,
        max_price: Price | Sequence[Price] | None = None,
        tries: int = 3,
        wait: float = 120.0,
        resend_after: float | None = None,
        budget: Price | None = None,
        timeout: float | None = None,
        release_timeout: float = 0.0,
        pattern: str | re.Pattern[str] | None = None,
        prefer: Literal["price", "success"] = "price",
        keep: bool = False,
        idempotency_key: str | None = None,
    ) -> Obtained:
        """Obtain a code: rent a number, use it, wait, and rent another one until there is a code.

        >>> def enter(rental):
        ...     site.send_code_to(rental.phone_number)
        >>> obtained = client.orders.obtain(
        ...     enter, service="whatsapp", country=["indonesia", "malaysia"], budget="2.00"
        ... )
        >>> print(obtained.code, obtained.phone_number, obtained.spent)

        ``enter`` is called with the rental of each number, and lets the site send its code there. If it
        raises `NumberRefused`, another number is taken at once. Any other exception ends this, after the
        numbers were given back.

        What to buy is a ``service``, in one or several countries (``country``; None means any) and of one or
        several operators, or ``offers``, each an `Offer`, in their order. Of a service, the cheapest offer in
        stock is tried first; with ``prefer="success"`` the one whose numbers got codes most surely, by the
        account's orders of the last 30 days, which are read every ten minutes. ``max_price``
        is the most that one number may cost, or a ladder of prices: all offers within the first, then all
        within the next. Without it, each number may cost what the catalogue shows. ``budget`` is the most
        that all of it may cost: what was charged, less what was refunded, and what open purchases may cost.
        One of ``max_price`` and ``budget`` is required. Both are prices as in `create`.

        ``tries`` is the most numbers to buy (1..100). ``wait`` is the number of seconds to wait for each code
        after ``enter`` returned, at most 1,200; ``resend_after`` those after which the SMS is requested once
        more. A number without an SMS by then is cancelled as soon as the service allows it; if its code comes
        before that, it is in ``tried``, and is the result if no other comes. ``timeout`` limits the whole, in
        seconds, except for ``enter`` itself, and for giving numbers back: that waits for at most
        ``release_timeout`` seconds until the service allows a cancel, else the number expires and is
        refunded. ``pattern`` finds the code as in `wait_for_otp`. The order of the code is finished, unless
        ``keep`` is True.

        With ``idempotency_key`` (at most 121 characters) a repeated call buys nothing twice, also in another
        process: it returns the code that the earlier call bought, or goes on where that stopped. It needs a
        journal, or ``offers`` with prices.

        Raises `CodeNotObtainedError` if no code came, with all numbers in ``tried``, and
        `InvalidArgumentError` for a wrong argument, for a ``budget`` below the cheapest number, or if
        ``enter`` does not return an awaitable. If this is cancelled, it tries for up to 5 seconds to cancel
        what can be cancelled. Numbers that are left are in `bought`.
        """
        from ..core.obtain_plan import ObtainPlan
        from .obtaining import ObtainDriver

        if unnamed:
            raise arguments.unnamed("orders.obtain", "service='whatsapp', budget='2.00'")
        Entering.check(enter)
        plan = ObtainPlan.of(
            self._driver.version,
            stored=self._purchases.journal is not None,
            service=service,
            country=country,
            operator=operator,
            offers=offers,
            max_price=max_price,
            tries=tries,
            wait=wait,
            resend_after=resend_after,
            budget=budget,
            timeout=timeout,
            release_timeout=release_timeout,
            pattern=pattern,
            prefer=prefer,
            keep=keep,
            idempotency_key=idempotency_key,
        )
        self._driver.check()
        obtaining = ObtainDriver(
            self,
            self._driver,
            self._purchases,
            self._waits,
            self._finder,
            self._success,
            enter,
            plan,
        )
        return obtaining.run()
