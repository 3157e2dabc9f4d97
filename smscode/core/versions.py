"""The versions of the API: everything in which one differs from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, TypeAlias

from attrs import frozen

from .._value import Value
from ..errors import InvalidArgumentError
from ..money import FxRate

ApiVersion: TypeAlias = Literal["v1", "v2"]


class WritableLimit(Protocol):
    """A price limit that can be written for any version."""

    def in_rupiah(self) -> int:
        """Return it in whole rupiah. Raises `InvalidArgumentError` if it is in dollars."""
        ...

    def in_dollars(self, fx: FxRate | None) -> str:
        """Return it in dollars. Raises `InvalidArgumentError` if that takes a rate and ``fx`` is None."""
        ...


@frozen(eq=False, repr=False)
class Version(Value):
    """One version of the API.

    ``prefix`` begins the path of each endpoint. ``currency`` is that of the amounts it states.
    ``money_parts`` are the fields of an amount in JSON with their usual types (the converter also takes a
    number for a string); they are empty where an amount is an integer of rupiah. ``write`` writes a price
    limit as requests carry it.
    """

    prefix: str
    currency: Literal["IDR", "USD"]
    money_parts: Mapping[str, type]
    write: Callable[[WritableLimit, FxRate | None], int | str]


VERSIONS: Final[Mapping[ApiVersion, Version]] = {
    "v1": Version("/v1", "IDR", {}, lambda limit, _: limit.in_rupiah()),
    "v2": Version(
        "/v2",
        "USD",
        {"amount": str, "currency": str, "canonical_amount": int, "canonical_currency": str},
        lambda limit, fx: limit.in_dollars(fx),
    ),
}
"""Every version. One that is missing here is a KeyError wherever it is used, never another version."""


def check_version(name: str, value: object) -> ApiVersion:
    """Return the version that a caller named. Raises `InvalidArgumentError` if there is none of that name."""
    for version in VERSIONS:
        if version == value:
            return version
    raise InvalidArgumentError(f"{name}: expected {' or '.join(map(repr, VERSIONS))}.")
