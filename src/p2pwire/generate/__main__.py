"""`python -m p2pwire.generate`: writes every generated file; with `--check`, says which ones are not up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from p2pwire.generate import requirements
from p2pwire.generate.codec import messages_module
from p2pwire.generate.kaitai import kaitai_yaml
from p2pwire.generate.markdown import fill
from p2pwire.generate.protocol import protocol_json
from p2pwire.generate.tables import TABLES
from p2pwire.generate.threats import threats_json
from p2pwire.generate.vectors.files import vector_files
from p2pwire.generate.wireshark import dissector_lua

SPECIFICATION: Final = "SPEC.md"


def generated_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file below the project's root, and the text that it should have.

    The messages come first: the specification's transcripts are made by code that needs them as they should be.
    """
    yield root / "src" / "p2pwire" / "wire" / "messages.py", messages_module()
    yield root / "conformance" / "protocol.json", protocol_json()
    yield root / "conformance" / "p2pwire.ksy", kaitai_yaml()
    yield root / "conformance" / "p2pwire.lua", dissector_lua()
    specification = root / SPECIFICATION
    if specification.exists():
        text, unknown = fill(specification.read_text(encoding="utf-8"), TABLES)
        yield specification, text
        yield root / "conformance" / "threats.json", threats_json(text)
        for name in unknown:
            print(f"{SPECIFICATION}: nothing writes the table {name}; it stays as it is", file=sys.stderr)
        yield from vector_files(root, text)


def main(argv: Sequence[str] | None = None) -> int:
    """0: done, or all is up to date; 1: a file differs or the specification breaks its form; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m p2pwire.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not up to date")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's root")
    options = parser.parse_args(argv)
    if not (options.root / "src" / "p2pwire").is_dir():
        print(f"{options.root.resolve()} is not the project's root: it has no src/p2pwire", file=sys.stderr)
        return 2
    failed = False
    for path, text in generated_files(options.root):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        print(f"{path}: {'not up to date' if options.check else 'written'}")
        if options.check:
            failed = True
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if (options.root / SPECIFICATION).exists():
        for problem in requirements.update(options.root, check=options.check):
            print(problem, file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
