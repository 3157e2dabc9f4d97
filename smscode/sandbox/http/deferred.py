"""Results of operations, and those that first need something to happen outside the app's lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from ..service.purchases import Settling
from ..service.webhooks import Delivery
from .api_error import Json


@define
class TestDelivery:
    """The delivery of a webhook test; the app sends it and replaces it by one with the endpoint's status."""

    delivery: Delivery


@define
class HostLookup:
    """A host name to resolve; the app stores its addresses here."""

    host: str
    addresses: tuple[str, ...] = ()


@frozen
class Result:
    """What an operation answers: ``meta`` is omitted when empty, ``orders`` are the ids for the history."""

    data: Json
    meta: Mapping[str, Json] = field(factory=dict[str, Json])
    orders: tuple[int, ...] = ()


@frozen
class Deferred:
    """An operation that continues after ``awaited``; ``finish`` then returns its result.

    The app calls ``finish`` with its lock held, except where ``awaited`` is None: such a ``finish`` uses the
    public methods of `Sandbox`, which take the lock. It may raise `ServiceError`.
    """

    awaited: TestDelivery | HostLookup | Settling | None
    finish: Callable[[], Result]


HandlerResult: TypeAlias = Result | Deferred
