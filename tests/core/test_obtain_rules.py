"""Obtaining a code, rule by rule: what is bought, in which order and for how much, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from smscode import (
    CodeNotObtainedError,
    CreatedOrder,
    CreatedOrders,
    FxRate,
    IdempotencyKeyReuseError,
    InsufficientBalanceError,
    InvalidArgumentError,
    JournalError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    NotFoundError,
    NumberRefused,
    Obtained,
    OrderStatus,
    ProviderError,
    Released,
    SmscodeError,
    Try,
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
    ReadOrder,
    ResendSms,
    UsedKey,
    WaitForAny,
)
from smscode.core.obtain_plan import ObtainPlan
from smscode.core.obtaining import Obtaining
from smscode.core.offers import Offer

from .obtain_service import LOST, FakeService
from .test_obtain_machine import GIVEN
from .test_obtaining import OFFERS, Change, hide_codes, obtain, on, refusal, search

NONE = refusal(NoOfferAvailableError)


def shown(effect: ObtainEffect) -> str:
    """Return an effect in a few words."""
    match effect:
        case FindOffers(limit=limit):
            return f"find {'any' if limit is None else limit.value}"
        case BuyOne(key=key, intent=None):
            return f"recall {key}"
        case BuyOne(intent=intent):
            assert intent is not None
            return f"buy {intent.fields['catalog_product_id']} within {intent.fields['max_price']}"
        case EnterNumber(order=order):
            return f"enter {order.id}"
        case WaitForAny(order_ids=ids, until=until):
            return f"wait for {', '.join(map(str, ids))} until {until:g}"
        case ReadOrder(order_id=order_id, listed=listed):
            return f"{'look up' if listed else 'read'} {order_id}"
        case CancelOrder() | FinishOrder() | ResendSms():
            return f"{type(effect).__name__[:6].lower()} {effect.order_id}"


def ended(
    change: Change | None = None, by: Callable[..., Any] = obtain, **given: Any
) -> tuple[Obtained | CodeNotObtainedError, list[str]]:
    """Return how it ended, and the effects."""
    effects = list[str]()

    def noting(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        effects.append(shown(effect))
        return None if change is None else change(effect, service)

    result: Obtained | CodeNotObtainedError
    try:
        result = by(noting, **given)[0]
    except CodeNotObtainedError as error:
        result = error
    return result, effects


def first(*changes: Change) -> Change:
    """Reply as the first of these changes does that has a reply."""

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        return next((result for one in changes if (result := one(effect, service)) is not None), None)

    return change


def refuse(effect: ObtainEffect, service: FakeService) -> ObtainResult:
    """Refuse each number."""
    return EnteredNumber(refused=NumberRefused()) if isinstance(effect, EnterNumber) else None


def no_sms(effect: ObtainEffect, service: FakeService) -> ObtainResult:
    return service.buy(effect, None, {}) if isinstance(effect, BuyOne) else None


def buys(effects: list[str]) -> list[str]:
    return [effect for effect in effects if effect.startswith("buy")]


def finds(effects: list[str]) -> list[str]:
    return [effect for effect in effects if effect.startswith("find")]


def failure(result: Obtained | CodeNotObtainedError) -> CodeNotObtainedError:
    assert isinstance(result, CodeNotObtainedError)
    return result


# -- in which order --------------------------------------------------------------------------------


def test_each_step_of_the_ladder_is_tried_and_the_last_one_again() -> None:
    result, effects = ended(first(refuse, no_sms), search, max_price=[10_000, 12_000], tries=7, wait=130.0)
    assert [effect for effect in effects if effect.startswith(("find", "buy"))] == [
        *["find 10000", "buy 2 within 10000"],
        *["find 12000", "buy 2 within 12000", "buy 3 within 12000"] * 3,
    ]
    assert failure(result).reason == "tries"


@pytest.mark.parametrize(
    ("replies", "bought", "found"),
    [
        ([NONE] * 9, 2, 1),
        ([None, *[NONE] * 9], 4, 2),
        ([LOST, LOST, LOST, *[NONE] * 9], 6, 2),
    ],
)
def test_the_ladder_is_repeated_only_after_a_number_was_bought_or_may_have_been(
    replies: list[ObtainResult], bought: int, found: int
) -> None:
    result, effects = ended(first(on(BuyOne, *replies), refuse, no_sms), search, max_price=12_000, tries=9)
    assert (len(buys(effects)), len(finds(effects))) == (bought, found)
    assert failure(result).reason == "offers"


def test_a_search_that_fails_ends_the_ladder() -> None:
    error = refusal(UnauthorizedError)
    result, effects = ended(on(FindOffers, error), search, max_price=[9_000, 12_000])
    assert (failure(result).__cause__, effects) == (error, ["find 9000"])


def test_without_a_limit_a_number_may_cost_what_the_catalogue_shows() -> None:
    _, effects = ended(by=search, budget=50_000)
    assert effects[:2] == ["find any", "buy 2 within 10000"]


@pytest.mark.parametrize("ladder", [None, 12_000])
def test_a_given_offer_has_its_own_limit_or_that_of_the_ladder(ladder: int | None) -> None:
    offers = [Offer(catalog_product_id=2, max_price=15_000), Offer(catalog_product_id=3)]
    _, effects = ended(first(refuse, no_sms), offers=offers[: 2 if ladder else 1], max_price=ladder, tries=2)
    assert buys(effects)[0] == "buy 2 within 15000"
    assert buys(effects)[1] == ("buy 3 within 12000" if ladder else "buy 2 within 15000")


# -- for how much ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "timeout", "expected"),
    [
        (22_000, None, ["buy 2 within 10000", "buy 3 within 12000"]),
        (21_999, None, ["buy 2 within 10000", "cancel 1001", "buy 3 within 12000"]),
        (19_999, 121.0, ["buy 2 within 10000"]),
        (19_999, 121.5, ["buy 2 within 10000", "cancel 1001", "buy 3 within 12000"]),
        (12_000, None, ["buy 2 within 10000", "cancel 1001", "buy 3 within 12000"]),
        (11_999, None, ["buy 2 within 10000", "cancel 1001", "buy 2 within 10000"]),
    ],
)
def test_what_is_spent_and_the_next_number_are_within_the_budget_together(
    budget: int, timeout: float | None, expected: list[str]
) -> None:
    result, effects = ended(
        first(refuse, no_sms), budget=budget, timeout=timeout, tries=2, release_timeout=0.0
    )
    assert [effect for effect in effects if effect.startswith(("buy", "cancel"))] == expected
    assert failure(result).reason == ("tries" if len(buys(expected)) == 2 else "budget")


def test_a_purchase_in_doubt_is_within_the_budget_too() -> None:
    lost = on(BuyOne, LOST, LOST, LOST)
    result, effects = ended(lost, budget=19_999)
    assert buys(effects) == ["buy 2 within 10000"] * 3
    assert (failure(result).reason, str(result)) == (
        "budget",
        "No code after 0 numbers: what the next number may cost (its max_price) exceeds what is left of the"
        " budget. Spent: Rp 0.",
    )
    result, effects = ended(on(BuyOne, LOST, LOST, LOST), budget=22_000)
    assert isinstance(result, Obtained)
    assert [(one.result, one.spent) for one in result.tried] == [
        ("in_doubt", Money.idr(10_000)),
        ("code", Money.idr(12_000)),
    ]


def test_a_late_code_ends_the_wait_for_a_refund() -> None:
    result, effects = ended(refuse, budget=12_000, sms_after=60.0)
    assert isinstance(result, Obtained)
    assert effects == [
        *["buy 2 within 10000", "enter 1001", "wait for 1001 until 1121", "finish 1001"],
    ]


def test_a_late_code_ends_the_wait_for_refunds_of_others() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, BuyOne):
            return service.buy(effect, None if service.orders else 60.0, {})
        return refuse(effect, service)

    _, effects = ended(change, budget=22_000)
    assert effects[4:] == ["wait for 1001, 1002 until 1121", "finish 1001"]


def test_a_code_that_a_cancel_brings_to_light_is_enough() -> None:
    _, effects = ended(hide_codes, sms_after=100.0, wait=130.0)
    assert effects == [
        *["buy 2 within 10000", "enter 1001", "wait for 1001 until 1130"],
        *["cancel 1001", "read 1001", "finish 1001"],
    ]


def test_a_wait_for_a_refund_that_fails_ends_it() -> None:
    error = refusal(UnauthorizedError)
    result, effects = ended(first(refuse, no_sms, on(WaitForAny, *[error] * 9)), budget=12_000)
    assert failure(result).__cause__ is error
    assert effects == ["buy 2 within 10000", "enter 1001", "wait for 1001 until 1121"]


def test_a_budget_below_the_cheapest_number_is_no_mistake_after_an_earlier_purchase() -> None:
    stored = intents("sale-1")
    gone = on(ReadOrder, refusal(NotFoundError))
    result, effects = ended(gone, search, stored=stored, idempotency_key="sale", budget=9_000)
    assert (failure(result).reason, failure(result).__cause__) == ("budget", None)
    assert effects == ["recall sale-1", "read 1001", "recall sale-2", "find any"]


FX = FxRate("USD/IDR", 16_250)
HALF = Money(Decimal("0.5000"), "USD", 8_125)


def in_dollars(*results: ObtainResult, **given: Any) -> tuple[Any, list[ObtainEffect]]:
    """Obtain a code on v2 with these replies; return how it ended, and the effects."""
    steps = Obtaining(ObtainPlan.of("v2", stored=False, **GIVEN | given), 0.0).steps()
    effects = [next(steps)]
    try:
        for number, result in enumerate(results, 1):
            effects.append(steps.send(ObtainReply(float(number), result)))
    except StopIteration as end:
        return end.value, effects
    except CodeNotObtainedError as error:
        return error, effects
    return None, effects


def bought(effect: ObtainEffect, fx: FxRate | None, amount: Money | None = HALF) -> BoughtOne:
    """Return the answer to a purchase, which shows a code."""
    assert isinstance(effect, BuyOne)
    assert effect.intent is not None
    order = CreatedOrder(id=1001, status=OrderStatus.OTP_RECEIVED, amount=amount, otp_code="4821")
    return BoughtOne(CreatedOrders((order,), 0, fx=fx), effect.intent)


DOLLARS = [Offer(catalog_product_id=2, max_price="0.50")]
RUPIAH = [Offer(catalog_product_id=2, max_price=Money.idr(8_125))]
FOUND = FoundOffers((Offer(catalog_product_id=2, price=HALF),), FX)


@pytest.mark.parametrize(
    ("given", "found", "fx", "amount", "spent"),
    [
        ({"offers": DOLLARS}, [], FX, HALF, "$0.5000"),
        ({"offers": DOLLARS}, [], None, HALF, "Rp 8,125"),
        ({"offers": DOLLARS}, [], None, None, "$0.0000"),
        ({"offers": DOLLARS}, [], FX, None, "$0.5000"),
        ({"offers": DOLLARS, "budget": "1"}, [FOUND], None, None, "$0.5000"),
        ({"service": "wa", "budget": "1"}, [FOUND], None, HALF, "$0.5000"),
        ({"offers": RUPIAH}, [FOUND], None, HALF, "$0.5000"),
    ],
)
def test_on_v2_money_is_stated_in_dollars_at_the_newest_rate(
    given: dict[str, Any], found: list[FoundOffers], fx: FxRate | None, amount: Money | None, spent: str
) -> None:
    _, effects = in_dollars(*found, **given)
    result, effects = in_dollars(*found, bought(effects[-1], fx, amount), None, **given)
    assert [type(effect) for effect in effects] == [*[FindOffers] * len(found), BuyOne, FinishOrder]
    assert (str(result.spent), str(result.tried[0].spent)) == (spent, spent)


def test_a_budget_is_counted_in_rupiah_at_the_first_rate() -> None:
    found = [FoundOffers((), FxRate("USD/IDR", 10_000)), evolve(FOUND, fx=FxRate("USD/IDR", 25_000))]
    result, effects = in_dollars(*found, service="wa", max_price=["0.50", "0.60"], budget="1.00")
    assert [type(effect) for effect in effects] == [FindOffers, FindOffers]
    assert failure(result).reason == "budget"


@pytest.mark.parametrize(
    ("offers", "max_price", "given", "asked"),
    [
        ([Offer(catalog_product_id=2)], ["0.50", "0.60"], {}, 0),
        ([Offer(catalog_product_id=2)], ["0.50", "0.60"], {"budget": "2"}, 1),
        ([Offer(catalog_product_id=2)], [Money.idr(8_000), Money.idr(9_000)], {}, 1),
        ([Offer(catalog_product_id=2, max_price="0.50")], None, {}, 0),
        ([Offer(catalog_product_id=2, max_price=HALF)], None, {}, 0),
    ],
)
def test_the_rate_is_read_once_and_only_where_it_is_needed(
    offers: list[Offer], max_price: Any, given: dict[str, Any], asked: int
) -> None:
    steps = Obtaining(
        ObtainPlan.of("v2", stored=False, **GIVEN | {"offers": offers, "max_price": max_price} | given), 0.0
    ).steps()
    effects = [next(steps)]
    with suppress(CodeNotObtainedError):
        for _ in range(9):
            found = isinstance(effects[-1], FindOffers)
            effects.append(steps.send(ObtainReply(1.0, FoundOffers((), FX) if found else NONE)))
    kinds = [type(effect) for effect in effects]
    assert kinds == [*[FindOffers] * asked, *[BuyOne] * (1 if max_price is None else 2)]


def test_on_v1_no_rate_is_read() -> None:
    _, effects = ended(offers=[Offer(catalog_product_id=2, max_price=Money.idr(15_000))], budget=20_000)
    assert effects[0] == "buy 2 within 15000"


# -- under which key -------------------------------------------------------------------------------


def intents(*keys: str) -> dict[str, Any]:
    """Return purchases of the offers in turn, as a journal stores them under these keys."""
    plan = ObtainPlan.of("v1", stored=True, **GIVEN | {"offers": OFFERS, "idempotency_key": "sale"})
    places = plan.positions(0)
    return {key: plan.intent(*places[number % 2], key, None) for number, key in enumerate(keys)}


def test_without_a_key_nothing_is_recalled_or_read() -> None:
    _, effects = ended(stored={})
    assert effects == ["buy 2 within 10000", "enter 1001", "wait for 1001 until 1120", "finish 1001"]


def test_with_a_journal_the_purchases_under_the_key_are_recalled_and_read_first() -> None:
    stored = intents("sale-1")
    gone = on(ReadOrder, refusal(NotFoundError))
    result, effects = ended(gone, stored=stored, idempotency_key="sale", tries=2)
    assert effects == [
        *["recall sale-1", "read 1001", "recall sale-2"],
        *["buy 2 within 10000", "enter 1002", "wait for 1002 until 1120", "finish 1002"],
    ]
    assert [one.idempotency_key for one in result.tried] == ["sale-1", "sale-2"]


def test_without_a_journal_each_number_is_read_as_it_may_be_an_earlier_one() -> None:
    _, effects = ended(idempotency_key="sale")
    assert effects == [
        *["buy 2 within 10000", "read 1001", "enter 1001", "wait for 1001 until 1120", "finish 1001"]
    ]


@pytest.mark.parametrize(
    ("over", "used"),
    [
        (
            [],
            [
                *["enter 1002", "wait for 1001, 1002 until 1121", "cancel 1001"],
                *["wait for 1002 until 1130", "cancel 1002"],
            ],
        ),
        ([1002], ["enter 1001", "wait for 1001 until 1130", "cancel 1001"]),
    ],
)
def test_of_the_recalled_numbers_the_last_that_is_open_is_used(over: list[int], used: list[str]) -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, ReadOrder) and effect.order_id in over:
            return evolve(service.order(effect.order_id), status=OrderStatus.EXPIRED)
        return None

    stored = intents("sale-1", "sale-2")
    _, effects = ended(change, stored=stored, idempotency_key="sale", tries=2, wait=130.0, sms_after=None)
    assert effects == [
        *["recall sale-1", "read 1001", "recall sale-2", "read 1002", "recall sale-3"],
        *used,
    ]


def test_a_recalled_number_that_can_be_cancelled_is_cancelled_before_another_is_used() -> None:
    class Service(FakeService):
        def created(self, order_id: int) -> CreatedOrder:
            return evolve(super().created(order_id), can_cancel=True)

    service = Service()
    _, effects = ended(
        refuse, service=service, stored=intents("sale-1", "sale-2"), idempotency_key="sale", tries=2
    )
    assert effects[5:7] == ["cancel 1001", "read 1001"], "which is too early, after all"
    assert effects[7] == "enter 1002"


def test_a_recalled_code_is_the_result_and_no_other_number_is_used() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if effect == ReadOrder(1001):
            service.orders[1001].sms_at = service.now
        return None

    stored = intents("sale-1", "sale-2")
    result, effects = ended(change, stored=stored, idempotency_key="sale", tries=2, sms_after=None)
    assert effects[5:] == ["finish 1001"]
    assert isinstance(result, Obtained)
    assert [(one.result, one.released) for one in result.tried] == [
        ("code", Released.FINISHED),
        ("no_code", Released.LEFT_TO_EXPIRE),
    ]


@pytest.mark.parametrize(
    ("error", "goes_on", "results"),
    [
        (LOST, False, ["no_code", "in_doubt"]),
        (refusal(UnauthorizedError), False, ["no_code", "not_bought"]),
        (NONE, True, ["no_code", "not_bought"]),
        (UsedKey(), True, ["no_code"]),
    ],
)
def test_a_recalled_purchase_in_doubt_ends_it_before_any_number_is_used(
    error: SmscodeError | UsedKey, goes_on: bool, results: list[str]
) -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        return error if isinstance(effect, BuyOne) and effect.key == "sale-2" else None

    stored = intents("sale-1", "sale-2")
    result, found = ended(change, stored=stored, idempotency_key="sale", tries=1, sms_after=None)
    used = ["recall sale-3", "enter 1001", "wait for 1001 until 1120"] if goes_on else []
    assert found == ["recall sale-1", "read 1001", "recall sale-2", *used]
    assert failure(result).reason == ("tries" if goes_on else "error")
    assert [one.result for one in result.tried] == results
    assert [one.spent.canonical_amount for one in result.tried] == [10_000, 0][: len(results)]


def trouble(name: str) -> SmscodeError:
    error = refusal(SmscodeError)
    error.trouble = name
    return error


@pytest.mark.parametrize(
    ("error", "keys", "tried"),
    [
        (NONE, ["sale-1", "sale-1"], ["not_bought", "code"]),
        (refusal(NotFoundError), ["sale-1", "sale-1"], ["not_bought", "code"]),
        (refusal(IdempotencyKeyReuseError, "unknown"), ["sale-1", "sale-1"], ["code"]),
        (trouble("another order"), ["sale-1", "sale-1"], ["code"]),
        (refusal(ProviderError, "failed"), ["sale-1", "sale-2"], ["not_bought", "code"]),
        (trouble("argument"), ["sale-1"], ["not_bought"]),
        (refusal(InsufficientBalanceError), ["sale-1"], ["not_bought"]),
    ],
)
def test_without_a_journal_the_first_key_is_that_of_the_first_number(
    error: SmscodeError, keys: list[str], tried: list[str]
) -> None:
    sent = list[str]()

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if not isinstance(effect, BuyOne):
            return None
        sent.append(effect.key)
        return error if len(sent) == 1 else None

    result, _ = ended(change, idempotency_key="sale")
    assert [one.result for one in result.tried] == tried
    assert sent == keys


def test_with_a_journal_each_purchase_has_a_key_of_its_own() -> None:
    refused = on(BuyOne, None, refusal(IdempotencyKeyReuseError))
    result, _ = ended(refused, stored={}, idempotency_key="sale")
    assert [one.result for one in result.tried] == ["not_bought"]
    result, _ = ended(on(BuyOne, None, NONE), stored={}, idempotency_key="sale")
    assert [one.idempotency_key for one in result.tried] == ["sale-1", "sale-2"]


def test_a_key_that_was_used_for_another_offer_is_no_cause_once_a_number_was_bought() -> None:
    reused = refusal(IdempotencyKeyReuseError, "unknown")
    result, _ = ended(
        first(on(BuyOne, reused, None, *[NONE] * 9), refuse),
        idempotency_key="sale",
        tries=5,
        sms_after=None,
    )
    assert (failure(result).reason, failure(result).__cause__) == ("offers", None)
    assert failure(result).idempotency_key == "sale"


# -- a purchase whose answer is lost ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "took", "timeout", "sent"),
    [
        (LOST, 0.0, None, 3),
        (LOST, 30.0, 60.5, 3),
        (LOST, 30.0, 60.0, 2),
        (LOST, 30.0, 30.0, 1),
        (refusal(JournalError, "unknown"), 0.0, None, 1),
        (refusal(NetworkError, "not_sent"), 0.0, None, 1),
    ],
)
def test_a_lost_purchase_is_sent_three_times_within_the_time(
    error: SmscodeError, took: float, timeout: float | None, sent: int
) -> None:
    keys = list[str]()

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if not isinstance(effect, BuyOne):
            return None
        service.now += took
        keys.append(effect.key)
        return error

    result, _ = ended(change, tries=1, timeout=timeout)
    assert len(keys) == sent
    assert len(set(keys)) == 1
    in_doubt = error.outcome == "unknown"
    assert result.tried == (
        Try(
            result="in_doubt" if in_doubt else "not_bought",
            idempotency_key=keys[0],
            offer=OFFERS[0],
            spent=Money.idr(10_000 if in_doubt else 0),
            error=error,
        ),
    )
    assert failure(result).outcome == ("unknown" if in_doubt else "failed")


@pytest.mark.parametrize(
    "error", [refusal(JournalError, "unknown"), refusal(IdempotencyKeyReuseError, "unknown")]
)
def test_an_error_that_repeating_does_not_change_ends_it_also_if_it_leaves_doubt(error: SmscodeError) -> None:
    result, effects = ended(on(BuyOne, error))
    assert effects == ["buy 2 within 10000"]
    assert failure(result).__cause__ is error
    assert [one.result for one in result.tried] == ["in_doubt"]


def test_purchases_in_doubt_count_as_tries() -> None:
    result, effects = ended(on(BuyOne, *[LOST] * 9), tries=2)
    assert buys(effects) == ["buy 2 within 10000"] * 3 + ["buy 3 within 12000"] * 3
    assert failure(result).reason == "tries"


def test_an_answer_without_numbers_is_a_refusal_that_says_so() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        intent = effect.intent if isinstance(effect, BuyOne) else None
        return None if intent is None else BoughtOne(CreatedOrders((), 1), intent)

    result, _ = ended(change)
    error = result.tried[0].error
    assert isinstance(error, ProviderError)
    assert (error.message, error.outcome) == ("No number could be rented.", "failed")
    assert error.idempotency_key == result.tried[0].idempotency_key


def test_on_v2_a_purchase_in_doubt_costs_nothing_that_is_known_without_a_rate() -> None:
    result, _ = in_dollars(LOST, LOST, LOST, offers=DOLLARS, tries=1)
    assert str(failure(result).tried[0].spent) == "$0.0000"


# -- until when ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["wait for 1001 until 1120"]),
        ({"timeout": 60.0}, ["wait for 1001 until 1060"]),
        ({"wait": 130.0}, ["wait for 1001 until 1130", "cancel 1001"]),
        ({"release_timeout": 121.0}, ["wait for 1001 until 1120", "wait for 1001 until 1121", "cancel 1001"]),
        ({"resend_after": 40.0}, ["wait for 1001 until 1040", "resend 1001", "wait for 1001 until 1120"]),
        ({"resend_after": 120.0}, ["wait for 1001 until 1120"]),
        ({"resend_after": 40.0, "timeout": 40.0}, ["wait for 1001 until 1040"]),
    ],
)
def test_a_code_is_waited_for_until_the_wait_or_the_time_is_over(
    given: dict[str, Any], expected: list[str]
) -> None:
    _, effects = ended(sms_after=None, tries=1, **given)
    assert effects == ["buy 2 within 10000", "enter 1001", *expected]


@pytest.mark.parametrize(("timeout", "bought"), [(60.0, 1), (60.5, 2)])
def test_nothing_is_bought_once_the_time_is_over(timeout: float, bought: int) -> None:
    result, effects = ended(sms_after=None, wait=60.0, timeout=timeout, tries=2)
    assert len(buys(effects)) == bought
    assert failure(result).reason == ("timeout" if bought == 1 else "tries")


@pytest.mark.parametrize("kind", [BuyOne, FindOffers])
def test_calls_end_with_the_time_of_the_whole(kind: type) -> None:
    until = list[float]()

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, BuyOne | FindOffers) and isinstance(effect, kind):
            until.append(effect.until)
        return None

    search(change, max_price=12_000, timeout=300.0)
    assert until == [1_300.0]


def test_a_wait_that_fails_for_good_ends_it() -> None:
    error = refusal(UnauthorizedError)
    result, effects = ended(on(WaitForAny, error), sms_after=None)
    assert effects == ["buy 2 within 10000", "enter 1001", "wait for 1001 until 1120"]
    assert failure(result).__cause__ is error


# -- how it ends -----------------------------------------------------------------------------------


class SiteDown(Exception):
    """What the caller's function raises."""


@pytest.mark.parametrize("release_timeout", [0.0, 200.0])
def test_an_exception_of_the_function_ends_it_at_once_and_no_code_is_finished(
    release_timeout: float,
) -> None:
    failing = on(EnterNumber, EnteredNumber(failure=SiteDown()))
    effects = list[str]()

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        effects.append(shown(effect))
        return failing(effect, service)

    with pytest.raises(SiteDown):
        obtain(change, sms_after=50.0, release_timeout=release_timeout)
    waits = ["wait for 1001 until 1121"] if release_timeout else []
    assert effects == ["buy 2 within 10000", "enter 1001", *waits]


def test_a_number_is_finished_at_most_twice() -> None:
    result, effects = ended(on(FinishOrder, *[refusal(UnauthorizedError)] * 9))
    assert effects[3:] == ["finish 1001"] * 2
    assert isinstance(result, Obtained)


def test_the_code_of_an_earlier_number_is_the_result_if_the_last_one_has_none() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, BuyOne):
            return service.buy(effect, (None, 70.0, None)[len(service.orders)], {})
        return None

    result, _ = ended(change, wait=40.0, tries=3)
    assert isinstance(result, Obtained)
    assert (result.order_id, [one.result for one in result.tried]) == (
        1002,
        ["no_code", "code", "no_code"],
    )


def test_a_wrong_argument_is_raised_as_it_is_only_before_the_first_number() -> None:
    wrong = refusal(InvalidArgumentError)
    with pytest.raises(InvalidArgumentError):
        obtain(on(BuyOne, wrong))
    result, _ = ended(first(on(BuyOne, None, wrong), refuse), sms_after=None)
    assert failure(result).__cause__ is wrong


@pytest.mark.parametrize(
    ("replies", "given", "reason", "text"),
    [
        ([], {"tries": 1}, "tries", "No code after 1 numbers: all tries are used up. Spent: Rp 10,000."),
        (
            [NONE] * 2,
            {},
            "offers",
            "No code after 0 numbers: no offer is left within the price limits. Spent: Rp 0.",
        ),
        ([], {"timeout": 60.0}, "timeout", "No code after 1 numbers: the time is over. Spent: Rp 10,000."),
        (
            [],
            {"budget": 11_000, "timeout": 120.5},
            "budget",
            "No code after 1 numbers: what the next number may cost (its max_price) exceeds what is left of"
            " the budget. Spent: Rp 10,000.",
        ),
        (
            [UnauthorizedError("The token is wrong.", outcome="rejected")],
            {},
            "error",
            "No code after 0 numbers: The token is wrong. Spent: Rp 0.",
        ),
    ],
)
def test_the_error_says_why_there_is_no_code_and_what_was_spent(
    replies: list[ObtainResult], given: dict[str, Any], reason: str, text: str
) -> None:
    result, _ = ended(on(BuyOne, *replies), sms_after=None, **given)
    error = failure(result)
    assert (error.reason, str(error)) == (reason, text)
    spent = sum(one.spent.canonical_amount for one in error.tried)
    assert error.spent == Money.idr(spent)
    assert error.outcome == ("unknown" if spent else "failed")
    assert error.idempotency_key is None


@pytest.mark.parametrize(
    ("amount", "status", "outcome"),
    [
        (0, OrderStatus.ACTIVE, "unknown"),
        (10_000, OrderStatus.COMPLETED, "unknown"),
        (10_000, OrderStatus.EXPIRED, "failed"),
        (0, OrderStatus.COMPLETED, "failed"),
    ],
)
def test_nothing_is_left_if_nothing_was_spent_and_nothing_is_open(
    amount: int, status: OrderStatus, outcome: str
) -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, BuyOne):
            result = service.buy(effect, None, {})
            assert isinstance(result, BoughtOne)
            order = evolve(result.created.orders[0], amount=Money.idr(amount), status=status)
            return evolve(result, created=CreatedOrders((order,), 0))
        if isinstance(effect, ReadOrder):
            return evolve(service.order(1001), amount=Money.idr(amount), status=status)
        return None

    result, _ = ended(change, tries=1, wait=60.0)
    assert failure(result).outcome == outcome


def test_it_is_over_only_when_it_was_released() -> None:
    service = FakeService()
    machine = Obtaining(ObtainPlan.of("v1", stored=False, **GIVEN | {"offers": OFFERS}), service.now)
    steps = machine.steps()
    effect = next(steps)
    with suppress(StopIteration):
        while not machine.over:
            effect = steps.send(service.reply(service.do(effect, {}, 20.0)))
    assert machine.over
    assert isinstance(effect, FinishOrder)
