"""A server that costs as little as possible: every answer is made before the first request comes.

It runs in a process of its own, on another core than what is measured, and ends when its standard
input does.
"""

from __future__ import annotations

import base64
import json
import re
import selectors
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from . import machine

_HEAD = (
    "HTTP/1.1 {status}\r\n"
    "date: Sun, 14 Jun 2026 04:00:12 GMT\r\n"
    "content-type: application/json; charset=utf-8\r\n"
    "content-length: {length}\r\n"
    "x-request-id: 0b9f1c52-6a50-4a38-9b7e-2d3c7e9a1f10\r\n"
    "connection: keep-alive\r\n\r\n"
)
_MISSING = b'{"success":false,"error":{"code":"NOT_FOUND","message":"No such answer"}}'
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@contextmanager
def running(bodies: Mapping[str, bytes]) -> Generator[str]:
    """Serve what each ``"METHOD /path"``, with or without a query, is answered with; yield the address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin as lifeline:
        answers = {route: base64.b64encode(body).decode("ascii") for route, body in bodies.items()}
        print(json.dumps(answers), file=lifeline, flush=True)
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def answer(body: bytes, status: str = "200 OK") -> bytes:
    """Return an answer as it goes over the wire."""
    return _HEAD.format(status=status, length=len(body)).encode("ascii") + body


class _Server:
    def __init__(self, answers: Mapping[bytes, bytes]) -> None:
        self._answers = answers
        self._missing = answer(_MISSING, "404 Not Found")
        self._begun: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(connection, selectors.EVENT_READ)
                    self._begun[connection] = b""
                elif isinstance(key.fileobj, socket.socket):
                    self._receive(key.fileobj)
                else:
                    return

    def _receive(self, connection: socket.socket) -> None:
        try:
            chunk = connection.recv(65536)
            received = self._begun.pop(connection) + chunk
            head, end, body = received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if end and (length is None or len(body) >= int(length[1])):
                connection.sendall(self._answer(head))
                received = b""
        except ConnectionError:
            chunk = received = b""
        if chunk:
            self._begun[connection] = received
        else:
            self._selector.unregister(connection)
            connection.close()

    def _answer(self, head: bytes) -> bytes:
        route = head[: head.find(b" HTTP/1.1\r\n")]
        return self._answers.get(route) or self._answers.get(route.partition(b"?")[0], self._missing)


def main() -> None:
    """Read the answers, print the port, and serve."""
    machine.pin(1)
    bodies: dict[str, str] = json.loads(sys.stdin.readline())
    server = _Server(
        {route.encode("ascii"): answer(base64.b64decode(body)) for route, body in bodies.items()}
    )
    print(server.port, flush=True)
    server.run()


if __name__ == "__main__":
    main()
