"""The state file: what is written is read again, and its records have bounded sizes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.content.merkle import Proved
from p2pwire.storage import RunWrite
from p2pwire.storage.directory import Directory
from p2pwire.storage.journal import MAX_STATE_RECORD, Claim, Journal, write_claims

hashes = st.binary(min_size=32, max_size=32)
writes = st.builds(
    lambda file, block, blocks: RunWrite(
        file,
        block,
        [b""] * len(blocks),
        [Proved(tuple(node for node, _ in nodes), tuple(node for _, node in nodes)) for nodes in blocks],
    ),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 9),
    st.lists(st.lists(st.tuples(hashes, hashes), max_size=32), max_size=8),
)


def claims(run: RunWrite) -> list[Claim]:
    return [
        Claim(run.file, block, b"".join(proved.ancestors[:1]), list(proved.siblings))
        for block, proved in enumerate(run.proved, run.block)
    ]


@given(batches=st.lists(st.lists(writes, max_size=4), max_size=4))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, batches: list[list[RunWrite]]) -> None:
    directory = Directory.open(tmp_path_factory.mktemp("journal"))
    for index, batch in enumerate(batches):
        journal = Journal.open(directory, b"state", bytes(32))
        assert list(journal.read()) == [each for before in batches[:index] for run in before for each in claims(run)]
        for record in write_claims(batch):
            journal.append(record)
        journal.close()
        journal.close()
    journal = Journal.open(directory, b"state", b"x" * 32)  # another object's
    assert list(journal.read()) == []
    journal.close()
    directory.close()


def test_records_have_bounded_sizes(tmp_path: Path) -> None:
    proved = Proved((bytes(32),) * 32, (b"s" * 32,) * 32)
    records = list(write_claims([RunWrite(1, 0, [b""] * 3000, [proved] * 3000)]))
    assert len(records) == 4
    assert max(map(len, records)) <= MAX_STATE_RECORD + 8
    directory = Directory.open(tmp_path)
    journal = Journal.open(directory, b"state", bytes(32))
    for record in records:
        journal.append(record)
    assert [found.block for found in journal.read()] == list(range(3000))
    journal.close()
    directory.close()


def test_the_format_is_what_it_says(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path)
    journal = Journal.open(directory, b"state", b"i" * 32)
    proved = Proved((b"l" * 32, b"a" * 32), (b"s" * 32, b"t" * 32))
    for record in write_claims([RunWrite(1, 2, [b"", b""], [proved, Proved((), ())])]):
        journal.append(record)
    journal.close()
    directory.close()
    raw = (tmp_path / "state").read_bytes()
    first = bytes.fromhex("00000001 00000002 02") + b"l" * 32 + b"s" * 32 + b"t" * 32
    payload = first + bytes.fromhex("00000001 00000003 00")
    assert raw[:40] == b"P2PS\x01\0\0\0" + b"i" * 32
    assert raw[40:44] == len(payload).to_bytes(4, "big")
    assert raw[48:] == payload
    assert os.stat(tmp_path / "state").st_mode & 0o777 == 0o600
