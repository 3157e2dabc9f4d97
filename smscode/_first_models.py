"""Those of the `models` that every first call needs.

They are apart because the others take longer to make than all the rest of such a call.
"""

from enum import StrEnum

from attrs import frozen

from ._serialization import Model
from .money import FxRate, Money

_HOME = "smscode.models"  # where they are found by whoever asks a class, as pickle does


class EndpointGroup(StrEnum):
    """The endpoint groups. Each has its own documented rate limit per 60 seconds."""

    __module__ = _HOME

    CATALOG = "catalog"
    BALANCE = "balance"
    ORDER_QUERIES = "order_queries"
    CREATE = "create"
    CANCEL = "cancel"
    ORDER_ACTIONS = "order_actions"
    WEBHOOK_CONFIG = "webhook_config"
    WEBHOOK_TEST = "webhook_test"


class OrderStatus(StrEnum):
    """The state of an order."""

    __module__ = _HOME

    ACTIVE = "ACTIVE"
    """Rented, and waiting for an SMS, or after a resend for another one."""
    OTP_RECEIVED = "OTP_RECEIVED"
    """An SMS arrived; the service may have found no code in it."""
    COMPLETED = "COMPLETED"
    """Finished after an SMS arrived."""
    CANCELED = "CANCELED"
    """Cancelled before any SMS, and refunded."""
    EXPIRED = "EXPIRED"
    """Ended without any SMS, and refunded."""

    @property
    def terminal(self) -> bool:
        """Whether the order has ended."""
        return self in (OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED)


@frozen(eq=False, repr=False)
class Balance(Model):
    """The account's balance."""

    __module__ = _HOME

    balance: Money
    fx: FxRate | None = None
