"""One interruption of one call under one fault, at every place that there is for it."""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
import tempfile
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.purchases import clocks
from tests.purchases.clocks import CLOCKS, Clock
from tests.purchases.diary import Diary
from tests.purchases.disk import Disk
from tests.purchases.lines import Lines, Place
from tests.purchases.lives import FOLDER, Act, Flavour, Life, Maker, Manner, Program
from tests.purchases.operations import OPERATIONS, Operation

Live = Callable[[Program], bool]
Interruption = Literal["none", "task", "timeout", "scope", "line", "twice", "kill"]

_MOST = 400
_SOON = (0.000_005, 0.000_4)  # seconds that a clean-up takes
_REPEATS = {"create": 2}  # a line that runs more often is interrupted this often, else the first time


@dataclass(frozen=True)
class Walk:
    """A way through every place of one call; ``sample`` of the places by chance, None for all."""

    interruption: Interruption
    operation: str
    flavour: Flavour
    plan: str = "ok"
    disk: str = "none"
    clock: str = "steady"
    sample: int | None = None

    @property
    def name(self) -> str:
        """Return the name by which it is repeated."""
        parts = (self.interruption, self.operation, self.flavour, self.plan, self.disk, self.clock)
        return "/".join(parts)


class Walker:
    """Carries a walk out, in a process of its own."""

    def __init__(
        self,
        walk: Walk,
        base_url: str,
        diary: Diary,
        seed: int,
        forget: Callable[[], None],
        maker: Maker = Maker(),
    ) -> None:
        """Set up; ``forget`` makes the service forget its idempotency keys."""
        self._walk = walk
        self._base_url = base_url
        self._diary = diary
        self._seed = seed
        self._maker = maker
        self._operation: Operation = OPERATIONS[walk.operation]
        self._forget = forget

    def run(self, first: int = 1) -> None:
        """Go through all places, from the ``first`` one on."""
        made = 0
        match self._walk.interruption:
            case "none":
                self._point(1, functools.partial(self._live, manner="none", at=0))
            case "task" | "timeout" | "scope" as manner:
                for at in range(first, _MOST):
                    if not self._point(at, functools.partial(self._live, manner=manner, at=at)):
                        break
                    made += 1
            case "kill":
                made = self._kills(first)
            case "line" | "twice":
                made = self._lines(first)
        self._diary.write("count", made=made)

    def _kills(self, first: int) -> int:
        made = 0
        for at in range(first, _MOST):
            reached = [
                self._point(
                    2 * at + committed,
                    functools.partial(self._killed, at=at, committed=bool(committed)),
                )
                for committed in (0, 1)
            ]
            made += sum(reached)
            if not any(reached):
                break
        return made

    def _lines(self, first: int) -> int:
        seen: list[Place] = []

        def record(program: Program) -> bool:
            lines = Lines()
            program.disk = Disk("none" if program.disk.fatal else self._walk.disk, program.path)
            self._trace(program, lines)
            seen.extend(lines.seen)
            return True

        self._point(0, record)
        dice = random.Random(self._seed)
        if self._walk.interruption == "twice":
            count = self._walk.sample or 200
            tries = [Lines(dice.randint(1, len(seen)), then=dice.uniform(*_SOON)) for _ in range(count)]
        else:
            places = [place for place in seen if place[2] <= _REPEATS.get(self._walk.operation, 1)]
            count = min(self._walk.sample or len(places), len(places))
            chosen = sorted(dice.sample(range(len(places)), count))
            tries = [Lines(at=places[index]) for index in chosen]
        numbered = itertools.islice(enumerate(tries, 1), first - 1, None)
        return sum(
            self._point(number, functools.partial(self._trace, lines=lines)) for number, lines in numbered
        )

    def _point(self, number: int, live: Live) -> bool:
        """Run a program: getting ready, the interrupted life, and the one that recovers."""
        walk, diary = self._walk, self._diary
        with self._program(f"{walk.name}/{number}") as program:
            journal = program.disk.journal and self._operation.journal
            diary.begin(f"{walk.name}/{number}", journal=journal, durable=program.disk.durable)
            try:
                clock = CLOCKS[walk.clock]
                clocks.shift(clock.first)
                self._operation.first(program)
                if walk.operation == "recover":
                    self._go_on(clock)
                if clock.within is not None:
                    program.disk.after[1] = lambda: clocks.shift(clock.within or 0.0)
                reached = live(program)
                self._go_on(clock)
                if journal:
                    self._alone(program, Life.recover)
            except Exception:
                diary.write("broken", text=traceback.format_exc()[-1500:])
                return True
            finally:
                clocks.shift(0.0)
        return reached

    def _go_on(self, clock: Clock) -> None:
        """Go on to the time of the next life."""
        clocks.shift(clock.then)
        if clock.forgets:
            self._forget()

    @contextmanager
    def _program(self, name: str) -> Generator[Program]:
        walk = self._walk
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            traced = walk.interruption in ("line", "twice")
            yield Program(
                name,
                self._base_url,
                Path(folder),
                self._diary,
                flavour=walk.flavour,
                plan=walk.plan,
                disk_name=walk.disk,
                limited=traced,
                connections=1 if traced else 2,
                maker=self._maker,
            )

    def _live(self, program: Program, manner: Manner, at: int) -> bool:
        """Live with a call that is cancelled; False if it came to its end before."""
        reached = False

        async def act(life: Life) -> None:
            nonlocal reached
            program.disk.begin()

            async def start() -> None:
                await self._operation.act(life)

            if manner == "none":
                await start()
            else:
                reached = await life.cancelled(manner, at, start)
            if reached and program.disk.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            life.list_up(*self._operation.keys(program))
            await life.probe()

        return self._alive(program, act) or reached

    def _trace(self, program: Program, lines: Lines) -> bool:
        """Live with a call in which Ctrl-C is pressed; False if it came to its end before."""
        reached = False

        async def act(life: Life) -> None:
            nonlocal reached
            program.disk.begin()

            async def start() -> None:
                await self._operation.act(life)

            reached = await life.interrupted(lines, start)
            if reached and program.disk.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            life.list_up(*self._operation.keys(program))
            await life.probe()

        return self._alive(program, act) or reached

    def _alive(self, program: Program, act: Act) -> bool:
        """Live in this process, or in one that may be killed; True if it was."""
        if program.disk.fatal:
            return program.fork(act) == -signal.SIGKILL
        program.live(act, journal=program.disk.journal and self._operation.journal)
        return False

    def _killed(self, program: Program, at: int, committed: bool) -> bool:
        """Live in a process that is killed at its n-th commit; False if it came to its end before."""

        async def act(life: Life) -> None:
            program.disk.kill(at, committed=committed)
            program.disk.begin()
            await self._operation.act(life)

        return program.fork(act) == -signal.SIGKILL

    def _alone(self, program: Program, act: Act) -> None:
        """Live once more; where processes are killed in one of its own, so that this one can still fork."""
        program.disk = Disk("none", program.path)
        if self._walk.interruption == "kill" or self._walk.disk == "killed":
            if program.fork(act):
                self._diary.write("broken", text="the life that recovers did not end by itself")
        else:
            program.live(act)
