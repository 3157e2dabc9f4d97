# Generated from smscode/_async/delivery.py by `nox -s generate`: change that file, not this one.

"""The purchases of one call, from its first one until the caller has the orders."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from .._concurrency import Caller
from ..core.purchases.states import Purchase
from ..errors import SmscodeError


class Delivery:
    """The purchases of one call until their orders are returned; no other call can take them meanwhile.

    ``fresh`` says that its keys were made up by this call, so that nothing can have been bought under them.
    """

    def __init__(
        self, leave_all: Callable[[Delivery, BaseException | None], None], *, fresh: bool
    ) -> None:
        """Begin without a purchase. ``leave_all`` is called to leave those that were added."""
        self._leave_all = leave_all
        self.deadline: float = math.inf
        self.fresh = fresh
        self.thread: int = threading.get_ident()
        self.caller: Caller | None = None
        self.purchases: dict[Purchase, int] = {}  # and the thread that makes it
        self.handed: dict[Purchase, None] = {}
        self.labelled: SmscodeError | None = None
        self.ended = False

    @property
    def over(self) -> bool:
        """Whether the call has ended, with a result, an error or a cancellation."""
        return self.ended or (self.caller is not None and self.caller.over)

    def forbid(self, why: BaseException) -> None:
        """Withdraw the purchases whose first byte was not sent yet; sending it raises ``why`` from now on."""
        if not self.ended:
            self._leave_all(self, why)
