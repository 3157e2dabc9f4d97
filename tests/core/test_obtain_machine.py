"""Obtaining a code, whatever its effects come to: money, codes and numbers, by the service's books.

The generator runs without a loop: a state machine answers its effects one after the other.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smscode import (
    CancelTooEarlyError,
    CodeNotObtainedError,
    ConflictError,
    InsufficientBalanceError,
    InvalidArgumentError,
    NetworkError,
    NoOfferAvailableError,
    NumberRefused,
    Obtained,
    OrderStatus,
    ProviderError,
    RateLimitError,
    Released,
    SmscodeError,
    UnauthorizedError,
)
from smscode.core.obtain_effects import (
    BuyOne,
    CancelOrder,
    EnteredNumber,
    EnterNumber,
    FindOffers,
    FinishOrder,
    ObtainEffect,
    ObtainResult,
    ReadOrder,
    ResendSms,
    UsedKey,
    WaitForAny,
)
from smscode.core.obtain_plan import ObtainPlan
from smscode.core.obtaining import Obtaining
from smscode.core.offers import Offer

from .obtain_service import CANCEL_AFTER, FakeService
from .support import RUNS

GIVEN: dict[str, Any] = {
    "service": None,
    "country": None,
    "operator": None,
    "offers": None,
    "max_price": None,
    "tries": 3,
    "wait": 120.0,
    "resend_after": None,
    "budget": None,
    "timeout": None,
    "release_timeout": 0.0,
    "pattern": None,
    "keep": False,
    "prefer": "price",
    "idempotency_key": None,
}


class SiteDown(Exception):
    """What the caller's function raises."""


def lost(outcome: Any = "unknown") -> NetworkError:
    return NetworkError("lost", outcome=outcome)


class Obtain(RuleBasedStateMachine):
    """One call of `orders.obtain`, and further ones under the same key after an interruption."""

    @initialize(
        prices=st.lists(st.sampled_from((8_000, 10_000, 12_000, 30_000)), min_size=1, max_size=3),
        offered=st.booleans(),
        ladder=st.sampled_from(((), (9_000,), (10_000, 12_000), (8_000, 30_000))),
        budget=st.sampled_from((None, 12_000, 25_000, 60_000)),
        key=st.booleans(),
        stored=st.booleans(),
        more=st.fixed_dictionaries(
            {
                "tries": st.integers(1, 4),
                "wait": st.sampled_from((30.0, 130.0)),
                "resend_after": st.sampled_from((None, 20.0)),
                "timeout": st.sampled_from((None, 100.0, 600.0)),
                "release_timeout": st.sampled_from((0.0, 60.0, 400.0)),
                "keep": st.booleans(),
            }
        ),
    )
    def begin(
        self,
        prices: list[int],
        offered: bool,
        ladder: tuple[int, ...],
        budget: int | None,
        key: bool,
        stored: bool,
        more: dict[str, Any],
    ) -> None:
        self.service = FakeService(tuple(prices))
        offers = [
            Offer(catalog_product_id=place + len(prices), max_price=price)
            for place, price in enumerate(prices)
        ]
        self.budget = budget
        self.stored: dict[str, Any] = {}
        self.refusals: set[int] = set()  # orders of which a cancel did not succeed although it was allowed
        self.entered: list[int] = []
        self.runs = 0
        given = GIVEN | more | {"budget": budget, "max_price": list(ladder) or None}
        given |= {"offers": offers} if offered else {"service": "whatsapp"}
        if key:
            stored = stored or not offered
            given["idempotency_key"] = "sale"
        self.given, self.is_stored = given, stored
        self.machine: Obtaining | None = None
        self.effect: ObtainEffect | None = None
        self.start()

    def start(self) -> None:
        try:
            plan = ObtainPlan.of("v1", stored=self.is_stored, **self.given)
        except InvalidArgumentError:
            assert not self.service.orders
            return
        self.runs += 1
        self.machine = Obtaining(plan, self.service.now)
        self.steps = self.machine.steps()
        self.effect = None
        self.advance(None)

    def advance(self, result: ObtainResult) -> None:
        """Reply to the effect, and take the next one, or the end."""
        try:
            if self.effect is None:
                self.effect = next(self.steps)
            else:
                self.effect = self.steps.send(self.service.reply(result))
        except StopIteration as end:
            self.check_result(end.value)
        except CodeNotObtainedError as error:
            self.check_no_code(error)
        except InvalidArgumentError:
            assert not self.service.orders
            self.end()
        except SiteDown:
            self.end()
            assert not any(one.finished for one in self.service.orders.values())

    def end(self) -> None:
        assert self.machine is not None
        assert self.machine.over
        self.check_left(self.machine)
        self.machine, self.effect = None, None

    @precondition(lambda self: self.effect is None)
    @rule()
    def rest(self) -> None:
        """Do nothing: it is over."""

    # Replies

    def waits_for(self, *kinds: type) -> bool:
        return isinstance(self.effect, kinds)

    @precondition(lambda self: self.effect is not None)
    @rule(sms_after=st.sampled_from((None, None, 5.0, 40.0, 125.0, 200.0)), took=st.sampled_from((0.0, 2.0)))
    def carry_out(self, sms_after: float | None, took: float) -> None:
        assert self.effect is not None
        self.service.now += took
        if isinstance(self.effect, WaitForAny) and self.effect.until <= self.service.now:
            self.service.now -= took
        if isinstance(self.effect, EnterNumber):
            self.entered.append(self.effect.order.id)
        self.note_cancel(result := self.service.do(self.effect, self.stored, sms_after))
        self.advance(result)

    def note_cancel(self, result: ObtainResult) -> None:
        if isinstance(self.effect, CancelOrder) and isinstance(result, SmscodeError):
            self.refusals.add(self.effect.order_id)

    @precondition(lambda self: self.waits_for(BuyOne, CancelOrder, FinishOrder, ResendSms))
    @rule(done=st.booleans(), sms_after=st.sampled_from((None, 30.0)))
    def lose_the_answer(self, done: bool, sms_after: float | None) -> None:
        effect = self.effect
        assert effect is not None
        if done:
            self.service.do(effect, self.stored, sms_after)
        elif isinstance(effect, BuyOne) and effect.intent is not None:
            self.stored.setdefault(effect.key, effect.intent)
        if isinstance(effect, CancelOrder):
            self.refusals.add(effect.order_id)
        self.advance(lost())

    @precondition(lambda self: self.waits_for(BuyOne) and self.effect.intent is not None)
    @rule(
        error=st.sampled_from(
            (
                NoOfferAvailableError("no", outcome="rejected"),
                ProviderError("no", outcome="failed"),
                InsufficientBalanceError("no", outcome="rejected"),
                UnauthorizedError("no", outcome="rejected"),
                RateLimitError("no", outcome="not_sent"),
            )
        )
    )
    def refuse_the_purchase(self, error: SmscodeError) -> None:
        effect = self.effect
        assert isinstance(effect, BuyOne)
        if effect.key in self.service.by_key or effect.key in self.service.bodies:
            self.carry_out(None, 0.0)  # the service would have found its record
            return
        if error.outcome == "failed":
            self.service.by_key[effect.key] = None
            self.service.bodies[effect.key] = effect.intent.body if effect.intent else b""
        self.stored[effect.key] = UsedKey()
        if error.outcome == "not_sent":
            self.stored.pop(effect.key)
        self.advance(error)

    @precondition(lambda self: self.waits_for(FindOffers, ReadOrder))
    @rule()
    def fail_to_read(self) -> None:
        if isinstance(self.effect, ReadOrder):
            self.refusals.add(self.effect.order_id)
        self.advance(lost("not_sent"))

    @precondition(lambda self: self.waits_for(CancelOrder))
    @rule(error=st.sampled_from((ConflictError("no"), ProviderError("no"), CancelTooEarlyError("no"))))
    def refuse_the_cancel(self, error: SmscodeError) -> None:
        error.outcome = "rejected"
        assert isinstance(self.effect, CancelOrder)
        self.refusals.add(self.effect.order_id)
        self.advance(error)

    @precondition(lambda self: self.waits_for(EnterNumber))
    @rule(failure=st.booleans(), took=st.sampled_from((0.0, 100.0)))
    def refuse_the_number(self, failure: bool, took: float) -> None:
        self.service.now += took
        self.advance(EnteredNumber(failure=SiteDown()) if failure else EnteredNumber(refused=NumberRefused()))

    @precondition(lambda self: self.waits_for(WaitForAny))
    @rule()
    def fail_to_wait(self) -> None:
        self.refusals |= set(self.service.orders)  # how the numbers end cannot be followed
        self.advance(UnauthorizedError("no", outcome="rejected"))

    @precondition(lambda self: self.effect is not None)
    @rule(done=st.booleans())
    def interrupt(self, done: bool) -> None:
        """End the call at any effect, which the service has carried out or not; then go on under the key."""
        machine, effect = self.machine, self.effect
        assert machine is not None
        assert effect is not None
        finished = isinstance(effect, FinishOrder)
        if done and not isinstance(effect, WaitForAny | EnterNumber):
            self.service.do(effect, self.stored)
        elif isinstance(effect, BuyOne) and effect.intent is not None:
            self.stored.setdefault(effect.key, effect.intent)
        before = {one.id for one in self.service.orders.values() if one.finished}
        self.steps.close()
        for key in machine.keys:
            order_id = self.service.by_key.get(key)
            if order_id is not None:
                machine.adopt(key, self.service.order(order_id))
        steps = machine.abandoning(self.service.now)
        result: ObtainResult = None
        try:
            effect = next(steps)
            while True:
                assert not isinstance(effect, FinishOrder), "a code that nobody was told of"
                result = self.service.do(effect, self.stored)
                effect = steps.send(self.service.reply(result))
        except StopIteration:
            pass
        for sold in self.service.orders.values():
            if sold.status(self.service.now) is OrderStatus.ACTIVE:
                cancelable = self.service.now >= sold.bought_at + CANCEL_AFTER + 2
                known = next((one for one in machine.numbers if one.order.id == sold.id), None)
                late = known is not None and known.due > self.service.now
                assert not cancelable or late or sold.id in self.refusals, "it could be given back"
        assert finished or before == {one.id for one in self.service.orders.values() if one.finished}
        self.machine, self.effect = None, None
        if self.given["idempotency_key"] is not None and self.runs < 4:
            self.start()

    # What must be so

    @invariant()
    def never_more_than_the_budget_is_spent(self) -> None:
        budget: Any = getattr(self, "budget", None)
        if budget is not None and self.given["idempotency_key"] is None:
            assert max(self.service.most, self.service.net) <= budget

    @invariant()
    def no_more_numbers_are_bought_than_asked_for(self) -> None:
        if hasattr(self, "service"):
            tries: Any = self.given["tries"]
            assert len(self.service.orders) <= tries

    def check_result(self, obtained: Obtained) -> None:
        sold = self.service.orders[obtained.order_id]
        assert sold.has_sms(self.service.now) or sold.finished
        assert obtained.code == str(sold.id)
        assert obtained.phone_number == f"+62{sold.id}"
        self.check_tried(obtained.tried)
        assert [one.result for one in obtained.tried].count("code") == 1
        self.end()

    def check_no_code(self, error: CodeNotObtainedError) -> None:
        self.check_tried(error.tried)
        assert all(one.sms is None for one in error.tried)
        self.end()

    def check_tried(self, tried: tuple[Any, ...]) -> None:
        """Check that each number and each purchase in doubt is named, with what the books say."""
        machine = self.machine
        assert machine is not None
        named = {one.order_id: one for one in tried if one.order_id is not None}
        doubts = {one.idempotency_key for one in tried if one.result == "in_doubt"}
        for sold in self.service.orders.values():
            if sold.id not in named:
                assert sold.key in doubts or self.runs > 1, "nobody was told of it"
                continue
            one = named[sold.id]
            if one.released is Released.CANCELED:
                assert sold.canceled
                assert one.spent.canonical_amount == 0
            if sold.finished:
                assert one.sms is not None, "a paid code was thrown away"
            if one.released is Released.FINISHED:
                assert sold.finished

    def check_left(self, machine: Obtaining) -> None:
        """Check that nothing is left that could be given back."""
        until = self.service.now
        for number in machine.numbers:
            sold = self.service.orders[number.order.id]
            if sold.status(until) is OrderStatus.ACTIVE and sold.id not in self.refusals:
                assert until < sold.bought_at + CANCEL_AFTER + 2, "it could be given back"


Obtain.TestCase.settings = settings(max_examples=300 * RUNS, stateful_step_count=40, deadline=None)
test_a_code_is_obtained_whatever_happens = Obtain.TestCase
