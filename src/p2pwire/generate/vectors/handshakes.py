"""Families noise and handshake: whole handshakes with fixed keys, and one side's view of right and wrong ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from p2pwire.generate.vectors.book import SILENT, Book, Vector
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.peers import HONEST, Bytes, Peer, Talk, Wrong, enveloped, respond
from p2pwire.generate.vectors.samples import counting, parameter
from p2pwire.generate.vectors.shaker import NAMES, psk_of
from p2pwire.wire.registry import Suite

SECRET: Final = b"a network secret of 32 bytes ...."
LOW_ORDER: Final[Mapping[str, bytes]] = {
    "zero": bytes(32),
    "one": (1).to_bytes(32, "little"),
    "order-8-a": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order-8-b": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "p-1": (2**255 - 20).to_bytes(32, "little"),
    "p": (2**255 - 19).to_bytes(32, "little"),
    "p+1": (2**255 - 18).to_bytes(32, "little"),
    "zero-top-bit": (2**255).to_bytes(32, "little"),
    "one-top-bit": (2**255 + 1).to_bytes(32, "little"),
}
"""X25519 keys with which every result is zero (RFC 7748, section 6.1)."""

WEAK: Final[Mapping[str, bytes]] = {
    "y-0": bytes(32),
    "y-1": (1).to_bytes(32, "little"),
    "y-p-1": (2**255 - 20).to_bytes(32, "little"),
    "order-8-a": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "order-8-b": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    "y-p": (2**255 - 19).to_bytes(32, "little"),
    "y-p+1": (2**255 - 18).to_bytes(32, "little"),
    "y-most": (2**255 - 1).to_bytes(32, "little"),
}
"""Encodings that are no identity whatever the top bit."""


def _replacing(data: bytes) -> Bytes:
    """Other bytes, whatever there were."""
    return lambda _: data


ORDER: Final = 2**252 + 27742317777372353535851937790883648493


def weak_identities() -> Iterator[tuple[str, bytes]]:
    """The same with either top bit."""
    for name, raw in WEAK.items():
        yield name, raw
        yield f"{name}-top-bit", raw[:31] + bytes((raw[31] | 0x80,))


def peers(suite: Suite) -> tuple[Peer, Peer]:
    """Initiator and responder."""
    secret = SECRET if suite is Suite.XXPSK0_AESGCM else None
    suites = (3,) if secret else (2, 1) if suite is Suite.XX_CHACHAPOLY else (1, 2)
    one = Peer(initiator=True, suites=suites, key_suite=int(suite), secret=secret)
    return one, attrs.evolve(one, initiator=False)


def noise(citations: Citations) -> Iterator[Book]:
    """What a Noise library has to give, by the names that Noise's own vectors have."""
    book = Book("noise/handshakes", "Complete handshakes: all keys, payloads, messages and hashes.", citations)
    for suite in Suite:
        for name, change in _VARIANTS.items():
            one, other = (attrs.evolve(peer, **change) for peer in peers(suite))
            talk = Talk(one, other).run()
            offer = talk.sent[1][: -len(enveloped(talk.messages[1]))]
            given, told = _noise_input(talk, offer), _noise_output(talk)
            cited = ("HS-010", "HS-014", "HS-024", "HS-025") + (("VN-040",) if one.secret else ())
            about = f"{NAMES[suite]}: {name}"
            flags = ("optional-suite",) if suite is Suite.XX_CHACHAPOLY else ()
            book.accept(f"suite-{int(suite)}/{name}", about, cited, given, told, flags=flags)
    yield book


_VARIANTS: Final[Mapping[str, dict[str, Any]]] = {
    "plain": {},
    "bound": {"binding": counting(32, 200)},
    "bound-long": {"binding": counting(300)},
    "other-keys": {"seed": 60},
    "parameters": {
        "parameters": (parameter(0x0B, b"grease"), parameter(99)),
        "payload_parameters": (parameter(7, b"seven"), parameter(0x2B, counting(200))),
    },
    "grease": {"versions": (0x1A1A, 1)},
}


def _noise_input(talk: Talk, offer: bytes) -> dict[str, Any]:
    one, other = talk.one.given, talk.other.given
    suite = Suite(talk.one.key_suite)
    return {
        "protocol_name": NAMES[suite],
        "suite": suite,
        "init_prologue": b"p2pwire/1\0" + offer + len(talk.one.binding).to_bytes(2, "big") + talk.one.binding,
        "init_static": one["static"],
        "init_ephemeral": one["ephemeral"],
        "init_identity_seed": one["identity_seed"],
        "resp_static": other["static"],
        "resp_ephemeral": other["ephemeral"],
        "resp_identity_seed": other["identity_seed"],
        "network_secret": talk.one.secret,
        "payloads": [talk.payloads[number] for number in (1, 2, 3)],
        "preamble_r": talk.sent[2][: -len(enveloped(talk.messages[2]))],
    }


def _noise_output(talk: Talk) -> dict[str, Any]:
    return {
        "init_psks": [] if talk.one.secret is None else [psk_of(talk.one.secret)],
        "messages": [{"payload": talk.payloads[n], "ciphertext": talk.messages[n]} for n in (1, 2, 3)],
        "h_r": talk.h[2],
        "h_i": talk.h[3],
        "handshake_hash": talk.hash,
        "keys": talk.keys,
        "identities": [talk.one.identity.public, talk.other.identity.public],
    }


def handshake(citations: Citations) -> Iterator[Book]:
    """What one side does with what the other one sends."""
    for suite in Suite:
        for role in ("initiator", "responder"):
            about = f"An {role}" if role == "initiator" else f"A {role}"
            book = Book(f"handshake/suite-{int(suite)}-{role}", f"{about} of suite {int(suite)}.", citations)
            _Views(book, suite, initiator=role == "initiator").all()
            yield book


class _Views:
    """One role in one suite. `own` is the side that is tested, `remote` the one that may go wrong."""

    def __init__(self, book: Book, suite: Suite, *, initiator: bool) -> None:
        self.book = book
        self.suite = suite
        self.initiator = initiator
        one, other = peers(suite)
        self.own, self.remote = (one, other) if initiator else (other, one)
        self.stem = f"suite-{int(suite)}/{'initiator' if initiator else 'responder'}"

    def talk(self, own: Peer, remote: Peer) -> Talk:
        return Talk(own, remote).run() if self.initiator else Talk(remote, own).run()

    def all(self) -> None:
        plain = self._accept("plain", "nothing special", ("HS-003", "HS-004", "HS-008", "HS-031"))
        binding = counting(32, 200)
        self._accept("bound", "a carrier with a binding", ("HS-011",), own={"binding": binding}, both=True)
        expected = self.remote.identity.public
        id_ = "ID-010" if self.initiator else "ID-011"
        awaited = self._accept("expected", "the expected identity", (id_,), own={"expected": expected})
        tlvs = (parameter(0x0B, b"grease"), parameter(99, counting(9)))
        self._accept("preamble-tlvs", "unknown TLVs in the preamble", ("VN-011",), remote={"parameters": tlvs})
        self._accept("payload-tlvs", "unknown TLVs in the payload", ("VN-011",), remote={"payload_parameters": tlvs})
        most = tuple(parameter(n, counting(255 if n < 3 else 59)) for n in range(4))
        largest = {"payload_parameters": most}
        self._accept("payload-most", "the longest payload", ("VN-011", "HS-001"), remote=largest)
        if not self.initiator:
            self._accept(
                "grease",
                "GREASE and unknown versions and suites in the lists",
                ("VN-032", "VN-061"),
                remote={"versions": (0x0A0A, 2, 1), "suites": (0x1A2A, *self.remote.suites, 0x0100)},
            )
        self._flips(plain)
        self._identities(plain, awaited)
        self._signatures(plain)
        self._payloads(plain)
        self._keys(plain)
        self._lengths(plain)
        self._others(plain)

    def _receives(self, talk: Talk) -> list[bytes]:
        return [talk.sent[2]] if self.initiator else [talk.sent[1], talk.sent[3]]

    def _sends(self, talk: Talk) -> list[bytes]:
        return [talk.sent[1], talk.sent[3]] if self.initiator else [talk.sent[2]]

    def _accept(
        self,
        name: str,
        about: str,
        cited: Sequence[str],
        *,
        own: dict[str, Any] | None = None,
        remote: dict[str, Any] | None = None,
        both: bool = False,
    ) -> Vector:
        here = attrs.evolve(self.own, **(own or {}))
        there = attrs.evolve(self.remote, **{**((own or {}) if both else {}), **(remote or {})})
        talk = self.talk(here, there)
        return self.book.accept(
            f"{self.stem}/{name}",
            f"{'initiator' if self.initiator else 'responder'}: {about}",
            cited,
            {**here.given, "receives": self._receives(talk)},
            {
                "link": "established",
                "sends": self._sends(talk),
                "identity": there.identity.public,
                "handshake_hash": talk.hash,
                "keys": talk.keys,
            },
            flags=("optional-suite",) if self.suite is Suite.XX_CHACHAPOLY else (),
        )

    def _reject(
        self,
        name: str,
        about: str,
        cited: Sequence[str],
        origin: Vector,
        *,
        receives: Sequence[bytes] | None = None,
        own: dict[str, Any] | None = None,
        wrong: Wrong | None = None,
        remote: dict[str, Any] | None = None,
        outcome: str = SILENT,
        told: bool = False,
    ) -> None:
        """`told`: message 3 is sent before the end (ID-012)."""
        here = attrs.evolve(self.own, **(own or {}))
        given = {**origin.input, **here.given} if own else dict(origin.input)
        if receives is None:
            changed: dict[str, Any] = {**(remote or {}), "wrong": wrong or HONEST}
            there = attrs.evolve(self.remote, **changed)
            talk = self.talk(here, there)
            receives = self._receives(talk)
            sends = [talk.sent[1], talk.sent[3]] if told else None
        else:
            sends = None
        given["receives"] = list(receives)
        if sends is None:
            like = attrs.evolve(self.remote, secret=here.secret, binding=here.binding)
            sends = [self.talk(here, like).sent[1]] if self.initiator else []
            if not self.initiator:
                what, answer = respond(here, receives[0])
                if what == "refused":
                    return
                sends = [answer] if what == "answered" else []
        self.book.reject(
            f"{self.stem}/{name}",
            f"{'initiator' if self.initiator else 'responder'}: {about}",
            (*cited, "HS-032") if outcome == SILENT else cited,
            given,
            outcome,
            origin=origin,
            output={"sends": sends},
            flags=("optional-suite",) if self.suite is Suite.XX_CHACHAPOLY else (),
        )

    def _flips(self, plain: Vector) -> None:
        """One bit of each byte of each flight that comes, of suite 1; of the others some."""
        step = 1 if self.suite is Suite.XX_AESGCM else 9
        flights: list[bytes] = plain.input["receives"]
        for index, flight in enumerate(flights):
            number = 2 if self.initiator else 1 + 2 * index
            for at in range(0, len(flight), step):
                bit = 1 << at % 8
                changed = flight[:at] + bytes((flight[at] ^ bit,)) + flight[at + 1 :]
                if not self._whole(changed, number):
                    continue  # a length that waits for more is no fault yet
                receives = [*flights[:index], changed, *flights[index + 1 :]]
                about = f"bit {bit:#04x} of byte {at} of flight {number} differs"
                self._reject(f"plain/flight-{number}-byte-{at}", about, ("HS-010",), plain, receives=receives)

    @staticmethod
    def _whole(flight: bytes, number: int) -> bool:
        """Whether a flight is no shorter than its lengths say, where they are within their limits."""
        at = 0
        if number != 3:
            length = int.from_bytes(flight[9:11], "big")
            if not 4 <= length <= 512:
                return True
            at = 11 + length
        size = int.from_bytes(flight[at : at + 2], "big")
        return len(flight) >= at + 2 and (not 1 <= size <= 1024 or len(flight) == at + 2 + size)

    def _identities(self, plain: Vector, awaited: Vector) -> None:
        for name, raw in weak_identities():
            # Under y = 1 this verifies for every message: R is the point itself, and S is 0.
            wrong = Wrong(identity=raw, signature=_replacing(raw + bytes(32)))
            canonical = int.from_bytes(raw, "little") & (2**255 - 1) < 2**255 - 19
            cited = ("ID-002" if canonical else "ID-001", "HS-028", "ID-004")
            self._reject(f"plain/identity-{name}", f"an identity of {name}", cited, plain, wrong=wrong)
        for number in (2, 7):
            raw = bytes((number,)) + bytes(31)
            about = f"y = {number}, which is no point of the curve"
            name = f"plain/identity-no-point-{number}"
            self._reject(name, about, ("ID-003", "HS-028", "ID-004"), plain, wrong=Wrong(identity=raw))
        other = Peer(initiator=True, seed=200).identity.public
        id_ = "ID-010" if self.initiator else "ID-011"
        about = "another identity than the expected one"
        self._reject("expected/another", about, (id_,), awaited, own={"expected": other})
        about = "another identity is shown than the one that signs"
        self._reject("plain/identity-another", about, ("HS-029",), plain, wrong=Wrong(identity=other))
        banned = {"banned": (self.remote.identity.public,)}
        if self.initiator:
            self._reject("plain/banned", "a banned identity", ("TR-075", "ID-016"), plain, own=banned)
        else:
            outcome = "CLOSE NOT_ALLOWED"
            self._reject("plain/banned", "a banned identity", ("TR-076", "ID-016"), plain, own=banned, outcome=outcome)
        self._self(plain)

    def _self(self, plain: Vector) -> None:
        """Both ends have the same identity: the remote's seed is moved to meet the own one."""
        remote: dict[str, Any] = {"seed": self.own.seed + (-96 if self.initiator else 96)}
        twin = attrs.evolve(self.remote, **remote)
        assert twin.identity.public == self.own.identity.public
        id_ = "ID-012" if self.initiator else "ID-013"
        self._reject(
            "plain/self", "the own identity", (id_, "ID-016"), plain, remote=remote, outcome="CLOSE SELF",
            told=self.initiator,
        )  # fmt: skip

    def _signatures(self, plain: Vector) -> None:
        role, other = ("responder", "initiator") if self.initiator else ("initiator", "responder")
        high = "plain/signature-high-s"

        def malleable(signature: bytes) -> bytes:
            s = int.from_bytes(signature[32:], "little") + ORDER
            return signature[:32] + s.to_bytes(32, "little")

        for name, about, cited, wrong in (
            (high, "S plus the group order", ("GN-022", "HS-029"), Wrong(signature=malleable)),
            ("plain/signature-zero", "a signature of zeros", ("HS-029",), Wrong(signature=lambda _: bytes(64))),
            (
                "plain/signature-swapped",
                "R and S swapped",
                ("HS-029",),
                Wrong(signature=lambda signature: signature[32:] + signature[:32]),
            ),
            (
                "plain/purpose-other-role",
                f"signed as {other}",
                ("GN-020", "HS-029"),
                Wrong(purpose=f"handshake-{other}"),
            ),
            ("plain/purpose-record", "signed as a record", ("GN-020", "HS-029"), Wrong(purpose="peer-record")),
            ("plain/purpose-none", "signed without a role", ("GN-020", "HS-029"), Wrong(purpose="handshake")),
            (
                "plain/signed-h-alone",
                "the responder's preamble is not signed",
                ("HS-029",),
                Wrong(signed=lambda x: x[:32]),
            ),
            ("plain/signed-other-h", "another h is signed", ("HS-029",), Wrong(signed=lambda x: bytes(32) + x[32:])),
            (
                "plain/signed-other-preamble",
                "another preamble is signed",
                ("HS-029",),
                Wrong(signed=lambda x: x[:32] + bytes(32)),
            ),
            ("plain/signed-nothing", "nothing is signed", ("HS-029",), Wrong(signed=lambda x: b"")),
        ):
            self._reject(name, f"{about} ({role})", cited, plain, wrong=wrong)

    def _payloads(self, plain: Vector) -> None:
        for name, about, payload in (
            ("empty", "an empty payload", lambda x: b""),
            ("identity-alone", "no signature", lambda x: x[:32]),
            ("cut", "a byte is missing", lambda x: x[:-1]),
            ("longer", "a byte follows", lambda x: x + b"\0"),
            ("tlv-cut", "a TLV is cut", lambda x: x + b"\x01\x05abcd"),
            ("tlvs-descend", "TLVs descend", lambda x: x + b"\x02\x00\x01\x00"),
            ("tlv-twice", "a TLV is there twice", lambda x: x + b"\x02\x00\x02\x00"),
        ):
            cited = ("HS-027", "VN-010") if name in ("tlvs-descend", "tlv-twice") else ("HS-027",)
            self._reject(f"plain/payload-{name}", about, cited, plain, wrong=Wrong(payload=payload))

    def _keys(self, plain: Vector) -> None:
        for name, raw in LOW_ORDER.items():
            about = f"an ephemeral key of low order: {name}"
            self._reject(f"plain/ephemeral-{name}", about, ("HS-013",), plain, wrong=Wrong(ephemeral=raw))
            about = f"a static key of low order: {name}"
            self._reject(f"plain/static-{name}", about, ("HS-013",), plain, wrong=Wrong(static=raw))

    def _lengths(self, plain: Vector) -> None:
        flights: list[bytes] = plain.input["receives"]
        index = 0 if self.initiator else 1
        flight = flights[index]
        at = 15 if self.initiator else 0
        for length in (0, 1025, 65535):
            changed = flight[:at] + length.to_bytes(2, "big") + flight[at + 2 :]
            number = 2 if self.initiator else 3
            receives = [*flights[:index], changed]
            name = f"plain/message-{number}-length-{length}"
            self._reject(name, f"message {number} of {length} bytes", ("HS-001",), plain, receives=receives)
        message = flight[at + 2 :]
        for length in (1, 31, 32, 47, 48, 63, 64, 79, 80, 95, 96, len(message) - 1):
            receives = [*flights[:index], flight[:at] + enveloped(message[:length])]
            name = f"plain/message-cut-{length}"
            self._reject(name, f"{length} bytes of the message", ("HS-026",), plain, receives=receives)
        longer = flight[:at] + enveloped(message + b"\0")
        about = "a message with a byte more"
        self._reject("plain/message-longer", about, ("HS-026",), plain, receives=[*flights[:index], longer])

    def _others(self, plain: Vector) -> None:
        if not self.initiator:
            self._reject_message_1(plain)
            flights = plain.input["receives"]
            reflected = respond(self.own, flights[0])[1]
            about = "the responder's own flight comes back"
            self._reject("plain/reflected", about, ("VN-005",), plain, receives=[reflected])
            about = "message 3 begins like message 1"
            again = [flights[0], flights[1][:2] + flights[0][-32:] + flights[1][34:]]
            self._reject("plain/message-1-again", about, ("HS-026",), plain, receives=again)
        else:
            offer = (plain.output or {})["sends"][0]
            self._reject("plain/reflected", "the own flight comes back", ("VN-006",), plain, receives=[offer])
            for version, suite, cited in ((2, None, "VN-037"), (0x0A0A, None, "VN-037"), (1, 0x100, "VN-038")):
                chosen = int(self.suite) if suite is None else suite

                def change(raw: bytes, version: int = version, chosen: int = chosen) -> bytes:
                    return raw[:11] + version.to_bytes(2, "big") + chosen.to_bytes(2, "big") + raw[15:]

                about = f"version {version:#06x} and suite {chosen:#06x} are selected"
                wrong = Wrong(preamble=change)
                self._reject(f"plain/selects-{version}-{chosen}", about, (cited,), plain, wrong=wrong)
            other = 2 if self.suite is not Suite.XX_CHACHAPOLY else 1
            swap = Wrong(preamble=lambda raw: raw[:13] + other.to_bytes(2, "big") + raw[15:])
            about = f"suite {other}, for which message 1 is not made, is selected"
            self._reject(f"plain/selects-1-{other}", about, ("VN-038",), plain, wrong=swap)
        if self.suite is not Suite.XXPSK0_AESGCM:
            # Two sides that do not agree on the binding notice it with the first encrypted bytes.
            here: dict[str, Any] = {"binding": counting(32)}
            flights = plain.input["receives"]
            self._reject("plain/binding", "another binding", ("HS-011", "HS-026"), plain, own=here, receives=flights)
        else:
            flights = plain.input["receives"]
            here = {"secret": SECRET + b"!"}
            ids = ("VN-042", "HS-026") if not self.initiator else ("HS-026",)
            self._reject("plain/secret", "another network secret", ids, plain, own=here, receives=flights)

    def _reject_message_1(self, plain: Vector) -> None:
        for name, payload in (("one-byte", b"x"), ("hello", b"\x00\x00\x06"), ("most", counting(900))):
            talk = self.talk(self.own, attrs.evolve(self.remote, wrong=Wrong(message_1=payload)))
            about = f"message 1 with a payload of {len(payload)} bytes"
            self._reject(f"plain/message-1-{name}", about, ("HS-002",), plain, receives=[talk.sent[1]])
        flight = plain.input["receives"][0]
        size = 48 if self.suite is Suite.XXPSK0_AESGCM else 32
        for length in sorted({1, 31, size - 1}):
            cut = flight[: -size - 2] + enveloped(flight[-size:][:length])
            about = f"message 1 of {length} bytes"
            self._reject(f"plain/message-1-{length}", about, ("HS-010",), plain, receives=[cut])
