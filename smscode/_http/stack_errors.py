"""What fails below this package, whichever HTTP stack is there. None of them is imported here."""

from __future__ import annotations


class StackError(Exception):
    """A failure below this package; each class has the name, and the meaning, of one of httpx."""


class ConnectError(StackError):
    """No connection could be made."""


class ConnectTimeout(StackError, TimeoutError):
    """No connection could be made in time."""


class PoolTimeout(StackError, TimeoutError):
    """The time was over before anything could be sent."""


class ReadError(StackError):
    """The connection broke."""


class ReadTimeout(StackError, TimeoutError):
    """No more of the answer came in time."""


class WriteTimeout(StackError, TimeoutError):
    """The request could not be written in time."""


class ProxyError(StackError):
    """The proxy refused, or could not be reached."""


class RemoteProtocolError(StackError):
    """What came back is not HTTP, or was cut."""


class LocalProtocolError(StackError):
    """The request itself breaks the rules of HTTP, so it can never be sent."""
