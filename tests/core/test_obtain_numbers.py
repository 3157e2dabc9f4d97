"""Numbers that `orders.obtain` has bought: when they are cancelled, what they cost, how they ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve

from smscode import (
    CodeNotObtainedError,
    ConflictError,
    CreatedOrder,
    InsufficientBalanceError,
    Money,
    NumberRefused,
    Obtained,
    OrderStatus,
    OtpOutcome,
    OtpSms,
    ProviderError,
    Released,
    Sms,
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
    FinishOrder,
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

from .obtain_service import START, FakeService
from .test_obtain_machine import GIVEN
from .test_obtaining import OFFERS, Change, hide_codes, obtain, on, refusal

REFUSED = EnteredNumber(refused=NumberRefused())


class Service(FakeService):
    """A service that notes when it is asked to cancel an order; ``change`` changes what it sells."""

    def __init__(self, change: Callable[[CreatedOrder], CreatedOrder] = lambda order: order) -> None:
        super().__init__()
        self.canceled_at: list[tuple[int, float]] = []
        self._change = change

    def created(self, order_id: int) -> CreatedOrder:
        return self._change(super().created(order_id))

    def cancel(self, order_id: int) -> ObtainResult:
        self.canceled_at.append((order_id, self.now))
        return super().cancel(order_id)


def failed(change: Change | None = None, **given: Any) -> CodeNotObtainedError:
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(change, **given)
    return ended.value


def code(order_id: int) -> OtpSms:
    return OtpSms(order_id, f"Your code is {order_id}", 1, None, code=str(order_id))


def kinds(effects: list[ObtainEffect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


# -- when they are cancelled -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "pauses"),
    [
        ([], [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]),
        ([7.0, 7.0, None, 90.0], [7.0, 10.0, 20.0, 90.0, 60.0, 60.0, 60.0]),
    ],
)
def test_a_cancel_that_fails_is_repeated_after_pauses_that_grow_to_a_minute(
    hints: list[float | None], pauses: list[float]
) -> None:
    times: list[float] = []

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if not isinstance(effect, CancelOrder):
            return None
        times.append(service.now)
        error = refusal(ProviderError, outcome="unknown")
        error.retry_after = hints[len(times) - 1] if len(times) <= len(hints) else None
        return error

    error = failed(change, sms_after=None, tries=1, wait=30.0, release_timeout=600.0)
    assert [later - before for before, later in pairwise(times)][:7] == pauses
    assert times[0] == 1_121.0
    assert error.tried[0].released is None
    assert isinstance(error.tried[0].error, ProviderError)


def test_a_number_is_not_cancelled_while_its_code_is_waited_for() -> None:
    obtained, effects = obtain(sms_after=125.0, wait=130.0, tries=1)
    assert kinds(effects) == ["BuyOne", "EnterNumber", "WaitForAny", "FinishOrder"]
    assert obtained.code == "1001"


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({}, 1_121.0),
        ({"can_cancel": True}, 1_000.0),
        ({"cancel_available_at": None}, 1_121.0),
        ({"cancel_available_at": START + timedelta(seconds=1_300)}, 1_301.0),
    ],
)
def test_a_refused_number_is_cancelled_as_soon_as_the_service_allows_it(
    changed: dict[str, Any], due: float
) -> None:
    service = Service(lambda order: evolve(order, **changed))
    with pytest.raises(CodeNotObtainedError):
        obtain(on(EnterNumber, REFUSED), service=service, sms_after=None, tries=1, release_timeout=301.0)
    assert service.canceled_at[:1] == [(1001, due)]


def test_the_services_time_goes_on_from_the_last_answer_that_had_a_date() -> None:
    class DatedOnce(Service):
        def reply(self, result: ObtainResult) -> ObtainReply:
            first = isinstance(result, BoughtOne) and len(self.orders) == 1
            return ObtainReply(self.now, result, self.date if first else None)

    service = DatedOnce()
    error = failed(service=service, sms_after=None, wait=60.0, tries=2, release_timeout=61.0)
    assert service.canceled_at == [(1001, 1_121.0), (1002, 1_181.0)]
    assert [one.released for one in error.tried] == [Released.CANCELED] * 2


@pytest.mark.parametrize(
    ("release_timeout", "released"), [(90.9, Released.LEFT_TO_EXPIRE), (91.0, Released.CANCELED)]
)
def test_what_can_be_cancelled_within_the_time_for_it_is_cancelled(
    release_timeout: float, released: Released
) -> None:
    error = failed(sms_after=None, tries=1, wait=30.0, release_timeout=release_timeout)
    assert [one.released for one in error.tried] == [released]


def test_without_a_limit_giving_back_ends_with_the_last_number() -> None:
    error = failed(sms_after=None, tries=2, wait=30.0, release_timeout=float("inf"))
    assert [one.released for one in error.tried] == [Released.CANCELED] * 2


@pytest.mark.parametrize("before", [None, refusal(InsufficientBalanceError)])
def test_a_wait_that_fails_ends_giving_back_and_is_the_cause_if_there_was_none(
    before: SmscodeError | None,
) -> None:
    failure = refusal(UnauthorizedError)

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, EnterNumber):
            return REFUSED
        if isinstance(effect, BuyOne) and service.orders:
            return before
        return failure if isinstance(effect, WaitForAny) else None

    tries = 1 if before is None else 2
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(change, sms_after=None, tries=tries, release_timeout=300.0)
    assert ended.value.__cause__ is (before or failure)
    assert ended.value.tried[0].released is Released.LEFT_TO_EXPIRE


# -- what is known of them -------------------------------------------------------------------------


def test_a_code_that_the_answer_to_the_purchase_shows_is_the_result() -> None:
    obtained, effects = obtain(service=Service(lambda order: evolve(order, otp_code="4821")))
    assert kinds(effects)[0:2] == ["BuyOne", "ReadOrder"]
    assert obtained.code == "4821"


def texts_only(effect: ObtainEffect, service: FakeService) -> ObtainResult:
    """Show messages without codes."""
    if isinstance(effect, WaitForAny):
        service.now = effect.until
        orders = [service.active(order_id) for order_id in effect.order_ids]
        return SeenOrders(orders=tuple(evolve(order, otp_code=None, otp_message="Hello") for order in orders))
    if isinstance(effect, ReadOrder):
        return evolve(service.order(effect.order_id), otp_code=None, otp_message="Hello")
    return None


def test_a_message_without_a_code_is_no_result_and_is_finished_in_the_end() -> None:
    with pytest.raises(CodeNotObtainedError) as ended:
        obtain(texts_only, sms_after=5.0, tries=1, wait=130.0, release_timeout=60.0)
    (one,) = ended.value.tried
    hello = Sms(1001, None, "Hello", 1, None)
    assert one == Try(
        result="no_code",
        idempotency_key=one.idempotency_key,
        offer=OFFERS[0],
        spent=Money.idr(10_000),
        order_id=1001,
        phone_number="+621001",
        sms=hello,
        released=Released.FINISHED,
    )


def test_a_number_with_a_message_without_a_code_is_left_alone_until_the_end() -> None:
    effects = list[ObtainEffect]()

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        effects.append(effect)
        return texts_only(effect, service)

    failed(change, sms_after=5.0, tries=2, wait=150.0)
    assert kinds(effects[:-4]) == ["BuyOne", "EnterNumber", "WaitForAny"] * 2
    assert effects[-4:] == [ReadOrder(1001), FinishOrder(1001), ReadOrder(1002), FinishOrder(1002)]
    waits = [effect.order_ids for effect in effects if isinstance(effect, WaitForAny)]
    assert waits == [(1001,), (1001, 1002)]


def test_the_last_code_counts_if_the_last_message_has_none() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, EnterNumber):  # the caller's function waits by itself
            effect.known.take(Sms(1001, "1111", "Your code is 1111", 1, None))
            effect.known.take(Sms(1001, None, "Thank you", 2, None))
        return None

    obtained, effects = obtain(change, tries=1)
    assert obtained.sms == OtpSms(1001, "Thank you", 2, None, code="1111")
    assert not any(isinstance(effect, WaitForAny) for effect in effects)


def test_with_a_pattern_the_tries_have_the_code_that_it_finds() -> None:
    obtained, _ = obtain(hide_codes, tries=1, wait=130.0, pattern=r"code is (\d)")
    assert obtained.tried[0].sms == obtained.sms == OtpSms(1001, "Your code is 1001", 1, None, code="1")


def test_a_code_that_a_refused_cancel_shows_is_the_result() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if not isinstance(effect, CancelOrder):
            return hide_codes(effect, service)
        error = ConflictError("no", outcome="rejected")
        error.order = evolve(service.order(effect.order_id), status=OrderStatus.COMPLETED)
        return error

    obtained, effects = obtain(change, tries=1, wait=130.0)
    assert obtained.code == "1001"
    assert kinds(effects) == ["BuyOne", "EnterNumber", "WaitForAny", "CancelOrder"]


def test_an_order_that_ends_while_it_is_waited_for_is_a_past_try_at_what_it_cost() -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if not isinstance(effect, WaitForAny):
            return None
        service.now += 1
        order = evolve(service.order(1001), status=OrderStatus.COMPLETED)
        error = ConflictError("no", outcome="rejected")
        error.order = order
        return SeenOrders((OtpOutcome(1001, error=error),))

    (one,) = failed(change, sms_after=None, tries=1).tried
    assert (one.result, one.released, one.spent) == ("no_code", Released.ALREADY_RELEASED, Money.idr(10_000))


# -- what they cost --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "read", "spent", "phone_number"),
    [
        ({}, {}, 10_000, "+621001"),
        ({"amount": None, "phone_number": None}, {}, 10_000, "+621001"),
        ({"amount": None}, {"amount": Money.idr(0)}, 15_000, "+621001"),
        ({"amount": Money.idr(0)}, {"amount": Money.idr(0)}, 0, "+621001"),
        ({}, {"amount": Money.idr(0), "phone_number": None}, 10_000, "+621001"),
        ({}, {"amount": Money.idr(9_000), "phone_number": "+62999"}, 9_000, "+621001"),
        ({"phone_number": None}, {"phone_number": "+62999"}, 10_000, "+62999"),
    ],
)
def test_a_price_or_phone_number_that_the_purchase_did_not_show_is_read(
    created: dict[str, Any], read: dict[str, Any], spent: int, phone_number: str
) -> None:
    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        if isinstance(effect, ReadOrder):
            return evolve(service.order(effect.order_id), **read)
        return hide_codes(effect, service)

    service = Service(lambda order: evolve(order, **created))
    offers = [Offer(catalog_product_id=2, max_price=15_000)]
    obtained, _ = obtain(change, service=service, offers=offers, tries=1, wait=130.0)
    assert (obtained.spent, obtained.phone_number) == (Money.idr(spent), phone_number)
    assert obtained.tried[0].phone_number == phone_number


def test_a_price_below_the_limit_is_what_was_spent() -> None:
    obtained, _ = obtain(offers=[Offer(catalog_product_id=2, max_price=15_000)])
    assert obtained.spent == obtained.tried[0].spent == Money.idr(10_000)


# -- how they ended --------------------------------------------------------------------------------


def test_the_tries_say_what_became_of_each_number() -> None:
    """The first is refused, the second gets its code late, the third gets it in time."""
    entered = [REFUSED, EnteredNumber(), EnteredNumber()]

    def change(effect: ObtainEffect, service: FakeService) -> ObtainResult:
        match effect:
            case EnterNumber():
                return entered.pop(0)
            case BuyOne():
                return service.buy(effect, (None, 40.0, 10.0)[len(service.orders)], {})
            case _:
                return None

    obtained, effects = obtain(change, wait=30.0, tries=3)
    keys = [effect.key for effect in effects if isinstance(effect, BuyOne)]
    assert obtained == Obtained(
        sms=code(1003),
        order_id=1003,
        phone_number="+621003",
        spent=Money.idr(32_000),
        tried=(
            Try(
                result="refused",
                idempotency_key=keys[0],
                offer=OFFERS[0],
                spent=Money.idr(10_000),
                order_id=1001,
                phone_number="+621001",
                released=Released.LEFT_TO_EXPIRE,
            ),
            Try(
                result="late_code",
                idempotency_key=keys[1],
                offer=OFFERS[1],
                spent=Money.idr(12_000),
                order_id=1002,
                phone_number="+621002",
                sms=code(1002),
                released=Released.FINISHED,
            ),
            Try(
                result="code",
                idempotency_key=keys[2],
                offer=OFFERS[0],
                spent=Money.idr(10_000),
                order_id=1003,
                phone_number="+621003",
                sms=code(1003),
                released=Released.FINISHED,
            ),
        ),
    )


def test_a_number_that_is_kept_has_no_ending() -> None:
    obtained, _ = obtain(keep=True)
    assert obtained.tried[0].released is None
    assert obtained.tried[0].error is None


# -- after an interruption -------------------------------------------------------------------------


def test_an_interrupted_call_cancels_what_can_be_cancelled_by_then() -> None:
    service, adopted = Service(), "adopted"
    plan = ObtainPlan.of("v1", stored=False, **GIVEN | {"offers": OFFERS})
    machine = Obtaining(plan, service.now)
    effects = carry_out(machine.steps(), service, until=EnterNumber)
    assert kinds(effects) == ["BuyOne", "EnterNumber"]
    service.now += 130.0
    (offer, limit) = plan.positions(0)[0]
    service.buy(BuyOne(adopted, plan.intent(offer, limit, adopted, None), 0.0), 5.0, {})
    service.now += 10.0
    for key, order_id in ((machine.keys[0], 1001), (adopted, 1002)):
        machine.adopt(key, service.order(order_id))
    assert [(number.order.id, number.key) for number in machine.numbers] == [
        (1001, machine.keys[0]),
        (1002, adopted),
    ]
    assert carry_out(machine.abandoning(service.now), service) == [CancelOrder(1001)]
    assert [number.sms for number in machine.numbers] == [None, code(1002)]


def carry_out(
    steps: ObtainSteps[Any], service: FakeService, until: type | tuple[type, ...] = ()
) -> list[ObtainEffect]:
    """Carry effects out, up to one of a kind, which is not answered; return them."""
    effects = list[ObtainEffect]()
    try:
        effects.append(next(steps))
        while not isinstance(effects[-1], until):
            effects.append(steps.send(service.reply(service.do(effects[-1], {}, None))))
    except StopIteration:
        pass
    return effects
