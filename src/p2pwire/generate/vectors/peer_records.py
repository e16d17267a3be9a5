"""Family peer-record: what becomes of a record, by a receiver's clock and by what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from p2pwire.crypto.identity import Identity
from p2pwire.generate.vectors.book import DROP, Book, Vector
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.handshakes import ORDER, weak_identities
from p2pwire.generate.vectors.samples import FUTURE, ONION, RELAY, TCP4, TCP6, WEBRTC, counting
from p2pwire.wire import schema
from p2pwire.wire.keys import is_identity
from p2pwire.wire.registry import PROTOCOL_NAME

SIGNER: Final = Identity.from_seed(counting(32, 7))
OTHER: Final = Identity.from_seed(counting(32, 77))
OWN: Final = Identity.from_seed(counting(32, 177))
MADE: Final = 1_800_000_000
"""Unix seconds."""
TTL: Final = 7200
SKEW: Final = 600


def signed(
    *,
    signer: Identity = SIGNER,
    purpose: bytes = b"peer-record",
    malleable: bool = False,
    **changes: Any,
) -> bytes:
    """A record, right unless something is changed."""
    values = {
        "version": 1,
        "identity": SIGNER.public,
        "sequence": MADE,
        "ttl": TTL,
        "flags": 0,
        "addresses": [TCP4, TCP6],
        "signature": bytes(64),
    }
    content = schema.PEER_RECORD.build({**values, **changes})[:-64]
    signature = signer._private.sign(PROTOCOL_NAME + b" " + purpose + b"\0" + content)
    if malleable:
        s = int.from_bytes(signature[32:], "little") + ORDER
        signature = signature[:32] + s.to_bytes(32, "little")
    return content + signature


def peer_record(citations: Citations) -> Iterator[Book]:
    """All checks, in their order."""
    book = Book("peer-record/records", "One record, a clock, and what is held of its peer.", citations)
    base = _accepted(book)
    _form(book, base)
    _identities(book, base)
    _clock(book, base)
    _held(book, base)
    _signatures(book, base)
    yield book


def _given(raw: bytes, *, now: int = MADE, held: bytes | None = None, own: bytes = OWN.public) -> dict[str, Any]:
    return {"bytes": raw, "now": now, "own": own, "held": held}


def _accept(
    book: Book, name: str, about: str, cited: Sequence[str], given: Mapping[str, Any], outcome: str = "stored"
) -> Vector:
    return book.accept(f"records/{name}", about, cited, given, {"becomes": outcome})


def _reject(
    book: Book, name: str, about: str, check: str, given: Mapping[str, Any], origin: Vector, *more: str
) -> None:
    """`check`: the one of PX-020 that fails."""
    output = {"check": check}
    book.reject(f"records/{name}", about, (check, "PX-020", *more), given, DROP, origin=origin, output=output)


def _accepted(book: Book) -> Vector:
    base = _accept(book, "two-addresses", "two addresses", ("PX-020", "PX-027"), _given(signed()))
    for name, addresses in {
        "no-address": [],
        "eight-addresses": [TCP4] * 8,
        "every-type": [TCP4, TCP6, RELAY, ONION, WEBRTC],
        "unknown-type": [FUTURE, TCP4],
        "unsorted": [TCP6, TCP4, TCP6],
        "port-zero": [{"type": 1, "value": bytes(6)}],
        "weak-relay": [{"type": 3, "value": (1).to_bytes(32, "little")}],
    }.items():
        cited = ("PX-007", "PX-027") if name == "unknown-type" else ("PX-021", "PX-027")
        _accept(book, name, f"addresses: {name.replace('-', ' ')}", cited, _given(signed(addresses=addresses)))
    fill = [{"type": 99, "value": counting(255)}, {"type": 99, "value": counting(142)}]
    _accept(book, "size-512", "512 bytes", ("PX-021",), _given(signed(addresses=fill)))
    for flags in (1, 0x80, 0xFF):
        _accept(book, f"flags-{flags}", f"reserved flags {flags:#04x}", ("GN-006",), _given(signed(flags=flags)))
    return base


def _form(book: Book, base: Vector) -> None:
    whole = signed()
    for size in (0, 1, 33, 41, 45, 46, 47, 110, len(whole) - 64, len(whole) - 1):
        _reject(book, f"cut-{size}", f"{size} bytes", "PX-021", _given(whole[:size]), base)
    _reject(book, "longer", "one byte follows", "PX-021", _given(whole + b"\0"), base)
    for version in (0, 2, 255):
        raw = _resigned(bytes((version,)) + whole[1:])
        _reject(book, f"version-{version}", f"version {version}", "PX-021", _given(raw), base)
    for ttl in (0, 59, 86401, 2**32 - 1):
        raw = _resigned(whole[:41] + ttl.to_bytes(4, "big") + whole[45:])
        _reject(book, f"ttl-{ttl}", f"ttl {ttl}", "PX-021", _given(raw), base)
    nine = _resigned(whole[:46] + b"\x09" + b"\x63\x00" * 9 + bytes(64))
    _reject(book, "nine-addresses", "nine addresses", "PX-021", _given(nine), base)
    for kind, size in ((1, 5), (1, 7), (2, 17), (2, 6), (3, 31), (4, 32), (5, 33)):
        raw = _resigned(whole[:46] + b"\x01" + bytes((kind, size)) + bytes(size) + bytes(64))
        about = f"an address of type {kind} with {size} bytes"
        _reject(book, f"type-{kind}-{size}-bytes", about, "PX-021", _given(raw), base, "PX-006")
    fill = b"\x63\xff" + bytes(255) + b"\x63\x8f" + bytes(143)
    raw = _resigned(whole[:46] + b"\x02" + fill + bytes(64))
    _reject(book, "size-513", "513 bytes", "PX-021", _given(raw), base)


def _resigned(raw: bytes) -> bytes:
    """The same with a right signature, so that the form alone is wrong."""
    content = raw[:-64]
    return content + SIGNER._private.sign(PROTOCOL_NAME + b" peer-record\0" + content)


def _identities(book: Book, base: Vector) -> None:
    for name, raw in weak_identities():
        forged = signed(identity=raw)[:-64] + raw + bytes(32)
        about = f"an identity of {name}, with R = identity and S = 0"
        _reject(book, f"identity-{name}", about, "PX-022", _given(forged), base, "ID-004")
    own = signed(identity=OWN.public, signer=OWN)
    _reject(book, "own", "the receiver's own record", "PX-022", _given(own), base)
    expired = _given(own, now=MADE + 10**6)
    _reject(book, "own-expired", "the receiver's own record, expired", "PX-022", expired, base)


def _clock(book: Book, base: Vector) -> None:
    end = TTL + SKEW
    for now, name in ((-SKEW, "early-most"), (1 - SKEW, "early"), (0, "made"), (TTL, "ttl-over"), (end, "late-most")):
        about = f"{now} s after it was made, with a ttl of {TTL}"
        _accept(book, f"clock-{name}", about, ("PX-023",), _given(signed(), now=MADE + now))
    for now, name in (
        (-SKEW - 1, "too-early"),
        (-(10**8), "far-too-early"),
        (end + 1, "too-late"),
        (10**8, "far-too-late"),
    ):
        about = f"{now} s after it was made, with a ttl of {TTL}"
        _reject(book, f"clock-{name}", about, "PX-023", _given(signed(), now=MADE + now), base)
    for ttl in (60, 86400):
        raw = signed(ttl=ttl)
        last = MADE + ttl + SKEW
        made = _accept(book, f"ttl-{ttl}-last", f"ttl {ttl}, to the last second", ("PX-023",), _given(raw, now=last))
        about = f"ttl {ttl}, a second too late"
        _reject(book, f"ttl-{ttl}-over", about, "PX-023", _given(raw, now=last + 1), made)
    most = signed(sequence=2**64 - 1)
    _reject(book, "sequence-most", "a seq of 2^64 - 1", "PX-023", _given(most), base)
    zero = signed(sequence=0)
    _reject(book, "sequence-0", "a seq of 0", "PX-023", _given(zero), base)
    _accept(book, "sequence-0-then", "a seq of 0, in 1970", ("PX-023",), _given(zero, now=0))


def _held(book: Book, base: Vector) -> None:
    whole = signed()
    for name, held in (("newer", signed(sequence=MADE + 1)), ("as-new", signed(addresses=[]))):
        about = f"a record {name.replace('-', ' ')} is held"
        _reject(book, f"held-{name}", about, "PX-024", _given(whole, held=held), base)
    older = signed(sequence=MADE - 1)
    _accept(book, "held-older", "an older record is held", ("PX-024",), _given(whole, held=older), "renewed")
    _accept(book, "held-equal", "the same record is held", ("PX-028",), _given(whole, held=whole), "vouched")
    last = MADE + TTL + SKEW
    given = _given(whole, held=whole, now=last)
    _accept(book, "held-equal-late", "the same record is held, in its last second", ("PX-028",), given, "vouched")
    given = _given(whole, held=whole, now=last + 1)
    _reject(book, "held-equal-expired", "the same record is held, and expired", "PX-023", given, base, "PX-028")
    spoiled = whole[:-1] + bytes((whole[-1] ^ 1,))
    about = "a record that is held, with another signature: not the same bytes, and not newer"
    _reject(book, "held-spoiled", about, "PX-024", _given(spoiled, held=whole), base)


def _signatures(book: Book, base: Vector) -> None:
    whole = signed()
    for at in range(1, len(whole)):
        if at in (41, 42, 46) or (whole[at] ^ 1 != whole[at] and 47 <= at < 49):
            continue  # the form would be wrong
        changed = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        try:
            schema.PEER_RECORD.parse(changed)
        except Exception:
            continue
        if at in range(33, 40) or not is_identity(changed[1:33]):
            continue  # an earlier check would fail
        about = f"a bit of byte {at} differs"
        _reject(book, f"byte-{at}", about, "PX-027", _given(changed), base)
    for name, about, raw in (
        ("signer", "another key signed", signed(signer=OTHER)),
        ("purpose", "signed for a handshake", signed(purpose=b"handshake-initiator")),
        ("purpose-none", "signed without a purpose", signed(purpose=b"")),
        ("high-s", "S plus the group order", signed(malleable=True)),
        ("zero", "a signature of zeros", whole[:-64] + bytes(64)),
        ("of-another", "the signature of another record", whole[:-64] + signed(flags=1)[-64:]),
    ):
        more = ("GN-022",) if name == "high-s" else ("GN-020",) if "purpose" in name else ()
        _reject(book, f"signature-{name}", about, "PX-027", _given(raw), base, *more)
