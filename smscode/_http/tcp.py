"""Connecting over TCP in a thread, all of it in one time: looking the name up, and trying its addresses.

`socket.create_connection` spends its limit on each address anew, after a lookup that has no limit at all.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

import httpcore

from .._clock import RealTime
from .._concurrency import Event

_Address: TypeAlias = "tuple[int, int, int, str, Any]"

NEXT_ADDRESS: Final = 0.25
"""Seconds that an address has for itself before the next one is tried beside it, as RFC 8305 recommends."""

_LOOK = 0.1  # seconds between two looks at whether there is still time, which another thread may take away
_STALE = 5.0  # seconds after which a lookup is no longer relied on: the next caller begins another one
_MOST = 8  # lookups of one name that may hang at once

_under_way: list[_Lookup] = []


class _Lookup:
    """The addresses of a host, looked up in a thread that can be abandoned: nothing ends a lookup early."""

    def __init__(self, host: str, port: int) -> None:
        self.wanted = (host, port)
        self.began = RealTime.monotonic()
        self.done = Event()
        self.found: Sequence[_Address] = ()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, name="smscode-lookup", daemon=True)

    def start(self) -> None:
        """Begin. Where no thread can be started, as at the end of a process, this thread does it."""
        _under_way.append(self)
        try:
            self.thread.start()
        except RuntimeError:
            self._run()

    def _run(self) -> None:
        try:
            self.found = socket.getaddrinfo(*self.wanted, type=socket.SOCK_STREAM)
        except Exception as error:
            self.error = error
        finally:
            _under_way.remove(self)
            self.done.set()


def _lookup(host: str, port: int) -> _Lookup:
    """Return a lookup under way, else a new one: callers at the same time share it.

    There is no lock that an interrupt could leave taken; at worst two look the same name up.
    """
    # A thread that did not survive a fork is not alive.
    same = [one for one in tuple(_under_way) if one.wanted == (host, port) and one.thread.is_alive()]
    if same and (len(same) >= _MOST or RealTime.monotonic() - same[-1].began < _STALE):
        return same[-1]
    lookup = _Lookup(host, port)
    lookup.start()
    return lookup


def _addresses(host: str, port: int, left: Callable[[], float]) -> Sequence[_Address]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        lookup = _lookup(host, port)
        while not lookup.done.wait(min(left(), _LOOK)):
            pass
        if isinstance(lookup.error, OSError):
            raise httpcore.ConnectError("the name cannot be looked up") from lookup.error
        if lookup.error is not None:
            raise lookup.error from None
        return lookup.found
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _in_turn(addresses: Iterable[_Address]) -> deque[_Address]:
    """Return the addresses with the first of the other family second: often a whole family is cut off."""
    turns = deque(addresses)
    for number, address in enumerate(turns):
        if address[0] != turns[0][0]:
            del turns[number]
            turns.insert(1, address)
            break
    return turns


def countdown(seconds: float) -> Callable[[], float]:
    """Return a function for what is left of some seconds; at their end it raises ConnectTimeout."""
    until = RealTime.monotonic() + seconds

    def left() -> float:
        remaining = until - RealTime.monotonic()
        if remaining <= 0:
            raise httpcore.ConnectTimeout("no connection in time")
        return remaining

    return left


def connect(host: str, port: int, left: Callable[[], float], options: Iterable[Any] = ()) -> socket.socket:
    """Return a socket that is connected to a host: whichever of its addresses answers first.

    ``left`` returns the seconds that are left for all of it, and raises when there are none. Raises
    `httpcore.ConnectError` if no address can be reached; its cause says why not.
    """
    waiting = _in_turn(_addresses(host, port, left))
    options = [*options, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    errors: list[OSError] = []
    connected: socket.socket | None = None
    with selectors.DefaultSelector() as selector:
        try:
            while connected is None and (waiting or selector.get_map()):
                if waiting:
                    _begin(selector, waiting.popleft(), options, errors)
                if selector.get_map():
                    # Each address that is still to be tried has its share, however little time there is.
                    seconds = min(left() / (1 + len(waiting)), NEXT_ADDRESS)
                    connected = _first_connected(selector, seconds, errors)
        finally:
            for key in tuple(selector.get_map().values()):
                if key.fileobj is not connected:
                    cast(socket.socket, key.fileobj).close()
    if connected is None:
        raise httpcore.ConnectError("no address can be reached") from _all(errors)
    return connected


def _begin(
    selector: selectors.BaseSelector, address: _Address, options: Iterable[Any], errors: list[OSError]
) -> None:
    """Begin to connect to an address."""
    family, kind, protocol, _, where = address
    try:
        one = socket.socket(family, kind, protocol)
    except OSError as error:  # a family that this machine does not have
        errors.append(error)
        return
    try:
        one.setblocking(False)
        for option in options:
            one.setsockopt(*option)
        with contextlib.suppress(BlockingIOError):
            one.connect(where)
        selector.register(one, selectors.EVENT_WRITE)
    except OSError as error:
        errors.append(error)
        one.close()
    except BaseException:
        one.close()
        raise


def _first_connected(
    selector: selectors.BaseSelector, seconds: float, errors: list[OSError]
) -> socket.socket | None:
    """Return the first socket that connects within some seconds; those that fail are closed."""
    for key, _ in selector.select(seconds):
        one = cast(socket.socket, key.fileobj)
        number = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not number:
            return one
        selector.unregister(one)
        one.close()
        errors.append(OSError(number, os.strerror(number)))
    return None


def _all(errors: list[OSError]) -> Exception | None:
    return ExceptionGroup("all addresses", errors) if errors else None
