"""Obtaining a code, ending by ending: what each reply leads to."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve

from smscode import (
    CodeNotObtainedError,
    ConflictError,
    CreatedOrder,
    CreatedOrders,
    FxRate,
    IdempotencyKeyReuseError,
    InvalidArgumentError,
    Money,
    NoOfferAvailableError,
    NotFoundError,
    NumberRefused,
    Obtained,
    OtpOutcome,
    ProviderError,
    Released,
    SmscodeError,
    UnauthorizedError,
)
from smscode.core.obtain_effects import (
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
    SeenOrders,
    WaitForAny,
)
from smscode.core.obtain_plan import ObtainPlan
from smscode.core.obtaining import Obtaining
from smscode.core.offers import Offer

from .obtain_service import FakeService
from .test_obtain_machine import GIVEN

Change = Callable[[ObtainEffect, FakeService], ObtainResult]
"""Returns the reply to an effect, None for that of a service without faults."""

OFFERS = [Offer(catalog_product_id=2, max_price=10_000), Offer(catalog_product_id=3, max_price=12_000)]


def obtain(
    change: Change | None = None,
    *,
    sms_after: float | None = 20.0,
    stored: dict[str, Any] | None = None,
    service: FakeService | None = None,
    **given: Any,
) -> tuple[Obtained, list[ObtainEffect]]:
    """Obtain a code from a service; return the result and all effects."""
    service = service or FakeService()
    arguments = GIVEN | {"offers": OFFERS} | given
    machine = Obtaining(ObtainPlan.of("v1", stored=stored is not None, **arguments), service.now)
    steps, effects = machine.steps(), list[ObtainEffect]()
    journal = {} if stored is None else stored
    try:
        effect = next(steps)
        while True:
            effects.append(effect)
            assert len(effects) < 200
            result = None if change is None else change(effect, service)
            if result is None:
                result = service.do(effect, journal, sms_after)
            effect = steps.send(service.reply(result))
    except StopIteration as end:
        return end.value, effects


def search(
    change: Change | None = None, *, stored: dict[str, Any] | None = None, **given: Any
) -> tuple[Obtained, list[ObtainEffect]]:
    """Obtain a code of a service that is searched for."""
    machine_service = FakeService()
    plan = ObtainPlan.of("v1", stored=stored is not None, **GIVEN | {"service": "whatsapp"} | given)
    journal = {} if stored is None else stored
    steps = Obtaining(plan, machine_service.now).steps()
    effects = [next(steps)]
    try:
        while True:
            result = None if change is None else change(effects[-1], machine_service)
            result = result or machine_service.do(effects[-1], journal, 20.0)
            effects.append(steps.send(machine_service.reply(result)))
    except StopIteration as end:
        return end.value, effects


def on(kind: type, *results: ObtainResult) -> Change:
    """Reply to the first effects of a kind with these results."""
    left = list(results)

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        return left.pop(0) if isinstance(effect, kind) and left else None

    return change


def refusal(class_: type[SmscodeError], outcome: Any = "rejected") -> SmscodeError:
    return class_("no", outcome=outcome)


def test_an_empty_answer_to_a_purchase_is_a_refusal() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        intent = effect.intent if isinstance(effect, BuyOne) else None
        if intent is None or intent.fields["catalog_product_id"] != 2:
            return None
        return BoughtOne(CreatedOrders((), 1), intent)

    obtained, _ = obtain(change)
    assert [one.result for one in obtained.tried] == ["not_bought", "code"]
    assert isinstance(obtained.tried[0].error, ProviderError)


def test_a_number_whose_price_cannot_be_read_counts_as_its_cap() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, BuyOne):
            bought = service.buy(effect, 20.0, {})
            assert isinstance(bought, BoughtOne)
            order = evolve(bought.created.orders[0], amount=None, phone_number=None)
            return evolve(bought, created=evolve(bought.created, orders=(order,)))
        return None

    obtained, _ = obtain(change, budget=30_000)
    assert obtained.spent == Money.idr(10_000)
    assert obtained.phone_number is None


def test_an_order_that_cannot_be_found_has_ended() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, WaitForAny) and len(service.orders) == 1:
            service.now += 1
            missing = refusal(NotFoundError)
            return SeenOrders(tuple(OtpOutcome(one, error=missing) for one in effect.order_ids))
        return None

    obtained, effects = obtain(change)
    first, second = obtained.tried
    assert (first.result, first.released) == ("no_code", Released.ALREADY_RELEASED)
    assert first.spent == Money.idr(10_000), "nobody knows whether it was refunded"
    assert second.result == "code"
    assert not any(isinstance(effect, CancelOrder) for effect in effects)


def test_a_failing_search_ends_it() -> None:
    failure = refusal(UnauthorizedError)
    with pytest.raises(CodeNotObtainedError) as ended:
        search(on(FindOffers, failure), max_price=9_000)
    assert ended.value.__cause__ is failure


def test_a_budget_below_what_the_catalogue_shows_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="the cheapest number may cost Rp 10,000"):
        search(budget=9_000)


def test_a_budget_for_just_the_cheapest_number_is_enough() -> None:
    obtained, _ = search(budget=10_000)
    assert obtained.spent == Money.idr(10_000)


def steps_in_dollars(**given: Any) -> ObtainSteps[Obtained]:
    plan = ObtainPlan.of("v2", stored=False, **GIVEN | given)
    return Obtaining(plan, 0.0).steps()


def test_a_rate_stays_known_if_a_later_search_does_not_tell_it() -> None:
    steps = steps_in_dollars(service="whatsapp", max_price=["0.50", "0.60"], budget="2.00")
    offers = (Offer(catalog_product_id=2, price=Money(Decimal("0.50"), "USD", 8_125)),)
    assert isinstance(next(steps), FindOffers)
    assert isinstance(steps.send(ObtainReply(1.0, FoundOffers(offers, FxRate("USD/IDR", 16_250)))), BuyOne)
    assert isinstance(steps.send(ObtainReply(2.0, refusal(NoOfferAvailableError))), FindOffers)
    assert isinstance(steps.send(ObtainReply(3.0, FoundOffers(offers, None))), BuyOne)


def test_a_budget_below_all_price_limits_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidArgumentError, match="budget: below"):
        ObtainPlan.of("v1", stored=False, **GIVEN | {"service": "wa", "max_price": 9_000, "budget": 5_000})


def test_a_price_limit_below_one_rupiah_costs_nothing() -> None:
    least = "0.00000001"
    steps = steps_in_dollars(offers=[Offer(catalog_product_id=2, max_price=least)], budget=least)
    assert isinstance(next(steps), FindOffers)
    assert isinstance(steps.send(ObtainReply(1.0, FoundOffers((), FxRate("USD/IDR", 16_250)))), BuyOne)


def test_an_error_of_obtaining_says_error_unless_it_knows_more() -> None:
    assert CodeNotObtainedError("no").reason == "error"


def test_a_key_leaves_room_for_the_numbers_of_its_purchases() -> None:
    key = "x" * 122
    obtained, _ = obtain(idempotency_key=key)
    assert obtained.tried[0].idempotency_key == f"{key}-1"


def test_the_number_of_a_replayed_purchase_is_read_first() -> None:
    stored: dict[str, Any] = {}
    service = FakeService()
    obtain(service=service, stored=stored, idempotency_key="sale")
    obtained, effects = obtain(service=service, stored=stored, idempotency_key="sale")
    assert [type(effect) for effect in effects] == [BuyOne, ReadOrder, BuyOne]
    assert obtained.tried[0].released is Released.ALREADY_RELEASED
    assert len(service.orders) == 1


def test_an_earlier_order_that_is_gone_is_a_past_try() -> None:
    stored: dict[str, Any] = {}
    service = FakeService()
    with pytest.raises(CodeNotObtainedError):
        obtain(service=service, stored=stored, idempotency_key="sale", sms_after=None, tries=1)
    gone = on(ReadOrder, refusal(NotFoundError))
    obtained, _ = obtain(gone, service=service, stored=stored, idempotency_key="sale", tries=2)
    assert [one.released for one in obtained.tried] == [Released.ALREADY_RELEASED, Released.FINISHED]


def test_an_earlier_number_that_is_still_open_is_used_again() -> None:
    stored: dict[str, Any] = {}
    service = FakeService()
    with pytest.raises(CodeNotObtainedError):
        obtain(service=service, stored=stored, idempotency_key="sale", sms_after=200.0, tries=1, wait=5.0)
    service.now += 130.0  # by now it could be cancelled
    obtained, effects = obtain(service=service, stored=stored, idempotency_key="sale", tries=2)
    assert (obtained.order_id, len(service.orders)) == (1001, 1)
    assert [effect.order.id for effect in effects if isinstance(effect, EnterNumber)] == [1001]


def test_an_earlier_order_that_cannot_be_read_is_used_again() -> None:
    stored: dict[str, Any] = {}
    service = FakeService()
    with pytest.raises(CodeNotObtainedError):
        obtain(service=service, stored=stored, idempotency_key="sale", sms_after=None, tries=1, wait=5.0)
    failing = on(ReadOrder, refusal(UnauthorizedError))
    effects = list[ObtainEffect]()

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        effects.append(effect)
        return failing(effect, service)

    with pytest.raises(CodeNotObtainedError):
        obtain(change, service=service, stored=stored, idempotency_key="sale", tries=1)
    assert [effect.order.id for effect in effects if isinstance(effect, EnterNumber)] == [1001]
    assert len(service.orders) == 1


def test_without_a_journal_a_key_that_was_used_for_another_offer_leads_to_that_offer() -> None:
    service = FakeService()
    refused = on(BuyOne, refusal(NoOfferAvailableError))
    first, _ = obtain(refused, service=service, idempotency_key="sale")
    again, effects = obtain(service=service, idempotency_key="sale")
    assert (first.code, len(service.orders)) == (again.code, 1)
    assert [one.idempotency_key for one in again.tried] == ["sale-1"]
    assert len([effect for effect in effects if isinstance(effect, BuyOne)]) == 2


def test_without_a_journal_a_key_of_other_offers_ends_it() -> None:
    service = FakeService()
    obtain(service=service, idempotency_key="sale")
    other = [Offer(catalog_product_id=4, max_price=20_000)]
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(service=service, idempotency_key="sale", offers=other)
    assert isinstance(ended.value.__cause__, IdempotencyKeyReuseError)
    assert len(service.orders) == 1


def test_a_cancel_that_fails_is_repeated_later() -> None:
    lost = SmscodeError("lost", outcome="unknown")
    obtained, effects = obtain(
        lambda effect, service: lost if isinstance(effect, CancelOrder) and service.now < 1_130 else None,
        sms_after=None,
        service=_second_gets_a_code(),
    )
    cancels = [effect for effect in effects if isinstance(effect, CancelOrder)]
    assert len(cancels) > 1
    assert obtained.tried[0].released is Released.CANCELED


def _second_gets_a_code() -> FakeService:
    class Service(FakeService):
        def buy(self, effect: BuyOne, sms_after: float | None, stored: dict[str, Any]) -> ObtainResult:
            return super().buy(effect, 60.0 if self.orders else None, stored)

    return Service()


def test_an_old_server_shows_a_text_only_among_the_active_orders() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, WaitForAny):
            service.now = effect.until
            return SeenOrders()
        if isinstance(effect, ReadOrder) and not effect.listed:
            return evolve(service.order(effect.order_id), otp_code=None, otp_message=None)
        return None

    obtained, effects = obtain(change, tries=1, wait=130.0)
    assert ReadOrder(1001, listed=True) in effects
    assert obtained.code == "1001"


def test_a_winner_that_cannot_be_finished_is_the_result_all_the_same() -> None:
    failure = refusal(UnauthorizedError)

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        return failure if isinstance(effect, FinishOrder) else None

    obtained, _ = obtain(change)
    assert obtained.tried[0].error is failure
    assert obtained.tried[0].released is None


def test_a_number_that_can_be_cancelled_only_after_the_winner_was_finished_is_cancelled() -> None:
    refused = on(EnterNumber, EnteredNumber(refused=NumberRefused()))

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, FinishOrder):
            service.now += 150.0  # its answer takes its time, and the first number's two minutes are over
        if isinstance(effect, BuyOne) and not service.orders:
            return service.buy(effect, None, {})  # no SMS comes for the first number
        return refused(effect, service)

    obtained, effects = obtain(change)
    assert [one.result for one in obtained.tried] == ["refused", "code"]
    assert effects[-1] == CancelOrder(1001)
    assert obtained.tried[0].released is Released.CANCELED


def test_the_function_is_called_with_the_order() -> None:
    _, effects = obtain()
    (entered,) = [effect for effect in effects if isinstance(effect, EnterNumber)]
    assert entered.order.id == 1001


def test_an_offer_has_exactly_one_product_and_a_price_limit_that_is_one() -> None:
    with pytest.raises(InvalidArgumentError):
        Offer()
    with pytest.raises(InvalidArgumentError):
        Offer(catalog_product_id=1, product_id=1)
    with pytest.raises(InvalidArgumentError, match="max_price"):
        Offer(catalog_product_id=1, max_price=-1)
    with pytest.raises(InvalidArgumentError, match="operator_id"):
        Offer(product_id=1, operator_id=31)


def test_neither_number_nor_code_is_shown() -> None:
    obtained, _ = obtain(tries=1)
    assert obtained.tried[0].phone_number == obtained.phone_number == "+621001"
    assert [text in repr(obtained) for text in ("621001", "code is", "'1001'")] == [False] * 3


def test_a_number_that_expires_is_a_past_try() -> None:
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(sms_after=None, wait=1200.0, tries=1)
    (one,) = ended.value.tried
    assert (one.result, one.released, one.spent) == ("no_code", Released.ALREADY_RELEASED, Money.idr(0))
    assert ended.value.outcome == "failed"


def test_a_pattern_finds_the_code_of_an_earlier_order() -> None:
    stored: dict[str, Any] = {}
    service = FakeService()
    obtain(service=service, stored=stored, idempotency_key="sale", pattern=r"code is (\d+)")
    obtained, _ = obtain(service=service, stored=stored, idempotency_key="sale", pattern=r"is (\d)")
    assert obtained.code == "1"


def test_without_an_offer_the_budget_does_not_matter() -> None:
    with pytest.raises(CodeNotObtainedError) as ended:
        search(budget=50_000, max_price=1_000)
    assert ended.value.reason == "offers"


def test_without_a_date_a_number_is_cancelled_after_two_minutes() -> None:
    class Undated(FakeService):
        def reply(self, result: ObtainResult) -> ObtainReply:
            return ObtainReply(self.now, result)

        def created(self, order_id: int) -> CreatedOrder:
            return evolve(super().created(order_id), cancel_available_at=None)

    service = Undated()
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(service=service, sms_after=None, wait=10.0, tries=1, release_timeout=200.0)
    assert ended.value.tried[0].released is Released.CANCELED
    assert service.now == 1_121.0


def test_between_two_answers_with_a_date_the_services_time_goes_on() -> None:
    class DatedOnce(FakeService):
        def reply(self, result: ObtainResult) -> ObtainReply:
            first = isinstance(result, BoughtOne) and len(self.orders) == 1
            return ObtainReply(self.now, result, self.date if first else None)

    service = DatedOnce()
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(service=service, sms_after=None, wait=60.0, tries=2, release_timeout=121.0)
    assert [one.released for one in ended.value.tried] == [Released.CANCELED] * 2


def hide_codes(effect: ObtainEffect, service: FakeService) -> ObtainResult:
    """Show no SMS to those who wait; reading the order shows it."""
    if isinstance(effect, WaitForAny):
        service.now = effect.until
        return SeenOrders()
    return None


def test_a_number_with_an_sms_that_a_cancel_brought_to_light_is_kept_if_wanted() -> None:
    obtained, effects = obtain(hide_codes, sms_after=100.0, wait=70.0, tries=2, keep=True)
    assert obtained.order_id == 1001
    assert not any(isinstance(effect, FinishOrder) for effect in effects)


def test_with_a_pattern_a_code_without_its_text_is_the_code() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, ReadOrder):
            return evolve(service.order(effect.order_id), otp_message=None)
        return hide_codes(effect, service)

    obtained, _ = obtain(change, tries=1, wait=130.0, pattern=r"code is (\d)")
    assert obtained.code == "1001"


def test_a_cancel_that_goes_on_failing_is_repeated_every_minute() -> None:
    times: list[float] = []

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, CancelOrder):
            times.append(service.now)
            return refusal(ProviderError, outcome="unknown")
        return None

    with pytest.raises(CodeNotObtainedError):
        obtain(change, sms_after=None, tries=1, wait=30.0, release_timeout=600.0)
    assert max(later - before for before, later in pairwise(times)) == 60.0


def test_the_keys_of_purchases_are_known_before_their_answers() -> None:
    plan = ObtainPlan.of("v1", stored=False, **GIVEN | {"offers": OFFERS, "idempotency_key": "sale"})
    machine = Obtaining(plan, 0.0)
    assert isinstance(next(machine.steps()), BuyOne)
    assert machine.keys == ["sale-1"]


def test_the_code_that_was_found_first_is_the_result() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, FinishOrder):
            return refusal(ConflictError)
        if isinstance(effect, ReadOrder):
            order = service.order(effect.order_id)
            return evolve(order, otp_code="2002", otp_message="Your code is 2002", sms_revision=9)
        return None

    obtained, effects = obtain(change)
    assert any(isinstance(effect, ReadOrder) for effect in effects)
    assert obtained.code == "1001"
