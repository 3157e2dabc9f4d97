"""Error answers: an exception that the app turns into the service's error envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import asdict, frozen

from ...errors import API_ERRORS

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value; the service itself sends no fractions."""


@frozen
class Problem:
    """The content of an error answer: ``code``, HTTP ``status``, ``message`` in English, ``details`` in JSON.

    ``retry_after`` is the value of the ``Retry-After`` header in whole seconds, None for no such header.
    """

    code: str
    message: str
    status: int
    details: Json = None
    retry_after: int | None = None


class ServiceError(Exception):
    """Raised by an operation to answer with an error.

    ``code`` is an error code. ``status`` is its HTTP status, by default the documented one. Where an error is
    stored, its ``problem`` is: a stored exception would keep the traceback, and so the frames, alive.
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
    def of(cls, problem: Problem) -> ServiceError:
        """Return an exception for a stored problem."""
        return cls(**asdict(problem, recurse=False))


def invalid(fields: Mapping[str, str], message: str = "Request is not valid") -> ServiceError:
    """Return the error for a request with invalid fields: by name, what is wrong with each."""
    return ServiceError("VALIDATION_ERROR", message, details={"fields": dict(fields)})
