"""The core as it is compiled is the core that everybody has; `.ci/run` compiles and tests it."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from textwrap import indent
from types import ModuleType

import attrs
import pytest

import p2pwire
from p2pwire.generate.compiled import INTERPRETED, MESSAGES, UnknownError, main, modules, rewritten, write

SOURCES = Path(p2pwire.__file__).parent
REWRITTEN = [path for path in modules(SOURCES) if path != MESSAGES]


def text_of(path: Path) -> str:
    return (SOURCES / path).read_text(encoding="utf-8")


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(("p2pwire", *path.with_suffix("").parts)))


def classes(module: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}


def functions(node: ast.AST) -> dict[tuple[str, int], ast.FunctionDef]:
    found = [each for each in ast.walk(node) if isinstance(each, ast.FunctionDef)]
    return {(each.name, each.lineno): each for each in found}


def of_attrs(path: Path) -> dict[str, type[attrs.AttrsInstance]]:
    found = vars(module_of(path))
    return {name: found[name] for name in classes(ast.parse(text_of(path))) if "__attrs_attrs__" in vars(found[name])}


def completion(module: ast.Module, name: str) -> ast.Call:
    """What attrs is told of a class after it was made."""
    (call,) = (
        node.value
        for node in module.body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and node.value.args
        and ast.unparse(node.value.args[0]) == name
    )
    return call


@pytest.mark.parametrize("path", REWRITTEN, ids=str)
def test_all_else_stays_as_it_is_and_where_it_is(path: Path) -> None:
    before, after = ast.parse(text_of(path)), ast.parse(rewritten(text_of(path), str(path)))
    made = functions(after)
    for key, function in functions(before).items():
        kept = any(ast.unparse(each) == "cached_property" for each in function.decorator_list)
        if kept:
            assert ast.unparse(made[key].decorator_list[0]) == "property"
        else:
            assert ast.dump(made[key], include_attributes=True) == ast.dump(function, include_attributes=True)
    assert {name for name, _ in made.keys() - functions(before).keys()} <= {"__init__"}
    added = [ast.unparse(each) for each in after.body if ast.unparse(each).startswith("attrs.")]
    assert len(added) == len(of_attrs(path))
    others = [
        [ast.unparse(each) for each in each.body if not isinstance(each, ast.ClassDef)] for each in (before, after)
    ]
    assert [line for line in others[1] if line not in added] == others[0]


@pytest.mark.interpreted
@pytest.mark.parametrize("path", [path for path in REWRITTEN if of_attrs(path)], ids=str)
def test_what_is_written_out_is_what_attrs_writes(path: Path) -> None:
    tree = ast.parse(rewritten(text_of(path), str(path)))
    for name, cls in of_attrs(path).items():
        node = classes(tree)[name]
        assert not node.decorator_list
        methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
        arguments = methods["__init__"].args
        expected = inspect.signature(cls.__init__).parameters.values()
        assert [each.arg for each in (*arguments.args, *arguments.kwonlyargs)] == [each.name for each in expected]
        assert [each.arg for each in arguments.kwonlyargs] == [
            each.name for each in expected if each.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        assert len(arguments.defaults) + sum(each is not None for each in arguments.kw_defaults) == sum(
            each.default is not inspect.Parameter.empty for each in expected
        )


@pytest.mark.parametrize("path", [path for path in REWRITTEN if of_attrs(path)], ids=str)
def test_attrs_is_told_the_same_of_each_class(path: Path) -> None:
    tree = ast.parse(rewritten(text_of(path), str(path)))
    space = vars(module_of(path))
    for name, cls in of_attrs(path).items():
        own = {each.name for each in classes(tree)[name].body if isinstance(each, ast.FunctionDef)} & vars(cls).keys()
        plain = type(name, (), {each: vars(cls)[each] for each in own})
        code = ast.unparse(completion(tree, name))
        done = eval(code, {**space, name: plain})
        told = "eq", "repr", "hash", "order", "init", "kw_only", "alias"
        assert [(field.name, *(getattr(field, each) for each in told)) for field in attrs.fields(done)] == [
            (field.name, *(getattr(field, each) for each in told)) for field in attrs.fields(cls)
        ]
        for special in ("__eq__", "__repr__", "__hash__"):
            assert (getattr(done, special) is getattr(object, special)) == (
                getattr(cls, special) is getattr(object, special)
            )
        assert (done.__setattr__ is object.__setattr__) == (cls.__setattr__ is object.__setattr__)


def test_classes_without_a_check_work_uncompiled_too() -> None:
    text = '''from __future__ import annotations
import attrs


@attrs.define(eq=False)
class Thing:
    """A thing."""

    _a: int
    b: list[int] = attrs.field(
        factory=list,
        repr=False,
    )
    """After three lines."""
    c: str = "c"
    d: dict[str, int] = attrs.field(factory=lambda: {"d": 1}, init=False)
    e: int = attrs.field(init=False)
    f: int = attrs.field(default=2 + 2, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self.e = self._a + 1
'''
    made = rewritten(text, "thing.py")
    assert made.split("\n").index('    """After three lines."""') == 13
    space: dict[str, object] = {"__name__": "thing"}
    exec(compile(made, "thing.py", "exec"), space)
    thing = space["Thing"]
    assert isinstance(thing, type)
    assert repr(thing(1, f=3)) == "Thing(_a=1, c='c', d={'d': 1}, e=2, f=3)"
    one, other = thing(1), thing(a=1, b=[5], c="x")
    assert (one.b, other.b, other.c, one.f) == ([], [5], "x", 4)
    assert one.d is not other.d
    assert one != thing(1)
    with pytest.raises(TypeError):
        thing(1, [], "c", 4)


def test_what_is_looked_up_once_is_kept() -> None:
    text = '''from __future__ import annotations
import attrs
from functools import cached_property


@attrs.define
class Thing:
    a: int

    @cached_property
    def double(self) -> list[int]:
        """Twice."""
        return [self.a,
                self.a]
'''
    space: dict[str, object] = {"__name__": "thing"}
    exec(compile(rewritten(text, "thing.py"), "thing.py", "exec"), space)
    thing = space["Thing"]
    assert isinstance(thing, type)
    one = thing(3)
    assert one.double == [3, 3]
    assert one.double is one.double


HEAD = "import attrs\n\n\n"
THING = HEAD + "@attrs.frozen\nclass Thing:\n    a: int\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (THING.replace("@attrs.frozen", "@attrs.mutable"), "thing.py:4: .*Thing"),
        (THING.replace("@attrs.frozen", "@attrs.frozen\n@final"), "thing.py:4: .*Thing"),
        (THING.replace("@attrs.frozen", "@attrs.frozen(order=True)"), "thing.py:4: order"),
        (THING.replace("@attrs.frozen", "@attrs.frozen(init=True)"), "thing.py:4: init"),
        (THING.replace("@attrs.frozen", "@attrs.frozen(init=False)"), "thing.py:5: .*__init__"),
        (THING.replace("Thing:", "Thing(Other):"), "thing.py:5: .*derived"),
        (THING.replace("a: int", "a: int = attrs.field(converter=int)"), "thing.py:6: converter"),
        (THING.replace("a: int", "a: int = attrs.field(**more)"), r"thing.py:6: \*\*"),
        (THING.replace("a: int", "a: int = attrs.field(1)"), "thing.py:6: an argument"),
        (THING.replace("a: int", "a: int = attrs.Factory(int)"), "thing.py:6: attrs.Factory"),
        (THING.replace("a: int", "a = attrs.field()"), "thing.py:6: Thing, .*attribute"),
        (THING + "\n    @a.validator\n    def _check(self, field, value): ...\n", "thing.py:5: .*checks"),
        (THING + "\n    @a.default\n    def _default(self): ...\n", "thing.py:5: .*defaults"),
        (
            THING.replace("frozen", "define").replace("a: int", "a: int = attrs.field(validator=check)"),
            "thing.py:5: .*changed",
        ),
        (THING + "\n# At once.\n", "thing.py:5: line 8"),
        ("def made():\n" + indent(THING, "    "), "thing.py:6: .*within"),
        (
            HEAD + "@attrs.frozen\nclass Thing:\n    @cached_property\n    def a(self) -> int:\n        pass\n",
            "thing.py:7: a, ",
        ),
        (
            "def made():\n    try: ...\n    except A as error: ...\n    except B as error: ...\n",
            "thing.py:4: error, a name for errors of two kinds",
        ),
        ("\n\n@final\nclass Thing(RuntimeError):\n    pass\n", "thing.py:4: .*bases"),
    ],
)
def test_what_is_not_known_is_refused(text: str, what: str) -> None:
    with pytest.raises(UnknownError, match=what):
        rewritten(text, "thing.py")


def test_what_mypyc_can_not_derive_from_is_left_to_the_interpreter() -> None:
    text = "\n\nclass Own(RuntimeError): ...\n\n\nclass Good(ValueError): ...\n\n\nclass Next(Good): ...\n"
    assert rewritten(text, "thing.py") == text.replace("\nclass Own", "@(lambda made: made)\nclass Own", 1)


def test_types_of_a_named_tuple_become_text() -> None:
    text = "class Thing(NamedTuple):\n    a: dict[str,\n            int]\n    b: memoryview\n"
    assert rewritten(text, "thing.py") == "class Thing(NamedTuple):\n    a: 'dict[str, int]'\n\n    b: 'memoryview'\n"


def test_what_is_left_out_is_there(tmp_path: Path) -> None:
    assert all((SOURCES / path).is_file() for path in INTERPRETED)
    written = write(SOURCES, tmp_path / "p2pwire")
    assert {path.relative_to(tmp_path / "p2pwire") for path in written} == {MESSAGES, *REWRITTEN}
    for path in INTERPRETED:
        assert (tmp_path / "p2pwire" / path).read_text(encoding="utf-8") == text_of(path)


def test_main(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert main([str(SOURCES), str(tmp_path / "p2pwire")]) == 0
    assert str(tmp_path / "p2pwire" / "node" / "links.py") in capsys.readouterr().out.splitlines()
    broken = tmp_path / "p2pwire" / "crypto" / "identity.py"
    broken.write_text("@attrs.mutable\nclass Thing: ...\n", encoding="utf-8")
    assert main([str(tmp_path / "p2pwire"), str(tmp_path / "again")]) == 1
    assert "identity.py:1: " in capsys.readouterr().err
