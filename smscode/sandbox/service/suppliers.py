"""How the suppliers behave: what becomes of a purchase, and which messages its orders get.

These are plain values. Which one a purchase gets is chosen by scenarios, or for all of them; an order
keeps the one that it was bought with.
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
"""What a supplier may answer; the words are the service's, in the details of a ``PROVIDER_ERROR``."""


@frozen
class Message:
    """An SMS that comes ``after`` seconds.

    ``code`` is what the service finds in ``text``, None for nothing. Without ``text`` it is the
    usual one, with ``code`` or a new code in it.
    """

    after: float
    text: str | None = None
    code: str | None = None


@frozen(kw_only=True)
class Behaviour:
    """How the suppliers treat a purchase, and the orders that come of it.

    ``messages`` arrive after the purchase and again after each resend; None for the sandbox's usual
    one. The purchase ``takes`` seconds to settle. ``outcome`` is what every supplier answers to it,
    ``outcomes`` that of single ones by their code; ``at_most`` is how many numbers they have in all.
    With ``sold_out`` the catalogue still shows what nobody has any more. ``problem`` is an error that
    the purchase is refused with as it stands. ``cancel`` and ``resend`` are what they answer to those.
    An order lives for ``lifetime`` seconds, and cannot be cancelled before ``cancel_after``; None for
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
        """Return what a supplier answers to the purchase."""
        return "no_numbers" if self.sold_out else self.outcomes.get(provider, self.outcome)

    def refined(self, narrower: Behaviour) -> Behaviour:
        """Return this behaviour with all that a narrower one has otherwise than usual."""
        if narrower == USUAL:
            return self
        names = [attribute.name for attribute in fields(Behaviour)]
        found = {name: getattr(narrower, name) for name in names}
        return evolve(self, **{name: value for name, value in found.items() if value != getattr(USUAL, name)})


USUAL = Behaviour()
"""Nothing goes wrong, and the SMS comes when the sandbox usually sends it."""
