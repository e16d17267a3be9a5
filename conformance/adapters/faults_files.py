"""Faults of the reference in what it writes to the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from p2pwire.storage import errors, filesystem, names
from p2pwire.storage.filesystem import FileSystemDownload, FileSystemStorage

import reference
from faults import mutant


def _opens(before: Any) -> None:
    """Do this before a download is opened."""
    right = FileSystemStorage.open_download

    def changed(self: Any, info: Any, name: str, progress: Any = None) -> Any:
        before(self, info, name)
        return right(self, info, name, progress)

    FileSystemStorage.open_download = changed


def _finishes(change: Any) -> None:
    """Do this about the end of a download."""
    right = FileSystemDownload.finish
    FileSystemDownload.finish = lambda self: change(self, right)


@mutant
def writes_beside_its_directory() -> None:
    _opens(lambda self, info, name: (self.directory.parent / "notes").write_text(name))


@mutant
def makes_links() -> None:
    _opens(lambda self, info, name: (self.directory / "latest").symlink_to("nowhere"))


@mutant
def follows_symbolic_links() -> None:
    def follow(self: Any, info: Any, name: str) -> None:
        place = self.directory / name
        if place.is_symlink():
            (place.resolve() / "content").write_bytes(b"x")

    _opens(follow)


@mutant
def reserved_names_stored() -> None:
    filesystem.check_paths = lambda paths, rules: None


@mutant
def reserved_names_changed() -> None:
    def changed(self: Any, right: Any) -> Any:
        found = right(self)
        for path in list(Path(found).rglob("*")):
            path.rename(path.with_name(path.name + "_"))
        return found

    filesystem.check_paths = lambda paths, rules: None
    _finishes(changed)


@mutant
def overwrites_what_is_there() -> None:
    def remove(self: Any, info: Any, name: str) -> None:
        place = self.directory / name
        if place.is_file():
            place.unlink()

    _opens(remove)


@mutant
def reserves_the_declared_length() -> None:
    _opens(lambda self, info, name: (self.directory / ".reserved").write_bytes(b"\0" * min(info.length, 4 << 20)))


@mutant
def shows_the_name_at_once() -> None:
    _opens(lambda self, info, name: (self.directory / name).touch())

    def replace(self: Any, right: Any) -> Any:
        self.place.unlink()
        return right(self)

    _finishes(replace)
    FileSystemDownload._take_finished = lambda self, progress: False


@mutant
def believes_what_it_stored() -> None:
    restore = filesystem.restore

    def believing(files: Any, claimed: Any, progress: Any = None) -> Any:
        _, trees = restore(files, claimed, progress)
        return claimed.blocks, trees

    filesystem.restore = believing


@mutant
def everything_executable() -> None:
    def opened(self: Any, right: Any) -> Any:
        found = right(self)
        for path in Path(found).rglob("*"):
            path.chmod(0o777)
        return found

    _finishes(opened)


@mutant
def names_shown_as_they_are() -> None:
    names.shown = errors.shown = os.fsdecode


@mutant
def symbolic_links_shared() -> None:
    scan = reference.scan

    def following(path: str) -> Any:
        with tempfile.TemporaryDirectory() as copy:
            return scan(shutil.copytree(path, Path(copy) / "all"))

    reference.scan = following
