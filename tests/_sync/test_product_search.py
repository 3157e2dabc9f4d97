# Generated from tests/_async/test_product_search.py by `nox -s generate`: change that file, not this one.

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
from smscode._concurrency import Event, Runtime

from ..concurrency import VirtualClient
from .helpers import Script, refusal, still_sandbox, success, until

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]

COUNTRIES, SERVICES = "GET /catalog/countries", "GET /catalog/services"
PRODUCTS, OPERATORS = "GET /catalog/products", "GET /catalog/operators"


def test_products_are_found_by_name_and_the_cheapest_come_first(
    version: Version, generation: Generation
) -> None:
    sandbox = still_sandbox(generation=generation)
    with VirtualClient(sandbox, api_version=version) as client:
        found = client.catalog.find(service="whatsapp", country="INDONESIA")
        listed = (client.catalog.products(country_id=6, platform_id=3)).items
        assert sorted(found, key=lambda product: product.id) == sorted(listed, key=lambda product: product.id)
        assert [product.price for product in found] == sorted(product.price for product in listed)
        code = next(service.code for service in client.catalog.services() if service.id == 3)
        assert client.catalog.find(service=code.upper(), country="id") == found
        assert client.catalog.find(service=3, country=6) == found
        service, country = Service(3, code, "WhatsApp", True), Country(6, "Indonesia", True)
        assert client.catalog.find(service=service, country=country) == found
    assert (sandbox.requests[COUNTRIES], sandbox.requests[SERVICES], sandbox.requests[PRODUCTS]) == (1, 2, 5)


def test_a_found_product_can_be_bought_at_its_price(version: Version) -> None:
    with VirtualClient(still_sandbox(), api_version=version) as client:
        cheapest = (client.catalog.find(service="TikTok"))[0]
        assert client.catalog.find(service="TikTok", max_price=cheapest.price)
        assert cheapest.catalog_product_id is not None
        created = client.orders.create(
            catalog_product_id=cheapest.catalog_product_id, max_price=cheapest.price
        )
    assert created.orders[0].amount == cheapest.price


def test_ids_alone_need_no_lists() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        assert client.catalog.find(service=3, country=6)
        assert client.catalog.find(service=30_000, country=6) == []
    assert set(sandbox.requests) == {PRODUCTS}


def test_without_names_all_products_are_found_over_all_pages() -> None:
    with VirtualClient(still_sandbox()) as client:
        found = client.catalog.find()
        listed = [product.id for product in client.catalog.iter_products()]
    assert sorted(product.id for product in found) == sorted(listed)


def test_what_is_sold_out_or_switched_off_is_only_found_when_asked_for() -> None:
    rows = [
        {"id": number, "available": available, "price": 100, "active": active}
        for number, available, active in ((1, 0, True), (2, 5, False), (3, 5, True))
    ]
    page = {"page": 1, "limit": 10_000, "count": 3}
    script = Script([success(rows, **page), success(rows, **page)])
    with VirtualClient(still_sandbox(), transport=script, api_version="v1") as client:
        assert [product.id for product in client.catalog.find()] == [3]
        assert [product.id for product in client.catalog.find(in_stock=False)] == [2, 3, 1]


def test_what_is_too_dear_is_not_found() -> None:
    with VirtualClient(still_sandbox(), api_version="v1") as client:
        assert client.catalog.find(service="WhatsApp", country="id", max_price=14_999) == []
        found = client.catalog.find(service="WhatsApp", country="id", max_price=15_000)
    assert {product.price for product in found} == {Money.idr(15_000)}


def test_an_operator_is_found_among_those_of_the_pair() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        by_name = client.catalog.find(service="WhatsApp", country="id", operator="TELKOMSEL")
        by_id = client.catalog.find(service="WhatsApp", country="id", operator=1)
        assert by_name == by_id
        assert {product.operator_id for product in by_name} == {1}
        with pytest.raises(InvalidArgumentError, match=r"^operator: .*Telkomsel"):
            client.catalog.find(service="WhatsApp", country="id", operator="telkomse")
    assert sandbox.requests[OPERATORS] == 2


def test_a_server_without_operators_says_so() -> None:
    with VirtualClient(still_sandbox(generation="documented")) as client:
        with pytest.raises(NotFoundError):
            client.catalog.find(service="WhatsApp", country="id", operator="telkomsel")


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
def test_a_wrong_argument_is_refused_before_anything_is_sent(names: dict[str, Any]) -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        with pytest.raises(InvalidArgumentError, match=rf"^{next(iter(names))}: "):
            client.catalog.find(**names)
    assert not sandbox.requests


def test_an_unknown_name_is_refused_with_the_closest() -> None:
    with VirtualClient(still_sandbox()) as client:
        with pytest.raises(InvalidArgumentError, match=r"service: .*'whatsap'.*WhatsApp \(id 3\)"):
            client.catalog.find(service="whatsap", country="id")


def test_the_lists_are_kept_for_ten_minutes() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        for reads, seconds in ((1, 599), (1, 2), (2, 599), (2, 2), (3, 0)):
            client.catalog.find(service="WhatsApp", country="id")
            assert (sandbox.requests[COUNTRIES], sandbox.requests[SERVICES]) == (reads, reads)
            client.runtime.pass_by(seconds)


# -- many at once ----------------------------------------------------------------------------------


class HeldList(Script):
    """Answers like a sandbox, but the first list of services only when it is let go, by an answer."""

    def __init__(self, answer: Callable[[], httpx.Response] | None = None) -> None:
        self.sandbox = still_sandbox()
        super().__init__([], self.sandbox.transport())
        self._answer = answer
        self.go = Event()
        self.lists = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/services"):
            self.lists += 1
            if self.lists == 1:
                self.go.wait(10)
                if self._answer is not None:
                    return self._answer()
        return super().handle_request(request)

    def client(self, **options: Any) -> VirtualClient:
        options = {"retry": RetryPolicy(max_attempts=1), "timeout": None, **options}
        return VirtualClient(self.sandbox, transport=self, **options)


def all_find(
    client: VirtualClient, held: HeldList, count: int
) -> list[list[Product] | SmscodeError]:
    """Find with so many at once, while the list is held until all the others wait for it."""
    results: list[list[Product] | SmscodeError] = []

    def find(number: int) -> None:
        if number == count:
            until(lambda: held.lists and client.runtime._waiting == count - 1)
            held.go.set()
            return
        try:
            results.append(client.catalog.find(service="WhatsApp", country=6))
        except SmscodeError as error:
            results.append(error)

    Runtime().for_each(find, range(count + 1))
    return results


def test_many_at_once_share_one_reading() -> None:
    held = HeldList()
    with held.client() as client:
        results = all_find(client, held, 20)
    assert len(results) == 20
    assert all(result == results[0] for result in results)
    assert held.lists == 1


def test_a_failure_is_everybodys_and_not_kept() -> None:
    held = HeldList(lambda: refusal(500, "INTERNAL_ERROR"))
    with held.client() as client:
        results = all_find(client, held, 5)
        assert [type(result) for result in results] == [InternalError] * 5
        assert len({id(result) for result in results}) == 5
        assert held.lists == 1
        assert client.catalog.find(service="WhatsApp")
    assert held.lists == 2


def test_when_the_readers_time_is_over_another_reads() -> None:
    def too_late() -> httpx.Response:
        raise httpx.ReadTimeout("too late")

    held = HeldList(too_late)
    with held.client() as client:
        results = all_find(client, held, 5)
    assert [type(result) for result in results if isinstance(result, SmscodeError)] == [RequestTimeoutError]
    assert held.lists == 2


def test_whoever_is_throttled_waits_as_long_as_the_own_time_allows() -> None:
    held = HeldList(lambda: refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "90"}))
    held.go.set()
    with held.client(timeout=30) as client:
        with pytest.raises(RateLimitError):
            client.catalog.find(service="WhatsApp")
        assert held.lists == 1
        assert client.catalog.find(service="WhatsApp", timeout=100)


def test_whoever_waits_keeps_to_an_own_deadline() -> None:
    held = HeldList()
    raised: list[SmscodeError] = []
    with held.client() as client:

        def find(number: int) -> None:
            if number == 0:
                assert client.catalog.find(service="WhatsApp")
                return
            until(lambda: held.lists)
            with pytest.raises(RequestTimeoutError, match="did not come in time") as late:
                client.catalog.find(service="WhatsApp", timeout=5)
            raised.append(late.value)
            held.go.set()

        Runtime().for_each(find, [0, 1])
    assert [error.outcome for error in raised] == ["not_sent"]


def test_the_timeout_is_for_everything_that_has_to_be_read() -> None:
    sandbox = still_sandbox()
    script = Script([success([])], sandbox.transport())
    with VirtualClient(sandbox, transport=script) as client:
        with pytest.raises(InvalidArgumentError, match="none of the 0 comes close"):
            client.catalog.find(service="WhatsApp", timeout=5)
        client.runtime.pass_by(1000)
        script.add(refusal(503, "SERVICE_UNAVAILABLE", {"retry-after": "3"}))
        assert client.catalog.find(service="WhatsApp", timeout=5)
        client.runtime.pass_by(1000)
        late = refusal(503, "SERVICE_UNAVAILABLE", {"retry-after": "2"})
        script.add(late)
        with pytest.raises(SmscodeError):
            client.catalog.find(service="WhatsApp", timeout=1)
