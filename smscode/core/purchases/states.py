"""The states of a purchase: written, sent, answered, handed over, or withdrawn.

All rules about a purchase are here and in `records`; the client's memory (`book`) and its journal only store
the results. An attempt under an idempotency key is *open* if it was sent and the service has not answered
after looking up the key: then the service may have carried it out, or may still do so.

Invariants:

1. ``Doubt.raised`` is set before the first byte of an attempt is written, so it is True whenever an attempt
   may be open. Only an answer that the service gave after looking up the key clears it (`Verdict.settles`).
2. A purchase in doubt, or bought and not returned to its caller, is only forgotten if it is dismissed: until
   then its key stays in the book and its row in the journal stays open.
3. The outcomes "not_sent", "rejected" and "failed" are only reported if nothing was bought under the key and
   nothing will be. In every other case the outcome is "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from attrs import define, field, frozen

from ...errors import ClientStateError, JournalError, Outcome, SmscodeError
from ...models import CreatedOrder, Order
from ..retry import for_every_code
from .doubt import Doubt
from .intents import OrderIntent
from .records import Writing

StateRow: TypeAlias = Literal["withdrawn", "refused", "stays"]
"""What happens to a purchase's row in the journal when an error ends the call."""

LATE = 60.0
"""Seconds after which an attempt that was given up cannot reach the service any more."""


@frozen
class Verdict:
    """What a kind of failure means for a purchase.

    ``outcome`` and ``row`` apply to a key without an open attempt, ``outcome_open`` and ``row_open`` to one
    with an open attempt, or whose purchase is known to be bought. A failure that ``opens`` leaves its own
    attempt open. One that ``settles`` was answered after the service looked up the key, so it ends the doubt:
    "always", or "late" only if the attempt was sent at least `LATE` seconds after the last open one had
    ended, because until then that one may still arrive and buy.
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

_ROWS: Mapping[str, Verdict] = {
    # Found here, before anything was sent.
    "argument": _NOT_SENT,
    "another order": _OTHERS,
    "under way": _OTHERS,
    "too old": _OTHERS,
    "another token": _OTHERS,
    "settled meanwhile": _OTHERS,
    "journal": _NOT_SENT,
    "closed": _NOT_SENT,
    "spending limit": _NOT_SENT,
    "banned here": _NOT_SENT,
    "no room": _NOT_SENT,
    # No answer.
    "not sent": _NOT_SENT,
    "cannot be sent": _NOT_SENT,
    "transport failed": _OPEN,
    "connection broke": _OPEN,
    "kept-alive connection broke": _OPEN,
    # An answer without the envelope of the API. The two refusals are sent before the key is looked up.
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
    "CANCEL_TOO_EARLY": _OPEN,  # not an answer to a purchase
    "REQUEST_IN_PROGRESS": _OPEN,
    "VALIDATION_ERROR": _REFUSED,
    "PROVIDER_ERROR": _RECORDED,
    "NO_OFFER_AVAILABLE": _RELEASED,
    # The key was used with another body, which may have been bought. This body will never be carried out.
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

VERDICTS: Mapping[str, Verdict] = for_every_code(_ROWS)
"""What each kind of failure means for a purchase, by the row of the retry table."""


FOUND_HERE = frozenset(
    {
        *("argument", "another order", "under way", "too old", "another token", "settled meanwhile"),
        *("journal", "closed", "spending limit"),
    }
)
"""The kinds of failure found before anything was sent, so only earlier attempts matter."""


def kind_of(error: SmscodeError) -> str:
    """Return the failure kind of an error that was found before anything was sent."""
    if error.trouble in FOUND_HERE:
        return error.trouble
    if isinstance(error, ClientStateError):
        return "closed"
    return "journal" if isinstance(error, JournalError) else "argument"


def judge(kind: str, doubt: Doubt, *, before: bool, sent_at: float, now: float) -> Outcome:
    """Return the outcome of a purchase after a failure of this kind, and update its doubt.

    ``before`` is True if an attempt was open before this one, which was sent at ``sent_at`` or later and
    ended at ``now`` (monotonic seconds).
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
    """Return what happens to the row of a purchase that ended with this failure and outcome."""
    if outcome == "not_sent":
        return "withdrawn"
    verdict = VERDICTS[kind]
    return verdict.row_open if outcome == "unknown" else verdict.row


RecoveredState: TypeAlias = Literal["settled", "undelivered", "open", "unsettled"]


@frozen
class Recovered:
    """A purchase that is not finished yet, as `orders.recover` and `orders.bought` return it.

    ``state`` is "settled" if it was in doubt and was settled now: ``orders`` are the orders that were bought,
    or ``error`` says why nothing was; "undelivered" if it was bought and never returned to its caller; "open"
    if it was returned and its orders have not all ended; "unsettled" if it is still in doubt, with the
    ``error`` that says why. ``orders`` are as they were last read.
    """

    intent: OrderIntent
    state: RecoveredState
    orders: tuple[Order, ...] = ()
    error: SmscodeError | None = None


class PurchaseHolder(Protocol):
    """The call that has a purchase under way."""

    @property
    def over(self) -> bool:
        """Whether the call has ended, with a result, an error or a cancellation."""
        ...

    def forbid(self, why: BaseException) -> None:
        """Withdraw the purchases whose first byte was not sent yet; sending it raises ``why`` from now on."""
        ...


@define(eq=False)
class Purchase:
    """A purchase in the memory of a client.

    ``written_at`` is the time of its first attempt, in seconds of the wall clock, None before. ``holder`` is
    the call that has it under way, or that has not returned its orders yet. ``handed_over`` is True once the
    caller has the ``orders``, ``returned`` if a caller in a process that has ended had them. ``living`` are
    the ids of the orders that are not known to have ended. ``finished`` is True if it was bought before and
    its orders have ended. ``writing`` is how its call writes it into a journal.
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
    orders: dict[int, CreatedOrder | Order] = field(factory=dict[int, CreatedOrder | Order])
    living: dict[int, None] = field(factory=dict[int, None])

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.intent.idempotency_key

    @property
    def under_way(self) -> bool:
        """Whether a call is making it at the moment."""
        holder = self.holder  # another thread may end its call just now
        return holder is not None and not holder.over

    @property
    def undelivered(self) -> bool:
        """Whether it was bought, and its orders were not returned to a caller."""
        return self.bought and not self.handed_over and not self.returned and bool(self.orders)

    @property
    def certain(self) -> bool:
        """Whether certainly nothing was bought under its key."""
        return not (self.bought or self.finished or self.doubt.raised)
