# Generated from smscode/_async/delivery.py by `nox -s generate`: change that file, not this one.

"""The purchases of one call, from its first one until the caller has the orders."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from attrs import define, field

from .._concurrency import Caller
from ..core.purchases.states import Purchase
from ..errors import SmscodeError


@define(eq=False)
class Delivery:
    """The purchases of one call until their orders are returned; no other call can take them meanwhile.

    ``leave_all`` is called to leave those that were added. ``fresh`` says that its keys were made up by this
    call, so that nothing can have been bought under them. ``purchases`` are those it makes, each with its
    thread, and ``handed`` those whose orders it is about to return.
    """

    _leave_all: Callable[[Delivery, BaseException | None], None]
    fresh: bool = field(kw_only=True)
    deadline: float = math.inf
    thread: int = field(factory=threading.get_ident)
    caller: Caller | None = None
    purchases: dict[Purchase, int] = field(factory=dict[Purchase, int])
    handed: dict[Purchase, None] = field(factory=dict[Purchase, None])
    labelled: SmscodeError | None = None
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether the call has ended, with a result, an error or a cancellation."""
        caller = self.caller  # another thread may end the call just now
        return self.ended or (caller is not None and caller.over)

    def forbid(self, why: BaseException) -> None:
        """Withdraw the purchases whose first byte was not sent yet; sending it raises ``why`` from now on."""
        if not self.ended:
            self._leave_all(self, why)
