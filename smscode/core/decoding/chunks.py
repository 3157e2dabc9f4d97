"""A long answer in slices: small enough that reading one holds nobody up.

The rows of an answer are a JSON array of objects, and JSON allows it to be cut without reading it: if
``[X]`` and ``[Y]`` are arrays, ``[X,Y]`` is the array of both. So a cut where ``},{`` is found is right
if, and only if, both sides can be read; one inside a string or an inner object leaves neither side whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import field, frozen

from ...errors import JsonValue
from . import strict_json

_SIZE = 64 * 1024  # of a slice, in bytes: about 250 products, half a millisecond to two of reading
_SHORTEST = 2048  # what is shorter is read as a whole just as soon
_FARTHEST = 4096  # where the rows begin at the latest, or they are not looked for

_OPENING = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*(?=\{)')
_BETWEEN = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")


@frozen
class Sliced:
    """An answer in parts: ``envelope`` is all of it but its rows, which are to be read slice by slice."""

    envelope: dict[str, JsonValue]
    _body: bytes = field(repr=False)
    _start: int
    _end: int

    def __iter__(self) -> Iterator[bytes]:
        """Return the rows as one JSON array after the other."""
        body = memoryview(self._body)
        start = self._start
        while start < self._end:
            cut = _BETWEEN.search(self._body, start + _SIZE, self._end)
            end, following = (self._end, self._end) if cut is None else (cut.start() + 1, cut.end() - 1)
            yield b"".join((b"[", body[start:end], b"]"))
            start = following


def split(body: bytes) -> Sliced | None:
    """Split the rows in ``data`` from the rest. Return None where that is not worth it or not surely right.

    What follows the rows is read here, too, so that only the rows are left to be proved JSON.
    """
    opening = _OPENING.search(body, 0, _FARTHEST) if len(body) >= _SHORTEST else None
    end = body.rfind(b"]")
    if opening is None or end < opening.end():
        return None
    head = body[: opening.end()]
    try:
        before = strict_json.parse(head + b"]}")
        envelope = strict_json.parse(head + body[end:])
    except ValueError:
        return None
    # The array is the value of "data", not of a field inside another: an object that ends with it ends whole.
    if type(before) is not dict or type(envelope) is not dict or next(reversed(before)) != "data":
        return None
    return Sliced(envelope, body, opening.end(), end)
