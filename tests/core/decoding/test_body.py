"""Bodies are decompressed while they come, and never grow beyond the limit."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode.core.decoding.body import BodyError, BodyReader

from ..support import attempt


def taken(chunks: Iterable[bytes], encoding: str = "gzip", limit: int = 1000) -> bytes:
    body = BodyReader(encoding, limit)
    for chunk in chunks:
        body.feed(chunk)
    return body.finish()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZip "])
@given(content=st.binary(max_size=300), size=st.integers(1, 50))
def test_gzip_comes_out_whole_however_it_is_cut_into_chunks(encoding: str, content: bytes, size: int) -> None:
    packed = gzip.compress(content)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert taken([b"", *chunks, b""], encoding) == content


@pytest.mark.parametrize("encoding", ["", "identity", "IDENTITY"])
def test_a_plain_body_is_taken_as_it_is(encoding: str) -> None:
    assert taken([b"ab", b"", b"c"], encoding) == b"abc"
    assert taken([], encoding) == b""


@pytest.mark.parametrize(
    "encoding", ["br", "zstd", "deflate", "gzip, gzip", "identity, gzip", "foo", "gzip2", "notgzip"]
)
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(BodyError) as caught:
        BodyReader(encoding, 1000)
    assert str(caught.value) == caught.value.reason
    assert caught.value.reason == "The answer has a content encoding that was not asked for."
    assert caught.value.failure_kind == "unreadable answer"


@pytest.mark.parametrize("limit", [0, 1, 999])
def test_a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not(limit: int) -> None:
    for encoding, pack in (("", bytes), ("gzip", gzip.compress)):
        assert taken([pack(b"a" * limit)], encoding, limit) == b"a" * limit
        with pytest.raises(BodyError, match=f"larger than {limit} bytes") as caught:
            taken([pack(b"a" * (limit + 1))], encoding, limit)
        assert caught.value.failure_kind == "answer too large"


def test_a_small_answer_cannot_blow_up() -> None:
    bomb = gzip.compress(bytes(50_000_000), 9)
    assert len(bomb) < 60_000
    body = BodyReader("gzip", 1000)
    with pytest.raises(BodyError, match="larger than 1000 bytes"):
        body.feed(bomb)
    assert body._size == 1001, "only what is needed to know was unpacked"


def test_the_limit_holds_for_all_chunks_together() -> None:
    with pytest.raises(BodyError, match="larger than 5 bytes"):
        taken([b"abc", b"def"], "", 5)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_gzip_that_was_cut_is_noticed(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content)
    with pytest.raises(BodyError) as caught:
        taken([packed[: data.draw(st.integers(1, len(packed) - 1))]])
    assert caught.value.failure_kind == "connection broke"


@given(st.binary(min_size=1, max_size=17))
def test_short_garbage_is_never_a_gzip_body(garbage: bytes) -> None:
    found = attempt(lambda: taken([garbage]))
    assert isinstance(found, BodyError)
    assert found.failure_kind == "connection broke"


@pytest.mark.parametrize("packed", [b"{}", b"\x1f\x8b\x08garbage!garbage", zlib.compress(b"zlib, not gzip")])
def test_damaged_gzip_is_refused(packed: bytes) -> None:
    with pytest.raises(BodyError, match=r"damaged|too early") as caught:
        taken([packed])
    assert caught.value.failure_kind == "connection broke"


def test_a_wrong_checksum_is_noticed() -> None:
    packed = bytearray(gzip.compress(b"abc"))
    packed[-5] ^= 1
    with pytest.raises(BodyError, match="The answer's compression is damaged"):
        taken([bytes(packed)])


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(1, 60), st.booleans())
def test_several_members_are_one_body_however_they_are_cut_into_chunks(
    contents: list[bytes], size: int, padded: bool
) -> None:
    packed = (b"\0" * 3 if padded else b"").join(map(gzip.compress, contents))
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert taken(chunks) == b"".join(contents)


@given(st.integers(1, 40), st.integers(1, 100))
def test_a_member_that_was_cut_is_noticed_whichever_it_is(cut: int, size: int) -> None:
    packed = gzip.compress(b"first") + gzip.compress(b"second")[:-1]
    packed = packed[: len(packed) - cut + 1] if cut <= 24 else packed
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    with pytest.raises(BodyError, match="ends too early") as caught:
        taken(chunks)
    assert caught.value.failure_kind == "connection broke"


def test_a_member_that_ends_in_its_first_byte_is_noticed() -> None:
    with pytest.raises(BodyError, match="ends too early"):
        taken([gzip.compress(b"first") + b"\x1f"])


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    "after", [b"\0" * 20, b"garbage", b"\0\0garbage", b"\x1fx", b"x\x1f\x8b", b"\x1f\0\x8b"]
)
def test_what_follows_the_last_member_and_is_none_is_ignored(after: bytes, size: int) -> None:
    packed = gzip.compress(b"all of it") + after
    assert taken([packed[n : n + size] for n in range(0, len(packed), size)]) == b"all of it"


def test_a_member_after_something_else_is_ignored_too() -> None:
    assert taken([gzip.compress(b"all of it"), b"xx", gzip.compress(b"more")]) == b"all of it"


@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_a_long_body_comes_out_whole_however_long_its_chunks_are(size: int, level: int) -> None:
    content = bytes(range(256)) * 800
    packed = gzip.compress(content, level)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert taken(chunks, limit=1_000_000) == content


def test_a_member_that_is_damaged_is_refused_whichever_it_is() -> None:
    damaged = bytearray(gzip.compress(b"second"))
    damaged[-5] ^= 1
    with pytest.raises(BodyError, match="damaged"):
        taken([gzip.compress(b"first") + bytes(damaged)])


@pytest.mark.parametrize("limit", [10, 999])
def test_the_limit_holds_over_all_members_together(limit: int) -> None:
    members = [gzip.compress(b"a") for _ in range(limit)]
    assert taken(members, limit=limit) == b"a" * limit
    for one_more in ([*members, gzip.compress(b"a")], [b"".join([*members, gzip.compress(b"a")])]):
        with pytest.raises(BodyError, match=f"larger than {limit} bytes") as caught:
            taken(one_more, limit=limit)
        assert caught.value.failure_kind == "answer too large"


def test_members_that_are_empty_do_not_go_on_for_ever() -> None:
    with pytest.raises(BodyError, match="larger than 1000 bytes"):
        taken(itertools.repeat(gzip.compress(b""), 100_000))


def test_what_does_not_shrink_has_room_up_to_the_limit() -> None:
    content = bytes(range(256)) * 400
    packed = gzip.compress(content, 0)
    assert len(packed) > len(content)
    assert taken([packed], limit=len(content)) == content


def test_no_body_at_all_may_call_itself_gzip() -> None:
    assert taken([]) == b""
    assert taken([b""]) == b""
