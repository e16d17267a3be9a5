"""The registry: every number that the protocol gives a name, each with its reason.

The string below a constant says what it is for; the tables of SPEC.md are made from these names, values and strings,
so a number is written down once, here. Sizes are bytes and times are seconds unless the text says otherwise.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

# --- Fixed texts ---------------------------------------------------------------------------------------------------

MAGIC: Final = b"\x89P2PW\r\n\x1a"
"""Begins every stream; 0x89 is no letter, so no text protocol mistakes it, and mangled line ends show."""

PROTOCOL_NAME: Final = b"p2pwire/1"
"""Begins every signed text and every hash input, so that no signature or hash serves another protocol."""

MANIFEST_MAGIC: Final = b"P2PM\x01"
"""Begins a manifest: four letters and the version of its format."""


class Version(IntEnum):
    """Protocol versions (u16)."""

    P2PWIRE_1 = 0x0001
    """This specification."""


class Suite(IntEnum):
    """Handshake suites (u16): a Noise pattern, a curve, a cipher and a hash."""

    XX_AESGCM = 0x0001
    """Noise_XX_25519_AESGCM_SHA256; mandatory."""
    XX_CHACHAPOLY = 0x0002
    """Noise_XX_25519_ChaChaPoly_SHA256; optional, and keeps the negotiation in use."""
    XXPSK0_AESGCM = 0x0003
    """Noise_XXpsk0_25519_AESGCM_SHA256; for private networks that share a secret."""


class PreambleKind(IntEnum):
    """What a preamble is (u8)."""

    INITIATOR = 0x01
    """Versions and suites offered."""
    RESPONDER = 0x02
    """Version and suite selected."""
    REFUSAL = 0x03
    """Nothing in common, or not now."""


class RefusalReason(IntEnum):
    """Why a responder refuses (u8)."""

    NO_VERSION = 1
    """No common version."""
    NO_SUITE = 2
    """No common suite."""
    USE_SUITE = 3
    """Message 1 was made for another suite than the one selected; try once more with that one."""
    BUSY = 4
    """Not now."""


class FrameType(IntEnum):
    """Frame types (u8). Even: critical, odd: ignorable."""

    HELLO = 0x00
    """Limits and parameters; the first frame each way."""
    PAD = 0x01
    """Bytes without meaning."""
    CLOSE = 0x02
    """The last frame: why the link ends."""
    PING = 0x04
    """Asks for a PONG."""
    PONG = 0x06
    """Answers a PING with its bytes."""
    JOIN = 0x10
    """Asks for and offers a topic."""
    REFUSE = 0x12
    """Answers a JOIN with no."""
    LEAVE = 0x14
    """Ends a topic."""
    OBJECT = 0x16
    """What the topic names: kind, length and root."""
    HAVE = 0x18
    """Units that the sender holds from now on."""
    LOST = 0x1A
    """Units that the sender holds no longer."""
    INTEREST = 0x1C
    """Whether the sender would request if it had credit."""
    CREDIT = 0x1E
    """The total cost of requests that the receiver may ever spend on this link."""
    SUGGEST = 0x1F
    """Units that are cheap to serve now."""
    REQUEST = 0x20
    """Asks for 2^level blocks."""
    DATA = 0x22
    """One block and its proof."""
    REJECT = 0x24
    """Ends a request without (more) data."""
    CANCEL = 0x26
    """The answer is no longer wanted."""
    PEERS = 0x30
    """Peer records added, and peers no longer vouched for."""
    GET_PEERS = 0x32
    """Asks for PEERS."""


FIRST_EXTENSION_FRAME: Final = 0x80
"""Frame types from here to 0xFE belong to extensions, numbered by the receiver."""

LAST_EXTENSION_FRAME: Final = 0xFE
"""The last extension frame type; 0xFF means "no frame" in CLOSE."""

NO_FRAME_TYPE: Final = 0xFF
"""In CLOSE: no single frame is to blame."""

GREASE_FRAMES: Final = (0x0B, 0x2B, 0x4B, 0x6B)
"""Frame types that never get a meaning, sent so that receivers keep ignoring the unknown (RFC 9170)."""

FIRST_EXTENSION_CLOSE_CODE: Final = 0x8000
"""Close codes from here on belong to extensions."""

MANIFEST_FILE: Final = 0xFFFFFFFF
"""The file index that names the manifest itself."""


class CloseCode(IntEnum):
    """Why a link ends (u16). Codes with (v & 0x0F0F) = 0x0A0A are GREASE; an unknown code means INTERNAL."""

    NONE = 0
    """Done; nothing is wrong."""
    INTERNAL = 1
    """The sender failed; the receiver did nothing wrong."""
    PROTOCOL = 2
    """A rule about the form or order of frames was broken."""
    UNKNOWN_FRAME = 3
    """A critical frame of an unknown type."""
    LIMIT = 4
    """More handles or open requests than announced."""
    BAD_DATA = 5
    """Content, proof or description does not match its hash."""
    UNSOLICITED = 6
    """DATA or REJECT that answers no open request."""
    CREDIT_EXCEEDED = 7
    """A REQUEST costs more than the credit left."""
    FLOOD = 8
    """More control frames or peer records than the budget."""
    TIMEOUT = 9
    """The other side was silent for too long."""
    DUPLICATE = 10
    """Another link to the same identity stays."""
    SELF = 11
    """Both ends have the same identity."""
    NOT_ALLOWED = 12
    """Local policy forbids this peer."""
    SHUTDOWN = 13
    """The sender stops."""
    BUSY = 14
    """No room for this link."""


class RejectCode(IntEnum):
    """Why a request ends without (more) data (u8)."""

    NOT_AVAILABLE = 1
    """The block is not held."""
    CHOKED = 2
    """Granted credit is taken back."""
    CANCELLED = 3
    """The requester cancelled."""
    BUSY = 4
    """Not now."""
    OUT_OF_RANGE = 5
    """No such file or block, or a level above the tree."""
    NOT_JOINED = 6
    """The topic is no longer open."""


class ObjectKind(IntEnum):
    """What an object is (u8)."""

    BLOB = 0
    """The bytes of one file."""
    MANIFEST = 1
    """A list of files: a folder."""


class EntryType(IntEnum):
    """What a manifest entry is (u8)."""

    FILE = 0
    """A file."""
    EXECUTABLE = 1
    """A file with the executable bit."""
    EMPTY_DIRECTORY = 2
    """A directory without entries."""


class AddressType(IntEnum):
    """Kinds of address (u8). Unknown kinds are kept and not dialled."""

    TCP4 = 1
    """IPv4 address (4 bytes) and port (u16)."""
    TCP6 = 2
    """IPv6 address (16 bytes) and port (u16)."""
    RELAY = 3
    """Identity of a relay (32 bytes)."""
    ONION3 = 4
    """Onion service, version 3: public key (32 bytes) and port (u16)."""
    WEBRTC = 5
    """Identity of the relay that carries the signalling (32 bytes)."""


class HelloTag(IntEnum):
    """Tags of HELLO's parameters (u8)."""

    AGENT = 1
    """Name and version of the implementation, at most 64 bytes of UTF-8 without control characters."""
    OWN_RECORD = 2
    """The sender's own peer record, always sent by a peer that listens."""
    OBSERVED_ADDRESS = 3
    """The address from which the sender sees the receiver."""
    EXTENSIONS = 4
    """The extensions that the sender understands, one entry after another."""


class JoinFlag(IntFlag):
    """Flags of JOIN (u8)."""

    HAS_MANIFEST = 1
    """The sender holds the whole manifest."""
    UPLOAD_ONLY = 2
    """The sender wants no content."""
    WANTS_PEERS = 4
    """The sender wants PEERS unasked."""


class SharedRecordFlag(IntFlag):
    """Flags of a record in PEERS (u8)."""

    REACHABLE = 1
    """The sender itself dialled an address of this record with success."""


# --- Sizes ---------------------------------------------------------------------------------------------------------

MIN_RECORD: Final = 17
"""bytes of ciphertext in a record: one byte of plaintext and the 16-byte tag."""

MAX_RECORD: Final = 65535
"""bytes of ciphertext in a record: what its u16 length can say."""

MAX_RECORD_PLAINTEXT: Final = 65519
"""bytes of plaintext in a record: MAX_RECORD less the tag."""

RECORD_TAG: Final = 16
"""bytes of authentication tag in a record: that of AES-GCM and ChaCha20-Poly1305."""

FRAME_HEADER: Final = 3
"""bytes before a frame's body: type and length."""

MAX_FRAME_BODY: Final = 65516
"""bytes of frame body: a frame lies within one record."""

PREAMBLE_HEADER: Final = 11
"""bytes before a preamble's body: magic, kind and length."""

MIN_PREAMBLE_BODY: Final = 4
"""bytes of preamble body: a responder's version and suite."""

MAX_PREAMBLE_BODY: Final = 512
"""bytes of preamble body: 16 versions and 16 suites take 68, the rest is room for parameters."""

MAX_HANDSHAKE_MESSAGE: Final = 1024
"""bytes of one Noise message: message 2 takes 194, the rest is room for parameters."""

MAX_BUFFERED_HANDSHAKE: Final = 1549
"""bytes kept of an unknown initiator before message 1 is complete: a preamble (523) and a message (1026)."""

MAX_OFFERED: Final = 16
"""versions, and suites, in one preamble: far above what is in use at one time."""

REKEY_INTERVAL: Final = 65536
"""records per direction between two REKEYs: well within the bounds of AES-GCM for one key."""

BLOCK_SIZE: Final = 16384
"""bytes of content that are checked at once: the leaf of a BitTorrent v2 (BEP 52) tree."""

MAX_LEVEL: Final = 6
"""the largest request is 2^6 blocks, 1 MiB: one request lasts at most 1 s at 8 Mbit/s."""

MAX_LENGTH: Final = 2**46
"""bytes of one file or of all files together: 2^32 blocks, what block u32 can name."""

MAX_BLOCKS: Final = 2**32
"""blocks of one file or of all files together."""

MIN_MANIFEST_LENGTH: Final = 9
"""bytes of a manifest without entries."""

MAX_MANIFEST_LENGTH: Final = 64 * 2**20
"""bytes of a manifest: 64 MiB; a receiver keeps it in memory."""

MAX_MANIFEST_ENTRIES: Final = 2**20
"""entries of a manifest: about what MAX_MANIFEST_LENGTH holds."""

MAX_PATH: Final = 1024
"""bytes of a path in a manifest: what common file systems take."""

MAX_PATH_COMPONENTS: Final = 32
"""components of a path: bounds the work of making directories."""

MAX_PATH_COMPONENT: Final = 255
"""bytes of one path component: what common file systems take."""

MAX_URI: Final = 4096
"""characters of a URI: all that it may name fits, with as much room again for parameters to come."""

MAX_URI_PEERS: Final = 32
"""addresses in one URI: more are learned from any one of them."""

MAX_UNITS: Final = 65536
"""units of a HAVE map: a map is at most 8 KiB."""

MAX_PROOF_HASHES: Final = 32
"""hashes of a proof: the height of the tree of the longest file."""

MAX_AGENT: Final = 64
"""bytes of agent name: enough for a name and a version."""

MAX_CLOSE_DETAIL: Final = 256
"""bytes of detail text in CLOSE: one sentence."""

MAX_EXTENSIONS: Final = 24
"""extensions in one HELLO: bounds the work and fits the extension frame types."""

MAX_EXTENSION_NAME: Final = 32
"""bytes of an extension's name."""

MAX_EXTENSION_FRAMES: Final = 16
"""frame types of one extension."""

MAX_PEER_RECORD: Final = 512
"""bytes of a peer record: eight addresses fit."""

MAX_ADDRESSES: Final = 8
"""addresses in a peer record."""

MAX_PEERS_ADDED: Final = 32
"""records in one PEERS frame: 32 × 515 bytes stay within a quarter of a frame."""

MAX_PEERS_DROPPED: Final = 64
"""withdrawn identities in one PEERS frame."""

# --- Counts on one link --------------------------------------------------------------------------------------------

MAX_REQUESTS: Final = 1024
"""requests that one side may have open: the highest value of HELLO, and the default."""

MAX_HANDLES: Final = 1024
"""topics that one side may have joined: the highest value of HELLO."""

DEFAULT_HANDLES: Final = 64
"""topics that one side may have joined unless configured: 64 maps of 8 KiB are 512 KiB."""

ASSUMED_HANDLES: Final = 1
"""handles that a peer may have joined before the other side's HELLO has arrived."""

MAX_OPEN_PINGS: Final = 4
"""PINGs that a sender may have unanswered."""

INITIAL_CREDIT: Final = 64
"""blocks that each side may request before the first CREDIT: one largest request."""

MIN_AHEAD: Final = 64
"""blocks that a peer with a free upload slot keeps granted ahead of an interested peer."""

MAX_AHEAD: Final = 1024
"""blocks granted ahead at most: 16 MiB, 1.17 Gbit/s at 100 ms round trip."""

# --- Budgets -------------------------------------------------------------------------------------------------------

CONTROL_RATE: Final = 100
"""counted control frames per second: an order of magnitude above what an honest peer sends."""

CONTROL_BURST: Final = 1000
"""counted control frames at once."""

CONTROL_BYTES_RATE: Final = 64 * 1024
"""bytes of counted control frames per second."""

CONTROL_BYTES_BURST: Final = 1024 * 1024
"""bytes of counted control frames at once."""

SEND_QUEUE_DATA: Final = 128 * 1024
"""bytes waiting to be sent above which no DATA, HAVE, PEERS or SUGGEST is produced: two records."""

SEND_QUEUE_ANSWERS: Final = 64 * 1024
"""bytes of answers waiting to be sent above which reading stops: honest peers need about 20 KB."""

MAX_UNWRITTEN_BLOCKS: Final = 64
"""verified blocks of one link that wait for the disk above which reading stops: 1 MiB."""

DRAIN_BYTES: Final = 20 * 2**20
"""bytes discarded after sending CLOSE before the carrier is closed: more than any window in flight."""

# --- Peer exchange -------------------------------------------------------------------------------------------------

PEERS_BURST: Final = 2
"""PEERS frames per handle that a sender may send at once, so that newcomers are learned of at once."""

PEERS_INTERVAL: Final = 60.0
"""seconds per further PEERS frame on a handle."""

PEERS_ACCEPTED: Final = 4
"""PEERS frames per handle within PEERS_INTERVAL above which a receiver closes with FLOOD."""

RECORDS_SENT_BURST: Final = 64
"""records per link that a sender may send at once, over all handles."""

RECORDS_SENT_RATE: Final = 0.5
"""records per second and link that a sender may send."""

RECORDS_KEPT_BURST: Final = 128
"""records per link that a receiver takes at once; more are dropped unchecked."""

RECORDS_KEPT_RATE: Final = 1.0
"""records per second and link that a receiver takes."""

RECORDS_FLOOD_BURST: Final = 512
"""records per link at once above which a receiver closes with FLOOD."""

RECORDS_FLOOD_RATE: Final = 2.0
"""records per second and link above which a receiver closes with FLOOD."""

BOOK_PER_SOURCE: Final = 256
"""records kept from one source peer."""

BOOK_PER_GROUP: Final = 512
"""records kept from the source peers of one /16 (IPv4) or /32 (IPv6)."""

BOOK_TOTAL: Final = 16384
"""records kept in all: 8 MiB at the largest size."""

VOUCH_WINDOW: Final = 600.0
"""seconds since the last authenticated connection within which a peer may be shared."""

CLOCK_SKEW: Final = 600
"""seconds by which a record's clock may differ."""

MIN_RECORD_TTL: Final = 60
"""seconds: the shortest life of a peer record."""

MAX_RECORD_TTL: Final = 86400
"""seconds: the longest life of a peer record, one day."""

DIALS_PARALLEL: Final = 4
"""dials in progress at once per source of addresses."""

DIALS_PER_MINUTE: Final = 16
"""dials begun per minute per source of addresses."""

PORTS_PER_GLOBAL_IP: Final = 3
"""distinct ports dialled per hour on one global IP: a record can not turn peers against a host."""

PORTS_PER_LOCAL_IP: Final = 64
"""distinct ports dialled per hour on one private or loopback IP."""

BLOCKED_PORTS: Final = frozenset(
    (
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179),
        *(389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636),
        *(989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566),
        *(6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)
"""ports of other services, never dialled from a record: those that browsers block (WHATWG Fetch, "bad port")."""

MIN_OUTBOUND_SLOTS: Final = 8
"""outbound links that a peer keeps room for."""

ANCHORS: Final = 2
"""outbound peers remembered over a restart."""

HALF_OPEN_PER_GROUP: Final = 10
"""handshakes in progress per /24 (IPv4) or /48 (IPv6), loopback exempt."""

MAX_INBOUND: Final = 200
"""inbound links of one peer."""

# --- Times ---------------------------------------------------------------------------------------------------------

HANDSHAKE_TIMEOUT: Final = 10.0
"""seconds from the opening of the carrier to the end of the handshake."""

HELLO_TIMEOUT: Final = 10.0
"""seconds from the end of the handshake to the other side's HELLO."""

MIN_IDLE: Final = 30
"""seconds: the smallest idle time in HELLO."""

MAX_IDLE: Final = 600
"""seconds: the largest idle time in HELLO."""

DEFAULT_IDLE: Final = 150
"""seconds without a complete record after which a link is dead, unless configured."""

MAX_PING_INTERVAL: Final = 60.0
"""seconds without a complete record after which a PING is sent, at most; else a third of the idle time."""

REQUEST_TIMEOUT: Final = 30.0
"""seconds without DATA or REJECT while a request is open."""

SNUB_TIMEOUTS: Final = 3
"""request timeouts after which a peer is snubbed."""

SERVE_TIMEOUT: Final = 20.0
"""seconds without DATA after which a server rejects what is open: below REQUEST_TIMEOUT."""

DRAIN_TIMEOUT: Final = 5.0
"""seconds that a carrier is read after CLOSE was sent."""

REJOIN_DELAY: Final = 60.0
"""seconds before a refused topic is joined again."""

RECONNECT_MIN: Final = 1.0
"""seconds before the first reconnect; doubles each time."""

RECONNECT_MAX: Final = 900.0
"""seconds between reconnects at most."""

RECONNECT_JITTER: Final = 0.25
"""fraction by which a reconnect delay varies, so that peers do not return in step."""

WRONG_IDENTITY_MIN: Final = 600.0
"""seconds during which an address with an unexpected identity is not dialled for it; doubles each time."""

WRONG_IDENTITY_MAX: Final = 86400.0
"""seconds of that back-off at most."""

BAN_TIME: Final = 3600.0
"""seconds for which a peer that sent bad data is banned."""

BANNED_IDENTITIES_PER_IP: Final = 3
"""banned identities within BAN_TIME after which a global IP is banned."""

HAVE_DELAY: Final = 0.1
"""seconds for which HAVE is gathered per handle."""

HAVE_PATIENCE: Final = 2.0
"""seconds for which HAVE of units that the receiver holds itself may wait for others: of these it only learns how rare
they are."""

GREASE_ONE_IN: Final = 8
"""connections: one in so many carries GREASE."""


def is_grease16(value: int) -> bool:
    """Whether a u16 (version, suite or close code) is GREASE: never chosen, ignored wherever it is read."""
    return value & 0x0F0F == 0x0A0A


def is_grease_tag(tag: int) -> bool:
    """Whether a u8 parameter tag is GREASE."""
    return tag & 0x1F == 0x0B


def is_critical(frame_type: int) -> bool:
    """Whether a frame of this type may not be ignored: even types."""
    return frame_type % 2 == 0
