"""Makes one file of the suite: `python build_zipapp.py p2pwire-conformance.pyz`.

The file holds the suite, its data and click, and runs with any Python from 3.11 on that has `cryptography`, which is
compiled and so cannot be in it. The same sources make the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
import tomllib
import zipapp
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PURE: Final = ("click",)
"""Dependencies that are all Python, and so can be packed."""
MADE_AT: Final = 1_000_000_000
"""The time of every file in the archive."""
MAIN: Final = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("p2pwire-conformance needs Python 3.11 or later, and this is " + sys.version.split()[0])
try:
    import cryptography
except ImportError:
    print(
        "p2pwire-conformance needs the package cryptography, which is compiled and so is no part of this file: "
        f"{sys.executable} -m pip install '{REQUIRED}'",
        file=sys.stderr,
    )
    sys.exit(4)

from p2pwire_conformance.command import main

main()
"""


def build(target: Path) -> None:
    """Write the archive. Raises `SystemExit` with a sentence if what has to be in it is not there."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
    compiled = next(one for one in project["project"]["dependencies"] if one.startswith("cryptography"))
    packed: dict[str, str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / "src" / "p2pwire_conformance", tree / "p2pwire_conformance", ignore=unwanted)
        for source, inside in packed.items():
            if (HERE / source).is_dir():
                shutil.copytree(HERE / source, tree / inside, ignore=unwanted)
            else:
                shutil.copyfile(HERE / source, tree / inside)
        for dependency in PURE:
            _pack(dependency, tree)
        (tree / "__main__.py").write_text(MAIN.replace("{REQUIRED}", compiled), encoding="utf-8")
        for path in tree.rglob("*"):
            os.utime(path, (MADE_AT, MADE_AT))
        zipapp.create_archive(tree, target, interpreter="/usr/bin/env python3", compressed=True)


def _pack(dependency: str, tree: Path) -> None:
    """Copy an installed distribution, its licence with it."""
    try:
        files = importlib.metadata.files(dependency) or []
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(f"{dependency} has to be installed, so that it can be packed: pip install {HERE}") from None
    for file in files:
        if file.suffix == ".py" or file.name.startswith("LICENSE"):
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), tree / file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python build_zipapp.py FILE", file=sys.stderr)
        sys.exit(64)
    build(Path(sys.argv[1]))
