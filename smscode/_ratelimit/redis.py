"""Rate limits shared by processes and machines through Redis; it needs the ``redis`` extra."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from ..core.ratelimit.limiter import GroupLimiter
from ..core.ratelimit.options import RateLimits
from ..core.ratelimit.shared import Grant, LeaseTerms, SharedGroupLimiter, SharedSlots, Trip
from ..core.ratelimit.slots import MARGIN
from ..errors import ConfigurationError
from ..models import EndpointGroup
from .budget import AccountLimits

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as _missing:
    raise ConfigurationError('redis is missing: pip install "smscode-async[redis]"') from _missing

_log = logging.getLogger("smscode")
_PATIENCE = 0.5  # seconds for Redis to answer; it takes less than a thousandth
_IDLE = 1.0
_ALONE = "until it is back, this process uses its fallback share of the rate limits."

# One visit. Time is that of Redis alone, in milliseconds: no two machines agree on theirs.
# KEYS: slots, the set of slots in use by the time when each is free, and, below zero, when it was begun;
# hungry, the processes that did not get all they want; pause.
# ARGV: holder, limit, want, start, own, fallback, hold, period, pause; then for each slot told of its number
# and time.
_VISIT = """
local slots, hungry, pause = KEYS[1], KEYS[2], KEYS[3]
local holder = ARGV[1]
local limit, want, start = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local own, fallback = tonumber(ARGV[5]), tonumber(ARGV[6])
local hold, period, stop = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000

for i = 10, #ARGV, 2 do
    local slot, left = holder .. ':' .. ARGV[i], tonumber(ARGV[i + 1])
    if left > 0 then
        redis.call('ZADD', slots, now + left, slot)
    else
        redis.call('ZREM', slots, slot)
    end
end
redis.call('ZREMRANGEBYSCORE', slots, 0, now)

if stop > 0 and redis.call('PTTL', pause) < stop then
    redis.call('SET', pause, '1', 'PX', math.ceil(stop))
end
local paused = math.max(redis.call('PTTL', pause), 0)

-- Redis may have lost its memory, or this key of it. Until all must have come by to tell what they use,
-- nobody gets more than what is his without Redis.
local since = -(redis.call('ZSCORE', slots, 'born') or -now)
redis.call('ZADD', slots, -since, 'born')
redis.call('PEXPIRE', slots, 604800000)
local settled = since + hold
local most = want
if now < settled then
    most = math.min(want, math.max(fallback - own, 0))
end

-- What is free is divided among those who were not satisfied, so that nobody takes it all.
redis.call('ZREMRANGEBYSCORE', hungry, '-inf', now)
local used = redis.call('ZCARD', slots) - 1
local free = math.max(limit - used, 0)
local others = redis.call('ZCARD', hungry)
if redis.call('ZSCORE', hungry, holder) then
    others = others - 1
end
local granted = math.min(most, math.ceil(free / (others + 1)))
if paused > 0 then
    granted = 0
end
for i = 0, granted - 1 do
    redis.call('ZADD', slots, now + hold, holder .. ':' .. string.format('%.0f', start + i))
end
if granted < want then
    redis.call('ZADD', hungry, now + math.min(period / 10, 6000), holder) -- longer than between two visits
else
    redis.call('ZREM', hungry, holder)
end
redis.call('PEXPIRE', hungry, 10000)

local wait = 0
if granted < want then
    if free - granted <= 0 then
        local excess = used + granted - limit + 1
        local first = redis.call('ZRANGE', slots, excess, excess, 'WITHSCORES')
        if first[2] then
            wait = first[2] - now
        end
    elseif granted == most and most < want then
        wait = settled - now
    end
end
return {granted, string.format('%.3f', math.max(wait, paused)), paused, now >= settled and 1 or 0}
"""


class _Script(Protocol):
    def __call__(self, keys: Sequence[str], args: Sequence[str | float]) -> object: ...


class RedisBudget(AccountLimits):
    """The buckets of an account whose slots are leased from Redis.

    A thread goes to Redis while there is something to ask or to tell, and ends when there is not; calls
    never wait for Redis itself, only for slots.
    """

    def __init__(
        self, account: str, limits: RateLimits, url: str, longest: float, clock: Callable[[], float]
    ) -> None:
        """Set up without connecting.

        ``account`` names the account in Redis, without its token; ``url`` is where Redis is; ``longest``
        are the seconds that a request may take, and ``clock`` gives the time.
        """
        self._terms = LeaseTerms(longest, limits.redis_fallback)
        self._leased: list[SharedGroupLimiter] = []
        super().__init__(limits)
        self._clock = clock
        self._account = account
        self._begin()
        try:
            connection = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # redis-py's types
                url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ConfigurationError("rate_limits.redis: Redis' client does not accept this URL.") from error
        self._connection = connection
        self._visit = cast(_Script, connection.register_script(_VISIT))

    def _begin(self) -> None:
        self._holder = secrets.token_hex(8)
        self._changed = threading.Condition(self.lock)
        self._worker: threading.Thread | None = None
        self._away = False

    @property
    def _working(self) -> bool:
        """Whether a thread goes to Redis. One that was not started, because of an interrupt, does not."""
        return self._worker is not None and self._worker.is_alive()

    def _bucket(self, group: EndpointGroup, limit: int, window: float) -> GroupLimiter:
        bucket = SharedGroupLimiter(group.value, limit, SharedSlots(window, self._terms, self._kick))
        self._leased.append(bucket)
        return bucket

    def begin_anew(self) -> None:
        """Do so under another name: what Redis knows of the old one is its process' own."""
        self._leased.clear()
        super().begin_anew()
        self._begin()

    def _kick(self) -> None:
        """Wake the thread that goes to Redis, or start it; the lock is held."""
        if self._working:
            self._changed.notify()
            return
        self._worker = threading.Thread(target=self._work, name="smscode-redis", daemon=True)
        try:
            self._worker.start()
        except RuntimeError as error:  # there are too many, or the program is ending
            self._fail(type(error).__name__)

    def _work(self) -> None:
        with self.lock:
            if self._worker is not threading.current_thread():  # its start was interrupted, and begun again
                return
            try:
                while (bucket := self._next()) is not None:
                    self._go(bucket)
            finally:
                self._connection.close()
                self._worker = None

    def _next(self) -> SharedGroupLimiter | None:
        """Wait until a bucket has something to do in Redis; None when none has for a while."""
        idle_until = self._clock() + _IDLE
        while True:
            now = self._clock()
            dues = [(bucket.due(now), bucket) for bucket in self._leased]
            times = [(when, bucket) for when, bucket in dues if when is not None]
            when, bucket = min(times, key=lambda due: due[0], default=(idle_until, None))
            if when <= now:
                return bucket
            self._changed.wait(when - now)

    def _go(self, bucket: SharedGroupLimiter) -> None:
        """Go to Redis for a bucket, without the lock while on the way."""
        left = self._clock()
        trip = bucket.trip(left)
        self.lock.release()
        reason = ""
        try:
            grant = self._ask(bucket, trip)
        except Exception as error:  # whatever it is, calls must not wait for Redis
            grant, reason = None, type(error).__name__
        finally:
            self.lock.acquire()
        if grant is None:
            self._fail(reason, bucket, trip)
            return
        bucket.landed(trip, grant, left, self._clock())
        if self._away:
            self._away = False
            _log.warning("Redis is back: the rate limits are shared again.")

    def _fail(self, reason: str, bucket: SharedGroupLimiter | None = None, trip: Trip | None = None) -> None:
        """Go on without Redis, which the ``trip`` for a ``bucket`` may have reached or not."""
        now = self._clock()
        for other in self._leased:
            other.failed(trip if other is bucket else None, now)
        if not self._away:
            self._away = True
            _log.warning("Redis cannot be reached (%s): %s", reason, _ALONE)

    def _ask(self, bucket: SharedGroupLimiter, trip: Trip) -> Grant:
        tag = f"smscode:{{{self._account}:{bucket.group}}}:"  # in braces: one node of a cluster has it all
        told = [number for slot, left in trip.free for number in (slot, left * 1000)]
        granted, wait, paused, settled = cast(
            tuple[int, bytes, int, int],
            self._visit(
                [tag + "slots", tag + "hungry", tag + "pause"],
                [
                    self._holder,
                    trip.limit,
                    trip.want,
                    trip.start,
                    trip.own,
                    trip.fallback,
                    trip.hold * 1000,
                    (bucket.window + MARGIN) * 1000,
                    trip.pause * 1000,
                    *told,
                ],
            ),
        )
        return Grant(granted, float(wait) / 1000, paused / 1000, bool(settled))
