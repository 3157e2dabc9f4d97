"""What a journal stores of a purchase, and the steps that change it.

A `PurchaseRecord` is one row of a journal. A `PurchaseStep` is a pure function from the stored record, or
None, to the record that replaces it and a result. A journal applies steps one after the other and stores the
results, so all rules about money are here and none in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ...errors import ClientStateError, InvalidArgumentError, PurchaseTooOldError
from .intents import OrderIntent

R = TypeVar("R")

_LARGEST = 2**63 - 1  # what a row can hold

FUTURE = 60.0
"""Seconds by which a clock may have been set back. A purchase dated further ahead has an unknown age."""


class PurchaseState(StrEnum):
    """How far a stored purchase got. Whether its caller has the orders is `PurchaseRecord.handed_at`."""

    WRITTEN = "written"
    """Its first byte may have been sent; the result is not known."""
    BOUGHT = "bought"
    """The service answered with its orders, or with none."""
    REFUSED = "refused"
    """The service answered that it bought nothing and will not, under this key."""
    WITHDRAWN = "withdrawn"
    """Its call ended before the first byte was sent."""


@frozen
class BoughtOrder:
    """An order of a purchase: times in seconds of the wall clock, money in canonical rupiah.

    ``charged`` and ``refunded`` are None where they are not known.
    """

    id: int
    expires_at: float | None = None
    charged: int | None = None
    refunded: int | None = None
    ended_at: float | None = None


@frozen(kw_only=True)
class PurchaseRecord:
    """A purchase as a journal stores it; all times are seconds of the wall clock, None if not yet.

    ``credential`` names the token it was written under, without showing it. ``cap`` is the most that the
    purchase can cost, in rupiah, None where the caller set no limit. ``open_until`` is when the last
    attempt had surely ended, None for a call without a time limit. A record is of a living purchase
    until ``closed_at``.
    """

    account: str
    credential: str
    intent: OrderIntent
    owner: str
    written_at: float
    state: PurchaseState = PurchaseState.WRITTEN
    cap: int | None = None
    open_until: float | None = None
    answered_at: float | None = None
    handed_at: float | None = None
    closed_at: float | None = None
    orders: tuple[BoughtOrder, ...] = field(default=())

    @property
    def open(self) -> bool:
        """Whether it still has to be settled, or has orders to follow."""
        return self.closed_at is None and self.state in (PurchaseState.WRITTEN, PurchaseState.BOUGHT)

    @property
    def charged(self) -> int:
        """The rupiah that were charged, as far as they are known."""
        return min(sum(order.charged or 0 for order in self.orders), _LARGEST)

    @property
    def refunded(self) -> int:
        """The rupiah that were refunded, as far as they are known."""
        return min(sum(order.refunded or 0 for order in self.orders), _LARGEST)


def age_of(written_at: float, now: float) -> float:
    """Return the seconds since a purchase was written, infinity if the clock was set back since then."""
    age = now - written_at
    return max(age, 0.0) if age >= -FUTURE else float("inf")


Living: TypeAlias = Callable[[str], bool]
"""Returns True if the journal of this owner is still open, in this process or another one."""

PurchaseStep: TypeAlias = Callable[[PurchaseRecord | None, Living], tuple[PurchaseRecord | None, R]]
"""Returns the record to store, the same object if nothing changes, and a result. It may raise an error of
this package, and then nothing changes."""


@frozen
class KnownKeys:
    """What was stored under a key before a purchase was written: ``state`` is None for nothing open."""

    state: PurchaseState | None = None
    open_until: float | None = None
    written_at: float | None = None


class Writing:
    """How one call writes its purchase to a journal before it sends it, and withdraws it again.

    ``known`` is what was stored before, set when the purchase is written. Only a row that this call created
    is withdrawn: an older row is of an earlier try, which may have bought.
    """

    def __init__(
        self, new: PurchaseRecord, max_age: float, *, only_open: bool = False, rule: Any = None
    ) -> None:
        """Prepare to write ``new``. With ``only_open``, only if it is stored as in doubt.

        ``rule`` is the `SpendingRule` that it has to keep to if it is added.
        """
        self.new = new
        self.rule = rule
        self.look: Any = None  # a query for what the journal has, made if writing takes long
        self.known: KnownKeys | None = None
        self.operation: Any = None  # the journal's, to abandon it
        self.failed = False  # True if it was certainly not written
        self._max_age = max_age
        self._only_open = only_open

    def write(self, record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, KnownKeys]:
        """Store a purchase before it is sent; the result is what was stored before. This is a step.

        Nothing may be sent if it raises: `InvalidArgumentError` if the key belongs to another order,
        `ClientStateError` if another living process has the purchase under way, `PurchaseTooOldError` if it
        was first written more than ``max_age`` seconds ago.
        """
        record, self.known = self._written(record, living)
        return record, self.known

    def _written(
        self, record: PurchaseRecord | None, living: Living
    ) -> tuple[PurchaseRecord | None, KnownKeys]:
        new = self.new
        if (
            self._only_open
            and record is not None
            and not (record.open and record.state is PurchaseState.WRITTEN)
        ):
            raise settled_meanwhile()
        if record is None or record.state in (PurchaseState.REFUSED, PurchaseState.WITHDRAWN):
            return new, KnownKeys()
        if not record.intent.same_order(new.intent):
            raise another_order("the journal")
        if record.state is PurchaseState.WRITTEN and record.owner != new.owner and living(record.owner):
            raise under_way("another process")
        age = age_of(record.written_at, new.written_at)
        if age > self._max_age:
            raise too_old(age, self._max_age)
        known = KnownKeys(record.state, record.open_until, record.written_at)
        if record.state is PurchaseState.BOUGHT:
            # The service will repeat its answer. The row stays with its owner while that is alive.
            return (record if living(record.owner) else evolve(record, owner=new.owner)), known
        until = new.open_until
        open_until = None if until is None else max(until, record.open_until or until)
        return evolve(record, owner=new.owner, open_until=open_until, closed_at=None), known

    def withdraw(self, now: float) -> PurchaseStep[bool]:
        """Return the step that withdraws the purchase; its result is True if no open row is left."""
        end = end_unbought(self.new.owner, PurchaseState.WITHDRAWN, now)

        def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
            if record is None:
                return None, True
            made_here = self.known is not None and self.known.state is None
            return end(record, living) if made_here else (record, False)

        return step


def leave(owner: str, open_until: float) -> PurchaseStep[None]:
    """Return the step that stores when the last attempt of a purchase in doubt had ended."""
    return _mine(owner, lambda record: evolve(record, open_until=open_until))


def end_unbought(owner: str, state: PurchaseState, now: float) -> PurchaseStep[bool]:
    """Return the step that stores a refusal or a withdrawal; its result is True if it was stored.

    It is not stored if another owner has taken the purchase over, or if it is known to be bought.
    """

    def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
        if record is None or record.owner != owner or record.state is not PurchaseState.WRITTEN:
            return record, False
        return evolve(record, state=state, answered_at=now, closed_at=now), True

    return step


def buy(new: PurchaseRecord, orders: tuple[BoughtOrder, ...], now: float) -> PurchaseStep[None]:
    """Return the step that stores the orders of a purchase, whatever was stored before.

    ``new`` is stored if the row is missing, for example because the journal's file was replaced.
    """

    def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        record = record or new
        if record.state is PurchaseState.BOUGHT:
            return record, None
        closed_at = None if orders else now
        bought = evolve(
            record, state=PurchaseState.BOUGHT, answered_at=now, closed_at=closed_at, orders=orders
        )
        return bought, None

    return step


def hand_over(now: float | None) -> PurchaseStep[None]:
    """Return the step that stores when the caller got the orders; None means that it did not."""

    def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        if record is None or record.state is not PurchaseState.BOUGHT:
            return record, None
        handed = evolve(record, handed_at=now, closed_at=None if record.orders else record.closed_at)
        return _closed_if_over(handed, now), None

    return step


def end_orders(refunds: Mapping[int, int | None], now: float) -> PurchaseStep[None]:
    """Return the step that stores which orders have ended, with the rupiah refunded for each, if known.

    The row is closed if all its orders have ended and were returned to their caller.
    """

    def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        if record is None:
            return None, None
        orders = tuple(
            order
            if order.id not in refunds or order.ended_at is not None
            else evolve(order, refunded=refunds[order.id], ended_at=now)
            for order in record.orders
        )
        return _closed_if_over(evolve(record, orders=orders), now), None

    return step


def close(now: float) -> PurchaseStep[None]:
    """Return the step that closes a row, whether or not its orders have ended."""

    def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        return (record and evolve(record, closed_at=record.closed_at or now)), None

    return step


@frozen
class Claimant:
    """The process that recovers: ``owner`` of a journal, for an ``account`` with this ``credential``.

    ``under_way`` returns True for a key whose purchase a call in this process is making.
    """

    owner: str
    account: str
    credential: str
    under_way: Callable[[str], bool]


def claim(who: Claimant) -> PurchaseStep[PurchaseRecord | None]:
    """Return the step that takes a row over from a process that has ended.

    Its result is the record to recover, None if there is nothing to do. Rows that this owner itself left
    unfinished are recovered, too, and rows that the same token wrote under another name of the account. A row
    that another token wrote, under this name or without one, may belong to this account: if it is in doubt it
    is returned, but not taken over.
    """

    def step(
        record: PurchaseRecord | None, living: Living
    ) -> tuple[PurchaseRecord | None, PurchaseRecord | None]:
        assert record is not None, "claims are made of rows"
        mine = record.owner == who.owner
        if not mine and living(record.owner):
            return record, None
        if record.credential not in ("", who.credential):
            near = _address(record.credential) == _address(who.credential) and not _named(record.account)
            if record.account != who.account and not near:
                return record, None
            if record.state is PurchaseState.WRITTEN or record.account != who.account:
                return record, record if record.state is PurchaseState.WRITTEN else None
        elif record.account != who.account and record.credential == "":
            return record, None
        if not mine:
            taken = evolve(record, owner=who.owner)
            return taken, taken
        unfinished = record.handed_at is None and not who.under_way(record.intent.idempotency_key)
        return record, record if unfinished else None

    return step


def _address(credential: str) -> str:
    return credential.partition(":")[0]


def _named(account: str) -> bool:
    return ":" in account


def another_order(where: str) -> InvalidArgumentError:
    """Return the error for a key that belongs to another order."""
    error = InvalidArgumentError(
        f"idempotency_key: {where} has it with another order; a new order takes a new key."
    )
    error.trouble = "another order"
    return error


def under_way(where: str) -> ClientStateError:
    """Return the error for a purchase that is being made at the moment."""
    error = ClientStateError(f"idempotency_key: {where} has this purchase under way; wait for its result.")
    error.trouble = "under way"
    return error


def settled_meanwhile() -> ClientStateError:
    """Return the error for a purchase that was in doubt, and is not any more."""
    error = ClientStateError("This purchase was settled meanwhile.")
    error.trouble = "settled meanwhile"
    return error


def too_old(age: float, max_age: float) -> PurchaseTooOldError:
    """Return the error for a purchase whose key the service may have forgotten."""
    seconds = "in the future, by a clock that was set back" if age == float("inf") else f"{age:.0f} s ago"
    error = PurchaseTooOldError(
        f"This purchase was first sent {seconds}, and max_age is {max_age:g} s: the service may have "
        "forgotten its key and buy again."
    )
    error.trouble = "too old"
    return error


def _closed_if_over(record: PurchaseRecord, now: float | None) -> PurchaseRecord:
    """Close a row if its orders were returned to their caller and have all ended."""
    over = record.handed_at is not None and all(order.ended_at is not None for order in record.orders)
    return evolve(record, closed_at=now) if over and record.closed_at is None else record


def _mine(owner: str, change: Callable[[PurchaseRecord], PurchaseRecord]) -> PurchaseStep[None]:
    def step(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        if record is None or record.owner != owner or record.state is not PurchaseState.WRITTEN:
            return record, None
        return change(record), None

    return step
