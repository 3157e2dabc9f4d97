"""Chance that repeats: the same seed and purpose always draw the same number."""

from __future__ import annotations

import hashlib


def draw(seed: int, purpose: str, bits: int = 64) -> int:
    """Draw a number of so many bits, at most 512.

    A random generator would have to be kept with the rest of the state, or be seeded anew each time, which
    takes ten times as long as this hash.
    """
    drawn = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=bits // 8).digest()
    return int.from_bytes(drawn, "big")
