"""The calls of the demo: rent, wait and finish, all numbers at once."""

from __future__ import annotations

from ..._async.client import AsyncClient
from ..._clock import RealTime
from ..._concurrency import AsyncRuntime
from ...errors import SmscodeError
from ...models import OrderStatus, Product
from ..report import DemoProgress, Rental, Rentals, choose

_PATIENCE = 60.0  # seconds to wait for a code


async def rent_all(client: AsyncClient, progress: DemoProgress) -> Rentals:
    """Rent the numbers at once, wait for every code and finish every order."""
    rentals: list[Rental] = []
    errors: list[SmscodeError] = []

    async def rent(product: Product) -> None:
        try:
            rentals.append(await rent_one(client, product, progress))
        except SmscodeError as error:
            errors.append(error)

    before = (await client.balance()).balance
    products = (await client.catalog.products()).items
    await AsyncRuntime().for_each(rent, choose(products, progress.count))
    after = (await client.balance()).balance
    return Rentals(tuple(rentals), tuple(errors), before, after)


async def rent_one(client: AsyncClient, product: Product, progress: DemoProgress) -> Rental:
    """Rent a number, wait for its code and finish its order."""
    began = RealTime.monotonic()
    assert product.catalog_product_id is not None
    created = await client.orders.create(
        catalog_product_id=product.catalog_product_id, max_price=product.price
    )
    order = created.orders[0]
    progress.note("rented")
    sms = await client.orders.wait_for_otp(order.id, timeout=_PATIENCE)
    progress.note("codes")
    seconds = RealTime.monotonic() - began
    finished = await client.orders.finish(order.id)
    progress.note("finished")
    return Rental(order, sms.code, seconds, finished.status == OrderStatus.COMPLETED)
