"""A Redis server of the tests' own, on the loopback interface; it keeps nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager

import pytest

HOST = "127.0.0.1"
_READY_WITHIN = 10.0


class RedisServer:
    """A server that can be stopped and started again on its port, as an outage does it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server((HOST, 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self.url = f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until commands are answered."""
        self._process = subprocess.Popen(
            [
                *("redis-server", "--bind", HOST, "--port", str(self.port), "--dir", self._folder),
                *("--save", "", "--appendonly", "no"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _READY_WITHIN
        while not self.answers():
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def answers(self) -> bool:
        """Return True if it takes commands."""
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1) as asking:
            asking.sendall(b"PING\r\n")
            return asking.recv(16).startswith(b"+PONG")
        return False

    def stop(self) -> None:
        """Stop at once, breaking every connection; without one running, do nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def redis_server() -> Generator[RedisServer]:
    """Run a server while the block runs; without a Redis to run, skip the test, or fail it in CI."""
    if shutil.which("redis-server") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs redis-server")
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
