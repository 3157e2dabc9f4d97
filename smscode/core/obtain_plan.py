"""The arguments of `orders.obtain`, checked, and what they mean in rupiah."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Protocol, TypeVar, cast

from attrs import frozen

from .. import _exact
from ..errors import ConfigurationError, InvalidArgumentError
from ..models import Country, Operator, Service
from ..money import FxRate, Money
from .api import arguments, orders
from .api.prices import PriceLimit, needs_rate
from .offers import Offer
from .product_search import NamedRow, NameOrId
from .purchases.intents import OrderIntent
from .timeouts import check_seconds, check_wait
from .versions import VERSIONS, ApiVersion
from .waiting.codes import code_pattern

LONGEST_WAIT = 1200.0
"""Seconds that an order lives, as the documentation shows it: a longer wait is a mistake."""

MOST_TRIES = 100
_MOST_OFFERS = 1_000
_MOST_KEYS = 10_000
_LONGEST_KEY = 128

T = TypeVar("T")


@frozen
class Search:
    """Which products to look for: one service, in any of some countries, of any of some operators."""

    service: NameOrId
    countries: tuple[NameOrId, ...]
    operators: tuple[NameOrId, ...]


@frozen
class ObtainPlan:
    """What a call of `orders.obtain` asks for.

    ``offers`` or ``search`` is what to buy, ``ladder`` the price limits of one number, one after the other.
    All times are in seconds. ``key`` is the caller's idempotency key, ``stored`` is True if a journal stores
    the purchases under it.
    """

    version: ApiVersion
    offers: tuple[Offer, ...]
    search: Search | None
    ladder: tuple[PriceLimit | None, ...]
    tries: int
    wait: float
    resend_after: float | None
    budget: PriceLimit | None
    timeout: float
    release_timeout: float
    pattern: re.Pattern[str] | None
    keep: bool
    by_success: bool
    key: str | None
    stored: bool

    @classmethod
    def of(cls, version: ApiVersion, *, stored: bool, **given: Any) -> ObtainPlan:
        """Check the arguments of `orders.obtain`; nothing is sent before.

        Raises `InvalidArgumentError`, and `ConfigurationError` if the idempotency key needs a journal.
        """
        offers, search = _wanted(given)
        key = given["idempotency_key"]
        resend_after, budget = given["resend_after"], given["budget"]
        plan = cls(
            version=version,
            offers=offers,
            search=search,
            ladder=_ladder(given["max_price"]),
            tries=arguments.integer("tries", given["tries"], 1, MOST_TRIES),
            wait=_wait(given["wait"]),
            resend_after=None if resend_after is None else check_seconds("resend_after", resend_after),
            budget=None if budget is None else PriceLimit("budget", budget),
            timeout=math.inf if given["timeout"] is None else check_seconds("timeout", given["timeout"]),
            release_timeout=check_wait(given["release_timeout"], "release_timeout"),
            pattern=code_pattern(given["pattern"]),
            keep=_flag("keep", given["keep"]),
            by_success=_by_success(given["prefer"]),
            key=None if key is None else _key(key),
            stored=stored,
        )
        plan._check()
        return plan

    def _check(self) -> None:
        """Check what several arguments mean together."""
        if self.offers and self.by_success:
            raise InvalidArgumentError("prefer, offers: given offers are tried in their order.")
        capped = [offer for offer in self.offers if offer.max_price is not None]
        if self.ladder == (None,):
            if self.budget is None and not capped:
                raise InvalidArgumentError(
                    "budget, max_price: give at least one, so that it is known what a code may cost."
                )
            if len(capped) < len(self.offers):
                raise InvalidArgumentError("offers: give each offer a max_price, or give max_price.")
        limits = [limit for _, limit in self.positions(0)]
        prices = [limit for limit in self.ladder if limit is not None]
        for limit in (self.budget, *limits, *prices):
            if limit is not None and not isinstance(limit.value, Money):
                VERSIONS[self.version].write(limit, None)
        if self.key is not None and not self.stored:
            if not self.offers:
                raise ConfigurationError(
                    "idempotency_key: give the client a journal, or give offers= with max_price: otherwise"
                    " a repeated call cannot know what was bought before."
                )
            if needs_rate(self.version, *(limit.value for limit in (*limits, *prices))):
                raise ConfigurationError(
                    "idempotency_key: without a journal, prices have to be in the currency of this version."
                )
        if self.budget is not None and (limits or prices):
            sizes = [_size(limit) for limit in limits or prices]
            currency, budget = _size(self.budget)
            if all(kind == currency and size > budget for kind, size in sizes):
                raise InvalidArgumentError("budget: below what the cheapest number may cost.")

    def positions(self, step: int) -> list[tuple[Offer, PriceLimit]]:
        """Return the given offers at a step of the ladder, each with its price limit."""
        found: list[tuple[Offer, PriceLimit]] = []
        for offer in self.offers:
            price, limit = offer.max_price, self.ladder[step]
            if price is not None:
                limit = PriceLimit("max_price", price)
            assert limit is not None, "each offer has a limit, or the ladder has"
            found.append((offer, limit))
        return found

    def intent(self, offer: Offer, limit: PriceLimit, key: str | None, fx: FxRate | None) -> OrderIntent:
        """Return the purchase of one number, frozen."""
        # Without a journal a repeated call has to send the same bytes, whatever the rate is by then.
        rate = None if self.key is not None and not self.stored else fx
        call = orders.create(
            product_id=offer.product_id,
            catalog_product_id=offer.catalog_product_id,
            operator_id=offer.operator_id,
            max_price=limit.value,
            idempotency_key=key,
            fx=rate,
        )
        return OrderIntent.of(call, self.version)

    def money(self, rupiah: int, fx: FxRate | None) -> Money:
        """Return an amount as this version states it, in rupiah if there is no rate."""
        if VERSIONS[self.version].currency == "IDR" or (fx is None and rupiah):
            return Money.idr(rupiah)
        dollars = Decimal("0.0000") if fx is None else fx.to_usd(rupiah, places=4)
        return Money(dollars, "USD", rupiah)

    def key_of(self, number: int) -> str | None:
        """Return the idempotency key of a purchase, counted from 1; None to make one up."""
        return None if self.key is None else f"{self.key}-{number}"


class OfferFigures(Protocol):
    """How the orders of an offer did, such as an `OfferStats`."""

    @property
    def catalog_product_id(self) -> int | None:
        """Its ``catalog_product_id``, None if the figures are of a ``product_id``."""
        ...

    @property
    def product_id(self) -> int | None:
        """Its ``product_id``."""
        ...

    @property
    def success_low(self) -> float | None:
        """The lower limit of the share of numbers that got a code; None if nothing is known."""
        ...


def best_first(offers: Iterable[Offer], figures: Iterable[OfferFigures]) -> tuple[Offer, ...]:
    """Sort offers by how surely they gave codes, those without orders last; equal ones keep their order."""
    known = {(one.catalog_product_id, one.product_id): one.success_low or 0.0 for one in figures}

    def success(offer: Offer) -> float:
        return known.get((offer.catalog_product_id, offer.product_id), 0.0)

    return tuple(sorted(offers, key=success, reverse=True))


def _wanted(given: dict[str, Any]) -> tuple[tuple[Offer, ...], Search | None]:
    offers = given["offers"]
    names = [name for name in ("service", "country", "operator") if given[name] is not None]
    if offers is not None:
        if names:
            raise InvalidArgumentError(f"offers, {names[0]}: expected only one of them.")
        if not _is_several(offers):
            raise arguments.wrong("offers", "a list or tuple", offers)
        found = tuple(arguments.instance("offers", offer, Offer) for offer in offers)
        if not 1 <= len(found) <= _MOST_OFFERS:
            raise InvalidArgumentError(f"offers: expected 1..{_MOST_OFFERS} offers, got {len(found)}.")
        return found, None
    if given["service"] is None:
        raise InvalidArgumentError("service, offers: give one, to say what to buy.")
    countries = _names("country", given["country"], Country)
    operators = _names("operator", given["operator"], Operator)
    return (), Search(NameOrId.of("service", given["service"], Service), countries, operators)


def _names(name: str, value: object, row: type[NamedRow]) -> tuple[NameOrId, ...]:
    """Return the names of an argument that takes one or several, at least one."""
    several = _listed(value)
    found = tuple(NameOrId.of(name, one, row) for one in several)
    if not found or (len(found) > 1 and None in several):
        raise InvalidArgumentError(f"{name}: expected at least one, none of them None; omit it for any.")
    return found


def _ladder(value: object) -> tuple[PriceLimit | None, ...]:
    if value is None:
        return (None,)
    limits = [PriceLimit("max_price", price) for price in _listed(value)]
    if not limits:
        raise InvalidArgumentError("max_price: expected at least one price.")
    for one, next_ in pairwise(map(_size, limits)):
        if one[0] != next_[0]:
            raise InvalidArgumentError("max_price: give all prices of the ladder in the same currency.")
        if next_[1] < one[1]:
            raise InvalidArgumentError("max_price: each price has to be at least the one before.")
    return tuple(limits)


def _size(limit: PriceLimit) -> tuple[str, Decimal]:
    """Return what a limit can be compared by without a rate: its currency and its amount."""
    value = limit.value
    if isinstance(value, Money):
        return "IDR", Decimal(value.canonical_amount)
    return ("IDR", Decimal(value)) if isinstance(value, int) else ("USD", Decimal(value))


def _wait(value: object) -> float:
    seconds = check_seconds("wait", value)
    if seconds > LONGEST_WAIT:
        raise InvalidArgumentError(
            f"wait: expected at most {LONGEST_WAIT:g} seconds, after which an order has ended."
        )
    return seconds


def _by_success(value: object) -> bool:
    if value not in ("price", "success"):
        raise InvalidArgumentError("prefer: expected 'price' or 'success'.")
    return value == "success"


def _flag(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise arguments.wrong(name, "True or False", value)
    return value


def _key(value: object) -> str:
    key = arguments.idempotency_key(value)
    longest = _LONGEST_KEY - len(f"-{_MOST_KEYS}")
    if len(key) > longest:
        raise InvalidArgumentError(f"idempotency_key: expected 1..{longest} characters, to number them.")
    return key


def _is_several(value: object) -> bool:
    return _exact.text(value) is None and isinstance(value, Iterable)


def _listed(value: object) -> Sequence[Any]:
    """Return the values of an argument that takes one or several."""
    return list(cast(Iterable[Any], value)) if _is_several(value) else [value]
