"""ST: the tables of states, cell by cell, as `protocol.json` has them.

What a peer does after it closed its carrier cannot be seen from outside, so the row CLOSED has no cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pwire_conformance.carrier import Inline
from p2pwire_conformance.case import BOTH, INITIATOR, INLINE, NETS, RESPONDER, add
from p2pwire_conformance.cases.fr import SAMPLES
from p2pwire_conformance.cases.hello import entry
from p2pwire_conformance.content import BLOCK, blob
from p2pwire_conformance.link import Link, hello, parameter, unknown
from p2pwire_conformance.message import Tree, frame
from p2pwire_conformance.noise import Cipher
from p2pwire_conformance.protocol import constant, frame_type, protocol
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

STATES: Final = {
    "WAIT_RESPONSE": 0,
    "WAIT_MESSAGE_2": 1,
    "WAIT_OFFER": 2,
    "WAIT_MESSAGE_1": 3,
    "WAIT_MESSAGE_3": 4,
    "WAIT_HELLO": 5,
    "OPEN": 6,
    "DRAINING": 7,
}
"""State -> the first digit of its cases' ids."""
IN_HANDSHAKE: Final = tuple(STATES)[:5]
INPUTS: Final = {
    "PREAMBLE_INITIATOR": 901,
    "PREAMBLE_RESPONDER": 902,
    "REFUSAL": 903,
    "HANDSHAKE_MESSAGE": 904,
    "EXTENSION": 905,
    "UNKNOWN_CRITICAL": 906,
    "UNKNOWN_IGNORABLE": 907,
    "END": 908,
}
"""Input -> the last three digits, for those that are no frame type."""
OWN: Final[dict[str, Any]] = {"extensions": [{"name": "conformance/1", "base": 0xA0, "count": 2}]}
SHARED: Final = blob(2 * BLOCK)


def _names() -> dict[str, str]:
    return {name.upper().replace("GETPEERS", "GET_PEERS"): name for name in [*SAMPLES, "Pad"]}


def _frame(arrived: str) -> bytes:
    """A well-formed frame for an input that is one."""
    if arrived == "EXTENSION":
        return unknown(0xA0)
    if arrived == "UNKNOWN_CRITICAL":
        return unknown(0x7E)
    if arrived == "UNKNOWN_IGNORABLE":
        return unknown(0x0B, b"grease")
    return frame(SAMPLES.get(_names()[arrived], Tree("Pad")))


def _bytes(link: Link, arrived: str) -> bytes:
    """What arrives in the handshake, or in place of a record."""
    if arrived == "PREAMBLE_INITIATOR":
        tree = Tree("InitiatorPreamble", versions=[1], suites=[1], key_suite=1)
    elif arrived == "PREAMBLE_RESPONDER":
        tree = Tree("ResponderPreamble", version=1, suite=1)
    elif arrived == "REFUSAL":
        tree = Tree("Refusal", reason=4, versions=[1], suites=[1])
    elif arrived == "HANDSHAKE_MESSAGE":
        return (200).to_bytes(2, "big") + bytes([7]) * 200
    else:
        sealed = Cipher(1, bytes(32)).encrypt(b"", _frame(arrived))
        return len(sealed).to_bytes(2, "big") + sealed
    magic = bytes.fromhex(constant("MAGIC"))
    body = tree.encode()
    return magic + bytes([tree.layout.preamble_kind or 0]) + len(body).to_bytes(2, "big") + body


def _reach(t: Trial, state: str) -> Link:
    """A link on which the subject is in this state of the handshake."""
    link = t.connect()
    if state == "WAIT_MESSAGE_3":
        link.send_offer()
        link.read_answer()
    elif state == "WAIT_MESSAGE_1":
        flight = link.flight_1()
        link.send_bytes(flight[: len(link.own_preamble)], "the preamble")
    elif not t.responds:
        link.read_offer()
        if state == "WAIT_MESSAGE_2":
            link.answer()
            link.send_bytes(link.own_preamble, "the preamble")
    return link


def _in_handshake(state: str, arrived: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = _reach(t, state)
        if arrived == "END":
            link.finish()
        else:
            link.send_bytes(_bytes(link, arrived), arrived)
        link.expect_silence("cell")

    return run


def _in_records(state: str, arrived: str, cell: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        if arrived == "EXTENSION":
            t.start(**OWN)
        link = t.connect()
        link.shake()
        greeting = hello(parameters=[parameter(4, entry(b"conformance/1").encode())])
        if state == "OPEN":
            link.send(greeting)
            link.expect_hello()
            link.send(Tree("Join", handle=9, topic=b"nobody knows this topic at all.."))
            link.expect("Refuse", handle=9)
        if arrived == "END":
            link.finish()
            link.expect_dropped("cell")
        elif arrived in ("PREAMBLE_INITIATOR", "PREAMBLE_RESPONDER", "REFUSAL"):
            # "0x89 P" is the length of a record, which has to be there before it can fail to decrypt.
            link.send_bytes(_bytes(link, arrived).ljust(0x8950 + 2, b"\0"), arrived)
            link.expect_dropped("cell")
        elif cell == "SILENT":
            link.send_bytes(_bytes(link, arrived), arrived)
            link.expect_dropped("cell")
        elif cell == "CLOSED":
            link.send(_frame(arrived))
            link.expect_dropped("cell")
        elif cell.startswith("CLOSE "):
            link.send(greeting if arrived == "HELLO" else _frame(arrived))
            link.expect_close(cell.removeprefix("CLOSE "), check="cell")
        else:
            link.send(greeting if arrived == "HELLO" else _frame(arrived))
            if arrived == "REQUEST":
                link.expect("Reject", "cell", code=6)
            elif arrived == "PING":
                link.expect("Pong", "cell")
            elif arrived in ("DATA", "REJECT"):
                link.expect_close("UNSOLICITED", check="cell")
                return
            elif arrived == "JOIN":
                link.expect("Refuse", "cell")
            link.fence("cell")

    return run


def _in_draining(arrived: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        if arrived == "EXTENSION":
            t.start(**OWN)
        link = t.open()
        link.send(unknown(0x7E))
        link.expect_close("UNKNOWN_FRAME")
        carrier = link.carrier
        assert isinstance(carrier, Inline)
        if arrived == "END":
            link.finish()
        elif arrived in INPUTS and INPUTS[arrived] < 905:
            link.send_bytes(_bytes(link, arrived), arrived)
        else:
            link.send(_frame(arrived))
        if carrier.closed is not (arrived == "END"):
            link.fail("cell", Kind.WRONG, "the carrier closed" if arrived == "END" else "the carrier open", "it is not")
        link.expect_end("cell")

    return run


def _enter_links() -> None:
    table = protocol().states["link"]["arrivals"]
    for state, digit in STATES.items():
        for arrived, cell in table[state].items():
            id = f"ST-{digit}{INPUTS[arrived] if arrived in INPUTS else frame_type(arrived):03d}"
            goes_on = cell not in ("SILENT", "CLOSED") and not cell.startswith("CLOSE ")
            if state in IN_HANDSHAKE and goes_on:
                continue  # the way that each handshake goes: SA-0001
            title = f"{state}: {arrived} arrives. The table says: {cell}."
            features = "extensions" if arrived == "EXTENSION" and digit > 4 else ""
            roles: tuple[str, ...] = (INITIATOR,) if digit < 2 else (RESPONDER,) if digit < 5 else BOTH
            if state in IN_HANDSHAKE:
                run, cited = _in_handshake(state, arrived), "HS-032"
            elif state == "DRAINING":
                run, cited = _in_draining(arrived), "CL-010"
            else:
                run = _in_records(state, arrived, cell)
                cited = {"SILENT": "EN-005", "CLOSED": "CL-031", "CLOSE UNKNOWN_FRAME": "FR-006"}.get(cell, "GN-008")
                if cell == "CLOSE PROTOCOL":
                    cited = "FR-003" if state == "WAIT_HELLO" else "FR-005"
            nets = INLINE if state == "DRAINING" else NETS
            add(id, cited, title, run, roles=roles, nets=nets, features=features)


# --- topics ---

TOPIC_STATES: Final = ("FREE", "ASKED", "OPEN", "LEAVING")
TOPIC_INPUTS: Final = ("JOIN", "BAD_JOIN", "JOIN_AGAIN", "JOIN_OTHER", "REFUSE", "LEAVE", "CONTENT", "STRAY")
IMPOSSIBLE: Final = {
    ("FREE", "JOIN_AGAIN"), ("FREE", "JOIN_OTHER"), ("ASKED", "JOIN_AGAIN"), ("ASKED", "JOIN_OTHER"),
    ("OPEN", "JOIN"), ("OPEN", "BAD_JOIN"), ("LEAVING", "JOIN"), ("LEAVING", "BAD_JOIN"),
}  # fmt: skip
"""Cells whose input has no form: there is no live handle to be named again, or the JOIN would be one of another input.
JOIN in LEAVING has one only while no remote handle is, which a peer enters by a LEAVE before the other side's JOIN."""
TOPIC_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "FREE": (RESPONDER,),
    "ASKED": (INITIATOR,),
    "OPEN": BOTH,
    "LEAVING": (INITIATOR,),
}
"""Of the subject: one that dials joins what it shares, and so has asked before anything arrives."""
HANDLE: Final = 40


def _topic(state: str, arrived: str, cell: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open(share=[SHARED.recipe])
        theirs = -1
        if state != "FREE" and not t.responds:
            theirs = link.topic_joined(SHARED)["handle"]
        if state == "OPEN":
            link.send(link.join_frame(SHARED, handle=HANDLE))
            if t.responds:
                theirs = link.topic_joined(SHARED)["handle"]
        elif state == "LEAVING":
            link.send(link.join_frame(SHARED, handle=HANDLE, cap=bytes(32)))
            link.expect("Refuse", handle=HANDLE)
        link.fence()
        _arrive(link, arrived, theirs)
        _judge(link, t, state, arrived, cell, theirs)

    return run


def _bad(state: str) -> bytes | None:
    """LEAVING was entered by a JOIN with this cap."""
    return bytes(32) if state == "LEAVING" else None


def _arrive(link: Link, arrived: str, theirs: int) -> None:
    if arrived == "JOIN":
        link.send(link.join_frame(SHARED, handle=HANDLE))
    elif arrived == "BAD_JOIN":
        link.send(link.join_frame(SHARED, handle=HANDLE, cap=bytes(32)))
    elif arrived == "REFUSE":
        link.send(Tree("Refuse", handle=max(0, theirs)))
    elif arrived == "LEAVE":
        link.send(Tree("Leave", handle=HANDLE))
    elif arrived == "STRAY":
        link.send(Tree("Interest", handle=HANDLE + 1, on=1))


def _judge(link: Link, t: Trial, state: str, arrived: str, cell: str, theirs: int) -> None:
    """The answer that this cell has, and that the topic is then in the state that the cell says."""
    if cell.startswith("CLOSE "):
        if arrived == "JOIN_OTHER":
            link.send(link.join_frame(SHARED, handle=HANDLE + 1))
        link.expect_close(cell.removeprefix("CLOSE "), check="cell")
        return
    if arrived == "JOIN_AGAIN":
        link.send(link.join_frame(SHARED, handle=HANDLE, cap=_bad(state)))
    if arrived == "BAD_JOIN":
        link.expect("Refuse", "cell", handle=HANDLE)
    if arrived in ("REFUSE", "LEAVE") and state == "OPEN":
        link.expect("Leave", "cell", handle=theirs)
    if arrived == "JOIN" and state == "FREE":
        link.expect("Join", "cell")
    if arrived == "CONTENT" and state != "FREE" and state != "ASKED":
        link.send(Tree("Request", id=5, handle=HANDLE))
        name = "Data" if state == "OPEN" else "Reject"
        found = link.expect(name, "cell", id=5)
        if name == "Reject" and found["code"] != 6:
            link.fail("cell", Kind.WRONG, "REJECT NOT_JOINED", f"{found} came")
    link.expect_open("cell", but="Join" if arrived == "JOIN" else "")
    _probe(link, t, cell)


def _probe(link: Link, t: Trial, cell: str) -> None:
    """A REQUEST tells OPEN from the rest; a JOIN under a new number tells FREE, ASKED and LEAVING apart."""
    if cell == "OPEN":
        link.send(Tree("Request", id=6, handle=HANDLE))
        link.expect("Data", "state-after", id=6)
        return
    link.noticed.clear()
    if cell == "LEAVING":
        link.send(Tree("Leave", handle=HANDLE))
        link.expect_open("state-after")
    link.send(link.join_frame(SHARED, handle=HANDLE + 2))
    if cell == "ASKED":
        link.send(Tree("Request", id=6, handle=HANDLE + 2))
    else:
        link.expect("Join", "state-after", topic=SHARED.topic)
        link.send(Tree("Request", id=6, handle=HANDLE + 2))
    link.expect("Data", "state-after", id=6)


def _enter_topics() -> None:
    table = protocol().states["topic"]["arrivals"]
    for row, state in enumerate(TOPIC_STATES):
        for column, arrived in enumerate(TOPIC_INPUTS):
            cell = table[state][arrived]
            if (state, arrived) in IMPOSSIBLE or (arrived == "CONTENT" and state in ("FREE", "ASKED")):
                continue
            roles = TOPIC_ROLES[state]
            title = f"Topic {state}: {arrived} arrives. The table says: {cell}."
            cited = "TP-061" if arrived == "STRAY" else "TP-020" if "JOIN" in arrived else "TP-045 TP-054"
            cited = "TP-062 TP-063" if arrived == "CONTENT" else cited
            run = _topic(state, arrived, cell)
            add(f"ST-80{row}{column}", cited, title, run, roles=roles, features="share joins", depends="SA-0004")


_enter_links()
_enter_topics()
