"""The operations: each reads its parameters, asks the world, and shows the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, TypeAlias

from attrs import evolve, frozen

from ...core.api.call import Endpoint
from ...models import OrderStatus, RoutingPolicy
from ...money import BALANCE_PLACES, FxRate
from ..scenarios.scenario import NO_SCRIPT, Script
from ..service.purchases import Settling
from ..service.routing import Again, OrderRequest
from ..service.world import PAIR, World
from ..transports.addresses import name_to_resolve, resolved_problem, url_problem
from .api_error import Json, Problem, Refusal
from .deferred import DeferredOutcome, Later, Lookup, Probe, Result
from .idempotency import KeyedPurchase, fingerprint
from .params import Query, RequestBody, idempotency_key
from .render import View, encode, operators, webhook_test

FX_RETRY_AFTER: Final = 30


@frozen
class Context:
    """A request on its way to an operation: all it asks, and where to look for the answer.

    ``script`` is what scenarios make of it.
    """

    endpoint: Endpoint[object]
    world: World
    view: View
    path_id: int
    query: Query
    headers: Mapping[str, str]
    content: bytes
    allow_local_webhooks: bool
    script: Script = NO_SCRIPT

    def body(self) -> RequestBody:
        """Read the JSON of the request."""
        return RequestBody(self.content, self.endpoint.fields, newer=self.view.generation == "current")

    @property
    def fx(self) -> FxRate | None:
        """The rate that prices in the request are read with: None on v1, where they are rupiah."""
        return self.view.fx if self.view.version == "v2" else None

    def purchase(self, wanted: OrderRequest | Again, body: RequestBody) -> DeferredOutcome:
        """Buy once per idempotency key and show what that gave."""
        bought = self.world.buy(
            wanted,
            self.view.now,
            key=idempotency_key(self.headers),
            body=fingerprint(body.values),
            behaviour=self.script.treat(self.world.behaviour),
            of_tiers=self.script.of_tiers,
        )
        if isinstance(bought, Settling):
            return Later(bought, lambda: self._bought(bought.result))
        return self._bought(bought)

    def _bought(self, result: KeyedPurchase | Problem | None) -> Result:
        if isinstance(result, Problem):
            raise Refusal.of(result)
        assert result is not None  # it has settled
        # Shown as it was then, also when it is shown again.
        view = evolve(self.view, now=result.at)
        orders = [view.order(self.world.orders[id_].as_created(), "created") for id_ in result.order_ids]
        shown = self.money({"orders": orders, "failed_count": result.failed_count})
        return evolve(shown, orders=result.order_ids)

    def money(self, data: Json, **meta: Json) -> Result:
        """Return a result that states money: v2 says with which rate."""
        return Result(data, {**meta, "fx": self.view.rate()} if self.view.version == "v2" else meta)


Handler: TypeAlias = Callable[[Context], DeferredOutcome]


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
    return Result(operators(context.world.catalog.operators(country_id, platform_id)))


def _exchange_rate(context: Context) -> Result:
    pair = context.query.text("pair") if context.view.version == "v1" else None
    if context.view.fx is None or pair not in (None, PAIR):
        raise Refusal("NOT_FOUND", "Exchange rate not found")
    return Result(context.view.rate())


def _balance(context: Context) -> Result:
    return context.money(context.view.balance(context.world.ledger.balance))


def _orders_list(context: Context) -> Result:
    query = context.query
    limit, offset = query.number("limit"), query.number("offset")
    status = query.choice("status")
    query.check()
    # The offset is capped because islice takes no more than a machine word.
    start = min(offset, len(context.world.orders))
    found = islice(context.world.newest(OrderStatus(status) if status else None), start, start + limit)
    return context.money([context.view.order(order, "summary") for order in found])


def _orders_active(context: Context) -> Result:
    return Result([context.view.order(order, "active") for order in reversed(context.world.open.values())])


def _orders_get(context: Context) -> Result:
    return context.money(context.view.order(context.world.order(context.path_id), "summary"))


def _orders_create(context: Context) -> DeferredOutcome:
    body, newer = context.body(), context.view.generation == "current"
    product_id, catalog_product_id = body.integer("product_id"), body.integer("catalog_product_id")
    if body.given("product_id") == body.given("catalog_product_id"):
        body.wrong("product_id", "give exactly one of product_id and catalog_product_id")
    if body.given("product_id"):
        for name, parameter in body.known.items():
            if parameter.is_for_catalog_product(current=newer) and body.given(name):
                body.wrong(name, "needs catalog_product_id")
    quantity, policy = body.integer("quantity"), body.choice("policy")
    max_price, min_price = body.price("max_price", context.fx), body.price("min_price", context.fx)
    prefer_provider, operator_id = body.text("prefer_provider"), body.integer("operator_id")
    body.check()
    wish = OrderRequest(
        product_id=product_id,
        catalog_product_id=catalog_product_id,
        quantity=1 if quantity is None else quantity,
        max_price=max_price,
        min_price=min_price,
        prefer_provider=prefer_provider,
        policy=RoutingPolicy(policy or RoutingPolicy.CHEAPEST),
        operator_id=operator_id,
    )
    return context.purchase(wish, body)


def _order_id(context: Context) -> int:
    body = context.body()
    order_id = body.integer("id")
    body.check()
    assert order_id is not None
    return order_id


def _orders_cancel(context: Context) -> Result:
    order_id = _order_id(context)
    order = context.world.cancel(order_id, context.view.now, context.script.treat)
    return context.money(
        {
            "order_id": order.id,
            "status": order.status.value,
            "refund_amount": context.view.money(order.amount),
            "new_balance": context.view.money(context.world.ledger.balance, BALANCE_PLACES),
        }
    )


def _orders_finish(context: Context) -> Result:
    order_id = _order_id(context)
    order = context.world.finish(order_id, context.view.now)
    return Result({"order_id": order.id, "status": order.status.value})


def _orders_resend(context: Context) -> Result:
    order_id = _order_id(context)
    order, resent = context.world.resend(order_id, context.view.now, context.script.treat)
    return Result({"order_id": order.id, "status": order.status.value, "resent": resent})


def _orders_reactivate(context: Context) -> DeferredOutcome:
    body = context.body()
    order_id, max_price = body.integer("id"), body.price("max_price", context.fx)
    body.check()
    assert order_id is not None
    return context.purchase(Again(order_id, max_price), body)


def _orders_reactivate_options(context: Context) -> Result:
    behaviour = context.script.treat(context.world.behaviour)
    cost = context.world.reactivation_cost(context.path_id, context.view.now, behaviour)
    return context.money({"cost": context.view.money(cost)})


def _webhook_get(context: Context) -> Result:
    return Result(context.view.webhook(context.world.webhook))


def _webhook_update(context: Context) -> DeferredOutcome:
    body = context.body()
    url, secret = body.text("webhook_url"), body.text("webhook_secret")
    if url and (problem := url_problem(url, allow_local=context.allow_local_webhooks)):
        body.wrong("webhook_url", problem)
    if not any(body.given(name) for name in body.known):
        body.wrong("webhook_url", "give at least one of webhook_url and webhook_secret")
    body.check()
    lookup = Lookup(name_to_resolve(url) or "" if url else "")

    def update() -> Result:
        problem = resolved_problem(lookup.addresses, allow_local=context.allow_local_webhooks)
        if problem is not None:
            body.wrong("webhook_url", problem)
        body.check()
        context.world.update_webhook(url, secret)
        return Result(context.view.webhook(context.world.webhook))

    return Later(lookup, update) if lookup.host else update()


def _webhook_test(context: Context) -> DeferredOutcome:
    webhook = context.world.webhook
    if webhook.url is None:
        raise Refusal("VALIDATION_ERROR", "No webhook URL is set")
    probe = Probe(webhook.sign(encode(webhook_test(context.view.now))))

    def tell() -> Result:
        if probe.delivery.status is None:
            raise Refusal("VALIDATION_ERROR", "The webhook endpoint could not be reached")
        return Result({"status_code": probe.delivery.status})

    return Later(probe, tell)


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
