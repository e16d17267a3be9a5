"""HS: the handshake's messages, keys and proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.bugs import Bug
from p2pwire_conformance.case import INITIATOR, INLINE, LISTEN, RESPONDER, add, case
from p2pwire_conformance.keys import LOW_ORDER_X25519, SMALL_ORDER_Y, Identity
from p2pwire_conformance.link import Plan, hello, ping
from p2pwire_conformance.message import Tree, frame
from p2pwire_conformance.protocol import constant
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

_LENGTHS: Final = {0: 0, 1: 1025, 2: 65535}


def _length(length: int) -> Callable[[Trial], None]:
    """A handshake message's header alone, with a length that cannot be."""

    def run(t: Trial) -> None:
        link = t.connect()
        if t.responds:
            link.send_bytes(link.offer(Plan()) + length.to_bytes(2, "big"), "preamble and a length")
        else:
            link.read_offer()
            answer = link.answer()
            link.send_bytes(answer[: len(link.own_preamble)] + length.to_bytes(2, "big"), "preamble and a length")
        link.expect_silence()

    return run


def _last_length(length: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        link.send_offer()
        link.read_answer()
        link.send_bytes(length.to_bytes(2, "big"), "the length of message 3")
        link.expect_silence()

    return run


for _number, _size in _LENGTHS.items():
    _title = f"Announces a first handshake message of {_size} bytes. The subject closes without waiting for them."
    add(f"HS-000{_number + 1}", "GN-004 HS-001 HS-032", _title, _length(_size))
    _title = f"Announces a message 3 of {_size} bytes. The subject closes without waiting for them."
    add(f"HS-000{_number + 5}", "GN-004 HS-001 HS-032", _title, _last_length(_size), roles=RESPONDER)


def _silent_first(plan: Plan) -> Callable[[Trial], None]:
    """A first flight of the suite that the subject must not go on after."""

    def run(t: Trial) -> None:
        link = t.connect()
        if t.responds:
            link.send_offer(plan)
        else:
            link.read_offer(plan)
            link.send_answer(plan)
        link.expect_silence()

    return run


def _silent_last(plan: Plan) -> Callable[[Trial], None]:
    """A last handshake message of the suite, and HELLO, that the subject must not accept."""

    def run(t: Trial) -> None:
        link = t.connect()
        if t.responds:
            link.send_offer(Plan(static=plan.static))
            link.read_answer()
            link.send_bytes(link.proof(plan) + link.seal(frame(hello())), "message 3 and HELLO")
        else:
            link.read_offer(plan)
            link.send_answer(plan)
        link.expect_silence()

    return run


add(
    "HS-0010",
    "HS-002 HS-010",
    "Sends a message 1 with a payload of 5 bytes. The subject closes without a byte.",
    _silent_first(Plan(message_1=b"hello")),
    roles=RESPONDER,
)
add(
    "HS-0011",
    "HS-002 HS-010",
    "Sends a message 1 of 31 bytes, less than a key. The subject closes without a byte.",
    _silent_first(Plan(bugs=frozenset({Bug.NOISE_SHORT}))),
    roles=RESPONDER,
)
for _number, _key in enumerate(LOW_ORDER_X25519):
    _title = (
        "Sends an ephemeral key of low order, so that Diffie-Hellman gives zero. The subject closes without a byte."
    )
    add(f"HS-002{_number}", "HS-013 HS-032", _title, _silent_first(Plan(ephemeral=_key)))
    _title = "Sends a static key of low order, so that Diffie-Hellman gives zero. The subject closes without a byte."
    add(f"HS-003{_number}", "HS-013 HS-032", _title, _silent_last(Plan(static=_key)))

_BUGS: Final[Mapping[str, tuple[str, Bug]]] = {
    "HS-0040": ("HS-026", Bug.NOISE_FLIPPED),
    "HS-0041": ("HS-026", Bug.NOISE_SHORT),
    "HS-0042": ("HS-026", Bug.NOISE_LONG),
    "HS-0043": ("HS-026 HS-010", Bug.OTHER_STATIC),
    "HS-0044": ("HS-029", Bug.SIGNATURE_ZERO),
    "HS-0045": ("HS-029", Bug.OTHER_KEY_SIGNED),
    "HS-0046": ("HS-029", Bug.OTHER_ROLE_SIGNED),
    "HS-0047": ("HS-029", Bug.OTHER_HASH_SIGNED),
    "HS-0048": ("HS-029", Bug.ANSWER_NOT_SIGNED),
    "HS-0049": ("GN-022 HS-029", Bug.HIGH_S),
    "HS-0050": ("HS-027", Bug.PAYLOAD_SHORT),
    "HS-0051": ("HS-027", Bug.PAYLOAD_EMPTY),
    "HS-0052": ("VN-010 HS-027", Bug.TLV_ORDER),
    "HS-0053": ("HS-027", Bug.TLV_LYING),
}
for _id, (_cited, _bug) in _BUGS.items():
    _title = f"Proves itself with a fault: it {_bug}. The subject closes without a byte more."
    add(_id, _cited + " HS-032", _title, _silent_last(Plan(bugs=frozenset({_bug}))))

add(
    "HS-0054",
    "HS-010 HS-026",
    """Hashes another preamble_I than the one that was sent, as if it had been edited on the way (T1). The subject
    closes without message 3.""",
    _silent_last(Plan(bugs=frozenset({Bug.OTHER_PROLOGUE}))),
    roles=INITIATOR,
)

_P: Final = (1 << 255) - 19
_NO_POINT: Final = next(
    y.to_bytes(32, "little")
    for y in range(2, 100)
    if pow((y * y - 1) * pow(1 - 121665 * pow(121666, -1, _P) * -1 * y * y * -1, -1, _P) % _P, (_P - 1) // 2, _P)
    not in (0, 1)
)


def _top(key: bytes) -> bytes:
    return key[:31] + bytes([key[31] | 0x80])


_IDENTITIES: Final[Mapping[str, tuple[str, str, bytes]]] = {
    "HS-0060": ("ID-002", "y = 0", SMALL_ORDER_Y[0]),
    "HS-0061": ("ID-002", "y = 1, for which one signature fits every text", SMALL_ORDER_Y[1]),
    "HS-0062": ("ID-002", "y = 2^255 - 20", SMALL_ORDER_Y[2]),
    "HS-0063": ("ID-002", "the first y of order 8", SMALL_ORDER_Y[3]),
    "HS-0064": ("ID-002", "the second y of order 8", SMALL_ORDER_Y[4]),
    "HS-0065": ("ID-002", "y = 0 with the top bit set", _top(SMALL_ORDER_Y[0])),
    "HS-0066": ("ID-002", "y = 1 with the top bit set", _top(SMALL_ORDER_Y[1])),
    "HS-0067": ("ID-001", "y = 2^255 - 19, another 0", _P.to_bytes(32, "little")),
    "HS-0068": ("ID-001", "y = 2^255 - 18, another 1", (_P + 1).to_bytes(32, "little")),
    "HS-0069": ("ID-001", "y = 2^255 - 1", ((1 << 255) - 1).to_bytes(32, "little")),
    "HS-0070": ("ID-003", "a y that belongs to no point of the curve", _NO_POINT),
}
for _id, (_cited, _what, _key) in _IDENTITIES.items():
    _title = (
        f"Claims the identity {_what}, with the signature for keys of small order (T5). The subject closes silently."
    )
    _plan = Plan(identity=_key, bugs=frozenset({Bug.UNIVERSAL_SIGNATURE}))
    add(_id, f"{_cited} HS-028", _title, _silent_last(_plan))


def _tlvs(t: Trial) -> None:
    tags = [Tree("Parameter", tag=7, value=b"?"), Tree("Parameter", tag=0x4B, value=bytes(255))]
    link = t.handshaken(Plan(payload_parameters=tags))
    link.hello()
    link.expect_open()


add("HS-0080", "VN-011", "Sends TLVs of unknown and GREASE tags in its payload. The subject goes on.", _tlvs)


@case("HS-0081", "HS-003", roles=RESPONDER, nets=INLINE)
def waits_for_message_1(t: Trial) -> None:
    """Sends flight 1 but for its last byte. The subject sends nothing before that byte."""
    link = t.connect()
    flight = link.flight_1()
    link.send_bytes(flight[:-1])
    link.expect_nothing()
    link.send_bytes(flight[-1:])
    link.read_answer()


@case("HS-0082", "HS-006", roles=RESPONDER, nets=INLINE)
def no_early_record(t: Trial) -> None:
    """Reads flight 2 and sends message 3 but for its last byte. The subject sends nothing after flight 2 before that
    byte has come."""
    link = t.connect()
    link.send_offer()
    link.read_answer()
    message = link.proof()
    link.expect_nothing()
    link.send_bytes(message[:-1])
    link.expect_nothing()
    link.send_bytes(message[-1:])
    link.hello()


@case("HS-0083", "HS-004 HS-005", roles=INITIATOR, nets=INLINE)
def waits_for_message_2(t: Trial) -> None:
    """Sends flight 2 in two parts, but for its last byte. The subject sends nothing between messages 1 and 3."""
    link = t.connect()
    link.read_offer()
    link.expect_nothing()
    answer = link.answer()
    for part in (answer[: len(link.own_preamble)], answer[len(link.own_preamble) : -1]):
        link.send_bytes(part)
        link.expect_nothing()
    link.send_bytes(answer[-1:])
    link.read_proof()


@case("HS-0084", "HS-008 FR-012", roles=RESPONDER)
def records_after_message_3(t: Trial) -> None:
    """Sends message 3, HELLO and PING in one piece. The subject reads what follows message 3 as records."""
    link = t.connect()
    link.send_offer()
    link.read_answer()
    link.send_bytes(link.proof() + link.seal(frame(hello())) + link.seal(frame(ping())), "message 3 and two records")
    link.expect_hello()
    link.expect("Pong", data=b"12345678")


@case("HS-0085", "HS-012", roles=RESPONDER, nets=LISTEN)
def fresh_keys(t: Trial) -> None:
    """Shakes hands twice. Ephemeral and static keys of the subject differ."""
    one, other = t.connect("one"), t.connect("other")
    one.shake()
    other.shake()
    if one.noise.remote_ephemeral == other.noise.remote_ephemeral:
        one.fail("ephemeral-key", Kind.WRONG, "a fresh ephemeral key for each handshake", "the same one came twice")


@case("HS-0086", "HS-012 HS-026", roles=RESPONDER, nets=LISTEN)
def replayed_session(t: Trial) -> None:
    """Records all that an initiator sends, and sends it again over new carriers. These handshakes fail, and not a byte
    after the subject's own flight is sent (T2)."""
    link = t.connect()
    flight = link.flight_1()
    link.send_bytes(flight, "flight 1")
    link.read_answer()
    rest = link.proof() + link.seal(frame(hello())) + link.seal(frame(ping()))
    link.send_bytes(rest, "message 3, HELLO and PING")
    link.expect_hello()
    for _ in range(6):  # more than one, since an answer with GREASE in it differs all the same
        again = t.connect()
        again.send_bytes(flight, "the same flight again")
        again.read_preamble({2: "ResponderPreamble"})
        size = int.from_bytes(again.read(2, "message 2's length"), "big")
        again.read(size, "message 2")
        again.send_bytes(rest, "the rest again")
        again.expect_silence()


@case("HS-0087", "VN-006", roles=INITIATOR)
def reflected_offer(t: Trial) -> None:
    """Sends the subject's own first flight back to it (T3). It closes without a byte more."""
    link = t.connect()
    link.read_offer()
    message = link.noise.remote_ephemeral
    link.send_bytes(link.peer_preamble + len(message).to_bytes(2, "big") + message, "its own flight")
    link.expect_silence()


@case("HS-0088", "HS-026", roles=RESPONDER)
def reflected_answer(t: Trial) -> None:
    """Sends message 2 back as message 3 (T3). The subject closes without a byte more."""
    link = t.connect()
    link.send_offer()
    link.read_preamble({2: "ResponderPreamble"})
    size = link.read(2, "message 2's length")
    message = link.read(int.from_bytes(size, "big"), "message 2")
    link.send_bytes(size + message, "message 2, reflected")
    link.expect_silence()


@case("HS-0089", "EN-005 HS-008", roles=RESPONDER)
def message_3_twice(t: Trial) -> None:
    """Sends message 3 twice. The second one is read as a record, does not decrypt, and ends the link without CLOSE."""
    link = t.connect()
    link.send_offer()
    link.read_answer()
    message = link.proof()
    link.send_bytes(message + message, "message 3 twice")
    link.expect_dropped()


@case("HS-0090", "HS-026", roles=RESPONDER)
def record_for_message_3(t: Trial) -> None:
    """Sends a record where message 3 is due. The subject closes without a byte more."""
    link = t.connect()
    link.send_offer()
    link.read_answer()
    link.proof()
    link.send_bytes(link.seal(frame(hello())), "a record")
    link.expect_silence()


def _ends(step: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        if t.responds:
            flight = link.flight_1()
            if step == 3:
                link.send_bytes(flight)
                link.read_answer()
                flight = link.proof()
        else:
            link.read_offer()
            flight = link.answer()
        cut = {0: 0, 1: 20, 2: len(flight) - 1, 3: len(flight) - 1}[step]
        link.send_bytes(flight[:cut])
        link.finish()
        link.expect_silence()

    return run


for _step, _when in enumerate(("before the first byte", "within the preamble", "within the first message")):
    add(f"HS-009{_step + 1}", "HS-032", f"Ends the stream {_when}. The subject closes without a byte.", _ends(_step))
add("HS-0094", "HS-032", "Ends the stream within message 3. The subject closes silently.", _ends(3), roles=RESPONDER)


@case("HS-0100", "ID-010 ID-011", features="expected")
def another_identity(t: Trial) -> None:
    """Shows another identity than the one that the subject's caller expects. The subject closes without a byte: as
    initiator before message 3."""
    t.start(expected=Identity("somebody else").public.hex())
    _silent_last(Plan())(t)


@case("HS-0101", "ID-010 ID-011", features="expected")
def expected_identity(t: Trial) -> None:
    """Shows the identity that the subject's caller expects. The subject goes on."""
    link = t.open(expected=t.identity().public.hex())
    link.expect_open()


@case("HS-0102", "PV-011", roles=RESPONDER)
def no_amplification(t: Trial) -> None:
    """Offers the most that a preamble can hold. The subject's flight has at most 1549 bytes."""
    plan = Plan(
        versions=[*range(0x200, 0x20F), 1],
        suites=[1, *range(0x200, 0x20F)],
        parameters=[Tree("Parameter", tag=1, value=bytes(255)), Tree("Parameter", tag=2, value=bytes(180))],
    )
    link = t.connect()
    link.send_offer(plan)
    link.read_answer(plan)
    if t.inline:
        link.expect_nothing()
    if link.received > constant("MAX_BUFFERED_HANDSHAKE"):
        link.fail("amplification", Kind.WRONG, "at most 1549 bytes", f"{link.received} came")


@case("HS-0103", "HS-010 VN-022 VN-027", features="chacha")
def suite_2(t: Trial) -> None:
    """Shakes hands in suite 2, ChaCha20-Poly1305, with a subject that prefers it. Records flow both ways."""
    t.start(suites=[2, 1])
    link = t.connect()
    link.shake(Plan(suites=[2, 1]))
    link.hello()
    link.expect_open()
    link.expect_open()


@case("HS-0104", "HS-024 HS-025", features="identity")
def one_identity(t: Trial) -> None:
    """Compares the identity that the subject proves with the one that it was given."""
    link = t.connect()
    link.shake()
    if link.peer != t.subject_identity.public:
        link.fail("identity", Kind.WRONG, "the identity of the config", f"{link.peer.hex()} came")


@case("HS-0110", "HS-007 HS-001", roles=RESPONDER)
def handshake_memory(t: Trial) -> None:
    """Announces a message 1 of 65535 bytes and sends 60000 of them (T8, T10). The subject closes and keeps none."""
    link = t.connect()
    link.send_bytes(link.offer(Plan()) + b"\xff\xff" + bytes(60000), "preamble, a length and 60000 bytes")
    link.expect_silence()


@case("HS-0111", "HS-020 HS-021", nets=INLINE, roles=INITIATOR)
def static_key_does_not_last(t: Trial) -> None:
    """Shakes hands with the subject, has its program started anew, and does the same again (T4). The static keys of the
    two handshakes differ."""
    found = []
    for number in range(2):
        if number:
            t.renew()
        t.start(seed=None)
        link = t.connect()
        link.shake()
        found.append(link.noise.remote_static)
    if found[0] == found[1]:
        link.fail("static-key", Kind.WRONG, "another static key in another process", "the same one came")
