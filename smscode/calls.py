"""Calls to build and send by hand: ``await client.send(calls.orders.get(1001))``.

A call is a checked description of one request, made without any I/O. Sending it gives an `Answer`,
which holds the result together with the request id, the HTTP status, the exchange rate and the
number of attempts.
"""

from .core.api import balance, catalog, orders
from .core.api import webhook as webhook
from .core.api.call import Answer, Call

__all__ = ["Answer", "Call", "balance", "catalog", "orders", "webhook"]
