"""The data of the service's answers, as frozen values. Field names are those of the JSON.

Fields that only newer servers send are None if the server did not send them. Unknown fields are ignored. An
unknown value of an enumeration is kept as its text, so ``status`` is ``OrderStatus | str`` (an `OrderStatus`
is a str, too). Phone numbers, codes and messages are masked in ``repr``, so that they do not appear in logs.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from attrs import Attribute, field, frozen
from attrs.validators import optional

from ._fields import in_order, mask
from ._first_models import Balance, OrderStatus
from ._first_models import EndpointGroup as EndpointGroup
from ._rows import RowSequence
from ._serialization import Model
from ._visible_text import not_blank
from .errors import InvalidArgumentError
from .money import FxRate, Money

__all__ = [
    "ActiveOrder",
    "Balance",
    "CanceledOrder",
    "Country",
    "CreatedOrder",
    "CreatedOrders",
    "ExchangeRate",
    "FinishedOrder",
    "FxRate",
    "Money",
    "Operator",
    "Order",
    "OrderPage",
    "OrderStatus",
    "OtpSms",
    "Product",
    "ProductPage",
    "ProductSort",
    "ReactivateOptions",
    "ResendResult",
    "RoutingPolicy",
    "Service",
    "Sms",
    "WebhookConfig",
    "WebhookTestResult",
]


class ProductSort(StrEnum):
    """How the service sorts products; ``price_asc`` by default."""

    PRICE_ASC = "price_asc"
    PRICE_DESC = "price_desc"
    AVAILABLE_ASC = "available_asc"
    AVAILABLE_DESC = "available_desc"
    NAME_ASC = "name_asc"
    NAME_DESC = "name_desc"


class RoutingPolicy(StrEnum):
    """How the service selects an offer for a ``catalog_product_id``; ``cheapest`` by default."""

    CHEAPEST = "cheapest"
    BEST_SUCCESS = "best_success"


def _not_negative(_: object, attribute: "Attribute[Money]", value: Money) -> None:
    if value.canonical_amount < 0:
        raise InvalidArgumentError(f"{attribute.name}: expected no negative amount.")


def _positive(_: object, attribute: "Attribute[int]", value: int) -> None:
    if value <= 0:
        raise InvalidArgumentError(f"{attribute.name}: expected a positive number.")


@frozen(eq=False, repr=False)
class Country(Model):
    """A country that numbers can be rented in. Compare ``code`` case-insensitively."""

    id: int
    name: str
    active: bool
    code: str | None = None
    dial_code: str | None = None
    emoji: str | None = None


@frozen(eq=False, repr=False)
class Service(Model):
    """A service ("platform") that sends codes. Its ``id`` is the ``platform_id`` of products."""

    id: int
    code: str
    name: str
    active: bool


@frozen(eq=False, repr=False)
class Operator(Model):
    """A mobile operator with stock. ``operator_id`` is None in the row for any operator."""

    operator_id: int | None
    code: str
    name: str | None = None
    local_name: str | None = None


@frozen(eq=False, repr=False)
class Product(Model):
    """A price tier of one service in one country.

    Use ``catalog_product_id`` for orders, because it is stable; ``id`` can change with a supplier's price.
    ``available`` is an approximate number.
    """

    id: int
    available: int
    price: Money = field(validator=_not_negative)
    active: bool
    name: str | None = None
    country_id: int | None = None
    platform_id: int | None = None
    catalog_product_id: int | None = None
    operator_id: int | None = None
    operator_name: str | None = None


@frozen(eq=False, repr=False)
class ProductPage(Model, RowSequence[Product]):
    """One page of products, as a sequence.

    ``limit`` is the page size that the server used, ``count`` the number of this page's rows.
    ``problems`` names the rows that could not be read (JSON path and reason); they are not in ``items``.
    """

    items: tuple[Product, ...]
    page: int
    limit: int
    count: int
    fx: FxRate | None = None
    problems: tuple[str, ...] = ()


@frozen(eq=False, repr=False)
class ExchangeRate(Model):
    """The price of one unit of the base currency in whole units of the quote currency."""

    pair: str
    rate: int = field(validator=_positive)
    base_currency: str | None = None
    quote_currency: str | None = None
    rate_as_of: datetime | None = None

    @property
    def fx(self) -> FxRate:
        """The same rate as an `FxRate`, which converts amounts."""
        return FxRate(self.pair, self.rate, self.rate_as_of)


@frozen(kw_only=True, eq=False, repr=False)
class Capabilities(Model):
    """What can be done with an order now. All fields are None if an older server does not send them."""

    operator_id: int | None = None
    operator_name: str | None = None
    can_finish: bool | None = None
    can_resend: bool | None = None
    can_cancel: bool | None = None
    can_replace: bool | None = None
    can_reactivate: bool | None = None
    resend_available_at: datetime | None = None
    cancel_available_at: datetime | None = None
    replace_available_at: datetime | None = None


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class OrderFields(Capabilities):
    """The fields of an order that every endpoint which reads orders sends.

    ``otp_code`` is the last code that the service found in a message. ``sms_revision`` counts messages, 0
    before the first.
    """

    id: int
    status: OrderStatus | str
    otp_code: str | None = field(repr=mask, converter=not_blank)
    otp_received_at: datetime | None
    expires_at: datetime | None
    failed_reason: str | None
    sms_revision: int | None = None


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class Order(OrderFields):
    """An order as `orders.get` and `orders.list` show it.

    ``otp_message`` is the latest text. It may come from another message than ``otp_code``. Either is None if
    it is blank.
    """

    created_at: datetime | None
    product_id: int
    amount: Money = field(validator=_not_negative)
    phone_number: str | None = field(repr=mask)
    canceled_at: datetime | None
    catalog_product_id: int | None = None
    otp_message: str | None = field(default=None, repr=mask, converter=not_blank)


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class ActiveOrder(OrderFields):
    """An order that has not ended, as `orders.active` shows it: no money, no number."""

    otp_message: str | None = field(repr=mask, converter=not_blank)


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class CreatedOrder(Capabilities):
    """A number that was just rented.

    Only ``id`` is always set: an order is returned even if its other fields cannot be read. Those are None,
    and are named in `CreatedOrders.problems`.
    """

    id: int
    status: OrderStatus | str | None = None
    product_id: int | None = None
    amount: Money | None = field(default=None, validator=optional(_not_negative))
    phone_number: str | None = field(default=None, repr=mask)
    catalog_product_id: int | None = None
    otp_code: str | None = field(default=None, repr=mask, converter=not_blank)
    otp_received_at: datetime | None = None
    expires_at: datetime | None = None
    failed_reason: str | None = None


@frozen(eq=False, repr=False)
class CreatedOrders(Model, RowSequence[CreatedOrder]):
    """The numbers that one create or reactivate rented, as a sequence: ``created[0]`` is the first order.

    ``failed_count`` is how many of the requested numbers could not be rented. ``problems`` names the parts of
    the answer that could not be read (JSON path and reason); normally it is empty.
    """

    _rows_in: ClassVar[str] = "orders"

    orders: tuple[CreatedOrder, ...]
    failed_count: int
    idempotency_key: str | None = None
    fx: FxRate | None = None
    problems: tuple[str, ...] = ()


@frozen(eq=False, repr=False)
class OrderPage(Model, RowSequence[Order]):
    """A slice of the order list, newest first, as a sequence.

    ``limit`` and ``offset`` are those of the request.
    ``problems`` names the rows that could not be read (JSON path and reason); they are not in ``items``.
    """

    items: tuple[Order, ...]
    limit: int
    offset: int
    fx: FxRate | None = None
    problems: tuple[str, ...] = ()


@frozen(eq=False, repr=False)
class CanceledOrder(Model):
    """A cancelled order, its refund and the new balance."""

    order_id: int
    status: OrderStatus | str
    refund_amount: Money = field(validator=_not_negative)
    new_balance: Money


@frozen(eq=False, repr=False)
class FinishedOrder(Model):
    """A finished order; its number is free again."""

    order_id: int
    status: OrderStatus | str


@frozen(eq=False, repr=False)
class ResendResult(Model):
    """Whether another SMS was requested; ``resent`` is False if the platform does not support it."""

    order_id: int
    status: OrderStatus | str
    resent: bool


@frozen(eq=False, repr=False)
class ReactivateOptions(Model):
    """The current cost of renting the number of a completed order again."""

    cost: Money = field(validator=_not_negative)


@frozen(eq=False, repr=False)
class WebhookConfig(Model):
    """The account's webhook. URL and secret are None if they are not set."""

    webhook_url: str | None
    webhook_secret: str | None = field(repr=mask)
    webhook_disabled_at: datetime | None = None
    webhook_disabled_reason: str | None = None
    webhook_consecutive_failures: int | None = None


@frozen(eq=False, repr=False)
class WebhookTestResult(Model):
    """The HTTP status with which the configured endpoint answered a test event."""

    status_code: int


@frozen(eq=False, repr=False)
class Sms(Model):
    """A message that arrived for an order.

    ``code`` is None if the service found none in ``text``; ``text`` is None if only the code is known.
    ``revision`` is the order's ``sms_revision``, None from older servers.
    """

    order_id: int
    code: str | None = field(default=None, repr=mask)
    text: str | None = field(default=None, repr=mask)
    revision: int | None = None
    received_at: datetime | None = None


@frozen(eq=False)
class OtpSms(Sms):
    """A message with a code, as `orders.wait_for_otp` returns it."""

    code: str = field(kw_only=True, repr=mask)
    text: str | None = field(default=None, repr=mask)  # again, so that the order of the fields is that of Sms
    revision: int | None = None
    received_at: datetime | None = None
