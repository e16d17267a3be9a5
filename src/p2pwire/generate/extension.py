"""`python -m p2pwire.generate.extension MODULE`: writes the codec of an extension's own schema, beside the schema.

The module describes the extension as `wire/schema.py` describes the protocol: `MESSAGES`, all of its messages, elements
before what holds them, and `FRAMES`, those that travel, in the order of their numbers in the extension.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from p2pwire.generate.codec import message_class, union
from p2pwire.generate.conditions import patterns
from p2pwire.generate.form import MessageForm, UnknownConstructError, read_message

WRITTEN: Final = "messages.py"

_PROLOGUE: Final = '''\
"""The messages of an extension and their codec.

Written by `python -m p2pwire.generate.extension {module}`; edit that module instead. Integers are big-endian and
unsigned. `decode` takes the whole message and nothing else, and checks every limit and rule. Objects are not checked
when they are made but when they are encoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from p2pwire.wire.messages import (
    Buffer,
    DecodeError,
    EncodeError,
    TruncatedError,
    _dotted,
    _short,
    _size,
    _trailing,
    _truncated,
    _unlocked,
    _unpackable,
    _wrong_size,
)
'''

_EPILOGUE: Final = '''\
FRAMES: Final[tuple[type[Frame], ...]] = ({frames})
"""The class of each of the extension's frames, by its number in the extension."""


def decode_frame(index: int, body: Buffer) -> Frame:
    """The frame of a number that is within FRAMES, from its body. Raises `DecodeError`."""
    return FRAMES[index].decode(body)
'''


class SchemaError(ValueError):
    """The module is no schema of an extension."""


def extension_module(schema: ModuleType) -> str:
    """The text of the codec. Raises SchemaError."""
    forms, frames = _forms(schema, "MESSAGES"), _forms(schema, "FRAMES")
    titles = [form.title for form in forms]
    for frame in frames:
        if frame.title not in titles:
            raise SchemaError(f"FRAMES: {frame.title} is not in MESSAGES")
    lines = ["", *defined] if (defined := list(patterns(forms))) else []
    for form in forms:
        lines.extend(message_class(form, number=_index(form, frames)))
    names = [frame.title for frame in frames]
    lines += ["", "", *union("Frame", "Any frame of the extension.", names)]
    listed = ", ".join(names) if len(names) > 1 else f"{names[0]},"
    body = "\n".join(lines) + "\n" + _EPILOGUE.format(frames=listed)
    return f"{_used(_PROLOGUE.format(module=schema.__name__), body)}{body}"


def _index(form: MessageForm, frames: Sequence[MessageForm]) -> tuple[str, int] | None:
    numbers = [number for number, frame in enumerate(frames) if frame.title == form.title]
    return ("INDEX", numbers[0]) if numbers else None


def _forms(schema: ModuleType, name: str) -> list[MessageForm]:
    messages = getattr(schema, name, ())
    if not messages:
        raise SchemaError(f"{name}: {schema.__name__} has none")
    try:
        forms = [read_message(message) for message in messages]
    except UnknownConstructError as error:
        raise SchemaError(f"{name}: {error}") from error
    for form in forms:
        if form.frame_type is not None:
            raise SchemaError(f"{form.title}: frame_type belongs to the protocol's own frames")
    return forms


def _used(prologue: str, body: str) -> str:
    """The prologue without imports that the body does not need."""
    lines = []
    for line in prologue.splitlines():
        words = line.strip().rstrip(",").split()
        imported = words[-1] if line.startswith(("import ", "    ")) and len(words) in (1, 2) else None
        if line.startswith("from ") and " import " in line and not line.endswith("("):
            head, _, names = line.partition(" import ")
            kept = [name for name in names.split(", ") if _occurs(name, body) or head.endswith("__future__")]
            lines += [f"{head} import {', '.join(kept)}"] if kept else []
        elif imported is None or imported == '"""' or _occurs(imported, body):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _occurs(name: str, body: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}\b", body) is not None


def main(argv: Sequence[str] | None = None) -> int:
    """0: done, or up to date; 1: with `--check`, the file differs; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m p2pwire.generate.extension", description=__doc__)
    parser.add_argument("module", help="the module with the schema, as one would import it")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is not up to date")
    options = parser.parse_args(argv)
    sys.path.insert(0, str(Path.cwd()))
    try:
        schema = importlib.import_module(options.module)
        text = extension_module(schema)
    except (ImportError, SchemaError) as error:
        print(f"{options.module}: {error}", file=sys.stderr)
        return 2
    path = Path(str(schema.__file__)).with_name(WRITTEN)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path}: {'not up to date' if options.check else 'written'}")
    if options.check:
        return 1
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
