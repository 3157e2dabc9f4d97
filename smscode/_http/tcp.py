"""Connects over TCP in a thread, with one time limit for the lookup and all addresses together.

`socket.create_connection` has its limit for each address, and none for the lookup before.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

from .._clock import RealTime
from .._concurrency import Event
from .._platform import error_text
from .stack_errors import ConnectError, ConnectTimeout

_Address: TypeAlias = "tuple[int, int, int, str, Any]"

NEXT_ADDRESS: Final = 0.25
"""Seconds after which the next address is tried beside the first, as RFC 8305 recommends."""

_LOOK = 0.1  # seconds between two checks of the time left, as another thread may end the call
_STALE = 5.0  # seconds after which a lookup is no longer shared, and the next caller starts another
_MOST = 8  # lookups of one name at once

_under_way: list[_Lookup] = []


class _Lookup:
    """The lookup of a host, in a thread that is abandoned after the deadline, as nothing can end it early."""

    def __init__(self, host: str, port: int) -> None:
        self.wanted = (host, port)
        self.began = RealTime.monotonic()
        self.done = Event()
        self.found: Sequence[_Address] = ()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, name="smscode-lookup", daemon=True)

    def start(self) -> None:
        """Start the lookup, in this thread if no other can be started, as at the end of a process."""
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
    """Return a lookup of the name that is under way, so that calls share it, else a new one.

    There is no lock that an interrupt could leave taken; at worst a name is looked up twice.
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
            raise ConnectError("the name cannot be looked up") from lookup.error
        if lookup.error is not None:
            raise lookup.error from None
        return lookup.found
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _in_turn(addresses: Iterable[_Address]) -> deque[_Address]:
    """Return the addresses, the first of the other family second, as a whole family may be unreachable."""
    turns = deque(addresses)
    for number, address in enumerate(turns):
        if address[0] != turns[0][0]:
            del turns[number]
            turns.insert(1, address)
            break
    return turns


def countdown(seconds: float) -> Callable[[], float]:
    """Return a function that returns what is left of some seconds, and raises ConnectTimeout after them."""
    until = RealTime.monotonic() + seconds

    def left() -> float:
        remaining = until - RealTime.monotonic()
        if remaining <= 0:
            raise ConnectTimeout("no connection in time")
        return remaining

    return left


def connect(host: str, port: int, left: Callable[[], float], options: Iterable[Any] = ()) -> socket.socket:
    """Return a socket that is connected to the address of a host that answers first.

    ``left`` returns the seconds left for all of it, and raises if there are none. ``options`` are arguments
    of `socket.setsockopt`. Raises `ConnectError` if no address can be reached; its cause says why.
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
                    # Each address that is still to be tried gets its share of a short time.
                    seconds = min(left() / (1 + len(waiting)), NEXT_ADDRESS)
                    connected = _first_connected(selector, seconds, errors)
        finally:
            for key in tuple(selector.get_map().values()):
                if key.fileobj is not connected:
                    cast(socket.socket, key.fileobj).close()
    if connected is None:
        raise ConnectError("no address can be reached") from _all(errors)
    return connected


def _begin(
    selector: selectors.BaseSelector, address: _Address, options: Iterable[Any], errors: list[OSError]
) -> None:
    """Start to connect to an address."""
    family, kind, protocol, _, where = address
    try:
        one = socket.socket(family, kind, protocol)
    except OSError as error:  # the machine does not have this family
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
    """Return the first socket that connects within ``seconds``, else None; those that fail are closed."""
    for key, _ in selector.select(seconds):
        one = cast(socket.socket, key.fileobj)
        number = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not number:
            return one
        selector.unregister(one)
        one.close()
        errors.append(OSError(number, error_text(number)))
    return None


def _all(errors: list[OSError]) -> Exception | None:
    return ExceptionGroup("all addresses", errors) if errors else None
