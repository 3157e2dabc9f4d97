"""``smscode stats``: what each offer came to, for people, for programs and for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import pytest

pytest.importorskip("typer")

from smscode import Client
from smscode.sandbox import Sandbox

from .harness import Shell


@pytest.fixture(autouse=True)
def history(shell: Shell) -> None:
    """Use an account with a past."""
    shell.use(Sandbox(past_orders=400, otp_after=None, clock=lambda: datetime.now(UTC)))


def test_in_a_pipe_it_is_bare_numbers_with_their_names_if_wanted(shell: Shell) -> None:
    done = shell.run("stats", "--header")
    header, first, *rest = done.rows
    assert len(rest) > 20
    assert header[:5] == ["product", "name", "numbers", "codes", "waiting"]
    row = dict(zip(header, first, strict=True))
    assert (row["product"], row["name"]) == ("87", "WhatsApp - Indonesia")
    assert int(row["codes"]) < int(row["numbers"])
    low, rate, high = (float(row[name]) for name in ("success_low", "success_rate", "success_high"))
    assert low < rate < high
    assert rate == int(row["codes"]) / int(row["numbers"])
    assert 0 < float(row["cost_per_code"]) < float(row["charged"])
    assert shell.run("stats").rows == [first, *rest]


def test_as_json_it_is_the_figures_and_their_names(shell: Shell) -> None:
    first = shell.run("stats", "--json").data[0]
    assert (first["catalog_product_id"], first["product_id"]) == (87, None)
    assert first["name"] == "WhatsApp - Indonesia"
    assert first["charged"]["currency"] == "USD"
    assert shell.run("stats", "--json", "--csv").data[0] == first, "JSON comes before CSV"


def test_as_csv_a_spreadsheet_reads_it(shell: Shell) -> None:
    done = shell.run("stats", "--csv", "--api-version", "v1")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert rows[0]["name"] == "WhatsApp - Indonesia"
    assert (rows[0]["catalog_product_id"], rows[0]["product_id"], rows[0]["currency"]) == ("87", "", "IDR")
    assert sum(int(row["numbers"]) for row in rows) == 400
    assert int(rows[0]["charged"]) % 1_500 == 0


def test_on_a_terminal_bars_show_the_rate_and_its_interval(shell: Shell) -> None:
    with Client(shell.sandbox.token, transport=shell.sandbox.transport()) as client:
        client.orders.create(product_id=176)
    lines = shell.type("stats", columns=100).out.splitlines()
    assert lines[0].split()[:5] == ["product", "name", "numbers", "codes", "success"]
    assert max(map(len, lines)) <= 100
    assert re.search(r" (?=[█▒·]{10} )█+▒+·* +\d\d% \(\d\d%\.\.\d\d%\) ", lines[1])
    assert max(map(len, shell.type("stats", columns=80).out.splitlines())) <= 80


def test_blocks_are_drawn_where_the_terminal_has_them() -> None:
    from smscode.cli.stats import _bar

    assert _bar(0.3, 0.6, blocks=True) == "███▒▒▒····"
    assert _bar(0.0, 1.0, blocks=False) == "=========="


def test_since_counts_only_what_came_then(shell: Shell) -> None:
    def total(*since: str) -> int:
        return sum(int(row[2]) for row in shell.run("stats", *since).rows)

    assert 80 < total("--since", "7d") < 110
    assert total("--since", "0m") == 0
    assert total("--since", "2020-01-01") == 400
    done = shell.run("stats", "--since", "yesterday")
    assert (done.code, done.out) == (2, "")
    assert "expected a span as 30m, 12h or 7d, or a date as 2026-06-14, not 'yesterday'" in done.err


def test_without_names_the_figures_are_still_shown(shell: Shell) -> None:
    shell.sandbox.fail_next("catalog.products", "FORBIDDEN", times=5)
    assert shell.run("stats").rows[0][:2] == ["87", "-"]


def test_an_offer_whose_numbers_all_wait_has_no_rate(shell: Shell) -> None:
    sandbox = shell.use(Sandbox(otp_after=None))
    assert shell.run("stats").out == ""
    with Client(sandbox.token, transport=sandbox.transport()) as client:
        client.orders.create(catalog_product_id=87)
    assert shell.run("stats").rows == [
        ["87", "WhatsApp - Indonesia", "1", "0", "1", *"-----", "0.9231", "0.0000", "-"]
    ]
    assert "%" not in shell.type("stats").out
    assert shell.run("stats", "--csv").rows[1] == ["WhatsApp - Indonesia,87,,1,0,1,,,,,,0.9231,0.0000,,USD"]


def test_the_older_generation_is_shown_by_product(shell: Shell) -> None:
    shell.use(Sandbox(generation="documented", past_orders=50))
    first = shell.run("stats", "--json").data[0]
    assert (first["catalog_product_id"], first["product_id"]) == (None, 142)


def test_with_a_sandbox_of_its_own_there_is_something_to_see(capsys: pytest.CaptureFixture[str]) -> None:
    from smscode.__main__ import main

    assert main(["stats", "--sandbox", "--json"]) == 0
    assert capsys.readouterr().out.count("catalog_product_id") > 20
