"""The invariants: what the server's books and the client's reports must say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tests.faults.harness import Book


@dataclass(frozen=True)
class Report:
    """What a caller was told about one call.

    ``intent`` names a purchase, independent of its key; it is empty for other calls. ``orders`` are
    the ids that came back. ``outcome`` is None for a success, and otherwise what the error says:
    "not_sent", "rejected", "failed" or "unknown"; ``error`` is the name of its class. ``foreign`` marks an
    error that no caller should see, ``leaked`` one that holds the token, ``garbled`` a success with
    data that the server did not send. ``late`` are seconds beyond the deadline. ``target`` is the order
    that a call other than a purchase was about.
    """

    call: str
    intent: str = ""
    orders: tuple[int, ...] = ()
    outcome: str | None = None
    error: str = ""
    key: str | None = None
    attempts: int = 0
    foreign: bool = False
    leaked: bool = False
    garbled: bool = False
    late: float = 0.0
    target: int = 0


@dataclass(frozen=True)
class Verdict:
    """Count what must never happen; a correct run has only zeros.

    ``duplicates``: purchases beyond the first of an intent. ``lost``: intents that the caller was told
    nothing true about, or that have no order although everything was tried. ``orphans``: orders that
    nobody was told of and whose key nobody holds. ``off_by``: rupiah. ``lies``: "not_sent" or "rejected"
    about a purchase that was made, "failed" about one that lives. ``foreign``: errors of a class that is not
    the package's, ``leaks``: errors that hold the token. ``resends``: beyond one per call. ``garbled``:
    successes with wrong or partial data.
    """

    duplicates: int = 0
    lost: int = 0
    orphans: int = 0
    off_by: int = 0
    lies: int = 0
    foreign: int = 0
    leaks: int = 0
    resends: int = 0
    garbled: int = 0

    @property
    def right(self) -> bool:
        """Return True if every invariant holds."""
        return self == Verdict()

    def __str__(self) -> str:
        return ", ".join(f"{name} {count}" for name, count in vars(self).items() if count) or "right"


def duplicates(book: Book) -> int:
    """Count the purchases beyond the first of each intent, whatever their keys."""
    return sum(count - 1 for count in book.purchases.values())


def lost(book: Book, wanted: Collection[str], reports: Iterable[Report], *, settled: bool) -> int:
    """Count the intents that came to nothing true.

    An intent counts when it has no report; when an order was returned that the server does not
    have for it; and, once everything was ``settled``, when no order of it came back at all.
    """
    owned = {(order.id, order.intent) for order in book.orders}
    told: dict[str, bool] = {}
    wrong: set[str] = set()
    for report in reports:
        told[report.intent] = told.get(report.intent, False) or bool(report.orders)
        if any((order, report.intent) not in owned for order in report.orders):
            wrong.add(report.intent)
    missing = {intent for intent in wanted if intent not in told or (settled and not told[intent])}
    return len(missing | wrong)


def orphans(book: Book, reports: Iterable[Report], held: Collection[str]) -> int:
    """Count the orders that were not returned and whose key is neither on an error nor ``held``."""
    returned: set[int] = set()
    keys = set(held)
    for report in reports:
        returned.update(report.orders)
        if report.outcome is not None and report.key is not None:
            keys.add(report.key)
    return sum(order.id not in returned and order.key not in keys for order in book.orders)


def lies(book: Book, reports: Iterable[Report]) -> int:
    """Count the errors that deny a purchase that was made."""
    made = {order.intent for order in book.orders}
    living = {order.intent for order in book.orders if order.status != "CANCELED"}
    denial: Mapping[str | None, set[str]] = {"not_sent": made, "rejected": made, "failed": living}
    return sum(report.intent in denial.get(report.outcome, ()) for report in reports if report.intent)


def resends(book: Book, reports: Iterable[Report]) -> int:
    """Count the resends beyond one per call."""
    asked = Counter(report.target for report in reports if report.call == "resend")
    return sum(max(0, order.resends - asked[order.id]) for order in book.orders)


def judge(
    book: Book,
    wanted: Collection[str],
    reports: Collection[Report],
    held: Collection[str] = (),
    *,
    settled: bool = True,
) -> Verdict:
    """Hold the books against the reports; ``held`` are the keys of purchases known to be unresolved."""
    return Verdict(
        duplicates=duplicates(book),
        lost=lost(book, wanted, reports, settled=settled),
        orphans=orphans(book, reports, held),
        off_by=book.off_by,
        lies=lies(book, reports),
        foreign=sum(report.foreign for report in reports),
        leaks=sum(report.leaked for report in reports),
        resends=resends(book, reports),
        garbled=sum(report.garbled for report in reports),
    )
