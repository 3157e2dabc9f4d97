"""Redis servers of the tests' own, on the loopback interface; they keep nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

HOST = "127.0.0.1"
SERVICE = "limits"
_READY_WITHIN = 10.0

# Lets a server that is started with it see another time of day, by the seconds in a file. Only the functions
# that a Redis asks for the time of day: its monotonic clock stays as it is, as when a host's clock is set.
_CLOCK = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    char text[32] = {0};
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
    if (file < 0 || read(file, text, sizeof text - 1) < 0) return 0;
    close(file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    int failed = syscall(SYS_clock_gettime, clock, found);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) found->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *found, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class RedisServer:
    """A server that can be stopped and started again on its port, as an outage does it."""

    def __init__(self, folder: str, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._environment = dict(os.environ)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server((HOST, 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self.url = f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until commands are answered."""
        self._process = subprocess.Popen(
            [
                *("redis-server", *self._arguments(), "--bind", HOST, "--port", str(self.port)),
                *("--dir", self._folder, *self._options),
            ],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _READY_WITHIN
        while not self.answers():
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def _arguments(self) -> Sequence[str]:
        return ("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0")

    def answers(self) -> bool:
        """Return True if it takes commands."""
        with contextlib.suppress(OSError):
            return self.command("PING").startswith(b"+PONG")
        return False

    def command(self, *words: str) -> bytes:
        """Return the beginning of the answer to a command, as it came."""
        line = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        with socket.create_connection((HOST, self.port), timeout=1) as asking:
            asking.sendall(f"*{len(words)}\r\n{line}".encode())
            return asking.recv(1 << 16)

    def stop(self) -> None:
        """Stop at once, breaking every connection; without one running, do nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def fake_clock(self) -> None:
        """Prepare for `step_clock`, before the start; skip the test where there is no C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            missing("a C compiler")
        source, library, self._offset = (
            Path(self._folder, f"clock{self.port}{kind}") for kind in (".c", ".so", "")
        )
        source.write_text(_CLOCK)
        command = [compiler, "-shared", "-fPIC", "-w", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        self._environment |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._offset)}

    def step_clock(self, seconds: int) -> None:
        """Set the clock of its host so much off the real time."""
        self._offset.write_text(f"{seconds}")


class Sentinel(RedisServer):
    """Watches a master and its replica, and lets the replica take over."""

    def __init__(self, folder: str, master: RedisServer) -> None:
        super().__init__(folder)
        self._settings = Path(folder, f"sentinel{self.port}.conf")
        lines = [
            f"sentinel monitor {SERVICE} {HOST} {master.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 3000",
        ]
        self._settings.write_text("\n".join(lines))
        self.url = f"redis+sentinel://{HOST}:{self.port}/{SERVICE}/0"

    def _arguments(self) -> Sequence[str]:
        return (str(self._settings), "--sentinel")


def missing(what: str) -> NoReturn:
    """Skip the test for something that is not installed, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


@contextmanager
def redis_servers(count: int, *options: str, clocks: bool = False) -> Generator[list[RedisServer]]:
    """Run so many servers while the block runs; without a Redis to run, skip the test, or fail it in CI."""
    if shutil.which("redis-server") is None:
        missing("redis-server")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers: list[RedisServer] = []
        for number in range(count):
            own = Path(folder, str(number))
            own.mkdir()
            server = RedisServer(str(own), *options)
            stack.callback(server.stop)
            if clocks:
                server.fake_clock()
            server.start()
            servers.append(server)
        yield servers


@contextmanager
def redis_server(*options: str, clock: bool = False) -> Generator[RedisServer]:
    """Run one server; see `redis_servers`. With ``clock`` its clock can be stepped."""
    with redis_servers(1, *options, clocks=clock) as (server,):
        yield server


@contextmanager
def redis_sentinel() -> Generator[tuple[RedisServer, RedisServer, Sentinel]]:
    """Run a master, a replica of it, and a Sentinel that knows of both."""
    with redis_servers(2) as (master, replica), tempfile.TemporaryDirectory() as folder:
        replica.command("REPLICAOF", HOST, str(master.port))
        sentinel = Sentinel(folder, master)
        try:
            sentinel.start()
            wait_for(lambda: b"master_link_status:up" in replica.command("INFO", "replication"))
            wait_for(lambda: b"slaves=1" in sentinel.command("INFO", "sentinel"))
            yield master, replica, sentinel
        finally:
            sentinel.stop()


@contextmanager
def redis_cluster() -> Generator[list[RedisServer]]:
    """Run a cluster of three masters."""
    with redis_servers(3, "--cluster-enabled", "yes") as servers:
        for number, server in enumerate(servers):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            server.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            server.command("CLUSTER", "MEET", HOST, str(servers[0].port))
        wait_for(
            lambda: all(
                b"cluster_state:ok" in (info := server.command("CLUSTER", "INFO"))
                and b"cluster_known_nodes:3" in info
                for server in servers
            )
        )
        yield servers


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail if it does not for long.

    A connection that breaks says nothing yet: a failover breaks those to the replica that is promoted.
    """
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
