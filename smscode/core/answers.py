"""From an HTTP response to a result or the error it means."""

from __future__ import annotations

import functools
import re
from collections.abc import Generator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from ..errors import API_ERRORS, STATUS_ERRORS, APIError, InvalidResponseError, JsonValue, SmscodeError
from ..money import FxRate
from .api.call import Answer, Call, Endpoint, Response
from .decoding import strict_json
from .decoding.converter import Envelope, Mismatch, RowProblem
from .retry import TABLE, failure_kind
from .versions import ApiVersion

T = TypeVar("T")

_HINTS = re.compile(
    r"(?i)(?:\s*(?:sun|mon|tue|wed|thu|fri|sat)[a-z]*,)?[^,]+"
)  # a date contains a comma itself
_SECONDS = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_EPOCH = 1e9  # seconds: too long for a wait, so it is a time since 1970
_EPOCH_IN_PARTS = 1e11  # too large for seconds since 1970, so it is milliseconds or smaller
_REQUEST_ID = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,128}")  # visible ASCII; a comma joins two headers
_BEARER = re.compile(r"(?i)bearer\s+\S+")
_LONGEST_MESSAGE = 300


def read(call: Call[T], response: Response, version: ApiVersion) -> Generator[None, None, Answer[T]]:
    """Return the result of a call, or raise its error. Yields between the slices of a long answer.

    The body decides, not the content type: a success is a JSON object with ``success`` true and ``data``.
    Raises the class of the code for an error envelope, the class of the status for 413 and 429 without an
    envelope, and `InvalidResponseError` for anything else.
    """
    endpoint, found, later = call.endpoint, None, None
    if endpoint.rows is not None and response.status_code // 100 == 2:
        from .decoding import rows  # which only lists need

        if endpoint.later:
            later = rows.read_later(response.body, version, endpoint.rows)
        else:
            found = yield from rows.read(response.body, version, endpoint.rows)
    read_before = later or found
    problems: list[RowProblem] = found[2] if found else later[1].problems if later else []
    # Error reporters print the variables of every frame of an exception and of its context. Those of decoding
    # hold phone numbers and codes, so an error is raised outside of handlers and after they are deleted.
    failure: SmscodeError | None = None
    body: dict[str, JsonValue] = {}
    try:
        body = _parse(response, endpoint) if read_before is None else read_before[0]
        if response.status_code // 100 != 2 or body["success"] is False:
            failure = _refusal(response, body)
        elif "data" not in body and not endpoint.any_data:
            raise Mismatch("$", "the field 'data' is missing")
    except Mismatch as mismatch:
        failure = _labelled(_unreadable(response, mismatch))
    if failure is not None:
        del body, read_before, found, later
        raise failure
    envelope = Envelope(
        version,
        body.get("data"),
        body.get("meta"),
        call.query,
        call.idempotency_key,
        call.subject,
        None if found is None else found[1],
        None if later is None else later[1],
        problems,
    )
    try:
        data = endpoint.read(envelope)
    except Mismatch as mismatch:
        failure = _labelled(_invalid(response, mismatch), "unexpected data")
    else:
        now = _date(response.headers.get("date", "")) or response.received_at
        return Answer(
            data,
            find_request_id(response),
            response.status_code,
            _rate(envelope),
            date=now,
            problems=tuple(envelope.problems),
            headers=response.headers,
            body=response.body,
        )
    del body, read_before, found, later, envelope
    raise failure


def _rate(envelope: Envelope) -> FxRate | None:
    """Return the rate of an answer, None if it cannot be read: the result is valid without it."""
    try:
        return envelope.fx
    except Mismatch:
        return None


def row_errors(answer: Answer[object]) -> dict[int, SmscodeError]:
    """Return the errors of rows that could not be read, by row id."""
    return {
        problem.row_id: unexpected_data(answer, problem)
        for problem in answer.problems
        if problem.row_id is not None
    }


def unexpected_data(answer: Answer[object], problem: Mismatch | RowProblem) -> SmscodeError:
    """Return the error for a part of a successful answer that cannot be read."""
    error = InvalidResponseError(f"{problem}.", status_code=answer.status_code, request_id=answer.request_id)
    return _labelled(error, "unexpected data")


def _labelled(error: SmscodeError, what: str | None = None) -> SmscodeError:
    """Set an error's failure kind, and the outcome that follows from it."""
    error.trouble = what or failure_kind(error)
    error.outcome = TABLE[error.trouble].outcome
    return error


def _parse(response: Response, endpoint: Endpoint[object]) -> dict[str, JsonValue]:
    if response.status_code // 100 == 3:
        raise Mismatch("$", "expected an answer, got a redirect, which is never followed")
    if endpoint.any_data and (endpoint.method == "HEAD" or response.status_code == 204):
        return {"success": response.status_code // 100 == 2}  # HTTP allows no body
    try:
        envelope = strict_json.parse(response.body)
    except ValueError as error:
        media = clean(response.headers.get("content-type", "no content type"))
        what = f"{len(response.body)} bytes of {media}" if response.body else "an empty body"
        raise Mismatch("$", f"expected a JSON object, got {what} ({error})") from None
    if type(envelope) is not dict:
        raise Mismatch("$", f"expected a JSON object, got {strict_json.type_name(envelope)}")
    if "success" not in envelope:
        raise Mismatch("$", "the field 'success' is missing")
    if type(envelope["success"]) is not bool:
        raise Mismatch("$.success", f"expected a boolean, got {strict_json.type_name(envelope['success'])}")
    return envelope


def _refusal(response: Response, body: dict[str, JsonValue]) -> SmscodeError:
    """Return the error for an envelope that is not a success."""
    if body["success"] is True:
        raise Mismatch("$.success", f"expected false with HTTP {response.status_code}, got true")
    return _labelled(_error(response, body.get("error")))


def _error(response: Response, error: JsonValue) -> APIError:
    """Return the error of an error envelope. The code selects the class; the status does if there is none."""
    fields = error if type(error) is dict else {}
    code = fields.get("code")
    message = fields.get("message")
    code = clean(code) if type(code) is str else None
    if code is None:
        class_ = STATUS_ERRORS.get(response.status_code, APIError)
    else:
        class_ = API_ERRORS[code][0] if code in API_ERRORS else APIError
    text = clean(message) if type(message) is str else ""
    return class_(
        text or f"The service answered HTTP {response.status_code}.",
        code=code,
        status_code=response.status_code,
        details=fields.get("details"),
        request_id=find_request_id(response),
        retry_after=find_retry_after(response),
    )


def _unreadable(response: Response, mismatch: Mismatch) -> SmscodeError:
    if mismatch.path == "$" and response.status_code in STATUS_ERRORS:
        return _error(response, None)
    return _invalid(response, mismatch)


def _invalid(response: Response, mismatch: Mismatch) -> InvalidResponseError:
    return InvalidResponseError(
        f"{mismatch}.",
        status_code=response.status_code,
        request_id=find_request_id(response),
        retry_after=find_retry_after(response),
    )


def find_request_id(response: Response) -> str | None:
    """Return the ``x-request-id``, the first if there are several, None if it is unusable."""
    first = response.headers.get("x-request-id", "").partition(",")[0].strip()
    return first if _REQUEST_ID.fullmatch(first) else None


def find_retry_after(response: Response) -> float | None:
    """Return ``Retry-After`` in seconds, at least 0; None if it is missing or unreadable.

    If the header was sent several times, the longest wait counts. A date, or seconds since 1970, is compared
    with the response's own ``Date``, because the local clock may be wrong; the local time of arrival is used
    only if that is missing.
    """
    now = _date(response.headers.get("date", "")) or response.received_at
    values = _HINTS.findall(response.headers.get("retry-after", ""))
    return max((hint for value in values if (hint := _hint(value, now)) is not None), default=None)


def _hint(value: str, now: datetime | None) -> float | None:
    value = value.strip()
    if not _SECONDS.fullmatch(value):
        until = _date(value)
        return None if until is None or now is None else max((until - now).total_seconds(), 0.0)
    seconds = float(value)
    if seconds < _EPOCH:
        return seconds
    while seconds >= _EPOCH_IN_PARTS:  # milliseconds, microseconds or nanoseconds
        seconds /= 1000
    return None if now is None else max(seconds - now.timestamp(), 0.0)


@functools.lru_cache(maxsize=16)  # all answers of one second have the same date
def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def clean(text: str) -> str:
    """Return a server's text as it may be shown: short, printable, and without an echoed token."""
    printable = "".join(
        character if character.isprintable() else " " for character in text[: 2 * _LONGEST_MESSAGE]
    )
    return _BEARER.sub("Bearer [removed]", printable)[:_LONGEST_MESSAGE]
