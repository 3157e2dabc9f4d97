"""From an HTTP response to a result or the error it means."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from ..errors import API_ERRORS, STATUS_ERRORS, APIError, InvalidResponseError, JsonValue, SmscodeError
from ..models import CreatedOrders
from . import jsontext
from .codec import Envelope, Mismatch, Version
from .wire import Answer, Call, Response

T = TypeVar("T")

_SECONDS = re.compile(r"[0-9]{1,9}")
_REQUEST_ID = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,128}")  # visible ASCII; a comma joins two headers
_BEARER = re.compile(r"(?i)bearer\s+\S+")
_LONGEST_MESSAGE = 300


def read(call: Call[T], response: Response, version: Version) -> Answer[T]:
    """Give the result of a call, or raise the error its response means.

    The body decides, not the content type: a success is a JSON object with ``success`` true and
    ``data``. Anything else that is not the documented error envelope is `InvalidResponseError`,
    except for the statuses that speak for themselves (413, 429).
    """
    request_id = find_request_id(response)
    try:
        envelope = _parse(response)
        if response.status_code // 100 == 2 and envelope["success"] is True:
            return _succeed(call, response, version, envelope, request_id)
        if envelope["success"] is True:
            raise Mismatch("$.success", f"expected false with HTTP {response.status_code}, got true")
        raise _error(response, envelope.get("error"), request_id)
    except Mismatch as mismatch:
        raise _unreadable(response, mismatch, request_id) from None


def _parse(response: Response) -> dict[str, JsonValue]:
    if response.status_code // 100 == 3:
        raise Mismatch("$", "expected an answer, got a redirect, which is never followed")
    try:
        envelope = jsontext.parse(response.body)
    except ValueError as error:
        media = clean(response.headers.get("content-type", "no content type"))
        what = f"{len(response.body)} bytes of {media}" if response.body else "an empty body"
        raise Mismatch("$", f"expected a JSON object, got {what} ({error})") from None
    if type(envelope) is not dict:
        raise Mismatch("$", f"expected a JSON object, got {jsontext.type_name(envelope)}")
    if "success" not in envelope:
        raise Mismatch("$", "the field 'success' is missing")
    if type(envelope["success"]) is not bool:
        raise Mismatch("$.success", f"expected a boolean, got {jsontext.type_name(envelope['success'])}")
    return envelope


def _succeed(
    call: Call[T],
    response: Response,
    version: Version,
    body: dict[str, JsonValue],
    request_id: str | None,
) -> Answer[T]:
    if "data" not in body:
        raise Mismatch("$", "the field 'data' is missing")
    envelope = Envelope(version, body["data"], body.get("meta"), call.query, call.idempotency_key)
    data = call.endpoint.decode(envelope)
    fx = data.fx if isinstance(data, CreatedOrders) else envelope.fx
    return Answer(data, request_id, response.status_code, fx)


def _error(response: Response, error: JsonValue, request_id: str | None) -> APIError:
    """Make the error that an error envelope means; the code decides, the status only helps out."""
    fields = error if type(error) is dict else {}
    code = fields.get("code")
    message = fields.get("message")
    code = clean(code) if type(code) is str else None
    class_, _, outcome = API_ERRORS.get(code or "", (APIError, 0, None))
    if outcome is None:
        class_, outcome = STATUS_ERRORS.get(response.status_code, (APIError, "unknown"))
    return class_(
        clean(message)
        if type(message) is str and message
        else f"The service answered HTTP {response.status_code}.",
        code=code,
        status_code=response.status_code,
        details=fields.get("details"),
        request_id=request_id,
        retry_after=find_retry_after(response),
        outcome=outcome,
    )


def _unreadable(response: Response, mismatch: Mismatch, request_id: str | None) -> SmscodeError:
    if mismatch.path == "$" and response.status_code in STATUS_ERRORS:
        return _error(response, None, request_id)
    return InvalidResponseError(
        f"{mismatch}.",
        status_code=response.status_code,
        request_id=request_id,
        retry_after=find_retry_after(response),
        outcome="unknown",
    )


def find_request_id(response: Response) -> str | None:
    """Give the ``x-request-id``, the first where there are several, None where it is unusable."""
    first = response.headers.get("x-request-id", "").partition(",")[0].strip()
    return first if _REQUEST_ID.fullmatch(first) else None


def find_retry_after(response: Response) -> float | None:
    """Give ``Retry-After`` in seconds, at least 0; None where there is none or it makes no sense.

    The date form is measured against the response's own ``Date``, so the local clock need not be
    right; it stands in only where that is missing.
    """
    value = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _date(value)
    now = _date(response.headers.get("date", "")) or response.received_at
    if until is None or now is None:
        return None
    return max((until - now).total_seconds(), 0.0)


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def clean(text: str) -> str:
    """Make a server's text fit to be shown: short, printable, and without an echoed token."""
    printable = "".join(
        character if character.isprintable() else " " for character in text[: 2 * _LONGEST_MESSAGE]
    )
    return _BEARER.sub("Bearer [removed]", printable)[:_LONGEST_MESSAGE]
