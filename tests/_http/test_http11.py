"""HTTP/1.1 without a network: answers in every division into reads, and every way to end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode._http.http11 import Http11
from smscode._http.messages import HttpRequest, Origin
from smscode._http.stack_errors import LocalProtocolError, RemoteProtocolError

ORIGIN = Origin(b"http", b"localhost", 80)
BODY = b'{"success":true}'
OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"X-Name: one\r\nContent-Length: 16\r\n\r\n" + BODY
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n8\r\n%s\r\n8\r\n%s\r\n0\r\n\r\n" % (BODY[:8], BODY[8:])
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
AT_WORK = b"HTTP/1.1 102 Processing\r\n\r\n"
LAST = OK + b"Connection: close\r\nContent-Length: 16\r\n\r\n" + BODY
TO_THE_END = OK + b"\r\n" + BODY


def request(method: str = "GET", body: bytes = b"", *more: tuple[bytes, bytes]) -> HttpRequest:
    length = [] if method == "GET" else [(b"content-length", b"%d" % len(body))]
    headers = [(b"Host", b"localhost"), *length, *more]
    return HttpRequest(ORIGIN, method, b"/v2/orders", headers, body, {})


def answer_to(line: Http11, *reads: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return what comes out of a line to which this is read, one after the other; all of it is needed."""
    left = iter(reads)
    while (head := line.head()) is None:
        line.receive(next(left))
    body = b"".join(chunks(line, left))
    assert not list(left)
    return head[0], list(head[1]), body


def chunks(line: Http11, left: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        while (chunk := line.body()) is None:
            line.receive(next(left))
        if not chunk:
            return
        yield chunk


@given(
    st.lists(st.sampled_from([PLAIN, CHUNKED, EMPTY, AT_WORK + PLAIN, AT_WORK * 3 + CHUNKED]), min_size=1),
    st.data(),
)
def test_answers_are_read_one_after_the_other_however_they_come(
    answers: list[bytes], data: st.DataObject
) -> None:
    line = Http11()
    for answer in answers:
        cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=12)))
        reads = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
        line.request(request())
        assert not line.clean
        status, headers, body = answer_to(line, *reads)
        assert (status, body) == ((204, b"") if answer is EMPTY else (200, BODY))
        assert ((b"X-Name", b"one") in headers) is answer.endswith(PLAIN)
        assert line.clean


def test_a_request_is_written_as_it_is() -> None:
    sent = Http11().request(request("POST", b'{"a":1}', (b"authorization", b"Bearer t")))
    assert sent == (
        b"POST /v2/orders HTTP/1.1\r\nHost: localhost\r\ncontent-length: 7\r\nauthorization: Bearer t\r\n\r\n"
        b'{"a":1}'
    )
    assert Http11().request(request()) == b"GET /v2/orders HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_request_that_http_forbids_is_none() -> None:
    with pytest.raises(LocalProtocolError):
        Http11().request(request("GET", b"", (b"x", b"a\r\nb")))


@pytest.mark.parametrize("reads", [(LAST,), (TO_THE_END, b""), (LAST[:-3], LAST[-3:])])
def test_after_the_last_answer_of_a_connection_it_is_not_used_again(reads: tuple[bytes, ...]) -> None:
    line = Http11()
    line.request(request())
    assert answer_to(line, *reads)[2] == BODY
    assert not line.clean


def test_if_more_than_an_answer_came_the_connection_is_not_used_again() -> None:
    line = Http11()
    line.request(request())
    answer_to(line, PLAIN + b"H")
    assert not line.clean


def test_after_a_request_that_was_cut_the_connection_is_not_used_again() -> None:
    line = Http11()
    line.request(request("POST", b"x" * 100))
    line.cut()
    assert answer_to(line, PLAIN)[2] == BODY
    assert not line.clean


@pytest.mark.parametrize("before", [(), (AT_WORK,), (PLAIN[:20],)])
def test_a_connection_that_ends_before_the_answer_broke(before: tuple[bytes, ...]) -> None:
    line = Http11()
    line.request(request())
    with pytest.raises(RemoteProtocolError):
        answer_to(line, *before, b"")


@pytest.mark.parametrize(
    "answer",
    [b"no HTTP\r\n\r\n", PLAIN[:-1], CHUNKED[:-5], OK + b"x: " + b"x" * 200_000],
    ids=["nonsense", "short", "cut", "endless"],
)
def test_an_answer_that_breaks_the_protocol_is_none(answer: bytes) -> None:
    line = Http11()
    line.request(request())
    with pytest.raises(RemoteProtocolError):
        answer_to(line, answer, b"")
    assert not line.clean
