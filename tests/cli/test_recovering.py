"""``smscode orders --unresolved`` and ``smscode recover``: what a killed command left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("uvicorn")

from smscode import Client
from smscode.cli import session
from smscode.core.settings import Settings
from smscode.journal import SQLiteJournal
from smscode.sandbox import Behaviour, Sandbox

from ..journals import leave_behind
from .harness import Shell, always

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def account(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Serve a sandbox, as an account that the environment names."""
    sandbox = shell.use(Sandbox(otp_after=0))
    with sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        monkeypatch.setenv("SMSCODE_JOURNAL", str(tmp_path / "state" / "orders.db"))
        yield


@pytest.fixture
def cut_off() -> str:
    """Leave a purchase behind as a killed process does: written down, and nothing known of it."""
    path = Path(os.environ["SMSCODE_JOURNAL"])
    path.parent.mkdir()
    with SQLiteJournal(path) as journal, Client() as client:
        intent = client.orders.prepare(catalog_product_id=87)
        leave_behind(journal, Settings.resolve(None, None, "v2", os.environ).account, intent)
    return intent.idempotency_key


def test_a_rented_number_leaves_nothing_unresolved(shell: Shell) -> None:
    assert shell.bare("rent", "--service", "whatsapp", "--country", "id", "--yes").code == 0
    assert shell.bare("orders", "--unresolved").out == ""
    assert shell.bare("recover", "--json").data == []
    assert "no purchase is unfinished" in shell.bare("doctor").out


def test_what_was_cut_off_is_shown_and_nothing_is_sent(shell: Shell, cut_off: str) -> None:
    (row,) = shell.bare("orders", "--unresolved").rows
    assert row[0] == cut_off
    assert row[2] == "create 87"
    (found,) = shell.bare("orders", "--unresolved", "--json").data
    assert found["request"] == {"catalog_product_id": 87, "quantity": 1}
    assert "1 purchase(s) unfinished: `smscode recover`." in shell.bare("doctor").out
    assert shell.sandbox.balance == 1_000_000


def test_recovering_may_buy_so_it_asks(shell: Shell, cut_off: str) -> None:
    done = shell.bare("recover")
    assert done.code == 5
    assert "What never arrived is bought now." in done.err
    assert shell.sandbox.balance == 1_000_000


def test_what_never_arrived_is_bought_once(shell: Shell, cut_off: str) -> None:
    done = shell.bare("recover", "--yes")
    assert done.code == 0
    assert done.rows == [[cut_off, "settled", "1001 OTP_RECEIVED"]]
    assert shell.bare("recover").rows == [[cut_off, "open", "1001 OTP_RECEIVED"]]
    assert shell.bare("finish", 1001).code == 0
    assert shell.bare("recover").out == ""
    assert shell.sandbox.balance == 985_000


def test_what_is_refused_is_said(shell: Shell, cut_off: str) -> None:
    shell.sandbox.fail_next("orders.create", "NO_OFFER_AVAILABLE", message="Nothing left")
    done = shell.bare("recover", "--yes", "--json")
    assert done.code == 1
    (result,) = done.data
    assert result["orders"] == []
    assert result["error"]["code"] == "NO_OFFER_AVAILABLE"


def test_what_stays_in_doubt_stays_unresolved(shell: Shell, cut_off: str) -> None:
    shell.sandbox.fail_next("orders.create", "NO_IDEA", status=409, message="I am a teapot")
    done = shell.bare("recover", "--yes")
    assert done.code == 3
    assert "I am a teapot" in done.out
    assert shell.bare("orders", "--unresolved").rows[0][0] == cut_off


def test_on_a_terminal_the_next_step_is_named(
    shell: Shell, cut_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.Session, "journal", always(SQLiteJournal(os.environ["SMSCODE_JOURNAL"])))
    monkeypatch.setattr(session.Session, "settings", Settings.resolve(None, None, "v2", os.environ))
    assert "`smscode recover` settles them." in shell.type("orders", "--unresolved").err


def test_a_journal_that_cannot_be_made_is_a_matter_of_setting_up(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = shell.bare("orders", "--unresolved", "--journal", str(tmp_path / "file" / "orders.db"))
    assert done.code == 6
    assert done.err.startswith("error: journal: its folder cannot be made (")
    told = shell.bare("doctor", "--journal", str(tmp_path / "file" / "orders.db"))
    assert told.code == 1
    assert "Give --journal, or set SMSCODE_JOURNAL." in told.out


def test_without_a_setting_the_journal_is_in_the_folder_for_such_things(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("typer.get_app_dir", always("/home/me/smscode"))
    assert session.default_journal() == Path("/home/me/smscode/orders.db")


def test_the_sandbox_has_nothing_unresolved(shell: Shell) -> None:
    assert shell.run("orders", "--unresolved").out == ""
    assert shell.run("recover").code == 0


def test_a_command_that_is_killed_while_it_buys_loses_nothing(shell: Shell) -> None:
    shell.sandbox.set_behaviour(Behaviour(takes=0.5))
    command = [*(sys.executable, "-m", "smscode", "rent"), *("--product", "87", "--yes")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        while not shell.sandbox.requests["POST /orders/create"]:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        assert process.communicate()[0] == b""
    (row,) = shell.bare("orders", "--unresolved").rows
    done = shell.bare("recover", "--yes")
    assert done.code == 0
    assert done.rows == [[row[0], "settled", "1001 OTP_RECEIVED"]]
    assert shell.sandbox.balance == 985_000
    assert shell.bare("order", 1001, "--wait").code == 0
