"""What exceptions of the HTTP stack mean for a request, and what messages say about them."""

from __future__ import annotations

import base64
import errno
import socket
import ssl
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpcore
import httpx
import pytest

from smscode import ClientStateError, NetworkError, RequestTimeoutError
from smscode._http import failures
from smscode._http.failures import SendProgress, forget_frames
from smscode._http.messages import Origin
from smscode.core.decoding.body import BodyError
from smscode.core.effects import Failure
from smscode.core.purchases.doubt import Doubt
from smscode.core.retry import TABLE

SEND = {"request": SimpleNamespace(method=b"POST")}
CONNECTED = "connection.connect_tcp.complete"
CONNECTING = "connection.connect_tcp.started"
FIRST_BYTE = "http11.send_request_headers.started"
ANSWERED = "http11.receive_response_headers.complete"


def begun(
    *events: str, method: bytes = b"POST", reports: bool = False, doubt: Doubt | None = None
) -> SendProgress:
    progress = SendProgress(Doubt() if doubt is None else doubt)
    progress.begin(reports=reports)
    for event in events:
        progress.note(event, {"request": SimpleNamespace(method=method)})
    return progress


@pytest.mark.parametrize(
    ("error", "kind", "timed_out"),
    [
        (httpx.ConnectError("x"), "not sent", False),
        (httpx.ConnectTimeout("x"), "not sent", True),
        (httpx.PoolTimeout("x"), "not sent", True),
        (httpx.ProxyError("x"), "not sent", False),
        (httpx.ReadError("x"), "connection broke", False),
        (httpx.WriteError("x"), "connection broke", False),
        (httpx.ReadTimeout("x"), "connection broke", True),
        (httpx.WriteTimeout("x"), "connection broke", True),
        (httpx.RemoteProtocolError("x"), "connection broke", False),
        (httpcore.ConnectError("x"), "not sent", False),
        (httpcore.ReadTimeout("x"), "connection broke", True),
        (httpcore.RemoteProtocolError("x"), "connection broke", False),
        (httpcore.ProxyError("x"), "not sent", False),
        (httpcore.LocalProtocolError("x"), "cannot be sent", False),
        (TimeoutError(), "connection broke", True),
        (OSError("x"), "connection broke", False),
        (anyio.BrokenResourceError(), "connection broke", False),
        (anyio.ClosedResourceError(), "connection broke", False),
        (anyio.EndOfStream(), "connection broke", False),
        (httpx.LocalProtocolError("x"), "cannot be sent", False),
        (httpx.UnsupportedProtocol("x"), "cannot be sent", False),
        (httpx.InvalidURL("x"), "cannot be sent", False),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "x"), "cannot be sent", False),
        (RuntimeError("x"), "transport failed", False),
        (BodyError("Too large.", "answer too large"), "answer too large", False),
        (BodyError("Cut.", "connection broke"), "connection broke", False),
    ],
)
def test_without_events_the_exception_decides(error: Exception, kind: str, timed_out: bool) -> None:
    failure = begun().failure(error)
    assert (failure.kind, failure.timed_out) == (kind, timed_out)
    made = failure.error()
    assert isinstance(made, RequestTimeoutError) is timed_out
    assert (made.trouble, made.outcome) == (kind, TABLE[kind].outcome)


@pytest.mark.parametrize(
    "error", [httpx.ReadError("x"), OSError("x"), TimeoutError(), httpx.ReadTimeout("x")]
)
def test_before_the_first_byte_nothing_was_sent(error: Exception) -> None:
    failure = begun(CONNECTING, CONNECTED).failure(error)
    assert failure.kind == "not sent"
    assert failure.reason.startswith("No connection")


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.PoolTimeout("x"), OSError("x")])
def test_after_the_first_byte_it_may_have_arrived(error: Exception) -> None:
    failure = begun(CONNECTING, CONNECTED, FIRST_BYTE).failure(error)
    assert failure.kind == "connection broke"
    assert failure.reason.startswith("No answer")


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([FIRST_BYTE], "kept-alive connection broke"),
        ([CONNECTING, FIRST_BYTE], "connection broke"),
        ([FIRST_BYTE, ANSWERED], "connection broke"),
        (["http2.send_request_headers.started"], "kept-alive connection broke"),
    ],
)
def test_a_kept_connection_that_breaks_before_any_answer_is_told_apart(events: list[str], kind: str) -> None:
    assert begun(*events, reports=True).failure(httpx.ReadError("x")).kind == kind


def test_a_kept_connection_that_stays_silent_is_not_one_that_broke() -> None:
    assert begun(FIRST_BYTE, reports=True).failure(httpx.ReadTimeout("x")).kind == "connection broke"


@pytest.mark.parametrize("before", [True, False])
def test_doubt_is_raised_by_the_first_byte(before: bool) -> None:
    doubt = Doubt(before)
    progress = begun(CONNECTING, CONNECTED, reports=True, doubt=doubt)
    assert doubt.raised is before
    progress.note(FIRST_BYTE, SEND)
    assert doubt.raised


@pytest.mark.parametrize("before", [True, False])
def test_a_transport_that_says_nothing_leaves_doubt_at_once(before: bool) -> None:
    doubt = Doubt(before)
    progress = begun(reports=False, doubt=doubt)
    assert doubt.raised
    progress.note(CONNECTING, {})
    assert doubt.raised is before


def test_what_a_proxy_is_sent_is_not_the_request() -> None:
    progress = begun("http11.send_request_headers.started", method=b"CONNECT")
    assert progress.failure(OSError("x")).kind == "not sent"
    progress.note(FIRST_BYTE, SEND)
    assert progress.failure(OSError("x")).kind == "kept-alive connection broke"


def test_an_event_about_no_request_is_taken_as_the_first_byte() -> None:
    progress = begun()
    progress.note(FIRST_BYTE, {})
    assert progress.failure(OSError("x")).kind == "kept-alive connection broke"


@pytest.mark.parametrize("sent", [True, False])
def test_a_certificate_is_found_among_the_causes(sent: bool) -> None:
    progress = begun(CONNECTING, *([FIRST_BYTE] if sent else []))
    direct = ssl.SSLCertVerificationError("x")
    caused, during = httpx.ConnectError("x"), httpx.ConnectError("x")
    caused.__cause__ = direct
    during.__context__ = caused
    for error in (direct, caused, during):
        failure = progress.failure(error)
        expected = "connection broke" if sent else "cannot be sent"
        assert (failure.kind, failure.cause) == (expected, error)


def test_causes_that_go_in_a_circle_come_to_an_end() -> None:
    first, second = httpx.ReadError("a"), httpx.ReadError("b")
    first.__cause__, second.__cause__ = second, first
    assert begun().failure(first).kind == "connection broke"


def test_what_quotes_the_headers_is_no_cause() -> None:
    failure = begun().failure(httpx.LocalProtocolError("Bearer canary"))
    error = failure.error()
    assert isinstance(error, NetworkError)
    assert error.__cause__ is None
    assert "canary" not in f"{failure!r} {error}"


SERVICE = Origin(b"https", b"api.example.net", 443)


def connecting(host: str, port: int, *, connect: dict[bytes, bytes] | None = None) -> SendProgress:
    """Return the progress of a request to `SERVICE` whose connection goes to a host, a proxy perhaps."""
    progress = SendProgress(Doubt(), origin=SERVICE)
    progress.begin(reports=True)
    progress.note(CONNECTING, {"host": host, "port": port})
    if connect is not None:
        request = SimpleNamespace(method=b"CONNECT", headers=list(connect.items()))
        progress.note(FIRST_BYTE, {"request": request})
    return progress


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def refused(*errors: OSError) -> Exception:
    """Return what the async stack raises where a host has several addresses."""
    return caused(
        httpcore.ConnectError("All connection attempts failed"),
        caused(OSError("All connection attempts failed"), ExceptionGroup("multiple", errors)),
    )


UNKNOWN_HOST = socket.gaierror(socket.EAI_NONAME, "hostile text")
LATER = socket.gaierror(socket.EAI_AGAIN, "hostile text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            caused(httpcore.ConnectError("x"), UNKNOWN_HOST),
            "No connection to H: name not known (ConnectError).",
        ),
        (
            caused(httpcore.ConnectError("x"), LATER),
            "No connection to H: name cannot be looked up now (ConnectError).",
        ),
        (
            caused(httpcore.ConnectError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "hostile text")),
            "No connection to H: Connection refused (ConnectError).",
        ),
        (
            refused(
                OSError(errno.ENETUNREACH, "x"), OSError(errno.ECONNREFUSED, "x"), OSError(errno.ENETUNREACH)
            ),
            "No connection to H: Network is unreachable, Connection refused (ConnectError).",
        ),
        (httpcore.ConnectError("hostile text"), "No connection to H (ConnectError)."),
        (httpcore.ConnectTimeout("x"), "No connection to H in time (ConnectTimeout)."),
        (TimeoutError(), "No connection to H in time (TimeoutError)."),
        (
            caused(httpcore.ConnectError("x"), ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] hostile text")),
            "No connection to H (ConnectError).",
        ),
        (caused(httpcore.ReadError("x"), OSError("hostile text")), "No connection to H (ReadError)."),
    ],
    ids=str,
)
def test_an_error_says_where_to_and_why_no_connection_is_made(error: Exception, said: str) -> None:
    for host, shown in (("api.example.net", "api.example.net:443"), ("p", "the proxy p:443")):
        assert connecting(host, 443).failure(error).reason == said.replace("H", shown)


def test_without_an_event_the_service_is_named() -> None:
    progress = SendProgress(Doubt(), None, Origin(b"http", b"2001:db8::1", 80))
    reason = progress.failure(httpcore.ConnectError("x")).reason
    assert reason == "No connection to [2001:db8::1]:80 (ConnectError)."


def test_an_error_of_tls_says_what_openssl_says() -> None:
    cause = ssl.SSLError(1, "hostile text")
    cause.reason = "WRONG_VERSION_NUMBER"
    failure = connecting("p", 8080, connect={}).failure(caused(httpcore.ConnectError("x"), cause))
    expected = "No connection through the proxy p:8080: TLS: wrong version number (ConnectError)."
    assert failure.reason == expected


def test_after_the_first_byte_the_reason_is_the_system_s() -> None:
    error = caused(httpcore.ReadError("x"), ConnectionResetError(errno.ECONNRESET, "hostile text"))
    assert begun(FIRST_BYTE).failure(error).reason == "No answer: Connection reset by peer (ReadError)."


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("self-signed certificate", "cannot be verified: self-signed certificate."),
        ("a\x1b[31m b", "cannot be verified: a[31m b."),
        ("", "cannot be verified."),
    ],
)
def test_a_refused_certificate_says_why(message: str, said: str) -> None:
    cause = ssl.SSLCertVerificationError(1, "x")
    cause.verify_message = message
    assert connecting("h", 443).failure(caused(httpcore.ConnectError("x"), cause)).reason.endswith(said)


PROXY_PASSWORD = "pr0xy p@ss"
BASIC = b"Basic " + base64.b64encode(f"user:{PROXY_PASSWORD}".encode())


@pytest.mark.parametrize("kind", [httpcore.ProxyError, httpx.ProxyError])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "407 Proxy Authentication Required",
            "The proxy p:3128 refuses (407 Proxy Authentication Required).",
        ),
        ("403 Not \x1b[1mhere", "The proxy p:3128 refuses (403 Not [1mhere)."),
        ("502 ", "The proxy p:3128 refuses (502)."),
        (f"407 {BASIC.decode()}", "The proxy p:3128 refuses (407 Basic [removed])."),
        (f"407 no {PROXY_PASSWORD}!", "The proxy p:3128 refuses (407 no [removed]!)."),
        (
            "Proxy Server could not connect: Connection refused.",
            "The proxy p:3128 refuses (Proxy Server could not connect: Connection refused.).",
        ),
        ("hostile text", "No connection through the proxy p:3128 (ProxyError)."),
    ],
)
def test_what_a_proxy_answers_is_shown_without_what_it_was_told(
    kind: type[Exception], text: str, said: str
) -> None:
    progress = connecting("p", 3128, connect={b"Host": b"x", b"Proxy-Authorization": BASIC})
    failure = progress.failure(kind(text))
    assert (failure.kind, failure.reason) == ("not sent", said)


def test_a_proxy_that_is_told_no_password_keeps_none() -> None:
    progress = connecting("p", 3128, connect={b"proxy-authorization": b"Negotiate =="})
    assert (
        progress.failure(httpcore.ProxyError("407 ==x")).reason
        == "The proxy p:3128 refuses (407 [removed]x)."
    )
    unknown = begun(FIRST_BYTE, method=b"CONNECT").failure(httpcore.ProxyError("407 x"))
    assert unknown.reason == "The proxy refuses (407 x)."


def test_a_connection_through_socks_counts_as_made_now() -> None:
    progress = begun("socks.connect_tcp.started", FIRST_BYTE)
    assert progress.failure(httpx.ReadError("x")).kind == "connection broke"


def test_a_defect_before_the_first_byte_sends_nothing() -> None:
    doubt = Doubt()
    progress = SendProgress(doubt)
    progress.begin(reports=False)  # a caller's own transport
    progress.note(CONNECTING, {})
    failure = progress.failure(ZeroDivisionError())
    assert (failure.kind, failure.raised, doubt.raised) == ("cannot be sent", None, False)
    assert isinstance(failure.cause, ZeroDivisionError)


def test_a_reason_is_a_sentence() -> None:
    assert begun().failure(httpx.ReadError("x")).reason == "No answer (ReadError)."
    assert begun().failure(httpx.ReadTimeout("x")).reason == "No answer in time (ReadTimeout)."


def test_a_request_that_was_withdrawn_sends_no_first_byte() -> None:
    doubt = Doubt()
    doubt.forbidden = ClientStateError("withdrawn")
    progress = SendProgress(doubt)
    with pytest.raises(ClientStateError, match="withdrawn"):
        progress.note(FIRST_BYTE, SEND)


def test_an_error_of_a_transport_that_may_have_sent_leaves_the_doubt() -> None:
    doubt = Doubt()
    doubt.raised = True
    error = NetworkError("lost")
    error.outcome = "unknown"
    assert SendProgress(doubt).refused(error) == Failure("transport failed", "lost", raised=error)
    assert doubt.raised


# -- tracebacks --------------------------------------------------------------------------------------


def modules_left(*modules: str) -> list[str]:
    """Raise an error through functions of these modules; return whose frames are left of its traceback."""

    def run() -> None:
        raise ValueError

    call: Callable[[], None] = run
    for module in reversed(modules):
        space: dict[str, Any] = {"__name__": module, "call": call}
        exec("def run():\n    call()", space)
        call = space["run"]
    try:
        call()
    except ValueError as error:
        forget_frames(error)
        return [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)][1:-1]
    raise AssertionError


@pytest.mark.parametrize(
    ("modules", "left"),
    [
        (("smscode", "h11._events", "typing"), []),  # of the arguments of `typing.cast` one is the request
        (("h11", "_collections_abc", "re"), []),
        (
            ("httpcore", "their_transport", "json.decoder"),
            ["their_transport", "json.decoder"],
        ),
        (("typing", "their_program"), ["typing", "their_program"]),
    ],
)
def test_what_libraries_call_of_the_standard_library_is_removed_with_them(
    modules: tuple[str, ...], left: list[str]
) -> None:
    assert modules_left(*modules) == left


def test_a_frame_without_a_line_is_kept_as_the_others() -> None:
    """As when an interrupt comes at an instruction that belongs to no line."""
    frame = sys._getframe()
    found = failures._without_libraries(
        cast(Any, SimpleNamespace(tb_next=None, tb_frame=frame, tb_lasti=0, tb_lineno=None))
    )
    assert found is not None
    assert found.tb_frame is frame
