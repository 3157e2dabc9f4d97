"""Which operation a method and path mean; built from the endpoints that the client is built from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast, get_args

from attrs import frozen

from ...core.api.call import Endpoint
from ...core.api.registry import ENDPOINTS
from .render import Version

_VERSIONS: Final = get_args(Version)


@frozen
class Route:
    """Where a request goes: its API version, the operation, and the id in the path (0: no id)."""

    version: Version
    endpoint: Endpoint[object]
    path_id: int


@frozen
class MethodNotAllowed:
    """The path exists, but only with the methods in ``allow``."""

    allow: str


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\{id\}", "(?P<id>[^/]+)"))


def _table() -> Mapping[str, Mapping[str, Endpoint[object]]]:
    """Group the endpoints by path, and then by method."""
    methods: dict[str, dict[str, Endpoint[object]]] = {}
    for endpoint in ENDPOINTS.values():
        methods.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return methods


_PATHS: Final = _table()
_PATTERNS: Final = [(_pattern(path), methods) for path, methods in _PATHS.items() if "{" in path]


def _match(path: str) -> tuple[Mapping[str, Endpoint[object]], str] | None:
    """Find what a path offers, and the id in it. /orders/active is not an order."""
    if path in _PATHS:
        return _PATHS[path], ""
    for pattern, methods in _PATTERNS:
        match = pattern.fullmatch(path)
        if match is not None:
            return methods, match["id"]
    return None


def find(method: str, path: str) -> Route | MethodNotAllowed | None:
    """Find the operation of a request; None where there is none."""
    version, _, rest = path.removeprefix("/").partition("/")
    if version not in _VERSIONS:
        return None
    found = _match(f"/{rest}")
    if found is None:
        return None
    methods, text = found
    if method not in methods:
        return MethodNotAllowed(", ".join(sorted(methods)))
    # No order has the id 0, so anything that is not a number is simply not found.
    path_id = int(text) if re.fullmatch("[0-9]{1,18}", text) else 0
    return Route(cast(Version, version), methods[method], path_id)
