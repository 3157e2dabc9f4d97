"""How the service says no: one exception that the app turns into the error envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..errors import API_ERRORS

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value that the service sends; it sends no fractions."""


class Refusal(Exception):
    """An operation that is answered with an error.

    ``code`` is an error code, ``status`` its HTTP status (that of the documentation unless given),
    ``details`` the JSON beside the message, ``retry_after`` whole seconds for ``Retry-After``.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        details: Json = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status: int = API_ERRORS[code][1] if status is None else status
        self.details = details
        self.retry_after = retry_after

    def again(self) -> Refusal:
        """Make an equal refusal to raise: a raised exception keeps the traceback of its first time."""
        return Refusal(
            self.code, self.message, status=self.status, details=self.details, retry_after=self.retry_after
        )
