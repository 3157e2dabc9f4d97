# Generated from tests/_async/test_names.py by `nox -s generate`: change that file, not this one.

"""Renting by name: the cheapest in stock, for at most its price, and the same again under the same key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import pytest

from smscode import (
    Client,
    ConfigurationError,
    InvalidArgumentError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    RetryPolicy,
)
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox

from ..concurrency import VirtualClient
from .helpers import Script, body_of, still_sandbox

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]
Method = Literal["create", "rent", "create_many"]

ONCE = RetryPolicy(max_attempts=1)
CREATE, PRODUCTS = "POST /orders/create", "GET /catalog/products"


def recording(sandbox: Sandbox) -> Script:
    """Return a transport that keeps the requests to a sandbox."""
    return Script([], then=cast(Any, sandbox.transport()))


def bought(script: Script) -> list[dict[str, Any]]:
    """Return the bodies of the purchases that were sent."""
    return [body_of(request) for request in script.requests if request.method == "POST"]


METHODS: tuple[Method, ...] = ("create", "rent", "create_many")


def buy(client: Client, method: Method, **arguments: Any) -> None:
    """Rent by one of the methods that take names."""
    if method == "rent":
        client.orders.rent(**arguments).__enter__()
    elif method == "create":
        client.orders.create(**arguments)
    else:
        client.orders.create_many(2, **arguments)


def test_the_cheapest_in_stock_is_rented_for_at_most_its_price(
    version: Version, generation: Generation
) -> None:
    sandbox = still_sandbox(generation=generation)
    script = recording(sandbox)
    with Client(sandbox.token, api_version=version, transport=script) as client:
        cheapest = (client.catalog.find(service="whatsapp", country="indonesia"))[0]
        created = client.orders.create(service="WhatsApp", country="+62", quantity=2)
        assert [order.amount for order in created] == [cheapest.price] * 2
        assert created[0].catalog_product_id in (cheapest.catalog_product_id, None)
        (body,) = bought(script)
        rate = created.fx
    limit = body["max_price"]
    cap = limit if rate is None else rate.to_idr(Decimal(limit), rounding="ROUND_FLOOR")
    assert 0 <= cap - cheapest.price.canonical_amount <= 1  # dollars cannot say it to the rupiah
    assert body["quantity"] == 2


def test_a_limit_that_is_given_is_searched_for_and_sent() -> None:
    sandbox = still_sandbox()
    script = recording(sandbox)
    with Client(sandbox.token, transport=script) as client:
        created = client.orders.create(service="whatsapp", country="ID", max_price="1.00")
        assert [body["max_price"] for body in bought(script)] == ["1.00"]
        assert created[0].amount is not None
        for limits in ({"max_price": "0.01"}, {"min_price": "99"}, {"max_price": Money.idr(1)}):
            with pytest.raises(NoOfferAvailableError, match="so nothing was ordered") as caught:
                client.orders.create(service="whatsapp", country="ID", **cast(Any, limits))
            assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert sandbox.requests[CREATE] == 1


def test_rent_and_create_many_take_names_too() -> None:
    sandbox = still_sandbox(otp_after=5, balance=10**8)
    with VirtualClient(sandbox) as client:
        with client.orders.rent(service="whatsapp", country="indonesia", policy="cheapest") as rental:
            assert (rental.wait_for_otp()).code
        pages = sandbox.requests[PRODUCTS]
        result = client.orders.create_many(150, service="whatsapp", country="indonesia")
        assert (len(result), result.failed_count, sandbox.requests[PRODUCTS]) == (150, 0, pages + 1)
        assert len({order.catalog_product_id for order in result}) == 1


def test_several_operators_are_one_search_and_the_cheapest_of_them_is_rented() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        both = client.catalog.find(service="whatsapp", country="id", operator=["telkomsel", 2])
        assert {product.operator_id for product in both} == {1, 2}
        assert [product.price for product in both] == sorted(product.price for product in both)
        assert (
            client.catalog.find(service="whatsapp", country="id", operator=("Telkomsel", 1, 2)) == both
        )
        created = client.orders.create(service="whatsapp", country="id", operator=[1, "indosat"])
        assert created[0].operator_id == both[0].operator_id
        assert created[0].amount == both[0].price
        for wrong in ([], [1] * 21, ["nobody"], [b"x"]):
            with pytest.raises(InvalidArgumentError, match=r"^operator: "):
                client.catalog.find(service="whatsapp", country="id", operator=cast(Any, wrong))


def test_a_search_can_ask_for_a_stock() -> None:
    with VirtualClient(still_sandbox()) as client:
        found = client.catalog.find(service="whatsapp")
        largest = max(product.available for product in found)
        enough = client.catalog.find(service="whatsapp", min_stock=largest)
        assert enough
        assert {product.available for product in enough} == {largest}
        assert client.catalog.find(service="whatsapp", min_stock=largest + 1) == []
        for wrong in (0, True, "1"):
            with pytest.raises(InvalidArgumentError, match=r"^min_stock: expected an int of 1"):
                client.catalog.find(min_stock=cast(Any, wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"country": "id"}, "service: expected it beside country or operator."),
        ({"operator": 1}, "service: expected it beside country or operator."),
        ({"service": "whatsapp", "product_id": 1}, "exactly one"),
        ({"service": "whatsapp", "catalog_product_id": 87}, "exactly one"),
        ({"service": "whatsapp", "operator_id": 1}, "operator_id: goes with catalog_product_id"),
        ({"service": "whatsapp", "max_price": 20_000}, "max_price: an int is ambiguous on v2"),
        ({"service": "whatsapp", "min_price": 20_000}, "min_price: an int is ambiguous on v2"),
        ({"service": "whatsapp", "policy": "best"}, "policy: expected one of"),
        ({"service": "whatsapp", "prefer_provider": ""}, "prefer_provider: expected"),
        ({"service": b"whatsapp"}, "service: expected an id, a code, a name or a Service"),
        ({"service": "whatsapp", "idempotency_key": "a b"}, "idempotency_key: expected 1..128 characters"),
    ],
)
def test_wrong_arguments_are_refused_before_the_catalog_is_read(
    wrong: dict[str, Any], message: str
) -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    for method in METHODS:
        with pytest.raises(InvalidArgumentError) as caught:
            buy(client, method, **wrong)
        assert message in caught.value.message
        assert caught.value.outcome == "not_sent"
    assert sum(sandbox.requests.values()) == 0


def test_a_wrong_quantity_is_refused_before_the_catalog_is_read() -> None:
    sandbox = still_sandbox()
    with pytest.raises(InvalidArgumentError, match="quantity: expected an int of"):
        VirtualClient(sandbox).orders.create(service="whatsapp", quantity=101)
    assert sum(sandbox.requests.values()) == 0


def test_nothing_is_prepared_by_name_because_that_reads_nothing() -> None:
    client = VirtualClient(still_sandbox())
    with pytest.raises(TypeError, match="service"):
        cast(Any, client.orders).prepare(service="whatsapp")


def test_a_key_needs_a_journal() -> None:
    sandbox = still_sandbox()
    client = VirtualClient(sandbox)
    for method in METHODS:
        with pytest.raises(ConfigurationError, match="needs a client with journal=") as caught:
            buy(client, method, service="whatsapp", country="id", idempotency_key="sale")
        assert caught.value.outcome == "not_sent"
    assert sum(sandbox.requests.values()) == 0


def test_a_known_key_sends_the_stored_bytes_without_reading_the_catalog(
    version: Version, tmp_path: Path
) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        script = recording(sandbox)
        with Client(
            sandbox.token, api_version=version, transport=script, journal=journal
        ) as client:
            first = client.orders.create(service="whatsapp", country="id", idempotency_key="sale")
            requests = len(script.requests)
            again = client.orders.create(service="whatsapp", country="id", idempotency_key="sale")
            assert [order.id for order in again] == [order.id for order in first]
            assert len(script.requests) == requests + 1
            assert script.requests[-1].content == script.requests[-2].content
            with pytest.raises(InvalidArgumentError, match="used for another purchase") as caught:
                client.orders.create(service="whatsapp", quantity=2, idempotency_key="sale")
            assert caught.value.outcome == "unknown"
            assert len(script.requests) == requests + 1


class Losing(httpx.BaseTransport):
    """Passes requests on, and loses the answers to purchases whose number is in ``lost``."""

    def __init__(self, sandbox: Sandbox, *lost: int) -> None:
        self._next: Any = sandbox.transport()
        self._lost = lost
        self.bodies: list[Any] = []
        self.reads = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = self._next.handle_request(request)
        if request.method != "POST":
            self.reads += 1
            return answer
        self.bodies.append(body_of(request))
        if len(self.bodies) in self._lost:
            raise httpx.ReadError("lost")
        return answer


def test_a_purchase_in_doubt_is_settled_with_the_product_that_was_found(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        losing = Losing(sandbox, 1)
        client = VirtualClient(
            sandbox, transport=losing, journal=journal, retry=RetryPolicy(max_attempts=1)
        )
        with pytest.raises(NetworkError) as caught:
            client.orders.create(service="whatsapp", country="id", idempotency_key="sale")
        assert caught.value.outcome == "unknown"
        reads = losing.reads
        created = client.orders.create(service="tiktok", country="us", idempotency_key="sale")
        assert losing.reads == reads
        assert losing.bodies[0] == losing.bodies[1]
        assert [order.catalog_product_id for order in created] == [losing.bodies[0]["catalog_product_id"]]
        assert len(client.orders.active()) == 1


def test_a_key_under_which_nothing_was_sent_is_searched_for_again(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        refusing = Script([httpx.ConnectError("down")] * 3)
        before = VirtualClient(
            sandbox,
            transport=refusing,
            journal=journal,
            retry=ONCE,
        )
        with pytest.raises(NetworkError) as caught:
            before.orders.create(catalog_product_id=1, idempotency_key="sale")
        assert caught.value.outcome == "not_sent"
        created = VirtualClient(sandbox, journal=journal).orders.create(
            service="whatsapp", country="id", idempotency_key="sale"
        )
        assert len(created) == 1
    assert sandbox.requests[PRODUCTS] == 1


def test_parts_that_are_new_beside_known_ones_buy_the_same_product(tmp_path: Path) -> None:
    sandbox = still_sandbox(balance=10**8)
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        losing = Losing(sandbox, 1)
        client = VirtualClient(
            sandbox, transport=losing, journal=journal, retry=RetryPolicy(max_attempts=1)
        )
        with pytest.raises(NetworkError):
            client.orders.create(service="whatsapp", quantity=100, idempotency_key="sale-1")
        reads = losing.reads
        result = client.orders.create_many(150, service="whatsapp", idempotency_key="sale")
        assert (len(result), losing.reads) == (150, reads)
        first, second = sorted(losing.bodies[1:], key=lambda body: -body["quantity"])
        assert first == losing.bodies[0]
        assert second == {**first, "quantity": 50}
        again = client.orders.create_many(150, service="whatsapp", idempotency_key="sale")
        assert {order.id for order in again} == {order.id for order in result}


def test_a_key_of_a_reactivation_is_refused(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=1)
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = VirtualClient(sandbox, journal=journal)
        with client.orders.rent(catalog_product_id=87) as rental:
            rental.wait_for_otp()
        client.orders.reactivate(rental, idempotency_key="again")
        with pytest.raises(InvalidArgumentError, match="used for another purchase"):
            client.orders.create(service="whatsapp", country="id", idempotency_key="again")


def test_arguments_without_their_names_are_refused_before_anything_is_sent() -> None:
    sandbox = still_sandbox()
    untyped = cast(Any, VirtualClient(sandbox))
    calls: dict[str, Callable[[], Any]] = {
        "orders.create": lambda: untyped.orders.create(87),
        "orders.create_many": lambda: untyped.orders.create_many(5, 87),
        "orders.obtain": lambda: untyped.orders.obtain(print, "whatsapp"),
        "catalog.find": lambda: untyped.catalog.find("whatsapp"),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"^{name}: expected arguments with their names, such as"):
            call()
    for name in ("prepare", "rent"):
        with pytest.raises(TypeError, match=f"^orders.{name}: expected arguments with their names, such as"):
            getattr(untyped.orders, name)(87)
    assert sandbox.requests.total() == 0
