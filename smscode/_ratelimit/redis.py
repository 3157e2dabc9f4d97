"""Rate limits shared by processes and machines through Redis; needs the ``redis`` extra.

The script is the store that `smscode.core.ratelimit.shared` describes, and a thread makes the visits.
"""

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
from ..core.ratelimit.shared import Grant, LeaseTerms, SharedGroupLimiter, SharedSlots, Visit
from ..core.ratelimit.slots import MARGIN
from ..models import EndpointGroup
from .budget import AccountLimits
from .redis_servers import Connection, NoScriptError, opener

_log = logging.getLogger("smscode")
_IDLE = 1.0  # seconds without a visit after which the thread ends
_UNSETTLED = (
    "Redis lost its data, or another server took over. For %.0f s, until no earlier request counts any more,"
    " this process sends no more than it did before, and no more than its fallback share."
)

# One visit. Redis runs a script as one step, so no other visit comes in between. KEYS: state (a hash), slots
# (a sorted set: until when each is booked), unsatisfied (a sorted set: processes that got less than they
# asked for, until when that counts). ARGV: holder (the process), limit, want, start, own, fallback, kept,
# hold, period, pause, time, turn, wall, as in `Visit`; ``period`` is the window and its margin, ``wall`` the
# visitor's wall clock. Then for each reported slot its number and the milliseconds until it is free. All
# times are in milliseconds.
_VISIT = """
local state, slots, unsatisfied = KEYS[1], KEYS[2], KEYS[3]
local holder = ARGV[1]
local limit, want, start = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local own, fallback, kept = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local hold, period, stop = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local visitor, turn, wall = tonumber(ARGV[11]), ARGV[12], tonumber(ARGV[13])

-- 1. Read which server this is, and its clock. A server has this id while it is master: a restart and a
-- takeover change it.
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
local clock = redis.call('TIME')
local host = clock[1] * 1000 + clock[2] / 1000

-- 2. Read the state of the last visit. Both keys are made together, so if one was deleted or evicted, the
-- other is worth nothing: start empty.
local was = redis.call('HMGET', state, 'time', 'since', 'empty', 'pause', 'host', 'wall', 'server', 'turn')
local now, since, empty, paused = tonumber(was[1]), tonumber(was[2]), was[3], tonumber(was[4])
local last_host, last_wall, last_server, last_turn = tonumber(was[5]), tonumber(was[6]), was[7], was[8]
if not (now and redis.call('ZSCORE', slots, 'mark')) then
    redis.call('DEL', slots, unsatisfied)
    redis.call('ZADD', slots, -1, 'mark')
    now, since, empty, paused = 0, 0, '1', 0
    last_host, last_wall, last_server, last_turn = host, wall, server, ''
end

-- 3. Find out how much time has passed since the last visit. The store's time must not run ahead of real
-- time, or slots would be dropped too early, nor fall far behind, or they would be booked for too long.
local doubt = last_server ~= server
local ticks = host - last_host -- by the clock of this host, if it did not step back and is no other host's
if doubt or ticks < 0 then
    ticks = nil
end
local passed
if visitor >= 0 and turn == last_turn then
    -- The visitor has seen the store's time of now: its monotonic clock since then is right, whatever the
    -- clock of this host does.
    passed = visitor - now
else
    if visitor >= 0 then
        -- Since its last visit the store's time may have fallen behind, and others may have been granted
        -- slots by it. For those the visitor's clock says too much, so at most the ticks of this host count.
        -- If the two differ by more than 5 s, the store cannot trust its time.
        passed = math.min(visitor - now, ticks or 0)
        doubt = doubt or math.abs(visitor - now - (ticks or 0)) > 5000
    elseif ticks and math.abs(wall - last_wall - ticks) <= 5000 then
        -- It is the visitor's first visit, and its wall clock agrees with the clock of this host.
        passed = ticks
    else
        -- One of the two clocks was set. Take the smaller time, which drops fewer slots.
        passed = math.min(wall - last_wall, ticks or wall - last_wall)
    end
    -- The store's time may have fallen behind by this. A new turn makes earlier readings of it worthless.
    if visitor < 0 or visitor - now - passed > 50 then
        last_turn = holder .. string.format(':%.3f', host)
    end
end
now = now + math.max(passed, 0)

-- 4. After a takeover the last granted slots may not have reached this server. Then, and if the time cannot
-- be trusted, the store is not settled for one hold.
if doubt then
    since, empty = now, '0'
end

-- 5. Apply the visitor's report: slots that are free now or will be, and those of requests that go on. Then
-- drop all whose time is over.
for i = 14, #ARGV, 2 do
    local slot, left = holder .. ':' .. ARGV[i], tonumber(ARGV[i + 1])
    if left > 0 then
        redis.call('ZADD', slots, now + left, slot)
    else
        redis.call('ZREM', slots, slot)
    end
end
redis.call('ZREMRANGEBYSCORE', slots, 0, now)

-- 6. Apply the pause: the longest one that any process was asked for holds for all.
if stop > 0 then
    paused = math.max(paused, now + stop)
end
local pause = math.max(paused - now, 0)

-- 7. For one hold after an empty start (2) or a takeover (4), slots may be in use that the store does not
-- know of. Until then each process keeps at most what it had when that happened; a new process has its
-- fallback share after an empty start, and nothing after a takeover.
local settled = since + hold
local most = want
if now < settled then
    most = math.min(want, math.max((empty == '1' and fallback or kept) - own, 0))
end

-- 8. Grant a fair part of the free slots: they are divided among the unsatisfied processes, this one
-- included.
redis.call('ZREMRANGEBYSCORE', unsatisfied, '-inf', now)
local used = redis.call('ZCARD', slots) - 1
local free = math.max(limit - used, 0)
local others = redis.call('ZCARD', unsatisfied)
if redis.call('ZSCORE', unsatisfied, holder) then
    others = others - 1
end
local granted = math.min(most, math.ceil(free / (others + 1)))
if pause > 0 then
    granted = 0
end
-- A slot is booked for one hold; its process must report it again before that is over.
for i = 0, granted - 1 do
    redis.call('ZADD', slots, now + hold, holder .. ':' .. string.format('%.0f', start + i))
end
if granted < want then
    -- This lasts longer than the time between two visits, and ends by itself if the process is killed.
    redis.call('ZADD', unsatisfied, now + math.min(period / 10, 6000), holder)
else
    redis.call('ZREM', unsatisfied, holder)
end

-- 9. Say when there may be more: when the first slot beyond the limit is dropped, or the store is settled.
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

-- 10. Store the state. After a week without a visit Redis deletes it: no slot of it can be in use then.
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
_Text: TypeAlias = str | bytes  # by the ``decode_responses`` of the client
_SHA = hashlib.sha1(
    _VISIT.encode(), usedforsecurity=False
).hexdigest()  # the name by which Redis keeps the script


class RedisAccountLimits(AccountLimits):
    """The rate limits of an account whose slots are granted by Redis.

    A thread visits Redis while there is something to ask for or to report, and ends when there is not. Calls
    never wait for Redis itself, only for slots. ``lock`` guards all that is here; the thread releases it
    while it waits for Redis, and takes no other lock under it.
    """

    def __init__(
        self, account: str, limits: RateLimits, redis: object, longest: float, clock: Callable[[], float]
    ) -> None:
        """Set up without connecting.

        ``account`` names the account in Redis, without its token. ``redis`` is the URL of the server, or a
        client whose settings are used. ``longest`` is the most seconds that a request may take, and ``clock``
        returns the time in seconds, monotonic. Raises `ConfigurationError` without the ``redis`` extra.
        """
        self._terms = LeaseTerms(longest, limits.redis_fallback)
        self._shared: list[SharedGroupLimiter] = []
        super().__init__(limits)
        self._clock = clock
        self._account = account
        self._reset()
        self._open = opener(redis)
        self._connection: Connection | None = None

    def _reset(self) -> None:
        self._holder = secrets.token_hex(8)
        self._changed = threading.Condition(self.lock)
        self._worker: threading.Thread | None = None
        self._unreachable = False
        self._unsettled_until = float("-inf")

    @property
    def _working(self) -> bool:
        """Whether the thread runs. After an interrupt there may be one that was never started."""
        return self._worker is not None and self._worker.is_alive()

    def _limiter(self, group: EndpointGroup, limit: int, window: float) -> GroupLimiter:
        limiter = SharedGroupLimiter(group.value, limit, SharedSlots(window, self._terms, self._wake_worker))
        self._shared.append(limiter)
        return limiter

    def reset_after_fork(self) -> None:
        """Start anew in a forked child, as another holder: the slots of the old one are its parent's."""
        self._shared.clear()
        super().reset_after_fork()
        self._reset()

    def _wake_worker(self) -> None:
        """Wake the thread that visits Redis, or start it; to be called under the lock."""
        if self._working:
            self._changed.notify()
            return
        self._worker = threading.Thread(target=self._work, name="smscode-redis", daemon=True)
        try:
            self._worker.start()
        except RuntimeError as error:  # no more threads, or the interpreter ends
            self._fail(type(error).__name__)

    def _work(self) -> None:
        with self.lock:
            if self._worker is not threading.current_thread():  # another one was started after an interrupt
                return
            try:
                while (limiter := self._wait_for_due()) is not None:
                    self._visit(limiter)
            finally:
                self._disconnect()
                self._worker = None

    def _wait_for_due(self) -> SharedGroupLimiter | None:
        """Wait until a limiter is due for a visit, and return it; None if none is for `_IDLE` seconds."""
        idle_until = self._clock() + _IDLE
        while True:
            now = self._clock()
            dues = [(limiter.due(now), limiter) for limiter in self._shared]
            times = [(when, limiter) for when, limiter in dues if when is not None]
            when, limiter = min(times, key=lambda due: due[0], default=(idle_until, None))
            if when <= now:
                return limiter
            self._changed.wait(when - now)

    def _visit(self, limiter: SharedGroupLimiter) -> None:
        """Visit Redis for a limiter; the lock is released meanwhile."""
        left = self._clock()
        visit = limiter.prepare_visit(left)
        self.lock.release()
        reason = ""
        try:
            grant = self._ask(limiter, visit)
        except Exception as error:  # of any kind: calls must not wait for Redis
            grant, reason = None, type(error).__name__
            # Also after an error that the server sent: one that has become a replica answers READONLY on this
            # connection for ever, while a new connection is led to the master.
            self._disconnect()
        finally:
            self.lock.acquire()
        if grant is None:
            self._fail(reason, limiter, visit)
            return
        was_settled, now = limiter.settled, self._clock()
        limiter.apply_grant(visit, grant, left, now)
        if not grant.settled and (self._unreachable or (was_settled and now >= self._unsettled_until)):
            self._unsettled_until = now + visit.hold  # one warning for all groups
            _log.warning(_UNSETTLED, visit.hold)
        elif self._unreachable:
            _log.warning("Redis is back: the rate limits are shared again.")
        self._unreachable = False

    def _fail(
        self, reason: str, limiter: SharedGroupLimiter | None = None, visit: Visit | None = None
    ) -> None:
        """Go on without Redis. The ``visit`` for a ``limiter`` may have reached it all the same."""
        now = self._clock()
        for other in self._shared:
            other.failed(visit if other is limiter else None, now)
        if not self._unreachable:
            self._unreachable = True
            _log.warning("Redis cannot be reached (%s): %s", reason, _alone(self._terms.fallback))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # a connection that is broken may not close cleanly
                connection.close()

    def _ask(self, limiter: SharedGroupLimiter, visit: Visit) -> Grant:
        if self._connection is None:
            self._connection = self._open()
        tag = f"smscode:{{{self._account}}}:{limiter.group}:"  # the braces keep an account on one node
        reported = [number for slot, left in visit.free for number in (slot, left * 1000)]
        arguments = (
            *(tag + "state", tag + "slots", tag + "unsatisfied"),
            *(self._holder, visit.limit, visit.want, visit.start, visit.own, visit.fallback, visit.kept),
            *(visit.hold * 1000, (limiter.window + MARGIN) * 1000, visit.pause * 1000),
            *(-1 if visit.time is None else visit.time * 1000, visit.turn, time.time() * 1000),
            *reported,
        )
        try:
            answer = self._connection.evalsha(_SHA, 3, *arguments)
        except NoScriptError:  # this server has not run it before
            answer = self._connection.eval(_VISIT, 3, *arguments)
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
