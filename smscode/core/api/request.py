"""Requests to endpoints that have no method yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile
from operator import attrgetter, eq
from typing import Final, cast, get_args

from ... import _exact
from ...errors import InvalidArgumentError, JsonValue
from ...models import EndpointGroup
from ..decoding import strict_json
from . import arguments
from .call import Call, CallKind, Endpoint, Method
from .registry import ENDPOINTS

METHODS: Final[tuple[Method, ...]] = get_args(Method)
_READS: Final = ("GET", "HEAD")
_LONGEST = 2048
# No "%": what is encoded could be a purchase, another host or a step up for whatever decodes it.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~@:+,-]+)+/?")
_VERSION = re.compile(r"/v[0-9]+(?:/|\Z)", re.IGNORECASE)
_DOTS = re.compile(r"/\.{1,2}(?:/|\Z)")
_NUMBER = re.compile(r"(?<=/)[0-9]+(?=/|\Z)")


def request(
    method: str,
    path: str,
    *,
    params: Mapping[str, str | int | None] | None = None,
    json: Mapping[str, JsonValue] | None = None,
    group: EndpointGroup | str | None = None,
) -> Call[JsonValue]:
    """Describe a request by hand. Raises `InvalidArgumentError` for anything that may not be sent."""
    verb = _method(method)
    where = _path(verb, path)
    if json is not None and verb in _READS:
        raise InvalidArgumentError(f"json: expected None, as {verb} sends no body.")
    endpoint: Endpoint[JsonValue] = Endpoint(
        "request",
        verb,
        _NUMBER.sub("{id}", where),
        _nearest_group(where) if group is None else arguments.member("group", group, EndpointGroup),
        CallKind.READ if verb in _READS else CallKind.OTHER,
        cast("type[JsonValue]", object),
        attrgetter("data"),
        any_data=True,
    )
    return Call(endpoint, where, _query(params), _fields(json))


def _method(method: object) -> Method:
    given = _exact.text(method)
    found: Method | None = next((one for one in METHODS if given is not None and one == given.upper()), None)
    if found is None:
        raise InvalidArgumentError(f"method: expected one of {', '.join(METHODS)}.")
    return found


def _path(method: Method, value: object) -> str:
    path = _exact.text(value)
    if path is None:
        raise arguments.wrong("path", "a string", value)
    if not _PATH.fullmatch(path) or _DOTS.search(path) or len(path) > _LONGEST:
        raise InvalidArgumentError(
            "path: expected one such as '/orders/1001', of at most 2,048 letters, digits and '._~@:+,-',"
            " without host, '..' and percent signs; a query is given as params=."
        )
    version = _VERSION.match(path)
    if version:
        raise InvalidArgumentError("path: expected no version at its beginning: the client's is added.")
    for endpoint in ENDPOINTS.values():
        buys = endpoint.kind is CallKind.CREATE and endpoint.path == path.rstrip("/").lower()
        if buys and method not in _READS:
            raise InvalidArgumentError(f"path: {endpoint.path} buys, so use client.{endpoint.name}.")
    return path


def _query(params: object) -> dict[str, int | str]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise arguments.wrong("params", "a mapping of names to strings or ints", params)
    given = cast("Mapping[object, object]", params)
    found = {_parameter(name): _parameter(value) for name, value in given.items() if value is not None}
    return {str(name): value for name, value in found.items()}


def _parameter(value: object) -> int | str:
    found = _exact.whole(value) if (text := _exact.text(value)) is None else text
    if found is None:
        raise arguments.wrong("params", "names with strings or ints", value)
    try:
        str(found).encode()
    except ValueError:
        raise InvalidArgumentError("params: expected text that can be written as UTF-8.") from None
    return found


def _fields(json: object) -> dict[str, object] | None:
    if json is None:
        return None
    if not isinstance(json, Mapping):
        raise arguments.wrong("json", "a mapping", json)
    fields = dict(cast("Mapping[str, object]", json))
    try:
        strict_json.render(fields)
    except (TypeError, ValueError, RecursionError):
        raise InvalidArgumentError(
            "json: expected strings, bools, ints, finite floats, None, lists and dicts only."
        ) from None
    return fields


def _nearest_group(path: str) -> EndpointGroup:
    """Return the group of the endpoint whose path has the most leading segments in common with ``path``.

    That of other order actions, the strictest that fits, if there is none.
    """
    segments = _NUMBER.sub("{id}", path.rstrip("/")).split("/")

    def nearness(endpoint: Endpoint[object]) -> tuple[int, bool]:
        known = endpoint.path.split("/")
        common = sum(1 for _ in takewhile(bool, map(eq, known, segments)))
        return common, common == len(known)

    nearest = max(ENDPOINTS.values(), key=nearness)
    return nearest.group if nearness(nearest)[0] > 1 else EndpointGroup.ORDER_ACTIONS
