"""Finding products by name: what is asked, how often, and what is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import httpx
import pytest

from smscode import (
    Country,
    InternalError,
    InvalidArgumentError,
    Money,
    NotFoundError,
    Product,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    Service,
    SmscodeError,
)
from smscode._concurrency import AsyncEvent, AsyncRuntime

from ..concurrency import AsyncVirtualClient
from .helpers import AsyncScript, refusal, still_sandbox, success, until

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]

COUNTRIES, SERVICES = "GET /catalog/countries", "GET /catalog/services"
PRODUCTS, OPERATORS = "GET /catalog/products", "GET /catalog/operators"


async def test_products_are_found_by_name_and_the_cheapest_come_first(
    version: Version, generation: Generation
) -> None:
    sandbox = still_sandbox(generation=generation)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        found = await client.catalog.find(service="whatsapp", country="INDONESIA")
        listed = (await client.catalog.products(country_id=6, platform_id=3)).items
        assert sorted(found, key=lambda product: product.id) == sorted(listed, key=lambda product: product.id)
        assert [product.price for product in found] == sorted(product.price for product in listed)
        code = next(service.code for service in await client.catalog.services() if service.id == 3)
        assert await client.catalog.find(service=code.upper(), country="id") == found
        assert await client.catalog.find(service=3, country=6) == found
        service, country = Service(3, code, "WhatsApp", True), Country(6, "Indonesia", True)
        assert await client.catalog.find(service=service, country=country) == found
    assert (sandbox.requests[COUNTRIES], sandbox.requests[SERVICES], sandbox.requests[PRODUCTS]) == (1, 2, 5)


async def test_a_found_product_can_be_bought_at_its_price(version: Version) -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version=version) as client:
        cheapest = (await client.catalog.find(service="TikTok"))[0]
        assert await client.catalog.find(service="TikTok", max_price=cheapest.price)
        assert cheapest.catalog_product_id is not None
        created = await client.orders.create(
            catalog_product_id=cheapest.catalog_product_id, max_price=cheapest.price
        )
    assert created.orders[0].amount == cheapest.price


async def test_ids_alone_need_no_lists() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        assert await client.catalog.find(service=3, country=6)
        assert await client.catalog.find(service=30_000, country=6) == []
    assert set(sandbox.requests) == {PRODUCTS}


async def test_without_names_all_products_are_found_over_all_pages() -> None:
    async with AsyncVirtualClient(still_sandbox()) as client:
        found = await client.catalog.find()
        listed = [product.id async for product in client.catalog.iter_products()]
    assert sorted(product.id for product in found) == sorted(listed)


async def test_what_is_sold_out_or_switched_off_is_only_found_when_asked_for() -> None:
    rows = [
        {"id": number, "available": available, "price": 100, "active": active}
        for number, available, active in ((1, 0, True), (2, 5, False), (3, 5, True))
    ]
    page = {"page": 1, "limit": 10_000, "count": 3}
    script = AsyncScript([success(rows, **page), success(rows, **page)])
    async with AsyncVirtualClient(still_sandbox(), transport=script, api_version="v1") as client:
        assert [product.id for product in await client.catalog.find()] == [3]
        assert [product.id for product in await client.catalog.find(in_stock=False)] == [2, 3, 1]


async def test_what_is_too_dear_is_not_found() -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version="v1") as client:
        assert await client.catalog.find(service="WhatsApp", country="id", max_price=14_999) == []
        found = await client.catalog.find(service="WhatsApp", country="id", max_price=15_000)
    assert {product.price for product in found} == {Money.idr(15_000)}


async def test_an_operator_is_found_among_those_of_the_pair() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        by_name = await client.catalog.find(service="WhatsApp", country="id", operator="TELKOMSEL")
        by_id = await client.catalog.find(service="WhatsApp", country="id", operator=1)
        assert by_name == by_id
        assert {product.operator_id for product in by_name} == {1}
        with pytest.raises(InvalidArgumentError, match=r"^operator: .*Telkomsel"):
            await client.catalog.find(service="WhatsApp", country="id", operator="telkomse")
    assert sandbox.requests[OPERATORS] == 2


async def test_a_server_without_operators_says_so() -> None:
    async with AsyncVirtualClient(still_sandbox(generation="documented")) as client:
        with pytest.raises(NotFoundError):
            await client.catalog.find(service="WhatsApp", country="id", operator="telkomsel")


@pytest.mark.parametrize(
    "names",
    [
        {"service": ""},
        {"country": 0},
        {"operator": b"x"},
        {"operator": "vivo"},
        {"operator": "vivo", "service": "WhatsApp"},
        {"operator": "vivo", "country": 6},
        {"max_price": 5},
        {"timeout": 0},
    ],
)
async def test_a_wrong_argument_is_refused_before_anything_is_sent(names: dict[str, Any]) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        with pytest.raises(InvalidArgumentError, match=rf"^{next(iter(names))}: "):
            await client.catalog.find(**names)
    assert not sandbox.requests


async def test_an_unknown_name_is_refused_with_the_closest() -> None:
    async with AsyncVirtualClient(still_sandbox()) as client:
        with pytest.raises(InvalidArgumentError, match=r"service: .*'whatsap'.*WhatsApp \(id 3\)"):
            await client.catalog.find(service="whatsap", country="id")


async def test_the_lists_are_kept_for_ten_minutes() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        for reads, seconds in ((1, 599), (1, 2), (2, 599), (2, 2), (3, 0)):
            await client.catalog.find(service="WhatsApp", country="id")
            assert (sandbox.requests[COUNTRIES], sandbox.requests[SERVICES]) == (reads, reads)
            client.runtime.pass_by(seconds)


# -- many at once ----------------------------------------------------------------------------------


class AsyncHeldList(AsyncScript):
    """Answers like a sandbox, but the first list of services only when it is let go, by an answer."""

    def __init__(self, answer: Callable[[], httpx.Response] | None = None) -> None:
        self.sandbox = still_sandbox()
        super().__init__([], self.sandbox.transport())
        self._answer = answer
        self.go = AsyncEvent()
        self.lists = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/services"):
            self.lists += 1
            if self.lists == 1:
                await self.go.wait(10)
                if self._answer is not None:
                    return self._answer()
        return await super().handle_async_request(request)

    def client(self, **options: Any) -> AsyncVirtualClient:
        options = {"retry": RetryPolicy(max_attempts=1), "timeout": None, **options}
        return AsyncVirtualClient(self.sandbox, transport=self, **options)


async def all_find(
    client: AsyncVirtualClient, held: AsyncHeldList, count: int
) -> list[list[Product] | SmscodeError]:
    """Find with so many at once, while the list is held until all the others wait for it."""
    results: list[list[Product] | SmscodeError] = []

    async def find(number: int) -> None:
        if number == count:
            await until(lambda: held.lists and client.runtime._waiting == count - 1)
            held.go.set()
            return
        try:
            results.append(await client.catalog.find(service="WhatsApp", country=6))
        except SmscodeError as error:
            results.append(error)

    await AsyncRuntime().for_each(find, range(count + 1))
    return results


async def test_many_at_once_share_one_reading() -> None:
    held = AsyncHeldList()
    async with held.client() as client:
        results = await all_find(client, held, 20)
    assert len(results) == 20
    assert all(result == results[0] for result in results)
    assert held.lists == 1


async def test_a_failure_is_everybodys_and_not_kept() -> None:
    held = AsyncHeldList(lambda: refusal(500, "INTERNAL_ERROR"))
    async with held.client() as client:
        results = await all_find(client, held, 5)
        assert [type(result) for result in results] == [InternalError] * 5
        assert len({id(result) for result in results}) == 5
        assert held.lists == 1
        assert await client.catalog.find(service="WhatsApp")
    assert held.lists == 2


async def test_when_the_readers_time_is_over_another_reads() -> None:
    def too_late() -> httpx.Response:
        raise httpx.ReadTimeout("too late")

    held = AsyncHeldList(too_late)
    async with held.client() as client:
        results = await all_find(client, held, 5)
    assert [type(result) for result in results if isinstance(result, SmscodeError)] == [RequestTimeoutError]
    assert held.lists == 2


async def test_whoever_is_throttled_waits_as_long_as_the_own_time_allows() -> None:
    held = AsyncHeldList(lambda: refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "90"}))
    held.go.set()
    async with held.client(timeout=30) as client:
        with pytest.raises(RateLimitError):
            await client.catalog.find(service="WhatsApp")
        assert held.lists == 1
        assert await client.catalog.find(service="WhatsApp", timeout=100)


async def test_whoever_waits_keeps_to_an_own_deadline() -> None:
    held = AsyncHeldList()
    raised: list[SmscodeError] = []
    async with held.client() as client:

        async def find(number: int) -> None:
            if number == 0:
                assert await client.catalog.find(service="WhatsApp")
                return
            await until(lambda: held.lists)
            with pytest.raises(RequestTimeoutError, match="did not come in time") as late:
                await client.catalog.find(service="WhatsApp", timeout=5)
            raised.append(late.value)
            held.go.set()

        await AsyncRuntime().for_each(find, [0, 1])
    assert [error.outcome for error in raised] == ["not_sent"]


async def test_the_timeout_is_for_everything_that_has_to_be_read() -> None:
    sandbox = still_sandbox()
    script = AsyncScript([success([])], sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=script) as client:
        with pytest.raises(InvalidArgumentError, match="none of the 0 comes close"):
            await client.catalog.find(service="WhatsApp", timeout=5)
        client.runtime.pass_by(1000)
        script.add(refusal(503, "SERVICE_UNAVAILABLE", {"retry-after": "3"}))
        assert await client.catalog.find(service="WhatsApp", timeout=5)
        client.runtime.pass_by(1000)
        late = refusal(503, "SERVICE_UNAVAILABLE", {"retry-after": "2"})
        script.add(late)
        with pytest.raises(SmscodeError):
            await client.catalog.find(service="WhatsApp", timeout=1)
