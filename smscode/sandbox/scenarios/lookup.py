"""What a request is about, and which scenarios therefore play in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ...core.api.call import Endpoint
from ...core.api.parameters import ORDER_ID
from ...errors import InvalidArgumentError
from ..http.api_error import Refusal
from ..http.params import loose_integers
from ..http.routes import Route
from ..service.catalog import Tier
from ..service.world import World
from . import parse
from .scenario import Script
from .selection import HEADER, Stage, Subject


def subject_of(route: Route, body: bytes, world: World, *, products: bool) -> Subject:
    """Find out what a request is about, as far as that can be read; of purchases only with ``products``."""
    fields = route.endpoint.fields
    order_id = route.path_id or None
    if order_id is None and (ORDER_ID in fields or (fields and products)):
        given = loose_integers(body)
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
    headers: Mapping[str, str],
    stage: Stage,
    world: World,
    now: datetime,
) -> Script:
    """Find out which scenarios play in a request; refuse one that chooses what there is not."""
    try:
        own = parse(headers[HEADER]) if HEADER in headers else ()
    except InvalidArgumentError as error:
        problem = str(error).partition(": ")[2]
        raise Refusal(
            "VALIDATION_ERROR", "Request is not valid", details={"fields": {HEADER: problem}}
        ) from None
    tiers: Sequence[Tier] = ()
    if endpoint.name == "orders.create" and subject.product_id is None:
        tiers = world.catalog.routed(subject.catalog_product_id)
    return stage.script(endpoint.name, subject, own, now, usual=world.behaviour, tiers=tiers)
