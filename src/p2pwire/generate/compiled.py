"""`python -m p2pwire.generate.compiled SOURCES DIRECTORY`: writes the core in the manner that suits mypyc.

mypyc makes objects of its own classes fast, but not those that a decorator of attrs returns. So classes of attrs become
plain ones here, with the `__init__` written out, and get the rest from attrs afterwards: equality, hash, repr, fields,
and no changes if they are frozen. All else stays as it is, on the line where it is, so that a traceback of the compiled
module fits the source that lies beside it. What is not known here is refused: a build fails, and never differs.
"""

from __future__ import annotations

import ast
import builtins
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs

from p2pwire.generate.native import native_module

MESSAGES: Final = Path("wire", "messages.py")
"""The codec, which is written from its schema (`p2pwire.generate.native`)."""

ROOMS: Final = ("crypto", "content", "connection", "node")
"""Rooms that are compiled beside it, but for what follows."""

INTERPRETED: Final = frozenset(
    {
        # Slices that are kept are used on bytes, which mypyc does not know; its time is that of SHA-256 anyway.
        Path("content", "hashing.py"),
        # Called once for what a person gave, and their classes turn and check what they are made of.
        Path("content", "uri.py"),
        Path("node", "address.py"),
    }
)
"""Modules of these rooms that are left to the interpreter."""

_OF_CLASSES: Final = frozenset({"eq", "repr", "init", "weakref_slot"})
"""What is known of the arguments of `attrs.frozen` and `attrs.define`."""

_OF_FIELDS: Final = frozenset({"default", "factory", "init", "repr", "eq", "kw_only", "validator"})
"""What is known of those of `attrs.field`."""

_BASES: Final = (Exception, LookupError, ValueError)
"""Exceptions of Python's own from which mypyc's may be derived."""


class UnknownError(ValueError):
    """The source has something that can not be compiled in this manner: where, and what."""


@attrs.frozen
class _Field:
    """One field of a class of attrs."""

    name: str
    annotation: str
    options: Mapping[str, ast.expr]
    """What `attrs.field` is told."""

    @property
    def given(self) -> bool:
        """Whether it is an argument of `__init__`."""
        init = self.options.get("init")
        return init is None or ast.unparse(init) == "True"

    @property
    def made(self) -> str | None:
        """An expression for the value that it has if none is given."""
        factory = self.options.get("factory")
        if isinstance(factory, ast.Lambda):
            return ast.unparse(factory.body)
        if factory is not None:
            return f"{ast.unparse(factory)}()"
        default = self.options.get("default")
        return None if default is None else ast.unparse(default)

    @property
    def parameter(self) -> str:
        """What stands for it in the list of parameters. A value that is made anew for each object is made inside."""
        name = f"{self.argument}: {self.annotation}"
        if "factory" in self.options:
            return f"{name} | None = None"
        return name if self.made is None else f"{name} = {self.made}"

    @property
    def argument(self) -> str:
        """Its name there, as attrs has it."""
        return self.name.lstrip("_")

    @property
    def statement(self) -> str | None:
        """What gives the object its value; None: a later one does."""
        if not self.given:
            return None if self.made is None else f"self.{self.name} = {self.made}"
        if "factory" in self.options:
            return f"self.{self.name} = {self.made} if {self.argument} is None else {self.argument}"
        return f"self.{self.name} = {self.argument}"

    @property
    def described(self) -> str:
        """What attrs is told of it afterwards. Looked up by name: the compiler is not to take it for the value."""
        options = ", ".join(f"{name}={ast.unparse(value)}" for name, value in self.options.items())
        return f'"{self.name}": vars(attrs)["field"]({options})'


class _Module:
    """One module on its way."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._tree = ast.parse(text)
        # Offsets in a tree count bytes.
        self._lines = text.encode().split(b"\n")
        self._edits: list[tuple[int, int, int, int, str]] = []

    def rewritten(self) -> str:
        """Its text. Raises `UnknownError`."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ClassDef):
                if _decorators(node, "attrs"):
                    self._class(node)
                elif "NamedTuple" in map(ast.unparse, node.bases):
                    self._quote(node)
                elif not _derivable(node):
                    self._leave(node)
            elif isinstance(node, ast.FunctionDef):
                self._names(node)
        for line, column, last, end, text in sorted(self._edits, reverse=True):
            new = self._lines[line - 1][:column] + text.encode() + self._lines[last - 1][end:]
            self._lines[line - 1 : last] = [new] + [b""] * (last - line)
        return b"\n".join(self._lines).decode()

    def _refuse(self, node: ast.expr | ast.stmt | ast.ExceptHandler, what: str) -> NoReturn:
        raise UnknownError(f"{self._name}:{node.lineno}: {what}: p2pwire.generate.compiled does not know it")

    def _replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        self._edits.append((node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text))

    def _fill(self, node: ast.stmt, line: int, text: str) -> None:
        """Write into one of the two empty lines before or after a class."""
        while line > len(self._lines):
            self._lines.append(b"")
        if self._lines[line - 1]:
            self._refuse(node, f"line {line}, which is not empty")
        self._lines[line - 1] = text.encode()

    def _leave(self, node: ast.ClassDef) -> None:
        """Any decorator leaves a class to the interpreter."""
        if node.decorator_list:
            self._refuse(node, f"{node.name}, which has bases and decorators")
        self._fill(node, node.lineno - 1, "@(lambda made: made)")

    def _names(self, node: ast.FunctionDef) -> None:
        """The compiler gives a name the type of the first error caught as it, and refuses others at run time."""
        types: dict[str, str] = {}
        for each in ast.walk(node):
            if isinstance(each, ast.ExceptHandler) and each.name is not None and each.type is not None:
                kind = ast.unparse(each.type)
                if types.setdefault(each.name, kind) != kind:
                    self._refuse(each, f"{each.name}, a name for errors of two kinds")

    def _quote(self, node: ast.ClassDef) -> None:
        """The compiler looks for types of a named tuple where they need not be, unless they are text."""
        for each in node.body:
            if isinstance(each, ast.AnnAssign):
                self._replace(each.annotation, repr(ast.unparse(each.annotation)))

    # --- classes of attrs ---

    def _class(self, node: ast.ClassDef) -> None:
        kind, options = self._decoration(node)
        if node not in self._tree.body:
            self._refuse(node, f"{node.name}, a class within another thing")
        if any(not ast.unparse(base).startswith("Generic[") for base in node.bases) or node.keywords:
            self._refuse(node, f"{node.name}, which is derived from another class")
        fields = list(self._fields(node))
        methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
        if any(_decorators(each, field.name) for each in methods.values() for field in fields):
            self._refuse(node, f"{node.name}, which has methods for defaults or checks")
        if kind != "frozen" and any("validator" in field.options for field in fields):
            self._refuse(node, f"{node.name}, which checks what it is changed to")
        kept = [self._kept(each) for each in methods.values() if _decorators(each, "cached_property")]
        assert node.end_lineno is not None
        if "init" not in options:
            last = [f"self.{name} = None" for name in kept]
            if any("validator" in field.options for field in fields):
                last.append('vars(attrs)["validate"](self)')
            if "__attrs_post_init__" in methods:
                last.append("self.__attrs_post_init__()")
            self._fill(node, node.end_lineno + 1, f"    {_init(fields, last)}")
        elif "__init__" not in methods or kept:
            self._refuse(node, f"{node.name}, which has no __init__ that could be written")
        told = [f"{name}={ast.unparse(value)}" for name, value in options.items() if name in ("eq", "repr")]
        these = ", ".join(field.described for field in fields)
        arguments = ", ".join([node.name, f"these={{{these}}}", "init=False", "slots=False", *told])
        self._fill(node, node.end_lineno + 2, f"attrs.{kind}({arguments})")

    def _decoration(self, node: ast.ClassDef) -> tuple[str, dict[str, ast.expr]]:
        """What the class is decorated with, which is removed, and what that is told."""
        decorator, *more = node.decorator_list
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        kind = ast.unparse(called).removeprefix("attrs.")
        if more or kind not in ("frozen", "define"):
            self._refuse(decorator, f"{node.name}, which is decorated with more than attrs.frozen or attrs.define")
        options = self._options(decorator, _OF_CLASSES) if isinstance(decorator, ast.Call) else {}
        if "init" in options and ast.unparse(options["init"]) != "False":
            self._refuse(decorator, "init")
        assert decorator.end_lineno is not None
        assert decorator.end_col_offset is not None
        at = decorator.lineno, decorator.col_offset - len("@"), decorator.end_lineno, decorator.end_col_offset
        self._edits.append((*at, ""))
        return kind, options

    def _options(self, call: ast.Call, known: frozenset[str]) -> dict[str, ast.expr]:
        options = {keyword.arg or "**": keyword.value for keyword in call.keywords}
        for name in options.keys() - known:
            self._refuse(call, name)
        if call.args:
            self._refuse(call, "an argument without a name")
        return options

    def _fields(self, node: ast.ClassDef) -> Iterator[_Field]:
        """The fields, from which all but name and type is removed."""
        for each in node.body:
            if isinstance(each, ast.Assign):
                self._refuse(each, f"{node.name}, which has an attribute of its own")
            if not isinstance(each, ast.AnnAssign):
                continue
            annotation = ast.unparse(each.annotation)
            if annotation.startswith("ClassVar"):
                continue
            options: dict[str, ast.expr] = {}
            value = each.value
            if isinstance(value, ast.Call) and ast.unparse(value.func).startswith("attrs."):
                if ast.unparse(value.func) != "attrs.field":
                    self._refuse(value, ast.unparse(value.func))
                options = self._options(value, _OF_FIELDS)
            elif value is not None:
                options = {"default": value}
            if value is not None:
                self._replace(each, f"{ast.unparse(each.target)}: {annotation}")
            yield _Field(ast.unparse(each.target), annotation, options)

    def _kept(self, node: ast.FunctionDef) -> str:
        """A property that is worked out once, but for values that are false: the attribute that keeps it."""
        last = node.body[-1]
        if (
            not isinstance(last, ast.Return)
            or last.value is None
            or node.returns is None
            or len(node.decorator_list) > 1
        ):
            self._refuse(node, f"{node.name}, which does not end in returning what is to be kept")
        name = f"kept_{node.name}"
        kept = f"self.{name}: {ast.unparse(node.returns)} | None = self.{name} or {ast.unparse(last.value)}"
        self._replace(node.decorator_list[0], "property")
        self._replace(last, f"{kept}; return self.{name}")
        return name


def _init(fields: Sequence[_Field], last: Sequence[str]) -> str:
    """The `__init__` that attrs would write, in one line."""
    given = [field for field in fields if field.given]
    named = [field.parameter for field in given if "kw_only" in field.options]
    parameters = ["self", *(field.parameter for field in given if "kw_only" not in field.options)]
    parameters += ["*", *named] if named else []
    statements = [*(field.statement for field in fields if field.statement is not None), *last]
    return f"def __init__({', '.join(parameters)}) -> None: {'; '.join(statements) or 'pass'}"


def _decorators(node: ast.ClassDef | ast.FunctionDef, name: str) -> bool:
    """Whether something is decorated with this, or with something of it."""
    found = (ast.unparse(each) for each in node.decorator_list)
    return any(each == name or each.startswith((f"{name}.", f"{name}(")) for each in found)


def _derivable(node: ast.ClassDef) -> bool:
    """Whether mypyc can make a class of its own, or leaves it to the interpreter by itself."""
    bases = (getattr(builtins, ast.unparse(base), object) for base in node.bases)
    return all(base in _BASES or not issubclass(base, BaseException) for base in bases)


def rewritten(text: str, name: str) -> str:
    """A module in the manner that suits mypyc. Raises `UnknownError`, which says where in the file `name`."""
    return _Module(text, name).rewritten()


def modules(sources: Path) -> list[Path]:
    """What is compiled of the package that lies there: paths within it."""
    rooms = (each.relative_to(sources) for room in ROOMS for each in sorted((sources / room).glob("*.py")))
    return [MESSAGES, *(each for each in rooms if each.name != "__init__.py" and each not in INTERPRETED)]


def write(sources: Path, directory: Path) -> list[Path]:
    """Write the core of the package that lies in one directory into another, ready for the compiler: what it is to
    compile there. Raises `UnknownError`."""
    for room in ("wire", *ROOMS):
        shutil.copytree(sources / room, directory / room, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "__init__.py").touch()
    compiled = modules(sources)
    for module in compiled:
        if module == MESSAGES:
            text = native_module()
        else:
            text = rewritten((sources / module).read_text(encoding="utf-8"), str(module))
        (directory / module).write_text(text, encoding="utf-8")
    return [directory / module for module in compiled]


def main(argv: Sequence[str]) -> int:
    """Lists what was written. 0: written; 1: something is not known; 2: wrong usage."""
    if len(argv) != 2:
        print("usage: python -m p2pwire.generate.compiled SOURCES DIRECTORY", file=sys.stderr)
        return 2
    try:
        print(*write(Path(argv[0]), Path(argv[1])), sep="\n")
    except UnknownError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
