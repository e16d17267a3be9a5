"""Which judge is for which family of vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from p2pwire_conformance.vectors import Judge
from p2pwire_conformance.vectors_handshake import judge_handshake, judge_noise
from p2pwire_conformance.vectors_wire import judge_close, judge_message, judge_records, judge_stream

JUDGES: Final[Mapping[str, Judge]] = {
    "codec": judge_message,
    "reject": judge_message,
    "stream": judge_stream,
    "records": judge_records,
    "close": judge_close,
    "noise": judge_noise,
    "handshake": judge_handshake,
}
