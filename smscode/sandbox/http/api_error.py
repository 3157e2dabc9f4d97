"""How the service says no: one exception that the app turns into the error envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from ...errors import API_ERRORS

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value; the service itself sends no fractions."""


@frozen
class Problem:
    """What an error answer says: ``code`` and HTTP ``status``, a ``message`` for people, ``details`` in JSON.

    ``retry_after`` is in whole seconds, for ``Retry-After``.
    """

    code: str
    message: str
    status: int
    details: Json = None
    retry_after: int | None = None


class Refusal(Exception):
    """An operation that is answered with an error.

    ``code`` is an error code, ``status`` its HTTP status (that of the documentation unless given). A
    raised exception keeps the traceback of its first time, so what is kept is its ``problem``.
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
        status = API_ERRORS[code][1] if status is None else status
        self.problem: Problem = Problem(code, message, status, details, retry_after)

    @classmethod
    def of(cls, problem: Problem) -> Refusal:
        """Make a refusal to raise of a problem that was kept."""
        return cls(
            problem.code,
            problem.message,
            status=problem.status,
            details=problem.details,
            retry_after=problem.retry_after,
        )
