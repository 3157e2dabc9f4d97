"""The members of the enumerations as literal types, so that a type checker finds a wrong one.

At run time a text may be in upper or lower case.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

StatusName: TypeAlias = Literal["ACTIVE", "OTP_RECEIVED", "COMPLETED", "CANCELED", "EXPIRED"]
"""The texts of `OrderStatus`."""

SortName: TypeAlias = Literal[
    "price_asc", "price_desc", "available_asc", "available_desc", "name_asc", "name_desc"
]
"""The texts of `ProductSort`."""

PolicyName: TypeAlias = Literal["cheapest", "best_success"]
"""The texts of `RoutingPolicy`."""
