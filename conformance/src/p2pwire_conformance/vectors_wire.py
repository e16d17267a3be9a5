"""Judges of vectors about bytes: messages, streams of them, and what a link makes of frames."""

from __future__ import annotations

from p2pwire_conformance.message import Malformed, Tree, decode
from p2pwire_conformance.vectors import Json, Verdict


def value_of(tree: Tree) -> dict[str, Json]:
    """The fields of a message as vectors write them."""
    value: dict[str, Json] = {}
    for known in tree.layout.fields:
        if known.prefix_of or known.value is not None:
            continue
        found = tree[known.name]
        if isinstance(found, list):
            value[known.name] = [
                value_of(part) if isinstance(part, Tree) else part.hex() if isinstance(part, bytes) else part
                for part in found
            ]
        elif isinstance(found, bytes):
            value[known.name] = found.decode("utf-8") if known.is_text else found.hex()
        else:
            value[known.name] = found
    return value


def judge_message(given: Json) -> Verdict:
    """Families codec and reject."""
    data = bytes.fromhex(given["bytes"])
    try:
        tree = decode(given["message"], data)
    except Malformed as error:
        return Verdict(False, why=str(error))
    if tree.encode() != data:
        raise ValueError("it is written in another way than it is read")
    return Verdict(True, {"value": value_of(tree)})
