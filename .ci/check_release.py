"""Checks what is released: the distributions, how they work where they are installed, and the tag.

    python .ci/check_release.py contents WHEEL SDIST    they hold the package as it is here
    python .ci/check_release.py bare                    installed without extras it does what it can
    python .ci/check_release.py whole                   with the extra cli it does all
    python .ci/check_release.py tag TAG                 the tag, the version and the changelog agree

``bare`` and ``whole`` are run by the Python that the package is installed for, outside the source tree.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "smscode/"
VERSION_FILE = "smscode/_version.py"
ALSO_IN_SOURCE = (
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("noxfile.py", ".ci/run", ".pre-commit-config.yaml", "tests/"),
)


def version() -> str:
    """Return the version, from the one place where it is stated."""
    found = re.search(r'^VERSION = "([^"]+)"$', (ROOT / VERSION_FILE).read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def tree() -> dict[str, bytes]:
    """Return the files of the package as they are here."""
    paths = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file())
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in files.items() if "__pycache__" not in name}


def contents(wheel: str, sdist: str) -> None:
    """Compare the two distributions with the source tree, byte by byte."""
    here, prefix = tree(), f"smscode_async-{version()}"
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(sdist) as source:
        members = {member.name: source.extractfile(member) for member in source if member.isfile()}
        in_sdist = {name.removeprefix(f"{prefix}/"): file.read() for name, file in members.items() if file}
    _same("wheel", here, {n: d for n, d in in_wheel.items() if not n.startswith(f"{prefix}.dist-info/")})
    _same("sdist", here, {name: data for name, data in in_sdist.items() if name.startswith(PACKAGE)})
    for wanted in ALSO_IN_SOURCE:
        assert any(name.startswith(wanted) for name in in_sdist), f"sdist: no {wanted}"
    for where, data in (
        ("sdist", in_sdist["PKG-INFO"]),
        ("wheel", in_wheel[f"{prefix}.dist-info/METADATA"]),
    ):
        assert f"\nVersion: {version()}\n".encode() in data, f"{where}: not version {version()}"
    assert b"smscode = smscode.__main__:main" in in_wheel[f"{prefix}.dist-info/entry_points.txt"]
    print(f"{len(here)} files of {prefix} are the same in the tree, the wheel and the sdist")


def _same(where: str, here: Mapping[str, bytes], there: Mapping[str, bytes]) -> None:
    assert sorted(here) == sorted(there), f"{where}: {sorted(set(here) ^ set(there))}"
    changed = [name for name, data in here.items() if there[name] != data]
    assert not changed, f"{where}: other bytes in {changed}"


def _run(code: int, *arguments: str) -> str:
    """Run the installed command, check its exit code, and return its output."""
    command = [str(Path(sys.executable).parent / "smscode"), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == code, f"{' '.join(arguments)}: {done.returncode}, expected {code}\n{text}"
    assert "Traceback" not in text, text
    print(f"ok  smscode {' '.join(arguments)}")
    return text


def _installed() -> None:
    import smscode

    place = Path(smscode.__file__).resolve()
    assert ROOT not in place.parents, f"{place} is not the installed package"
    assert smscode.__version__ == version()


def bare() -> None:
    """Use the package where no extra is installed."""
    _installed()
    for name in ("typer", "rich", "uvicorn", "fastapi", "aiohttp", "redis", "msgspec", "opentelemetry"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed, so this proves nothing"
    assert "sandbox" in _run(0, "--help")
    assert "smscode-async[cli]" in _run(6, "balance", "--sandbox")
    assert "smscode-async[sandbox]" in _run(6, "demo")
    assert '"openapi": "3.1.0"' in _run(0, "openapi")
    from smscode import Client
    from smscode.sandbox import Sandbox

    sandbox = Sandbox(otp_after=0)
    client = Client(sandbox.token, transport=sandbox.transport())
    with client, client.orders.rent(catalog_product_id=87) as rental:
        assert rental.wait_for_otp(timeout=5).code is not None
    print("ok  a rental on the sandbox")


def whole() -> None:
    """Use the package where the extra of the command line is installed."""
    _installed()
    assert "rent" in _run(0, "--help")
    assert _run(0, "--version") == f"smscode-async {version()}\n"
    assert "finished  10 of 10" in _run(0, "demo", "--count", "10")
    rented = _run(0, "rent", "--sandbox", "--service", "whatsapp", "--country", "indonesia", "--yes")
    assert re.match(r"order\t\d+\nnumber\t\+62\d+\ncode\t\d{6}\n", rented), rented  # stderr follows
    assert re.search(r"\nFinished; \$\d+\.\d+ was charged\.\n", rented), rented
    _run(5, "rent", "--sandbox", "--service", "whatsapp", "--country", "indonesia")
    _run(0, "doctor", "--sandbox")


def tag(name: str) -> None:
    """Check a tag against the version and the changelog."""
    assert name == f"v{version()}", f"the tag {name} is not v{version()}"
    heading = rf"^## \[{re.escape(version())}\] - \d{{4}}-\d\d-\d\d$"
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(heading, text, re.MULTILINE), f"the changelog has no dated section {version()}"
    print(f"ok  {name}")


CHECKS: Mapping[str, Callable[..., None]] = {
    "contents": contents,
    "bare": bare,
    "whole": whole,
    "tag": tag,
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](*sys.argv[2:])
