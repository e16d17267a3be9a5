"""The Kaitai file compiles, and what it is compiled to reads the vectors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kaitaistruct import BytesIO, KaitaiStream, KaitaiStruct

from p2pwire.generate.form import MESSAGES
from p2pwire.generate.kaitai import type_name
from p2pwire.wire import messages
from p2pwire.wire.messages import HELLO_VALUES
from tests.interop.vectors import ROOT, accepted

HERE = Path(__file__).parent
FRAMES = {message.title: message.frame_type for message in MESSAGES if message.frame_type is not None}


def compile_to(language: str, directory: Path) -> list[Path]:
    environment = {**os.environ, "NODE_PATH": os.environ.get("NODE_PATH", str(ROOT / "node_modules"))}
    command = ["node", str(HERE / "compile.cjs"), str(ROOT / "conformance" / "p2pwire.ksy"), language, str(directory)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(directory.iterdir())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The root class of the reader that the compiler makes."""
    (path,) = compile_to("python", tmp_path_factory.mktemp("kaitai"))
    spec = importlib.util.spec_from_file_location("kaitai_p2pwire", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.P2pwire


@pytest.mark.parametrize("language", ["javascript", "java", "go", "rust", "cpp_stl"])
def test_it_compiles_to_other_languages(language: str, tmp_path: Path) -> None:
    assert all(path.stat().st_size > 1000 for path in compile_to(language, tmp_path))


def agrees(value: Any, read: Any) -> bool:
    """Whether a reader found what the vector says."""
    if isinstance(value, dict):
        return all(agrees(inner, getattr(read, name, None)) for name, inner in value.items())
    if isinstance(value, list):
        return len(value) == len(read) and all(map(agrees, value, read))
    if isinstance(read, KaitaiStruct):
        return agrees(value, raw_of(read))
    if isinstance(read, bytes):
        return bool(read.hex() == value)
    if read is None:
        # What is absent has the value that stands for it.
        return value in (0, "", "00" * 32)
    return bool(read == value)


def raw_of(read: KaitaiStruct) -> bytes:
    """The bytes of a substream."""
    read._io.seek(0)
    return bytes(read._io.read_bytes_full())


def test_it_reads_every_message_as_the_vectors_say(compiled: Any) -> None:
    titles = set()
    for title, data, value in accepted():
        if title == "HelloParameter" and value["tag"] in HELLO_VALUES:
            continue  # what its value is, HELLO alone says
        kind = getattr(compiled, type_name(title).title().replace("_", ""))
        read = kind(KaitaiStream(BytesIO(data)), None, None)
        titles.add(title)
        assert agrees(value, read), (title, value)
        assert read._io.is_eof(), title
    assert titles == {message.title for message in MESSAGES}


def test_it_reads_frames_one_after_another(compiled: Any) -> None:
    some = [(title, data) for title, data, _ in accepted() if title in FRAMES and len(data) < 2000]
    plain = b"".join(messages.FrameHeader(FRAMES[title], len(data)).encode() + data for title, data in some)
    read = compiled.from_bytes(plain)
    assert [type(frame.body).__name__ for frame in read.frames] == [title for title, _ in some]


@pytest.mark.parametrize(
    ("title", "data"),
    [("Ping", bytes(7)), ("Interest", bytes.fromhex("000102")), ("PreambleHeader", bytes(11)), ("Suggest", bytes(3))],
)
def test_it_refuses_what_its_limits_exclude(compiled: Any, title: str, data: bytes) -> None:
    with pytest.raises(Exception, match=r"(?i)requested|not equal|not in|range|than|valid"):
        getattr(compiled, title)(KaitaiStream(BytesIO(data)), None, None)
