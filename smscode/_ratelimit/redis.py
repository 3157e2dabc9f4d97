"""Rate limits shared by processes and machines through Redis; it needs the ``redis`` extra."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import TypeAlias, cast

from ..core.ratelimit.limiter import GroupLimiter
from ..core.ratelimit.options import RateLimits
from ..core.ratelimit.shared import Grant, LeaseTerms, SharedGroupLimiter, SharedSlots, Trip
from ..core.ratelimit.slots import MARGIN
from ..models import EndpointGroup
from .budget import AccountLimits
from .redis_servers import Connection, NoScriptError, opener

_log = logging.getLogger("smscode")
_IDLE = 1.0
_DOUBT = (
    "Redis lost what it knew, or another server took over. Until requests from before no longer count, in"
    " %.0f s, this process sends no more than it did then, and no more than its fallback share."
)

# One visit. KEYS: state (a hash), slots (a sorted set), hungry (a sorted set).
# ARGV: holder, limit, want, start, own, fallback, kept, hold, period, pause, time, turn, wall; then for each
# slot the visitor tells of its number and the milliseconds until it is free. All times are in milliseconds.
_VISIT = """
local state, slots, hungry = KEYS[1], KEYS[2], KEYS[3]
local holder = ARGV[1]
local limit, want, start = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local own, fallback, kept = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local hold, period, stop = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local visitor, turn, wall = tonumber(ARGV[11]), ARGV[12], tonumber(ARGV[13])

-- 1. Who answers. A server has this id for as long as it is master: a restart and a takeover change it.
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
local clock = redis.call('TIME')
local host = clock[1] * 1000 + clock[2] / 1000

-- 2. What was known. Both keys were made together; if one was deleted or evicted, the other is worth nothing.
local was = redis.call('HMGET', state, 'time', 'since', 'empty', 'pause', 'host', 'wall', 'server', 'turn')
local now, since, empty, paused = tonumber(was[1]), tonumber(was[2]), was[3], tonumber(was[4])
local last_host, last_wall, last_server, last_turn = tonumber(was[5]), tonumber(was[6]), was[7], was[8]
if not (now and redis.call('ZSCORE', slots, 'mark')) then
    redis.call('DEL', slots, hungry)
    redis.call('ZADD', slots, -1, 'mark')
    now, since, empty, paused = 0, 0, '1', 0
    last_host, last_wall, last_server, last_turn = host, wall, server, ''
end

-- 3. How much time has passed since the last visit. This time must not run ahead of the real one, or slots
-- would be forgotten early, nor fall far behind, or they would be kept for long.
local doubt = last_server ~= server
local ticks = host - last_host -- by the clock of this host, if it did not step back and is no other host's
if doubt or ticks < 0 then
    ticks = nil
end
local passed
if visitor >= 0 and turn == last_turn then
    -- The visitor's monotonic clock, since it was here last, is right whatever the clock of this host does.
    passed = visitor - now
else
    if visitor >= 0 then
        -- Since it was here last, this time may have been left behind, and others may have got slots by it.
        -- Then what the visitor's clock says is too much for those, so no more than the ticks counts. If the
        -- two are far from each other, nothing is sure.
        passed = math.min(visitor - now, ticks or 0)
        doubt = doubt or math.abs(visitor - now - (ticks or 0)) > 5000
    elseif ticks and math.abs(wall - last_wall - ticks) <= 5000 then
        -- It comes for the first time, and its wall clock agrees, as far as such clocks do.
        passed = ticks
    else
        -- One of them was set. The less that has passed, the fewer slots are forgotten.
        passed = math.min(wall - last_wall, ticks or wall - last_wall)
    end
    -- This may have left the time behind: what others read of it before says nothing any more.
    if visitor < 0 or visitor - now - passed > 50 then
        last_turn = holder .. string.format(':%.3f', host)
    end
end
now = now + math.max(passed, 0)

-- 4. Another server took over, which the last slots that were given out may not have reached; or nothing is
-- sure about the time.
if doubt then
    since, empty = now, '0'
end

-- 5. What the visitor tells: slots that are free now or will be, and those of requests that still go on.
for i = 14, #ARGV, 2 do
    local slot, left = holder .. ':' .. ARGV[i], tonumber(ARGV[i + 1])
    if left > 0 then
        redis.call('ZADD', slots, now + left, slot)
    else
        redis.call('ZREM', slots, slot)
    end
end
redis.call('ZREMRANGEBYSCORE', slots, 0, now)

-- 6. The longest pause that any process was asked for holds for all.
if stop > 0 then
    paused = math.max(paused, now + stop)
end
local pause = math.max(paused - now, 0)

-- 7. For one hold after 2. or 4. slots may be in use that are not known of here. Until then each process has
-- no more than it had when that happened; a new one has its fallback share, or nothing after a takeover.
local settled = since + hold
local most = want
if now < settled then
    most = math.min(want, math.max((empty == '1' and fallback or kept) - own, 0))
end

-- 8. What is free is divided among those who were not satisfied, so that nobody takes it all.
redis.call('ZREMRANGEBYSCORE', hungry, '-inf', now)
local used = redis.call('ZCARD', slots) - 1
local free = math.max(limit - used, 0)
local others = redis.call('ZCARD', hungry)
if redis.call('ZSCORE', hungry, holder) then
    others = others - 1
end
local granted = math.min(most, math.ceil(free / (others + 1)))
if pause > 0 then
    granted = 0
end
-- A slot is booked for one hold; whoever has it must tell of it again before that.
for i = 0, granted - 1 do
    redis.call('ZADD', slots, now + hold, holder .. ':' .. string.format('%.0f', start + i))
end
if granted < want then
    redis.call('ZADD', hungry, now + math.min(period / 10, 6000), holder) -- longer than between two visits
else
    redis.call('ZREM', hungry, holder)
end

-- 9. When there may be more.
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

-- 10. What is known from now on. A week without a visit ends it: nothing of it matters then.
for field, value in pairs({time = now, since = since, pause = paused, host = host, wall = wall}) do
    redis.call('HSET', state, field, string.format('%.3f', value))
end
redis.call('HSET', state, 'empty', empty, 'server', server, 'turn', last_turn)
for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, 604800000)
end
return {granted, string.format('%.3f', math.max(wait, pause)), math.ceil(pause), now >= settled and 1 or 0,
    string.format('%.3f', now), last_turn}
"""
_Text: TypeAlias = str | bytes  # as the client was made
_SHA = hashlib.sha1(_VISIT.encode(), usedforsecurity=False).hexdigest()  # what Redis calls it by


class RedisBudget(AccountLimits):
    """The buckets of an account whose slots are leased from Redis.

    A thread goes to Redis while there is something to ask or to tell, and ends when there is not; calls
    never wait for Redis itself, only for slots.
    """

    def __init__(
        self, account: str, limits: RateLimits, redis: object, longest: float, clock: Callable[[], float]
    ) -> None:
        """Set up without connecting.

        ``account`` names the account in Redis, without its token; ``redis`` is its URL, or a client whose
        settings are used; ``longest`` are the seconds that a request may take, and ``clock`` gives the time.
        """
        self._terms = LeaseTerms(longest, limits.redis_fallback)
        self._leased: list[SharedGroupLimiter] = []
        super().__init__(limits)
        self._clock = clock
        self._account = account
        self._begin()
        self._open = opener(redis)
        self._connection: Connection | None = None

    def _begin(self) -> None:
        self._holder = secrets.token_hex(8)
        self._changed = threading.Condition(self.lock)
        self._worker: threading.Thread | None = None
        self._away = False
        self._doubted_until = float("-inf")

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
                self._disconnect()
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
            # Also after an answer: a server that has become a replica answers READONLY on this connection for
            # ever, while a new one is led to the master.
            self._disconnect()
        finally:
            self.lock.acquire()
        if grant is None:
            self._fail(reason, bucket, trip)
            return
        knew, now = bucket.sure, self._clock()
        bucket.landed(trip, grant, left, now)
        if not grant.settled and (self._away or (knew and now >= self._doubted_until)):
            self._doubted_until = now + trip.hold  # the other groups of endpoints see it, too
            _log.warning(_DOUBT, trip.hold)
        elif self._away:
            _log.warning("Redis is back: the rate limits are shared again.")
        self._away = False

    def _fail(self, reason: str, bucket: SharedGroupLimiter | None = None, trip: Trip | None = None) -> None:
        """Go on without Redis, which the ``trip`` for a ``bucket`` may have reached or not."""
        now = self._clock()
        for other in self._leased:
            other.failed(trip if other is bucket else None, now)
        if not self._away:
            self._away = True
            _log.warning("Redis cannot be reached (%s): %s", reason, _alone(self._terms.fallback))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # there is nothing to lose any more
                connection.close()

    def _ask(self, bucket: SharedGroupLimiter, trip: Trip) -> Grant:
        if self._connection is None:
            self._connection = self._open()
        tag = f"smscode:{{{self._account}}}:{bucket.group}:"  # in braces: all of an account is in one slot
        told = [number for slot, left in trip.free for number in (slot, left * 1000)]
        visit = (
            *(tag + "state", tag + "slots", tag + "hungry"),
            *(self._holder, trip.limit, trip.want, trip.start, trip.own, trip.fallback, trip.kept),
            *(trip.hold * 1000, (bucket.window + MARGIN) * 1000, trip.pause * 1000),
            *(-1 if trip.time is None else trip.time * 1000, trip.turn, time.time() * 1000),
            *told,
        )
        try:
            answer = self._connection.evalsha(_SHA, 3, *visit)
        except NoScriptError:  # this server has not run it before
            answer = self._connection.eval(_VISIT, 3, *visit)
        granted, wait, paused, settled, *now = cast(tuple[int, _Text, int, int, _Text, _Text], answer)
        return Grant(granted, float(wait) / 1000, paused / 1000, bool(settled), *_time(*now))


def _time(now: _Text = "0", turn: _Text = "") -> tuple[float, str]:
    return float(now) / 1000, turn if isinstance(turn, str) else turn.decode()


def _alone(fallback: float) -> str:
    """Return what a process does while it cannot reach Redis, in words."""
    if not fallback:
        return "until it can, this process sends nothing (redis_fallback=0)."
    return (
        f"until it can, this process sends at most {fallback:g} of each rate limit by itself"
        " (redis_fallback), beside what processes that do reach Redis send."
    )
