"""The driver of `orders.obtain`: it carries out the effects of `core.obtaining` one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar, assert_never

from .._concurrency import AsyncEnter, AsyncEntering
from ..core.api import orders
from ..core.api.call import Call, CallKind
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
from ..core.offers import Obtained
from ..core.product_search import ProductFilter, ProductNames, cheapest_first, offers_of
from ..core.purchases.intents import OrderIntent
from ..core.purchases.records import PurchaseState
from ..core.timeouts import LEAST
from ..core.waiting.sms_wait import SmsWait
from ..errors import NumberRefused, SmscodeError
from ..models import CreatedOrders, Product
from .delivery import AsyncDelivery
from .driver import AsyncDriver
from .order_statistics import AsyncOrderStatistics
from .product_search import AsyncProductSearch
from .purchases import AsyncPurchases
from .rental import AsyncOrderActions, AsyncRental
from .sms_waits import AsyncSmsWaits

T = TypeVar("T")

_LAST_CALL = 4.0  # seconds for a call made while everything is being cancelled
_LAST_CALLS = 5.0  # ... and for all of them
_FIGURES_OF = timedelta(days=30)
_FIGURES_KEPT = 600.0  # seconds


class AsyncSuccessFigures:
    """How the offers did that the account has bought lately, read again every ten minutes."""

    def __init__(self, orders: AsyncOrderStatistics, driver: AsyncDriver) -> None:
        self._orders = orders
        self._runtime = driver.runtime
        self._figures: tuple[float, Sequence[OfferFigures]] = (-math.inf, ())

    async def figures(self, timeout: float) -> Sequence[OfferFigures]:
        """Return the figures; ``timeout`` applies to each request."""
        read_at, figures = self._figures
        if self._runtime.now() - read_at > _FIGURES_KEPT:
            figures = await self._orders.stats(since=_FIGURES_OF, timeout=timeout)
            self._figures = self._runtime.now(), figures
        return figures


class AsyncObtainDriver:
    """Carries out what obtaining a code asks for, one effect after the other."""

    def __init__(
        self,
        actions: AsyncOrderActions,
        driver: AsyncDriver,
        purchases: AsyncPurchases,
        waits: AsyncSmsWaits,
        finder: AsyncProductSearch,
        success: AsyncSuccessFigures,
        enter: AsyncEnter[AsyncRental],
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

    async def run(self) -> Obtained:
        """Obtain a code. However it ends, what can be given back has been given back, or is named."""
        try:
            return await self._drive(self._machine.steps())
        except BaseException:
            if not self._machine.over:
                await self._abandon()
            raise

    async def _abandon(self) -> None:
        """Try for a short time to give the numbers back although the task is being cancelled."""
        for key in self._machine.keys:
            for order in self._purchases.book.orders_under(key):
                self._machine.adopt(key, order)
        self._until = self._runtime.now() + _LAST_CALLS
        with self._runtime.shield(_LAST_CALLS):
            await self._drive(self._machine.abandoning(self._runtime.now()))

    async def _drive(self, steps: ObtainSteps[T]) -> T:
        try:
            effect = next(steps)
            while True:
                began = self._runtime.now()
                date: datetime | None = None
                result: ObtainResult
                try:
                    result, date = await self._perform(effect)
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

    async def _perform(self, effect: ObtainEffect) -> tuple[ObtainResult, datetime | None]:
        match effect:
            case FindOffers():
                return await self._find(effect), None
            case BuyOne():
                return await self._buy(effect)
            case EnterNumber():
                return await self._let_enter(effect), None
            case WaitForAny():
                return await self._wait(effect), None
            case CancelOrder():
                return await self._call(orders.cancel(effect.order_id))
            case FinishOrder():
                return await self._call(orders.finish(effect.order_id))
            case ResendSms():
                return await self._call(orders.resend(effect.order_id))
            case ReadOrder(listed=False):
                return await self._call(orders.get(effect.order_id))
            case ReadOrder():
                active, date = await self._call(orders.active())
                return next((order for order in active if order.id == effect.order_id), None), date
            case _:
                assert_never(effect)

    async def _call(self, call: Call[T]) -> tuple[T, datetime | None]:
        timeout = None
        if self._until < math.inf:
            timeout = min(max(self._until - self._runtime.now(), LEAST), _LAST_CALL)
        answer = await self._driver.run(call, timeout)
        return answer.data, answer.date

    async def _find(self, effect: FindOffers) -> FoundOffers:
        timeout = self._time(CallKind.READ, effect.until)
        if self._plan.search is None:
            return FoundOffers((), await self._purchases.read_rate(self._runtime.now() + timeout))
        limit = None if effect.limit is None else effect.limit.value
        wanted = ProductFilter.of(self._driver.version, limit, True)
        products = await self._products(self._plan.search, wanted, self._runtime.now() + timeout)
        by_operator = any(operator.given for operator in self._plan.search.operators)
        offers = offers_of(cheapest_first(products), by_operator)
        if self._plan.by_success:
            offers = best_first(offers, await self._success.figures(timeout))
        return FoundOffers(offers, self._purchases.rate)

    async def _products(self, search: Search, wanted: ProductFilter, deadline: float) -> list[Product]:
        found: list[Product] = []
        for country in search.countries:
            names = ProductNames(search.service, country, search.operators)
            found += await self._finder.find(names, wanted, deadline)
        return found

    async def _buy(self, effect: BuyOne) -> tuple[ObtainResult, datetime | None]:
        timeout = self._time(CallKind.CREATE, effect.until)
        intent = effect.intent
        if intent is None:
            record = await self._purchases.stored(effect.key, self._runtime.now() + timeout)
            if record is None or record.state is PurchaseState.WITHDRAWN:
                return None, None
            if record.state is PurchaseState.REFUSED:
                return UsedKey(), None
            intent = record.intent
        created, date = await self._submit(intent, timeout)
        return BoughtOne(created, intent), date

    async def _submit(self, intent: OrderIntent, timeout: float) -> tuple[CreatedOrders, datetime | None]:
        async def submit(delivery: AsyncDelivery) -> tuple[CreatedOrders, datetime | None]:
            answer = await self._purchases.submit(intent, delivery)
            return answer.data, answer.date

        return await self._purchases.deliver(submit, timeout, intent.idempotency_key)

    async def _let_enter(self, effect: EnterNumber) -> EnteredNumber:
        rental = AsyncRental.held(self._actions, self._driver, effect.order, effect.known)
        try:
            await AsyncEntering.call(self._enter, rental)
        except NumberRefused as refused:
            return EnteredNumber(refused=refused)
        except Exception as failure:
            return EnteredNumber(failure=failure)
        return EnteredNumber()

    async def _wait(self, effect: WaitForAny) -> SeenOrders:
        pattern = self._plan.pattern
        waits = [SmsWait(order_id, needs_code=True, pattern=pattern) for order_id in effect.order_ids]
        await self._waits.first(waits, max(effect.until - self._runtime.now(), LEAST))
        return SeenOrders(
            tuple(sms_wait.outcome() for sms_wait in waits if sms_wait.ended),
            tuple(sms_wait.order for sms_wait in waits if not sms_wait.ended and sms_wait.order is not None),
        )

    def _time(self, kind: CallKind, until: float) -> float:
        """Return the seconds that a call may take."""
        return max(min(self._driver.deadline(kind, None), until) - self._runtime.now(), LEAST)
