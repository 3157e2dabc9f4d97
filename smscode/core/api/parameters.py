"""The parameters of requests, described once for the sandbox's checks and the OpenAPI document.

The client's own checks are stricter where the service is lenient (for example, it clamps a ``limit`` to its
range), so that a caller's mistake is found before anything is sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

from attrs import frozen

from ...money import Rounding
from .arguments import INT32


@frozen
class Whole:
    """A whole number of ``low..high``. With ``clamped``, another number becomes the nearer end."""

    low: int
    high: int
    clamped: bool = False


@frozen
class Text:
    """A string of at most ``longest`` characters in which ``pattern`` is found."""

    longest: int | None = None
    pattern: str | None = None


@frozen
class OneOf:
    """A member of an enumeration; with ``any_case`` in upper or lower case.

    With ``lenient``, any other value means the default.
    """

    members: type[StrEnum]
    any_case: bool = False
    lenient: bool = False


@frozen
class Limit:
    """A price limit: whole rupiah on v1; on v2 a string of dollars, converted with ``rounding``."""

    rounding: Rounding


ParameterType: TypeAlias = Whole | Text | OneOf | Limit


@frozen(kw_only=True)
class Parameter:
    """A parameter of a request, in its query or in its body.

    ``about`` describes it. ``nullable`` is True if null means the same as leaving it out, ``current_only`` if
    only the current generation of the service has it. ``needs_catalog_product`` is True if it is refused
    without ``catalog_product_id``, ``needs_catalog_product_currently`` if the current generation refuses
    that.
    """

    name: str
    kind: ParameterType
    about: str
    required: bool = False
    default: int | str | None = None
    nullable: bool = False
    current_only: bool = False
    needs_catalog_product: bool = False
    needs_catalog_product_currently: bool = False

    def is_for_catalog_product(self, *, current: bool) -> bool:
        """Return True if it is refused beside ``product_id``, in the current generation or the older one."""
        return self.needs_catalog_product or (current and self.needs_catalog_product_currently)


ORDER_ID: Final = Parameter(name="id", kind=Whole(1, INT32[1]), about="The order.", required=True)
