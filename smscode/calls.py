"""Functions that build calls for ``client.send``: ``await client.send(calls.orders.get(1001))``.

A call describes one request, with checked arguments; building it does no I/O. Sending it returns an `Answer`:
the result with the request id, the HTTP status, the exchange rate and the number of attempts.
"""

from .core.api import balance, catalog, orders
from .core.api import webhook as webhook
from .core.api.call import Answer, Call

__all__ = ["Answer", "Call", "balance", "catalog", "orders", "webhook"]
