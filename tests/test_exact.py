"""Arguments by what they are: subclasses and numbers of other libraries are taken, and copied exactly."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest

from smscode import (
    FxRate,
    InvalidArgumentError,
    Money,
    OrderStatus,
    RateLimits,
    RoutingPolicy,
    Timeouts,
    _exact,
    calls,
    webhooks,
)
from smscode._sync.rental import checked
from smscode.core.api import arguments
from smscode.core.api.prices import PriceLimit, needs_rate
from smscode.core.product_search import NameOrId, ProductFilter
from smscode.core.settings import Token
from smscode.core.timeouts import check_seconds, check_wait
from smscode.models import Country, EndpointGroup


class Integer64:
    """An int as array libraries have them: no int, but one by its ``__index__``."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __index__(self) -> Any:
        return self._value

    def __str__(self) -> str:
        return "not what is sent"


class Lying(int):
    """An int that lies wherever it is asked."""

    def __index__(self) -> int:
        return 666

    def __int__(self) -> int:
        return 666

    def __str__(self) -> str:
        return "1/../balance"

    __repr__ = __str__


class Numbered(enum.IntEnum):
    ORDER = 1001


class Named(enum.StrEnum):
    KEY = "key-1"


class OldNamed(str, enum.Enum):  # noqa: UP042  # its text is another than a StrEnum's
    """A text that `str` writes as ``OldNamed.KEY``."""

    KEY = "key-1"


def member(text: str) -> Any:
    """Make a member of some enumeration of texts."""
    return next(iter(enum.StrEnum("Kind", {"MEMBER": text})))


class LyingText(str):
    def __str__(self) -> str:
        return "a\r\nX-Evil: 1"

    def __format__(self, specifier: str) -> str:
        return "evil"

    def isprintable(self) -> bool:
        return True

    def strip(self, *_: object) -> str:
        return "evil"

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return b"evil"


class LyingDecimal(Decimal):
    def __format__(self, specifier: str, context: object = None, /) -> str:
        return "20000"

    def is_finite(self) -> bool:
        return True


class LyingFloat(float):
    def __float__(self) -> float:
        return 666.0


@attrs.frozen
class LyingMoney(Money):
    def as_max_price(self, fx: FxRate | None = None) -> Decimal | int:
        return 20_000


INTS: list[Any] = [1001, Integer64(1001), Lying(1001), Numbered.ORDER]
TEXTS: list[Any] = ["key-1", Named.KEY, OldNamed.KEY, LyingText("key-1")]
NO_INTS: list[Any] = [
    *(
        True,
        False,
        1001.0,
        math.nan,
        LyingFloat(1),
        Decimal(1001),
        Fraction(1001),
        "1001",
        b"1001",
        None,
        [1],
    ),
    *(Integer64("1001"), Integer64(1.0), OrderStatus.ACTIVE, object()),
]


@pytest.mark.parametrize("given", INTS, ids=type)
def test_whatever_is_an_int_is_taken_as_exactly_that_int(given: Any) -> None:
    checks: list[Callable[[], object]] = [
        lambda: _exact.whole(given),
        lambda: arguments.integer("n", given, 1, 2000),
        lambda: arguments.identity("n", given),
        lambda: (calls.orders.cancel(given).fields or {})["id"],
        lambda: (calls.orders.create(product_id=given).fields or {})["product_id"],
        lambda: calls.catalog.products(page=given).query["page"],
        lambda: calls.orders.get(given).subject,
        lambda: NameOrId.of("country", given, Country).id,
        lambda: Money.idr(given).canonical_amount,
        lambda: Money(Decimal(1), "USD", given).canonical_amount,
        lambda: FxRate("USD/IDR", given).rate,
        lambda: PriceLimit("max_price", given).in_rupiah(),
    ]
    for check in checks:
        found = check()
        assert (type(found), found) == (int, 1001)
    assert calls.orders.get(given).path == "/orders/1001"
    assert calls.orders.create(product_id=1, max_price=given, idempotency_key="k").request("v1").body == (
        b'{"product_id":1,"quantity":1,"max_price":1001}'
    )
    assert FxRate("USD/IDR", 1).to_usd(given, places=Integer64(2)) == 1001  # type: ignore[arg-type]  # an int to us
    assert (type(check_seconds("s", given)), check_seconds("s", given)) == (float, 1001.0)


@pytest.mark.parametrize(
    "given", NO_INTS, ids=lambda value: f"{type(value).__name__} {value!r}".partition(" at ")[0][:40]
)
def test_a_bool_a_float_and_what_only_looks_like_an_int_stay_refused(given: Any) -> None:
    assert _exact.whole(given) is None
    refusals: list[Callable[[], object]] = [
        lambda: arguments.integer("n", given, 0, 2000),
        lambda: arguments.identity("n", given),
        lambda: calls.orders.cancel(given),
        lambda: Money.idr(given),
        lambda: Money(Decimal(1), "USD", given),
        lambda: FxRate("USD/IDR", given),
        lambda: FxRate("USD/IDR", 1).to_usd(given, places=2),
        lambda: FxRate("USD/IDR", 1).to_usd(1, places=given),
    ]
    for refused in refusals:
        with pytest.raises(InvalidArgumentError):
            refused()


def test_an_int_is_shown_as_what_it_is_and_a_huge_one_not_at_all() -> None:
    for given, shown in ((Lying(-5), "-5"), (Integer64(2**63), str(2**63)), (Integer64(2**64), "a huge int")):
        with pytest.raises(InvalidArgumentError, match=rf"got {shown}\.\Z"):
            arguments.identity("n", given)


@pytest.mark.parametrize("given", TEXTS, ids=type)
def test_whatever_is_a_text_is_taken_as_exactly_that_text(given: Any) -> None:
    created = calls.orders.create(product_id=1, idempotency_key=given, prefer_provider=given)
    found = [
        _exact.text(given),
        arguments.text("n", given, 9),
        arguments.webhook_secret("n", given),
        created.idempotency_key,
        (created.fields or {})["prefer_provider"],
        Token(given).secret.decode(),
        NameOrId.of("country", given, Country).text,
    ]
    assert [(type(text), text) for text in found] == [(str, "key-1")] * len(found)
    assert webhooks.secret_keys(given) == [b"key-1"]


def test_a_text_is_judged_by_its_characters_not_by_its_methods() -> None:
    for wrong in ("a\n", "\u202eabc", " "):
        with pytest.raises(InvalidArgumentError, match="printable"):
            arguments.text("n", LyingText(wrong), 9)
    with pytest.raises(InvalidArgumentError, match="expected visible ASCII"):
        Token(LyingText("a\r\nb"))


@pytest.mark.parametrize(
    ("check", "given", "sent"),
    [
        (arguments.web_address, "https://host/path", "https://host/path"),
        (arguments.webhook_url, "https://host/path", "https://host/path"),
        (arguments.webhook_url, "", ""),
        (arguments.webhook_secret, "", ""),
        (arguments.currency_pair, "usd/idr", "USD/IDR"),
    ],
)
def test_an_address_and_a_pair_may_be_members_of_an_enumeration(
    check: Callable[[str, object], str], given: str, sent: str
) -> None:
    found = check("n", member(given))
    assert (type(found), found) == (str, sent)


def test_a_choice_may_be_a_member_of_another_enumeration() -> None:
    found = arguments.member("policy", member("BEST_SUCCESS"), RoutingPolicy)
    assert found is RoutingPolicy.BEST_SUCCESS


@pytest.mark.parametrize("given", [Decimal("0.50"), LyingDecimal("0.50"), LyingText("0.50")], ids=type)
def test_a_price_is_sent_as_the_number_that_it_is(given: Any) -> None:
    body = calls.orders.create(product_id=1, max_price=given, idempotency_key="k").request("v2").body
    assert body is not None
    assert json.loads(body)["max_price"] == "0.50"
    assert FxRate("USD/IDR", 16_000).to_idr(Decimal("0.50"), rounding="ROUND_FLOOR") == 8000


@pytest.mark.parametrize(
    "given", [LyingDecimal("NaN"), LyingDecimal("Infinity"), LyingDecimal(-1), True, 0.5]
)
def test_a_price_that_is_none_stays_refused_whatever_it_says(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="max_price: expected"):
        PriceLimit("max_price", given)
    with pytest.raises(InvalidArgumentError):
        ProductFilter.of("v2", given, in_stock=True)


@pytest.mark.parametrize("amount", [LyingDecimal("NaN"), 1, "1", 1.0, None])
def test_an_amount_of_money_is_a_finite_decimal(amount: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Money\.amount: expected a finite Decimal, got"):
        Money(amount, "USD", 1)
    with pytest.raises(InvalidArgumentError, match="usd: expected a finite Decimal, got"):
        FxRate("USD/IDR", 1).to_idr(amount, rounding="ROUND_FLOOR")
    money = Money(LyingDecimal("0.5"), "USD", 1)
    assert (type(money.amount), str(money)) == (Decimal, "$0.5")


def test_money_of_a_derived_class_is_a_price_like_any_other() -> None:
    given = LyingMoney(Decimal("0.9231"), "USD", 15_000)
    limit = PriceLimit("max_price", given)
    assert (type(limit.value), limit.in_rupiah(), limit.in_dollars(None)) == (Money, 15_000, "0.9232")
    assert ProductFilter.of("v2", LyingMoney.idr(15_000), in_stock=True).max_price is not None
    assert needs_rate("v2", LyingMoney.idr(15_000))


@pytest.mark.parametrize("given", [Integer64(5), Numbered.ORDER, LyingFloat(5), 5, 5.0], ids=type)
def test_a_time_is_any_int_or_float(given: Any) -> None:
    seconds = check_seconds("timeout", given)
    assert (type(seconds), seconds) in ((float, 5.0), (float, 1001.0))
    assert check_wait(given) == seconds
    assert Timeouts.of(given).total == seconds
    assert check_wait(Integer64(0)) == check_wait(LyingFloat(0)) == 0


@pytest.mark.parametrize(
    "given", [True, "5", Decimal(5), Fraction(5), LyingFloat("nan"), Lying(0), Integer64(-(10**400)), None]
)
def test_what_is_no_time_stays_refused(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="timeout: expected a number of seconds above 0"):
        check_seconds("timeout", given)


def test_a_huge_int_of_seconds_is_the_longest_time() -> None:
    assert math.isfinite(check_seconds("timeout", Integer64(10**400)))


def test_limits_are_any_numbers_and_addresses() -> None:
    address = member("redis://127.0.0.1")
    share: Any = LyingFloat(0.5)
    number: Any = Integer64(10)
    limits = RateLimits(share=share, redis=address, create=number)
    assert limits.redis == "redis://127.0.0.1"
    assert limits.of(EndpointGroup.CREATE) == (5, 60.0)
    for wrong in (True, LyingFloat("nan"), "0.5", Lying(2)):
        with pytest.raises(InvalidArgumentError, match="share: expected a number above 0"):
            RateLimits(share=wrong)  # type: ignore[arg-type]  # that is the test


def test_a_rental_is_of_any_order_id_that_is_an_int() -> None:
    number: Any = Integer64(1001)
    found = checked(number)
    assert (type(found), found) == (int, 1001)
    for wrong in (True, 1001.0, "1001"):
        with pytest.raises(InvalidArgumentError, match="order: expected an order's id"):
            checked(wrong)  # type: ignore[arg-type]  # that is the test


def test_the_signature_and_the_body_of_a_webhook_may_be_of_derived_classes() -> None:
    body = type("Body", (bytes,), {})(b'{"event":"order.new"}')
    webhooks.verify(body, LyingText(webhooks.sign(body, "key-1")), [Named.KEY])
