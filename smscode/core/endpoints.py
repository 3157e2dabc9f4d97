"""All operations of the API, by name."""

from __future__ import annotations

from collections.abc import Mapping

from . import balance, catalog, orders, webhook_config
from .wire import Endpoint

_ALL: tuple[Endpoint[object], ...] = (
    catalog.COUNTRIES,
    catalog.SERVICES,
    catalog.OPERATORS,
    catalog.PRODUCTS,
    catalog.EXCHANGE_RATE,
    balance.BALANCE,
    orders.LIST,
    orders.ACTIVE,
    orders.GET,
    orders.CREATE,
    orders.CANCEL,
    orders.FINISH,
    orders.RESEND,
    orders.REACTIVATE,
    orders.REACTIVATE_OPTIONS,
    webhook_config.GET,
    webhook_config.UPDATE,
    webhook_config.TEST,
)

ENDPOINTS: Mapping[str, Endpoint[object]] = {endpoint.name: endpoint for endpoint in _ALL}
