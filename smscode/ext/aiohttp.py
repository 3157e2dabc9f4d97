"""For programs that use aiohttp: the client's calls sent by it. Needs the ``aiohttp`` extra."""

from __future__ import annotations

from ._aiohttp import transport

__all__ = ["transport"]
