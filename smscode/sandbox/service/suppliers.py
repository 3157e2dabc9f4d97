"""The suppliers' behaviour: the result of a purchase, and the messages that its orders get.

These are plain values, chosen by scenarios or for all purchases; an order keeps the one that it was
bought with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import evolve, field, fields, frozen

from ..http.api_error import Problem

Cause: TypeAlias = Literal[
    "ok",
    "no_numbers",
    "insufficient_balance",
    "price_rejected",
    "provider_unavailable",
    "provider_account_balance",
    "provider_error",
]
"""A supplier's answer; the names are the service's, in the details of a ``PROVIDER_ERROR``."""


@frozen
class Message:
    """An SMS that arrives ``after`` seconds.

    ``code`` is the code that the service finds in ``text``, None for no code. Without ``text`` the usual
    text is sent, with ``code`` or a new code in it.
    """

    after: float
    text: str | None = None
    code: str | None = None


@frozen(kw_only=True)
class Behaviour:
    """How the suppliers treat a purchase and its orders.

    ``messages`` arrive after the purchase and again after each resend; None for the sandbox's usual
    one. The purchase ``takes`` seconds to settle. ``outcome`` is the answer of every supplier to it,
    ``outcomes`` that of single suppliers by their code; ``at_most`` is the number of numbers they have in
    total. With ``sold_out`` no supplier has numbers, although the catalogue still shows them. ``problem`` is
    the error that the purchase fails with. ``cancel`` and ``resend`` are the answers to these requests.
    An order expires after ``lifetime`` seconds, and cannot be cancelled before ``cancel_after``; None for
    the sandbox's usual ones.
    """

    messages: tuple[Message, ...] | None = None
    takes: float = 0.0
    outcome: Cause = "ok"
    outcomes: Mapping[str, Cause] = field(factory=dict[str, Cause])
    at_most: int | None = None
    sold_out: bool = False
    problem: Problem | None = None
    cancel: Cause = "ok"
    resend: Cause = "ok"
    lifetime: float | None = None
    cancel_after: float | None = None

    def answer(self, provider: str) -> Cause:
        """Return a supplier's answer to the purchase."""
        return "no_numbers" if self.sold_out else self.outcomes.get(provider, self.outcome)

    def refined(self, narrower: Behaviour) -> Behaviour:
        """Return this behaviour, changed by every field of a narrower one that is not at its default."""
        if narrower == USUAL:
            return self
        names = [attribute.name for attribute in fields(Behaviour)]
        found = {name: getattr(narrower, name) for name in names}
        return evolve(self, **{name: value for name, value in found.items() if value != getattr(USUAL, name)})


USUAL = Behaviour()
"""Every request succeeds, and the SMS arrives after the sandbox's ``otp_after``."""
