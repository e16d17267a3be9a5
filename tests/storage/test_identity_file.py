"""Files that hold a secret: made once, whole and private; read only if they are private and undamaged."""

from __future__ import annotations

import os
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pwire.crypto.identity import Identity, peer_id_text
from p2pwire.storage.identity_file import (
    MAX_SECRET_FILE,
    MIN_NETWORK_SECRET,
    IdentityFileError,
    NetworkSecretError,
    SecretFileError,
    create_identity_file,
    load_identity,
    load_network_secret,
)

SEED = bytes(range(32))
IDENTITY = Identity.from_seed(SEED)
TEXT = f"p2pwire identity 1\nid {peer_id_text(IDENTITY.public)}\nseed {peer_id_text(SEED)}\n"
READERS: list[tuple[Callable[[Path], object], type[SecretFileError]]] = [
    (load_identity, IdentityFileError),
    (load_network_secret, NetworkSecretError),
]
posix_only = pytest.mark.skipif(os.name != "posix", reason="mode bits and owners are POSIX's")


def private(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def refused(path: Path, match: str) -> IdentityFileError:
    with pytest.raises(IdentityFileError, match=match) as caught:
        load_identity(path)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value


# --- Making ---


def test_a_new_identity_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "alice.identity"
    created = create_identity_file(path, SEED)
    assert created == load_identity(path) == load_identity(str(path)) == IDENTITY
    assert load_identity(path).seed == SEED
    assert path.read_text() == TEXT
    assert os.listdir(tmp_path) == [path.name]


def test_without_a_seed_each_is_another(tmp_path: Path) -> None:
    first, second = create_identity_file(tmp_path / "1"), create_identity_file(tmp_path / "2")
    assert first != second
    assert (load_identity(tmp_path / "1"), load_identity(tmp_path / "2")) == (first, second)


@posix_only
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_mode_is_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        create_identity_file(tmp_path / "file", SEED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["file", "empty file", "directory", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "identity"
    if kind == "directory":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        private(path, TEXT if kind == "file" else "")
    before = path.lstat()
    with pytest.raises(IdentityFileError, match="it exists; an identity is never overwritten"):
        create_identity_file(path)
    assert os.listdir(tmp_path) == [path.name]
    assert (path.lstat().st_ino, path.lstat().st_size) == (before.st_ino, before.st_size)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IdentityFileError, match="cannot be written: No such file or directory"):
        create_identity_file(tmp_path / "missing" / "identity")


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(IdentityFileError, match="cannot be written: No space left on device"):
        create_identity_file(tmp_path / "identity")
    assert os.listdir(tmp_path) == []


def test_the_content_is_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, link = os.fsync, os.link

    def watched_fsync(descriptor: int) -> None:
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        if calls[-1] == "file":
            assert os.fstat(descriptor).st_size == len(TEXT)
        fsync(descriptor)

    def watched_link(source: str, target: Path) -> None:
        calls.append("name")
        link(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "link", watched_link)
    create_identity_file(tmp_path / "identity", SEED)
    assert calls == ["file", "name", "directory"]


def test_a_wrong_seed_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="31 bytes instead of 32"):
        create_identity_file(tmp_path / "identity", bytes(31))
    assert os.listdir(tmp_path) == []


# --- Reading: what both kinds of file have in common ---


@pytest.mark.parametrize(("read", "error"), READERS)
def test_missing_directory_and_pipe(
    tmp_path: Path, read: Callable[[Path], object], error: type[SecretFileError]
) -> None:
    with pytest.raises(error, match="cannot be opened: No such file or directory"):
        read(tmp_path / "missing")
    with pytest.raises(error, match="it is a directory"):
        read(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(error, match="it is no regular file"):
            read(tmp_path / "pipe")


@posix_only
@pytest.mark.parametrize(("read", "error"), READERS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_open_to_others_is_refused(
    tmp_path: Path, read: Callable[[Path], object], error: type[SecretFileError], mode: int
) -> None:
    path = private(tmp_path / "file", TEXT)
    path.chmod(mode)
    with pytest.raises(error, match=rf"mode {mode:04o} lets others than its owner in; .*chmod 600"):
        read(path)


@posix_only
@pytest.mark.parametrize(("read", "error"), READERS)
def test_a_file_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], error: type[SecretFileError]
) -> None:
    path = private(tmp_path / "file", TEXT)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(error, match=rf"it belongs to user {owner} and not to .* \({owner + 1}\)"):
        read(path)


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "file", TEXT)
    path.chmod(mode)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert load_identity(path) == load_identity(link) == IDENTITY


@pytest.mark.parametrize(("read", "error"), READERS)
def test_a_huge_file_is_not_read_whole(
    tmp_path: Path, read: Callable[[Path], object], error: type[SecretFileError]
) -> None:
    path = private(tmp_path / "file", b"")
    os.truncate(path, 2**40)
    with pytest.raises(error, match=f"longer than {MAX_SECRET_FILE} bytes"):
        read(path)


@pytest.mark.parametrize(("read", "error"), READERS)
def test_a_disk_error_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], error: type[SecretFileError]
) -> None:
    def failing_read() -> None:
        def fail(_: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:  # pytest itself needs fstat to show a failure
            patch.setattr(os, "fstat", fail)
            read(path)

    path = private(tmp_path / "file", TEXT)
    with pytest.raises(error, match="cannot be read: Input/output error"):
        failing_read()


# --- Reading identities ---


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    original = TEXT.encode()
    for position in range(len(original)):
        for bit in range(8):
            changed = bytearray(original)
            changed[position] ^= 1 << bit
            private(path, bytes(changed))
            refused(path, "damaged|not an identity file")


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    for size in range(len(TEXT)):
        refused(private(tmp_path / "file", TEXT[:size]), "damaged|not an identity file")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "not an identity file of version 1"),
        (TEXT.replace("1", "2", 1), "not an identity file of version 1"),
        ("\ufeff" + TEXT, "not an identity file of version 1"),
        (TEXT.replace("\n", "\r\n"), "not an identity file of version 1"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "not an identity file of version 1"),
        (TEXT.upper().replace("P2PWIRE IDENTITY", "p2pwire identity"), "the third line is not 'seed'"),
        ("\n".join([TEXT.split("\n")[0], *reversed(TEXT.split("\n")[1:3]), ""]), "the third line is not 'seed'"),
        (TEXT.split("\n")[0] + "\n", "the third line is not 'seed'"),
        (TEXT[:-2] + "\n", "the third line is not 'seed'"),
        (TEXT.replace("seed ", "seed  "), "the third line is not 'seed'"),
        (TEXT.replace("seed ", ""), "do not belong together"),
        (TEXT.replace(peer_id_text(SEED), peer_id_text(SEED).upper()), "do not belong together"),
        (TEXT.replace(peer_id_text(SEED), peer_id_text(bytes(32))), "do not belong together"),
        (TEXT.replace(peer_id_text(IDENTITY.public), "a" * 52), "do not belong together"),
        (TEXT.replace("\nid ", "\nid ä"), "do not belong together"),
        (TEXT + "\n", "do not belong together"),
        (TEXT + "seed again\n", "do not belong together"),
    ],
)
def test_other_contents_are_refused_without_telling_the_seed(tmp_path: Path, content: str, match: str) -> None:
    error = refused(private(tmp_path / "file", content), match)
    shown = "".join(traceback.format_exception(error))
    assert peer_id_text(SEED)[:20] not in shown


def test_binary_content_is_refused(tmp_path: Path) -> None:
    refused(private(tmp_path / "file", bytes(range(256))), "not an identity file of version 1")


# --- Reading network secrets ---


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"correct horse battery staple\n", b"correct horse battery staple"),
        (b"correct horse battery staple\r\n", b"correct horse battery staple"),
        (b"correct horse battery staple", b"correct horse battery staple"),
        (b"correct horse battery staple\n\n", b"correct horse battery staple\n"),
        (b"correct horse battery staple \r", b"correct horse battery staple \r"),
        (bytes(range(32)), bytes(range(32))),
        (b"x" * MIN_NETWORK_SECRET, b"x" * MIN_NETWORK_SECRET),
        (b"x" * MAX_SECRET_FILE, b"x" * MAX_SECRET_FILE),
    ],
)
def test_a_network_secret_is_the_bytes_without_one_line_end(tmp_path: Path, content: bytes, secret: bytes) -> None:
    assert load_network_secret(private(tmp_path / "file", content)) == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"fifteen bytes..", b"fifteen bytes..\n", b"fifteen bytes..\r\n"])
def test_a_short_network_secret_is_refused_and_not_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NetworkSecretError, match=r"a secret of (0|15) bytes; it takes at least 16") as caught:
        load_network_secret(private(tmp_path / "file", content))
    assert "fifteen" not in str(caught.value)
