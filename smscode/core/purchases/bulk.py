"""Renting more numbers than one call allows: splitting them into calls, and joining the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from ..._rows import RowSequence
from ...errors import InvalidArgumentError, SmscodeError
from ...models import CreatedOrder, CreatedOrders
from ..api import arguments
from ..api.orders import LARGEST_QUANTITY
from .intents import OrderIntent

AT_ONCE = 10
_MOST_NUMBERS = 10_000
_MOST_CALLS = _MOST_NUMBERS // LARGEST_QUANTITY
_LONGEST_KEY = 128


@frozen
class BulkResult(RowSequence[CreatedOrder]):
    """The result of `orders.create_many`, as a sequence of its ``orders``.

    ``failed_count`` is how many of the requested numbers are missing. ``errors`` are those of the calls that
    failed, each with its call's idempotency key; ``intents`` are all calls, as they were sent. A failed call
    whose outcome is "unknown" may have rented numbers: `orders.submit` settles its intent.
    """

    _rows_in: ClassVar[str] = "orders"

    orders: tuple[CreatedOrder, ...]
    failed_count: int
    errors: tuple[SmscodeError, ...]
    intents: tuple[OrderIntent, ...]


def split(count: object, key: str | None) -> list[tuple[int, str | None]]:
    """Return the quantity and the idempotency key of each call; only the last quantity may be smaller.

    The keys are the caller's ``key`` with a number, so the same key always results in the same keys. None
    means that each call generates its own.
    """
    number = arguments.integer("count", count, 1, _MOST_NUMBERS)
    calls = -(-number // LARGEST_QUANTITY)
    quantities = [min(LARGEST_QUANTITY, number - LARGEST_QUANTITY * index) for index in range(calls)]
    if key is None:
        return [(quantity, None) for quantity in quantities]
    key = arguments.idempotency_key(key)
    longest = _LONGEST_KEY - len(f"-{calls}")
    if len(key) > longest:
        raise InvalidArgumentError(f"idempotency_key: expected 1..{longest} characters, to number them.")
    return [(quantity, f"{key}-{index}") for index, quantity in enumerate(quantities, 1)]


def keys(key: str | None) -> list[str | None]:
    """Return all keys that the calls for a caller's key can use; [None] if the keys are generated."""
    return [None] if key is None else [f"{key}-{index}" for index in range(1, _MOST_CALLS + 1)]


def collect(
    count: int,
    intents: tuple[OrderIntent, ...],
    results: Mapping[OrderIntent, CreatedOrders | SmscodeError],
) -> BulkResult:
    """Join the results of the calls, in the order of the calls."""
    ends = [results[intent] for intent in intents]
    orders = tuple(order for end in ends if isinstance(end, CreatedOrders) for order in end)
    errors = tuple(end for end in ends if isinstance(end, SmscodeError))
    return BulkResult(orders, max(count - len(orders), 0), errors, intents)


def bought(results: Mapping[OrderIntent, CreatedOrders | SmscodeError]) -> list[OrderIntent]:
    """Return the calls that rented numbers."""
    return [intent for intent, end in results.items() if isinstance(end, CreatedOrders) and len(end)]
