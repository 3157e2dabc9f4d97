"""Which operation a method and path mean; built from the endpoints that the client is built from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast, get_args

from attrs import frozen

from ..core.endpoints import ENDPOINTS
from ..core.wire import Endpoint
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


def _table() -> Mapping[str, tuple[re.Pattern[str], Mapping[str, Endpoint[object]]]]:
    """Group the endpoints by path, those without an id in it first: /orders/active is not an order."""
    methods: dict[str, dict[str, Endpoint[object]]] = {}
    for endpoint in sorted(ENDPOINTS.values(), key=lambda endpoint: "{" in endpoint.path):
        methods.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return {path: (_pattern(path), found) for path, found in methods.items()}


_TABLE: Final = _table()


def find(method: str, path: str) -> Route | MethodNotAllowed | None:
    """Find the operation of a request; None where there is none."""
    version, _, rest = path.removeprefix("/").partition("/")
    if version not in _VERSIONS:
        return None
    for pattern, methods in _TABLE.values():
        match = pattern.fullmatch(f"/{rest}")
        if match is None:
            continue
        if method not in methods:
            return MethodNotAllowed(", ".join(sorted(methods)))
        text = match.groupdict().get("id", "")
        # No order has the id 0, so anything that is not a number is simply not found.
        path_id = int(text) if re.fullmatch("[0-9]{1,18}", text) else 0
        return Route(cast(Version, version), methods[method], path_id)
    return None
