"""A code, and not a number: `orders.obtain` on a sandbox whose time is virtual."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from smscode import (
    ClientStateError,
    CodeNotObtainedError,
    ConfigurationError,
    InsufficientBalanceError,
    InvalidArgumentError,
    InvalidResponseError,
    Money,
    NoOfferAvailableError,
    NumberRefused,
    Obtained,
    Offer,
    OrderStatus,
    ProviderError,
    RateLimits,
    Released,
    SpendingLimit,
    SpendingLimitError,
    Try,
    UnauthorizedError,
)
from smscode.events import ClientEvent, ObtainStepDone
from smscode.sandbox import Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import ACTIVE, HTML, AsyncScript, refusal, still_sandbox

pytestmark = pytest.mark.anyio

CREATE = "POST /orders/create"
WHATSAPP: dict[str, Any] = {"service": "whatsapp", "country": ["indonesia", "vietnam"]}
# WhatsApp costs 9,750 rupiah in Vietnam, and 15,000 in Indonesia.
VIETNAM, INDONESIA = 93, 87
DOLLAR = 16_250


class AsyncSite:
    """A site that is told a number; it refuses the first so many."""

    def __init__(self, refuses: int = 0) -> None:
        self.numbers: list[str | None] = []
        self._refuses = refuses

    async def enter(self, rental: Any) -> None:
        """Note the number of the rental."""
        self.numbers.append(rental.phone_number)
        if len(self.numbers) <= self._refuses:
            raise NumberRefused


async def enter(rental: Any) -> None:
    """Do nothing with the number."""


def results(tried: tuple[Try, ...]) -> list[tuple[str, Released | None]]:
    return [(one.result, one.released) for one in tried]


def statuses(sandbox: Sandbox) -> list[OrderStatus]:
    return [order.status for order in sandbox._app.world.orders.values()]


def charged(sandbox: Sandbox) -> int:
    return -sum(entry.amount for entry in sandbox.ledger if entry.order_id is not None)


async def test_the_code_of_the_first_number_is_the_result_and_its_order_is_finished() -> None:
    sandbox = still_sandbox(otp_after=20)
    client, site = AsyncVirtualClient(sandbox), AsyncSite()
    obtained = await client.orders.obtain(site.enter, **WHATSAPP, budget="2.00")
    assert isinstance(obtained, Obtained)
    assert obtained.code == obtained.sms.code
    assert site.numbers == [obtained.phone_number]
    assert results(obtained.tried) == [("code", Released.FINISHED)]
    assert obtained.tried[0].offer == Offer(
        catalog_product_id=VIETNAM, price=Money.idr(9_750), name="WhatsApp - Vietnam"
    )
    assert (str(obtained.spent), obtained.spent.canonical_amount) == ("$0.6000", charged(sandbox))
    assert statuses(sandbox) == [OrderStatus.COMPLETED]
    assert client.orders.bought() == ()
    assert obtained.phone_number is not None
    assert obtained.phone_number not in repr(obtained)
    assert obtained.code not in repr(obtained)


async def test_a_number_without_an_sms_is_cancelled_and_the_next_offer_is_tried() -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("never", catalog_product_id=VIETNAM)
    client, site = AsyncVirtualClient(sandbox), AsyncSite()
    obtained = await client.orders.obtain(site.enter, **WHATSAPP, budget="2.00", wait=130)
    assert results(obtained.tried) == [("no_code", Released.CANCELED), ("code", Released.FINISHED)]
    assert [one.spent.canonical_amount for one in obtained.tried] == [0, 15_000]
    assert len(site.numbers) == 2
    assert charged(sandbox) == obtained.spent.canonical_amount == 15_000


async def test_a_refused_number_makes_room_for_another_one_at_once() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    site = AsyncSite(refuses=2)
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(site.enter, **WHATSAPP, budget="9.00", tries=2, release_timeout=300)
    error = ended.value
    assert (error.reason, error.outcome, str(error.spent)) == ("tries", "failed", "$0.0000")
    assert results(error.tried) == [("refused", Released.CANCELED)] * 2
    assert charged(sandbox) == 0
    assert "all tries are used up" in str(error)


async def test_another_exception_of_the_function_gives_the_number_back_and_goes_on_up() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)

    async def fail(rental: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.orders.obtain(fail, **WHATSAPP, budget="2.00", release_timeout=200)
    assert statuses(sandbox) == [OrderStatus.CANCELED]


async def test_what_cannot_be_given_back_in_time_is_named() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(enter, **WHATSAPP, budget="2.00", tries=1, wait=30)
    assert results(ended.value.tried) == [("no_code", Released.LEFT_TO_EXPIRE)]
    assert ended.value.outcome == "unknown"
    (left,) = client.orders.bought()
    assert [order.id for order in left.orders] == [ended.value.tried[0].order_id]


async def test_a_late_code_is_the_result_if_no_other_comes() -> None:
    sandbox = still_sandbox(otp_after=100)
    sandbox.play("never", catalog_product_id=INDONESIA)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="9.00", tries=5, wait=60)
    assert results(obtained.tried) == [("code", Released.FINISHED), ("no_code", Released.LEFT_TO_EXPIRE)]
    assert sandbox.requests[CREATE] == 2, "with a code, no further number is bought"


async def test_a_late_code_is_kept_beside_the_result() -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("late_code(50, 1)", catalog_product_id=VIETNAM)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="9.00", wait=40)
    assert results(obtained.tried) == [("late_code", Released.FINISHED), ("code", Released.FINISHED)]
    assert obtained.tried[0].sms is not None
    assert obtained.spent.canonical_amount == charged(sandbox) == 24_750


async def test_a_ladder_of_prices_is_climbed() -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("never", catalog_product_id=VIETNAM)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, max_price=["0.60", "1.00"], wait=130, tries=4)
    offers = [one.offer.catalog_product_id for one in obtained.tried if one.offer is not None]
    assert offers == [VIETNAM, VIETNAM, INDONESIA]


async def test_the_ladder_is_repeated_for_as_long_as_it_gives_numbers() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(enter, **WHATSAPP, max_price="0.60", wait=130, tries=4)
    assert (ended.value.reason, len(ended.value.tried)) == ("tries", 4)


async def test_an_offer_that_is_refused_is_passed_over() -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("no_stock", catalog_product_id=VIETNAM)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="2.00", tries=1)
    assert results(obtained.tried) == [("not_bought", None), ("code", Released.FINISHED)]
    assert isinstance(obtained.tried[0].error, NoOfferAvailableError | ProviderError)


async def test_without_an_offer_left_it_ends() -> None:
    sandbox = still_sandbox()
    sandbox.play("no_stock")
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(CodeNotObtainedError, match="no offer is left within the price limits") as ended:
        await client.orders.obtain(enter, **WHATSAPP, max_price="2.00")
    assert (ended.value.reason, len(ended.value.tried)) == ("offers", 2)
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(enter, **WHATSAPP, max_price="0.01")
    assert (ended.value.reason, ended.value.tried) == ("offers", ())


async def test_the_budget_waits_for_refunds() -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("never", catalog_product_id=VIETNAM)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="0.95", wait=30)
    assert results(obtained.tried) == [("no_code", Released.CANCELED), ("code", Released.FINISHED)]


async def test_the_budget_ends_it() -> None:
    sandbox = still_sandbox(otp_after=None, lifetime=1200)
    sandbox.play("text_only", catalog_product_id=VIETNAM)
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(CodeNotObtainedError, match="exceeds what is left of the budget") as ended:
        await client.orders.obtain(enter, **WHATSAPP, budget="1.00", wait=30)
    assert (ended.value.reason, charged(sandbox)) == ("budget", 9_750)
    assert results(ended.value.tried) == [("no_code", Released.FINISHED)]
    assert ended.value.tried[0].sms is not None


async def test_the_time_ends_it() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(CodeNotObtainedError, match="the time is over") as ended:
        await client.orders.obtain(enter, **WHATSAPP, budget="9.00", wait=100, timeout=150, tries=9)
    assert (ended.value.reason, len(ended.value.tried)) == ("timeout", 2)
    assert sum(client.runtime.waited) + sum(client.runtime.slept) <= 151


@pytest.mark.parametrize("status", [401, 409])
async def test_an_error_that_concerns_all_offers_ends_it(status: int) -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    sandbox.play("insufficient_balance" if status == 409 else "unauthorized", operation="orders.create")
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(enter, **WHATSAPP, budget="9.00")
    error = ended.value
    assert error.reason == "error"
    assert isinstance(error.__cause__, InsufficientBalanceError | UnauthorizedError)
    assert error.tried[0].error is error.__cause__
    assert (error.outcome, sandbox.requests[CREATE]) == ("failed", 1)


async def test_a_spending_limit_ends_it() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox, spending=SpendingLimit(total="0.70"))
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(enter, **WHATSAPP, budget="9.00", wait=20)
    assert isinstance(ended.value.__cause__, SpendingLimitError)
    assert charged(sandbox) == 9_750


async def test_a_wait_that_fails_for_good_ends_it() -> None:
    sandbox = still_sandbox(otp_after=None)
    transport = AsyncScript([], sandbox.transport())
    client = AsyncVirtualClient(sandbox, transport=transport)

    async def lose_the_token(rental: Any) -> None:
        transport.add(*[refusal(401, "UNAUTHORIZED")] * 9)

    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(lose_the_token, **WHATSAPP, budget="9.00", release_timeout=300)
    assert isinstance(ended.value.__cause__, UnauthorizedError)
    assert results(ended.value.tried) == [("no_code", Released.LEFT_TO_EXPIRE)]


async def test_a_purchase_in_doubt_is_repeated_under_its_key_and_then_named() -> None:
    sandbox = still_sandbox(otp_after=20)
    transport = AsyncScript([], sandbox.transport())
    client = AsyncVirtualClient(sandbox, transport=transport)
    await client.catalog.find(service="whatsapp", country="vietnam")
    transport.add(*[HTML] * 8)
    offers = [Offer(catalog_product_id=VIETNAM, max_price="0.70")]
    obtained = await client.orders.obtain(enter, offers=offers)
    assert results(obtained.tried) == [("code", Released.FINISHED)]
    assert len(transport.requests) > 8

    transport.add(*[HTML] * 24)
    obtained = await client.orders.obtain(enter, offers=offers)
    assert results(obtained.tried)[0] == ("in_doubt", None)
    assert obtained.tried[0].spent.canonical_amount >= 9_750
    assert isinstance(obtained.tried[0].error, InvalidResponseError)
    (intent,) = client.orders.unresolved()
    assert intent.idempotency_key == obtained.tried[0].idempotency_key


async def test_the_winner_may_be_kept() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="2.00", keep=True)
    assert results(obtained.tried) == [("code", None)]
    assert statuses(sandbox) == [OrderStatus.OTP_RECEIVED]
    assert [one.orders[0].id for one in client.orders.bought()] == [obtained.order_id]


async def test_the_sms_is_asked_for_once_more() -> None:
    sandbox = still_sandbox(otp_after=None)
    events: list[ClientEvent] = []
    client = AsyncVirtualClient(sandbox, on_event=events.append)
    with pytest.raises(CodeNotObtainedError):
        await client.orders.obtain(enter, **WHATSAPP, budget="2.00", tries=1, wait=130, resend_after=60)
    assert sandbox.requests["POST /orders/resend"] == 1
    steps = [
        (event.step, event.attempt, event.result) for event in events if isinstance(event, ObtainStepDone)
    ]
    assert steps == [
        ("find", 0, "done"),
        ("buy", 0, "done"),
        ("enter", 1, "done"),
        ("wait", 0, "nothing"),
        ("resend", 1, "ConflictError"),
        ("wait", 0, "nothing"),
        ("cancel", 1, "done"),
    ]
    assert str(events[-1])


async def test_there_is_an_end_to_giving_back_without_a_limit() -> None:
    client = AsyncVirtualClient(still_sandbox(otp_after=20))
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="2.00", release_timeout=math.inf)
    assert results(obtained.tried) == [("code", Released.FINISHED)]


async def test_the_steps_say_how_a_number_was_used() -> None:
    async def refuse(rental: object) -> None:
        raise NumberRefused("blocked")

    events: list[ClientEvent] = []
    client = AsyncVirtualClient(still_sandbox(otp_after=None), on_event=events.append)
    with pytest.raises(CodeNotObtainedError):
        await client.orders.obtain(refuse, **WHATSAPP, budget="2.00", tries=1)
    steps = {event.step: event.result for event in events if isinstance(event, ObtainStepDone)}
    assert steps["enter"] == "NumberRefused"


async def test_a_pattern_finds_the_code() -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("text_only")
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="2.00", pattern=r"https?://\S+")
    assert obtained.code.startswith("http")
    assert obtained.code in (obtained.sms.text or "")


async def test_a_function_that_waits_for_the_code_itself_has_found_it() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox)

    async def wait_inside(rental: Any) -> None:
        await rental.wait_for_otp(timeout=60)
        with pytest.raises(ClientStateError):
            async with rental:
                pass  # pragma: no cover

    obtained = await client.orders.obtain(wait_inside, **WHATSAPP, budget="2.00")
    assert results(obtained.tried) == [("code", Released.FINISHED)]


async def test_offers_are_tried_in_their_order() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox, api_version="v1")
    offers = [Offer(catalog_product_id=INDONESIA), Offer(catalog_product_id=VIETNAM)]
    obtained = await client.orders.obtain(enter, offers=offers, max_price=20_000, budget=40_000)
    assert obtained.tried[0].offer == offers[0]
    assert str(obtained.spent) == "Rp 15,000"
    assert sandbox.requests["GET /catalog/exchange-rate"] == 0


async def test_a_budget_for_given_offers_reads_the_rate() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox)
    offers = [Offer(catalog_product_id=VIETNAM, max_price=Money.idr(9_750))]
    await client.orders.obtain(enter, offers=offers, budget="2.00")
    assert sandbox.requests["GET /catalog/exchange-rate"] == 1
    with pytest.raises(InvalidArgumentError, match="budget: the cheapest number may cost"):
        await client.orders.obtain(enter, offers=offers, budget="0.50")
    assert sandbox.requests[CREATE] == 1


async def test_operators_are_searched_too() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox)
    operators = await client.catalog.operators(country_id=6, platform_id=3)
    names = [one.code for one in operators if one.operator_id is not None][:2]
    obtained = await client.orders.obtain(
        enter, service="whatsapp", country="indonesia", operator=names, budget="9.00"
    )
    offer = obtained.tried[0].offer
    assert offer is not None
    assert offer.operator_id in [one.operator_id for one in operators]


async def test_offers_are_preferred_by_the_success_of_the_own_orders() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox)
    for _ in range(2):
        obtained = await client.orders.obtain(
            enter, offers=[Offer(catalog_product_id=INDONESIA, max_price="1.00")]
        )
    given: dict[str, Any] = WHATSAPP | {"budget": "2.00", "prefer": "success"}
    for _ in range(2):
        obtained = await client.orders.obtain(enter, **given)
        assert obtained.tried[0].offer is not None
        assert obtained.tried[0].offer.catalog_product_id == INDONESIA
    assert sandbox.requests["GET /orders"] == 1, "the orders are read every ten minutes"


@pytest.mark.parametrize("stored", [False, True])
async def test_a_repeated_call_with_the_same_key_buys_nothing_again(stored: bool, tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=20)
    sandbox.play("never", catalog_product_id=VIETNAM)
    offers = [Offer(catalog_product_id=one, max_price="1.00") for one in (VIETNAM, INDONESIA)]
    codes: set[str] = set()
    site = AsyncSite()
    tried: tuple[Try, ...] = ()
    for _ in range(2):
        journal = tmp_path / "orders.db" if stored else None
        async with AsyncVirtualClient(sandbox, journal=journal) as client:
            site = AsyncSite()
            obtained = await client.orders.obtain(site.enter, offers=offers, idempotency_key="sale", wait=130)
            codes.add(obtained.code)
            tried = obtained.tried
    assert site.numbers == []
    assert len(codes) == 1
    assert results(tried) == [
        ("no_code", Released.ALREADY_RELEASED),
        ("code", Released.ALREADY_RELEASED),
    ]
    assert len(statuses(sandbox)) == 2


async def test_a_repeated_call_goes_on_with_the_number_of_the_first(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=100)
    path = tmp_path / "orders.db"
    given: dict[str, Any] = WHATSAPP | {"budget": "2.00", "idempotency_key": "sale"}
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        with pytest.raises(CodeNotObtainedError):
            await client.orders.obtain(enter, **given, wait=20, tries=1)
    async with AsyncVirtualClient(sandbox, journal=path) as client:
        site = AsyncSite()
        obtained = await client.orders.obtain(site.enter, **given)
        assert site.numbers == [obtained.phone_number]
        assert results(obtained.tried) == [("code", Released.FINISHED)]
        assert obtained.tried[0].offer is None
    assert len(statuses(sandbox)) == 1


async def test_refused_purchases_are_not_repeated_under_their_key(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=20)
    given: dict[str, Any] = WHATSAPP | {"budget": "2.00", "idempotency_key": "sale"}
    async with AsyncVirtualClient(sandbox, journal=tmp_path / "orders.db") as client:
        sandbox.play("provider_error", operation="orders.create")
        with pytest.raises(CodeNotObtainedError):
            await client.orders.obtain(enter, **given)
        sandbox.clear_scenarios()
        obtained = await client.orders.obtain(enter, **given)
    assert obtained.tried[0].idempotency_key == "sale-3"


async def test_a_purchase_in_doubt_under_the_key_is_settled_before_anything_is_bought(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=20)
    transport = AsyncScript([], sandbox.transport())
    given: dict[str, Any] = {"offers": [Offer(catalog_product_id=VIETNAM, max_price="0.70")]}
    given |= {"idempotency_key": "sale", "tries": 1}
    async with AsyncVirtualClient(sandbox, transport=transport, journal=tmp_path / "orders.db") as client:
        transport.add(*[HTML] * 24)
        with pytest.raises(CodeNotObtainedError) as ended:
            await client.orders.obtain(enter, **given)
        assert results(ended.value.tried) == [("in_doubt", None)]
        transport.add(*[HTML] * 24)
        with pytest.raises(CodeNotObtainedError) as ended:
            await client.orders.obtain(enter, **given)
        assert results(ended.value.tried) == [("in_doubt", None)]
        assert isinstance(ended.value.__cause__, InvalidResponseError)
        transport.clear()
        obtained = await client.orders.obtain(enter, **given)
        assert results(obtained.tried) == [("code", Released.FINISHED)]
        assert obtained.tried[0].idempotency_key == "sale-1"


@pytest.mark.parametrize("given", [WHATSAPP | {"budget": "2.00"}])
async def test_a_key_needs_a_journal_or_offers_with_prices(given: dict[str, Any]) -> None:
    client = AsyncVirtualClient(still_sandbox())
    with pytest.raises(ConfigurationError, match="journal"):
        await client.orders.obtain(enter, **given, idempotency_key="sale")
    offers = [Offer(catalog_product_id=VIETNAM, max_price=Money.idr(9_750))]
    with pytest.raises(ConfigurationError, match="currency"):
        await client.orders.obtain(enter, offers=offers, idempotency_key="sale")


class Stop(BaseException):
    """An interruption, as far as the package can tell."""


async def test_an_interruption_cancels_what_can_be_cancelled_and_leaves_codes_to_be_read() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)
    numbers: list[int] = []

    async def stop_at_the_third(rental: Any) -> None:
        numbers.append(rental.order_id)
        if len(numbers) == 2:
            raise NumberRefused  # the second one is too new to be cancelled in the end
        if len(numbers) == 3:
            client.runtime.pass_by(65)
            sandbox.deliver_sms(numbers[1])
            raise Stop

    with pytest.raises(Stop):
        await client.orders.obtain(stop_at_the_third, **WHATSAPP, budget="9.00", wait=60, tries=3)
    assert statuses(sandbox) == [OrderStatus.CANCELED, OrderStatus.OTP_RECEIVED, OrderStatus.ACTIVE]
    assert [one.orders[0].id for one in client.orders.bought()] == numbers[1:]
    async with client.orders.attach(numbers[1]) as rental:
        assert rental.sms is not None


OFFER = Offer(catalog_product_id=VIETNAM, max_price="0.70")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "service, offers"),
        ({"offers": []}, "offers"),
        ({"offers": OFFER}, "offers"),
        ({"offers": [VIETNAM]}, "offers"),
        ({"offers": [OFFER], "service": "wa"}, "offers, service"),
        ({"offers": [Offer(catalog_product_id=VIETNAM)], "budget": "2"}, "offers"),
        ({"service": "whatsapp"}, "budget, max_price"),
        ({"service": "whatsapp", "country": [], "budget": "1"}, "country"),
        ({"service": "whatsapp", "country": ["ID", None], "budget": "1"}, "country"),
        ({"service": "whatsapp", "country": "atlantis", "budget": "1"}, "country"),
        ({"service": "whatsapp", "budget": 2}, "budget"),
        ({"service": "whatsapp", "budget": 0.5}, "budget"),
        ({"service": "whatsapp", "budget": "0.10"}, "budget"),
        ({"service": "whatsapp", "budget": "0.10", "max_price": "0.50"}, "budget"),
        ({"service": "whatsapp", "max_price": []}, "max_price"),
        ({"service": "whatsapp", "max_price": ["0.90", "0.60"]}, "max_price"),
        ({"service": "whatsapp", "max_price": ["0.90", Money.idr(20_000)]}, "max_price"),
        ({"service": "whatsapp", "max_price": 9_000}, "max_price"),
        ({"service": "whatsapp", "budget": "1", "wait": 1_201}, "wait"),
        ({"service": "whatsapp", "budget": "1", "wait": 0}, "wait"),
        ({"service": "whatsapp", "budget": "1", "tries": 0}, "tries"),
        ({"service": "whatsapp", "budget": "1", "tries": 101}, "tries"),
        ({"service": "whatsapp", "budget": "1", "tries": 2.0}, "tries"),
        ({"service": "whatsapp", "budget": "1", "resend_after": 0}, "resend_after"),
        ({"service": "whatsapp", "budget": "1", "timeout": -1}, "timeout"),
        ({"service": "whatsapp", "budget": "1", "release_timeout": -1}, "release_timeout"),
        ({"service": "whatsapp", "budget": "1", "pattern": "("}, "pattern"),
        ({"service": "whatsapp", "budget": "1", "keep": 1}, "keep"),
        ({"service": "whatsapp", "budget": "1", "prefer": "luck"}, "prefer"),
        ({"offers": [OFFER], "prefer": "success"}, "prefer, offers"),
        ({"service": "whatsapp", "budget": "1", "idempotency_key": "x" * 123}, "idempotency_key"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_bought(
    given: dict[str, Any], named: str
) -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    with pytest.raises(InvalidArgumentError, match=rf"\A{named}: "):
        await client.orders.obtain(enter, **given)
    assert sandbox.requests[CREATE] == 0
    if named not in ("country", "budget"):
        assert sandbox.requests.total() == 0


@pytest.mark.parametrize("value", [None, 7, "enter"])
async def test_the_function_can_be_called(value: Any) -> None:
    client = AsyncVirtualClient(still_sandbox())
    with pytest.raises(InvalidArgumentError, match="enter"):
        await client.orders.obtain(value, **WHATSAPP, budget="2.00")


async def test_a_closed_client_obtains_nothing() -> None:
    client = AsyncVirtualClient(still_sandbox())
    await client.aclose()
    with pytest.raises(ClientStateError):
        await client.orders.obtain(enter, **WHATSAPP, budget="2.00")


async def test_a_client_that_is_closed_meanwhile_ends_it() -> None:
    sandbox = still_sandbox(otp_after=None)
    client = AsyncVirtualClient(sandbox)

    async def close(rental: Any) -> None:
        await client.aclose()

    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(close, **WHATSAPP, budget="2.00", release_timeout=300)
    assert isinstance(ended.value.__cause__, ClientStateError)


async def test_an_older_service_needs_neither_revisions_nor_dates() -> None:
    sandbox = still_sandbox(otp_after=20, generation="documented")
    sandbox.play("never", catalog_product_id=VIETNAM)
    client = AsyncVirtualClient(sandbox)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="2.00", wait=30)
    assert results(obtained.tried)[-1] == ("code", Released.FINISHED)
    assert obtained.tried[0].released in (Released.LEFT_TO_EXPIRE, Released.CANCELED)


async def test_a_message_that_came_while_it_was_cancelled_is_not_thrown_away() -> None:
    sandbox = still_sandbox(otp_after=20)
    client = AsyncVirtualClient(sandbox, rate_limits=RateLimits(), poll_interval=500.0)
    obtained = await client.orders.obtain(enter, **WHATSAPP, budget="2.00", wait=125, tries=1)
    assert obtained.code
    assert sandbox.requests[ACTIVE] <= 2


async def test_the_text_that_an_older_service_shows_only_in_its_list_is_not_lost() -> None:
    sandbox = still_sandbox(otp_after=20, generation="documented")
    sandbox.play("text_only")
    client = AsyncVirtualClient(sandbox, poll_interval=500.0)
    with pytest.raises(CodeNotObtainedError) as ended:
        await client.orders.obtain(enter, **WHATSAPP, budget="2.00", tries=1, wait=130)
    (one,) = ended.value.tried
    assert one.released is Released.FINISHED
    assert one.sms is not None
    assert one.sms.text is not None
