"""Small clients on bare httpx, to prove the judge: one that is right, and four that are not.

None of them uses the package.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from tests.faults.harness import TOKEN, Server
from tests.faults.judge import Report
from tests.faults.ledger import WITH_SMS

_READ = 0.25
_ATTEMPTS = 40
_HEADERS = {
    "authorization": f"Bearer {TOKEN}",
    "content-type": "application/json",
    "connection": "close",  # httpx takes bytes left over from one answer for the next one
}

Http = httpx.Client
Buyer = Callable[[Http, str], Report | None]


def _body(intent: str, product: int = 412) -> bytes:
    return json.dumps({"catalog_product_id": product, "prefer_provider": intent}).encode()


def _post(http: Http, path: str, body: bytes, key: str | None) -> tuple[str, tuple[int, ...]]:
    """Send once; return the error's code ("" for success, "?" when no answer came) and the order ids."""
    headers = {} if key is None else {"idempotency-key": key}
    try:
        response = http.post(path, content=body, headers=headers)
        value = response.json()
        if value.get("success") is True:
            return "", tuple(order["id"] for order in value["data"].get("orders", ()))
        return str(value["error"]["code"]), ()
    except (httpx.HTTPError, ValueError, AttributeError, KeyError):
        return "?", ()


def _buy(http: Http, intent: str, attempts: int, key: Callable[[], str]) -> Report:
    body, last = _body(intent), ""
    for attempt in range(attempts):
        last = key()
        code, orders = _post(http, "/v2/orders/create", body, last)
        if not code:
            return Report("buy", intent, orders, key=last)
        time.sleep(random.random() * min(0.1, 0.01 * 2**attempt))
    return Report("buy", intent, outcome="unknown", key=last)


def right(http: Http, intent: str) -> Report:
    """Buy with one key and the same bytes until it is known what came of it."""
    key = uuid.uuid4().hex
    return _buy(http, intent, _ATTEMPTS, lambda: key)


def fresh_keys(http: Http, intent: str) -> Report:
    """Mint a new key for every attempt: buys twice."""
    return _buy(http, intent, _ATTEMPTS, lambda: uuid.uuid4().hex)


def careless(http: Http, intent: str) -> Report | None:
    """Try once and forget what failed: loses orders that were paid."""
    report = _buy(http, intent, 1, lambda: uuid.uuid4().hex)
    return report if report.orders else None


def liar(http: Http, intent: str) -> Report:
    """Try once and say that nothing was bought."""
    report = _buy(http, intent, 1, lambda: uuid.uuid4().hex)
    return report if report.orders else Report("buy", intent, outcome="rejected", key=report.key)


def resend_again(http: Http, intent: str) -> Report:
    """Buy rightly, and ask for another SMS until one is accepted: asks too often."""
    key = uuid.uuid4().hex
    for _ in range(_ATTEMPTS):
        code, orders = _post(http, "/v2/orders/create", _body(intent, WITH_SMS), key)
        if not code:
            break
        time.sleep(0.01)
    else:
        return Report("buy", intent, outcome="unknown", key=key)
    for _ in range(_ATTEMPTS):
        if not _post(http, "/v2/orders/resend", json.dumps({"id": orders[0]}).encode(), None)[0]:
            break
    return Report("resend", intent, orders, key=key, target=orders[0])


def run(server: Server, buy: Buyer, intents: Iterable[str], threads: int = 24) -> list[Report]:
    """Buy every intent with a client, many at once; what the client does not report is not in the result."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=threads)
    http = httpx.Client(base_url=server.base_url, headers=_HEADERS, timeout=_READ, limits=limits)
    with http, ThreadPoolExecutor(threads) as pool:
        reports = list(pool.map(partial(buy, http), intents))
    return [report for report in reports if report is not None]
