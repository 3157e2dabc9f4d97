"""Checks what is released: the distributions and the tag; `check_packages.py` installs and uses them.

python .ci/check_release.py contents WHEEL SDIST    they hold the package as it is here
python .ci/check_release.py tag TAG                 the tag, the version and the changelog agree
"""

from __future__ import annotations

import re
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


def tag(name: str) -> None:
    """Check a tag against the version and the changelog."""
    assert name == f"v{version()}", f"the tag {name} is not v{version()}"
    heading = rf"^## \[{re.escape(version())}\] - \d{{4}}-\d\d-\d\d$"
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(heading, text, re.MULTILINE), f"the changelog has no dated section {version()}"
    print(f"ok  {name}")


CHECKS: Mapping[str, Callable[..., None]] = {
    "contents": contents,
    "tag": tag,
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](*sys.argv[2:])
