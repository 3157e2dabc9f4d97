"""The subject of a request, and the scenarios that apply to it."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.api.call import Endpoint
from ...core.api.parameters import ORDER_ID
from ...errors import InvalidArgumentError
from ..http.api_error import invalid
from ..http.params import integers_in
from ..http.routes import IncomingRequest, Route
from ..service.catalog import Tier
from ..service.world import World
from . import parse
from .scenario import Script
from .selection import HEADER, Selection, Subject


def subject_of(route: Route, body: bytes, world: World, *, products: bool) -> Subject:
    """Return the subject of a request if its body can be read; that of purchases only with ``products``."""
    fields = route.endpoint.fields
    order_id = route.path_id or None
    if order_id is None and (ORDER_ID in fields or (fields and products)):
        given = integers_in(body)
        order_id = given.get("id")
        if order_id is None:
            tier = world.catalog.tiers.get(given.get("product_id", 0))
            if tier is None:
                return Subject(catalog_product_id=given.get("catalog_product_id"))
            return Subject(product_id=tier.id, catalog_product_id=tier.catalog_product_id)
    order = world.orders.get(order_id or 0)
    if order is None:
        return Subject(order_id)
    return Subject(order_id, order.tier.id, order.tier.catalog_product_id)


def script_of(
    endpoint: Endpoint[object],
    subject: Subject,
    request: IncomingRequest,
    selection: Selection,
    world: World,
) -> Script:
    """Return the effect of the scenarios on a request. Raises `ServiceError` if its own do not exist."""
    try:
        own = parse(request.headers[HEADER]) if HEADER in request.headers else ()
    except InvalidArgumentError as error:
        raise invalid({HEADER: str(error).partition(": ")[2]}) from None
    tiers: Sequence[Tier] = ()
    if endpoint.name == "orders.create" and subject.product_id is None:
        tiers = world.catalog.routed(subject.catalog_product_id)
    return selection.script(endpoint.name, subject, own, request.now, usual=world.behaviour, tiers=tiers)
