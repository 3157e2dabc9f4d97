"""Carries out what the flow of a call asks for."""

from __future__ import annotations

from typing import TypeVar

from .._concurrency import AsyncRuntime
from ..core.codec import Version
from ..core.flow import Effect, Failure, Reply, Send, flow
from ..core.retry import RetryPolicy
from ..core.timeouts import Timeouts
from ..core.wire import Answer, Call, Response
from ..errors import ClientStateError
from .connections import AsyncConnections

T = TypeVar("T")


class AsyncDriver:
    """Runs calls to their end."""

    def __init__(
        self,
        connections: AsyncConnections,
        runtime: AsyncRuntime,
        version: Version,
        policy: RetryPolicy,
        timeouts: Timeouts,
    ) -> None:
        self.version: Version = version
        self.runtime = runtime
        self._connections = connections
        self._policy = policy
        self._timeouts = timeouts
        self._closed = False

    async def run(self, call: Call[T], timeout: float | None = None) -> Answer[T]:
        """Make a call; ``timeout`` is its time in seconds, all in all, instead of the client's."""
        if self._closed:
            raise ClientStateError("This client is closed.")
        budget = self._timeouts.budget(call.endpoint.kind, timeout)
        now = self.runtime.now()
        steps = flow(call, self.version, self._policy, now + budget, self.runtime.chance)
        try:
            effect = next(steps)
            while True:
                result = await self._perform(effect)
                effect = steps.send(Reply(self.runtime.now(), result))
        except StopIteration as end:
            answer: Answer[T] = end.value
            return answer

    async def _perform(self, effect: Effect) -> Response | Failure | None:
        if isinstance(effect, Send):
            return await self._connections.send(effect.request, effect.deadline)
        await self.runtime.sleep(effect.seconds)
        return None

    async def aclose(self) -> None:
        """Close the connections; calls made later raise `ClientStateError`."""
        self._closed = True
        await self._connections.aclose()
