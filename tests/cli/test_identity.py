"""`identity new` and `identity show`."""

from __future__ import annotations

import stat
from pathlib import Path

from p2pwire.crypto.identity import peer_id_text
from p2pwire.storage.identity_file import load_identity

from .program import run


def test_a_new_identity_is_private_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "alice"
    made = run("identity", "new", file)
    peer = peer_id_text(load_identity(file).public)
    assert (made.code, made.out) == (0, f"{peer}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("identity", "show", file).out == f"{peer}\n"
    assert run("identity", "show", "--json", file).events == [{"event": "identity", "id": peer, "path": str(file)}]


def test_the_secret_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "alice"
    said = [run("identity", "new", "--json", "-v", file), run("identity", "show", "-v", file)]
    secret = peer_id_text(load_identity(file).seed)
    assert not any(secret in one.out + one.err for one in said)


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "alice"
    run("identity", "new", file)
    before = file.read_bytes()
    again = run("identity", "new", file)
    assert again.code == 1
    assert again.sentence == f"p2pwire: {file}: it exists; an identity is never overwritten"
    assert file.read_bytes() == before


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "alice"
    run("identity", "new", file)
    file.chmod(0o640)
    shown = run("identity", "show", "--json", file)
    assert shown.code == 1
    assert "chmod 600" in shown.sentence
    assert shown.events == [
        {"event": "error", "code": "secret-file", "message": shown.sentence.removeprefix("p2pwire: ")}
    ]


def test_what_is_no_identity_is_one_sentence(tmp_path: Path) -> None:
    assert "No such file" in run("identity", "show", tmp_path / "none").sentence
    assert "it is a directory" in run("identity", "show", tmp_path).sentence
    assert run("identity", "new", tmp_path / "no" / "where").code == 1
