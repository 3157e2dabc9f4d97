"""Keeping quiet while the account is banned from ordering: knocking again can extend the ban."""

from __future__ import annotations

from ...errors import TempBannedError


class Ban:
    """What a client knows of a ban; only time lifts it."""

    def __init__(self) -> None:
        self._error: TempBannedError | None = None
        self._until = float("-inf")

    def note(self, error: TempBannedError, now: float) -> None:
        """Store a ban; one without a time is not remembered."""
        if error.retry_after is not None and now + error.retry_after > self._until:
            self._error, self._until = error, now + error.retry_after

    def error(self, now: float) -> TempBannedError | None:
        """Return the error that stands for sending anything while the ban lasts, None without one."""
        if self._error is None or now >= self._until:
            return None
        return TempBannedError(
            self._error.message,
            code=self._error.code,
            status_code=self._error.status_code,
            details=self._error.details,
            request_id=self._error.request_id,
            retry_after=self._until - now,
        )
