"""What a journal's thread is asked to do: apply a step to a stored purchase, or read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from ..core.purchases.records import PurchaseStep
from ..errors import SmscodeError

R = TypeVar("R")

_log = logging.getLogger("smscode.journal")
_ABANDONED: Final = object()
_REFUSED: Final = object()
_NEVER: Final = (_ABANDONED, _REFUSED)
_READS: Final = 50  # attempts of about a tenth of a second each, while another process has the file


class Write(Generic[R]):
    """A step to apply to the stored record of one purchase.

    Without a ``key`` it is applied to all open ones of an account, without an ``account`` to all of the file.
    When ``done``, ``error`` is None and ``result`` is what the step returned (without a ``key`` a list of
    its results that are not None), or nothing has changed and ``error`` says why. With ``durable`` it is
    then on disk, so that it outlasts a loss of power too; otherwise it outlasts the process. A ``lasting``
    write is tried again, in its place, while the disk is full or failing. The journal's thread calls
    ``wake`` after ``done`` was set; what that raises is ignored.

    The step can be applied more than once, as long as its effect was not committed.
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
        wake: Callable[[], object] | None = None,
    ) -> None:
        self.account: str | None = account
        self.key: str | None = key
        self.step: PurchaseStep[R] = step
        self.durable: bool = durable
        self.lasting: bool = lasting
        self.wake: Callable[[], object] | None = wake
        self.done: bool = False
        self.result: R | None = None
        self.error: SmscodeError | None = None
        # Whether it is begun or abandoned is decided by a single dict.setdefault, which is atomic: neither
        # another thread nor a KeyboardInterrupt can see or leave it half decided.
        self._claim: dict[str, object] = {}
        self._begun = False  # of the thread

    def begin(self) -> bool:
        """Return True if it is to be applied now; False if it was abandoned, or is begun already."""
        mine = object()
        if self._claim.setdefault("by", mine) is not mine:
            return False
        self._begun = True
        return True

    def abandon(self) -> bool:
        """Return True if it had not begun, and will not."""
        return self._claim.setdefault("by", _ABANDONED) in _NEVER

    def give_back(self) -> None:
        """Undo `begin`: nothing of it was stored, and it is tried again."""
        if self._begun:  # otherwise it may be abandoned at this very moment
            self._begun = False
            self._claim.clear()

    def fail(self, error: SmscodeError) -> None:
        """Fail in the thread, unless it was abandoned."""
        if not self.done and (self._begun or self.begin()):
            self.finish(None, error)
            self.notify()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do about it."""
        return self.done or self._claim.get("by") in _NEVER

    def finish(self, result: Any, error: SmscodeError | None) -> None:
        """Store how it ended. `notify` is called afterwards."""
        self.result = result
        self.error = error
        self.done = True

    def refuse(self, error: SmscodeError) -> None:
        """Fail in the caller, unless the thread has it. If that is interrupted, it counts as abandoned."""
        if self._claim.setdefault("by", _REFUSED) is _REFUSED:
            self.finish(None, error)
            self.notify()

    def notify(self) -> None:
        """Wake the caller, who may have gone, as may its event loop."""
        if self.wake is not None:
            try:
                self.wake()
            except Exception as error:
                _log.debug("the caller of a write cannot be woken: %r", error)


class Sweep(Write[list[R]]):
    """A step to apply to all open purchases of the file; ``result`` has what it returned other than None."""

    __slots__ = ()

    def __init__(
        self, step: PurchaseStep[R | None], *, durable: bool, wake: Callable[[], object] | None = None
    ) -> None:
        super().__init__(None, None, cast("PurchaseStep[list[R]]", step), durable=durable, wake=wake)


class Read(Generic[R]):
    """A question to the file, for which no lock is needed: ``read`` is called with the `Store`.

    When ``done``, ``error`` is None and ``result`` is the answer, or ``error`` says why there is none. The
    journal's thread calls ``wake`` then; what that raises is ignored.
    """

    def __init__(self, read: Callable[[Any], R], wake: Callable[[], object]) -> None:
        self.read = read
        self.wake = wake
        self.done: bool = False
        self.result: R | None = None
        self.error: SmscodeError | None = None
        self._attempts = _READS

    def answer(self, store: Any) -> None:
        """Read, and answer. What the store raises is the caller's to handle."""
        self.result = self.read(store)
        self._end()

    def fail(self, error: SmscodeError) -> None:
        """Answer with an error."""
        self.error = error
        self._end()

    def _end(self) -> None:
        self.done = True
        try:
            self.wake()
        except Exception as error:
            _log.debug("the caller of a read cannot be woken: %r", error)

    def waits_on(self) -> bool:
        """Count an attempt that met another process's lock; return False if it was the last one."""
        self._attempts -= 1
        return self._attempts > 0


def again(error: SmscodeError) -> SmscodeError:
    """Return an equal error: each caller labels its own, and raises it with a traceback of its own."""
    other = type(error)(error.message)
    other.__cause__ = error.__cause__
    return other
