"""Jobs in forked processes, a few at once, each with a fault server of its own; judged as they end."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.faults.harness import Server, running_server
from tests.faults.script import Script
from tests.purchases import lives, operations
from tests.purchases.diary import Diary, Fact
from tests.purchases.judge import Invariant, Violation, judge

KEYED = Script("keyed", stall=3.0)

_SILENCE = 20.0  # seconds without a line after which a job hangs
_MOST_RESTARTS = 3


@dataclass(frozen=True)
class Context:
    """What a job works with; it goes on from the point with the number ``first``."""

    server: Server
    diary: Diary
    seed: int
    first: int = 1


@dataclass(frozen=True)
class Job:
    """A scenario, by its name; ``patch`` is what a mutant changes in the process that runs it."""

    name: str
    run: Callable[[Context], None]
    patch: Callable[[], None] | None = None


@dataclass
class Outcome:
    """What came of a job: ``points`` judged, ``made`` interruptions, and the violations."""

    job: Job
    seconds: float
    points: int
    made: int
    violations: list[Violation]
    facts: list[Fact] = field(repr=False, default_factory=list[Fact])

    @property
    def laws(self) -> Counter[Invariant]:
        """Count the violations by law."""
        return Counter(violation.law for violation in self.violations)

    @property
    def longest_hold(self) -> float:
        """Return the longest time in seconds for which an event loop stood still."""
        return max((fact["seconds"] for fact in self.facts if fact.what == "held"), default=0.0)


@dataclass
class _Slot:
    """A place for one job at a time, with its server."""

    server: Server
    job: Job | None = None
    process: int = 0
    pipe: int = -1
    began: float = 0.0
    heard: float = 0.0
    restarts: int = 0
    rest: bytes = b""
    facts: list[Fact] = field(default_factory=list[Fact])


class Pool:
    """Runs jobs; this process forks, so it must have no threads."""

    def __init__(self, servers: list[Server], seed: int) -> None:
        self._slots = [_Slot(server) for server in servers]
        self._seed = seed
        self._selector = selectors.DefaultSelector()

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Run the jobs in their order, and yield each as it ends."""
        waiting = iter(jobs)
        try:
            while True:
                for slot in self._slots:
                    if slot.job is None and (job := next(waiting, None)) is not None:
                        self._begin(slot, job)
                if all(slot.job is None for slot in self._slots):
                    return
                for key, _ in self._selector.select(1.0):
                    slot = key.data
                    if not self._read(slot) and (outcome := self._end(slot)) is not None:
                        yield outcome
                for slot in self._slots:
                    if slot.job is not None and time.monotonic() - slot.heard > _SILENCE:
                        _kill(slot.process)
        finally:
            for slot in self._slots:
                if slot.job is not None:
                    _kill(slot.process)
                    os.waitpid(slot.process, 0)

    def _begin(self, slot: _Slot, job: Job) -> None:
        slot.server.reset(self._seed, KEYED)
        slot.job, slot.facts, slot.restarts = job, [], 0
        slot.began = time.monotonic()
        self._fork(slot, 1)

    def _fork(self, slot: _Slot, first: int) -> None:
        assert slot.job is not None
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reading)
            os.setsid()  # so that what it forks can be killed with it
            _work(slot.job, Context(slot.server, Diary(writing), self._seed, first))
        os.close(writing)
        os.set_blocking(reading, False)
        slot.process, slot.pipe, slot.rest, slot.heard = process, reading, b"", time.monotonic()
        self._selector.register(reading, selectors.EVENT_READ, slot)

    def _read(self, slot: _Slot) -> bool:
        """Read what a job wrote; False at its end."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(slot.pipe, 1 << 20)
            slot.heard = time.monotonic()
            *lines, slot.rest = (slot.rest + data).split(b"\n")
            slot.facts += map(Fact.of, lines)
            return bool(data)
        return True

    def _end(self, slot: _Slot) -> Outcome | None:
        """Judge a job that ended; None if it was killed as it hung and goes on behind that point."""
        assert slot.job is not None
        self._selector.unregister(slot.pipe)
        os.close(slot.pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(slot.process, 0)[1])
        if code:
            last = slot.facts[-1] if slot.facts else Fact("", f"{slot.job.name}/0", 0, 0.0)
            why = f"did nothing for {_SILENCE:.0f} s" if code == -signal.SIGKILL else f"ended with {code}"
            slot.facts.append(Fact("broken", last.point, last.life, time.monotonic(), {"text": why}))
            slot.restarts += 1
            number = last.point.rpartition("/")[2]
            if slot.restarts <= _MOST_RESTARTS and number.isdigit():
                self._fork(slot, int(number) + 1)
                return None
        facts, job, slot.job = slot.facts, slot.job, None
        violations = judge(slot.server.settled(), facts)
        made = sum(fact["made"] for fact in facts if fact.what == "count")
        points = sum(fact.what == "point" for fact in facts)
        if not points:
            violations.append(Violation("broken", job.name, "nothing was tried"))
        return Outcome(job, time.monotonic() - slot.began, points, made, violations, facts)


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _work(job: Job, context: Context) -> None:
    """Do a job in its own process, which ends with it."""
    code = 0
    try:
        logging.disable(logging.CRITICAL)
        lives.install()
        operations.install()
        if job.patch is not None:
            job.patch()
        job.run(context)
    except BaseException:
        context.diary.write("broken", text=traceback.format_exc()[-1500:])
        code = 1
    finally:
        os._exit(code)


@contextlib.contextmanager
def running_pool(slots: int, seed: int) -> Generator[Pool]:
    """Start the servers of a pool, for the time of the block."""
    with ExitStack() as stack:
        yield Pool([stack.enter_context(running_server(seed, KEYED)) for _ in range(slots)], seed)
