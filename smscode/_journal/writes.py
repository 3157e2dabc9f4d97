"""The items of a journal's queue: apply a step to stored purchases, or read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from ..core.purchases.records import PurchaseStep
from ..core.purchases.spending import SpendingRule
from ..errors import SmscodeError

R = TypeVar("R")

_log = logging.getLogger("smscode.journal")
_ABANDONED: Final = object()
_REFUSED: Final = object()
_NEVER: Final = (_ABANDONED, _REFUSED)
_READS: Final = 50  # attempts, of about 0.1 s each, while another process has the file locked


class Write(Generic[R]):
    """A step to apply to the stored record of one purchase.

    Without a ``key`` the step is applied to all open purchases of the account, without an ``account`` to all
    open ones of the file. When ``done`` is True, either ``error`` is None and ``result`` is what the step
    returned (without a ``key``: a list of its results other than None), or nothing was changed and ``error``
    says why. A purchase that a write with a ``rule`` adds is refused if it may exceed that limit. A
    ``durable`` write is then on disk and outlasts a loss of power; any other outlasts the
    process. A ``lasting`` write is tried again, in its place, while the disk is full or failing. The
    journal's thread calls ``wake`` after it set ``done``; exceptions of ``wake`` are ignored.

    The step may be called more than once, until its effect is committed.
    """

    __slots__ = (
        "_begun",
        "_claim",
        "account",
        "done",
        "durable",
        "error",
        "key",
        "lasting",
        "result",
        "rule",
        "step",
        "wake",
    )

    def __init__(
        self,
        account: str | None,
        key: str | None,
        step: PurchaseStep[R],
        *,
        durable: bool,
        lasting: bool = False,
        rule: SpendingRule | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        self.account: str | None = account
        self.key: str | None = key
        self.step: PurchaseStep[R] = step
        self.durable: bool = durable
        self.lasting: bool = lasting
        self.rule: SpendingRule | None = rule
        self.wake: Callable[[], object] | None = wake
        self.done: bool = False
        self.result: R | None = None
        self.error: SmscodeError | None = None
        # Whether the write is begun or abandoned is decided by one dict.setdefault, which is atomic: neither
        # another thread nor a KeyboardInterrupt can come in between.
        self._claim: dict[str, object] = {}
        self._begun = False  # used by the thread only

    def begin(self) -> bool:
        """Claim the write for the thread; return False if it was abandoned, or has begun already."""
        mine = object()
        if self._claim.setdefault("by", mine) is not mine:
            return False
        self._begun = True
        return True

    def abandon(self) -> bool:
        """Withdraw the write; return True if it had not begun, so that it never will."""
        return self._claim.setdefault("by", _ABANDONED) in _NEVER

    def give_back(self) -> None:
        """Undo `begin`, after a transaction that stored nothing, so that the write is tried again."""
        if self._begun:  # else the claim is not the thread's to undo
            self._begun = False
            self._claim.clear()

    def fail(self, error: SmscodeError) -> None:
        """Fail, in the thread, unless it was abandoned."""
        if not self.done and (self._begun or self.begin()):
            self.finish(None, error)
            self.notify()

    @property
    def over(self) -> bool:
        """Whether the thread has nothing left to do: it is done, abandoned or refused."""
        return self.done or self._claim.get("by") in _NEVER

    def finish(self, result: Any, error: SmscodeError | None) -> None:
        """Store the result or the error; to be followed by `notify`."""
        self.result = result
        self.error = error
        self.done = True

    def refuse(self, error: SmscodeError) -> None:
        """Fail, in the caller, unless the thread has begun. If interrupted, the write is abandoned."""
        if self._claim.setdefault("by", _REFUSED) is _REFUSED:
            self.finish(None, error)
            self.notify()

    def notify(self) -> None:
        """Wake the caller; exceptions are ignored, as its event loop may be closed."""
        if self.wake is not None:
            try:
                self.wake()
            except Exception as error:
                _log.debug("the caller of a write cannot be woken: %r", error)


class Sweep(Write[list[R]]):
    """A step to apply to all open purchases of the file; ``result`` lists its results other than None."""

    __slots__ = ()

    def __init__(
        self, step: PurchaseStep[R | None], *, durable: bool, wake: Callable[[], object] | None = None
    ) -> None:
        super().__init__(None, None, cast("PurchaseStep[list[R]]", step), durable=durable, wake=wake)


class Read(Generic[R]):
    """A read of the file, which needs no lock: the thread calls ``read`` with the `Store`.

    When ``done`` is True, either ``error`` is None and ``result`` is what ``read`` returned, or ``error``
    says why it failed. The journal's thread then calls ``wake``; exceptions of ``wake`` are ignored.
    """

    def __init__(self, read: Callable[[Any], R], wake: Callable[[], object]) -> None:
        self.read = read
        self.wake = wake
        self.done: bool = False
        self.result: R | None = None
        self.error: SmscodeError | None = None
        self._attempts = _READS

    def answer(self, store: Any) -> None:
        """Read, and store the result. Raises what the store raises."""
        self.result = self.read(store)
        self._end()

    def fail(self, error: SmscodeError) -> None:
        """Store an error instead of a result."""
        self.error = error
        self._end()

    def _end(self) -> None:
        self.done = True
        try:
            self.wake()
        except Exception as error:
            _log.debug("the caller of a read cannot be woken: %r", error)

    def waits_on(self) -> bool:
        """Count an attempt that another process' lock stopped; return False if it was the last one."""
        self._attempts -= 1
        return self._attempts > 0


def again(error: SmscodeError) -> SmscodeError:
    """Return a copy of an error, as each caller adds its own outcome and traceback."""
    other = type(error)(error.message)
    other.__cause__ = error.__cause__
    return other
