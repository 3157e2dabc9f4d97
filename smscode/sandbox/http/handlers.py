"""The operations: each reads its parameters, calls the world, and renders the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, TypeAlias

from attrs import evolve, frozen

from ...models import ActiveOrder, CreatedOrder, Order, OrderStatus, RoutingPolicy
from ...money import BALANCE_PLACES, FxRate
from ..scenarios.scenario import NO_SCRIPT, Script
from ..service.purchases import OrderRequest, ReactivationRequest, Settling
from ..service.world import PAIR, World
from ..transports.addresses import name_to_resolve, resolved_problem, url_problem
from .api_error import Json, Problem, ServiceError
from .deferred import Deferred, HandlerResult, HostLookup, Result, TestDelivery
from .idempotency import KeyedPurchase, fingerprint
from .params import Query, RequestBody, key_of
from .render import View, encode, operator_rows, webhook_test
from .routes import IncomingRequest, Route

FX_RETRY_AFTER: Final = 30


@frozen
class Context:
    """A request for an operation, and everything that its handler reads and changes.

    ``script`` is what the scenarios change about the request.
    """

    request: IncomingRequest
    route: Route
    world: World
    view: View
    query: Query
    allow_local_webhooks: bool
    script: Script = NO_SCRIPT

    def body(self) -> RequestBody:
        """Parse the JSON of the request. Raises `ServiceError`."""
        return RequestBody(self.request.body, self.route.endpoint.fields, current=self.view.current)

    @property
    def fx(self) -> FxRate | None:
        """The rate to read prices of the request with; None where they are in rupiah."""
        return self.view.fx if self.view.in_dollars else None

    def purchase(self, wanted: OrderRequest | ReactivationRequest, body: RequestBody) -> HandlerResult:
        """Buy once per idempotency key and return the orders."""
        bought = self.world.buy(
            wanted,
            self.view.now,
            key=key_of(self.request.headers),
            body=fingerprint(body.values),
            behaviour=self.script.apply_to(self.world.behaviour),
            tier_behaviours=self.script.tier_behaviours,
        )
        if isinstance(bought, Settling):
            return Deferred(bought, lambda: self._bought(bought.result))
        return self._bought(bought)

    def _bought(self, result: KeyedPurchase | Problem | None) -> Result:
        if isinstance(result, Problem):
            raise ServiceError.of(result)
        assert result is not None  # it has settled
        # A repeated answer shows the orders as they were when they were bought.
        view = evolve(self.view, now=result.at)
        orders = [view.order(self.world.orders[id_].as_created(), CreatedOrder) for id_ in result.order_ids]
        shown = self.money({"orders": orders, "failed_count": result.failed_count})
        return evolve(shown, orders=result.order_ids)

    def money(self, data: Json, **meta: Json) -> Result:
        """Return a result that states money: in dollars it also states the rate."""
        return Result(data, {**meta, "fx": self.view.rate()} if self.view.in_dollars else meta)


Handler: TypeAlias = Callable[[Context], HandlerResult]


def _countries(context: Context) -> Result:
    return Result([context.view.country(value) for value in context.world.catalog.countries])


def _services(context: Context) -> Result:
    country_id = context.query.integer("country_id")
    context.query.check()
    return Result([context.view.service(value) for value in context.world.catalog.services_in(country_id)])


def _products(context: Context) -> Result:
    query = context.query
    country_id, platform_id = query.integer("country_id"), query.integer("platform_id")
    operator_id = query.integer("operator_id")
    limit, page = query.number("limit"), query.number("page")
    query.check()
    found = context.world.catalog.products(country_id, platform_id, operator_id, query.text("sort") or "")
    shown = [context.view.product(tier) for tier in found[(page - 1) * limit : page * limit]]
    return context.money(shown, page=page, limit=limit, count=len(shown))


def _operators(context: Context) -> Result:
    query = context.query
    country_id, platform_id = query.integer("country_id"), query.integer("platform_id")
    query.check()
    assert country_id is not None
    assert platform_id is not None
    return Result(operator_rows(context.world.catalog.operators(country_id, platform_id)))


def _exchange_rate(context: Context) -> Result:
    pair = None if context.view.in_dollars else context.query.text("pair")
    if context.view.fx is None or pair not in (None, PAIR):
        raise ServiceError("NOT_FOUND", "Exchange rate not found")
    return Result(context.view.rate())


def _balance(context: Context) -> Result:
    return context.money(context.view.balance(context.world.ledger.balance))


def _orders_list(context: Context) -> Result:
    query = context.query
    limit, offset = query.number("limit"), query.number("offset")
    status = query.choice("status")
    query.check()
    found = islice(context.world.newest(OrderStatus(status) if status else None, offset), limit)
    return context.money([context.view.order(order, Order) for order in found])


def _orders_active(context: Context) -> Result:
    newest_first = reversed(context.world.open.values())
    return Result([context.view.order(order, ActiveOrder) for order in newest_first])


def _orders_get(context: Context) -> Result:
    return context.money(context.view.order(context.world.order(context.route.path_id), Order))


def _orders_create(context: Context) -> HandlerResult:
    body, current = context.body(), context.view.current
    product_id, catalog_product_id = body.integer("product_id"), body.integer("catalog_product_id")
    if body.given("product_id") == body.given("catalog_product_id"):
        body.wrong("product_id", "give exactly one of product_id and catalog_product_id")
    if body.given("product_id"):
        for name, parameter in body.known.items():
            if parameter.is_for_catalog_product(current=current) and body.given(name):
                body.wrong(name, "needs catalog_product_id")
    quantity, policy = body.integer("quantity"), body.choice("policy")
    max_price, min_price = body.price("max_price", context.fx), body.price("min_price", context.fx)
    prefer_provider, operator_id = body.text("prefer_provider"), body.integer("operator_id")
    body.check()
    wanted = OrderRequest(
        product_id=product_id,
        catalog_product_id=catalog_product_id,
        quantity=1 if quantity is None else quantity,
        max_price=max_price,
        min_price=min_price,
        prefer_provider=prefer_provider,
        policy=RoutingPolicy(policy or RoutingPolicy.CHEAPEST),
        operator_id=operator_id,
    )
    return context.purchase(wanted, body)


def _order_id(body: RequestBody) -> int:
    """Return the order that a request is about, after checking all its fields."""
    order_id = body.integer("id")
    body.check()
    assert order_id is not None
    return order_id


def _orders_cancel(context: Context) -> Result:
    order = context.world.cancel(_order_id(context.body()), context.view.now, context.script.apply_to)
    return context.money(
        {
            "order_id": order.id,
            "status": order.status.value,
            "refund_amount": context.view.money(order.amount),
            "new_balance": context.view.money(context.world.ledger.balance, BALANCE_PLACES),
        }
    )


def _orders_finish(context: Context) -> Result:
    order = context.world.finish(_order_id(context.body()), context.view.now)
    return Result({"order_id": order.id, "status": order.status.value})


def _orders_resend(context: Context) -> Result:
    order_id = _order_id(context.body())
    order, resent = context.world.resend(order_id, context.view.now, context.script.apply_to)
    return Result({"order_id": order.id, "status": order.status.value, "resent": resent})


def _orders_reactivate(context: Context) -> HandlerResult:
    body = context.body()
    max_price = body.price("max_price", context.fx)
    return context.purchase(ReactivationRequest(_order_id(body), max_price), body)


def _orders_reactivate_options(context: Context) -> Result:
    behaviour = context.script.apply_to(context.world.behaviour)
    cost = context.world.reactivation_cost(context.route.path_id, context.view.now, behaviour)
    return context.money({"cost": context.view.money(cost)})


def _webhook_get(context: Context) -> Result:
    return Result(context.view.webhook(context.world.webhook))


def _webhook_update(context: Context) -> HandlerResult:
    body = context.body()
    url, secret = body.text("webhook_url"), body.text("webhook_secret")
    if url and (problem := url_problem(url, allow_local=context.allow_local_webhooks)):
        body.wrong("webhook_url", problem)
    if not any(body.given(name) for name in body.known):
        body.wrong("webhook_url", "give at least one of webhook_url and webhook_secret")
    body.check()
    lookup = HostLookup(name_to_resolve(url) or "" if url else "")

    def update() -> Result:
        problem = resolved_problem(lookup.addresses, allow_local=context.allow_local_webhooks)
        if problem is not None:
            body.wrong("webhook_url", problem)
        body.check()
        context.world.update_webhook(url, secret)
        return _webhook_get(context)

    return Deferred(lookup, update) if lookup.host else update()


def _webhook_test(context: Context) -> HandlerResult:
    webhook = context.world.webhook
    if webhook.url is None:
        raise ServiceError("VALIDATION_ERROR", "No webhook URL is set")
    test = TestDelivery(webhook.sign(encode(webhook_test(context.view.now))))

    def result() -> Result:
        if test.delivery.status is None:
            raise ServiceError("VALIDATION_ERROR", "The webhook endpoint could not be reached")
        return Result({"status_code": test.delivery.status})

    return Deferred(test, result)


HANDLERS: Final[Mapping[str, Handler]] = {
    "catalog.countries": _countries,
    "catalog.services": _services,
    "catalog.products": _products,
    "catalog.operators": _operators,
    "catalog.exchange_rate": _exchange_rate,
    "balance.get": _balance,
    "orders.list": _orders_list,
    "orders.active": _orders_active,
    "orders.get": _orders_get,
    "orders.create": _orders_create,
    "orders.cancel": _orders_cancel,
    "orders.finish": _orders_finish,
    "orders.resend": _orders_resend,
    "orders.reactivate": _orders_reactivate,
    "orders.reactivate_options": _orders_reactivate_options,
    "webhook.get": _webhook_get,
    "webhook.update": _webhook_update,
    "webhook.test": _webhook_test,
}
"""The operations, by their endpoints' names."""
