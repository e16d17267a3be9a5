"""Which judge is for which family of vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from p2pwire_conformance.vectors import Judge
from p2pwire_conformance.vectors_content import (
    judge_identity,
    judge_manifest,
    judge_name,
    judge_peer_record,
    judge_proof,
    judge_tree,
    judge_uri,
)
from p2pwire_conformance.vectors_handshake import judge_handshake, judge_noise, judge_trace
from p2pwire_conformance.vectors_wire import judge_close, judge_message, judge_records, judge_stream

JUDGES: Final[Mapping[str, Judge]] = {
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
