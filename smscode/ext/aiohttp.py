"""For programs with aiohttp: sends calls and receives webhooks with it. Needs the ``aiohttp`` extra."""

from __future__ import annotations

from ._aiohttp import transport
from ._aiohttp_webhook import add_webhook

__all__ = ["add_webhook", "transport"]
