"""The token stays out of sight, and goes nowhere but to https or to this machine."""

from __future__ import annotations

import copy
import hashlib
import pickle
import traceback
from collections.abc import Mapping
from typing import Any

import pytest

from smscode import ConfigurationError, InvalidArgumentError
from smscode.core.settings import DEFAULT_BASE_URL, SecretBytes, SecretText, Settings, Token

CANARY = "canary-7Qx9"


def resolve(
    token: Any = CANARY,
    base_url: Any = None,
    version: Any = "v2",
    environ: Mapping[str, str] | None = None,
    account: Any = None,
    allow_http: Any = False,
) -> Settings:
    return Settings.resolve(token, base_url, version, environ or {}, account, allow_http=allow_http)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "got an empty string"),
        (0, "expected a string, got int"),
        (True, "expected a string, got bool"),
        (CANARY.encode(), "expected a string, got bytes"),
        (CANARY + "\n", "visible ASCII"),
        (" " + CANARY, "visible ASCII"),
        (CANARY + " ", "visible ASCII"),
        (CANARY + "\r\nX-Evil: 1", "visible ASCII"),
        (CANARY + "\x7f", "visible ASCII"),
        (CANARY + "\u00e9", "visible ASCII"),
        (CANARY + "\u200b", "visible ASCII"),
        ("\ufeff" + CANARY, "visible ASCII"),
        (CANARY + "\u2028", "visible ASCII"),
        (CANARY + "\ud800", "visible ASCII"),
        ("Bearer " + CANARY, "without the word Bearer"),
        ("bearer " + CANARY, "without the word Bearer"),
        (f'"{CANARY}"', "without quotation marks around it"),
        (f"'{CANARY}'", "without quotation marks around it"),
        (CANARY * 1000, "at most 4096 characters"),
        (CANARY.ljust(4_097, "x"), "at most 4096 characters"),
    ],
    ids=lambda value: repr(value)[:32],
)
def test_a_bad_token_is_refused_without_being_shown(token: Any, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"\Atoken: .*{problem}") as caught:
        resolve(token)
    error = caught.value
    report = "".join(traceback.format_exception(error))
    shown = f"{error} {error!r} {error.args} {error.message} {vars(error)} {report}"
    assert CANARY not in shown
    assert error.outcome == "not_sent"


def test_a_token_from_the_environment_is_checked_and_named_as_such() -> None:
    assert resolve(None, environ={"SMSCODE_TOKEN": CANARY}).token.header == b"Bearer canary-7Qx9"
    with pytest.raises(InvalidArgumentError, match=r"\ASMSCODE_TOKEN: expected visible ASCII") as caught:
        resolve(None, environ={"SMSCODE_TOKEN": CANARY + "\n"})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(("environ", "empty"), [({}, ""), ({"SMSCODE_TOKEN": ""}, ", where it is empty")])
def test_no_token_at_all_says_where_to_put_one(environ: dict[str, str], empty: str) -> None:
    said = f"^No token: give token=, or set SMSCODE_TOKEN in the environment{empty};"
    with pytest.raises(ConfigurationError, match=said):
        resolve(None, environ=environ)


def test_a_given_token_beats_the_environment() -> None:
    assert resolve("mine", environ={"SMSCODE_TOKEN": "theirs"}).token.header == b"Bearer mine"
    with pytest.raises(InvalidArgumentError, match="empty string"):
        resolve("", environ={"SMSCODE_TOKEN": "theirs"})


def test_the_longest_host_that_a_resolver_takes_is_taken() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert resolve(base_url=f"https://{longest}").base_url == f"https://{longest}"
    for host in (longest + "b", "a" * 64 + ".example"):
        with pytest.raises(InvalidArgumentError, match="base_url: its host or port is not valid"):
            resolve(base_url=f"https://{host}")


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_no_server_has_is_refused(port: str) -> None:
    with pytest.raises(InvalidArgumentError, match="base_url: its host or port is not valid"):
        resolve(base_url=f"https://host.example:{port}")


def test_the_longest_token_is_taken() -> None:
    assert len(Token("a" * 4096).header) == len("Bearer ") + 4096


def test_a_token_never_shows_itself() -> None:
    settings = resolve()
    token, header = settings.token, settings.token.header
    shown = [
        repr(token),
        str(token),
        f"{token}",
        repr(settings),
        repr(header),
        str(header),
        f"{header}",
        f"{header!r:>40}",
        f"{[header]} {(header,)} { {'authorization': header} }",
    ]
    assert not [text for text in shown if CANARY in text]
    assert bytes(header) == b"Bearer canary-7Qx9"
    assert isinstance(header, SecretBytes)
    assert not hasattr(token, "__dict__")
    assert (repr(token), repr(header), str(header)) == ("Token(<secret>)", "<secret>", "<secret>")
    assert repr(SecretText(CANARY)) == repr(token.secret) == "<secret>"
    assert bytes(token.secret) == CANARY.encode()


def test_a_token_cannot_be_pickled_or_copied() -> None:
    settings = resolve()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            pickle.dumps(settings.token, protocol)
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            pickle.dumps(settings, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            duplicate(settings.token)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.smscode.gg",
        "https://host:8443/prefix",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://127.0.0.2",
        "http://[::1]:80",
    ],
)
def test_https_and_this_machine_are_accepted(url: str) -> None:
    assert resolve(base_url=url).base_url == url
    assert resolve(environ={"SMSCODE_BASE_URL": url}).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.smscode.gg",
        "http://localhost.evil.com",
        "http://127.0.0.1.nip.io",
        "http://127.0.0.1@evil.com",
        "http://localhost@evil.com",
        "http://evil.com#@127.0.0.1",
        "http://0x7f.1",
        "http://2130706433",
        "http://127.1",
        "http://0177.0.0.1",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::]",
        "http://evil.com\\@localhost",
        "https://u:p@host",
        "https://u@host",
        "https://:p@host",
        "https://host?x=1",
        "https://host?",
        "https://host#f",
        "https://host#",
        "ftp://h",
        "h/v1",
        "//host",
        "https://",
        "https:///path",
        "https://h:99999",
        "https://h:port",
        "https://[::1",
        "https://h\n",
        "https://h\t",
        "https://a b",
        "https://ex\u00e4mple.com",
        "https://h\u200b",
        "",
        "javascript:alert(1)",
        b"https://host",
        1,
        True,
    ],
)
def test_any_other_address_is_refused(url: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Abase_url: "):
        resolve(base_url=url)


def test_an_address_from_the_environment_is_named_as_such() -> None:
    with pytest.raises(InvalidArgumentError, match=r"\ASMSCODE_BASE_URL: expected https"):
        resolve(environ={"SMSCODE_BASE_URL": "http://evil.com"})


@pytest.mark.parametrize("environ", [{}, {"SMSCODE_BASE_URL": ""}])
def test_without_an_address_it_is_the_service(environ: dict[str, str]) -> None:
    assert resolve(environ=environ).base_url == DEFAULT_BASE_URL == "https://api.smscode.gg"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("https://host/api//", "https://host/api"),
    ],
)
def test_slashes_at_the_end_of_an_address_do_not_matter(given: str, base: str) -> None:
    assert resolve(base_url=given).base_url == base


@pytest.mark.parametrize("end", ["/v1", "/V2/", "/api/v10"])
def test_an_address_holds_no_version(end: str) -> None:
    version = end.strip("/").removeprefix("api/")
    said = (
        rf"\Abase_url: expected no /{version} at the end: api_version adds it "
        r"\(api_version='v1' or api_version='v2'\)\.\Z"
    )
    with pytest.raises(InvalidArgumentError, match=said):
        resolve(base_url=f"https://host{end}")
    assert resolve(base_url="https://host/v1/api").base_url == "https://host/v1/api"


def test_http_to_another_machine_has_to_be_allowed() -> None:
    assert resolve(base_url="http://host", allow_http=True).base_url == "http://host"
    with pytest.raises(InvalidArgumentError, match=r"\Abase_url: "):
        Settings.resolve(CANARY, "http://host", "v2", {})
    with pytest.raises(InvalidArgumentError, match=r"\Aallow_http: expected True or False, got "):
        resolve(allow_http=1)


def test_an_account_is_named_by_its_caller_or_by_hashes_which_stay_the_same_for_ever() -> None:
    """Journals of earlier versions have purchases under these names."""
    assert resolve().account == "56ee8f1a7fa0b28f"
    assert resolve(account="shop").account == "147c7b070fa53807:shop"
    assert resolve().credential == resolve(account="shop").credential == "147c7b070fa53807:db92d5411356b8d1"
    assert len(resolve(account="x" * 64).account) == 17 + 64
    with pytest.raises(InvalidArgumentError, match=r"\Aaccount: expected 1\.\.64 "):
        resolve(account="x" * 65)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("https://API.smscode.gg:443/", "https://api.smscode.gg"),
        ("https://host:80", "https://host:80"),
        ("https://host:8443/Path/", "https://host:8443/Path"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://[::1]", "http://[::1]"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_all_spellings_of_an_address_are_the_same_account(given: str, canonical: str) -> None:
    name = hashlib.sha256(f"{canonical}\n{CANARY}".encode()).hexdigest()[:16]
    assert resolve(base_url=given).account == name


def test_a_version_is_v1_or_v2() -> None:
    assert [resolve(version=version).version for version in ("v1", "v2")] == ["v1", "v2"]
    for wrong in ("", "v3", "V1", 2, None, True):
        with pytest.raises(InvalidArgumentError, match="api_version: expected 'v1' or 'v2'"):
            resolve(version=wrong)
