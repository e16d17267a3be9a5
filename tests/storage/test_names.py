"""Names that one file system cannot hold, or takes for the same: refused before a byte is fetched."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.storage import (
    MACOS_NAMES,
    POSIX_NAMES,
    WINDOWS_NAMES,
    FileSystemStorage,
    NameRules,
    StorageError,
    StorageErrorKind,
    share_bytes,
    share_folder,
)
from p2pwire.storage.names import check_paths, local_names

from .answers import answers, blob, in_memory, on_disk

RESERVED = [
    "CON",
    "con",
    "Nul.txt",
    "AUX .tar.gz",
    "COM1",
    "lpt9.log",
    "COM¹",
    "CONIN$",
    "a/PRN/b",
    "dot.",
    "space ",
    "a ./b",
    "c:file",
    "stream:x",
    "what?",
    "a*",
    'a"b',
    "a<b",
    "a>b",
    "a|b",
]
FINE = ["CONSOLE", "COM", "COM10", "nul_", "a.b", ".hidden", " x", "LPT", "näme", "x.con"]


@pytest.mark.parametrize("path", RESERVED)
def test_reserved_on_windows(tmp_path: Path, path: str) -> None:
    content = share_folder({path: b"x", "other": b"y"})
    assert content.manifest is not None
    raw = bytes(content.manifest.data)
    download = FileSystemStorage(tmp_path, names=WINDOWS_NAMES).open_download(content.info, "name")
    with pytest.raises(StorageError, match="which this system does not allow") as caught:
        download.put_manifest(raw, content.manifest)
    assert caught.value.kind == StorageErrorKind.NAME
    assert caught.value.path == path
    assert download.manifest is None
    download.close()
    assert not any(tmp_path.iterdir())
    if "/" not in path:
        with pytest.raises(StorageError) as caught:
            FileSystemStorage(tmp_path, names=WINDOWS_NAMES).open_download(blob(1).info, path)
        assert caught.value.kind == StorageErrorKind.NAME
    arrive(tmp_path / "posix", {path: b"x"})


@pytest.mark.parametrize("path", FINE)
def test_not_reserved_on_windows(tmp_path: Path, path: str) -> None:
    arrive(tmp_path, {path: b"x", f"d/{path}": b"y"}, WINDOWS_NAMES)


def arrive(directory: Path, files: dict[str, bytes], names: NameRules = POSIX_NAMES) -> None:
    content = share_folder({**files})
    assert content.manifest is not None
    download = FileSystemStorage(directory, names=names).open_download(content.info, "name")
    download.put_manifest(bytes(content.manifest.data), content.manifest)
    for writes in answers(content):
        download.write_blocks(writes)
    assert on_disk(download.finish()) == in_memory(content)
    download.close()


COLLISIONS = [
    (["A", "a"], True, True),
    (["a/x", "A/y"], True, True),
    (["a/b/c", "a/B/d/e"], True, True),
    (["STRASSE", "straße"], True, True),
    (["a", "A/x"], True, True),
    (["é", "e\u0301"], False, True),
    (["É/x", "e\u0301/y"], False, True),
    (["a/x", "a/y", "b/x"], False, False),
    (["aa", "a/a", "b"], False, False),
]


@pytest.mark.parametrize(("paths", "windows", "macos"), COLLISIONS)
def test_names_that_are_one(tmp_path: Path, paths: list[str], windows: bool, macos: bool) -> None:
    check_paths(paths, POSIX_NAMES)
    for rules, collides in ((WINDOWS_NAMES, windows), (MACOS_NAMES, macos)):
        if collides:
            with pytest.raises(StorageError, match="are one name on this file system") as caught:
                check_paths(paths, rules)
            assert caught.value.kind == StorageErrorKind.NAME
        else:
            check_paths(paths, rules)
    if "a" not in paths or "A/x" not in paths:
        arrive(tmp_path, dict.fromkeys(paths, b"x"))


class FoldingSystem:
    """Lets the calls that name files fold the names, as the file systems of other systems do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("open", "mkdir", "stat", "unlink", "rmdir"):
            monkeypatch.setattr(os, name, self.folding(getattr(os, name)))

    @staticmethod
    def folding(call: Any) -> Any:
        def folded(path: Any, *args: Any, **options: Any) -> Any:
            if isinstance(path, bytes) and options.get("dir_fd") is not None:
                path = unicodedata.normalize("NFD", path.decode().casefold()).encode()
            return call(path, *args, **options)

        return folded


@pytest.mark.parametrize("paths", [paths for paths, _, macos in COLLISIONS if macos and paths != ["a", "A/x"]])
def test_the_file_system_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str]) -> None:
    """Rules that know nothing of it (POSIX_NAMES) do not matter."""
    content = share_folder(dict.fromkeys(paths, b"x"))
    assert content.manifest is not None
    download = FileSystemStorage(tmp_path, names=POSIX_NAMES).open_download(content.info, "name")
    with monkeypatch.context() as patch:
        FoldingSystem(patch)
        with pytest.raises(StorageError, match="takes it for another path of the same folder") as caught:
            download.put_manifest(bytes(content.manifest.data), content.manifest)
    assert caught.value.kind == StorageErrorKind.NAME
    assert caught.value.path in paths
    download.close()
    again = FileSystemStorage(tmp_path).open_download(content.info, "name")
    again.close()
    assert not any(tmp_path.iterdir())


def test_a_collision_is_found_after_a_death_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier attempt began to lay out does not pass for the second of two colliding files."""
    content = share_folder({"A": b"x", "a": b"y"})
    assert content.manifest is not None
    FoldingSystem(monkeypatch)
    real = os.open
    now, later = tmp_path / "now", tmp_path / "later"

    def die_at_the_second(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_EXCL and Path("/dev/fd", str(options["dir_fd"]), "a").exists():
            shutil.copytree(now, later)  # what a death at this instant leaves
            raise KeyboardInterrupt
        return real(path, flags, *args, **options)

    download = FileSystemStorage(now).open_download(content.info, "name")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            download.put_manifest(bytes(content.manifest.data), content.manifest)
    download.close()
    with pytest.raises(StorageError, match="takes it for another path of the same folder") as caught:
        FileSystemStorage(later).open_download(content.info, "name")
    assert caught.value.kind == StorageErrorKind.NAME


@given(st.lists(st.text("aAäÄ", min_size=1, max_size=3), unique=True, max_size=8))
def test_collisions_are_what_folding_says(names: list[str]) -> None:
    folded = {unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold()) for name in names}
    try:
        check_paths(names, MACOS_NAMES)
    except StorageError:
        assert len(folded) < len(names)
    else:
        assert len(folded) == len(names)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a\\b",
        "a\0b",
        "a\x1b",
        "a\x7f",
        "a\x9b",
        "x" * 256,
        "é" * 128,
        "\udcff",
        ".p2pwire-x",
    ],
)
def test_no_name_leads_anywhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="cannot store") as caught:
        FileSystemStorage(tmp_path / "in").open_download(share_bytes(b"x").info, name)
    assert caught.value.kind == StorageErrorKind.NAME
    assert caught.value.text.isprintable()
    assert not any(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["a", "x" * 255, "日本\u3000語", " ", "-rf", "~", "$HOME", "name with 🙂"])
def test_names_that_people_use(tmp_path: Path, name: str) -> None:
    content = blob(1)
    download = FileSystemStorage(tmp_path).open_download(content.info, name)
    for writes in answers(content):
        download.write_blocks(writes)
    assert download.finish() == tmp_path / name
    assert os.listdir(tmp_path) == [name]
    download.close()


def test_the_rules_of_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, rules in {"linux": POSIX_NAMES, "darwin": POSIX_NAMES, "win32": WINDOWS_NAMES}.items():
        monkeypatch.setattr("sys.platform", platform)
        assert local_names() == rules
