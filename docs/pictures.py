"""Draw the README's pictures of the demo and of the command line: ``python docs/pictures.py``.

Each picture is what the command printed, with samples in place of what differs from run to run. A test
runs the commands again and compares.
"""

from __future__ import annotations

import html
import io
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "pages" / "pictures"
PICTURES = {
    "demo": "python -m smscode demo --count 5",
    "rent": "smscode rent --sandbox --yes --service whatsapp --country indonesia",
}
_WIDTH = 68
_FONTS = re.compile(r"@font-face \{\{.*?\}\}\n", re.DOTALL)  # nothing is fetched from elsewhere
_SAMPLES = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:8000"),
    (r"\+\d{8,}(?= |$)", "+628123456789"),
    (r"(?<=\+628123456789) +", "    "),  # the columns of numbers with another length
    (r"\b\d\d:\d\d:\d\d\b", "14:38:49"),
    (r"\b\d\.\d\d$", "2.05"),
    (r"in \d+\.\d s", "in 2.4 s"),
    (r"(?<=requests  )\d+", "20"),
)


def transcript(command: str) -> str:
    """Run a command in the sandbox and return what it prints, with samples for what differs each time."""
    arguments = command.removeprefix("python -m ").split()
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    lines = done.stdout.decode().splitlines()
    for pattern, sample in _SAMPLES:
        lines = [re.sub(pattern, sample, line) for line in lines]
    lines = [
        re.sub(r"(?<![\w$.,:+-])\d{6}(?![\w.,])", f"{(number * 271_828 + 314_159) % 10**6:06}", line)
        for number, line in enumerate(lines)
    ]
    return "\n".join(lines)


def drawn(command: str, printed: str) -> str:
    """Return the picture of a terminal in which a command was run."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), legacy_windows=False)
    console.print(Text(f"$ {command}", "bold green"))
    for line in printed.splitlines():
        label = re.match(r"[a-z]+(?=[ \t])", line)
        text = Text(line.expandtabs(9))
        if label:
            text.stylize("cyan", 0, label.end())
        console.print(text)
    frame = _FONTS.sub("", CONSOLE_SVG_FORMAT)
    return console.export_svg(title="smscode", theme=MONOKAI, code_format=frame, unique_id="picture")


def text_of(picture: str) -> str:
    """Return what a picture shows, without its white space."""
    shown = re.findall(r"<text [^>]*>(.*?)</text>", picture)
    return "".join("".join(html.unescape(part) for part in shown).split())


def main() -> None:
    """Draw all pictures again."""
    for name, command in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(drawn(command, transcript(command)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
