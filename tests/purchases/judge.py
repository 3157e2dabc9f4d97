"""The five invariants, and that nothing is lost: what the server's books and the diaries say together.

It imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.harness import Book
from tests.purchases.diary import Fact

Invariant = Literal["I1", "I2", "I3", "I4", "I5", "I6", "broken"]

LAWS: dict[Invariant, str] = {
    "I1": "at most one purchase per key",
    "I2": "every paid order is in a result, in unresolved() or bought(), and in the next recover()",
    "I3": "nothing is bought after its caller was told that it was not",
    "I4": "the event loop is never held",
    "I5": "deadlines are kept, and cancellations at once",
    "I6": "no lock, slot or lane is lost",
    "broken": "nothing else goes wrong",
}

_LONGEST_HOLD = 0.25
_LATEST = 0.25
_DENIALS = ("not_sent", "rejected", "failed")


@dataclass(frozen=True)
class Violation:
    """A law that was broken, where, and how."""

    law: Invariant
    point: str
    text: str

    def __str__(self) -> str:
        return f"{self.law} {self.point}: {self.text}"


@dataclass
class Point:
    """What the diary says of one point."""

    name: str
    journal: bool = True
    durable: bool = True
    intents: dict[str, str] = field(default_factory=dict[str, str])
    facts: list[Fact] = field(default_factory=list[Fact])

    def of(self, *what: str) -> Iterator[Fact]:
        """Yield the facts of these kinds, in order."""
        return (fact for fact in self.facts if fact.what in what)


def points_of(facts: Iterable[Fact]) -> dict[str, Point]:
    """Sort facts by their points."""
    points: dict[str, Point] = {}
    for fact in facts:
        point = points.setdefault(fact.point, Point(fact.point))
        point.facts.append(fact)
        if fact.what == "point":
            point.journal, point.durable = fact["journal"], fact["durable"]
        elif fact.what == "asked":
            point.intents[fact["key"]] = fact["intent"]
    return points


def judge(book: Book, facts: Iterable[Fact]) -> list[Violation]:
    """Hold the books against the diaries."""
    found: list[Violation] = []
    status = {order.id: order.status for order in book.orders}
    for point in points_of(facts).values():
        for law, text in (*_duplicates(book, point), *_money(book, point, status), *_conduct(point)):
            found.append(Violation(law, point.name, text))
    return found


Finding = tuple[Invariant, str]


def _duplicates(book: Book, point: Point) -> Iterator[Finding]:
    """I1: by key, also where the service forgot its keys; and by intent, whatever the keys were."""
    keys_of: dict[str, int] = {}
    for key, intent in point.intents.items():
        if len(book.made.get(key, ())) > 1:
            yield "I1", f"{key} was bought {len(book.made[key])} times"
        if intent:
            keys_of[intent] = keys_of.get(intent, 0) + 1
    for intent, keys in keys_of.items():
        if book.purchases.get(intent, 0) > keys:
            yield "I1", f"{intent} was bought {book.purchases[intent]} times"


def _money(book: Book, point: Point, status: dict[int, str]) -> Iterator[Finding]:
    """I2 and I3, key by key."""
    returned = {order for fact in point.of("result") for order in fact["orders"]}
    rows = {row["key"]: row for fact in point.of("recovered") for row in fact["rows"]}
    recovered = {order for fact in point.of("recovered") for row in fact["rows"] for order in row["orders"]}
    unsettled = {key for key, row in rows.items() if not row["orders"]}
    last = _last_recover(point)
    held_at_end = {order for fact in point.of("listed") for order in fact["bought"]}
    keys_at_end = {key for fact in point.of("listed") for key in fact["unresolved"]}
    for key in point.intents:
        purchases = book.made.get(key, ())
        if not purchases:
            continue
        yield from _denials(point, key)
        gone = {order for _, orders in purchases for order in orders if status[order] == "CANCELED"}
        yield from _unlisted(point, key, purchases, returned | gone)
        living = {order for _, orders in purchases for order in orders} - gone
        lost = living - returned - recovered
        if point.journal and point.durable:
            lost = set[int]() if key in unsettled else lost
            if last is not None and living and not lost and key not in last:
                lost = living
                yield "I2", f"{key}: {_few(lost)} paid and alive, but not in the last recover()"
                continue
        else:
            lost = set[int]() if key in keys_at_end else lost - held_at_end
        if lost:
            yield "I2", f"{key}: {_few(lost)} paid and given to no caller"


def _last_recover(point: Point) -> set[str] | None:
    """Return the keys in the last complete answer of `recover`; None where there was none."""
    keys: set[str] | None = None
    for fact in point.of("recovered"):
        keys = {row["key"] for row in fact["rows"]}
    return keys


def _denials(point: Point, key: str) -> Iterator[Finding]:
    for fact in point.of("error"):
        if fact["key"] == key and fact["outcome"] in _DENIALS:
            yield "I3", f"{key}: bought, and told {fact['outcome']!r} ({fact['error']})"
            return


def _unlisted(
    point: Point, key: str, purchases: tuple[tuple[float, tuple[int, ...]], ...], settled: set[int]
) -> Iterator[Finding]:
    """Find a purchase that its client did not list after the call was over, and that was not settled.

    To leave a purchase out is to say that it was not made: if it was made before, it is lost (I2), if
    afterwards, it was bought after its caller was told that it was not (I3).
    """
    for fact in point.of("listed"):
        if key not in fact["after"] or key in fact["unresolved"]:
            continue
        for made, orders in purchases:
            if set(orders) <= (settled | set(fact["bought"])):
                continue
            if made <= fact.at:
                yield "I2", f"{key}: bought, but not in unresolved() or bought() when its call was over"
            else:
                yield "I3", f"{key}: bought after its call was over and it was not in unresolved()"
            return


def _conduct(point: Point) -> Iterator[Finding]:
    """I4, I5, I6, and whatever else went wrong."""
    for fact in point.facts:
        match fact.what:
            case "held" if fact["seconds"] > _LONGEST_HOLD:
                yield "I4", f"the event loop stood still for {fact['seconds']:.2f} s"
            case "late" if fact["seconds"] > _LATEST:
                yield "I5", f"{fact['call']} was over {fact['seconds']:.2f} s late"
            case "stuck":
                yield "I6", fact["error"]
            case "broken":
                yield "broken", fact["text"]
            case _:
                pass


def _few(orders: set[int]) -> str:
    return f"{len(orders)} orders ({', '.join(map(str, sorted(orders)[:3]))})"
