"""The order endpoints, from renting a number to releasing it."""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Sequence
from typing import Literal, TypeVar

from attrs import evolve, frozen

from ..._choices import PolicyName, StatusName
from ...errors import InvalidArgumentError
from ...models import (
    ActiveOrder,
    CanceledOrder,
    CreatedOrders,
    EndpointGroup,
    FinishedOrder,
    Order,
    OrderPage,
    OrderStatus,
    ReactivateOptions,
    ResendResult,
    RoutingPolicy,
)
from ...money import FxRate
from ..decoding.converter import Envelope
from . import arguments, references
from .arguments import INT32, INT64
from .call import Call, CallKind, Endpoint
from .created import created_orders
from .parameters import ORDER_ID, Limit, OneOf, Parameter, Text, Whole
from .prices import Price, PriceLimit
from .references import CountryRef, OperatorRef, OrderRef, ServiceRef

LARGEST_PAGE = 100
LARGEST_QUANTITY = 100
_LARGEST_OFFSET = 2**31 - 1
_LONGEST_PROVIDER = 64

_MAX_PRICE = Parameter(
    name="max_price", kind=Limit("ROUND_FLOOR"), about="The most that one number may cost.", nullable=True
)
_ORDER_FIELDS = (
    Parameter(
        name="product_id", kind=Whole(1, INT32[1]), about="This price tier of one supplier.", nullable=True
    ),
    Parameter(
        name="catalog_product_id",
        kind=Whole(1, INT32[1]),
        about="This service in this country; the offer is picked among all suppliers.",
        nullable=True,
    ),
    evolve(_MAX_PRICE, needs_catalog_product_currently=True),
    Parameter(
        name="prefer_provider",
        kind=Text(_LONGEST_PROVIDER),
        about="The supplier to take among equal offers, by its code.",
        nullable=True,
        needs_catalog_product_currently=True,
    ),
    Parameter(
        name="policy",
        kind=OneOf(RoutingPolicy),
        about="How the offer is picked.",
        default="cheapest",
        needs_catalog_product=True,
    ),
    Parameter(name="quantity", kind=Whole(1, LARGEST_QUANTITY), about="How many numbers to rent.", default=1),
    Parameter(
        name="operator_id",
        kind=Whole(1, INT32[1]),
        about="Only offers of this operator.",
        nullable=True,
        current_only=True,
        needs_catalog_product=True,
    ),
    Parameter(
        name="min_price",
        kind=Limit("ROUND_CEILING"),
        about="The least that one number may cost.",
        nullable=True,
        current_only=True,
        needs_catalog_product=True,
    ),
)
_PAGE = (
    Parameter(
        name="limit",
        kind=Whole(1, LARGEST_PAGE, clamped=True),
        about="How many orders to return.",
        default=20,
    ),
    Parameter(
        name="offset", kind=Whole(0, INT64[1], clamped=True), about="How many orders to skip.", default=0
    ),
    Parameter(name="status", kind=OneOf(OrderStatus, any_case=True), about="Only orders in this state."),
)
_ABOUT_ORDER = ("NOT_FOUND", "CONFLICT", "VALIDATION_ERROR", "PROVIDER_ERROR")
_BUYING = (
    *("NOT_FOUND", "CONFLICT", "INSUFFICIENT_BALANCE", "REQUEST_IN_PROGRESS", "VALIDATION_ERROR"),
    *("PROVIDER_ERROR", "NO_OFFER_AVAILABLE", "IDEMPOTENCY_KEY_REUSED", "TEMP_BANNED_ABUSE_GUARD"),
)

T = TypeVar("T")


def _page(envelope: Envelope) -> OrderPage:
    limit, offset = envelope.query["limit"], envelope.query["offset"]
    items = tuple(envelope.rows(Order))
    return OrderPage(items, int(limit), int(offset), envelope.fx, tuple(map(str, envelope.problems)))


LIST = Endpoint(
    "orders.list",
    "GET",
    "/orders",
    EndpointGroup.ORDER_QUERIES,
    CallKind.READ,
    OrderPage,
    _page,
    money=True,
    query=_PAGE,
    refusals=("VALIDATION_ERROR",),
    rows=Order,
)
ACTIVE = Endpoint(
    "orders.active",
    "GET",
    "/orders/active",
    EndpointGroup.ORDER_QUERIES,
    CallKind.READ,
    builtins.list[ActiveOrder],
    rows=ActiveOrder,
)
GET = Endpoint(
    "orders.get",
    "GET",
    "/orders/{id}",
    EndpointGroup.ORDER_QUERIES,
    CallKind.READ,
    Order,
    echoes="id",
    money=True,
    refusals=("NOT_FOUND",),
)
CREATE = Endpoint(
    "orders.create",
    "POST",
    "/orders/create",
    EndpointGroup.CREATE,
    CallKind.CREATE,
    CreatedOrders,
    created_orders,
    money=True,
    fields=_ORDER_FIELDS,
    refusals=_BUYING,
)
CANCEL = Endpoint(
    "orders.cancel",
    "POST",
    "/orders/cancel",
    EndpointGroup.CANCEL,
    CallKind.TRANSITION,
    CanceledOrder,
    echoes="order_id",
    money=True,
    fields=(ORDER_ID,),
    refusals=(*_ABOUT_ORDER, "CANCEL_TOO_EARLY"),
)
FINISH = Endpoint(
    "orders.finish",
    "POST",
    "/orders/finish",
    EndpointGroup.ORDER_ACTIONS,
    CallKind.TRANSITION,
    FinishedOrder,
    echoes="order_id",
    fields=(ORDER_ID,),
    refusals=_ABOUT_ORDER,
)
RESEND = Endpoint(
    "orders.resend",
    "POST",
    "/orders/resend",
    EndpointGroup.ORDER_ACTIONS,
    CallKind.RESEND,
    ResendResult,
    echoes="order_id",
    fields=(ORDER_ID,),
    refusals=_ABOUT_ORDER,
)
REACTIVATE = Endpoint(
    "orders.reactivate",
    "POST",
    "/orders/reactivate",
    EndpointGroup.CREATE,
    CallKind.CREATE,
    CreatedOrders,
    created_orders,
    money=True,
    fields=(ORDER_ID, _MAX_PRICE),
    refusals=_BUYING,
    current_only=True,
)
REACTIVATE_OPTIONS = Endpoint(
    "orders.reactivate_options",
    "GET",
    "/orders/{id}/reactivate-options",
    EndpointGroup.ORDER_QUERIES,
    CallKind.READ,
    ReactivateOptions,
    money=True,
    refusals=_ABOUT_ORDER,
    current_only=True,
)


def _key(given: str | None) -> str:
    """Check the caller's key, or mint one. Never from `random`: callers seed it, and keys repeat."""
    return uuid.uuid4().hex if given is None else arguments.idempotency_key(given)


def _on(endpoint: Endpoint[T], order_id: OrderRef) -> Call[T]:
    """Return a call about one order. Its id is in the path, or in the body of a POST."""
    subject = references.order_id(order_id)
    fields = {"id": subject} if endpoint.method == "POST" else None
    return Call(endpoint, endpoint.path.format(id=subject), fields=fields, subject=subject)


def _limit(name: Literal["max_price", "min_price"], value: Price | None) -> dict[str, PriceLimit]:
    return {} if value is None else {name: PriceLimit(name, value)}


def list(
    *, limit: int = 20, offset: int = 0, status: OrderStatus | StatusName | None = None
) -> Call[OrderPage]:
    """Read a slice of the orders, newest first; ``limit`` is 1..100."""
    query: dict[str, int | str] = {
        "limit": arguments.integer("limit", limit, 1, LARGEST_PAGE),
        "offset": arguments.integer("offset", offset, 0, _LARGEST_OFFSET),
    }
    if status is not None:
        query["status"] = arguments.member("status", status, OrderStatus).value
    return Call(LIST, LIST.path, query)


def get(order_id: OrderRef) -> Call[Order]:
    """Read one order."""
    return _on(GET, order_id)


def active() -> Call[builtins.list[ActiveOrder]]:
    """Read all orders that have not ended."""
    return Call(ACTIVE, ACTIVE.path)


@frozen(kw_only=True)
class PurchaseArguments:
    """The arguments that `create`, `rent` and `create_many` have in common."""

    product_id: int | None = None
    catalog_product_id: int | None = None
    service: ServiceRef | None = None
    country: CountryRef | None = None
    operator: OperatorRef | Sequence[OperatorRef] | None = None
    max_price: Price | None = None
    min_price: Price | None = None
    prefer_provider: str | None = None
    policy: RoutingPolicy | PolicyName | None = None
    operator_id: int | None = None

    def call(
        self, *, quantity: int, idempotency_key: str | None = None, fx: FxRate | None = None
    ) -> Call[CreatedOrders]:
        """Return the call that buys a product whose id is known. Raises `InvalidArgumentError`."""
        if (self.product_id is None) == (self.catalog_product_id is None):
            raise InvalidArgumentError(
                "orders.create: expected product_id or catalog_product_id, exactly one, or a service by name."
            )
        routing = {"policy": self.policy, "operator_id": self.operator_id, "min_price": self.min_price}
        misplaced = [name for name, value in routing.items() if value is not None]
        if self.product_id is not None and misplaced:
            raise InvalidArgumentError(f"{misplaced[0]}: goes with catalog_product_id, not with product_id.")
        fields: dict[str, object] = {}
        if self.product_id is not None:
            fields["product_id"] = arguments.identity("product_id", self.product_id)
        else:
            fields["catalog_product_id"] = arguments.identity("catalog_product_id", self.catalog_product_id)
        fields["quantity"] = arguments.integer("quantity", quantity, 1, LARGEST_QUANTITY)
        fields |= _limit("max_price", self.max_price) | _limit("min_price", self.min_price)
        if self.prefer_provider is not None:
            fields["prefer_provider"] = arguments.text(
                "prefer_provider", self.prefer_provider, _LONGEST_PROVIDER
            )
        if self.policy is not None:
            fields["policy"] = arguments.member("policy", self.policy, RoutingPolicy).value
        if self.operator_id is not None:
            fields["operator_id"] = arguments.identity("operator_id", self.operator_id)
        return Call(CREATE, CREATE.path, fields=fields, idempotency_key=_key(idempotency_key), fx=fx)


def create(
    *,
    product_id: int | None = None,
    catalog_product_id: int | None = None,
    quantity: int = 1,
    max_price: Price | None = None,
    min_price: Price | None = None,
    prefer_provider: str | None = None,
    policy: RoutingPolicy | PolicyName | None = None,
    operator_id: int | None = None,
    idempotency_key: str | None = None,
    fx: FxRate | None = None,
) -> Call[CreatedOrders]:
    """Rent ``quantity`` numbers (1..100) of one product.

    Exactly one of ``product_id`` (an exact price tier) and ``catalog_product_id`` (the service selects the
    offer) is required. ``min_price``, ``policy`` and ``operator_id`` need ``catalog_product_id``. For the
    price limits see `Price`; ``fx`` is the rate for writing a `Money` limit on v2. The idempotency key is
    generated here unless given, and belongs to the call from then on.
    """
    purchase = PurchaseArguments(
        product_id=product_id,
        catalog_product_id=catalog_product_id,
        max_price=max_price,
        min_price=min_price,
        prefer_provider=prefer_provider,
        policy=policy,
        operator_id=operator_id,
    )
    return purchase.call(quantity=quantity, idempotency_key=idempotency_key, fx=fx)


def cancel(order_id: OrderRef) -> Call[CanceledOrder]:
    """Cancel an order that has received no SMS; its price is refunded."""
    return _on(CANCEL, order_id)


def finish(order_id: OrderRef) -> Call[FinishedOrder]:
    """Finish an order that has received its SMS; its number is free again at once."""
    return _on(FINISH, order_id)


def resend(order_id: OrderRef) -> Call[ResendResult]:
    """Request another SMS."""
    return _on(RESEND, order_id)


def reactivate(
    order_id: OrderRef,
    *,
    max_price: Price | None = None,
    idempotency_key: str | None = None,
    fx: FxRate | None = None,
) -> Call[CreatedOrders]:
    """Rent the number of a completed order again, as a new order."""
    fields: dict[str, object] = {"id": references.order_id(order_id)}
    fields |= _limit("max_price", max_price)
    return Call(REACTIVATE, REACTIVATE.path, fields=fields, idempotency_key=_key(idempotency_key), fx=fx)


def reactivate_options(order_id: OrderRef) -> Call[ReactivateOptions]:
    """Read what `reactivate` would cost now."""
    return _on(REACTIVATE_OPTIONS, order_id)
