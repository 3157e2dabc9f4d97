# Generated from smscode/_async/order_statistics.py by `nox -s generate`: change that file, not this one.

"""The order method that sums up what the orders came to."""

from __future__ import annotations

from datetime import datetime, timedelta

from .._rows import RowList
from ..core.paging import OrderWalk
from ..core.statistics import OfferStats, StatsBuilder
from .driver import Driver


class OrderStatistics:
    """The part of ``client.orders`` that reads all orders for their statistics."""

    _driver: Driver

    def stats(
        self, *, since: datetime | timedelta | None = None, timeout: float | None = None
    ) -> list[OfferStats]:
        """Read the orders, and return how each offer did: success, speed and cost, by numbers rented.

        >>> for offer in client.orders.stats(since=timedelta(days=30)):
        ...     print(offer.catalog_product_id, offer.success_rate, offer.cost_per_code)

        ``since`` leaves out what was ordered before a time, or longer ago than a `timedelta`; None means all
        orders. They are read 100 at a time, newest first, and not kept. ``timeout`` applies to each request.
        """
        statistics = StatsBuilder(since)
        walk = OrderWalk()
        while (call := walk.next_call()) is not None:
            answer = self._driver.run(call, timeout)
            page = walk.feed(answer.data)
            now = answer.date or self._driver.runtime.wall_clock()
            # A page of unreadable rows has no orders, and says nothing about the next one.
            if page is not None and not statistics.add(page, now) and page.items:
                break
            del answer, page  # or they would stay until the next page is there
        return RowList(statistics.offers())
