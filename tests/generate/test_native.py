"""The codec for the compiled build says the same as the one that everybody has; `.ci/run` compiles and tests it."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from p2pwire.generate.codec import messages_module
from p2pwire.generate.native import main, native_module
from p2pwire.wire import messages
from p2pwire.wire.messages import Buffer

REFERENCE = ast.parse(messages_module())
NATIVE = ast.parse(native_module())


def classes(module: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}


def faults(node: ast.AST) -> Iterator[str]:
    """What is looked at before each error, and the error."""
    for each in ast.walk(node):
        if isinstance(each, ast.If) and isinstance(each.body[0], ast.Raise):
            yield f"{ast.unparse(each.test)}: {ast.unparse(each.body[0])}"
        elif isinstance(each, ast.ExceptHandler):
            yield ast.unparse(each)


def formats(module: ast.Module) -> list[str]:
    return [
        ast.unparse(node)
        for node in module.body
        if isinstance(node, ast.AnnAssign) and "struct.Struct" in ast.unparse(node)
    ]


def test_classes_methods_and_formats_are_the_same() -> None:
    assert list(classes(NATIVE)) == list(classes(REFERENCE))
    assert formats(NATIVE) == formats(REFERENCE)
    for name, node in classes(REFERENCE).items():
        own = {"__init__", "__reduce__"} if attrs.has(getattr(messages, name)) else set()
        assert set(methods(classes(NATIVE)[name])) == set(methods(node)) | own


@pytest.mark.parametrize("name", classes(REFERENCE))
def test_every_check_is_the_same(name: str) -> None:
    expected, found = classes(REFERENCE)[name], classes(NATIVE)[name]
    for method, node in methods(expected).items():
        assert list(faults(methods(found)[method])) == list(faults(node)), method


def readers() -> dict[str, Any]:
    """The formats of the codec, their methods, what reads in the methods' place, and what copies."""
    kept: list[ast.stmt] = [
        node
        for node in NATIVE.body
        if (isinstance(node, ast.AnnAssign) and re.search(r"_UNPACK|struct\.Struct", ast.unparse(node)))
        or (isinstance(node, ast.FunctionDef) and re.search("_unpack(_from)?$|^_copied$", node.name))
    ]
    space: dict[str, Any] = {"struct": struct}
    exec(compile(ast.Module(kept, []), "readers", "exec", annotations.compiler_flag), space)
    return space


READERS = readers()


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith("_UNPACK")])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_whole_message_is_read_as_its_format_says(name: str, kind: Callable[[bytes], Buffer]) -> None:
    form, read = READERS[name.removesuffix("_UNPACK")], READERS[name.lower()]
    for whole in (bytes(form.size), bytes(range(1, form.size + 1)), b"\xff" * form.size):
        assert read(kind(whole)) == form.unpack(whole)
        for other in (whole[1:], whole + b"\0", b""):
            with pytest.raises(struct.error):
                read(kind(other))


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith("_UNPACK_FROM")])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_part_of_a_message_is_read_as_its_format_says(name: str, kind: Callable[[bytes], Buffer]) -> None:
    form, read = READERS[name.removesuffix("_UNPACK_FROM")], READERS[name.lower()]
    for part in (bytes(form.size), bytes(range(1, form.size + 1)), b"\xff" * form.size):
        found = form.unpack(part)
        assert read(kind(part + b"more")) == found
        assert read(kind(b"before" + part), 6) == found
        assert read(kind(part), -form.size) == found
        for at in (1, form.size + 1, -form.size - 1):
            with pytest.raises(struct.error):
                read(kind(part), at)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_copied_from_any_buffer(kind: Callable[[bytes], Buffer]) -> None:
    for at, end in ((2, 5), (0, 7), (3, 3), (7, 7), (-3, 6), (-1, 2)):
        found = READERS["_copied"](kind(b"0123456"), at, end)
        assert (type(found), found) == (bytes, b"0123456"[at:end])


def test_each_field_is_made_and_completed() -> None:
    completed = {
        node.value.args[0].id: [keyword.arg for keyword in node.value.keywords]
        for node in NATIVE.body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and isinstance(node.value.args[0], ast.Name)
        and node.value.func.id == "_complete"
    }
    for name in classes(REFERENCE):
        kind = getattr(messages, name)
        if attrs.has(kind):
            fields = [field.name for field in attrs.fields(kind)]
            assert completed[name] == fields
            init = methods(classes(NATIVE)[name])["__init__"]
            assert [argument.arg for argument in init.args.args] == ["self", *fields]
    sized = ast.unparse(NATIVE)
    assert "_complete(Data, id=False, block=False, proof=False, data=True)" in sized


def test_it_is_written_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "messages.py")]) == 0
    assert (tmp_path / "messages.py").read_text(encoding="utf-8") == native_module()
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
