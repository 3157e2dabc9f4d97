"""What the vendor's own SDK does against the sandbox: everything that it can, and every error it knows.

    python tests/vendor/use_sdk.py URL TOKEN VERSION

It runs where that SDK is installed and this package is not: both are imported as ``smscode``. How it
asks for a situation is told in serve.py.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

vendor: Any = importlib.import_module("smscode")

INDONESIA, WHATSAPP = 6, 3
RATE = 16_250


def please(situation: str) -> None:
    """Ask for a situation and wait until it is so."""
    print(f"please: {situation}", flush=True)
    assert sys.stdin.readline() == "so it is\n"


def main(url: str, token: str, version: str) -> None:
    """Go through the SDK's calls of one API version; any surprise raises."""
    print(f"smscode {importlib.metadata.version('smscode')} on {version}")
    with vendor.SmscodeClient(token=token, base_url=url, timeout_ms=10_000) as client:
        api = client.v1 if version == "v1" else client
        before = rupiah(api.balance.get().balance)
        look_around(api)
        with endpoint() as (hook, received):
            secret = set_webhook(api, hook)
            paid = rent_and_finish(api, product_id=142)
            paid += rent_and_finish(api, catalog_product_id=87, policy="best_success")
            paid += resend_and_reactivate(api)
            paid += cancel_and_expire(api)
            heard = [json.loads(body)["event"] for body in check(received, secret)]
            api.webhook.update(webhook_url="")
        assert {"webhook.test", "order.otp_received", "order.completed", "order.canceled"} <= set(heard)
        assert before - rupiah(api.balance.get().balance) == paid > 0
        print(f"catalog, orders and webhooks work; Rp {paid} paid, {len(heard)} webhooks verified")
        known = errors(api, client, url, token, version)
        print(f"error classes: {' '.join(known)}")


def look_around(api: Any) -> None:
    """Read the catalog."""
    country = next(row for row in api.catalog.countries() if row.name == "Indonesia")
    service = next(row for row in api.catalog.services(country_id=country.id) if row.name == "WhatsApp")
    assert (country.id, service.id) == (INDONESIA, WHATSAPP)
    operators = api.catalog.operators(country_id=INDONESIA, platform_id=WHATSAPP)
    assert [row.code for row in operators] == ["any", "telkomsel", "indosat"]
    page = api.catalog.products(country_id=INDONESIA, platform_id=WHATSAPP, sort="price_desc", limit=2)
    assert [rupiah(product.price) for product in page.products] == [16_500, 15_000]
    one = api.catalog.products(country_id=INDONESIA, platform_id=WHATSAPP, operator_id=2).products
    assert [product.operator_name for product in one] == ["Indosat"]
    assert api.catalog.exchange_rate().rate == RATE


def rent_and_finish(api: Any, **wish: Any) -> int:
    """Rent a number, get its code, finish; return what it cost."""
    created = api.orders.create(**wish)
    (order,) = created.orders
    order_id = order["id"]
    assert created.failed_count == 0
    assert not order.capabilities.can_finish
    found = api.orders.wait_for_otp(order_id, timeout_ms=20_000, poll_interval_ms=50)
    assert len(found.otp_code) == 6, found
    got = api.orders.get(order_id)
    assert (got["otp_code"], got["sms_revision"]) == (found.otp_code, 1)
    assert got.capabilities.can_finish
    assert [row["id"] for row in api.orders.active()] == [order_id]
    assert api.orders.finish(order_id).status == "COMPLETED"
    assert rows(api.orders.list(limit=5, status="COMPLETED"))[0]["id"] == order_id
    return rupiah(order.amount)


def resend_and_reactivate(api: Any) -> int:
    """Get a second code, then rent the same number again; return what both cost."""
    order = api.orders.create(product_id=142, idempotency_key="vendor-1").orders[0]
    again = api.orders.create(product_id=142, idempotency_key="vendor-1").orders[0]
    order_id = order["id"]
    assert again.raw == order.raw, "a repeated key gives the first answer again"
    first = api.orders.wait_for_otp(order_id, timeout_ms=20_000, poll_interval_ms=50)
    sent = api.orders.resend(order_id)
    assert (sent.status, sent.resent) == ("ACTIVE", True)
    assert api.orders.get(order_id)["otp_code"] == first.otp_code, "the old code stays until then"
    second = api.orders.wait_for_otp(
        order_id, after_code=first.otp_code, after_revision=1, timeout_ms=20_000, poll_interval_ms=50
    )
    assert second.otp_code != first.otp_code
    assert api.orders.get(order_id)["sms_revision"] == 2
    api.orders.finish(order_id)
    assert api.orders.get(order_id).capabilities.can_reactivate
    cost = api.orders.reactivate_options(order_id).cost
    cap = cost if isinstance(cost, int) else f"{(rupiah(cost) + 1) / RATE:.4f}"
    child = api.orders.reactivate(order_id, max_price=cap, idempotency_key="vendor-1").orders[0]
    assert child["phone_number"] == order["phone_number"]
    assert rupiah(child.amount) == rupiah(cost)
    api.orders.wait_for_otp(child["id"], timeout_ms=20_000, poll_interval_ms=50)
    api.orders.finish(child["id"])
    return rupiah(order.amount) + rupiah(child.amount)


def cancel_and_expire(api: Any) -> int:
    """Cancel numbers, which refunds them, and keep one until its end; return what that one cost."""
    please("no codes")
    before = rupiah(api.balance.get().balance)
    created = api.orders.create(product_id=142, quantity=2)
    first, second = (order["id"] for order in created.orders)
    please("two minutes later")
    assert api.orders.get(first).capabilities.can_cancel
    canceled = api.orders.cancel(first)
    assert (canceled.status, rupiah(canceled.refund_amount)) == ("CANCELED", 15_000)
    assert rupiah(canceled.new_balance) == before - 15_000
    please("an hour later")
    assert api.orders.get(second)["status"] == "EXPIRED"
    expect(vendor.OrderTerminalError, lambda: api.orders.wait_for_otp(second, timeout_ms=1000))
    assert rupiah(api.balance.get().balance) == before
    please("few numbers")
    partly = api.orders.create(product_id=142, quantity=3)
    assert (len(partly.orders), partly.failed_count) == (1, 2)
    api.orders.wait_for_otp(partly.orders[0]["id"], timeout_ms=20_000, poll_interval_ms=50)
    please("an hour later")
    assert api.orders.get(partly.orders[0]["id"])["status"] == "COMPLETED"
    please("usual suppliers")
    return rupiah(partly.orders[0].amount)


def errors(api: Any, client: Any, url: str, token: str, version: str) -> list[str]:
    """Provoke every error that the SDK has a class for; return the codes."""
    known: list[str] = []

    def refused(name: str, status: int, ask: Callable[[], object]) -> Any:
        error = expect(getattr(vendor, name), ask)
        assert error.http_status == status, error.http_status
        assert error.request_id, "every answer has an id"
        known.append(error.code)
        return error

    please("no codes")
    with vendor.SmscodeClient(token="wrong", base_url=url) as stranger:
        refused("UnauthorizedError", 401, stranger.balance.get)
    please("suspended")
    refused("ForbiddenError", 403, api.balance.get)
    please("admitted")
    please("closed")
    assert refused("ServiceUnavailableError", 503, api.balance.get).retry_after_seconds == 60
    please("open")
    please("a defect")
    refused("InternalError", 500, api.balance.get)
    please("no rate")
    assert refused("FxRateUnavailableError", 503, client.balance.get).retry_after_seconds == 30
    please("a rate")

    refused("NotFoundError", 404, lambda: api.orders.get(7))
    refused("NoOfferAvailableError", 422, lambda: api.orders.create(catalog_product_id=9999))
    refused("InsufficientBalanceError", 409, lambda: api.orders.create(product_id=142, quantity=100))
    invalid = refused("ValidationError", 422, lambda: api.orders.create(product_id=142, quantity=0))
    assert invalid.details["fields"].keys() == {"quantity"}
    huge = "s" * 1_100_000
    refused("PayloadTooLargeError", 413, lambda: api.webhook.update(webhook_secret=huge))

    order_id = api.orders.create(product_id=142, idempotency_key="vendor-2").orders[0]["id"]
    refused("CancelTooEarlyError", 409, lambda: api.orders.cancel(order_id))
    refused("ConflictError", 409, lambda: api.orders.finish(order_id))
    refused(
        "IdempotencyKeyReuseError",
        422,
        lambda: api.orders.create(product_id=143, idempotency_key="vendor-2"),
    )
    please("slow suppliers")
    with vendor.SmscodeClient(token=token, base_url=url, timeout_ms=300) as hasty:
        one = hasty.v1 if version == "v1" else hasty
        expect(vendor.TimeoutError, lambda: one.orders.create(product_id=142, idempotency_key="vendor-3"))
    in_use = refused(
        "RequestInProgressError",
        409,
        lambda: api.orders.create(product_id=142, idempotency_key="vendor-3"),
    )
    assert in_use.idempotency_key == "vendor-3"
    please("two minutes later")
    settled = api.orders.create(product_id=142, idempotency_key="vendor-3").orders[0]["id"]
    please("refusing suppliers")
    empty = refused("ProviderError", 422, lambda: api.orders.create(product_id=142, quantity=2))
    assert empty.details == {"cause_counts": {"no_numbers": 2}}
    routed = expect(vendor.ProviderError, lambda: api.orders.create(catalog_product_id=87))
    assert routed.details == {"attempts": ["no_numbers"] * 3}

    please("no codes")
    api.orders.cancel(order_id)
    api.orders.finish(settled)
    for new in api.orders.create(product_id=142, quantity=8).orders:
        please("two minutes later")
        api.orders.cancel(new["id"])
    ban = refused("TempBannedError", 429, lambda: api.orders.create(product_id=142))
    assert ban.details["retry_after_seconds"] == ban.retry_after_seconds > 0
    with endpoint() as (hook, _):
        api.webhook.update(webhook_url=hook)
        for _ in range(10):
            assert api.webhook.test().status_code == 204
        assert 0 < refused("RateLimitError", 429, api.webhook.test).retry_after_seconds <= 60
        api.webhook.update(webhook_url="")
    assert len(set(known)) == 17, known
    return known


def expect(error: type[Exception], ask: Callable[[], object]) -> Any:
    """Return the error that a call raises, of exactly this class."""
    found: Exception | None = None
    try:
        ask()
    except error as raised:
        found = raised
    assert type(found) is error, f"expected {error.__name__}, got {found!r}"
    return found


# -- webhooks --------------------------------------------------------------------------------


@contextmanager
def endpoint() -> Generator[tuple[str, list[tuple[str, bytes]]]]:
    """Serve a webhook endpoint on this machine."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.headers["x-webhook-signature"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()
        thread.join()


def set_webhook(api: Any, hook: str) -> str:
    """Set the webhook and test it; return the secret."""
    config = api.webhook.update(webhook_url=hook)
    assert (config.webhook_url, config.webhook_disabled_at) == (hook, None)
    assert api.webhook.get().webhook_secret == config.webhook_secret
    assert api.webhook.test().status_code == 204
    assert api.webhook.update(webhook_secret="ours").webhook_secret == "ours"
    assert api.webhook.test().status_code == 204
    assert api.webhook.update(webhook_secret=config.webhook_secret).raw == config.raw
    return str(config.webhook_secret)


def check(received: list[tuple[str, bytes]], secret: str) -> list[bytes]:
    """Verify and read what was received, but for the one test with another secret."""
    bodies: list[bytes] = []
    for signature, body in received:
        if not vendor.verify_webhook_signature(body, signature, secret):
            assert vendor.verify_webhook_signature(body, signature, "ours")
        assert vendor.is_webhook_event(vendor.parse_webhook_event(body))
        bodies.append(body)
    return bodies


def rows(listed: Any) -> Any:
    """Return the rows of the SDK's order list, which is bare on v1 and wrapped on v2."""
    return getattr(listed, "orders", listed)


def rupiah(money: Any) -> int:
    """Return the ledger value of the SDK's money, which is an int on v1 and an object on v2."""
    return int(getattr(money, "canonical_amount", money))


if __name__ == "__main__":
    main(*sys.argv[1:])
