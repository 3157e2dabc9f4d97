"""``smscode rent`` as a process of its own: on a terminal of 80 columns, in a pipe, and interrupted."""

from __future__ import annotations

import html
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("typer")
if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import struct
import termios

ROOT = Path(__file__).parent.parent.parent
RENT = [
    *(sys.executable, "-m", "smscode", "rent", "--sandbox"),
    *("--service", "whatsapp", "--country", "id"),
]
PATIENCE = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SPINNER = re.compile("[\u2800-\u28ff]")


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMSCODE_", "COV"))}
    kept.pop("NO_COLOR", None)
    kept.pop("COLUMNS", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm-256color", "TZ": "UTC"}


class Screen:
    """A command on a terminal of 80 columns and 24 lines, and everything it wrote there."""

    def __init__(self, command: list[str]) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True
        )
        os.close(theirs)
        self._ours = ours
        self.raw = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def interrupt_until(self, wanted: str) -> None:
        """Interrupt until this is on the screen: one may come just before the question waits."""
        self.interrupt()
        while wanted not in self.text:
            if select.select([self._ours], [], [], 2)[0]:
                assert self._read(), self.text
            else:
                self.interrupt()

    def read_until(self, wanted: str) -> None:
        """Wait until this is on the screen."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text
            assert self._read(), self.text

    def end(self) -> int:
        """Wait for the end of the command, and return its exit code."""
        while self._read():
            continue
        os.close(self._ours)
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        assert ready, self.text
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.raw += piece.decode()
        return bool(piece)

    @property
    def text(self) -> str:
        """What was written, without the control sequences."""
        return ESCAPES.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        """The lines that were on the screen at any time; a redrawn one counts again."""
        return [line for line in re.split(r"[\r\n]+", self.text) if line]


def test_on_a_terminal_it_asks_waits_and_shows_the_code() -> None:
    screen = Screen(RENT)
    screen.read_until("[y/n] (n):")
    screen.type("y\n")
    assert screen.end() == 0
    assert re.search(r"order +1004\r\nnumber +\+62\d+\r\nuntil +\d\d:\d\d:\d\d\r\n", screen.text)
    assert SPINNER.search(screen.text)
    since = r"waiting for the code; Ctrl-C gives the number back from \d\d:\d\d:\d\d on"
    assert re.search(since, screen.text), "not before the service allows it"
    assert re.search(r"code +\d{6}\r\nFinished; \$0\.9231 was charged\.\r\n", screen.text)
    assert re.search("\x1b\\[1;7m\\d{6}\x1b", screen.raw), "nothing is brighter than the code"
    assert max(map(len, screen.lines)) <= 80
    assert "\x1b[?25h" in screen.raw, "the cursor is shown again"


def test_it_looks_as_the_picture_of_the_readme_shows_it() -> None:
    picture = (ROOT / "docs" / "pages" / "pictures" / "rent.svg").read_text("utf-8")
    words = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", picture, flags=re.S)).split()
    said, start = words.index("Renting"), words.index("order")
    screen = Screen([*RENT[:3], *words[words.index("$") + 2 : said]])
    assert screen.end() == 0
    place = 0
    for word in words[start:]:
        found = re.compile(re.sub(r"\d", r"\\d", re.escape(word))).search(screen.text, place)
        assert found, word
        place = found.end()


def test_ctrl_c_at_the_question_buys_nothing() -> None:
    screen = Screen(RENT)
    screen.read_until("[y/n] (n):")
    screen.interrupt_until("Interrupted.")
    assert screen.end() == 130
    assert screen.lines[-1].endswith("Interrupted. Nothing was changed.")


def test_ctrl_c_while_it_waits_says_what_becomes_of_the_money() -> None:
    screen = Screen([*RENT, "--yes"])
    screen.read_until("waiting for the code")
    screen.interrupt()
    assert screen.end() == 130
    said = " ".join(screen.text.split())
    assert "Stopping." in said
    assert "It is too early to cancel. Order 1004 ends by itself at" in said
    assert "$0.9231 is refunded then if no SMS came. Sooner: `smscode cancel 1004 --wait`." in said
    assert "Traceback" not in said
    assert max(map(len, screen.lines)) <= 80
    assert screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l"), "the cursor is shown again"


def test_in_a_pipe_there_is_neither_colour_nor_progress() -> None:
    done = subprocess.run(
        [*RENT, "--yes"], capture_output=True, text=True, env=environment(), timeout=PATIENCE
    )
    assert done.returncode == 0
    assert re.fullmatch(r"order\t1004\nnumber\t\+62\d+\ncode\t\d{6}\n", done.stdout)
    assert re.fullmatch(r"Renting a number .*\nFinished; \$0\.9231 was charged\.\n", done.stderr)


def test_in_a_pipe_the_number_comes_before_the_code_is_waited_for() -> None:
    with subprocess.Popen(
        [*RENT, "--yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "order\t1004\n"
        assert process.stdout.readline().startswith("number\t+62")
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert "\nIt is too early to cancel. Order 1004 ends by itself at" in process.stderr.read()
        assert process.wait(PATIENCE) == 130


def test_whoever_reads_only_the_first_line_gets_it() -> None:
    command = f"{' '.join([*RENT[:3], 'countries', '--sandbox'])} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=PATIENCE
    )
    assert done.stdout == "6\tid\t62\tIndonesia\n"
    assert done.stderr == ""
    assert done.returncode in (0, 141)
