"""Renting by name: the cheapest in stock, for at most its price, and the same again under the same key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import pytest

from smscode import (
    AsyncClient,
    ConfigurationError,
    InvalidArgumentError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    RetryPolicy,
)
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import AsyncScript, body_of, still_sandbox

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]
Method = Literal["create", "rent", "create_many"]

ONCE = RetryPolicy(max_attempts=1)
CREATE, PRODUCTS = "POST /orders/create", "GET /catalog/products"


def recording(sandbox: Sandbox) -> AsyncScript:
    """Return a transport that keeps the requests to a sandbox."""
    return AsyncScript([], then=cast(Any, sandbox.transport()))


def bought(script: AsyncScript) -> list[dict[str, Any]]:
    """Return the bodies of the purchases that were sent."""
    return [body_of(request) for request in script.requests if request.method == "POST"]


METHODS: tuple[Method, ...] = ("create", "rent", "create_many")


async def buy(client: AsyncClient, method: Method, **arguments: Any) -> None:
    """Rent by one of the methods that take names."""
    if method == "rent":
        await client.orders.rent(**arguments).__aenter__()
    elif method == "create":
        await client.orders.create(**arguments)
    else:
        await client.orders.create_many(2, **arguments)


async def test_the_cheapest_in_stock_is_rented_for_at_most_its_price(
    version: Version, generation: Generation
) -> None:
    sandbox = still_sandbox(generation=generation)
    script = recording(sandbox)
    async with AsyncClient(sandbox.token, api_version=version, transport=script) as client:
        cheapest = (await client.catalog.find(service="whatsapp", country="indonesia"))[0]
        created = await client.orders.create(service="WhatsApp", country="+62", quantity=2)
        assert [order.amount for order in created] == [cheapest.price] * 2
        assert created[0].catalog_product_id in (cheapest.catalog_product_id, None)
        (body,) = bought(script)
        rate = created.fx
    limit = body["max_price"]
    cap = limit if rate is None else rate.to_idr(Decimal(limit), rounding="ROUND_FLOOR")
    assert 0 <= cap - cheapest.price.canonical_amount <= 1  # dollars cannot say it to the rupiah
    assert body["quantity"] == 2


async def test_a_limit_that_is_given_is_searched_for_and_sent() -> None:
    sandbox = still_sandbox()
    script = recording(sandbox)
    async with AsyncClient(sandbox.token, transport=script) as client:
        created = await client.orders.create(service="whatsapp", country="ID", max_price="1.00")
        assert [body["max_price"] for body in bought(script)] == ["1.00"]
        assert created[0].amount is not None
        for limits in ({"max_price": "0.01"}, {"min_price": "99"}, {"max_price": Money.idr(1)}):
            with pytest.raises(NoOfferAvailableError, match="so nothing was ordered") as caught:
                await client.orders.create(service="whatsapp", country="ID", **cast(Any, limits))
            assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert sandbox.requests[CREATE] == 1


async def test_rent_and_create_many_take_names_too() -> None:
    sandbox = still_sandbox(otp_after=5, balance=10**8)
    async with AsyncVirtualClient(sandbox) as client:
        async with client.orders.rent(service="whatsapp", country="indonesia", policy="cheapest") as rental:
            assert (await rental.wait_for_otp()).code
        pages = sandbox.requests[PRODUCTS]
        result = await client.orders.create_many(150, service="whatsapp", country="indonesia")
        assert (len(result), result.failed_count, sandbox.requests[PRODUCTS]) == (150, 0, pages + 1)
        assert len({order.catalog_product_id for order in result}) == 1


async def test_several_operators_are_one_search_and_the_cheapest_of_them_is_rented() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        both = await client.catalog.find(service="whatsapp", country="id", operator=["telkomsel", 2])
        assert {product.operator_id for product in both} == {1, 2}
        assert [product.price for product in both] == sorted(product.price for product in both)
        assert (
            await client.catalog.find(service="whatsapp", country="id", operator=("Telkomsel", 1, 2)) == both
        )
        created = await client.orders.create(service="whatsapp", country="id", operator=[1, "indosat"])
        assert created[0].operator_id == both[0].operator_id
        assert created[0].amount == both[0].price
        for wrong in ([], [1] * 21, ["nobody"], [b"x"]):
            with pytest.raises(InvalidArgumentError, match=r"^operator: "):
                await client.catalog.find(service="whatsapp", country="id", operator=cast(Any, wrong))


async def test_a_search_can_ask_for_a_stock() -> None:
    async with AsyncVirtualClient(still_sandbox()) as client:
        found = await client.catalog.find(service="whatsapp")
        largest = max(product.available for product in found)
        enough = await client.catalog.find(service="whatsapp", min_stock=largest)
        assert enough
        assert {product.available for product in enough} == {largest}
        assert await client.catalog.find(service="whatsapp", min_stock=largest + 1) == []
        for wrong in (0, True, "1"):
            with pytest.raises(InvalidArgumentError, match=r"^min_stock: expected an int of 1"):
                await client.catalog.find(min_stock=cast(Any, wrong))


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
async def test_wrong_arguments_are_refused_before_the_catalog_is_read(
    wrong: dict[str, Any], message: str
) -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    for method in METHODS:
        with pytest.raises(InvalidArgumentError) as caught:
            await buy(client, method, **wrong)
        assert message in caught.value.message
        assert caught.value.outcome == "not_sent"
    assert sum(sandbox.requests.values()) == 0


async def test_a_wrong_quantity_is_refused_before_the_catalog_is_read() -> None:
    sandbox = still_sandbox()
    with pytest.raises(InvalidArgumentError, match="quantity: expected an int of"):
        await AsyncVirtualClient(sandbox).orders.create(service="whatsapp", quantity=101)
    assert sum(sandbox.requests.values()) == 0


async def test_nothing_is_prepared_by_name_because_that_reads_nothing() -> None:
    client = AsyncVirtualClient(still_sandbox())
    with pytest.raises(TypeError, match="service"):
        cast(Any, client.orders).prepare(service="whatsapp")


async def test_a_key_needs_a_journal() -> None:
    sandbox = still_sandbox()
    client = AsyncVirtualClient(sandbox)
    for method in METHODS:
        with pytest.raises(ConfigurationError, match="needs a client with journal=") as caught:
            await buy(client, method, service="whatsapp", country="id", idempotency_key="sale")
        assert caught.value.outcome == "not_sent"
    assert sum(sandbox.requests.values()) == 0


async def test_a_known_key_sends_the_stored_bytes_without_reading_the_catalog(
    version: Version, tmp_path: Path
) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        script = recording(sandbox)
        async with AsyncClient(
            sandbox.token, api_version=version, transport=script, journal=journal
        ) as client:
            first = await client.orders.create(service="whatsapp", country="id", idempotency_key="sale")
            requests = len(script.requests)
            again = await client.orders.create(service="whatsapp", country="id", idempotency_key="sale")
            assert [order.id for order in again] == [order.id for order in first]
            assert len(script.requests) == requests + 1
            assert script.requests[-1].content == script.requests[-2].content
            with pytest.raises(InvalidArgumentError, match="used for another purchase") as caught:
                await client.orders.create(service="whatsapp", quantity=2, idempotency_key="sale")
            assert caught.value.outcome == "unknown"
            assert len(script.requests) == requests + 1


class AsyncLosing(httpx.AsyncBaseTransport):
    """Passes requests on, and loses the answers to purchases whose number is in ``lost``."""

    def __init__(self, sandbox: Sandbox, *lost: int) -> None:
        self._next: Any = sandbox.transport()
        self._lost = lost
        self.bodies: list[Any] = []
        self.reads = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = await self._next.handle_async_request(request)
        if request.method != "POST":
            self.reads += 1
            return answer
        self.bodies.append(body_of(request))
        if len(self.bodies) in self._lost:
            raise httpx.ReadError("lost")
        return answer


async def test_a_purchase_in_doubt_is_settled_with_the_product_that_was_found(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        losing = AsyncLosing(sandbox, 1)
        client = AsyncVirtualClient(
            sandbox, transport=losing, journal=journal, retry=RetryPolicy(max_attempts=1)
        )
        with pytest.raises(NetworkError) as caught:
            await client.orders.create(service="whatsapp", country="id", idempotency_key="sale")
        assert caught.value.outcome == "unknown"
        reads = losing.reads
        created = await client.orders.create(service="tiktok", country="us", idempotency_key="sale")
        assert losing.reads == reads
        assert losing.bodies[0] == losing.bodies[1]
        assert [order.catalog_product_id for order in created] == [losing.bodies[0]["catalog_product_id"]]
        assert len(await client.orders.active()) == 1


async def test_a_key_under_which_nothing_was_sent_is_searched_for_again(tmp_path: Path) -> None:
    sandbox = still_sandbox()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        refusing = AsyncScript([httpx.ConnectError("down")] * 3)
        before = AsyncVirtualClient(
            sandbox,
            transport=refusing,
            journal=journal,
            retry=ONCE,
        )
        with pytest.raises(NetworkError) as caught:
            await before.orders.create(catalog_product_id=1, idempotency_key="sale")
        assert caught.value.outcome == "not_sent"
        created = await AsyncVirtualClient(sandbox, journal=journal).orders.create(
            service="whatsapp", country="id", idempotency_key="sale"
        )
        assert len(created) == 1
    assert sandbox.requests[PRODUCTS] == 1


async def test_parts_that_are_new_beside_known_ones_buy_the_same_product(tmp_path: Path) -> None:
    sandbox = still_sandbox(balance=10**8)
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        losing = AsyncLosing(sandbox, 1)
        client = AsyncVirtualClient(
            sandbox, transport=losing, journal=journal, retry=RetryPolicy(max_attempts=1)
        )
        with pytest.raises(NetworkError):
            await client.orders.create(service="whatsapp", quantity=100, idempotency_key="sale-1")
        reads = losing.reads
        result = await client.orders.create_many(150, service="whatsapp", idempotency_key="sale")
        assert (len(result), losing.reads) == (150, reads)
        first, second = sorted(losing.bodies[1:], key=lambda body: -body["quantity"])
        assert first == losing.bodies[0]
        assert second == {**first, "quantity": 50}
        again = await client.orders.create_many(150, service="whatsapp", idempotency_key="sale")
        assert {order.id for order in again} == {order.id for order in result}


async def test_a_key_of_a_reactivation_is_refused(tmp_path: Path) -> None:
    sandbox = still_sandbox(otp_after=1)
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = AsyncVirtualClient(sandbox, journal=journal)
        async with client.orders.rent(catalog_product_id=87) as rental:
            await rental.wait_for_otp()
        await client.orders.reactivate(rental, idempotency_key="again")
        with pytest.raises(InvalidArgumentError, match="used for another purchase"):
            await client.orders.create(service="whatsapp", country="id", idempotency_key="again")


async def test_arguments_without_their_names_are_refused_before_anything_is_sent() -> None:
    sandbox = still_sandbox()
    untyped = cast(Any, AsyncVirtualClient(sandbox))
    calls: dict[str, Callable[[], Any]] = {
        "orders.create": lambda: untyped.orders.create(87),
        "orders.create_many": lambda: untyped.orders.create_many(5, 87),
        "orders.obtain": lambda: untyped.orders.obtain(print, "whatsapp"),
        "catalog.find": lambda: untyped.catalog.find("whatsapp"),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"^{name}: expected arguments with their names, such as"):
            await call()
    for name in ("prepare", "rent"):
        with pytest.raises(TypeError, match=f"^orders.{name}: expected arguments with their names, such as"):
            getattr(untyped.orders, name)(87)
    assert sandbox.requests.total() == 0
