"""The balance endpoint."""

from __future__ import annotations

from attrs import frozen

from ..._first_models import Balance, EndpointGroup
from ..._value import Value
from ...money import Money
from ..decoding.converter import Envelope, Mismatch
from .call import Call, CallKind, Endpoint


@frozen(eq=False, repr=False)
class _Wire(Value):
    balance: Money
    currency: str | None = None


def _balance(envelope: Envelope) -> Balance:
    wire = envelope.one(_Wire)
    if wire.currency not in (None, wire.balance.currency):
        raise Mismatch("$.data.currency", f"expected {wire.balance.currency}")
    return Balance(wire.balance, envelope.fx)


BALANCE = Endpoint(
    "balance.get", "GET", "/balance", EndpointGroup.BALANCE, CallKind.READ, Balance, _balance, money=True
)


def get() -> Call[Balance]:
    """Read the account's balance."""
    return Call(BALANCE, BALANCE.path)
