"""Answers as HTTP responses: the two envelopes of the service, and statuses without a body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from attrs import frozen

from ...core.api.call import Response
from .api_error import Json, Problem
from .deferred import Result
from .render import encode


@frozen
class HttpReply:
    """A response, with the ``code`` of its error and the orders that it is about."""

    response: Response
    code: str | None = None
    order_ids: tuple[int, ...] = ()


def bare(status: int, headers: Mapping[str, str] | None = None) -> HttpReply:
    """Return an answer without a body."""
    return HttpReply(Response(status, {"content-length": "0", **(headers or {})}, b""))


def success(result: Result) -> HttpReply:
    """Return the answer of an operation that succeeded."""
    shown: dict[str, Json] = {"success": True, "data": result.data}
    if result.meta:
        shown["meta"] = result.meta
    return HttpReply(_json(200, shown), order_ids=result.orders)


def failure(problem: Problem) -> HttpReply:
    """Return the answer of an operation that failed."""
    error: dict[str, Json] = {"code": problem.code, "message": problem.message}
    if problem.details is not None:
        error["details"] = problem.details
    headers = retry_after(problem.retry_after)
    return HttpReply(_json(problem.status, {"success": False, "error": error}, headers), problem.code)


def retry_after(seconds: int | None) -> dict[str, str]:
    """Return the ``Retry-After`` header, none for None."""
    return {} if seconds is None else {"retry-after": str(seconds)}


def labelled(response: Response, request_id: str, now: datetime) -> Response:
    """Return a response with the headers that every answer has."""
    common = {"date": format_datetime(now, usegmt=True), "x-request-id": request_id}
    return Response(response.status_code, {**common, **response.headers}, response.body)


def _json(status: int, value: Json, headers: Mapping[str, str] | None = None) -> Response:
    body = encode(value)
    length = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(status, {**length, **(headers or {})}, body)
