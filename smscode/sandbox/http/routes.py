"""Requests, and the operation that each means; built from the endpoints that the client is built from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias, cast, get_args

from attrs import field, frozen

from ...core.api.call import Endpoint
from ...core.api.registry import ENDPOINTS
from ...core.versions import ApiVersion

_Methods: TypeAlias = Mapping[str, Endpoint[object]]


@frozen
class IncomingRequest:
    """A request that arrived at ``now``; ``path`` is unquoted, and the names of ``headers`` are lower-case.

    ``id`` is sent back as ``x-request-id``.
    """

    id: str
    now: datetime
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@frozen
class Route:
    """Where a request goes: its API version, the operation, and the id in the path (0: no id)."""

    version: ApiVersion
    endpoint: Endpoint[object]
    path_id: int


@frozen
class MethodNotAllowed:
    """The path exists, but only with the methods in ``allow``."""

    allow: str


def _by_path() -> Mapping[str, _Methods]:
    """Return the endpoints by path and then by method."""
    methods: dict[str, dict[str, Endpoint[object]]] = {}
    for endpoint in ENDPOINTS.values():
        methods.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return methods


_PATHS: Final = _by_path()
_PATTERNS: Final = [
    (re.compile(re.escape(path).replace(r"\{id\}", "(?P<id>[^/]+)")), methods)
    for path, methods in _PATHS.items()
    if "{" in path
]


def _match(path: str) -> tuple[_Methods, str] | None:
    """Return the methods of a path and the id in it. /orders/active is not an order."""
    if path in _PATHS:
        return _PATHS[path], ""
    for pattern, methods in _PATTERNS:
        match = pattern.fullmatch(path)
        if match is not None:
            return methods, match["id"]
    return None


def find_route(method: str, path: str) -> Route | MethodNotAllowed | None:
    """Return the operation of a request; None for an unknown path."""
    version, _, rest = path.removeprefix("/").partition("/")
    found = _match(f"/{rest}") if version in get_args(ApiVersion) else None
    if found is None:
        return None
    methods, text = found
    if method not in methods:
        return MethodNotAllowed(", ".join(sorted(methods)))
    # No order has the id 0, so an id that is not a number is not found.
    path_id = int(text) if re.fullmatch("[0-9]{1,18}", text) else 0
    return Route(cast(ApiVersion, version), methods[method], path_id)
