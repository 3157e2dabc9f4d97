"""A service that fails on purpose: raw sockets, own ledger, seeded faults; a process of its own.

``python tests/faults/server.py --seed 1 --script '{"mode": "random", "rate": 0.2}'`` prints
``listening PORT control PORT``. The second port takes commands over plain HTTP and never fails: see
`Control`. Standard library only; nothing of the package is imported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.faults import wire
from tests.faults.api import Api, Asked, Reply, refusal
from tests.faults.ledger import Refusal
from tests.faults.script import Fault, Script
from tests.faults.world import Control, World

_SETTLE = 0.15  # a purchase whose connection was cut while in progress is made within so many seconds
_DRIP_PIECES, _DRIP_PAUSE = 20, 0.01
_ENDLESS_BYTES = 64_000_000
_LONGEST_LIFE = 3600.0


class Connection(asyncio.Protocol):
    """One connection of a client: reads a request at a time, and answers it as the script says."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buffer = bytearray()
        self._busy = False
        self._closed = False
        self._number = 0
        self._fault: Fault | None = None
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, and draw the fault of its first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._world.connections.add(self)
        self._world.opened += 1
        self._draw()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; purchases that it began are settled all the same."""
        self._closed = True
        self._release()
        self._world.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Collect what comes; a request that comes while another is served waits."""
        self._buffer += data
        if not self._busy:
            self._pump()

    def _draw(self) -> None:
        world = self._world
        self._number = world.next_number()
        self._fault = world.draw.fault(self._number)
        if self._fault is not None and self._fault.point == "accept":
            self._strike("-")

    def _pump(self) -> None:
        if self._closed or not self._buffer:
            return
        if not self._number:
            self._draw()
        try:
            asked = wire.head_of(self._buffer)
            if self._closed or asked is None:
                return
            if self._fault is not None and self._fault.point == "head":
                self._strike(asked.target)
                return
            size = wire.size_of(self._buffer, asked)
        except (wire.BadRequestError, ValueError):
            self.cut("fin")
            return
        if len(self._buffer) < size:
            return
        body = bytes(self._buffer[size - int(asked.headers.get("content-length", "0")) : size])
        del self._buffer[:size]
        self._serve(Asked(asked.method, asked.target, asked.headers, body))

    def _serve(self, asked: Asked) -> None:
        """Receive a whole request; it takes effect after the latency, even if the caller has gone."""
        world, script = self._world, self._world.script
        self._busy = True
        world.serving += 1
        world.peak = max(world.peak, world.serving)
        world.paths[f"{asked.method} {asked.path}"] += 1
        if asked.is_create:
            world.arrivals.append(asked.intent)
        if script.mode == "first":
            self._fault = self._first(asked)
        if script.mode == "keyed" and asked.is_create:
            self._serve_by_plan(asked)
        elif self._fault is not None and self._fault.point == "lookup":
            self._strike(asked.target)
        else:
            self._carry_out(
                asked, script.latency + script.jitter * world.draw.chance(self._number, "latency")
            )

    def _serve_by_plan(self, asked: Asked) -> None:
        """Serve a purchase as its key says."""
        world = self._world
        api, step = world.api_of(asked), world.step(asked)
        self._fault, seconds = step.fault, step.milliseconds / 1000
        refused = None if step.refusal is None else api.refuse(asked, step.refusal)
        if step.name == "late":
            self._carry_out_later(api, asked, seconds)
        elif refused is not None:
            self._own(wire.framed(refused, f"req-{self._number:09}"))
        elif self._fault is not None and self._fault.point == "lookup":
            self._strike(asked.target)
        elif step.name == "slow":
            self._answer_later(api, asked, seconds)
        else:
            self._carry_out(asked, world.script.latency + seconds)

    def _carry_out(self, asked: Asked, latency: float) -> None:
        api = self._world.api_of(asked)
        reply = api.begin(asked)
        if self._fault is not None and self._fault.point == "progress":
            if reply is None:
                wait = latency + _SETTLE * self._fault.chance
                self._loop.call_later(wait, api.finish, asked)
            self._strike(asked.target)
        elif latency:
            self._loop.call_later(latency, self._finish, api, asked, reply)
        else:
            self._finish(api, asked, reply)

    def _carry_out_later(self, api: Api, asked: Asked, seconds: float) -> None:
        """Cut the connection, and let the purchase arrive later: a proxy that lost its client."""
        world = self._world

        def arrive() -> None:
            world.late -= 1
            if api.begin(asked) is None:
                api.finish(asked)

        world.late += 1
        self._loop.call_later(seconds, arrive)
        self.cut("rst")

    def _answer_later(self, api: Api, asked: Asked, seconds: float) -> None:
        """Make the purchase now, and answer it later."""
        reply = api.begin(asked) or api.finish(asked)
        self._loop.call_later(seconds, self._finish, api, asked, reply)

    def _first(self, asked: Asked) -> Fault | None:
        script = self._world.script
        if script.only and not asked.path.endswith(script.only):
            return None
        identity = asked.key or f"{asked.path} {asked.body!r}"
        self._world.repeats[identity] += 1
        return Fault(*script.mix[0]) if self._world.repeats[identity] == 1 else None

    def _finish(self, api: Api, asked: Asked, reply: Reply | None) -> None:
        if reply is None:
            reply = api.finish(asked)
        if self._closed:
            return
        script, fault = self._world.script, self._fault
        request_id = f"req-{self._number:09}"
        if script.mode == "cut" and asked.is_create and self._cut_at(asked, reply, request_id):
            return
        if script.mode in ("bomb", "header", "endless", "drip"):
            self._hostile(wire.framed(reply, request_id))
            return
        answer = wire.framed(reply, request_id)
        if fault is None:
            self._write(answer)
            self._done()
        elif fault.point == "commit":
            self._strike(asked.target)
        else:
            self._partly(asked, answer, fault)

    def _cut_at(self, asked: Asked, reply: Reply, request_id: str) -> bool:
        """Cut the first answer to a purchase after as many bytes as its intent's number says."""
        script, key = self._world.script, asked.key or ""
        self._world.repeats[key] += 1
        if self._world.repeats[key] > 1:
            return False
        answer = wire.framed(reply, request_id, script.framing)
        self._write(answer[: int(asked.intent.partition("-")[2])])
        self._log(asked.target, "cut", script.how)
        if script.how == "stall":
            self._stall()
        else:
            self.cut("rst" if script.how == "rst" else "fin")
        return True

    def _partly(self, asked: Asked, answer: bytes, fault: Fault) -> None:
        """Apply a fault within the bytes of an answer, or after them."""
        first, end = answer.find(b"\r\n"), answer.find(b"\r\n\r\n") + 4
        low, high = {"status": (1, first), "headers": (first + 2, end), "body": (end, len(answer))}.get(
            fault.point, (len(answer), len(answer))
        )
        place = low + int(fault.chance * (high - low))
        self._log(asked.target, fault.point, fault.kind)
        if fault.kind == "extra":  # in one segment or in two: clients notice one easier than the other
            extra = wire.EXTRA if fault.chance * 4 % 1 < 0.5 else b"\r\n???"
            for part in [answer + extra] if fault.chance < 0.5 else [answer, extra]:
                self._write(part)
            self._done()
            return
        self._write(answer[:place])
        match fault.kind:
            case "close":
                self._done()
                self._loop.call_later(self._world.script.late * fault.chance, self.cut, "fin")
            case "drip":
                self._drip(answer[place:], max(1, len(answer[place:]) // _DRIP_PIECES), _DRIP_PAUSE)
            case "stall":
                self._stall()
            case _:
                self.cut(fault.kind)

    def _strike(self, target: str) -> None:
        """Apply a fault that needs no answer of the API."""
        fault = self._fault
        assert fault is not None
        self._log(target, fault.point, fault.kind)
        match fault.kind:
            case "429":
                limited = refusal(Refusal(429, "RATE_LIMIT_EXCEEDED", "Too many requests"))
                self._own(wire.framed(Reply(429, limited.value, retry_after=1), "req-limited"))
            case "503":
                busy = refusal(Refusal(503, "SERVICE_UNAVAILABLE", "Maintenance"))
                self._own(wire.framed(busy, "req-busy"))
            case "500":
                broken = refusal(Refusal(500, "INTERNAL_ERROR", "Something broke"))
                self._own(wire.framed(broken, "req-broken"))
            case "502":
                self._own(wire.html(502))
            case "garbage":
                self._write(wire.GARBAGE)
                self.cut("fin")
            case "stall" | "drip":
                self._stall()
            case kind:
                self.cut(kind)

    def _own(self, answer: bytes) -> None:
        self._write(answer)
        self._done()

    def _hostile(self, answer: bytes) -> None:
        script = self._world.script
        self._log("-", script.mode, script.how)
        match script.mode:
            case "bomb":
                self._own(wire.bomb())
            case "header":
                self._own(wire.big_header())
            case "endless":
                self._endless(_ENDLESS_BYTES)
            case _:
                end = answer.find(b"\r\n\r\n") + 4 if script.how == "body" else 0
                self._write(answer[:end])
                self._drip(answer[end:], 1, script.late)

    def _endless(self, left: int) -> None:
        if self._closed or self._transport.is_closing() or left <= 0:
            self.cut("fin")
            return
        sent = 0
        while self._transport.get_write_buffer_size() < 65_536 and sent < 65_536:
            self._write(wire.INTERIM)
            sent += len(wire.INTERIM)
        self._loop.call_later(0.002, self._endless, left - sent)

    def _drip(self, rest: bytes, step: int, pause: float) -> None:
        if self._closed:
            return
        self._write(rest[:step])
        if len(rest) > step:
            self._loop.call_later(pause, self._drip, rest[step:], step, pause)
        else:
            self._done()

    def _stall(self) -> None:
        self._loop.call_later(self._world.script.stall, self.cut, "fin")

    def _done(self) -> None:
        """End an exchange, and go on with what has come meanwhile."""
        world = self._world
        world.completed += 1
        self._release()
        number, self._number, self._fault = self._number, 0, None
        if world.script.mode == "race":
            late = world.script.late * world.draw.chance(number, "late")
            self._loop.call_later(late, self.cut, "fin")
        if self._buffer:
            self._loop.call_soon(self._pump)

    def _release(self) -> None:
        if self._busy:
            self._busy = False
            self._world.serving -= 1

    def _log(self, target: str, point: str, kind: str) -> None:
        self._world.faults.append((self._number, point, kind, target))

    def _write(self, data: bytes) -> None:
        if data and not self._closed and not self._transport.is_closing():
            self._transport.write(data)

    def cut(self, kind: str) -> None:
        """Close the connection: politely for "fin", with a reset for "rst"."""
        if self._closed:
            return
        if kind == "rst":
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._transport.close()
        self._closed = True


async def serve(seed: int, script: Script, *, until_eof: bool) -> None:
    """Serve until stopped, until standard input ends if so asked, at most for an hour."""
    loop = asyncio.get_running_loop()
    world = World(seed, script)
    over = asyncio.Event()

    async def listen(make: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        return await loop.create_server(make, "127.0.0.1", 0, backlog=4096)

    api = await listen(lambda: Connection(world))
    control = await listen(lambda: Control(world))
    ports = [server.sockets[0].getsockname()[1] for server in (api, control)]
    print(f"listening {ports[0]} control {ports[1]}", flush=True)
    if until_eof:

        def watch() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(over.set)

        threading.Thread(target=watch, daemon=True).start()
    try:
        async with asyncio.timeout(_LONGEST_LIFE):
            await over.wait()
    except TimeoutError:
        pass
    finally:
        for server in (api, control):
            server.close()
        for connection in tuple(world.connections):
            connection.cut("rst")


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--script", default="{}", help="JSON, the fields of tests.faults.script.Script")
    parser.add_argument("--until-eof", action="store_true", help="end with standard input")
    options = parser.parse_args()
    asyncio.run(serve(options.seed, Script.of(json.loads(options.script)), until_eof=options.until_eof))


if __name__ == "__main__":
    main()
