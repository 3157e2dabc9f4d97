"""Passes the events of a client to the ``on_event`` hook and to the log, in both flavours."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .core.api import arguments
from .core.api.call import Call
from .core.decoding.converter import RowProblem
from .core.versions import ApiVersion

if TYPE_CHECKING:  # events are imported with the first call that somebody listens to
    from .core.call_events import CallReporter
    from .events import ClientEvent

_log = logging.getLogger("smscode")
_MOST_ODD_ROWS = 1000  # that are remembered; further ones are not logged
_MOST_NAMED = 5
_BROKEN = "on_event raised an exception, which changes nothing for the call. Further ones are not logged."


class Observer:
    """Passes events to the hook, if there is one, and to the log, if it is enabled."""

    def __init__(self, on_event: object, version: ApiVersion, base_url: str) -> None:
        """Check the hook. Raises `InvalidArgumentError` for a coroutine function: nothing would await it."""
        if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
            raise arguments.wrong("on_event", "a function that is not a coroutine", on_event)
        self._hook: Callable[[ClientEvent], object] | None = on_event
        self._version: ApiVersion = version
        self.base_url: str = base_url
        self._broken = False
        self._odd_rows: dict[tuple[str, int | None, str, str], None] = {}

    @property
    def listens(self) -> bool:
        """Whether there is a hook, or the log is enabled."""
        return self._hook is not None or _log.isEnabledFor(logging.INFO)

    def watch(self, call: Call[Any], now: Callable[[], float]) -> CallReporter | None:
        """Return a reporter for a call that starts now; None without a hook and with the log disabled."""
        if self._hook is None and not _log.isEnabledFor(logging.INFO):  # as `listens`, for speed
            return None
        from .core.call_events import CallReporter

        watch = CallReporter(self.report, self._version, now())
        watch.started(call, self.base_url)
        return watch

    def warn(self, text: str) -> None:
        """Log a warning about the client itself, which is no event of a call."""
        _log.warning("%s", text)

    def warn_of_rows(self, operation: str, problems: Sequence[RowProblem]) -> None:
        """Log which rows of a list were left out, each once, as lists are polled."""
        new: list[RowProblem] = []
        for problem in problems:
            fact = operation, problem.row_id, problem.path.partition("]")[2], problem.reason
            if fact not in self._odd_rows and len(self._odd_rows) < _MOST_ODD_ROWS:
                self._odd_rows[fact] = None
                new.append(problem)
        if new:
            named = "; ".join(f"id {problem.row_id}, {problem}" for problem in new[:_MOST_NAMED])
            more = f"; and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
            _log.warning("%s: rows that cannot be read were left out: %s%s.", operation, named, more)

    def report(self, event: ClientEvent) -> None:
        """Pass an event on. An exception of the hook is logged once."""
        from .events import CallEnded, GroupPaused, ObtainStepDone, RequestFailed, Retrying

        failed = isinstance(event, CallEnded) and event.result != "done"
        important = failed or isinstance(event, Retrying | RequestFailed | GroupPaused | ObtainStepDone)
        level = logging.INFO if important else logging.DEBUG
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
