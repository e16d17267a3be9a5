"""The reference and the committed vectors agree, and would disagree about damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import reading
from .codecs import judge_message
from .contents import (
    judge_identity,
    judge_manifest,
    judge_name,
    judge_peer_record,
    judge_proof,
    judge_tree,
    judge_uri,
)
from .links import judge_close
from .shaking import judge_handshake, judge_noise, judge_trace
from .streaming import judge_records, judge_stream

JUDGES: dict[str, reading.Judge] = {
    "codec": judge_message,
    "reject": judge_message,
    "stream": judge_stream,
    "records": judge_records,
    "close": judge_close,
    "noise": judge_noise,
    "handshake": judge_handshake,
    "tree": judge_tree,
    "proof": judge_proof,
    "manifest": judge_manifest,
    "peer-record": judge_peer_record,
    "name": judge_name,
    "identity": judge_identity,
    "uri": judge_uri,
    "trace": judge_trace,
}
KNOWN = reading.everything()


@pytest.mark.parametrize("path", reading.files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_reference_agrees(path: Path) -> None:
    found = list(reading.problems(reading.vectors(path), KNOWN, JUDGES[path.parent.name]))
    assert not found, "\n".join(found[:5])
