"""Files that hold a secret: a peer's identity, and the secret of a private network.

An identity file is three lines of text, nothing before, between or after them:

    p2pwire identity 1
    id <the public identity: 52 characters of base32>
    seed <the secret seed: 52 characters of base32>

The first line names the format and its version. The id follows from the seed; it is there for people, and because a
damaged file then contradicts itself. A network secret file is the secret's bytes, any bytes, and at most one line end
after them.

Neither may be open to group or others: mode 0600 or less, and owned by the user who runs the program.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from p2pwire.crypto.identity import IDENTITY_SIZE, Identity, peer_id_text
from p2pwire.wire.keys import decode_name, encode_name

MAX_SECRET_FILE: Final = 4096
"""bytes of an identity or network secret file: far above any real one, so that a wrong path costs nothing."""

MIN_NETWORK_SECRET: Final = 16
"""bytes of a network secret: 128 bits if they are random. One recorded handshake is enough to try guesses on."""

_HEADER: Final = "p2pwire identity 1"
_MODE: Final = 0o600


class SecretFileError(Exception):
    """A secret file cannot be used or made. `path` is the file and `reason` why; neither tells the secret."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class IdentityFileError(SecretFileError):
    """An identity file cannot be used or made."""


class NetworkSecretError(SecretFileError):
    """A network secret file cannot be used."""


def create_identity_file(path: str | os.PathLike[str], seed: bytes | None = None) -> Identity:
    """Write a new identity file with mode 0600: whole or not at all, and never over a file that is there.

    `seed` is 32 secret bytes (ValueError for another size); without it they are drawn from the operating system.
    Raises IdentityFileError if `path` exists, even as a dangling link, or cannot be written.
    """
    path = Path(path)
    identity = Identity.from_seed(secrets.token_bytes(IDENTITY_SIZE) if seed is None else seed)
    try:
        _write_new(path, _content(identity))
    except FileExistsError:
        raise IdentityFileError(path, "it exists; an identity is never overwritten") from None
    except OSError as error:
        raise IdentityFileError(path, f"cannot be written: {error.strerror}") from error
    return identity


def load_identity(path: str | os.PathLike[str]) -> Identity:
    """The identity in a file that `create_identity_file` wrote.

    Raises IdentityFileError if the file is missing, no regular file, not the user's own, open to group or others, or
    not in this format, and if its seed and its id do not belong together.
    """
    path = Path(path)
    content = _read_private(path, IdentityFileError)
    lines = content.decode("ascii", "replace").split("\n")
    if lines[0] != _HEADER:
        raise IdentityFileError(path, f"not an identity file of version 1: the first line is not {_HEADER!r}")
    # No message may quote what it found here: it could be the seed.
    try:
        identity = Identity.from_seed(decode_name(lines[2].removeprefix("seed ")))
    except (IndexError, ValueError):
        raise IdentityFileError(path, "damaged: the third line is not 'seed' and 52 characters of base32") from None
    if content != _content(identity):
        raise IdentityFileError(path, "damaged: the seed and the rest of the file do not belong together")
    return identity


def load_network_secret(path: str | os.PathLike[str]) -> bytes:
    """The secret of a private network: the bytes of a file, without one line end (LF or CR LF) after them.

    Raises NetworkSecretError as load_identity does, and if fewer than 16 bytes are left.
    """
    path = Path(path)
    content = _read_private(path, NetworkSecretError)
    if content.endswith(b"\n"):
        content = content[: -2 if content.endswith(b"\r\n") else -1]
    if len(content) < MIN_NETWORK_SECRET:
        raise NetworkSecretError(path, f"a secret of {len(content)} bytes; it takes at least {MIN_NETWORK_SECRET}")
    return content


def _content(identity: Identity) -> bytes:
    """The one way to write an identity file."""
    return f"{_HEADER}\nid {peer_id_text(identity.public)}\nseed {encode_name(identity.seed)}\n".encode("ascii")


def _write_new(path: Path, content: bytes) -> None:
    """Make `path` with `content`, or raise OSError: FileExistsError if there is something by that name."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            if os.name == "posix":
                os.fchmod(descriptor, _MODE)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, fails if the name is taken: there is no moment between looking and writing.
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make a new name last. Some systems cannot open or sync a directory; the file's content is safe already."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read_private(path: Path, failure: type[SecretFileError]) -> bytes:
    """The content of a file that only its owner, the user, can open. Raises `failure`."""
    try:
        # Without O_NONBLOCK a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise failure(path, f"cannot be opened: {error.strerror}") from error
    try:
        # The opened file is looked at, not the name: it may already name another.
        _check_private(path, os.fstat(descriptor), failure)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_SECRET_FILE + 1)
    except OSError as error:
        raise failure(path, f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > MAX_SECRET_FILE:
        raise failure(path, f"longer than {MAX_SECRET_FILE} bytes; it cannot be such a file")
    return content


def _check_private(path: Path, status: os.stat_result, failure: type[SecretFileError]) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise failure(path, f"it is {kind}")
    if os.name != "posix":
        return  # There mode bits and owners say nothing.
    if status.st_uid != os.geteuid():
        raise failure(path, f"it belongs to user {status.st_uid} and not to the user who reads it ({os.geteuid()})")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise failure(path, f"mode {mode:04o} lets others than its owner in; make it 0600 (chmod 600)")
