"""What requests may carry, described once: the sandbox checks by it, and the OpenAPI document states it.

The client's own checks are stricter where the service is lenient (it moves a ``limit`` into its
range, say): a caller's mistake is better found before anything is sent.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, TypeAlias

from attrs import frozen

from ...money import Rounding

INT32: Final = (-(2**31), 2**31 - 1)
INT64: Final = (-(2**63), 2**63 - 1)
KEY_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What an idempotency key looks like."""


@frozen
class Whole:
    """A whole number of ``low..high``; with ``moved`` one outside is moved to the nearer end."""

    low: int
    high: int
    clamped: bool = False


@frozen
class Text:
    """A string of at most ``longest`` characters; ``pattern`` is found in it."""

    longest: int | None = None
    pattern: str | None = None


@frozen
class OneOf:
    """A member of an enumeration, in any case of letters with ``any_case``.

    With ``open`` anything else means the default.
    """

    members: type[StrEnum]
    any_case: bool = False
    lenient: bool = False


@frozen
class Limit:
    """A price limit: whole rupiah on v1; on v2 a string of dollars, made rupiah by ``rounding``."""

    rounding: Rounding


ParameterType: TypeAlias = Whole | Text | OneOf | Limit


@frozen(kw_only=True)
class Parameter:
    """Something that a request carries, in its query or in its body.

    ``about`` says what it is for. ``nullable``: null is as good as leaving it out. ``newer``: only the
    current generation of the service knows it. ``routed``: it goes with ``catalog_product_id`` alone;
    ``routed_newer``: in the current generation it does.
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
