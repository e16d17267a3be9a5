"""Why a command fails: a code for programs, one sentence for people."""

from __future__ import annotations

from p2pwire.content.manifest import ManifestError
from p2pwire.node.downloads import LengthError
from p2pwire.storage.errors import StorageError
from p2pwire.storage.identity_file import SecretFileError


class CommandError(Exception):
    """The command could not do what it was asked for; it exits with 1."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """A word or two joined by "-", which stays the same from version to version."""
        self.message = message
        """One sentence, which names what it is about."""


def failure_of(error: Exception) -> CommandError | None:
    """The failure that an error stands for; None for one that only a mistake in this program can cause."""
    if isinstance(error, ExceptionGroup):
        return next((failure for inner in error.exceptions if (failure := failure_of(inner)) is not None), None)
    if isinstance(error, CommandError):
        return error
    if isinstance(error, StorageError):
        return CommandError(error.kind.value, error.text)
    if isinstance(error, LengthError):
        return CommandError("wrong-length", str(error))
    if isinstance(error, ManifestError):
        return CommandError("bad-manifest", f"what the URI names is no folder that can be used: {error}")
    if isinstance(error, SecretFileError):
        return CommandError("secret-file", str(error))
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return CommandError("system", f"{place}{error.strerror or type(error).__name__}")
    return None
