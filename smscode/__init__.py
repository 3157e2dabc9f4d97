"""An async-first client for the SMSCode virtual-number API, with a synchronous twin.

Start with `AsyncClient` or `Client`; everything that goes wrong is an `SmscodeError`.
"""

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import _version

__version__ = _version.VERSION

if TYPE_CHECKING:
    from . import calls as calls
    from . import errors as errors
    from . import events as events
    from . import journal as journal
    from . import models as models
    from . import webhooks as webhooks
    from ._async.catalog import AsyncCatalog as AsyncCatalog
    from ._async.client import AsyncClient as AsyncClient
    from ._async.orders import AsyncOrders as AsyncOrders
    from ._async.rental import AsyncRental as AsyncRental
    from ._async.webhook import AsyncWebhook as AsyncWebhook
    from ._serialization import to_dict as to_dict
    from ._serialization import to_json as to_json
    from ._sync.catalog import Catalog as Catalog
    from ._sync.client import Client as Client
    from ._sync.orders import Orders as Orders
    from ._sync.rental import Rental as Rental
    from ._sync.webhook import Webhook as Webhook
    from .core.api.call import Answer as Answer
    from .core.api.call import Call as Call
    from .core.offers import CodeNotObtainedError as CodeNotObtainedError
    from .core.offers import Obtained as Obtained
    from .core.offers import Offer as Offer
    from .core.offers import Try as Try
    from .core.order_endings import Released as Released
    from .core.order_endings import ReleaseOutcome as ReleaseOutcome
    from .core.purchases.bulk import BulkResult as BulkResult
    from .core.purchases.intents import OrderIntent as OrderIntent
    from .core.purchases.spending import SpendingLimit as SpendingLimit
    from .core.purchases.states import Recovered as Recovered
    from .core.ratelimit.options import RateLimits as RateLimits
    from .core.retry import RetryPolicy as RetryPolicy
    from .core.statistics import OfferStats as OfferStats
    from .core.timeouts import Timeouts as Timeouts
    from .core.waiting.order_changes import OrderChange as OrderChange
    from .core.waiting.sms_wait import OtpOutcome as OtpOutcome
    from .errors import *  # noqa: F403
    from .models import *  # noqa: F403

    __all__: list[str]
else:
    # The same for the interpreter, which imports what a name stands for when it is first asked for.
    _HOMES = {
        "AsyncCatalog": "_async.catalog",
        "AsyncClient": "_async.client",
        "AsyncOrders": "_async.orders",
        "AsyncRental": "_async.rental",
        "AsyncWebhook": "_async.webhook",
        "to_dict": "_serialization",
        "to_json": "_serialization",
        "Catalog": "_sync.catalog",
        "Client": "_sync.client",
        "Orders": "_sync.orders",
        "Rental": "_sync.rental",
        "Webhook": "_sync.webhook",
        "Answer": "core.api.call",
        "Call": "core.api.call",
        "CodeNotObtainedError": "core.offers",
        "Obtained": "core.offers",
        "Offer": "core.offers",
        "Try": "core.offers",
        "Released": "core.order_endings",
        "ReleaseOutcome": "core.order_endings",
        "BulkResult": "core.purchases.bulk",
        "OrderIntent": "core.purchases.intents",
        "SpendingLimit": "core.purchases.spending",
        "Recovered": "core.purchases.states",
        "RateLimits": "core.ratelimit.options",
        "RetryPolicy": "core.retry",
        "OfferStats": "core.statistics",
        "Timeouts": "core.timeouts",
        "OrderChange": "core.waiting.order_changes",
        "OtpOutcome": "core.waiting.sms_wait",
    }
    _MODULES = ("calls", "errors", "events", "journal", "models", "webhooks")

    def __getattr__(name: str) -> object:
        """Import a public name; ``__all__`` is one of them."""
        if name == "__all__":
            listed = (*_module("errors").__all__, *_module("models").__all__)
            value = sorted([*_HOMES, *_MODULES, *listed, "__version__"])
        elif name in _MODULES:
            value = _module(name)
        else:
            value = getattr(_module(_HOMES.get(name) or _home_of_class(name)), name)
            if _HOMES.get(name, "").startswith(("_async.", "_sync.")):
                value.__module__ = __name__  # shown under the name it is imported by
        globals()[name] = value
        return value

    def _home_of_class(name: str) -> str:
        # Submodules of this package are asked for here, too, before they are imported.
        for home in ("errors", "models") if name[:1].isupper() else ():
            if name in _module(home).__all__:
                return home
        raise _module("_vendor").missing(name)

    def __dir__() -> list[str]:
        return list(__getattr__("__all__"))

    def _module(name: str) -> ModuleType:
        return import_module(f".{name}", __name__)


if os.path.exists(os.path.join(os.path.dirname(__file__), "async_client.py")):  # pragma: no cover
    # That is a module of the vendor's SDK. The tests of this run in processes of their own.
    import sys
    import warnings

    from ._vendor import beside

    warnings.warn(str(beside(sys.modules[__name__])), stacklevel=2)
