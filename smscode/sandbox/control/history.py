"""The history of a sandbox: requests, events and changes in order, for people and for tests.

Entries are plain values with the sandbox's time. None of them contains a token, a webhook's secret, or
the query of a URL, which may contain either.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Final, TypeAlias, cast
from urllib.parse import urlsplit

from attrs import AttrsInstance, asdict, frozen

from ...models import OrderStatus
from ...money import Money
from ..http.api_error import Json

DEFAULT_LIMIT: Final = 10_000
"""How many entries a sandbox keeps by default."""
_PATH_SHOWN: Final = 200


@frozen
class RequestAnswered:
    """A request. ``operation`` is its endpoint's name, ``status`` is None while there is no answer.

    ``code`` is that of an error, ``order_ids`` are the orders that it was about, ``scenarios`` the names of
    those that changed it. ``lost``: the connection broke instead of the answer.
    """

    at: datetime
    request_id: str
    method: str
    path: str
    status: int | None
    operation: str | None = None
    code: str | None = None
    order_ids: tuple[int, ...] = ()
    scenarios: tuple[str, ...] = ()
    lost: bool = False

    def __str__(self) -> str:
        shown = f"{_time(self.at)} {self.method} {self.path} -> "
        if self.status is None:
            shown += "lost" if self.lost else "not yet"
        else:
            shown += f"{self.status} {self.code}" if self.code else str(self.status)
            shown += ", which is lost" if self.lost else ""
        if self.order_ids:
            some = ", ".join(map(str, self.order_ids[:3]))
            left = len(self.order_ids) - 3
            shown += f", order {some}" + (f" and {left} more" if left > 0 else "")
        played = f" [{', '.join(self.scenarios)}]" if self.scenarios else ""
        return f"{shown} ({self.request_id}){played}"


@frozen
class OrderRented:
    """A number was rented for ``price`` rupiah; ``parent_id`` is the order that had it before."""

    at: datetime
    order_id: int
    product_id: int
    phone_number: str
    price: int
    parent_id: int | None = None

    def __str__(self) -> str:
        again = "" if self.parent_id is None else f", again after order {self.parent_id}"
        price = Money.idr(self.price)
        return (
            f"{_time(self.at)} order {self.order_id}: rented {self.phone_number}, "
            f"product {self.product_id}, for {price}{again}"
        )


@frozen
class SmsReceived:
    """An SMS arrived; ``code`` is the code that the service found in its ``text``, None for none."""

    at: datetime
    order_id: int
    revision: int
    code: str | None
    text: str

    def __str__(self) -> str:
        found = "no code" if self.code is None else f"code {self.code}"
        return f"{_time(self.at)} order {self.order_id}: SMS {self.revision}, {found}: {self.text!r}"


@frozen
class OrderEnded:
    """An order ended, and ``refund`` rupiah were refunded for it."""

    at: datetime
    order_id: int
    status: OrderStatus
    refund: int

    def __str__(self) -> str:
        back = f", {Money.idr(self.refund)} refunded" if self.refund else ""
        return f"{_time(self.at)} order {self.order_id}: {self.status.value}{back}"


@frozen
class WebhookSent:
    """A webhook was sent; ``status`` is that of the answer, None if the endpoint could not be reached."""

    at: datetime
    url: str
    event: str
    order_id: int | None
    attempt: int
    status: int | None

    def __str__(self) -> str:
        order = "" if self.order_id is None else f" of order {self.order_id}"
        answer = "not reached" if self.status is None else str(self.status)
        return f"{_time(self.at)} webhook {self.event}{order}, attempt {self.attempt}: {self.url} -> {answer}"


@frozen
class TimeAdvanced:
    """The sandbox's time was moved forward by ``seconds``, to ``at``."""

    at: datetime
    seconds: float

    def __str__(self) -> str:
        return f"{_time(self.at)} time: {self.seconds:g} seconds ahead"


@frozen
class ScenarioChosen:
    """Scenarios were chosen for a ``place``; an empty tuple: those chosen for it were cleared."""

    at: datetime
    scenarios: tuple[str, ...]
    place: str

    def __str__(self) -> str:
        return f"{_time(self.at)} scenario for {self.place}: {', '.join(self.scenarios) or 'none any more'}"


@frozen
class SettingChanged:
    """A setting of the account or the service was changed to a ``value``."""

    at: datetime
    name: str
    value: float | str | None

    def __str__(self) -> str:
        return f"{_time(self.at)} set {self.name}: {'none' if self.value is None else self.value}"


Entry: TypeAlias = (
    RequestAnswered
    | OrderRented
    | SmsReceived
    | OrderEnded
    | WebhookSent
    | TimeAdvanced
    | ScenarioChosen
    | SettingChanged
)
"""The types of entries."""


class History:
    """The last ``limit`` entries; ``total`` also counts the older ones, which were dropped."""

    def __init__(self, limit: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=limit)
        self.total: int = 0

    def add(self, *entries: Entry) -> None:
        """Add entries."""
        self.total += len(entries)
        self.entries.extend(entries)

    @property
    def forgotten(self) -> int:
        """How many entries there were before those that are still here."""
        return self.total - len(self.entries)

    def clear(self) -> None:
        """Drop all entries; they still count."""
        self.entries.clear()

    def since(self, number: int, limit: int) -> tuple[Entry, ...]:
        """Return at most ``limit`` entries after the first ``number`` of ``total``."""
        begin = max(0, number - self.forgotten)
        return tuple(islice(self.entries, begin, begin + limit))


def entry_json(entry: Entry) -> Json:
    """Return an entry's type, summary and fields."""
    return {"kind": type(entry).__name__, "summary": str(entry), **fields_json(entry)}


def fields_json(value: AttrsInstance) -> dict[str, Json]:
    """Return the fields of an attrs instance as JSON."""
    return asdict(value, value_serializer=lambda _, __, item: _plain(item))


def shown_path(path: str, token: str) -> str:
    """Return a path of at most 200 characters; the token is masked if the path contains it."""
    path = path.replace(token, "***") if token else path
    return path if len(path) <= _PATH_SHOWN else f"{path[:_PATH_SHOWN]}..."


def shown_url(url: str) -> str:
    """Return a webhook's URL without what may be secret: user, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _plain(value: object) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    return list(cast("tuple[Json, ...]", value)) if isinstance(value, tuple) else cast(Json, value)


def _time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds")[:23]
