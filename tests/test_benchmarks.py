"""The benchmarks run, and say what they were asked; what they measure is not judged here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import report, table
from benchmarks.measure import Rounds, interleave
from benchmarks.suite import NAMES, Figure, Scale, Setup, measure


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_runs(name: str) -> None:
    figures = list(measure(name, Setup(Scale.SMOKE)))
    assert figures
    assert all(math.isfinite(figure.value) and figure.value >= 0 for figure in figures)
    assert len({figure.what for figure in figures}) == len(figures)


def test_only_what_there_is_can_be_measured() -> None:
    with pytest.raises(ValueError, match="nothing: expected one of calls,"):
        next(measure("nothing", Setup(Scale.SMOKE)))


def test_contestants_take_turns_and_nobody_is_always_first() -> None:
    turns: list[str] = []

    def contestant(name: str, cost: float) -> Callable[[], float]:
        def turn() -> float:
            turns.append(name)
            return cost * len(turns)

        return turn

    found = interleave({"one": contestant("one", 1.0), "two": contestant("two", 2.0)}, 2)
    assert turns == ["one", "two", "two", "one", "one", "two"]
    assert found == Rounds({"one": [4.0, 5.0], "two": [6.0, 12.0]})
    assert found.median("one") == 4.5
    assert found.ratio("two", "one") == pytest.approx((6 / 4 + 12 / 5) / 2)
    assert found.show("us", 1e6)["two"] == "9e+06 us"


@pytest.mark.parametrize(
    ("figure", "held", "shown"),
    [
        (Figure("a", 0.8, 0.8), True, ["0.8", "<= 0.8", "holds"]),
        (Figure("a", 0.81, 0.8), False, ["0.81", "<= 0.8", "FAILS"]),
        (Figure("a", 1.0, 1.0, "at least", "ms"), True, ["1 ms", ">= 1 ms", "holds"]),
        (Figure("a", 0.9, 1.0, "at least"), False, ["0.9", ">= 1", "FAILS"]),
        (Figure("a", 1234.5), None, ["1.23e+03", "", ""]),
    ],
)
def test_a_figure_says_whether_it_is_as_wanted(figure: Figure, held: bool | None, shown: list[str]) -> None:
    assert figure.held is held
    assert [report.amount(figure), report.bound(figure), report.verdict(figure)] == shown
    assert report.read(report.write(figure)) == figure


def test_the_command_prints_and_records_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    assert command.main(["threads", "--smoke", "--json", str(file)]) == 0
    record = json.loads(file.read_text("utf-8"))
    shown = capsys.readouterr().out
    assert len(record["figures"]["threads"]) == 2
    assert all(figure["what"] in shown for figure in record["figures"]["threads"])
    assert (record["command"], record["scale"]) == ("python -m benchmarks threads", "smoke")
    assert {"python", "processor", "cores"} <= record["machine"].keys()
    assert {"httpx", "anyio"} <= record["versions"].keys()


@pytest.mark.parametrize("less", [["threads"], ["--quick"], ["--smoke"], []])
def test_a_record_is_of_everything(less: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    vendor = ["--vendor", "python"] if less else []
    with pytest.raises(SystemExit):
        command.main(["--record", *vendor, *less])
    assert "a record is of all benchmarks in full, with the vendor's SDK" in capsys.readouterr().err


def test_the_record_in_the_repository_is_whole() -> None:
    record = table.read(table.RECORD)
    assert record["scale"] == "full"
    assert set(record["figures"]) == set(NAMES)
    assert {"httpx", "aiohttp", "uvloop", "msgspec", "orjson", "pydantic"} <= record["versions"].keys()
    assert "the vendor's SDK" in record["versions"]


@pytest.mark.parametrize("page", table.PAGES, ids=lambda page: page.name)
def test_the_tables_are_what_the_record_says(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.count("<!-- benchmarks: ") >= 2
    assert table.renewed(text, table.read(table.RECORD)) == text


def test_a_table_says_what_was_missed() -> None:
    record = {
        "date": "2026-06-14",
        "machine": {
            "implementation": "CPython",
            "python": "3.11.7",
            "cores": 2,
            "processor": "a processor",
            "system": "Linux 6.1",
        },
        "versions": {"httpx": "0.28.1", "h11": "0.16.0"},
        "figures": {
            "calls": [
                {
                    "what": "fast / other",
                    "value": 0.0265,
                    "wanted": 0.8,
                    "bound": "at most",
                    "parts": {"this": "7 us", "other": "2.241e+04 us"},
                },
                {"what": "slow / other", "value": 0.9, "wanted": 0.8, "bound": "at most"},
                {"what": "a time", "value": 0.0145, "wanted": 0.02, "bound": "at most", "unit": "s"},
                {"what": "rate / other", "value": 2.43, "wanted": 1.0, "bound": "at least"},
                {"what": "shown", "value": 0.9, "wanted": None},
            ],
            "limits": [{"what": "another matter", "value": 1.0, "wanted": 1.0}],
        },
    }
    page = "before\n<!-- benchmarks: goals -->\nold\n<!-- benchmarks: end -->\nbetween\n"
    page += "<!-- benchmarks: short -->\n<!-- benchmarks: end -->\n"
    page += "<!-- benchmarks: parts -->\n<!-- benchmarks: end -->\nafter\n"
    assert table.renewed(page, record).splitlines() == [
        "before",
        "<!-- benchmarks: goals -->",
        "",
        "| Measured | Compared with | Result | Goal |",
        "|---|---|---|---|",
        "| fast | other | **38 times less** | at least 20 % less |",
        "| slow | other | 10 % less, missed | at least 20 % less |",
        "| a time |  | **0.0145 s** | at most 0.02 s |",
        "| rate | other | **2.4 times as much** | at least the same |",
        "",
        "Recorded on 2026-06-14 with CPython 3.11.7 on 2 cores (a processor, Linux):",
        "httpx 0.28.1. `nox -s bench -- --record` measures it again.",
        "",
        "<!-- benchmarks: end -->",
        "between",
        "<!-- benchmarks: short -->",
        "",
        "| Measured | Compared with | Result |",
        "|---|---|---|",
        "| fast | other | **38 times less** |",
        "| slow | other | **10 % less** |",
        "| rate | other | **2.4 times as much** |",
        "",
        "<!-- benchmarks: end -->",
        "<!-- benchmarks: parts -->",
        "",
        "| fast, compared with other | 38 times less |",
        "|---|---|",
        "| this | 7 us |",
        "| other | 22,410 us |",
        "",
        "<!-- benchmarks: end -->",
        "after",
    ]


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "no such benchmark: nothing" in capsys.readouterr().err
