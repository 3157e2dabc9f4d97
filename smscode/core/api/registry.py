"""All operations of the API, by name, collected from the modules that describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from . import balance, catalog, orders, webhook
from .call import Endpoint

MODULES = (catalog, balance, orders, webhook)


def _described() -> Iterator[Endpoint[object]]:
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, Endpoint):
                endpoint = cast("Endpoint[object]", value)
                if not endpoint.later:  # which is another way to read the answer of one that is here
                    yield endpoint


ENDPOINTS: Mapping[str, Endpoint[object]] = {endpoint.name: endpoint for endpoint in _described()}
