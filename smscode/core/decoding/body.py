"""Reading a response body: decompressed chunk by chunk, and never larger than allowed."""

from __future__ import annotations

import zlib
from typing import Literal, TypeAlias

BodyFailure: TypeAlias = Literal["connection broke", "answer too large", "unreadable answer"]

_STEP = 64 * 1024  # bytes decompressed at a time, so that little more than the limit is ever in memory
# Compressed bytes passed to zlib at a time: it copies the rest of them at the end of each member.
_BITE = 16 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_MEMBER = b"\x1f\x8b"  # what each member of a gzip body begins with


class BodyError(Exception):
    """The body cannot be read; ``failure_kind`` is the row of the retry table."""

    def __init__(self, reason: str, failure_kind: BodyFailure) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure_kind: BodyFailure = failure_kind


class BodyReader:
    """Collects the chunks of a body in the given ``content-encoding``, up to ``limit`` bytes.

    Requests accept only gzip, so the encoding must be gzip or none. A gzip body may have several members (RFC
    1952, 2.2), whose contents are joined; data after the last member is ignored. The limit applies to the
    decompressed bytes of all members, and is checked while decompressing, so a small answer cannot fill the
    memory. It also applies, with some tolerance, to the compressed bytes, because members can be empty.

    Raises `BodyError` from every method if the body cannot be read.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise BodyError("The answer has a content encoding that was not asked for.", "unreadable answer")
        self._inflate = zlib.decompressobj(_GZIP) if encoding.endswith("gzip") else None
        self._limit = limit
        self._size = 0
        self._packed = 0
        self._between = b""  # the first byte after a member, until the second one shows what follows
        self._begun = False
        self._over = False
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Add a chunk as it came from the network."""
        if self._inflate is None:
            self._take(chunk)
            return
        self._packed += len(chunk)
        if self._packed > self._limit + _STEP:
            raise self._too_large()
        for start in range(0, len(chunk), _BITE):
            self._unpack(chunk[start : start + _BITE])

    def _unpack(self, packed: bytes) -> None:
        inflate = self._inflate
        assert inflate is not None
        while packed and not self._over:
            if inflate.eof:
                packed = self._between_members(packed)
                if packed:
                    inflate = self._inflate = zlib.decompressobj(_GZIP)
                continue
            self._begun = True
            try:
                self._take(inflate.decompress(packed, min(_STEP, self._limit - self._size + 1)))
            except zlib.error:
                raise BodyError("The answer's compression is damaged.", "connection broke") from None
            packed = inflate.unused_data if inflate.eof else inflate.unconsumed_tail

    def _between_members(self, packed: bytes) -> bytes:
        """Return the beginning of the next member, b"" if it has not arrived yet or there is none."""
        found = self._between + (packed if self._between else packed.lstrip(b"\0"))  # zeros are padding
        self._between = found if len(found) < len(_MEMBER) else b""
        self._over = not _MEMBER.startswith(found[: len(_MEMBER)])
        return b"" if self._over or self._between else found

    def _too_large(self) -> BodyError:
        return BodyError(f"The answer is larger than {self._limit} bytes.", "answer too large")

    def _take(self, content: bytes) -> None:
        self._size += len(content)
        if self._size > self._limit:
            raise self._too_large()
        self._chunks.append(content)

    def finish(self) -> bytes:
        """Return the whole body."""
        cut = self._inflate is not None and self._begun and not self._inflate.eof
        if cut or (self._between and not self._over):
            raise BodyError("The answer's compression ends too early.", "connection broke")
        return b"".join(self._chunks)
