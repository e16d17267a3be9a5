"""Which names this file system can hold, and which of them it takes for one and the same.

A manifest's paths obey byte rules only, so that they are valid everywhere or nowhere. What one system makes of them is
checked here, on that system, before a byte is fetched. The tables are a courtesy that names both paths: the truth is
the file system's own, asked when the files are made (`p2pwire.storage.area`).
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from typing import Final

import attrs

from p2pwire.content.uri import UriError, check_name
from p2pwire.storage.errors import StorageError, StorageErrorKind, shown

AREA_PREFIX: Final = ".p2pwire-"
"""How the directory of an unfinished download begins; no finished one may be called so."""

_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
    + [port + digit for port in ("COM", "LPT") for digit in "0123456789¹²³"]
)
_WINDOWS_CHARACTERS: Final = frozenset('<>:"|?*')


@attrs.frozen
class NameRules:
    """What a file system, or the system above it, does to names."""

    reserved: bool = False
    """Windows: device names, some characters, and a dot or space at the end have other meanings."""
    folds_case: bool = False
    """Two names that differ by case alone are one."""
    normalises: bool = False
    """Two spellings of the same Unicode text are one."""

    def fault(self, component: str) -> str | None:
        """Why a component cannot be a name here, or None."""
        if not self.reserved:
            return None
        if component[-1] in ". ":
            return "it ends with a dot or a space"
        if bad := _WINDOWS_CHARACTERS.intersection(component):
            return f"it contains {min(bad)!r}"
        if component.partition(".")[0].rstrip(" ").upper() in _DEVICES:
            return "it is the name of a device"
        return None

    def fold(self, path: str) -> str:
        """The same text for all paths that are one path here."""
        if self.normalises:
            path = unicodedata.normalize("NFD", path)
        if self.folds_case:
            path = unicodedata.normalize("NFD", path.casefold()) if self.normalises else path.casefold()
        return path


POSIX_NAMES: Final = NameRules()
WINDOWS_NAMES: Final = NameRules(reserved=True, folds_case=True)
MACOS_NAMES: Final = NameRules(folds_case=True, normalises=True)
"""What most of its file systems do."""


def local_names() -> NameRules:
    """The rules that hold on every file system of this machine: on macOS, for one, some fold names and some do not."""
    return WINDOWS_NAMES if sys.platform == "win32" else POSIX_NAMES


def check_paths(paths: Iterable[str], rules: NameRules) -> None:
    """Raise StorageError (NAME) at the first path that cannot be stored beside the others."""
    if rules == POSIX_NAMES:
        return
    folded: dict[str, str] = {}
    for path in paths:
        end = 0
        while end < len(path):
            begin, end = end, path.find("/", end + 1)
            end = len(path) if end < 0 else end
            prefix = path[:end]
            if folded.setdefault(rules.fold(prefix), prefix) != prefix:
                other = folded[rules.fold(prefix)]
                raise name_error(path, f"{shown(other)} and {shown(prefix)} are one name on this file system")
            if fault := rules.fault(path[begin:end].lstrip("/")):
                raise name_error(path, f"{fault}, which this system does not allow")


def check_final_name(name: str, rules: NameRules) -> None:
    """Raise StorageError (NAME) unless `name` may stand in the destination: one component, not one of our own areas."""
    try:
        check_name(name)
    except UriError as error:
        raise name_error(name, error.limit) from None
    if name.startswith(AREA_PREFIX):
        raise name_error(name, "it is reserved for unfinished downloads")
    if fault := rules.fault(name):
        raise name_error(name, f"{fault}, which this system does not allow")


def name_error(path: str, reason: str) -> StorageError:
    """A StorageError (NAME) about a path."""
    return StorageError(StorageErrorKind.NAME, shown(path), f"cannot store {shown(path)}: {reason}")
