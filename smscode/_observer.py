"""Who watches a client: its user's hook, and the log. By hand, for both flavours."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

from .core.api import arguments
from .core.api.call import Call
from .core.call_events import CallReporter
from .core.decoding.converter import ApiVersion
from .events import CallEnded, ClientEvent, GroupPaused, RequestFailed, Retrying

_log = logging.getLogger("smscode")
_IMPORTANT: Final = (Retrying, RequestFailed, GroupPaused)
_BROKEN = "on_event raised an exception, which changes nothing for the call. Further ones are not logged."


class Observer:
    """Passes events on to the hook, if there is one, and to the log, where that is enabled."""

    def __init__(self, on_event: object, version: ApiVersion, base_url: str) -> None:
        """Check the hook; a coroutine function is refused, because nothing would wait for it."""
        if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
            raise arguments.wrong("on_event", "a function that is not a coroutine", on_event)
        self._hook: Callable[[ClientEvent], object] | None = on_event
        self._version: ApiVersion = version
        self._base_url = base_url
        self._broken = False

    def watch(self, call: Call[Any], now: float) -> CallReporter | None:
        """CallReporter a call, unless nobody cares."""
        if self._hook is None and not _log.isEnabledFor(logging.INFO):
            return None
        watch = CallReporter(self._tell, self._version, now)
        watch.started(call, self._base_url)
        return watch

    def warn(self, text: str) -> None:
        """Log a warning about the client itself; it is no event of a call."""
        _log.warning("%s", text)

    def _tell(self, event: ClientEvent) -> None:
        failed = isinstance(event, CallEnded) and event.result != "done"
        level = logging.INFO if failed or isinstance(event, _IMPORTANT) else logging.DEBUG
        if _log.isEnabledFor(level):
            _log.log(level, "%s", event, extra={"smscode_event": event})
        if self._hook is None:
            return
        try:
            self._hook(event)
        except Exception:
            if not self._broken:
                self._broken = True
                _log.exception(_BROKEN)
