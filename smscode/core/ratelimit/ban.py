"""Refusing to order while the account is banned: another request can extend the ban."""

from __future__ import annotations

from ...errors import TempBannedError


class Ban:
    """The ban that a client knows of. It ends only with time."""

    def __init__(self) -> None:
        self._error: TempBannedError | None = None
        self._until = float("-inf")

    def note(self, error: TempBannedError, now: float) -> None:
        """Store a ban, unless the service did not say how long it lasts."""
        if error.retry_after is not None and now + error.retry_after > self._until:
            self._error, self._until = error, now + error.retry_after

    def error(self, now: float) -> TempBannedError | None:
        """Return the error to raise instead of sending while the ban lasts, None without a ban."""
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
