# Generated from smscode/_async/obtaining.py by `nox -s generate`: change that file, not this one.

"""`orders.obtain`: a code, and not just a number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeVar, assert_never

from .._concurrency import Enter, Entering
from ..core.api import catalog, orders
from ..core.api.call import Call, CallKind
from ..core.api.prices import Price
from ..core.call_events import next_call_id
from ..core.obtain_effects import (
    BoughtOne,
    BuyOne,
    CancelOrder,
    EnteredNumber,
    EnterNumber,
    FindOffers,
    FinishOrder,
    FoundOffers,
    ObtainEffect,
    ObtainReply,
    ObtainResult,
    ObtainSteps,
    ReadOrder,
    ResendSms,
    SeenOrders,
    UsedKey,
    WaitForAny,
)
from ..core.obtain_plan import ObtainPlan, OfferFigures, Search, best_first
from ..core.obtain_report import step_of
from ..core.obtaining import Obtaining
from ..core.offers import Obtained, Offer
from ..core.product_search import ProductFilter, ProductNames, cheapest_first, offers_of
from ..core.purchases.intents import OrderIntent
from ..core.purchases.records import PurchaseState
from ..core.waiting.sms_wait import SmsWait
from ..errors import NumberRefused, SmscodeError
from ..models import Country, CreatedOrders, Operator, Product, Service
from .delivery import Delivery
from .driver import Driver
from .order_purchases import OrderPurchases
from .order_statistics import OrderStatistics
from .product_search import ProductSearch
from .purchases import Purchases
from .rental import OrderActions, Rental
from .sms_waits import SmsWaits

T = TypeVar("T")

_LAST_CALL = 4.0  # seconds for a call made while everything is being cancelled
_LAST_CALLS = 5.0  # ... and for all of them
_LEAST = 0.001
_FIGURES_OF = timedelta(days=30)
_FIGURES_KEPT = 600.0  # seconds


class SuccessFigures:
    """How the offers did that the account has bought lately, read again every ten minutes."""

    def __init__(self, orders: OrderStatistics, driver: Driver) -> None:
        self._orders = orders
        self._runtime = driver.runtime
        self._figures: tuple[float, Sequence[OfferFigures]] = (-math.inf, ())

    def figures(self, timeout: float) -> Sequence[OfferFigures]:
        """Return the figures; ``timeout`` applies to each request."""
        read_at, figures = self._figures
        if self._runtime.now() - read_at > _FIGURES_KEPT:
            figures = self._orders.stats(since=_FIGURES_OF, timeout=timeout)
            self._figures = self._runtime.now(), figures
        return figures


class ObtainDriver:
    """Carries out what obtaining a code asks for, one effect after the other."""

    def __init__(
        self,
        actions: OrderActions,
        driver: Driver,
        purchases: Purchases,
        waits: SmsWaits,
        finder: ProductSearch,
        success: SuccessFigures,
        enter: Enter[Rental],
        plan: ObtainPlan,
    ) -> None:
        self._actions = actions
        self._driver = driver
        self._runtime = driver.runtime
        self._purchases = purchases
        self._waits = waits
        self._finder = finder
        self._success = success
        self._enter = enter
        self._plan = plan
        self._machine: Obtaining = Obtaining(plan, self._runtime.now())
        self._id = next_call_id()
        self._until = math.inf  # when the last calls have to be over, after an interruption

    def run(self) -> Obtained:
        """Obtain a code. However it ends, what can be given back has been given back, or is named."""
        try:
            return self._drive(self._machine.steps())
        except BaseException:
            if not self._machine.over:
                self._abandon()
            raise

    def _abandon(self) -> None:
        """Try for a short time to give the numbers back although the task is being cancelled."""
        for key in self._machine.keys:
            for order in self._purchases.book.orders_under(key):
                self._machine.adopt(key, order)
        self._until = self._runtime.now() + _LAST_CALLS
        with self._runtime.shield(_LAST_CALLS):
            self._drive(self._machine.abandoning(self._runtime.now()))

    def _drive(self, steps: ObtainSteps[T]) -> T:
        try:
            effect = next(steps)
            while True:
                began = self._runtime.now()
                date: datetime | None = None
                result: ObtainResult
                try:
                    result, date = self._perform(effect)
                except SmscodeError as error:
                    result = error
                now = self._runtime.now()
                self._driver.tell(
                    partial(step_of, self._id, effect, result, self._machine.numbers, now - began)
                )
                effect = steps.send(ObtainReply(now, result, date))
        except StopIteration as end:
            value: T = end.value
            return value

    def _perform(self, effect: ObtainEffect) -> tuple[ObtainResult, datetime | None]:
        match effect:
            case FindOffers():
                return self._find(effect), None
            case BuyOne():
                return self._buy(effect)
            case EnterNumber():
                return self._let_enter(effect), None
            case WaitForAny():
                return self._wait(effect), None
            case CancelOrder():
                return self._call(orders.cancel(effect.order_id))
            case FinishOrder():
                return self._call(orders.finish(effect.order_id))
            case ResendSms():
                return self._call(orders.resend(effect.order_id))
            case ReadOrder(listed=False):
                return self._call(orders.get(effect.order_id))
            case ReadOrder():
                active, date = self._call(orders.active())
                return next((order for order in active if order.id == effect.order_id), None), date
            case _:
                assert_never(effect)

    def _call(self, call: Call[T]) -> tuple[T, datetime | None]:
        timeout = None
        if self._until < math.inf:
            timeout = min(max(self._until - self._runtime.now(), _LEAST), _LAST_CALL)
        answer = self._driver.run(call, timeout)
        return answer.data, answer.date

    def _find(self, effect: FindOffers) -> FoundOffers:
        timeout = self._time(CallKind.READ, effect.until)
        if self._plan.search is None:
            rate = (self._driver.run(catalog.exchange_rate(), timeout)).data
            return FoundOffers((), rate.fx)
        limit = None if effect.limit is None else effect.limit.value
        wanted = ProductFilter.of(self._driver.version, limit, True)
        products = self._products(self._plan.search, wanted, self._runtime.now() + timeout)
        by_operator = any(operator.given for operator in self._plan.search.operators)
        offers = offers_of(cheapest_first(products), by_operator)
        if self._plan.by_success:
            offers = best_first(offers, self._success.figures(timeout))
        return FoundOffers(offers, self._purchases.rate)

    def _products(self, search: Search, wanted: ProductFilter, deadline: float) -> list[Product]:
        found: list[Product] = []
        for country in search.countries:
            names = ProductNames(search.service, country, search.operators)
            found += self._finder.find(names, wanted, deadline)
        return found

    def _buy(self, effect: BuyOne) -> tuple[ObtainResult, datetime | None]:
        timeout = self._time(CallKind.CREATE, effect.until)
        intent = effect.intent
        if intent is None:
            record = self._purchases.stored(effect.key, self._runtime.now() + timeout)
            if record is None or record.state is PurchaseState.WITHDRAWN:
                return None, None
            if record.state is PurchaseState.REFUSED:
                return UsedKey(), None
            intent = record.intent
        created, date = self._submit(intent, timeout)
        return BoughtOne(created, intent), date

    def _submit(self, intent: OrderIntent, timeout: float) -> tuple[CreatedOrders, datetime | None]:
        def submit(delivery: Delivery) -> tuple[CreatedOrders, datetime | None]:
            answer = self._purchases.submit(intent, delivery)
            return answer.data, answer.date

        return self._purchases.deliver(submit, timeout, intent.idempotency_key)

    def _let_enter(self, effect: EnterNumber) -> EnteredNumber:
        rental = Rental.held(self._actions, self._driver, effect.order, effect.known)
        try:
            Entering.call(self._enter, rental)
        except NumberRefused as refused:
            return EnteredNumber(refused=refused)
        except Exception as failure:
            return EnteredNumber(failure=failure)
        return EnteredNumber()

    def _wait(self, effect: WaitForAny) -> SeenOrders:
        pattern = self._plan.pattern
        waits = [SmsWait(order_id, needs_code=True, pattern=pattern) for order_id in effect.order_ids]
        self._waits.first(waits, max(effect.until - self._runtime.now(), _LEAST))
        return SeenOrders(
            tuple(sms_wait.outcome() for sms_wait in waits if sms_wait.ended),
            tuple(sms_wait.order for sms_wait in waits if not sms_wait.ended and sms_wait.order is not None),
        )

    def _time(self, kind: CallKind, until: float) -> float:
        """Return the seconds that a call may take."""
        return max(min(self._driver.deadline(kind, None), until) - self._runtime.now(), _LEAST)


class OrderObtaining(OrderPurchases, OrderStatistics):
    """The part of ``client.orders`` that obtains codes."""

    _success: SuccessFigures

    def obtain(
        self,
        enter: Enter[Rental],
        *,
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
