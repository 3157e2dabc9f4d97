"""Repeatable random numbers: the same seed and purpose always give the same number."""

from __future__ import annotations

import hashlib


def draw(seed: int, purpose: str, bits: int = 64) -> int:
    """Return a number of ``bits`` bits, at most 512.

    A random generator would have to be stored with the rest of the state, or be seeded for each number, which
    takes ten times as long as this hash.
    """
    drawn = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=bits // 8).digest()
    return int.from_bytes(drawn, "big")


def draw_share(seed: int, purpose: str) -> float:
    """Return a number of at least 0 and less than 1."""
    return draw(seed, purpose, 48) / 2**48
