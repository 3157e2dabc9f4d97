"""What `orders.obtain` may buy and has bought: offers, tries, and the result."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from .._fields import mask
from ..errors import SmscodeError
from ..models import OtpSms, Sms
from ..money import Money
from .api import orders
from .api.prices import Price
from .order_endings import Released

TryResult: TypeAlias = Literal["code", "late_code", "no_code", "refused", "not_bought", "in_doubt"]
"""What came of a try.

``code``: its code is the result. ``late_code``: a code came, and another one is the result, or none was
waited for any more. ``no_code``: no code came. ``refused``: `NumberRefused` was raised for the number.
``not_bought``: the service refused the purchase. ``in_doubt``: whether the number was bought is not known;
the purchase is in `orders.unresolved`.
"""


@frozen(kw_only=True)
class Offer:
    """What one try of `orders.obtain` buys: one number of a product.

    Exactly one of ``catalog_product_id`` and ``product_id`` is required; ``operator_id`` needs the former.
    ``max_price`` is the most that the number may cost, as in `orders.create`; None means what ``max_price``
    of `obtain` says. ``price`` and ``name`` are those of the catalogue, where it was searched.

    Raises `InvalidArgumentError` for a wrong value.
    """

    catalog_product_id: int | None = None
    product_id: int | None = None
    operator_id: int | None = None
    max_price: Price | None = None
    price: Money | None = None
    name: str | None = None

    def __attrs_post_init__(self) -> None:
        orders.create(
            product_id=self.product_id,
            catalog_product_id=self.catalog_product_id,
            operator_id=self.operator_id,
            max_price=self.max_price,
        )


@frozen(kw_only=True)
class Try:
    """One number that `orders.obtain` bought, or tried to buy.

    ``offer`` is None for a purchase of an earlier call with the same idempotency key. ``spent`` is what was
    charged less what was refunded; of a purchase in doubt it is what it may have cost. ``released`` says what
    became of the number, and is None if it is still open: then ``error`` may say why. ``error`` is also why
    a number was not bought.
    """

    result: TryResult
    idempotency_key: str
    offer: Offer | None
    spent: Money
    order_id: int | None = None
    phone_number: str | None = field(default=None, repr=mask)
    sms: Sms | None = None
    released: Released | None = None
    error: SmscodeError | None = None


@frozen(kw_only=True)
class Obtained:
    """The result of `orders.obtain`: a code, the number it came to, and what was spent on all tries."""

    sms: OtpSms
    order_id: int
    phone_number: str | None = field(repr=mask)
    spent: Money
    tried: tuple[Try, ...]

    @property
    def code(self) -> str:
        """The code."""
        return self.sms.code


class CodeNotObtainedError(SmscodeError):
    """`orders.obtain` ended without a code.

    ``reason`` is "tries" (all numbers that it may buy were tried), "offers" (there was nothing left to buy
    within the price limits), "budget", "timeout", or "error": then ``__cause__`` is the error. ``tried`` are
    the numbers that were bought and the purchases that were refused, each a `Try`. ``spent`` is the `Money`
    that they cost, less what was refunded; what is still open, or in doubt, may be refunded later.

    ``outcome`` is "failed" if nothing was spent and nothing is open, else "unknown".
    """

    reason: str = "error"
    tried: tuple[Try, ...] = ()
    spent: Money | None = None
