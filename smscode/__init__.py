"""An async-first client for the SMSCode virtual-number API, with a synchronous twin.

Start with `AsyncClient` or `Client`; everything that goes wrong is an `SmscodeError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, cast

from ._version import VERSION as __version__

if TYPE_CHECKING:
    from . import calls, errors, events, journal, models, webhooks
    from ._async.catalog import AsyncCatalog
    from ._async.client import AsyncClient
    from ._async.orders import AsyncOrders
    from ._async.rental import AsyncRental
    from ._async.webhook import AsyncWebhook
    from ._serialization import to_dict, to_json
    from ._sync.catalog import Catalog
    from ._sync.client import Client
    from ._sync.orders import Orders
    from ._sync.rental import Rental
    from ._sync.webhook import Webhook
    from .core.api.call import Answer, Call
    from .core.order_endings import Released
    from .core.purchases.bulk import BulkResult
    from .core.purchases.intents import OrderIntent
    from .core.purchases.states import Recovered
    from .core.ratelimit.options import RateLimits
    from .core.retry import RetryPolicy
    from .core.statistics import OfferStats
    from .core.timeouts import Timeouts
    from .core.waiting.sms_wait import OtpOutcome
    from .errors import (
        APIError,
        CancelTooEarlyError,
        ClientStateError,
        ConfigurationError,
        ConflictError,
        ForbiddenError,
        FxRateUnavailableError,
        IdempotencyKeyReuseError,
        InsufficientBalanceError,
        InternalError,
        InvalidArgumentError,
        InvalidResponseError,
        JournalError,
        NetworkError,
        NoOfferAvailableError,
        NotFoundError,
        OrderTerminalError,
        OtpTimeoutError,
        Outcome,
        PayloadTooLargeError,
        ProviderError,
        PurchaseTooOldError,
        RateLimitError,
        RequestInProgressError,
        RequestTimeoutError,
        ServiceUnavailableError,
        SmscodeError,
        TempBannedError,
        UnauthorizedError,
        ValidationError,
        WebhookPayloadError,
        WebhookSignatureError,
    )
    from .models import (
        ActiveOrder,
        Balance,
        CanceledOrder,
        Country,
        CreatedOrder,
        CreatedOrders,
        ExchangeRate,
        FinishedOrder,
        FxRate,
        Money,
        Operator,
        Order,
        OrderPage,
        OrderStatus,
        OtpSms,
        Product,
        ProductPage,
        ProductSort,
        ReactivateOptions,
        ResendResult,
        RoutingPolicy,
        Service,
        Sms,
        WebhookConfig,
        WebhookTestResult,
    )

__all__ = [
    "APIError",
    "ActiveOrder",
    "Answer",
    "AsyncCatalog",
    "AsyncClient",
    "AsyncOrders",
    "AsyncRental",
    "AsyncWebhook",
    "Balance",
    "BulkResult",
    "Call",
    "CancelTooEarlyError",
    "CanceledOrder",
    "Catalog",
    "Client",
    "ClientStateError",
    "ConfigurationError",
    "ConflictError",
    "Country",
    "CreatedOrder",
    "CreatedOrders",
    "ExchangeRate",
    "FinishedOrder",
    "ForbiddenError",
    "FxRate",
    "FxRateUnavailableError",
    "IdempotencyKeyReuseError",
    "InsufficientBalanceError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidResponseError",
    "JournalError",
    "Money",
    "NetworkError",
    "NoOfferAvailableError",
    "NotFoundError",
    "OfferStats",
    "Operator",
    "Order",
    "OrderIntent",
    "OrderPage",
    "OrderStatus",
    "OrderTerminalError",
    "Orders",
    "OtpOutcome",
    "OtpSms",
    "OtpTimeoutError",
    "Outcome",
    "PayloadTooLargeError",
    "Product",
    "ProductPage",
    "ProductSort",
    "ProviderError",
    "PurchaseTooOldError",
    "RateLimitError",
    "RateLimits",
    "ReactivateOptions",
    "Recovered",
    "Released",
    "Rental",
    "RequestInProgressError",
    "RequestTimeoutError",
    "ResendResult",
    "RetryPolicy",
    "RoutingPolicy",
    "Service",
    "ServiceUnavailableError",
    "Sms",
    "SmscodeError",
    "TempBannedError",
    "Timeouts",
    "UnauthorizedError",
    "ValidationError",
    "Webhook",
    "WebhookConfig",
    "WebhookPayloadError",
    "WebhookSignatureError",
    "WebhookTestResult",
    "__version__",
    "calls",
    "errors",
    "events",
    "journal",
    "models",
    "to_dict",
    "to_json",
    "webhooks",
]

_HOMES = {
    "_async.catalog": ("AsyncCatalog",),
    "_async.client": ("AsyncClient",),
    "_async.orders": ("AsyncOrders",),
    "_async.rental": ("AsyncRental",),
    "_async.webhook": ("AsyncWebhook",),
    "_sync.catalog": ("Catalog",),
    "_sync.client": ("Client",),
    "_sync.orders": ("Orders",),
    "_sync.rental": ("Rental",),
    "_sync.webhook": ("Webhook",),
    "core.purchases.bulk": ("BulkResult",),
    "core.purchases.intents": ("OrderIntent",),
    "core.ratelimit.options": ("RateLimits",),
    "core.waiting.sms_wait": ("OtpOutcome",),
    "_serialization": (
        "to_dict",
        "to_json",
    ),
    "core.purchases.states": ("Recovered",),
    "core.order_endings": ("Released",),
    "core.retry": ("RetryPolicy",),
    "core.statistics": ("OfferStats",),
    "core.timeouts": ("Timeouts",),
    "core.api.call": (
        "Answer",
        "Call",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

_MODULES = frozenset({"calls", "errors", "events", "journal", "models", "webhooks"})


def _find(name: str) -> object:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    home = _HOME.get(name) or ("errors" if name.endswith(("Error", "Outcome")) else "models")
    value: object = getattr(import_module(f".{home}", __name__), name)
    if home.startswith(("_async.", "_sync.")):
        # Shown under the name it is imported by, not where it happens to be written.
        cast(type, value).__module__ = __name__
    return value


if not TYPE_CHECKING:  # pragma: no branch  # a type checker would believe that any name can be had

    def __getattr__(name: str) -> object:
        """Import what a public name stands for when it is first asked for: nobody waits for the rest."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = _find(name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
