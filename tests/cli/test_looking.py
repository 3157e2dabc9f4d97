"""``smscode balance``, ``countries``, ``services`` and ``products``."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("typer")

from .harness import Shell


def test_the_balance_is_a_name_and_a_value_in_a_pipe(shell: Shell) -> None:
    assert shell.run("balance").out == "balance\t61.54\n"
    assert shell.run("balance", "--api-version", "v1").out == "balance\t1000000\n"
    assert shell.type("balance", "--api-version", "v1").out == "balance  Rp 1,000,000\n"


def test_the_balance_as_json_has_the_names_of_the_wire(shell: Shell) -> None:
    assert shell.run("balance", "--json").data["balance"] == {
        "amount": "61.54",
        "currency": "USD",
        "canonical_amount": 1_000_000,
        "canonical_currency": "IDR",
    }


def test_countries_and_services_are_tab_separated_in_a_pipe(shell: Shell) -> None:
    assert shell.run("countries").rows[0] == ["6", "id", "62", "Indonesia"]
    assert shell.run("services").rows[0] == ["3", "whatsapp", "WhatsApp"]


def test_countries_are_a_table_on_a_terminal(shell: Shell) -> None:
    lines = shell.type("countries").out.splitlines()
    assert lines[0].split() == ["id", "code", "dial", "name"]
    assert lines[1].split() == ["6", "id", "62", "Indonesia"]


@pytest.mark.parametrize("country", ["Brazil", "br", "73"])
def test_services_of_a_country_are_found_by_its_name_code_or_id(country: str, shell: Shell) -> None:
    names = [row[2] for row in shell.run("services", "--country", country).rows]
    assert "WhatsApp" in names
    assert "Instagram" not in names  # sold out there


def test_a_country_that_is_not_there_is_a_wrong_argument(shell: Shell) -> None:
    done = shell.run("services", "--country", "Atlantis")
    assert done.code == 2
    assert "Atlantis" in done.err


def test_products_are_found_by_names_and_come_cheapest_first(shell: Shell) -> None:
    done = shell.run("products", "--service", "whatsapp", "--country", "indonesia")
    assert done.rows[0] == ["87", "WhatsApp - Indonesia", "-", "0.9231", "50000"]
    assert shell.run("products", "--service", "WHATSAPP", "--country", "id", "--json").data[0]["id"] == 142


def test_products_can_be_capped_by_price(shell: Shell) -> None:
    prices = [row[3] for row in shell.run("products", "--service", "whatsapp", "--max-price", "0.50").rows]
    assert prices == ["0.4615", "0.4615"]
    first = shell.run("products", "--service", "whatsapp", "--max-price", "7500", "--api-version", "v1").rows
    assert {row[3] for row in first} == {"7500"}


def test_a_price_in_the_wrong_currency_is_refused(shell: Shell) -> None:
    done = shell.run("products", "--max-price", "0.50", "--api-version", "v1")
    assert done.code == 2
    assert "--max-price: v1 counts in rupiah" in done.err


def test_products_say_on_a_terminal_that_there_are_more(shell: Shell) -> None:
    done = shell.type("products", "--limit", 3)
    assert len(done.out.splitlines()) == 4
    assert " more: raise --limit, or name --service and --country." in done.err


def test_an_empty_table_says_so_on_a_terminal(shell: Shell) -> None:
    done = shell.type("orders")
    assert done.out == ""
    assert done.err == "Nothing to show.\n"


def test_on_a_narrow_terminal_names_are_broken_but_numbers_are_not(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.run("rent", "--product", 87, "--yes")
    products, orders = (shell.type(command, columns=56).out for command in ("products", "orders"))
    assert max(map(len, f"{products}{orders}".splitlines())) <= 56
    assert re.search(r"^ +110  TikTok -.* +\$0\.1077 +50,000$", products, re.MULTILINE)
    assert re.search(r"^1001 .* \$0\.9231 ", orders, re.MULTILINE)
    assert "operator" not in products, "no product has one"


def test_an_order_is_one_line_in_60_columns(shell: Shell) -> None:
    shell.run("rent", "--product", 87, "--yes")
    header, *lines = shell.type("orders", columns=60).out.splitlines()
    assert header.split() == ["id", "status", "number", "price", "created"]
    assert len(lines) == len(shell.run("orders").rows) == 1
    assert all(re.search(r" \d\d-\d\d \d\d:\d\d$", line) for line in lines)
    wide = shell.type("orders", columns=70).out.splitlines()[1:]
    assert all(re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d$", line) for line in wide)


@pytest.mark.parametrize("command", ["products", "orders", "countries", "services"])
def test_no_terminal_is_so_narrow_that_a_digit_is_lost(shell: Shell, command: str) -> None:
    shell.run("rent", "--product", 87, "--yes")

    def words_of(columns: int) -> tuple[str, list[str]]:
        shown = shell.type(command, columns=columns).out
        whole = re.sub(r"\b\d{4}-(?=\d\d-\d\d )", "", shown)  # only the year of a date may be left out
        return shown, sorted(re.findall(r"[$+]?\d[^ \n]*", whole))

    _, words = words_of(200)
    assert words
    for columns in (*range(1, 80), 120):
        shown, found = words_of(columns)
        assert found == words, columns
        assert "…" not in shown


@pytest.mark.parametrize("columns", [1, 5, 12, 20, 39, 40])
def test_an_order_and_its_code_are_whole_on_any_terminal(shell: Shell, columns: int) -> None:
    shell.run("rent", "--product", 87, "--yes")
    plain = dict(line.split("\t") for line in shell.run("order", 1001).out.splitlines())
    shown = shell.type("order", 1001, columns=columns).out
    for name in ("number", "code", "price"):
        assert plain[name] in shown
    refused = shell.type("order", 1234567890, columns=columns).err
    assert "NOT_FOUND" in refused
    assert shell.type("doctor", columns=columns).out.count("ok") >= 9
