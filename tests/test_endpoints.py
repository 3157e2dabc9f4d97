"""Check that each endpoint has all of its files, and name those that are missing.

docs/pages/contributing/add-an-endpoint.md says what goes into each of them.
"""

from __future__ import annotations

import functools
from typing import TypeGuard, get_args

import attrs
import pytest

import smscode
from smscode import AsyncClient, calls, errors
from smscode.core.api.call import CallKind, Endpoint
from smscode.core.api.registry import ENDPOINTS
from smscode.errors import API_ERRORS, STATUS_ERRORS
from smscode.models import EndpointGroup
from smscode.sandbox.http.handlers import HANDLERS

from .programs import ROOT
from .public_surface import resources

METHODS_PAGE, CHANGELOG, OPERATIONS = (
    (ROOT / name).read_text("utf-8")
    for name in ("docs/pages/reference/methods.md", "CHANGELOG.md", "tests/_async/test_operations.py")
)
METHODS = {"balance.get": "balance"}
"""The methods that do not have the name of their endpoint."""
MODULES_OF = {"orders": "order_endpoints"}
"""The modules of methods that do not have the name of their area."""


def has(owner: object, path: str) -> bool:
    """Return True if an object has an attribute, given as a dotted path."""
    return (
        functools.reduce(lambda found, name: getattr(found, name, None), path.split("."), owner) is not None
    )


def has_method(path: str) -> bool:
    """Return True if the client has a method, given as ``name`` or as ``resource.name``."""
    resource, _, name = path.rpartition(".")
    owner = resources(AsyncClient)[resource] if resource else AsyncClient
    return has(owner, name)


def is_model(value: object) -> TypeGuard[type[object]]:
    return isinstance(value, type) and attrs.has(value)


def unexported(endpoint: Endpoint[object]) -> str:
    """Return the names of the models in an endpoint's result that are not public, "" for none."""
    named = [endpoint.result, endpoint.rows, *get_args(endpoint.result)]
    names = {value.__name__ for value in named if is_model(value)}
    return ", ".join(sorted(names.difference(smscode.__all__)))


def missing(endpoint: Endpoint[object]) -> dict[str, str]:
    """Return what an endpoint lacks, by the file that it belongs into."""
    name, area = endpoint.name, endpoint.name.partition(".")[0]
    method, route = METHODS.get(name, name), f"`{endpoint.method} {endpoint.path}`"
    there = {
        f"smscode/core/api/{area}.py": (has(calls, name), f"no builder {name}()"),
        f"smscode/_async/{'client' if method == area else MODULES_OF.get(area, area)}.py": (
            has_method(method),
            f"no method client.{method}()",
        ),
        "smscode/__init__.py": (not unexported(endpoint), f"no {unexported(endpoint)}"),
        "smscode/sandbox/http/handlers.py": (name in HANDLERS, f"no handler of {name!r}"),
        "tests/_async/test_operations.py": (f"client.{method}(" in OPERATIONS, f"no client.{method}(...)"),
        "docs/pages/reference/methods.md": (route in METHODS_PAGE, f"no section has {route}"),
        "CHANGELOG.md": (f"`{method}`" in CHANGELOG, f"no line names `{method}`"),
    }
    return {file: words for file, (found, words) in there.items() if not found}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_file_that_an_endpoint_needs_has_it(name: str) -> None:
    assert missing(ENDPOINTS[name]) == {}


def test_every_refusal_of_an_endpoint_is_a_code() -> None:
    used = {code for endpoint in ENDPOINTS.values() for code in endpoint.refusals}
    assert used - API_ERRORS.keys() == set(), "smscode/errors.py: API_ERRORS has no such code"


def test_every_class_of_an_api_error_has_a_code_or_a_status() -> None:
    known = {errors.APIError, *STATUS_ERRORS.values(), *(class_ for class_, _ in API_ERRORS.values())}
    found = {
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.APIError)
    }
    assert found == known, "smscode/errors.py: API_ERRORS lacks a class"


def test_every_handler_has_its_endpoint() -> None:
    unknown = HANDLERS.keys() - ENDPOINTS.keys()
    assert {
        f"smscode/core/api/{name.partition('.')[0]}.py: no Endpoint {name!r}" for name in unknown
    } == set()


def test_what_an_endpoint_lacks_is_named_by_its_file() -> None:
    @attrs.frozen
    class Pretended:
        """A model that is not exported."""

    pretend = Endpoint(
        "orders.pretended",
        "GET",
        "/orders/{id}/pretended",
        EndpointGroup.ORDER_QUERIES,
        CallKind.READ,
        list[Pretended],
        rows=Pretended,
    )
    assert missing(pretend) == {
        "smscode/core/api/orders.py": "no builder orders.pretended()",
        "smscode/_async/order_endpoints.py": "no method client.orders.pretended()",
        "smscode/__init__.py": "no Pretended",
        "smscode/sandbox/http/handlers.py": "no handler of 'orders.pretended'",
        "tests/_async/test_operations.py": "no client.orders.pretended(...)",
        "docs/pages/reference/methods.md": "no section has `GET /orders/{id}/pretended`",
        "CHANGELOG.md": "no line names `orders.pretended`",
    }
