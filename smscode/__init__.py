"""An async-first client for the SMSCode virtual-number API, with a synchronous twin.

Start with `AsyncClient` or `Client`; everything that goes wrong is an `SmscodeError`.
"""

from . import calls, errors, events, journal, models, webhooks
from ._async.catalog import AsyncCatalog
from ._async.client import AsyncClient
from ._async.orders import AsyncOrders
from ._async.rental import AsyncRental
from ._async.webhook import AsyncWebhook
from ._sync.catalog import Catalog
from ._sync.client import Client
from ._sync.orders import Orders
from ._sync.rental import Rental
from ._sync.webhook import Webhook
from ._version import VERSION as __version__
from .core.bulk import BulkResult
from .core.intents import OrderIntent, Recovered
from .core.limits import RateLimits
from .core.otp import OtpOutcome
from .core.plain import to_dict, to_json
from .core.release import Released
from .core.retry import RetryPolicy
from .core.timeouts import Timeouts
from .core.wire import (
    Answer,
    Call,
)
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
    NetworkError,
    NoOfferAvailableError,
    NotFoundError,
    OrderTerminalError,
    OtpTimeoutError,
    Outcome,
    PayloadTooLargeError,
    ProviderError,
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
    "Money",
    "NetworkError",
    "NoOfferAvailableError",
    "NotFoundError",
    "Operator",
    "Order",
    "OrderIntent",
    "OrderPage",
    "OrderStatus",
    "OrderTerminalError",
    "Orders",
    "OtpOutcome",
    "OtpTimeoutError",
    "Outcome",
    "PayloadTooLargeError",
    "Product",
    "ProductPage",
    "ProductSort",
    "ProviderError",
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

# Show the clients under the name they are imported by, not where they happen to be written.
for _class in (
    AsyncCatalog,
    AsyncClient,
    AsyncOrders,
    AsyncRental,
    AsyncWebhook,
    Catalog,
    Client,
    Orders,
    Rental,
    Webhook,
):
    _class.__module__ = "smscode"
