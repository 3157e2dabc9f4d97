"""What obtaining a code asks its driver to do, one after the other, and what the driver replies.

An error of this package is a reply like any other; any other exception ends the obtaining. All times are
seconds of any clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import TypeAlias, TypeVar

from attrs import frozen

from ..errors import NumberRefused, SmscodeError
from ..models import (
    ActiveOrder,
    CanceledOrder,
    CreatedOrder,
    CreatedOrders,
    FinishedOrder,
    Order,
    ResendResult,
)
from ..money import FxRate
from .api.prices import PriceLimit
from .offers import Offer
from .order_endings import KnownMessages
from .purchases.intents import OrderIntent
from .waiting.sms_wait import OtpOutcome

T = TypeVar("T")


@frozen
class FindOffers:
    """Find what can be bought within a price limit, cheapest first, before ``until``.

    The reply is `FoundOffers`. For offers that the caller gave, only the exchange rate is read.
    """

    limit: PriceLimit | None
    until: float


@frozen
class FoundOffers:
    """The offers in stock, and the newest exchange rate; None if the version has none."""

    offers: tuple[Offer, ...]
    fx: FxRate | None


@frozen
class BuyOne:
    """Buy one number, before ``until``. Without an ``intent``, send what is stored under the key.

    The reply is `BoughtOne`. For a purchase that is not stored it is None, and `UsedKey` for one that the
    service has refused.
    """

    key: str
    intent: OrderIntent | None
    until: float


@frozen
class BoughtOne:
    """What was bought: the orders, normally one, and the purchase as it was sent."""

    created: CreatedOrders
    intent: OrderIntent


@frozen
class UsedKey:
    """Nothing was bought under the key, and it is not to be used again."""


@frozen
class EnterNumber:
    """Call the caller's function with a rental of the order; ``known`` is updated by what it learns."""

    order: CreatedOrder | Order
    known: KnownMessages


@frozen
class EnteredNumber:
    """How the caller's function ended: well, with `NumberRefused`, or with another exception."""

    refused: NumberRefused | None = None
    failure: Exception | None = None


@frozen
class WaitForAny:
    """Wait until one of the orders has a code or has ended, or until a time."""

    order_ids: tuple[int, ...]
    until: float


@frozen
class SeenOrders:
    """What a wait showed: how the waits for some orders ended, and the others as they were seen."""

    outcomes: tuple[OtpOutcome, ...] = ()
    orders: tuple[ActiveOrder | Order, ...] = ()


@frozen
class CancelOrder:
    """Cancel an order that got no SMS."""

    order_id: int


@frozen
class FinishOrder:
    """Finish an order that got its SMS."""

    order_id: int


@frozen
class ResendSms:
    """Ask for the SMS of an order once more."""

    order_id: int


@frozen
class ReadOrder:
    """Read an order, or look it up among the active ones, where an older server shows its text."""

    order_id: int
    listed: bool = False


ObtainEffect: TypeAlias = (
    FindOffers | BuyOne | EnterNumber | WaitForAny | CancelOrder | FinishOrder | ResendSms | ReadOrder
)

ObtainResult: TypeAlias = (
    FoundOffers
    | BoughtOne
    | UsedKey
    | EnteredNumber
    | SeenOrders
    | CanceledOrder
    | FinishedOrder
    | ResendResult
    | Order
    | ActiveOrder
    | SmscodeError
    | None
)


@frozen
class ObtainReply:
    """The result of an effect, the time, and the service's date of the answer, if there was one."""

    now: float
    result: ObtainResult = None
    date: datetime | None = None


ObtainSteps: TypeAlias = Generator[ObtainEffect, ObtainReply, T]
