"""The vendor's own SDK, which is imported as ``smscode``, too: its names, and what to do about a clash."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from ._version import DISTRIBUTION

THEIR_MODULE: Final = "async_client.py"
_THEIR_CLIENT: Final = "AsyncSmscodeClient"
_KEYS: Final = "nothing: orders.create makes and checks idempotency keys"

NAMES: Final[Mapping[str, str]] = {
    _THEIR_CLIENT: "AsyncClient",
    "SmscodeClient": "Client",
    "TimeoutError": "RequestTimeoutError",
    "InvalidMoneyError": "InvalidResponseError for an answer, InvalidArgumentError for an argument",
    "RequestCancelledError": "nothing: a cancellation goes through untouched",
    "map_error": "nothing: errors are raised as what they are",
    **dict.fromkeys(("BalanceV1", "BalanceV2"), "Balance"),
    **dict.fromkeys(("CancelResult", "CancelResultV2"), "CanceledOrder"),
    **dict.fromkeys(("CreateOrderResult", "CreateOrderResultV1", "CreateOrderResultV2"), "CreatedOrders"),
    "FinishResult": "FinishedOrder",
    "OrderCapabilities": "Order, which has the same fields",
    **dict.fromkeys(("OrdersList", "OrdersListV2"), "OrderPage"),
    **dict.fromkeys(("ProductsPage", "ProductsPageV1", "ProductsPageV2"), "ProductPage"),
    "ProductV2": "Product",
    "ReactivateOptionsV2": "ReactivateOptions",
    "V2Fx": "FxRate",
    "parse_money": "Money, which models have",
    **dict.fromkeys(("with_retry", "async_with_retry"), "the argument retry= of a client"),
    "ApiResult": "Answer",
    "RequestOptions": "the arguments timeout= and idempotency_key= of methods",
    "OtpResult": "Sms",
    **dict.fromkeys(("wait_for_otp", "async_wait_for_otp"), "client.orders.wait_for_otp"),
    "WebhookEvent": "webhooks.Event",
    **dict.fromkeys(("parse_webhook_event", "is_webhook_event"), "webhooks.parse"),
    "verify_webhook_signature": "webhooks.verify",
    **dict.fromkeys(("IDEMPOTENCY_KEY_PATTERN", "is_valid_idempotency_key"), _KEYS),
    "resolve_idempotency_key": _KEYS,
    "VERSION": "__version__",
}
"""What the public names of the vendor's SDK (1.2.0) that are none here are called here."""

ADVICE: Final = (
    f"To have {DISTRIBUTION} alone: python -m pip uninstall --yes smscode {DISTRIBUTION}, then"
    f" python -m pip install {DISTRIBUTION}. To have the vendor's SDK alone, install smscode instead."
)


def missing(name: str) -> AttributeError | ImportError:
    """Return the error for a name that ``smscode`` does not have."""
    if name not in NAMES:
        return AttributeError(f"module 'smscode' has no attribute {name!r}")
    message = f"{name} is a name of the vendor's SDK. Here, in {DISTRIBUTION}, it is {NAMES[name]}."
    # ``from smscode import ...`` replaces the message of an AttributeError. It looks first whether the name
    # is there, and lets an ImportError through; anything else is told that there is no such attribute.
    importing = sys._getframe(3).f_code.co_name == "_handle_fromlist"
    return ImportError(message, name="smscode") if importing else AttributeError(message)


def overwritten(package: ModuleType) -> str | None:
    """Return why ``smscode`` is not this package, although its command was started, and what to run."""
    if hasattr(package, _THEIR_CLIENT):
        found = f"The vendor's SDK (smscode) was installed over {DISTRIBUTION}, and is what is imported."
    elif getattr(package, "__file__", None) is None:
        found = f"Modules of {DISTRIBUTION} were deleted when the vendor's SDK (smscode) was uninstalled."
    else:
        return None
    return f"{found} {ADVICE}"


def beside(package: ModuleType) -> str | None:
    """Return what is wrong if modules of the vendor's SDK are among this package's, and what to run."""
    if not os.path.exists(os.path.join(os.path.dirname(package.__file__ or ""), THEIR_MODULE)):
        return None
    return (
        f"{DISTRIBUTION} was installed over the vendor's SDK (smscode), and is what is imported until one of"
        f" them is uninstalled. {ADVICE}"
    )
