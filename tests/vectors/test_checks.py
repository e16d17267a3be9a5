"""The checks of vectors can fail, and the ledger of ids lets none mean something else unsaid."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
from noise.connection import Keypair, NoiseConnection

from p2pwire.generate.vectors import ledger
from p2pwire.generate.vectors.book import Book, Vector, damage
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.files import DIRECTORY, LEDGER, vector_files

from . import reading
from .test_vectors import JUDGES, KNOWN

ROOT = Path(__file__).parents[2]
VECTOR = Vector("codec/A/one", "about", "accept", ("GN-001",), {"bytes": b"\1"}, {"value": 1})


@pytest.mark.parametrize("family", sorted(JUDGES))
def test_a_wrong_vector_is_found(family: str) -> None:
    """Every third vector says the opposite, and another output."""
    for vector in [v for v in KNOWN.values() if v["id"].startswith(f"{family}/")][::3]:
        wrong = copy.deepcopy(vector)
        wrong["result"] = "reject" if vector["result"] == "accept" else "accept"
        assert len(list(reading.problems([wrong], KNOWN, JUDGES[family]))) == 1
        if "output" in vector:
            wrong = {**vector, "output": {"nothing": 0}}
            assert list(reading.problems([wrong], KNOWN, JUDGES[family]))


def test_damage_that_leads_elsewhere_is_found() -> None:
    vector = copy.deepcopy(KNOWN["reject/Credit/one/longer"])
    vector["from"] = "codec/Credit/most"
    (found,) = reading.problems([vector], KNOWN, JUDGES["reject"])
    assert found.endswith("without its damage it is not codec/Credit/most")


def test_nothing_lies_there_that_nobody_generates() -> None:
    specification = (ROOT / "SPEC.md").read_text(encoding="utf-8")
    generated = {path.relative_to(ROOT) for path, _ in vector_files(ROOT, specification)}
    present = {path.relative_to(ROOT) for path in (ROOT / DIRECTORY).rglob("*") if path.is_file()}
    assert present == generated


def test_every_vector_of_a_file_is_of_its_family() -> None:
    for path in reading.files():
        assert {vector["id"].partition("/")[0] for vector in reading.vectors(path)} == {path.parent.name}
        assert path.stat().st_size < 1 << 20


def test_ids_are_told_apart_for_ever() -> None:
    first = ledger.enter({}, [VECTOR])
    assert first["codec/A/one"].revision == 1
    other = Vector("codec/A/one", "about", "accept", ("GN-001",), {"bytes": b"\2"}, {"value": 2})
    second = ledger.enter(first, [other])
    assert second["codec/A/one"].revision == 2
    assert ledger.enter(second, [other]) == second
    assert ledger.enter(second, []) == second, "an id that is gone stays taken"
    assert ledger.read(ledger.write(second)) == second
    words = Vector("codec/A/one", "other words", "accept", ("GN-008",), {"bytes": b"\2"}, {"value": 2}, ("flag",))
    assert ledger.enter(second, [words]) == second, "words and citations do not make another vector"
    with pytest.raises(ValueError, match="used twice"):
        ledger.enter({}, [VECTOR, VECTOR])


def test_the_committed_ledger_has_every_id_with_its_revision() -> None:
    entries = ledger.read((ROOT / DIRECTORY / LEDGER).read_text(encoding="utf-8"))
    revisions = {name: entries[name].revision for name in KNOWN}
    assert revisions == {name: vector["revision"] for name, vector in KNOWN.items()}


def test_a_book_takes_no_vector_that_proves_nothing() -> None:
    book = Book("codec/x", "", Citations((ROOT / "SPEC.md").read_text(encoding="utf-8")))
    origin = book.accept("A/one", "", ["GN-001"], {"bytes": b"\1"}, {})
    with pytest.raises(ValueError, match="is not damaged"):
        book.reject("A/two", "", ["GN-001"], {"bytes": b"\1"}, "silent", origin=origin)
    with pytest.raises(ValueError, match="cites nothing"):
        book.accept("A/three", "", [], {}, {})
    with pytest.raises(ValueError, match="is no id"):
        book.accept("A three", "", ["GN-001"], {}, {})
    with pytest.raises(KeyError):
        book.accept("A/four", "", ["ZZ-999"], {}, {})


@pytest.mark.parametrize(
    ("valid", "damaged", "expected"),
    [
        (b"abc", b"abd", [{"field": "x", "at": 2, "is": "64", "was": "63"}]),
        (b"abc", b"ab", [{"field": "x", "at": 2, "is": "", "was": "63"}]),
        (b"abc", b"aabc", [{"field": "x", "at": 1, "is": "61", "was": ""}]),
        (b"", b"z", [{"field": "x", "at": 0, "is": "7a", "was": ""}]),
        (1, 2, [{"field": "x", "is": 2, "was": 1}]),
        ([b"a", b"b"], [b"a", b"c"], [{"field": "x.1", "at": 0, "is": "63", "was": "62"}]),
        ([1], [1, 2], [{"field": "x", "is": [1, 2], "was": [1]}]),
        (None, b"a", [{"field": "x", "is": "61", "was": None}]),
    ],
)
def test_damage_is_where_inputs_differ(valid: object, damaged: object, expected: object) -> None:
    assert list(damage({"x": valid}, {"x": damaged})) == expected


@pytest.mark.parametrize("vector", [v for v in KNOWN.values() if v["id"].startswith("noise/")], ids=lambda v: v["id"])
def test_a_library_that_others_wrote_agrees(vector: reading.Json) -> None:
    """noiseprotocol, with the same keys and payloads."""
    given, told = vector["input"], vector["output"]
    sides = []
    for name in ("init", "resp"):
        side = NoiseConnection.from_name(given["protocol_name"].encode())
        side.set_as_initiator() if name == "init" else side.set_as_responder()
        if told["init_psks"]:
            side.set_psks(psk=bytes.fromhex(told["init_psks"][0]))
        side.set_prologue(bytes.fromhex(given["init_prologue"]))
        side.set_keypair_from_private_bytes(Keypair.STATIC, bytes.fromhex(given[f"{name}_static"]))
        side.set_keypair_from_private_bytes(Keypair.EPHEMERAL, bytes.fromhex(given[f"{name}_ephemeral"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            side.start_handshake()
        sides.append(side)
    for number, message in enumerate(told["messages"]):
        written = bytes(sides[number % 2].write_message(bytes.fromhex(message["payload"])))
        assert written.hex() == message["ciphertext"]
        assert bytes(sides[1 - number % 2].read_message(written)).hex() == message["payload"]
    assert sides[0].get_handshake_hash().hex() == told["handshake_hash"]
