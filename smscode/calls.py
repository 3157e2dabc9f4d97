"""Calls to build and send by hand: ``await client.send(calls.orders.get(1001))``.

A call is a checked description of one request, made without any I/O. Sending it gives an `Answer`,
which holds the result together with the request id, the HTTP status, the exchange rate and the
number of attempts.
"""

from .core import balance, catalog, orders
from .core import webhook_config as webhook
from .core.wire import Answer, Call

__all__ = ["Answer", "Call", "balance", "catalog", "orders", "webhook"]
