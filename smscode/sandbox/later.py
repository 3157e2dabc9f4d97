"""Answers that have to wait for something outside the service's lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from .purchases import Settling
from .refusal import Json
from .webhooks import Delivery


@define
class Probe:
    """A webhook test: its delivery, afterwards with the status that it was answered with."""

    delivery: Delivery


@define
class Lookup:
    """A host name, and afterwards the addresses that it resolves to."""

    host: str
    addresses: tuple[str, ...] = ()


@frozen
class Result:
    """What an operation answers: ``meta`` is left out when empty."""

    data: Json
    meta: Mapping[str, Json] = field(factory=dict[str, Json])


@frozen
class Later:
    """An operation that goes on when something has happened; ``finish`` then gives its result.

    What happens is written into ``awaited``. ``finish`` is called under the lock and may refuse.
    """

    awaited: Probe | Lookup | Settling
    finish: Callable[[], Result]


Outcome: TypeAlias = Result | Later
