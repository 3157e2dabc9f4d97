"""What is different on Windows and macOS, with those systems simulated on this one."""

from __future__ import annotations

import enum
import errno
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import httpcore
import pytest

if sys.platform == "win32":
    pytest.skip("it compares Windows with other systems", allow_module_level=True)

from smscode import _platform
from smscode._concurrency import Event
from smscode._http import streams
from smscode._http.stack_errors import ReadTimeout
from smscode._journal import owners
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox
from smscode.sandbox.transports.webhook_sender import WebhookSender

from .journal_tools import do, lives, lock_files, purchase, store
from .programs import ROOT

CONNECTION_REFUSED = 10061


class Locks:
    """The module `msvcrt`, whose locks belong to a descriptor and hold against any other."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}
        self.calls: list[tuple[int, int]] = []

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert count == 1
        self.calls.append((descriptor, mode))
        found = os.fstat(descriptor)
        file = found.st_dev, found.st_ino
        if mode == self.LK_UNLCK:
            if self.held.get(file) != descriptor:
                raise PermissionError(errno.EACCES, "not locked")
            del self.held[file]
        elif self.held.setdefault(file, descriptor) != descriptor:
            raise PermissionError(errno.EACCES, "locked")


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a module as it is on another system, without changing the one in use."""
    path = ROOT / "smscode" / f"{name.replace('.', '/')}.py"
    full = f"smscode.{name}"
    spec = importlib.util.spec_from_file_location(full, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def locks() -> Locks:
    return Locks()


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch, locks: Locks) -> Any:
    """`smscode._platform` as it is on Windows."""
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        patched.setitem(sys.modules, "msvcrt", locks)
        patched.setattr(socket, "errorTab", {CONNECTION_REFUSED: "Connection refused."}, raising=False)
        return load("_platform", patched)


@pytest.fixture(params=["here", "windows"])
def system(request: pytest.FixtureRequest) -> Any:
    return _platform if request.param == "here" else request.getfixturevalue("windows")


def open_file(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_RDWR)


# Locked files


def test_a_file_is_locked_once_until_it_is_closed(system: Any, tmp_path: Path) -> None:
    first, second = (open_file(tmp_path / "a.lock") for _ in range(2))
    system.lock_file(first)
    with pytest.raises(OSError, match=r"unavailable|locked"):
        system.lock_file(second)
    system.unlock_and_close(first)
    system.lock_file(second)
    system.unlock_and_close(second)


def test_windows_is_told_to_unlock_a_file_before_it_is_closed(
    windows: Any, locks: Locks, tmp_path: Path
) -> None:
    descriptor = open_file(tmp_path / "a.lock")
    windows.lock_byte(descriptor)
    windows.unlock_and_close(descriptor)
    assert locks.calls == [(descriptor, locks.LK_NBLCK), (descriptor, locks.LK_UNLCK)]
    assert locks.held == {}


def test_a_file_whose_lock_was_lost_is_closed_all_the_same(windows: Any, tmp_path: Path) -> None:
    descriptor = open_file(tmp_path / "a.lock")
    windows.unlock_and_close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_locked_file_is_removed_and_unlocked(system: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    descriptor = open_file(path)
    system.lock_file(descriptor)
    system.remove_locked(descriptor, str(path))
    assert not path.exists()


@pytest.mark.parametrize(("name", "first"), [("here", "unlink"), ("windows", "close")])
def test_what_can_be_removed_while_it_is_open_is_removed_while_it_is_locked(
    name: str, first: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = _platform if name == "here" else request.getfixturevalue(name)
    path, steps = tmp_path / "a.lock", list[str]()
    descriptor = open_file(path)
    system.lock_file(descriptor)
    real = {step: getattr(os, step) for step in ("close", "unlink")}

    def note(step: str) -> Callable[[Any], None]:
        def noted(what: Any) -> None:
            steps.append(step)
            real[step](what)

        return noted

    for step in real:
        monkeypatch.setattr(system.os, step, note(step))
    system.remove_locked(descriptor, str(path))
    monkeypatch.undo()
    assert (steps[0], {*steps}) == (first, {"close", "unlink"})


def test_a_lock_file_that_another_process_has_open_stays(
    windows: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.lock"
    descriptor = open_file(path)
    windows.lock_file(descriptor)

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        windows.remove_locked(descriptor, str(path))
    assert path.exists()


# Files that another program has open


def refusing(monkeypatch: pytest.MonkeyPatch, times: float) -> list[str]:
    """Make the next renames fail as on Windows while a scanner reads the file; return what was renamed."""
    tried: list[str] = []
    real = os.replace

    def replace(new: str, path: str) -> None:
        tried.append(new)
        if len(tried) <= times:
            raise PermissionError(errno.EACCES, "used by another process")
        real(new, path)

    monkeypatch.setattr(os, "replace", replace)
    return tried


def test_a_file_that_is_open_elsewhere_is_replaced_when_it_is_closed(
    windows: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new, path = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    path.write_text("old")
    tried = refusing(monkeypatch, 2)
    windows.replace(str(new), str(path))
    assert (len(tried), path.read_text()) == (3, "new")


def test_a_file_that_stays_open_elsewhere_is_given_up_after_a_second(
    windows: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    times = iter([0.0, 0.5, 0.99, 1.0])
    monkeypatch.setattr(windows, "RealTime", type("Clock", (), {"monotonic": lambda: next(times)}))
    tried = refusing(monkeypatch, float("inf"))
    with pytest.raises(PermissionError):
        windows.replace(str(tmp_path / "new"), str(tmp_path / "old"))
    assert len(tried) == 3


def test_elsewhere_a_file_that_may_not_be_replaced_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried = refusing(monkeypatch, 1)
    with pytest.raises(PermissionError):
        _platform.replace(str(tmp_path / "new"), str(tmp_path / "old"))
    assert len(tried) == 1


def test_the_state_of_a_sandbox_is_stored_although_a_scanner_reads_it(
    windows: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("smscode.sandbox.storage.state._platform", windows)
    path = tmp_path / "state.json"
    with Sandbox(state=path):
        before = path.read_bytes()
        path.write_bytes(b"")
        tried = refusing(monkeypatch, 1)
    assert len(tried) > 1
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


# Journals


@pytest.fixture
def windows_journals(windows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_platform", windows)


@pytest.mark.usefixtures("windows_journals")
def test_journals_on_windows_lock_and_remove_their_files(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    with SQLiteJournal(path) as journal:
        assert len(lock_files(path)) == 1
        for owner, living in ((journal.owner, True), ("gone", False)):
            store(journal, purchase("key-1", owner=owner))
            assert do(journal, "key-1", lives).result is living
        assert not owners._is_locked(str(tmp_path / "other"))
        assert owners._is_locked(str(tmp_path / lock_files(path)[0]))
    assert lock_files(path) == []


@pytest.mark.usefixtures("windows_journals")
def test_on_windows_an_owner_without_a_lock_file_has_ended_as_an_open_file_cannot_be_removed() -> None:
    assert owners._has_ended(owners._host(), os.getpid(), "")
    assert not owners._has_ended("another machine", os.getpid(), "")


def test_a_system_without_name_spaces_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "readlink", missing)
    assert owners._host() == socket.gethostname()


def test_a_commit_reaches_the_disk_on_macos_too(tmp_path: Path) -> None:
    """There, fsync leaves what it wrote in the disk's own cache, unless this is set."""
    from smscode import _sqlite
    from smscode._journal.rows import FORMAT

    opened = _sqlite.connect(tmp_path / "a.db", FORMAT, ValueError, patience=1.0)  # type: ignore[arg-type]
    assert opened.execute("PRAGMA fullfsync").fetchone() == (1,)
    opened.close()


# Waits that Ctrl-C must be able to end: on Windows it only can between two of them.


def test_a_wait_on_windows_lasts_a_tenth_of_a_second_and_elsewhere_any_time(windows: Any) -> None:
    assert (windows.LONGEST_WAIT, _platform.LONGEST_WAIT) == (0.1, threading.TIMEOUT_MAX)


class Lock:
    """A lock that is never released, or only after some waits for it."""

    def __init__(self, event: Event, sets_after: int | None = None) -> None:
        self.waited: list[float] = []
        self._event = event
        self._sets_after = sets_after

    def acquire(self, *, timeout: float) -> bool:
        self.waited.append(round(timeout, 6))
        if len(self.waited) == self._sets_after:
            self._event.set()
        return False

    def release(self) -> None: ...


@pytest.mark.parametrize(
    ("seconds", "waited"),
    [(0.25, [0.1, 0.1, 0.05]), (0.1, [0.1]), (0.0, [0.0]), (-1.0, [0.0])],
)
def test_a_thread_waits_for_an_event_in_slices(
    seconds: float, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smscode._concurrency.events.LONGEST_WAIT", 0.1)
    event: Any = Event()
    event._closed = Lock(event)
    assert not event.wait(seconds)
    assert event._closed.waited == waited


def test_an_event_that_is_set_ends_the_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smscode._concurrency.events.LONGEST_WAIT", 0.1)
    event: Any = Event()
    event._closed = Lock(event, sets_after=3)
    assert event.wait(float("inf"))
    assert event._closed.waited == [0.1] * 3


class Queue(SimpleQueue[int]):
    """A queue that gets its item after some waits."""

    def __init__(self, item_after: int) -> None:
        self.waited: list[float] = []
        self._item_after = item_after

    def get(self, block: bool = True, timeout: float | None = None) -> int:
        assert timeout is not None
        self.waited.append(round(timeout, 6))
        if len(self.waited) <= self._item_after:
            raise Empty
        return 7


def test_a_thread_waits_for_an_item_in_slices(windows: Any) -> None:
    queue = Queue(3)
    assert windows.get(queue) == 7
    assert queue.waited == [0.1] * 4
    late = Queue(9)
    with pytest.raises(Empty):
        windows.get(late, 0.25)
    assert late.waited == [0.1, 0.1, 0.05]


def test_a_wait_for_ever_is_one_of_many_slices(windows: Any) -> None:
    class Late(threading.Event):
        waited: list[float | None]

        def wait(self, timeout: float | None = None) -> bool:
            self.waited.append(timeout)
            return len(self.waited) == 4

    event = Late()
    event.waited = []
    windows.wait(event)
    assert event.waited == [0.1] * 4


class Stream(httpcore.NetworkStream):
    """A stream from which nothing comes for some reads."""

    def __init__(self, silent: float) -> None:
        self.waited: list[float | None] = []
        self._silent = silent

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.waited.append(timeout if timeout is None else round(timeout, 6))
        if len(self.waited) <= self._silent:
            raise httpcore.ReadTimeout
        return b"1" * max_bytes

    def get_extra_info(self, info: str) -> Any:
        return None


def stream_of(silent: float, deadline: float) -> tuple[Any, Stream]:
    limit = streams.Deadline(lambda: 0.0)
    limit.at = deadline
    stream = Stream(silent)
    return streams.DeadlineStream(stream, limit, httpcore), stream


@pytest.mark.parametrize("deadline", [float("inf"), 5.0])
def test_a_thread_reads_in_slices_and_loses_no_byte(deadline: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST_WAIT", 0.1)
    reader, stream = stream_of(2, deadline)
    assert reader.read(3, 1.0) == b"111"
    assert stream.waited == [0.1, 0.1, 0.1]


def test_reading_in_slices_ends_with_its_own_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST_WAIT", 0.1)
    reader, stream = stream_of(float("inf"), 5.0)
    with pytest.raises(httpcore.ReadTimeout):
        reader.read(3, 0.25)
    assert stream.waited == [0.1, 0.1, 0.05]


def test_a_read_that_another_thread_breaks_off_ends_after_its_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST_WAIT", 0.1)
    reader, stream = stream_of(float("inf"), 5.0)
    reader._deadline._now = lambda: 0.0 if len(stream.waited) < 3 else 6.0
    with pytest.raises(ReadTimeout, match="deadline of the call"):
        reader.read(3, 1.0)
    assert stream.waited == [0.1, 0.1, 0.1]


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_elsewhere_a_read_is_one(timeout: float | None) -> None:
    reader, stream = stream_of(0, float("inf"))
    assert reader.read(3, timeout) == b"111"
    assert stream.waited == [timeout]


def test_waiting_for_webhooks_is_done_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "smscode.sandbox.transports.webhook_sender.LONGEST_WAIT"
    monkeypatch.setattr(module, 0.001)
    sender: Any = WebhookSender(None, lambda _: None)
    assert sender.wait(0.01)
    sender._working = True
    assert not sender.wait(0.0025)
    monkeypatch.setattr(sender._state, "wait_for", Slices(3))
    assert sender.wait(1.0)


class Slices:
    """The method `wait_for` of a condition that is met in one of the next waits."""

    def __init__(self, times: int) -> None:
        self._times = times

    def __call__(self, predicate: Callable[[], bool], timeout: float) -> bool:
        assert timeout == 0.001
        self._times -= 1
        return not self._times


# Signals, and what errors say


class WindowsSignals(enum.IntEnum):
    SIGINT, SIGTERM, SIGBREAK = 2, 15, 21


def test_ctrl_break_ends_commands_on_windows_as_a_hang_up_does_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load("cli.interrupts", monkeypatch)._SIGNALS == (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    monkeypatch.setattr(signal, "Signals", WindowsSignals)
    assert tuple(WindowsSignals) == load("cli.interrupts", monkeypatch)._SIGNALS
    assert load("cli.offline", monkeypatch)._SIGNALS == (WindowsSignals.SIGTERM, WindowsSignals.SIGBREAK)


def test_the_numbers_of_windows_have_texts(windows: Any) -> None:
    assert windows.error_text(CONNECTION_REFUSED) == "Connection refused."
    assert windows.error_text(errno.ENOENT) == _platform.error_text(errno.ENOENT) == os.strerror(errno.ENOENT)


def test_an_invalid_argument_is_a_broken_pipe_on_windows_only(windows: Any) -> None:
    invalid, full = OSError(errno.EINVAL, "Invalid argument"), OSError(errno.ENOSPC, "No space left")
    assert windows.is_broken_pipe(invalid)
    assert not _platform.is_broken_pipe(invalid)
    for system in (windows, _platform):
        assert system.is_broken_pipe(BrokenPipeError())
        assert not system.is_broken_pipe(full)


# The package as a whole, in a process that has only what Windows has


SIMULATION = """
import asyncio, importlib, json, os, pkgutil, signal, socket, sys, types
sys.path.insert(0, os.getcwd())
import anyio, attrs, cattrs, httpx, trio, uvicorn, typer, rich.console, fastapi, aiohttp, redis, msgspec
import opentelemetry.trace, pytest, xml.sax, pydantic, ctypes, multiprocessing, subprocess, zoneinfo

asyncio.new_event_loop().close()  # it chooses its kind of loop for this system

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "pwd", "grp", "resource", "termios", "pty", "posix", "tty"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

class Locks(types.ModuleType):
    LK_NBLCK, LK_UNLCK = 2, 0
    held = {}
    def locking(self, descriptor, mode, count):
        file = os.fstat(descriptor).st_ino
        if mode == self.LK_UNLCK:
            del self.held[file]
        elif self.held.setdefault(file, descriptor) != descriptor:
            raise PermissionError(13, "locked")

for name in ("fcntl", "pwd", "grp", "resource", "termios", "pty", "tty"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
sys.modules["msvcrt"] = Locks("msvcrt")
for name in ("fork", "register_at_fork", "getuid", "geteuid", "kill", "sched_getaffinity", "mkfifo"):
    delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGSTOP", "pthread_sigmask", "setitimer", "alarm"):
    delattr(signal, name)
for name in ("MSG_DONTWAIT", "SO_REUSEPORT"):  # asyncio itself needs AF_UNIX here
    delattr(socket, name)
signal.Signals = [number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM")]
sys.platform = "win32"
import smscode
for module in pkgutil.walk_packages(smscode.__path__, "smscode."):
    importlib.import_module(module.name)
"""

USE = """
from smscode import AsyncClient, Client
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox

folder = sys.argv[1]
with Sandbox(otp_after=0, state=f"{folder}/state.json") as sandbox:
    with sandbox.serve() as server:
        with Client(sandbox.token, base_url=server.url, journal=f"{folder}/orders.db") as client:
            with client.orders.rent(catalog_product_id=87, max_price="1.50") as rental:
                print(len(rental.wait_for_otp(timeout=30).code))
            print(rental.released)
            assert client.orders.recover() == []

    async def rent():
        transport = sandbox.transport()
        async with AsyncClient(sandbox.token, transport=transport, journal=f"{folder}/orders.db") as client:
            async with client.orders.rent(catalog_product_id=87, max_price="1.50") as rental:
                await rental.wait_for_otp(timeout=30)
            print(rental.released)

    asyncio.run(rent())
assert sys.modules["msvcrt"].held == {}
print(sorted(os.listdir(folder)))
"""


def test_the_package_works_with_what_windows_has(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    done = subprocess.run(
        [sys.executable, "-c", SIMULATION + USE, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines == ["6", "finished", "finished", "['orders.db', 'state.json']"]
