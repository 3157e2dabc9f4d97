"""For programs that use aiohttp: calls sent by it, webhooks received by it. Needs the ``aiohttp`` extra."""

from __future__ import annotations

from ._aiohttp import transport
from ._aiohttp_webhook import add_webhook

__all__ = ["add_webhook", "transport"]
