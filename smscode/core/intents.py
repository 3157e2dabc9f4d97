"""Purchases that have to be settled: their bytes, and what is known of each."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from ..errors import ClientStateError, InvalidArgumentError, SmscodeError
from ..models import CreatedOrders
from . import orders
from .codec import Version
from .flow import Doubt
from .wire import Call

Purchase: TypeAlias = Literal["orders.create", "orders.reactivate"]
_MOST_KEYS_REMEMBERED = 10_000


@frozen
class OrderIntent:
    """A purchase, frozen before it is first sent.

    Whatever happens in between, `submit` sends these bytes under this idempotency key, so that the
    service carries it out at most once. It can be pickled and kept; it holds no token.
    """

    idempotency_key: str
    operation: Purchase
    version: Version
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, call: Call[CreatedOrders], version: Version) -> OrderIntent:
        """Freeze a purchase for an API version."""
        body, key, name = call.body(version), call.idempotency_key, call.endpoint.name
        assert body is not None
        assert key is not None
        operation: Purchase = "orders.create" if name == orders.CREATE.name else "orders.reactivate"
        return cls(key, operation, version, body)

    @property
    def call(self) -> Call[CreatedOrders]:
        """The call that sends exactly this."""
        endpoint = orders.CREATE if self.operation == orders.CREATE.name else orders.REACTIVATE
        frozen_body = (self.version, self.body)
        return Call(endpoint, endpoint.path, idempotency_key=self.idempotency_key, frozen=frozen_body)


@frozen
class Recovered:
    """What became of a purchase that an earlier process left behind: ``orders``, or the ``error``."""

    intent: OrderIntent
    orders: CreatedOrders | None = None
    error: SmscodeError | None = None


@define
class _Entry:
    intent: OrderIntent
    doubt: Doubt
    under_way: bool


class IntentRegistry:
    """The purchases of a client that are under way or in doubt, oldest first."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    def begin(self, intent: OrderIntent) -> Doubt:
        """Note that a purchase is being sent; give the doubt that earlier tries left.

        Raises `ClientStateError` while the same purchase is already under way, `InvalidArgumentError`
        when its key was used here for another one.
        """
        key = intent.idempotency_key
        digest = hashlib.sha256(f"{intent.operation} {intent.version} ".encode() + intent.body).digest()
        if self._bodies.setdefault(key, digest) != digest:
            raise InvalidArgumentError("idempotency_key: was used by this client for another order.")
        self._bodies.move_to_end(key)
        if len(self._bodies) > _MOST_KEYS_REMEMBERED:
            self._bodies.popitem(last=False)
        entry = self._entries.setdefault(key, _Entry(intent, Doubt(), under_way=False))
        if entry.under_way:
            raise ClientStateError("This purchase is already under way.", idempotency_key=key)
        entry.under_way = True
        return entry.doubt

    def end(self, intent: OrderIntent, *, bought: bool) -> bool:
        """Note that sending ended; tell whether the purchase is settled, which drops it.

        A purchase that surely did not happen leaves its key free for another body.
        """
        key = intent.idempotency_key
        entry = self._entries[key]
        entry.under_way = False
        if entry.doubt.raised:
            return False
        del self._entries[key]
        if not bought:
            self._bodies.pop(key, None)
        return True

    def reopen(self, intent: OrderIntent) -> None:
        """Note that nobody got the orders of a settled purchase; submitting it again gives them."""
        self._entries.setdefault(intent.idempotency_key, _Entry(intent, Doubt(raised=True), under_way=False))

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Give the purchases that may have been carried out without anybody knowing."""
        return tuple(entry.intent for entry in self._entries.values() if not entry.under_way)
