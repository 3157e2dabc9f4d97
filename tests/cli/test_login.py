"""``smscode login``: the token in a file that only its user reads."""

from __future__ import annotations

import getpass
import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("uvicorn")

from smscode import Client, ConfigurationError
from smscode.cli import token_file
from smscode.cli.renting import Renting
from smscode.cli.token_file import stored_token, token_path
from smscode.sandbox import Sandbox

from .harness import Shell, always

posix = pytest.mark.skipif(os.name != "posix", reason="files have no such modes")


@pytest.fixture(autouse=True)
def home(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Serve a sandbox, and give the user a new home without a token."""
    sandbox = shell.use(Sandbox(otp_after=0))
    monkeypatch.delenv("SMSCODE_TOKEN", raising=False)
    path = tmp_path / "settings" / "token"
    monkeypatch.setattr(token_file, "token_path", always(path))
    with sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        yield path


def type_token(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token}\n"))


def test_it_is_in_the_folder_for_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CONFIG_HOME", "/settings")
        assert token_path() == Path("/settings/smscode/token")
    assert token_path().name == "token"


def test_the_commands_use_it_and_the_clients_do_not(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell.bare("balance").err.startswith("error: No token. `smscode login` stores it")
    type_token(monkeypatch, f"  {shell.sandbox.token} ")
    done = shell.bare("login")
    assert (done.code, done.err) == (0, "")
    assert done.rows == [["file", str(home)], ["balance", "61.54"]]
    assert shell.bare("balance").out == "balance\t61.54\n"
    assert shell.bare("doctor", "--journal", home.parent / "orders.db").rows[1][:2] == ["ok", "tls"]
    with pytest.raises(ConfigurationError, match="SMSCODE_TOKEN"):
        Client()


def test_rent_uses_it_too(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_token(monkeypatch, shell.sandbox.token)
    assert shell.bare("login").code == 0
    done = shell.bare("rent", "--product", 87, "--yes", "--journal", home.parent / "orders.db")
    assert done.code == 0


@posix
def test_only_its_user_can_read_it(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        type_token(monkeypatch, shell.sandbox.token)
        assert shell.bare("login").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
    assert [path.name for path in home.parent.iterdir()] == ["token"]
    home.chmod(0o640)
    done = shell.bare("balance")
    assert done.code == 6
    assert done.err == f"error: {home} can be read by others: chmod 600, or log in again.\n"


def test_the_environment_comes_first(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.parent.mkdir()
    home.write_text("a-wrong-token")
    home.chmod(0o600)
    assert shell.bare("balance").code == 1
    monkeypatch.setenv("SMSCODE_TOKEN", shell.sandbox.token)
    assert shell.bare("balance").code == 0
    type_token(monkeypatch, shell.sandbox.token)
    assert shell.bare("login").err == "SMSCODE_TOKEN is set, and comes before the stored token.\n"


@pytest.mark.parametrize(
    ("token", "code", "said"),
    [
        ("", 2, "token: expected a token, got an empty string."),
        ("Bearer abc", 2, "token: expected the token only"),
        ("a-wrong-token", 1, "Token missing or not valid"),
    ],
)
def test_a_token_that_is_none_is_not_stored(
    token: str, code: int, said: str, shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_token(monkeypatch, token)
    done = shell.bare("login")
    assert (done.code, home.exists()) == (code, False)
    assert done.err.startswith(f"error: {said}")
    assert "a-wrong-token" not in done.err


def test_the_advice_about_a_refused_token_names_where_it_is_from(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_token(monkeypatch, "a-wrong-token")
    said = shell.bare("login").err.splitlines()[1]
    assert said == "Check the token that you gave: it is made in the account settings. It was not stored."
    home.parent.mkdir()
    home.write_text("a-wrong-token")
    home.chmod(0o600)
    for command in ("balance", "doctor"):
        done = shell.bare(command, "--json")
        assert "The token is the one that `smscode login` stored: log in again." in done.out + done.err
    monkeypatch.setenv("SMSCODE_TOKEN", "a-wrong-token")
    assert shell.bare("balance").err.splitlines()[1].startswith("Check SMSCODE_TOKEN: ")


def test_http_to_another_machine_is_refused_in_the_words_of_a_command(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMSCODE_TOKEN", "a-token")
    monkeypatch.setenv("SMSCODE_BASE_URL", "http://example.com")
    said = (
        "SMSCODE_BASE_URL: expected https (http is only for this machine itself). A sandbox on another"
        " machine is reached by a tunnel, as `ssh -L 8080:127.0.0.1:8080 HOST`, at http://127.0.0.1:8080."
    )
    done = shell.bare("balance")
    assert (done.code, done.err) == (6, f"error: {said}\n")
    assert [said in row for row in shell.bare("doctor").rows if row[0] == "fail"] == [True, True]
    monkeypatch.setenv("SMSCODE_BASE_URL", "ftp://example.com")
    assert shell.bare("balance").err == "error: SMSCODE_BASE_URL: expected a URL such as https://host/path.\n"


@posix
def test_only_its_user_can_read_the_journal_of_the_commands(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMSCODE_TOKEN", shell.sandbox.token)
    path = home.parent / "orders.db"
    buy = ("rent", "--product", 87, "--yes", "--journal", path)
    modes: dict[str, int] = {}

    def read_modes(self: Renting, order: object) -> None:
        modes.update({file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()})

    monkeypatch.setattr(Renting, "_show_number", read_modes)
    assert shell.bare(*buy).code == 0
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {"orders.db", "orders.db-wal", "orders.db-shm"} < modes.keys()
    assert any(name.startswith("orders.db-owner-") for name in modes)
    assert {*modes.values()} == {0o600}
    path.chmod(0o640)
    modes.clear()
    assert shell.bare(*buy).code == 0
    assert {*modes.values()} == {0o640}, "one that exists keeps its mode, and its files have the same"


def test_on_a_terminal_it_is_asked_for_without_being_shown(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return shell.sandbox.token

    monkeypatch.setattr(getpass, "getpass", ask)
    assert shell.type("login", bare=True).code == 0
    assert asked == ["Token: "]
    assert home.read_text() == f"{shell.sandbox.token}\n"


def test_it_can_be_forgotten(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_token(monkeypatch, shell.sandbox.token)
    assert shell.bare("login").code == 0
    assert shell.bare("login", "--forget").out == "forgotten\tyes\n"
    assert not home.exists()
    assert shell.bare("login", "--forget", "--json").data == {"forgotten": False}


def test_a_sandbox_needs_none(shell: Shell, home: Path) -> None:
    done = shell.run("login")
    assert (done.code, home.exists()) == (2, False)
    assert done.err == "error: --sandbox: a sandbox has a token of its own. Nothing was stored.\n"


def test_a_folder_that_cannot_be_used_is_a_matter_of_the_set_up(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.parent.write_text("no folder")
    type_token(monkeypatch, shell.sandbox.token)
    done = shell.bare("login")
    assert done.code == 6
    assert done.err.startswith(f"error: {home} cannot be written (")
    done = shell.bare("login", "--forget")
    assert (done.code, done.err[: len(f"error: {home} cannot be")]) == (6, f"error: {home} cannot be")
    done = shell.bare("balance")
    assert (done.code, done.err.partition(" (")[0]) == (6, f"error: {home} cannot be read")


def test_a_file_that_is_no_token_is_refused_without_its_content(shell: Shell, home: Path) -> None:
    home.parent.mkdir()
    for content in ("sécret".encode(), b"se cret"):
        home.write_bytes(content)
        home.chmod(0o600)
        done = shell.bare("balance")
        assert done.code == 6
        assert "cret" not in done.err
    home.write_bytes(b"\n")
    assert shell.bare("balance").err.startswith("error: No token.")


def test_a_token_that_cannot_be_moved_into_place_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        token_file.store_token("a-token")
    assert list(home.parent.iterdir()) == []
    assert stored_token() is None
