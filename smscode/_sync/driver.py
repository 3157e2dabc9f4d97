# Generated from smscode/_async/driver.py by `nox -s generate`: change that file, not this one.

"""Carries out what the flow of a call asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, assert_never

from .._concurrency import Caller, LoopAffinity, Runtime
from .._observer import Observer
from ..core.api.call import Answer, Call, CallKind
from ..core.decoding.converter import RowProblem
from ..core.effects import (
    Acquire,
    Effect,
    EffectReply,
    EffectResult,
    Pause,
    Release,
    Send,
    Sleep,
    ending,
)
from ..core.flow import CallTerms, flow
from ..core.open_rentals import OpenRentals
from ..core.purchases.doubt import Doubt
from ..core.ratelimit.ban import Ban
from ..core.retry import RetryPolicy
from ..core.timeouts import Timeouts
from ..core.versions import ApiVersion
from ..errors import ClientStateError
from .connection_pool import ConnectionPool
from .rate_limiter import RateLimiter

if TYPE_CHECKING:  # imported with the first event
    from ..events import ClientEvent

T = TypeVar("T")


class Driver:
    """Runs calls to their end."""

    def __init__(
        self,
        connections: ConnectionPool,
        runtime: Runtime,
        version: ApiVersion,
        policy: RetryPolicy,
        timeouts: Timeouts,
        limits: RateLimiter | None,
        observer: Observer,
        affinity: LoopAffinity,
    ) -> None:
        """Set up; without ``limits`` none are kept."""
        self.version: ApiVersion = version
        self.runtime = runtime
        self.open_rentals: OpenRentals = OpenRentals()
        self._connections = connections
        self._policy = policy
        self._timeouts = timeouts
        self._limits = limits
        self._observer = observer
        self._affinity = affinity
        self.seen: Callable[[Answer[object]], None] | None = None
        self._ban = Ban()
        self._closed = False

    @property
    def service(self) -> str:
        """The address and version of the service, for the ``repr`` of what uses this driver."""
        return f"({self._observer.base_url!r}, api_version={self.version!r})"

    def check(self) -> None:
        """Raise `ClientStateError` unless the client can be used, here and now."""
        if self._closed:
            raise ClientStateError("This client is closed.")
        self._affinity.check()

    def deadline(self, kind: CallKind, timeout: float | None) -> float:
        """Return when a call has to be over that begins now; ``timeout`` overrides the client's limit."""
        return self.runtime.now() + self._timeouts.budget(kind, timeout)

    def run(
        self,
        call: Call[T],
        timeout: float | None = None,
        doubt: Doubt | None = None,
        deadline: float | None = None,
    ) -> Answer[T]:
        """Make a call.

        ``timeout`` overrides the client's limit: total seconds, retries and waits included. A ``deadline`` is
        what is left of a larger whole. ``doubt`` is that of the purchase that the call makes.
        """
        self.check()
        began = self.runtime.now()
        if deadline is None:
            deadline = began + self._timeouts.budget(call.endpoint.kind, timeout)
        watch = self._observer.watch(call, self.runtime.now)
        limited = self._limits is not None
        terms = CallTerms(
            self.version, self._policy, began, deadline, self.runtime.random, limited, watch, self._ban
        )
        steps = flow(call, terms, doubt)
        caller = Caller(self._give_back, self._connections.break_off)
        try:
            effect = next(steps)
            while True:
                result = self._perform(effect, caller)
                effect = steps.send(EffectReply(self.runtime.now(), result))
        except StopIteration as end:
            answer: Answer[T] = end.value
            self.report(call, answer.problems)
            if self.seen is not None:
                self.seen(answer)
            if self.open_rentals:
                self.open_rentals.learn(answer.data, answer.date)
            if watch is not None:
                watch.ended(call, self.runtime.now(), answer)
            return answer
        except BaseException as error:
            self._connections.release(caller, keep=False)  # if it was left while it read its answer
            if watch is not None:
                watch.ended(call, self.runtime.now(), error)
            raise
        finally:
            caller.finish()

    def report(self, call: Call[object], problems: Sequence[RowProblem]) -> None:
        """Log the rows of an answer that could not be read, each once."""
        if problems:
            self._observer.warn_of_rows(call.endpoint.name, problems)

    def tell(self, event: Callable[[], ClientEvent]) -> None:
        """Report an event that is not of one call, if anybody listens."""
        if self._observer.listens:
            self._observer.report(event())

    def _give_back(self, caller: Caller) -> None:
        """Release what a call still holds after its clean-up was interrupted."""
        self._connections.give_back(caller)
        if self._limits is not None:
            self._limits.give_back(caller)

    def _perform(self, effect: Effect, caller: Caller) -> EffectResult:
        match effect:
            case Send():
                end = None
                try:
                    result = self._connections.send(effect, caller)
                    end = ending(result)
                    return result
                finally:
                    if effect.lease is not None:
                        self._kept_limits.end(effect.lease, end)
                        caller.lease = None
            case Release():
                self._connections.release(caller, keep=effect.keep)
            case Acquire():
                caller.check()
                left = effect.deadline - self.runtime.now()
                return self._kept_limits.acquire(effect, left, caller)
            case Sleep():
                caller.check()
                self.runtime.sleep(effect.seconds)
            case Pause():
                self._kept_limits.pause(effect)
            case _:
                assert_never(effect)
        return None

    @property
    def _kept_limits(self) -> RateLimiter:
        assert self._limits is not None, "effects of limits without any"
        return self._limits

    def close(self) -> None:
        """Close the connections; calls made later raise `ClientStateError`."""
        self._affinity.check()
        self._closed = True
        if self._limits is not None:
            self._limits.close(self._affinity)
        Caller.heal()  # a connection that an interrupted call still has is closed, too
        try:
            self._connections.close()
        finally:
            warning = self.open_rentals.warning(self.runtime.wall_clock())
            if warning is not None:
                self.warn(warning)

    def warn(self, text: str) -> None:
        """Log a warning about the client itself."""
        self._observer.warn(text)
