"""How the suppliers behave: what becomes of a purchase, and which messages its orders get.

These are plain values. A scenario is a `Behaviour`, chosen for a product, a request or everything; an
order keeps the one that it was bought with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import field, frozen

from .refusal import Problem

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
    ``problem`` is an error that they refuse it with as it stands. ``cancel`` and ``resend`` are what
    they answer to those.
    """

    messages: tuple[Message, ...] | None = None
    takes: float = 0.0
    outcome: Cause = "ok"
    outcomes: Mapping[str, Cause] = field(factory=dict[str, Cause])
    at_most: int | None = None
    problem: Problem | None = None
    cancel: Cause = "ok"
    resend: Cause = "ok"

    def answer(self, provider: str) -> Cause:
        """Give what a supplier answers to the purchase."""
        return self.outcomes.get(provider, self.outcome)


USUAL = Behaviour()
"""Nothing goes wrong, and the SMS comes when the sandbox usually sends it."""
