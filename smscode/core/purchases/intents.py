"""A purchase as it is frozen before it is first sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from ...errors import JsonValue
from ...models import CreatedOrders
from ...money import FxRate
from ..api import orders
from ..api.call import Call, Endpoint, Request
from ..decoding import strict_json
from ..versions import ApiVersion

Operation: TypeAlias = Literal["orders.create", "orders.reactivate"]


@frozen
class OrderIntent:
    """A purchase, frozen before it is first sent.

    `orders.submit` always sends exactly these bytes under this idempotency key, so the service carries them
    out at most once. An intent can be pickled and stored; it holds no token.
    """

    idempotency_key: str
    operation: Operation
    version: ApiVersion
    request: Request = field(repr=False)

    @classmethod
    def of(cls, call: Call[CreatedOrders], version: ApiVersion) -> OrderIntent:
        """Freeze a purchase for an API version."""
        assert call.idempotency_key is not None
        name = call.endpoint.name
        operation: Operation = "orders.create" if name == orders.CREATE.name else "orders.reactivate"
        return cls(call.idempotency_key, operation, version, call.request(version))

    @classmethod
    def restore(
        cls, idempotency_key: str, operation: Operation, version: ApiVersion, body: bytes
    ) -> OrderIntent:
        """Return a purchase from its stored parts."""
        endpoint = _endpoint(operation)
        call = Call(endpoint, endpoint.path, idempotency_key=idempotency_key)
        return cls(idempotency_key, operation, version, call.request_of(version, body))

    @property
    def body(self) -> bytes:
        """The bytes of the request's body."""
        assert self.request.body is not None
        return self.request.body

    @property
    def call(self) -> Call[CreatedOrders]:
        """The call that sends exactly this request."""
        endpoint = _endpoint(self.operation)
        frozen_request = (self.version, self.request)
        return Call(endpoint, endpoint.path, idempotency_key=self.idempotency_key, frozen=frozen_request)

    @property
    def fields(self) -> dict[str, JsonValue]:
        """The fields of the body."""
        fields = strict_json.parse(self.body)
        assert type(fields) is dict
        return fields

    @property
    def quantity(self) -> int:
        """How many numbers it rents."""
        quantity = self.fields.get("quantity", 1)
        assert type(quantity) is int
        return quantity

    @property
    def capped(self) -> bool:
        """Whether it has a max_price."""
        return self.fields.get("max_price") is not None

    def cap(self, fx: FxRate | None) -> int | None:
        """Return the most that it can cost, in rupiah; None without max_price, or on v2 without a rate."""
        fields = strict_json.parse(self.body)
        assert type(fields) is dict
        limit, quantity = fields.get("max_price"), fields.get("quantity", 1)
        assert type(quantity) is int
        if type(limit) is int:
            return limit * quantity
        if type(limit) is str and fx is not None:
            return fx.to_idr(Decimal(limit), rounding="ROUND_FLOOR") * quantity
        return None

    def same_order(self, other: OrderIntent) -> bool:
        """Return True if both are the same order, whatever their keys."""
        mine = self.operation, self.version, self.body
        return mine == (other.operation, other.version, other.body)

    def __reduce__(self) -> Any:
        return OrderIntent.restore, (self.idempotency_key, self.operation, self.version, self.body)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle of a version before 0.2, which held the parts of the request."""
        restored = OrderIntent.restore(**state)
        for name in ("idempotency_key", "operation", "version", "request"):
            object.__setattr__(self, name, getattr(restored, name))


def _endpoint(operation: Operation) -> Endpoint[CreatedOrders]:
    return orders.CREATE if operation == orders.CREATE.name else orders.REACTIVATE
