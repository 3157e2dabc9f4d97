"""A long answer in slices, small enough that parsing one does not block an event loop noticeably.

The rows of an answer are a JSON array of objects, which can be cut without parsing it: if ``[X]`` and ``[Y]``
are arrays, ``[X,Y]`` is the array of both. So a cut at ``},{`` is correct if, and only if, both sides can be
parsed; a cut inside a string or an inner object leaves both sides invalid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from attrs import field, frozen

from ...errors import JsonValue
from . import strict_json

_SIZE = 64 * 1024  # bytes of a slice: about 250 products, parsed in 0.5 to 2 ms
_SHORTEST = 2048  # bytes; a shorter answer is parsed whole as fast
_FARTHEST = 4096  # bytes within which the rows must begin, else the answer is parsed whole

_OPENING = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*(?=\{)')
_BETWEEN = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")


@frozen
class Sliced:
    """An answer in parts: ``envelope`` is everything but the rows; iteration yields their slices.

    Each slice is a JSON array, with the index where it begins in the body.
    """

    envelope: dict[str, JsonValue]
    _body: bytes = field(repr=False)
    _start: int
    _end: int

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        start = self._start
        while start < self._end:
            cut = _BETWEEN.search(self._body, start + _SIZE, self._end)
            end, following = (self._end, self._end) if cut is None else (cut.start() + 1, cut.end() - 1)
            yield start, self._array(start, end)
            start = following

    def rest(self, start: int) -> bytes:
        """Return all rows from the slice that begins at ``start``, as one JSON array."""
        return self._array(start, self._end)

    def _array(self, start: int, end: int) -> bytes:
        return b"".join((b"[", memoryview(self._body)[start:end], b"]"))


def split(body: bytes) -> Sliced | None:
    """Split the rows in ``data`` from the rest. Return None if the answer is short or of another form.

    Everything but the rows is parsed here, so that only the rows remain to be checked.
    """
    opening = _OPENING.search(body, 0, _FARTHEST) if len(body) >= _SHORTEST else None
    if opening is None:
        return None
    head, end = body[: opening.end()], body.rfind(b"]")
    try:
        before = _object(head + b"]}")
        envelope = _object(head + body[end:])
    except ValueError:
        return None
    # If the text up to the array is complete with "]}", the array is the value of the top-level "data".
    return Sliced(envelope, body, opening.end(), end) if next(reversed(before)) == "data" else None


def _object(text: bytes) -> dict[str, JsonValue]:
    # What begins like this and is complete with "]}" or with the end of the body is an object.
    return cast("dict[str, JsonValue]", strict_json.parse(text))
