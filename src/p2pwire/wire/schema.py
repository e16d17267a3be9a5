"""Every byte of the protocol, described once.

All integers are big-endian and unsigned. Messages are construct objects from the closed set of `constructs`; the
generator makes `messages.py`, the tables of the specification and the machine-readable protocol from them. A rule that
one message alone can break is stated here; what depends on earlier messages is the connection's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from construct import Bytes, Const, Construct

from p2pwire.wire.constructs import (
    Boolean,
    Checked,
    Counted,
    Doc,
    KnownValues,
    Message,
    Present,
    Rest,
    Sized,
    Text,
    UntilEnd,
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
from p2pwire.wire.rules import (
    Aligned,
    AscendingKey,
    AscendingSpans,
    Characters,
    DisjointRanges,
    EndsBy,
    LengthBy,
    MemberOf,
    MessageRule,
    Named,
    NoControls,
    NotAllEmpty,
    NotBelow,
    NotGrease,
    RelativePath,
    Unique,
    UniqueKey,
    ZeroUnless,
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

_PARAMETERS: Final = "parameters" / Checked(UntilEnd(PARAMETER, _MAX_PARAMETERS), AscendingKey("tag"))
_VERSIONS: Final = "versions" / Checked(Counted(u8, Checked(u16, Named(Version)), 1, MAX_OFFERED), Unique())
_SUITES: Final = "suites" / Checked(Counted(u8, Checked(u16, Named(Suite)), 1, MAX_OFFERED), Unique())
_SELECTED_VERSION: Final = Checked(Checked(u16, Named(Version)), NotGrease())
_SELECTED_SUITE: Final = Checked(Checked(u16, Named(Suite)), NotGrease())
_PREAMBLE: Final = "VN-007"

PREAMBLE_HEADER: Final = Message(
    "PreambleHeader",
    "Begins a preamble.",
    "magic" / Const(MAGIC) * Doc("the same for every stream of this protocol", requirement="VN-003"),
    "kind" / Checked(u8, Named(PreambleKind, closed=True)) * Doc("which body follows", requirement="VN-005"),
    "length"
    / bounded(u16, MIN_PREAMBLE_BODY, MAX_PREAMBLE_BODY)
    * Doc("size of the body", unit="bytes", requirement="VN-004"),
    requirement=_PREAMBLE,
)

INITIATOR_PREAMBLE: Final = Message(
    "InitiatorPreamble",
    "What the initiator can speak.",
    _VERSIONS * Doc("versions offered, GREASE among them", requirement="VN-008"),
    _SUITES * Doc("suites offered in order of preference, GREASE among them", requirement="VN-008"),
    "key_suite" / _SELECTED_SUITE * Doc("the suite that message 1 is made for", requirement="VN-024"),
    _PARAMETERS * Doc("parameters", requirement="VN-010"),
    rules=(MemberOf("key_suite", "suites"),),
    minimum=MIN_PREAMBLE_BODY,
    maximum=MAX_PREAMBLE_BODY,
    requirement=_PREAMBLE,
)

RESPONDER_PREAMBLE: Final = Message(
    "ResponderPreamble",
    "What the responder selected.",
    "version" / _SELECTED_VERSION * Doc("the highest common version", requirement="VN-037"),
    "suite"
    / _SELECTED_SUITE
    * Doc("the first suite of the initiator's list that the responder has", requirement="VN-038"),
    _PARAMETERS * Doc("parameters", requirement="VN-010"),
    minimum=MIN_PREAMBLE_BODY,
    maximum=MAX_PREAMBLE_BODY,
    requirement=_PREAMBLE,
)

REFUSAL: Final = Message(
    "Refusal",
    "Why the responder does not go on, and what it can speak.",
    "reason" / Checked(u8, Named(RefusalReason)) * "why",
    _VERSIONS * Doc("versions that the responder speaks", requirement="VN-008"),
    _SUITES * Doc("suites that the responder has", requirement="VN-008"),
    minimum=MIN_PREAMBLE_BODY,
    maximum=MAX_PREAMBLE_BODY,
    requirement=_PREAMBLE,
)

PREAMBLES: Final[Mapping[int, Message]] = {
    PreambleKind.INITIATOR: INITIATOR_PREAMBLE,
    PreambleKind.RESPONDER: RESPONDER_PREAMBLE,
    PreambleKind.REFUSAL: REFUSAL,
}
"""The body of each kind of preamble."""

HANDSHAKE_HEADER: Final = Message(
    "HandshakeHeader",
    "Precedes each Noise message.",
    "length" / bounded(u16, 1, MAX_HANDSHAKE_MESSAGE) * Doc("size of the message", unit="bytes", requirement="HS-001"),
)

HANDSHAKE_PAYLOAD: Final = Message(
    "HandshakePayload",
    "Who speaks: the payload of messages 2 and 3.",
    "identity" / Bytes(32) * "Ed25519 public key",
    "signature" / Bytes(64) * "over this handshake",
    _PARAMETERS * Doc("parameters, used only after the signature is verified", requirement="VN-010"),
    maximum=_MAX_HANDSHAKE_PAYLOAD,
    requirement="HS-027",
)

# --- Records and frames --------------------------------------------------------------------------------------------


def _frame(
    frame_type: FrameType,
    title: str,
    text: str,
    *fields: Construct,
    rules: Sequence[MessageRule] = (),
    maximum: int | None = None,
) -> Message:
    """The body of a frame; its faults are those of every frame."""
    return Message(
        title,
        text,
        *fields,
        rules=rules,
        maximum=maximum,
        frame_type=frame_type,
        requirement="GN-007",
        size_requirement="FR-009",
    )


RECORD_HEADER: Final = Message(
    "RecordHeader",
    "Precedes each encrypted record.",
    "length"
    / bounded(u16, MIN_RECORD, MAX_RECORD)
    * Doc("size of the ciphertext with its tag", unit="bytes", requirement="EN-004"),
)

FRAME_HEADER: Final = Message(
    "FrameHeader",
    "Precedes each frame's body.",
    "type" / Checked(u8, Named(FrameType)) * "frame type; even types are critical, odd ones are ignorable",
    "length" / bounded(u16, 0, MAX_FRAME_BODY) * Doc("size of the body", unit="bytes"),
    requirement="EN-008",
)

# --- Peer records --------------------------------------------------------------------------------------------------

ADDRESS: Final = Message(
    "Address",
    "Where a peer can be reached.",
    "type" / Checked(u8, Named(AddressType)) * "kind of address; unknown kinds are kept and not dialled",
    "value" / Sized(u8, 0, 255) * Doc("the address; a port comes last", requirement="PX-006"),
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
    requirement="PX-021",
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
    "name"
    / Text(Rest(0, MAX_AGENT), NoControls())
    * Doc("name and version of the implementation", requirement="GN-012"),
    requirement="FR-023",
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
    requirement="EX-004",
)

EXTENSIONS: Final = Message(
    "Extensions",
    "The value of HELLO's parameter EXTENSIONS.",
    "entries"
    / Checked(Checked(UntilEnd(EXTENSION, MAX_EXTENSIONS), UniqueKey("name")), DisjointRanges())
    * "extensions, one after another",
    requirement="EX-004",
)

HELLO_VALUES: Final[Mapping[int, Message]] = {
    HelloTag.AGENT: AGENT,
    HelloTag.OWN_RECORD: PEER_RECORD,
    HelloTag.OBSERVED_ADDRESS: ADDRESS,
    HelloTag.EXTENSIONS: EXTENSIONS,
}
"""How the value of each known parameter of HELLO is read."""

LENIENT_HELLO_VALUES: Final = frozenset({HelloTag.OWN_RECORD})
"""Those that never make HELLO malformed: a wrong own record is dropped [FR-023] [FR-028]."""

HELLO: Final = _frame(
    FrameType.HELLO,
    "Hello",
    "Limits and parameters of the sender; the first frame each way.",
    "max_requests" / bounded(u16, 1, MAX_REQUESTS) * "requests that the receiver may have open",
    "max_handles" / bounded(u16, 1, MAX_HANDLES) * "topics that the receiver may have joined",
    "idle"
    / bounded(u16, MIN_IDLE, MAX_IDLE)
    * Doc("time without a record after which the link is dead; the smaller of both sides' binds", unit="seconds"),
    "parameters"
    / Checked(
        Checked(UntilEnd(HELLO_PARAMETER, _MAX_PARAMETERS), AscendingKey("tag")),
        KnownValues("tag", "value", HELLO_VALUES, LENIENT_HELLO_VALUES),
    )
    * Doc("parameters", requirement="FR-021"),
    maximum=MAX_FRAME_BODY,
)

# --- Frames of the link --------------------------------------------------------------------------------------------

PAD: Final = _frame(
    FrameType.PAD,
    "Pad",
    "Bytes without meaning.",
    "data" / Rest(0, MAX_FRAME_BODY, view=True) * "ignored",
)

CLOSE: Final = _frame(
    FrameType.CLOSE,
    "Close",
    "Why the link ends; the last frame.",
    "code" / Checked(u16, Named(CloseCode)) * "why; an unknown code means INTERNAL",
    "frame_type" / u8 * "type of the frame to blame; 0xFF for none",
    "detail" / Text(Rest(0, MAX_CLOSE_DETAIL), NoControls()) * Doc("a sentence for people", requirement="GN-012"),
)

PING: Final = _frame(
    FrameType.PING,
    "Ping",
    "Asks for a PONG.",
    "data" / Bytes(8) * "any bytes",
)

PONG: Final = _frame(
    FrameType.PONG,
    "Pong",
    "Answers a PING.",
    "data" / Bytes(8) * "the bytes of the PING",
)

# --- Frames of topics ----------------------------------------------------------------------------------------------

_HANDLE: Final = "handle" / u16 * "the sender's number for the topic"
_MAX_SPANS: Final = (MAX_FRAME_BODY - 4) // 4  # what a frame body holds beside handle and count

JOIN: Final = _frame(
    FrameType.JOIN,
    "Join",
    "Asks for and offers a topic.",
    _HANDLE,
    "flags" / Checked(u8, Named(JoinFlag)) * "what the sender has and wants; reserved bits are sent 0 and ignored",
    "topic" / Bytes(32) * "the topic's id",
    "cap" / Bytes(32) * "proves that the sender knows the object's id",
)

REFUSE: Final = _frame(
    FrameType.REFUSE,
    "Refuse",
    "Answers a JOIN with no.",
    "handle" / u16 * "the joiner's number for the topic",
    "code" / bounded(u8, 0, 0) * "0: one answer for every reason",
)

LEAVE: Final = _frame(
    FrameType.LEAVE,
    "Leave",
    "Ends a topic.",
    _HANDLE,
)

OBJECT: Final = _frame(
    FrameType.OBJECT,
    "Object",
    "What the topic names.",
    _HANDLE,
    "kind" / Checked(u8, Named(ObjectKind)) * "what the object is",
    "length" / bounded(u64, 0, MAX_LENGTH) * Doc("size of the object", unit="bytes"),
    "root" / Bytes(32) * "root of the object's tree; 32 zero bytes if the length is 0",
)

SPAN: Final = Message(
    "Span",
    "Neighbouring units.",
    "first" / u16 * "first unit",
    "last" / u16 * Doc("last unit, included", requirement="TR-011"),
    rules=(NotBelow("last", "first"),),
)

_SPANS: Final = "spans" / Checked(Counted(u16, SPAN, 1, _MAX_SPANS), AscendingSpans())

HAVE: Final = _frame(
    FrameType.HAVE,
    "Have",
    "Units that the sender holds from now on.",
    _HANDLE,
    _SPANS * Doc("added to what was announced before", requirement="TR-011"),
)

LOST: Final = _frame(
    FrameType.LOST,
    "Lost",
    "Units that the sender holds no longer.",
    _HANDLE,
    _SPANS * Doc("removed from what was announced before", requirement="TR-011"),
)

INTEREST: Final = _frame(
    FrameType.INTEREST,
    "Interest",
    "Whether the sender would request if it had credit.",
    _HANDLE,
    "on" / Boolean() * "1 if it would",
)

CREDIT: Final = _frame(
    FrameType.CREDIT,
    "Credit",
    "Total cost of requests that the receiver may ever spend on this link.",
    "blocks" / u64 * Doc("the initial credit included", unit="blocks"),
)

SUGGEST: Final = _frame(
    FrameType.SUGGEST,
    "Suggest",
    "Units that are cheap to serve now.",
    _HANDLE,
    "first" / u16 * "first unit",
    "last" / u16 * Doc("last unit, included", requirement="TR-011"),
    rules=(NotBelow("last", "first"),),
)

# --- Frames of requests --------------------------------------------------------------------------------------------

_REQUEST_ID: Final = "id" / u32 * "the requester's number for the request"

REQUEST: Final = _frame(
    FrameType.REQUEST,
    "Request",
    "Asks for 2^level blocks of one file.",
    _REQUEST_ID,
    _HANDLE,
    "file" / u32 * "index of the file in the manifest, 0 for a blob; 0xFFFFFFFF: the manifest itself",
    "block" / u32 * Doc("first block; a multiple of 2^level", requirement="TR-036"),
    "level" / bounded(u8, 0, MAX_LEVEL) * Doc("logarithm of the count of blocks", requirement="TR-036"),
    rules=(Aligned("block", "level"),),
)

DATA: Final = _frame(
    FrameType.DATA,
    "Data",
    "One block and its proof.",
    _REQUEST_ID,
    "block" / u32 * "number of the block",
    "proof" / Counted(u8, Bytes(32), 0, MAX_PROOF_HASHES) * "sibling hashes, bottom-up",
    "data" / Rest(1, BLOCK_SIZE, view=True) * "the block's bytes",
)

REJECT: Final = _frame(
    FrameType.REJECT,
    "Reject",
    "Ends a request without (more) data.",
    _REQUEST_ID,
    "code" / Checked(u8, Named(RejectCode, closed=True)) * Doc("why", requirement="TR-062"),
    "retry" / u16 * Doc("time to wait before a new request", unit="milliseconds", requirement="TR-062"),
    rules=(ZeroUnless("retry", "code", (RejectCode.CHOKED, RejectCode.BUSY)),),
)

CANCEL: Final = _frame(
    FrameType.CANCEL,
    "Cancel",
    "The answer is no longer wanted.",
    _REQUEST_ID,
)

# --- Frames of peer exchange ---------------------------------------------------------------------------------------

SHARED_RECORD: Final = Message(
    "SharedRecord",
    "A peer record and what the sender knows of it.",
    "flags" / Checked(u8, Named(SharedRecordFlag)) * "reserved bits are sent 0 and ignored",
    "record" / Sized(u16, 1, MAX_PEER_RECORD) * "the peer record as its peer signed it",
)

PEERS: Final = _frame(
    FrameType.PEERS,
    "Peers",
    "Peer records added, and peers no longer vouched for.",
    _HANDLE,
    "added"
    / Counted(u8, SHARED_RECORD, 0, MAX_PEERS_ADDED)
    * Doc("records that are new or newer", requirement="PX-051"),
    "dropped" / Counted(u8, Bytes(32), 0, MAX_PEERS_DROPPED) * "identities that the sender no longer vouches for",
    rules=(NotAllEmpty("added", "dropped"),),
)

GET_PEERS: Final = _frame(
    FrameType.GET_PEERS,
    "GetPeers",
    "Asks for PEERS.",
    _HANDLE,
    "max" / u8 * "records wanted at most",
)

# --- Manifest ------------------------------------------------------------------------------------------------------

MANIFEST_HEADER: Final = Message(
    "ManifestHeader",
    "Begins a manifest.",
    "magic" / Const(MANIFEST_MAGIC) * "four letters and the version of the format",
    "count" / bounded(u32, 0, MAX_MANIFEST_ENTRIES) * "entries that follow",
    requirement="OB-024",
)

MANIFEST_ENTRY: Final = Message(
    "ManifestEntry",
    "One file or empty directory.",
    "type" / Checked(u8, Named(EntryType, closed=True)) * Doc("what the entry is", requirement="OB-025"),
    "path"
    / Text(Sized(u16, 1, MAX_PATH), RelativePath(MAX_PATH_COMPONENTS, MAX_PATH_COMPONENT))
    * Doc("where it lies below the folder, components parted by '/'", requirement="OB-031"),
    "length"
    / Present(bounded(u64, 0, MAX_LENGTH), other="type", absent_at=EntryType.EMPTY_DIRECTORY, absent=0)
    * Doc("size of the file; not there for an empty directory", unit="bytes"),
    "root"
    / Present(Bytes(32), other="length", absent_at=0, absent=bytes(32))
    * "root of the file's tree; not there if the length is 0",
    requirement="OB-024",
    size_requirement="OB-023",
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
