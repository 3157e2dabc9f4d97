"""Obtaining a code: take a number, use it, wait, and take another one until there is a code.

`Obtaining.steps` is a generator of effects, one at a time. It decides everything; a driver carries the
effects out and sends the results back. Its rules about money:

1. A purchase is only asked for if what was charged and not refunded, what open purchases may cost and its own
   cap are within the budget together. All of it is counted in rupiah.
2. A number that is given up is cancelled as soon as the service allows it. Until that is confirmed, an SMS
   for it counts. Nothing that has an SMS is finished before the end, so that an interruption loses no code.
3. A purchase whose answer is lost is repeated under its own key before anything else is bought.
"""

from __future__ import annotations

import math
from collections import deque

from attrs import evolve

from ..errors import (
    ClientStateError,
    ConfigurationError,
    ForbiddenError,
    IdempotencyKeyReuseError,
    InsufficientBalanceError,
    InvalidArgumentError,
    JournalError,
    NoOfferAvailableError,
    NotFoundError,
    ProviderError,
    PurchaseTooOldError,
    SmscodeError,
    SpendingLimitError,
    TempBannedError,
    UnauthorizedError,
    ValidationError,
)
from ..money import FxRate, Money
from .api.prices import PriceLimit, needs_rate
from .obtain_effects import (
    BoughtOne,
    BuyOne,
    EnteredNumber,
    EnterNumber,
    FindOffers,
    FoundOffers,
    ObtainResult,
    ObtainSteps,
    ResendSms,
    UsedKey,
)
from .obtain_numbers import HeldNumbers, ObtainedNumber
from .obtain_plan import ObtainPlan
from .offers import CodeNotObtainedError, Obtained, Offer, Try
from .purchases.intents import OrderIntent
from .versions import VERSIONS

_SENDS = 3  # times that a purchase in doubt is sent before it is left in doubt

_NEXT = (NoOfferAvailableError, ProviderError, NotFoundError)
"""Refusals of one offer: the next one is tried."""

_ENDING = (
    *(ClientStateError, ConfigurationError, InvalidArgumentError, JournalError, PurchaseTooOldError),
    *(SpendingLimitError, UnauthorizedError, ForbiddenError, InsufficientBalanceError, TempBannedError),
    *(ValidationError, IdempotencyKeyReuseError),
)
"""Errors of a purchase that repeating it does not change."""


class Obtaining(HeldNumbers):
    """One call of `orders.obtain`.

    ``over`` is True once `steps` has released what it could; until then an interrupted driver does that with
    `abandoning`.
    """

    def __init__(self, plan: ObtainPlan, now: float) -> None:
        super().__init__(plan.pattern, now)
        self.plan = plan
        self.over: bool = False
        self._deadline = now + plan.timeout
        self._doubts: dict[str, OrderIntent | None] = {}  # purchases in doubt, by key
        self._fx: FxRate | None = None
        self._budget: int | None = None
        self._attempt = 0  # the number of the last key
        self._step = 0  # of the ladder, the next one
        self._queue: deque[tuple[Offer, PriceLimit]] = deque()
        self._progress = False  # a number was bought, or may have been, since the ladder was begun
        self._skipped = False  # an offer did not fit into the budget
        self._reused: SmscodeError | None = None  # the key was used for another offer
        self._current: ObtainedNumber | None = None
        self._reason = "tries"  # why it ended without a code, unless there is a cause
        self._failure: Exception | None = None  # of the caller's function

    def steps(self) -> ObtainSteps[Obtained]:
        """Yield each effect, and return the result.

        Raises `CodeNotObtainedError`, an error of the arguments, or what the caller's function raised.
        """
        if self.plan.key is not None and self.plan.stored:
            yield from self._recall()
        number = next((one for one in reversed(self.numbers) if one.waited_for), None)
        for one in self.numbers:
            one.given_up = one is not number
        while self._cause is None and not self._has_code:
            if number is None:
                number = yield from self._next_number()
                if number is None:
                    break
            if number.waited_for:
                self._current = number
                yield from self._use(number)
                if self._failure is not None:
                    break
            number.given_up, number = True, None
        yield from self._release()
        self.over = True
        return self._result()

    # Buying

    def _recall(self) -> ObtainSteps[None]:
        """Repeat the stored purchases of an earlier call with the same idempotency key."""
        while self._cause is None:
            key = self.plan.key_of(self._attempt + 1)
            assert key is not None
            result = yield from self._send(BuyOne(key, None, self._deadline))
            if result is None:
                return
            self._attempt += 1
            if not isinstance(result, UsedKey):
                yield from self._take_purchase(result, key, None, None)
            if isinstance(result, SmscodeError) and result.outcome == "unknown":
                self._cause = result  # nothing more is bought before it is settled

    def _next_number(self) -> ObtainSteps[ObtainedNumber | None]:
        """Buy the next number; return None if there is none, or none is needed any more."""
        while True:
            yield from self._cancel_due()
            if self._cause is not None or self._has_code:
                return None
            if len(self.numbers) + len(self._doubts) >= self.plan.tries:
                return None
            if self._now >= self._deadline:
                self._reason = "timeout"
                return None
            position = yield from self._position()
            if position is None:
                self._reason = "budget" if self._skipped else "offers"
                self._cause = self._cause or (None if self.numbers else self._reused)
                return None
            offer, limit = position
            intent = self.plan.intent(offer, limit, self.plan.key_of(self._attempt + 1), self._fx)
            cap = intent.cap(self._fx)
            if not (yield from self._affords(cap)):
                self._skipped = True
                continue
            self._attempt += 1
            number = yield from self._buy(intent, offer)
            if number is not None:
                self._progress = True
                return number

    def _position(self) -> ObtainSteps[tuple[Offer, PriceLimit] | None]:
        """Return the next offer with its price limit; None if all were tried and none gave a number.

        After the last step of the ladder it is repeated, for as long as it gives numbers.
        """
        while not self._queue:
            if self._step == len(self.plan.ladder):
                if not self._progress:
                    return None
                self._step, self._progress = self._step - 1, False
            yield from self._fill(self.plan.ladder[self._step])
            if self._cause is not None:
                return None
            self._step += 1
        return self._queue.popleft()

    def _fill(self, limit: PriceLimit | None) -> ObtainSteps[None]:
        """Find the offers of a step of the ladder."""
        plan, offers = self.plan, self.plan.positions(self._step)
        if plan.search is not None or self._needs_rate(offers):
            found = yield from self._send(FindOffers(limit, self._deadline))
            if isinstance(found, SmscodeError):
                self._cause = found
                return
            assert isinstance(found, FoundOffers)
            self._fx = found.fx or self._fx
            if plan.search is not None:
                offers = [
                    (offer, limit or PriceLimit("max_price", _price_of(offer))) for offer in found.offers
                ]
        self._queue.extend(offers)
        if plan.budget is not None and self._budget is None:
            self._budget = plan.budget.canonical(self._fx)
            self._check_budget(self._budget)

    def _needs_rate(self, offers: list[tuple[Offer, PriceLimit]]) -> bool:
        if self._fx is not None or VERSIONS[self.plan.version].currency == "IDR":
            return False
        limits = [limit.value for _, limit in offers]
        return self.plan.budget is not None or needs_rate(self.plan.version, *limits)

    def _check_budget(self, budget: int) -> None:
        """Refuse a budget that is below what each of the first offers may cost."""
        if self._tried or not self._queue:
            return
        found = self._queue if self.plan.offers else [min(self._queue, key=lambda one: _price_of(one[0]))]
        caps = [self.plan.intent(*one, None, self._fx).cap(self._fx) or 0 for one in found]
        if min(caps) > budget:
            cheapest = self.plan.money(min(caps), self._fx)
            self._cause = InvalidArgumentError(
                f"budget: the cheapest number may cost {cheapest}, and the budget is"
                f" {self.plan.money(budget, self._fx)}."
            )

    def _affords(self, cap: int | None) -> ObtainSteps[bool]:
        """Return True if a purchase fits into the budget, after waiting for refunds if that helps."""
        if self._budget is None:
            return True
        assert cap is not None, "the rate is known where there is a budget"
        while (
            sum(one.spent for one in self.numbers) + sum(map(self._cap_of, self._doubts)) + cap > self._budget
        ):
            due = self._next_due()
            if due >= self._deadline or self._cause is not None or self._has_code:
                return False
            yield from self._wait(due)
            yield from self._cancel_due()
        return True

    def _cap_of(self, key: str) -> int:
        """Return what a purchase in doubt may have cost, 0 if that is not known."""
        intent = self._doubts[key]
        return 0 if intent is None else intent.cap(self._fx) or 0

    def _buy(self, intent: OrderIntent, offer: Offer) -> ObtainSteps[ObtainedNumber | None]:
        """Buy a number; where the answer is lost, send the same purchase again."""
        key = intent.idempotency_key
        result: ObtainResult = None
        for _ in range(_SENDS):
            result = yield from self._send(BuyOne(key, intent, self._deadline))
            lost = isinstance(result, SmscodeError) and result.outcome == "unknown"
            if not lost or isinstance(result, _ENDING) or self._now >= self._deadline:
                break
        return (yield from self._take_purchase(result, key, offer, intent))

    def _take_purchase(
        self, result: ObtainResult, key: str, offer: Offer | None, intent: OrderIntent | None
    ) -> ObtainSteps[ObtainedNumber | None]:
        """Store how a purchase ended; return its number. One that may be replayed is read first."""
        if isinstance(result, BoughtOne):
            self._fx = result.created.fx or self._fx
            if result.created.orders:
                cap = result.intent.cap(self._fx) or 0
                number = self._add(key, offer, result.created.orders[0], cap)
                if self.plan.key is not None and (offer is None or not self.plan.stored):
                    yield from self._read(number)
                return number
            result = ProviderError("No number could be rented.", idempotency_key=key, outcome="failed")
        assert isinstance(result, SmscodeError)
        if self._frees(result):
            self._attempt -= 1
            if not isinstance(result, _NEXT):
                self._reused = result
                return None
        in_doubt = result.outcome == "unknown"
        if in_doubt:
            self._doubts[key], self._progress = intent, True
        if isinstance(result, _ENDING) or not (in_doubt or isinstance(result, _NEXT)):
            self._cause = result
        self._tried.append(
            Try(
                result="in_doubt" if in_doubt else "not_bought",
                idempotency_key=key,
                offer=offer,
                spent=self.plan.money(0, self._fx),
                error=result,
            )
        )
        return None

    def _frees(self, error: SmscodeError) -> bool:
        """Return True if the key of a refused purchase is to be used for the next offer.

        Without a journal nothing but the service knows what an earlier call bought under a key. So the first
        key is that of the first number, whatever was refused before it: the service releases the key of a
        refusal, and answers that a key was used with another body until the body is that of the number.
        """
        if self.plan.key is None or self.plan.stored:
            return False
        reused = isinstance(error, IdempotencyKeyReuseError) or error.trouble == "another order"
        return reused or isinstance(error, NoOfferAvailableError | NotFoundError)

    # Using

    def _use(self, number: ObtainedNumber) -> ObtainSteps[None]:
        """Call the function of the caller with a number, and wait for its code."""
        yield from self._cancel_due()
        entered = yield from self._send(EnterNumber(number.order, number.known))
        assert isinstance(entered, EnteredNumber)
        self._failure = entered.failure
        number.refused = entered.refused is not None
        self._find_code(number)
        if entered.failure is None and entered.refused is None:
            yield from self._watch(number)

    def _watch(self, number: ObtainedNumber) -> ObtainSteps[None]:
        until = min(self._now + self.plan.wait, self._deadline)
        resend_at = math.inf if self.plan.resend_after is None else self._now + self.plan.resend_after
        yield from self._cancel_due()
        while number.waited_for and self._now < until and self._cause is None:
            if self._now >= resend_at:
                resend_at = math.inf
                yield from self._send(ResendSms(number.order.id))  # if it is refused, the wait goes on
            else:
                yield from self._wait(min(until, resend_at, self._next_due()))
            yield from self._cancel_due()

    def _release(self) -> ObtainSteps[None]:
        """Release all that can be given back, within the caller's time; finish what has an SMS."""
        until = self._now + self.plan.release_timeout
        for number in self.numbers:
            number.given_up = True
        yield from self._await_cancels(until)
        if self._failure is not None:
            return  # the caller is not told of a code, so it is left where it can be read
        kept = self._winner if self.plan.keep else None
        for _ in range(2):  # finishing takes time, after which others can be cancelled, or have an SMS
            for number in self.numbers:
                if number.open and number.known.received and number is not kept:
                    yield from self._give_back(number, finish=True)
            yield from self._cancel_due()

    # The result

    @property
    def _winner(self) -> ObtainedNumber | None:
        if self._current is not None and self._current.sms is not None:
            return self._current
        return next((number for number in self.numbers if number.sms is not None), None)

    def _result(self) -> Obtained:
        if self._failure is not None:
            raise self._failure
        winner = self._winner
        tried = tuple(self._try(one, winner) for one in self._tried)
        spent = self.plan.money(sum(number.spent for number in self.numbers), self._fx)
        if winner is not None and winner.sms is not None:
            phone_number = winner.order.phone_number
            return Obtained(
                sms=winner.sms,
                order_id=winner.order.id,
                phone_number=phone_number,
                spent=spent,
                tried=tried,
            )
        if isinstance(self._cause, InvalidArgumentError | ConfigurationError) and not self.numbers:
            raise self._cause
        raise self._error(tried)

    def _error(self, tried: tuple[Try, ...]) -> CodeNotObtainedError:
        rupiah = sum(number.spent for number in self.numbers)
        reason = "error" if self._cause is not None else self._reason
        why = _WHY[reason] if self._cause is None else self._cause.message
        spent = self.plan.money(rupiah, self._fx)
        error = CodeNotObtainedError(f"No code after {len(self.numbers)} numbers: {why} Spent: {spent}.")
        error.reason, error.tried, error.spent = reason, tried, spent
        error.idempotency_key = self.plan.key
        left = rupiah or self._doubts or any(number.open for number in self.numbers)
        error.outcome = "unknown" if left else "failed"
        error.__cause__ = self._cause
        return error

    def _try(self, number: ObtainedNumber | Try, winner: ObtainedNumber | None) -> Try:
        if isinstance(number, Try):
            if number.result != "in_doubt":
                return number
            cap = self._cap_of(number.idempotency_key)
            return evolve(number, spent=self.plan.money(cap, self._fx))
        return number.as_try(number is winner, lambda rupiah: self.plan.money(rupiah, self._fx))


_WHY = {
    "tries": "all tries are used up.",
    "offers": "no offer is left within the price limits.",
    "budget": "what the next number may cost (its max_price) exceeds what is left of the budget.",
    "timeout": "the time is over.",
}


def _price_of(offer: Offer) -> Money:
    assert offer.price is not None, "offers of the catalogue have a price"
    return offer.price
