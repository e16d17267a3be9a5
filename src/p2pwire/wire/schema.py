"""Every byte of the protocol, described once.

All integers are big-endian and unsigned. Messages are construct objects from the closed set of `constructs`; the
generator makes `messages.py`, the tables of the specification and the machine-readable protocol from them. A rule that
one message alone can break is stated here; what depends on earlier messages is the connection's business.
"""

from __future__ import annotations

from typing import Final

from construct import Bytes, Const

from p2pwire.wire.constructs import (
    Aligned,
    AscendingKey,
    AscendingSpans,
    Boolean,
    Characters,
    Checked,
    Counted,
    DisjointRanges,
    Doc,
    EndsBy,
    LengthBy,
    MemberOf,
    Message,
    Named,
    NoControls,
    NotAllEmpty,
    NotBelow,
    NotGrease,
    Present,
    RelativePath,
    Rest,
    Sized,
    Text,
    Unique,
    UniqueKey,
    UntilEnd,
    ZeroUnless,
    bounded,
    u8,
    u16,
    u32,
    u64,
)
from p2pwire.wire.registry import (
    BLOCK_SIZE,
    FIRST_EXTENSION_FRAME,
    LAST_EXTENSION_FRAME,
    MAGIC,
    MANIFEST_MAGIC,
    MAX_ADDRESSES,
    MAX_AGENT,
    MAX_CLOSE_DETAIL,
    MAX_EXTENSION_FRAMES,
    MAX_EXTENSION_NAME,
    MAX_EXTENSIONS,
    MAX_FRAME_BODY,
    MAX_HANDLES,
    MAX_HANDSHAKE_MESSAGE,
    MAX_IDLE,
    MAX_LENGTH,
    MAX_LEVEL,
    MAX_MANIFEST_ENTRIES,
    MAX_OFFERED,
    MAX_PATH,
    MAX_PATH_COMPONENT,
    MAX_PATH_COMPONENTS,
    MAX_PEER_RECORD,
    MAX_PEERS_ADDED,
    MAX_PEERS_DROPPED,
    MAX_PREAMBLE_BODY,
    MAX_PROOF_HASHES,
    MAX_RECORD,
    MAX_RECORD_TTL,
    MAX_REQUESTS,
    MIN_IDLE,
    MIN_PREAMBLE_BODY,
    MIN_RECORD,
    MIN_RECORD_TTL,
    AddressType,
    CloseCode,
    EntryType,
    FrameType,
    HelloTag,
    JoinFlag,
    ObjectKind,
    PreambleKind,
    RefusalReason,
    RejectCode,
    SharedRecordFlag,
    Suite,
    Version,
)

# --- Handshake -----------------------------------------------------------------------------------------------------

_MAX_PARAMETERS: Final = 256  # tags are u8, ascending and unique
_MAX_HANDSHAKE_PAYLOAD: Final = MAX_HANDSHAKE_MESSAGE - 32 - 48 - 16  # message 2: e, the encrypted s, and a tag

PARAMETER: Final = Message(
    "Parameter",
    "One parameter of a preamble or handshake payload.",
    "tag" / u8 * "what the value is; an unknown tag is ignored",
    "value" / Sized(u8, 0, 255) * "read by the tag's definition",
)

_PARAMETERS: Final = Checked(UntilEnd(PARAMETER, _MAX_PARAMETERS), AscendingKey("tag"))
_VERSIONS: Final = Checked(Counted(u8, Checked(u16, Named(Version)), 1, MAX_OFFERED), Unique())
_SUITES: Final = Checked(Counted(u8, Checked(u16, Named(Suite)), 1, MAX_OFFERED), Unique())

PREAMBLE_HEADER: Final = Message(
    "PreambleHeader",
    "Begins a preamble.",
    "magic" / Const(MAGIC) * "the same for every stream of this protocol",
    "kind" / Checked(u8, Named(PreambleKind, closed=True)) * "which body follows",
    "length" / bounded(u16, MIN_PREAMBLE_BODY, MAX_PREAMBLE_BODY) * Doc("size of the body", unit="bytes"),
)

INITIATOR_PREAMBLE: Final = Message(
    "InitiatorPreamble",
    "What the initiator can speak.",
    "versions" / _VERSIONS * "versions offered, GREASE among them",
    "suites" / _SUITES * "suites offered in order of preference, GREASE among them",
    "key_suite" / Checked(u16, NotGrease()) * "the suite that message 1 is made for",
    "parameters" / _PARAMETERS * "parameters",
    rules=(MemberOf("key_suite", "suites"),),
    minimum=MIN_PREAMBLE_BODY,
    maximum=MAX_PREAMBLE_BODY,
)

RESPONDER_PREAMBLE: Final = Message(
    "ResponderPreamble",
    "What the responder selected.",
    "version" / Checked(u16, NotGrease()) * "the highest common version",
    "suite" / Checked(u16, NotGrease()) * "the first suite of the initiator's list that the responder has",
    "parameters" / _PARAMETERS * "parameters",
    minimum=MIN_PREAMBLE_BODY,
    maximum=MAX_PREAMBLE_BODY,
)

REFUSAL: Final = Message(
    "Refusal",
    "Why the responder does not go on, and what it can speak.",
    "reason" / Checked(u8, Named(RefusalReason)) * "why",
    "versions" / _VERSIONS * "versions that the responder speaks",
    "suites" / _SUITES * "suites that the responder has",
    minimum=MIN_PREAMBLE_BODY,
    maximum=MAX_PREAMBLE_BODY,
)

PREAMBLES: Final = {
    PreambleKind.INITIATOR: INITIATOR_PREAMBLE,
    PreambleKind.RESPONDER: RESPONDER_PREAMBLE,
    PreambleKind.REFUSAL: REFUSAL,
}
"""The body of each kind of preamble."""

HANDSHAKE_HEADER: Final = Message(
    "HandshakeHeader",
    "Precedes each Noise message.",
    "length" / bounded(u16, 0, MAX_HANDSHAKE_MESSAGE) * Doc("size of the message", unit="bytes"),
)

HANDSHAKE_PAYLOAD: Final = Message(
    "HandshakePayload",
    "Who speaks: the payload of messages 2 and 3.",
    "identity" / Bytes(32) * "Ed25519 public key",
    "signature" / Bytes(64) * "over this handshake",
    "parameters" / _PARAMETERS * "parameters, used only after the signature is verified",
    maximum=_MAX_HANDSHAKE_PAYLOAD,
)

# --- Records and frames --------------------------------------------------------------------------------------------

RECORD_HEADER: Final = Message(
    "RecordHeader",
    "Precedes each encrypted record.",
    "length" / bounded(u16, MIN_RECORD, MAX_RECORD) * Doc("size of the ciphertext with its tag", unit="bytes"),
)

FRAME_HEADER: Final = Message(
    "FrameHeader",
    "Precedes each frame's body.",
    "type" / Checked(u8, Named(FrameType)) * "frame type; even types are critical, odd ones are ignorable",
    "length" / bounded(u16, 0, MAX_FRAME_BODY) * Doc("size of the body", unit="bytes"),
)

# --- Peer records --------------------------------------------------------------------------------------------------

ADDRESS: Final = Message(
    "Address",
    "Where a peer can be reached.",
    "type" / Checked(u8, Named(AddressType)) * "kind of address; unknown kinds are kept and not dialled",
    "value" / Sized(u8, 0, 255) * "the address; a port comes last",
    rules=(
        LengthBy(
            "value",
            "type",
            {
                AddressType.TCP4: 6,
                AddressType.TCP6: 18,
                AddressType.RELAY: 32,
                AddressType.ONION3: 34,
                AddressType.WEBRTC: 32,
            },
        ),
    ),
)

PEER_RECORD: Final = Message(
    "PeerRecord",
    "Where a peer says it can be reached, signed by it.",
    "version" / bounded(u8, 1, 1) * "version of this format",
    "identity" / Bytes(32) * "Ed25519 public key of the peer",
    "sequence" / u64 * Doc("when the record was made; a higher one replaces a lower one", unit="Unix seconds"),
    "ttl" / bounded(u32, MIN_RECORD_TTL, MAX_RECORD_TTL) * Doc("how long the record is good for", unit="seconds"),
    "flags" / u8 * "reserved: sent 0, ignored",
    "addresses" / Counted(u8, ADDRESS, 0, MAX_ADDRESSES) * "in order of preference",
    "signature" / Bytes(64) * "over all bytes before it",
    maximum=MAX_PEER_RECORD,
)

# --- HELLO ---------------------------------------------------------------------------------------------------------

HELLO_PARAMETER: Final = Message(
    "HelloParameter",
    "One parameter of HELLO.",
    "tag" / Checked(u8, Named(HelloTag)) * "what the value is; an unknown tag is ignored",
    "value" / Sized(u16, 0, MAX_FRAME_BODY) * "read by the tag's definition",
)

AGENT: Final = Message(
    "Agent",
    "The value of HELLO's parameter AGENT.",
    "name" / Text(Rest(0, MAX_AGENT), NoControls()) * "name and version of the implementation",
)

EXTENSION: Final = Message(
    "Extension",
    "One extension that the sender of HELLO understands.",
    "name" / Text(Sized(u8, 1, MAX_EXTENSION_NAME), Characters("a-z0-9./-")) * "name and version of the extension",
    "base"
    / bounded(u8, FIRST_EXTENSION_FRAME, LAST_EXTENSION_FRAME)
    * "first frame type that the other side uses for it",
    "count" / bounded(u8, 1, MAX_EXTENSION_FRAMES) * "frame types that it takes, one after another",
    "params" / Sized(u8, 0, 255) * "read by the extension's definition",
    rules=(EndsBy("base", "count", LAST_EXTENSION_FRAME),),
)

EXTENSIONS: Final = Message(
    "Extensions",
    "The value of HELLO's parameter EXTENSIONS.",
    "entries"
    / Checked(Checked(UntilEnd(EXTENSION, MAX_EXTENSIONS), UniqueKey("name")), DisjointRanges())
    * "extensions, one after another",
    maximum=MAX_FRAME_BODY,
)

HELLO_VALUES: Final = {
    HelloTag.AGENT: AGENT,
    HelloTag.OWN_RECORD: PEER_RECORD,
    HelloTag.OBSERVED_ADDRESS: ADDRESS,
    HelloTag.EXTENSIONS: EXTENSIONS,
}
"""How the value of each known parameter of HELLO is read."""

HELLO: Final = Message(
    "Hello",
    "Limits and parameters of the sender; the first frame each way.",
    "max_requests" / bounded(u16, 1, MAX_REQUESTS) * "requests that the receiver may have open",
    "max_handles" / bounded(u16, 1, MAX_HANDLES) * "topics that the receiver may have joined",
    "idle"
    / bounded(u16, MIN_IDLE, MAX_IDLE)
    * Doc("time without a record after which the link is dead; the smaller of both sides' binds", unit="seconds"),
    "parameters" / Checked(UntilEnd(HELLO_PARAMETER, _MAX_PARAMETERS), AscendingKey("tag")) * "parameters",
    maximum=MAX_FRAME_BODY,
    frame_type=FrameType.HELLO,
)

# --- Frames of the link --------------------------------------------------------------------------------------------

PAD: Final = Message(
    "Pad",
    "Bytes without meaning.",
    "data" / Rest(0, MAX_FRAME_BODY, view=True) * "ignored",
    frame_type=FrameType.PAD,
)

CLOSE: Final = Message(
    "Close",
    "Why the link ends; the last frame.",
    "code" / Checked(u16, Named(CloseCode)) * "why; an unknown code means INTERNAL",
    "frame_type" / u8 * "type of the frame to blame; 0xFF for none",
    "detail" / Text(Rest(0, MAX_CLOSE_DETAIL), NoControls()) * "a sentence for people",
    frame_type=FrameType.CLOSE,
)

PING: Final = Message(
    "Ping",
    "Asks for a PONG.",
    "data" / Bytes(8) * "any bytes",
    frame_type=FrameType.PING,
)

PONG: Final = Message(
    "Pong",
    "Answers a PING.",
    "data" / Bytes(8) * "the bytes of the PING",
    frame_type=FrameType.PONG,
)

# --- Frames of topics ----------------------------------------------------------------------------------------------

_HANDLE: Final = "handle" / u16 * "the sender's number for the topic"
_MAX_SPANS: Final = (MAX_FRAME_BODY - 4) // 4  # what a frame body holds beside handle and count

JOIN: Final = Message(
    "Join",
    "Asks for and offers a topic.",
    _HANDLE,
    "flags" / Checked(u8, Named(JoinFlag)) * "what the sender has and wants; reserved bits are sent 0 and ignored",
    "topic" / Bytes(32) * "the topic's id",
    "cap" / Bytes(32) * "proves that the sender knows the object's id",
    frame_type=FrameType.JOIN,
)

REFUSE: Final = Message(
    "Refuse",
    "Answers a JOIN with no.",
    "handle" / u16 * "the joiner's number for the topic",
    "code" / bounded(u8, 0, 0) * "0: one answer for every reason",
    frame_type=FrameType.REFUSE,
)

LEAVE: Final = Message(
    "Leave",
    "Ends a topic.",
    _HANDLE,
    frame_type=FrameType.LEAVE,
)

OBJECT: Final = Message(
    "Object",
    "What the topic names.",
    _HANDLE,
    "kind" / Checked(u8, Named(ObjectKind)) * "what the object is",
    "length" / bounded(u64, 0, MAX_LENGTH) * Doc("size of the object", unit="bytes"),
    "root" / Bytes(32) * "root of the object's tree; 32 zero bytes if the length is 0",
    frame_type=FrameType.OBJECT,
)

SPAN: Final = Message(
    "Span",
    "Neighbouring units.",
    "first" / u16 * "first unit",
    "last" / u16 * "last unit, included",
    rules=(NotBelow("last", "first"),),
)

_SPANS: Final = "spans" / Checked(Counted(u16, SPAN, 1, _MAX_SPANS), AscendingSpans())

HAVE: Final = Message(
    "Have",
    "Units that the sender holds from now on.",
    _HANDLE,
    _SPANS * "added to what was announced before",
    frame_type=FrameType.HAVE,
)

LOST: Final = Message(
    "Lost",
    "Units that the sender holds no longer.",
    _HANDLE,
    _SPANS * "removed from what was announced before",
    frame_type=FrameType.LOST,
)

INTEREST: Final = Message(
    "Interest",
    "Whether the sender would request if it had credit.",
    _HANDLE,
    "on" / Boolean() * "1 if it would",
    frame_type=FrameType.INTEREST,
)

CREDIT: Final = Message(
    "Credit",
    "Total cost of requests that the receiver may ever spend on this link.",
    "blocks" / u64 * Doc("the initial credit included", unit="blocks"),
    frame_type=FrameType.CREDIT,
)

SUGGEST: Final = Message(
    "Suggest",
    "Units that are cheap to serve now.",
    _HANDLE,
    "first" / u16 * "first unit",
    "last" / u16 * "last unit, included",
    rules=(NotBelow("last", "first"),),
    frame_type=FrameType.SUGGEST,
)

# --- Frames of requests --------------------------------------------------------------------------------------------

_REQUEST_ID: Final = "id" / u32 * "the requester's number for the request"

REQUEST: Final = Message(
    "Request",
    "Asks for 2^level blocks of one file.",
    _REQUEST_ID,
    _HANDLE,
    "file" / u32 * "index of the file in the manifest, 0 for a blob; 0xFFFFFFFF: the manifest itself",
    "block" / u32 * "first block; a multiple of 2^level",
    "level" / bounded(u8, 0, MAX_LEVEL) * "logarithm of the count of blocks",
    rules=(Aligned("block", "level"),),
    frame_type=FrameType.REQUEST,
)

DATA: Final = Message(
    "Data",
    "One block and its proof.",
    _REQUEST_ID,
    "block" / u32 * "number of the block",
    "proof" / Counted(u8, Bytes(32), 0, MAX_PROOF_HASHES) * "sibling hashes, bottom-up",
    "data" / Rest(1, BLOCK_SIZE, view=True) * "the block's bytes",
    frame_type=FrameType.DATA,
)

REJECT: Final = Message(
    "Reject",
    "Ends a request without (more) data.",
    _REQUEST_ID,
    "code" / Checked(u8, Named(RejectCode, closed=True)) * "why",
    "retry" / u16 * Doc("time to wait before a new request", unit="milliseconds"),
    rules=(ZeroUnless("retry", "code", (RejectCode.CHOKED, RejectCode.BUSY)),),
    frame_type=FrameType.REJECT,
)

CANCEL: Final = Message(
    "Cancel",
    "The answer is no longer wanted.",
    _REQUEST_ID,
    frame_type=FrameType.CANCEL,
)

# --- Frames of peer exchange ---------------------------------------------------------------------------------------

SHARED_RECORD: Final = Message(
    "SharedRecord",
    "A peer record and what the sender knows of it.",
    "flags" / Checked(u8, Named(SharedRecordFlag)) * "reserved bits are sent 0 and ignored",
    "record" / Sized(u16, 1, MAX_PEER_RECORD) * "the peer record as its peer signed it",
)

PEERS: Final = Message(
    "Peers",
    "Peer records added, and peers no longer vouched for.",
    _HANDLE,
    "added" / Counted(u8, SHARED_RECORD, 0, MAX_PEERS_ADDED) * "records that are new or newer",
    "dropped" / Counted(u8, Bytes(32), 0, MAX_PEERS_DROPPED) * "identities that the sender no longer vouches for",
    rules=(NotAllEmpty("added", "dropped"),),
    frame_type=FrameType.PEERS,
)

GET_PEERS: Final = Message(
    "GetPeers",
    "Asks for PEERS.",
    _HANDLE,
    "max" / u8 * "records wanted at most",
    frame_type=FrameType.GET_PEERS,
)

# --- Manifest ------------------------------------------------------------------------------------------------------

MANIFEST_HEADER: Final = Message(
    "ManifestHeader",
    "Begins a manifest.",
    "magic" / Const(MANIFEST_MAGIC) * "four letters and the version of the format",
    "count" / bounded(u32, 0, MAX_MANIFEST_ENTRIES) * "entries that follow",
)

MANIFEST_ENTRY: Final = Message(
    "ManifestEntry",
    "One file or empty directory.",
    "type" / Checked(u8, Named(EntryType, closed=True)) * "what the entry is",
    "path"
    / Text(Sized(u16, 1, MAX_PATH), RelativePath(MAX_PATH_COMPONENTS, MAX_PATH_COMPONENT))
    * "where it lies below the folder, components parted by '/'",
    "length"
    / Present(bounded(u64, 0, MAX_LENGTH), other="type", absent_at=EntryType.EMPTY_DIRECTORY, absent=0)
    * Doc("size of the file; not there for an empty directory", unit="bytes"),
    "root"
    / Present(Bytes(32), other="length", absent_at=0, absent=bytes(32))
    * "root of the file's tree; not there if the length is 0",
)

# --- All -----------------------------------------------------------------------------------------------------------

MESSAGES: Final = (
    PREAMBLE_HEADER,
    PARAMETER,
    INITIATOR_PREAMBLE,
    RESPONDER_PREAMBLE,
    REFUSAL,
    HANDSHAKE_HEADER,
    HANDSHAKE_PAYLOAD,
    RECORD_HEADER,
    FRAME_HEADER,
    ADDRESS,
    PEER_RECORD,
    HELLO_PARAMETER,
    AGENT,
    EXTENSION,
    EXTENSIONS,
    HELLO,
    PAD,
    CLOSE,
    PING,
    PONG,
    JOIN,
    REFUSE,
    LEAVE,
    OBJECT,
    SPAN,
    HAVE,
    LOST,
    INTEREST,
    CREDIT,
    SUGGEST,
    REQUEST,
    DATA,
    REJECT,
    CANCEL,
    SHARED_RECORD,
    PEERS,
    GET_PEERS,
    MANIFEST_HEADER,
    MANIFEST_ENTRY,
)
"""Every message, elements before the messages that hold them."""
