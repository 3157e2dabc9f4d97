"""What the vendor's own SDK does against the sandbox: list, rent, wait, finish.

    python tests/vendor/use_sdk.py URL TOKEN VERSION

It runs where that SDK is installed and this package is not: both are imported as ``smscode``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import Any


def main(url: str, token: str, version: str) -> None:
    """Go through the SDK's calls of one API version; any surprise raises."""
    vendor: Any = importlib.import_module("smscode")
    print(f"smscode {importlib.metadata.version('smscode')} on {version}")
    with vendor.SmscodeClient(token=token, base_url=url, timeout_ms=10_000) as client:
        api = client.v1 if version == "v1" else client

        country = next(row for row in api.catalog.countries() if row.name == "Indonesia")
        service = next(row for row in api.catalog.services(country_id=country.id) if row.name == "WhatsApp")
        operators = api.catalog.operators(country_id=country.id, platform_id=service.id)
        page = api.catalog.products(country_id=country.id, platform_id=service.id)
        rate = api.catalog.exchange_rate()
        products = page.products
        assert operators
        assert products
        assert rate.rate == 16_250, rate
        before = rupiah(api.balance.get().balance)

        created = api.orders.create(catalog_product_id=products[0].catalog_product_id)
        order = created.orders[0]
        order_id = order["id"]
        found = api.orders.wait_for_otp(order_id, timeout_ms=20_000, poll_interval_ms=100)
        assert len(found.otp_code) == 6, found
        assert api.orders.get(order_id)["otp_code"] == found.otp_code
        assert [row["id"] for row in api.orders.active()] == [order_id]
        assert api.orders.finish(order_id).status == "COMPLETED"
        assert rows(api.orders.list(limit=5))[0]["id"] == order_id

        paid = rupiah(order.amount)
        after = rupiah(api.balance.get().balance)
        assert before - after == paid > 0, (before, after, paid)
        print(f"order {order_id}: rented, code received, finished; Rp {paid} paid")


def rows(listed: Any) -> Any:
    """Give the rows of the SDK's order list, which is bare on v1 and wrapped on v2."""
    return getattr(listed, "orders", listed)


def rupiah(money: Any) -> int:
    """Give the ledger value of the SDK's money, which is an int on v1 and an object on v2."""
    return int(getattr(money, "canonical_amount", money))


if __name__ == "__main__":
    main(*sys.argv[1:])
