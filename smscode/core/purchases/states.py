"""What a purchase goes through: written, sent, answered, handed over, or withdrawn.

Everything that decides about a purchase is here or in `purchase_records`; the client's memory and its
journal only store what is decided. An attempt under a key is *open* when it was sent and no answer came
from behind the look-up of the key: then the service may have carried it out, or may do so yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from attrs import define, field, frozen

from ...errors import ClientStateError, JournalError, Outcome, SmscodeError
from ...models import Order
from .intents import OrderIntent
from .records import Writing

StateRow: TypeAlias = Literal["withdrawn", "refused", "stays"]
"""What becomes of a purchase's row when an error ends the call."""

LATE = 60.0
"""Seconds after which an attempt that was given up does not reach the service any more."""


@frozen
class Verdict:
    """What a kind of failure says about a purchase.

    ``outcome`` and ``row`` are for a key under which no attempt is open, ``outcome_open`` and ``row_open``
    for one with an open attempt, or whose purchase is known to be bought. A failure that ``opens`` makes
    its own attempt one. One that ``settles`` comes from behind the look-up of the key: it ends all doubt,
    at once or, for "late", if it was sent `LATE` seconds after the last open attempt had ended; before,
    that attempt may still arrive and buy.
    """

    outcome: Outcome
    outcome_open: Outcome
    row: StateRow
    row_open: StateRow
    opens: bool = False
    settles: Literal["no", "late", "always"] = "no"


_NOT_SENT = Verdict("not_sent", "unknown", "withdrawn", "stays")
_REFUSED = Verdict("rejected", "unknown", "refused", "stays")
_RELEASED = Verdict("rejected", "unknown", "refused", "stays", settles="late")
_RECORDED = Verdict("failed", "failed", "refused", "refused", settles="always")
_OPEN = Verdict("unknown", "unknown", "stays", "stays", opens=True)
_OTHERS = Verdict("unknown", "unknown", "stays", "stays")

VERDICTS: Mapping[str, Verdict] = {
    # Found here, before anything was sent.
    "argument": _NOT_SENT,
    "another order": _OTHERS,
    "under way": _OTHERS,
    "too old": _OTHERS,
    "another token": _OTHERS,
    "settled meanwhile": _OTHERS,
    "journal": _NOT_SENT,
    "closed": _NOT_SENT,
    "banned here": _NOT_SENT,
    "no room": _NOT_SENT,
    # No answer.
    "not sent": _NOT_SENT,
    "cannot be sent": _NOT_SENT,
    "transport failed": _OPEN,
    "connection broke": _OPEN,
    "kept-alive connection broke": _OPEN,
    # An answer without the envelope of the API. The two refusals come before the look-up of the key.
    "unreadable answer": _OPEN,
    "unavailable": _OPEN,
    "throttled": _REFUSED,
    "body too large": _REFUSED,
    "refused by something else": _OPEN,
    "redirect": _OPEN,
    "answer too large": _OPEN,
    "unexpected data": _OPEN,
    # The documented codes.
    "UNAUTHORIZED": _REFUSED,
    "FORBIDDEN": _REFUSED,
    "NOT_FOUND": _REFUSED,
    "CONFLICT": _OPEN,  # "duplicate request or resource conflict": the duplicate may have been bought
    "INSUFFICIENT_BALANCE": _RELEASED,
    "CANCEL_TOO_EARLY": _OPEN,  # no answer to a purchase
    "REQUEST_IN_PROGRESS": _OPEN,
    "VALIDATION_ERROR": _REFUSED,
    "PROVIDER_ERROR": _RECORDED,
    "NO_OFFER_AVAILABLE": _RELEASED,
    # The key is taken by other bytes, which may have been bought; these ones will never be carried out.
    "IDEMPOTENCY_KEY_REUSED": Verdict("unknown", "unknown", "refused", "refused", settles="always"),
    "RATE_LIMIT_EXCEEDED": _REFUSED,
    "TEMP_BANNED_ABUSE_GUARD": _REFUSED,
    "INTERNAL_ERROR": _OPEN,
    "SERVICE_UNAVAILABLE": _OPEN,
    "FX_RATE_UNAVAILABLE": _REFUSED,
    "unknown refusal": _REFUSED,
    "unknown code": _OPEN,
    "unknown code of a failing service": _OPEN,
}
"""What every kind of failure says about a purchase: the table of the design, as data."""


FOUND_HERE = frozenset(
    {
        *("argument", "another order", "under way", "too old", "another token", "settled meanwhile"),
        *("journal", "closed"),
    }
)
"""The kinds of failure for which nothing was sent, so that only earlier attempts matter."""


def kind_of(error: SmscodeError) -> str:
    """Return the kind of an error that was found before anything was sent."""
    if error.trouble in FOUND_HERE:
        return error.trouble
    if isinstance(error, ClientStateError):
        return "closed"
    return "journal" if isinstance(error, JournalError) else "argument"


@define
class Doubt:
    """Whether an attempt under a key is open, and when the last open one had ended.

    ``raised`` is set when the first byte of an attempt is written. It outlives the call, so that a
    cancelled purchase knows whether it has to be looked after. ``ended`` is in seconds of the clock of
    the calls. Once ``forbidden`` is set, no first byte is sent: it is raised instead.
    """

    raised: bool = False
    ended: float = float("-inf")
    forbidden: BaseException | None = None


def judge(kind: str, doubt: Doubt, *, before: bool, sent_at: float, now: float) -> Outcome:
    """Return the outcome of a purchase after a failure of this kind, and update its doubt.

    ``before`` is whether an attempt was open before this one, which was sent at ``sent_at`` or later and
    ended ``now``.
    """
    verdict = VERDICTS[kind]
    open_ = before
    if verdict.settles == "always" or (verdict.settles == "late" and sent_at - doubt.ended >= LATE):
        open_ = False
    if verdict.opens:
        doubt.ended = now
    doubt.raised = open_ or verdict.opens
    return verdict.outcome_open if open_ else verdict.outcome


def row_after(kind: str, outcome: Outcome) -> StateRow:
    """Return what becomes of the row of a purchase that ended with this error."""
    if outcome == "not_sent":
        return "withdrawn"
    verdict = VERDICTS[kind]
    return verdict.row_open if outcome == "unknown" else verdict.row


RecoveredState: TypeAlias = Literal["settled", "undelivered", "open", "unsettled"]


@frozen
class Recovered:
    """A purchase that is unfinished business, and what is known of it.

    ``state`` is "settled" for one that was in doubt and was settled now: ``orders`` has what was bought, or
    ``error`` why nothing was; "undelivered" for one that was bought and never returned to its caller;
    "open" for one that was returned, with orders that have not ended; "unsettled" for one that is still in
    doubt, with the ``error`` that says why. ``orders`` are as they were last seen.
    """

    intent: OrderIntent
    state: RecoveredState
    orders: tuple[Order, ...] = ()
    error: SmscodeError | None = None


class PurchaseHolder(Protocol):
    """The call that has a purchase under way."""

    @property
    def over(self) -> bool:
        """Whether the call has ended, however it did."""
        ...

    def forbid(self, why: BaseException) -> None:
        """Withdraw what has not sent its first byte yet, which raises ``why`` from now on."""
        ...


@define(eq=False)
class Purchase:
    """A purchase in the memory of a client.

    ``written_at`` is the time of its first attempt, in seconds of the wall clock, None before. ``holder`` is
    the call that has it under way, or that has not returned its orders yet. ``handed_over`` says that a
    caller has the ``orders``, of which ``living`` have not been seen to end; ``returned`` that a caller in
    a process that has ended had them. ``finished`` says that it was bought before and its orders have ended.
    ``writing`` is how its call writes it into a journal.
    """

    intent: OrderIntent
    doubt: Doubt = field(factory=Doubt)
    holder: PurchaseHolder | None = None
    written_at: float | None = None
    bought: bool = False
    handed_over: bool = False
    returned: bool = False
    finished: bool = False
    writing: Writing | None = None
    orders: dict[int, Order] = field(factory=dict[int, Order])
    living: set[int] = field(factory=set[int])

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.intent.idempotency_key

    @property
    def under_way(self) -> bool:
        """Whether a call has it in hand."""
        return self.holder is not None and not self.holder.over

    @property
    def undelivered(self) -> bool:
        """Whether it was bought, and no caller has its orders."""
        return self.bought and not self.handed_over and not self.returned and bool(self.orders)

    @property
    def certain(self) -> bool:
        """Whether it is known that nothing was bought under its key."""
        return not (self.bought or self.finished or self.doubt.raised)
