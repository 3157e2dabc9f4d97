"""Taking in a response body: decompressed while it comes, and never larger than allowed."""

from __future__ import annotations

import zlib
from typing import Literal, TypeAlias

Trouble: TypeAlias = Literal["connection broke", "answer too large", "unreadable answer"]

_STEP = 64 * 1024  # unpacked at a time, so that little more than the limit is ever held
_GZIP = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """The body cannot be taken in; ``trouble`` is the row of the retry table that this is."""

    def __init__(self, reason: str, trouble: Trouble) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trouble: Trouble = trouble


class Body:
    """Collects the chunks of a body in the given ``content-encoding``, up to ``limit`` bytes.

    Only gzip is asked for, so only gzip and no encoding are understood. The limit holds for what
    comes out of the decompressor and is checked before it is all there: a small answer cannot
    blow up.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise BodyError("The answer has a content encoding that was not asked for.", "unreadable answer")
        self._inflate = zlib.decompressobj(_GZIP) if encoding.endswith("gzip") else None
        self._limit = limit
        self._size = 0
        self._begun = False
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk as it came from the network."""
        if self._inflate is None:
            self._take(chunk)
            return
        while chunk:
            self._begun = True
            try:
                self._take(self._inflate.decompress(chunk, min(_STEP, self._limit - self._size + 1)))
            except zlib.error:
                raise BodyError("The answer's compression is damaged.", "connection broke") from None
            chunk = self._inflate.unconsumed_tail

    def _take(self, content: bytes) -> None:
        self._size += len(content)
        if self._size > self._limit:
            raise BodyError(f"The answer is larger than {self._limit} bytes.", "answer too large")
        self._chunks.append(content)

    def finish(self) -> bytes:
        """Give the whole body."""
        if self._inflate is not None and self._begun and not self._inflate.eof:
            raise BodyError("The answer's compression ends too early.", "connection broke")
        return b"".join(self._chunks)
