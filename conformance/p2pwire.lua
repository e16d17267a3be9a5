-- Wireshark's dissector of p2pwire, written by `python -m p2pwire.generate` from the protocol's schema.
--
-- It reads the handshake of live TCP streams, whose records stay closed, and all of the captures that p2pwire writes
-- (`p2pwire get --capture FILE`), in which the records are open. Put it into Wireshark's folder of personal plugins, or
-- let `p2pwire dissector --install` do so.

local p2pwire = Proto("p2pwire", "p2pwire")

local MAGIC = "89503250570D0A1A"
local CLEAR = 0
local INITIATOR = 1
local FRAMES = {
    [0] = "Hello",
    [1] = "Pad",
    [2] = "Close",
    [4] = "Ping",
    [6] = "Pong",
    [16] = "Join",
    [18] = "Refuse",
    [20] = "Leave",
    [22] = "Object",
    [24] = "Have",
    [26] = "Lost",
    [28] = "Interest",
    [30] = "Credit",
    [31] = "Suggest",
    [32] = "Request",
    [34] = "Data",
    [36] = "Reject",
    [38] = "Cancel",
    [48] = "Peers",
    [50] = "GetPeers",
}
local FRAME_NAMES = {
    [0] = "HELLO",
    [1] = "PAD",
    [2] = "CLOSE",
    [4] = "PING",
    [6] = "PONG",
    [16] = "JOIN",
    [18] = "REFUSE",
    [20] = "LEAVE",
    [22] = "OBJECT",
    [24] = "HAVE",
    [26] = "LOST",
    [28] = "INTEREST",
    [30] = "CREDIT",
    [31] = "SUGGEST",
    [32] = "REQUEST",
    [34] = "DATA",
    [36] = "REJECT",
    [38] = "CANCEL",
    [48] = "PEERS",
    [50] = "GET_PEERS",
}
local PREAMBLES = { [1] = "InitiatorPreamble", [2] = "ResponderPreamble", [3] = "Refusal" }
local MESSAGES = {
    ["PreambleHeader"] = {
        ["abbr"] = "p2pwire.preamble_header",
        ["text"] = "Begins a preamble.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.preamble_header.magic",
                ["name"] = "magic",
                ["text"] = "the same for every stream of this protocol",
                ["kind"] = "constant",
                ["size"] = 8,
            },
            {
                ["abbr"] = "p2pwire.preamble_header.kind",
                ["name"] = "kind",
                ["text"] = "which body follows",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [1] = "INITIATOR", [2] = "RESPONDER", [3] = "REFUSAL" },
            },
            {
                ["abbr"] = "p2pwire.preamble_header.length",
                ["name"] = "length",
                ["text"] = "size of the body",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["Parameter"] = {
        ["abbr"] = "p2pwire.parameter",
        ["text"] = "One parameter of a preamble or handshake payload.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.parameter.tag",
                ["name"] = "tag",
                ["text"] = "what the value is; an unknown tag is ignored",
                ["kind"] = "number",
                ["size"] = 1,
            },
            {
                ["abbr"] = "p2pwire.parameter.value",
                ["name"] = "value",
                ["text"] = "read by the tag's definition",
                ["kind"] = "blob",
                ["prefix"] = { ["abbr"] = "p2pwire.parameter.value_length", ["name"] = "value_length", ["size"] = 1 },
            },
        },
    },
    ["InitiatorPreamble"] = {
        ["abbr"] = "p2pwire.initiator_preamble",
        ["text"] = "What the initiator can speak.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.initiator_preamble.versions",
                ["name"] = "versions",
                ["text"] = "versions offered, GREASE among them",
                ["kind"] = "list",
                ["prefix"] = {
                    ["abbr"] = "p2pwire.initiator_preamble.versions_count",
                    ["name"] = "versions_count",
                    ["size"] = 1,
                },
                ["element"] = 2,
                ["plain"] = true,
                ["names"] = { [1] = "P2PWIRE_1" },
            },
            {
                ["abbr"] = "p2pwire.initiator_preamble.suites",
                ["name"] = "suites",
                ["text"] = "suites offered in order of preference, GREASE among them",
                ["kind"] = "list",
                ["prefix"] = {
                    ["abbr"] = "p2pwire.initiator_preamble.suites_count",
                    ["name"] = "suites_count",
                    ["size"] = 1,
                },
                ["element"] = 2,
                ["plain"] = true,
                ["names"] = { [1] = "XX_AESGCM", [2] = "XX_CHACHAPOLY", [3] = "XXPSK0_AESGCM" },
            },
            {
                ["abbr"] = "p2pwire.initiator_preamble.key_suite",
                ["name"] = "key_suite",
                ["text"] = "the suite that message 1 is made for",
                ["kind"] = "number",
                ["size"] = 2,
                ["names"] = { [1] = "XX_AESGCM", [2] = "XX_CHACHAPOLY", [3] = "XXPSK0_AESGCM" },
            },
            {
                ["abbr"] = "p2pwire.initiator_preamble.parameters",
                ["name"] = "parameters",
                ["text"] = "parameters",
                ["kind"] = "list",
                ["element"] = "Parameter",
            },
        },
    },
    ["ResponderPreamble"] = {
        ["abbr"] = "p2pwire.responder_preamble",
        ["text"] = "What the responder selected.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.responder_preamble.version",
                ["name"] = "version",
                ["text"] = "the highest common version",
                ["kind"] = "number",
                ["size"] = 2,
                ["names"] = { [1] = "P2PWIRE_1" },
            },
            {
                ["abbr"] = "p2pwire.responder_preamble.suite",
                ["name"] = "suite",
                ["text"] = "the first suite of the initiator's list that the responder has",
                ["kind"] = "number",
                ["size"] = 2,
                ["names"] = { [1] = "XX_AESGCM", [2] = "XX_CHACHAPOLY", [3] = "XXPSK0_AESGCM" },
            },
            {
                ["abbr"] = "p2pwire.responder_preamble.parameters",
                ["name"] = "parameters",
                ["text"] = "parameters",
                ["kind"] = "list",
                ["element"] = "Parameter",
            },
        },
    },
    ["Refusal"] = {
        ["abbr"] = "p2pwire.refusal",
        ["text"] = "Why the responder does not go on, and what it can speak.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.refusal.reason",
                ["name"] = "reason",
                ["text"] = "why",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [1] = "NO_VERSION", [2] = "NO_SUITE", [3] = "USE_SUITE", [4] = "BUSY" },
            },
            {
                ["abbr"] = "p2pwire.refusal.versions",
                ["name"] = "versions",
                ["text"] = "versions that the responder speaks",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.refusal.versions_count", ["name"] = "versions_count", ["size"] = 1 },
                ["element"] = 2,
                ["plain"] = true,
                ["names"] = { [1] = "P2PWIRE_1" },
            },
            {
                ["abbr"] = "p2pwire.refusal.suites",
                ["name"] = "suites",
                ["text"] = "suites that the responder has",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.refusal.suites_count", ["name"] = "suites_count", ["size"] = 1 },
                ["element"] = 2,
                ["plain"] = true,
                ["names"] = { [1] = "XX_AESGCM", [2] = "XX_CHACHAPOLY", [3] = "XXPSK0_AESGCM" },
            },
        },
    },
    ["HandshakeHeader"] = {
        ["abbr"] = "p2pwire.handshake_header",
        ["text"] = "Precedes each Noise message.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.handshake_header.length",
                ["name"] = "length",
                ["text"] = "size of the message",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["HandshakePayload"] = {
        ["abbr"] = "p2pwire.handshake_payload",
        ["text"] = "Who speaks: the payload of messages 2 and 3.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.handshake_payload.identity",
                ["name"] = "identity",
                ["text"] = "Ed25519 public key",
                ["kind"] = "bytes",
                ["size"] = 32,
            },
            {
                ["abbr"] = "p2pwire.handshake_payload.signature",
                ["name"] = "signature",
                ["text"] = "over this handshake",
                ["kind"] = "bytes",
                ["size"] = 64,
            },
            {
                ["abbr"] = "p2pwire.handshake_payload.parameters",
                ["name"] = "parameters",
                ["text"] = "parameters, used only after the signature is verified",
                ["kind"] = "list",
                ["element"] = "Parameter",
            },
        },
    },
    ["RecordHeader"] = {
        ["abbr"] = "p2pwire.record_header",
        ["text"] = "Precedes each encrypted record.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.record_header.length",
                ["name"] = "length",
                ["text"] = "size of the ciphertext with its tag",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["FrameHeader"] = {
        ["abbr"] = "p2pwire.frame_header",
        ["text"] = "Precedes each frame's body.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.frame_header.type",
                ["name"] = "type",
                ["text"] = "frame type; even types are critical, odd ones are ignorable",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = {
                    [0] = "HELLO",
                    [1] = "PAD",
                    [2] = "CLOSE",
                    [4] = "PING",
                    [6] = "PONG",
                    [16] = "JOIN",
                    [18] = "REFUSE",
                    [20] = "LEAVE",
                    [22] = "OBJECT",
                    [24] = "HAVE",
                    [26] = "LOST",
                    [28] = "INTEREST",
                    [30] = "CREDIT",
                    [31] = "SUGGEST",
                    [32] = "REQUEST",
                    [34] = "DATA",
                    [36] = "REJECT",
                    [38] = "CANCEL",
                    [48] = "PEERS",
                    [50] = "GET_PEERS",
                },
            },
            {
                ["abbr"] = "p2pwire.frame_header.length",
                ["name"] = "length",
                ["text"] = "size of the body",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["Address"] = {
        ["abbr"] = "p2pwire.address",
        ["text"] = "Where a peer can be reached.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.address.type",
                ["name"] = "type",
                ["text"] = "kind of address; unknown kinds are kept and not dialled",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [1] = "TCP4", [2] = "TCP6", [3] = "RELAY", [4] = "ONION3", [5] = "WEBRTC" },
            },
            {
                ["abbr"] = "p2pwire.address.value",
                ["name"] = "value",
                ["text"] = "the address; a port comes last",
                ["kind"] = "blob",
                ["prefix"] = { ["abbr"] = "p2pwire.address.value_length", ["name"] = "value_length", ["size"] = 1 },
            },
        },
    },
    ["PeerRecord"] = {
        ["abbr"] = "p2pwire.peer_record",
        ["text"] = "Where a peer says it can be reached, signed by it.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.peer_record.version",
                ["name"] = "version",
                ["text"] = "version of this format",
                ["kind"] = "number",
                ["size"] = 1,
            },
            {
                ["abbr"] = "p2pwire.peer_record.identity",
                ["name"] = "identity",
                ["text"] = "Ed25519 public key of the peer",
                ["kind"] = "bytes",
                ["size"] = 32,
            },
            {
                ["abbr"] = "p2pwire.peer_record.sequence",
                ["name"] = "sequence",
                ["text"] = "when the record was made; a higher one replaces a lower one",
                ["kind"] = "number",
                ["size"] = 8,
            },
            {
                ["abbr"] = "p2pwire.peer_record.ttl",
                ["name"] = "ttl",
                ["text"] = "how long the record is good for",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.peer_record.flags",
                ["name"] = "flags",
                ["text"] = "reserved: sent 0, ignored",
                ["kind"] = "number",
                ["size"] = 1,
            },
            {
                ["abbr"] = "p2pwire.peer_record.addresses",
                ["name"] = "addresses",
                ["text"] = "in order of preference",
                ["kind"] = "list",
                ["prefix"] = {
                    ["abbr"] = "p2pwire.peer_record.addresses_count",
                    ["name"] = "addresses_count",
                    ["size"] = 1,
                },
                ["element"] = "Address",
            },
            {
                ["abbr"] = "p2pwire.peer_record.signature",
                ["name"] = "signature",
                ["text"] = "over all bytes before it",
                ["kind"] = "bytes",
                ["size"] = 64,
            },
        },
    },
    ["HelloParameter"] = {
        ["abbr"] = "p2pwire.hello_parameter",
        ["text"] = "One parameter of HELLO.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.hello_parameter.tag",
                ["name"] = "tag",
                ["text"] = "what the value is; an unknown tag is ignored",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [1] = "AGENT", [2] = "OWN_RECORD", [3] = "OBSERVED_ADDRESS", [4] = "EXTENSIONS" },
            },
            {
                ["abbr"] = "p2pwire.hello_parameter.value",
                ["name"] = "value",
                ["text"] = "read by the tag's definition",
                ["kind"] = "blob",
                ["prefix"] = {
                    ["abbr"] = "p2pwire.hello_parameter.value_length",
                    ["name"] = "value_length",
                    ["size"] = 2,
                },
            },
        },
    },
    ["Agent"] = {
        ["abbr"] = "p2pwire.agent",
        ["text"] = "The value of HELLO's parameter AGENT.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.agent.name",
                ["name"] = "name",
                ["text"] = "name and version of the implementation",
                ["kind"] = "blob",
                ["utf8"] = true,
            },
        },
    },
    ["Extension"] = {
        ["abbr"] = "p2pwire.extension",
        ["text"] = "One extension that the sender of HELLO understands.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.extension.name",
                ["name"] = "name",
                ["text"] = "name and version of the extension",
                ["kind"] = "blob",
                ["prefix"] = { ["abbr"] = "p2pwire.extension.name_length", ["name"] = "name_length", ["size"] = 1 },
                ["utf8"] = true,
            },
            {
                ["abbr"] = "p2pwire.extension.base",
                ["name"] = "base",
                ["text"] = "first frame type that the other side uses for it",
                ["kind"] = "number",
                ["size"] = 1,
            },
            {
                ["abbr"] = "p2pwire.extension.count",
                ["name"] = "count",
                ["text"] = "frame types that it takes, one after another",
                ["kind"] = "number",
                ["size"] = 1,
            },
            {
                ["abbr"] = "p2pwire.extension.params",
                ["name"] = "params",
                ["text"] = "read by the extension's definition",
                ["kind"] = "blob",
                ["prefix"] = { ["abbr"] = "p2pwire.extension.params_length", ["name"] = "params_length", ["size"] = 1 },
            },
        },
    },
    ["Extensions"] = {
        ["abbr"] = "p2pwire.extensions",
        ["text"] = "The value of HELLO's parameter EXTENSIONS.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.extensions.entries",
                ["name"] = "entries",
                ["text"] = "extensions, one after another",
                ["kind"] = "list",
                ["element"] = "Extension",
            },
        },
    },
    ["Hello"] = {
        ["abbr"] = "p2pwire.hello",
        ["text"] = "Limits and parameters of the sender; the first frame each way.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.hello.max_requests",
                ["name"] = "max_requests",
                ["text"] = "requests that the receiver may have open",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.hello.max_handles",
                ["name"] = "max_handles",
                ["text"] = "topics that the receiver may have joined",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.hello.idle",
                ["name"] = "idle",
                ["text"] = "time without a record after which the link is dead; the smaller of both sides' binds",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.hello.parameters",
                ["name"] = "parameters",
                ["text"] = "parameters",
                ["kind"] = "list",
                ["element"] = "HelloParameter",
                ["known"] = {
                    ["key"] = "tag",
                    ["value"] = "value",
                    ["messages"] = { [1] = "Agent", [2] = "PeerRecord", [3] = "Address", [4] = "Extensions" },
                },
            },
        },
    },
    ["Pad"] = {
        ["abbr"] = "p2pwire.pad",
        ["text"] = "Bytes without meaning.",
        ["fields"] = { { ["abbr"] = "p2pwire.pad.data", ["name"] = "data", ["text"] = "ignored", ["kind"] = "blob" } },
    },
    ["Close"] = {
        ["abbr"] = "p2pwire.close",
        ["text"] = "Why the link ends; the last frame.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.close.code",
                ["name"] = "code",
                ["text"] = "why; an unknown code means INTERNAL",
                ["kind"] = "number",
                ["size"] = 2,
                ["names"] = {
                    [0] = "NONE",
                    [1] = "INTERNAL",
                    [2] = "PROTOCOL",
                    [3] = "UNKNOWN_FRAME",
                    [4] = "LIMIT",
                    [5] = "BAD_DATA",
                    [6] = "UNSOLICITED",
                    [7] = "CREDIT_EXCEEDED",
                    [8] = "FLOOD",
                    [9] = "TIMEOUT",
                    [10] = "DUPLICATE",
                    [11] = "SELF",
                    [12] = "NOT_ALLOWED",
                    [13] = "SHUTDOWN",
                    [14] = "BUSY",
                },
            },
            {
                ["abbr"] = "p2pwire.close.frame_type",
                ["name"] = "frame_type",
                ["text"] = "type of the frame to blame; 0xFF for none",
                ["kind"] = "number",
                ["size"] = 1,
            },
            {
                ["abbr"] = "p2pwire.close.detail",
                ["name"] = "detail",
                ["text"] = "a sentence for people",
                ["kind"] = "blob",
                ["utf8"] = true,
            },
        },
    },
    ["Ping"] = {
        ["abbr"] = "p2pwire.ping",
        ["text"] = "Asks for a PONG.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.ping.data",
                ["name"] = "data",
                ["text"] = "any bytes",
                ["kind"] = "bytes",
                ["size"] = 8,
            },
        },
    },
    ["Pong"] = {
        ["abbr"] = "p2pwire.pong",
        ["text"] = "Answers a PING.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.pong.data",
                ["name"] = "data",
                ["text"] = "the bytes of the PING",
                ["kind"] = "bytes",
                ["size"] = 8,
            },
        },
    },
    ["Join"] = {
        ["abbr"] = "p2pwire.join",
        ["text"] = "Asks for and offers a topic.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.join.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.join.flags",
                ["name"] = "flags",
                ["text"] = "what the sender has and wants; reserved bits are sent 0 and ignored",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [1] = "HAS_MANIFEST", [2] = "UPLOAD_ONLY", [4] = "WANTS_PEERS" },
            },
            {
                ["abbr"] = "p2pwire.join.topic",
                ["name"] = "topic",
                ["text"] = "the topic's id",
                ["kind"] = "bytes",
                ["size"] = 32,
            },
            {
                ["abbr"] = "p2pwire.join.cap",
                ["name"] = "cap",
                ["text"] = "proves that the sender knows the object's id",
                ["kind"] = "bytes",
                ["size"] = 32,
            },
        },
    },
    ["Refuse"] = {
        ["abbr"] = "p2pwire.refuse",
        ["text"] = "Answers a JOIN with no.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.refuse.handle",
                ["name"] = "handle",
                ["text"] = "the joiner's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.refuse.code",
                ["name"] = "code",
                ["text"] = "0: one answer for every reason",
                ["kind"] = "number",
                ["size"] = 1,
            },
        },
    },
    ["Leave"] = {
        ["abbr"] = "p2pwire.leave",
        ["text"] = "Ends a topic.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.leave.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["Object"] = {
        ["abbr"] = "p2pwire.object",
        ["text"] = "What the topic names.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.object.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.object.kind",
                ["name"] = "kind",
                ["text"] = "what the object is",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [0] = "BLOB", [1] = "MANIFEST" },
            },
            {
                ["abbr"] = "p2pwire.object.length",
                ["name"] = "length",
                ["text"] = "size of the object",
                ["kind"] = "number",
                ["size"] = 8,
            },
            {
                ["abbr"] = "p2pwire.object.root",
                ["name"] = "root",
                ["text"] = "root of the object's tree; 32 zero bytes if the length is 0",
                ["kind"] = "bytes",
                ["size"] = 32,
            },
        },
    },
    ["Span"] = {
        ["abbr"] = "p2pwire.span",
        ["text"] = "Neighbouring units.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.span.first",
                ["name"] = "first",
                ["text"] = "first unit",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.span.last",
                ["name"] = "last",
                ["text"] = "last unit, included",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["Have"] = {
        ["abbr"] = "p2pwire.have",
        ["text"] = "Units that the sender holds from now on.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.have.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.have.spans",
                ["name"] = "spans",
                ["text"] = "added to what was announced before",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.have.spans_count", ["name"] = "spans_count", ["size"] = 2 },
                ["element"] = "Span",
            },
        },
    },
    ["Lost"] = {
        ["abbr"] = "p2pwire.lost",
        ["text"] = "Units that the sender holds no longer.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.lost.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.lost.spans",
                ["name"] = "spans",
                ["text"] = "removed from what was announced before",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.lost.spans_count", ["name"] = "spans_count", ["size"] = 2 },
                ["element"] = "Span",
            },
        },
    },
    ["Interest"] = {
        ["abbr"] = "p2pwire.interest",
        ["text"] = "Whether the sender would request if it had credit.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.interest.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.interest.on",
                ["name"] = "on",
                ["text"] = "1 if it would",
                ["kind"] = "number",
                ["size"] = 1,
            },
        },
    },
    ["Credit"] = {
        ["abbr"] = "p2pwire.credit",
        ["text"] = "Total cost of requests that the receiver may ever spend on this link.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.credit.blocks",
                ["name"] = "blocks",
                ["text"] = "the initial credit included",
                ["kind"] = "number",
                ["size"] = 8,
            },
        },
    },
    ["Suggest"] = {
        ["abbr"] = "p2pwire.suggest",
        ["text"] = "Units that are cheap to serve now.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.suggest.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.suggest.first",
                ["name"] = "first",
                ["text"] = "first unit",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.suggest.last",
                ["name"] = "last",
                ["text"] = "last unit, included",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["Request"] = {
        ["abbr"] = "p2pwire.request",
        ["text"] = "Asks for 2^level blocks of one file.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.request.id",
                ["name"] = "id",
                ["text"] = "the requester's number for the request",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.request.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.request.file",
                ["name"] = "file",
                ["text"] = "index of the file in the manifest, 0 for a blob; 0xFFFFFFFF: the manifest itself",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.request.block",
                ["name"] = "block",
                ["text"] = "first block; a multiple of 2^level",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.request.level",
                ["name"] = "level",
                ["text"] = "logarithm of the count of blocks",
                ["kind"] = "number",
                ["size"] = 1,
            },
        },
    },
    ["Data"] = {
        ["abbr"] = "p2pwire.data",
        ["text"] = "One block and its proof.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.data.id",
                ["name"] = "id",
                ["text"] = "the requester's number for the request",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.data.block",
                ["name"] = "block",
                ["text"] = "number of the block",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.data.proof",
                ["name"] = "proof",
                ["text"] = "sibling hashes, bottom-up",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.data.proof_count", ["name"] = "proof_count", ["size"] = 1 },
                ["element"] = 32,
            },
            {
                ["abbr"] = "p2pwire.data.data",
                ["name"] = "data",
                ["text"] = "the block's bytes",
                ["kind"] = "blob",
            },
        },
    },
    ["Reject"] = {
        ["abbr"] = "p2pwire.reject",
        ["text"] = "Ends a request without (more) data.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.reject.id",
                ["name"] = "id",
                ["text"] = "the requester's number for the request",
                ["kind"] = "number",
                ["size"] = 4,
            },
            {
                ["abbr"] = "p2pwire.reject.code",
                ["name"] = "code",
                ["text"] = "why",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = {
                    [1] = "NOT_AVAILABLE",
                    [2] = "CHOKED",
                    [3] = "CANCELLED",
                    [4] = "BUSY",
                    [5] = "OUT_OF_RANGE",
                    [6] = "NOT_JOINED",
                },
            },
            {
                ["abbr"] = "p2pwire.reject.retry",
                ["name"] = "retry",
                ["text"] = "time to wait before a new request",
                ["kind"] = "number",
                ["size"] = 2,
            },
        },
    },
    ["Cancel"] = {
        ["abbr"] = "p2pwire.cancel",
        ["text"] = "The answer is no longer wanted.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.cancel.id",
                ["name"] = "id",
                ["text"] = "the requester's number for the request",
                ["kind"] = "number",
                ["size"] = 4,
            },
        },
    },
    ["SharedRecord"] = {
        ["abbr"] = "p2pwire.shared_record",
        ["text"] = "A peer record and what the sender knows of it.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.shared_record.flags",
                ["name"] = "flags",
                ["text"] = "reserved bits are sent 0 and ignored",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [1] = "REACHABLE" },
            },
            {
                ["abbr"] = "p2pwire.shared_record.record",
                ["name"] = "record",
                ["text"] = "the peer record as its peer signed it",
                ["kind"] = "blob",
                ["prefix"] = {
                    ["abbr"] = "p2pwire.shared_record.record_length",
                    ["name"] = "record_length",
                    ["size"] = 2,
                },
                ["inside"] = "PeerRecord",
            },
        },
    },
    ["Peers"] = {
        ["abbr"] = "p2pwire.peers",
        ["text"] = "Peer records added, and peers no longer vouched for.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.peers.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.peers.added",
                ["name"] = "added",
                ["text"] = "records that are new or newer",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.peers.added_count", ["name"] = "added_count", ["size"] = 1 },
                ["element"] = "SharedRecord",
            },
            {
                ["abbr"] = "p2pwire.peers.dropped",
                ["name"] = "dropped",
                ["text"] = "identities that the sender no longer vouches for",
                ["kind"] = "list",
                ["prefix"] = { ["abbr"] = "p2pwire.peers.dropped_count", ["name"] = "dropped_count", ["size"] = 1 },
                ["element"] = 32,
            },
        },
    },
    ["GetPeers"] = {
        ["abbr"] = "p2pwire.get_peers",
        ["text"] = "Asks for PEERS.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.get_peers.handle",
                ["name"] = "handle",
                ["text"] = "the sender's number for the topic",
                ["kind"] = "number",
                ["size"] = 2,
            },
            {
                ["abbr"] = "p2pwire.get_peers.max",
                ["name"] = "max",
                ["text"] = "records wanted at most",
                ["kind"] = "number",
                ["size"] = 1,
            },
        },
    },
    ["ManifestHeader"] = {
        ["abbr"] = "p2pwire.manifest_header",
        ["text"] = "Begins a manifest.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.manifest_header.magic",
                ["name"] = "magic",
                ["text"] = "four letters and the version of the format",
                ["kind"] = "constant",
                ["size"] = 5,
            },
            {
                ["abbr"] = "p2pwire.manifest_header.count",
                ["name"] = "count",
                ["text"] = "entries that follow",
                ["kind"] = "number",
                ["size"] = 4,
            },
        },
    },
    ["ManifestEntry"] = {
        ["abbr"] = "p2pwire.manifest_entry",
        ["text"] = "One file or empty directory.",
        ["fields"] = {
            {
                ["abbr"] = "p2pwire.manifest_entry.type",
                ["name"] = "type",
                ["text"] = "what the entry is",
                ["kind"] = "number",
                ["size"] = 1,
                ["names"] = { [0] = "FILE", [1] = "EXECUTABLE", [2] = "EMPTY_DIRECTORY" },
            },
            {
                ["abbr"] = "p2pwire.manifest_entry.path",
                ["name"] = "path",
                ["text"] = "where it lies below the folder, components parted by '/'",
                ["kind"] = "blob",
                ["prefix"] = {
                    ["abbr"] = "p2pwire.manifest_entry.path_length",
                    ["name"] = "path_length",
                    ["size"] = 2,
                },
                ["utf8"] = true,
            },
            {
                ["abbr"] = "p2pwire.manifest_entry.length",
                ["name"] = "length",
                ["text"] = "size of the file; not there for an empty directory",
                ["kind"] = "number",
                ["size"] = 8,
                ["absent"] = { "type", 2 },
            },
            {
                ["abbr"] = "p2pwire.manifest_entry.root",
                ["name"] = "root",
                ["text"] = "root of the file's tree; not there if the length is 0",
                ["kind"] = "bytes",
                ["size"] = 32,
                ["absent"] = { "length", 0 },
            },
        },
    },
}

-- What is in the tables:
--   MESSAGES[title] = {text, fields}; a field is {abbr, kind, ...}:
--     number: size, [names]           bytes: size            constant: size
--     blob: [prefix], [text], [inside]   list: [prefix], element (number of bytes, or a title), [plain: of numbers]
--   and may have absent = {other field, value}. A prefix is {abbr, size}.

local FIELDS = {}
local function define(abbr, kind, name, names, text)
    local makers = {
        number1 = ProtoField.uint8, number2 = ProtoField.uint16, number4 = ProtoField.uint32, number8 = ProtoField.uint64,
    }
    if kind == "bytes" then
        FIELDS[abbr] = ProtoField.bytes(abbr, name, base.SPACE, text)
    elseif kind == "text" then
        FIELDS[abbr] = ProtoField.string(abbr, name, base.UNICODE, text)
    elseif kind == "none" then
        FIELDS[abbr] = ProtoField.none(abbr, name, text)
    else
        FIELDS[abbr] = makers[kind](abbr, name, names and base.DEC or base.DEC, names, nil, text)
    end
end

for title, message in pairs(MESSAGES) do
    define(message.abbr, "none", title, nil, message.text)
    for _, field in ipairs(message.fields) do
        if field.prefix then
            define(field.prefix.abbr, "number" .. field.prefix.size, field.prefix.name)
        end
        if field.kind == "number" then
            define(field.abbr, "number" .. field.size, field.name, field.names, field.text)
        elseif field.kind == "list" and field.plain then
            define(field.abbr, "number" .. field.element, field.name, field.names, field.text)
        elseif field.kind ~= "list" or type(field.element) == "number" then
            define(field.abbr, field.utf8 and "text" or "bytes", field.name, nil, field.text)
        end
    end
end
define("p2pwire.speaker", "text", "Speaker", nil, "which side of the handshake said it")
define("p2pwire.handshake_message", "bytes", "Handshake message", nil, "a Noise message")
define("p2pwire.record", "bytes", "Encrypted record", nil, "frames that can be read with the keys alone")
define("p2pwire.frame_body", "bytes", "Body", nil, "the body of a frame of an unknown type")

local listed = {}
for _, field in pairs(FIELDS) do
    listed[#listed + 1] = field
end
p2pwire.fields = listed

local malformed = ProtoExpert.new("p2pwire.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
p2pwire.experts = { malformed }

-- --- Messages ---

local function number(range)
    if range:len() == 8 then
        return range:uint64():tonumber()
    end
    return range:uint()
end

local message_at

-- One field: where what follows begins, or nil if its bytes are not all there.
local function field_at(tvb, at, stop, tree, field, values)
    if field.absent and values[field.absent[1]] == field.absent[2] then
        return at
    end
    local count
    if field.prefix then
        if at + field.prefix.size > stop then return nil end
        local range = tvb(at, field.prefix.size)
        count = number(range)
        tree:add(FIELDS[field.prefix.abbr], range)
        at = at + field.prefix.size
    end
    if field.kind == "number" then
        if at + field.size > stop then return nil end
        local range = tvb(at, field.size)
        values[field.name] = number(range)
        tree:add(FIELDS[field.abbr], range)
        return at + field.size
    elseif field.kind == "list" then
        local left = count
        while (left == nil and at < stop) or (left ~= nil and left > 0) do
            if type(field.element) == "number" then
                if at + field.element > stop then return nil end
                tree:add(FIELDS[field.abbr], tvb(at, field.element))
                at = at + field.element
            else
                at = message_at(tvb, at, stop, tree, field.element, field.known)
                if at == nil then return nil end
            end
            left = left and left - 1
        end
        return at
    end
    local size = field.size or count or stop - at
    if at + size > stop then return nil end
    if size > 0 then
        local range = tvb(at, size)
        local item = tree:add(FIELDS[field.abbr], range)
        local inside = field.inside or (values.known and field.name == values.known.value and
            values.known.messages[values[values.known.key]])
        if inside then
            message_at(tvb, at, at + size, item, inside)
        end
    end
    return at + size
end

-- A message from `at` on, at most up to `stop`: where it ends, or nil if it is cut off.
message_at = function(tvb, at, stop, tree, title, known)
    local message = MESSAGES[title]
    local item = tree:add(FIELDS[message.abbr], tvb(at, math.max(0, stop - at)))
    item:set_text(title)
    local values, from = { known = known }, at
    for _, field in ipairs(message.fields) do
        local after = field_at(tvb, at, stop, item, field, values)
        if after == nil then
            item:add_proto_expert_info(malformed, title .. "." .. field.name .. " is cut off")
            return nil
        end
        at = after
    end
    item:set_len(at - from)
    return at, values
end

-- A message that fills the bytes up to `stop`.
local function whole(tvb, at, stop, tree, title)
    local after = message_at(tvb, at, stop, tree, title)
    if after ~= nil and after < stop then
        tree:add_proto_expert_info(malformed, (stop - after) .. " bytes after " .. title)
    end
end

-- --- Pieces of a link ---

local function is_preamble(tvb, at)
    return tvb:len() - at >= #MAGIC / 2 and tvb(at, #MAGIC / 2):bytes():tohex() == MAGIC
end

local function frames(tvb, at, tree)
    local names = {}
    while at < tvb:len() do
        local after, header = message_at(tvb, at, tvb:len(), tree, "FrameHeader")
        if after == nil then return names end
        local stop = after + header.length
        local title = FRAMES[header.type]
        names[#names + 1] = FRAME_NAMES[header.type] or string.format("frame 0x%02X", header.type)
        if stop > tvb:len() then
            tree:add_proto_expert_info(malformed, "a frame goes past its record's end")
            return names
        end
        if title then
            whole(tvb, after, stop, tree, title)
        elseif header.length > 0 then
            tree:add(FIELDS["p2pwire.frame_body"], tvb(after, header.length))
        end
        at = stop
    end
    return names
end

-- The preamble that begins at `at`; where it ends, the name of what it is, and its kind.
local function preamble(tvb, at, tree)
    local after, header = message_at(tvb, at, tvb:len(), tree, "PreambleHeader")
    if after == nil then return nil, "preamble, cut off" end
    local stop = math.min(after + header.length, tvb:len())
    local title = PREAMBLES[header.kind]
    if title then
        whole(tvb, after, stop, tree, title)
    end
    return stop, title or "preamble", header.kind
end

local function handshake_message(tvb, at, tree)
    local after, header = message_at(tvb, at, tvb:len(), tree, "HandshakeHeader")
    if after == nil then return tvb:len() end
    local stop = math.min(after + header.length, tvb:len())
    tree:add(FIELDS["p2pwire.handshake_message"], tvb(after, stop - after))
    return stop
end

local function clear(tvb, at, tree)
    local names = {}
    while at < tvb:len() do
        if is_preamble(tvb, at) then
            local after, name = preamble(tvb, at, tree)
            names[#names + 1] = name
            if after == nil then return names end
            at = after
        else
            at = handshake_message(tvb, at, tree)
            names[#names + 1] = "handshake message"
        end
    end
    return names
end

-- Alike neighbours once, with their count.
local function summary(names)
    local parts, index = {}, 1
    while index <= #names do
        local last = index
        while names[last + 1] == names[index] do last = last + 1 end
        local times = last - index + 1
        parts[#parts + 1] = times > 1 and (names[index] .. " ×" .. times) or names[index]
        index = last + 1
    end
    return table.concat(parts, ", ")
end

-- --- Captures of p2pwire: a byte for the kind of piece, then the piece ---

function p2pwire.dissector(tvb, pinfo, tree)
    pinfo.cols.protocol = "p2pwire"
    local item = tree:add(p2pwire, tvb())
    local names
    if tvb(0, 1):uint() == CLEAR then
        names = clear(tvb, 1, item)
    else
        names = frames(tvb, 1, item)
    end
    pinfo.cols.info = summary(names)
    item:append_text(", " .. summary(names))
    return tvb:len()
end

-- --- Live streams ---

local stream = Proto("p2pwire_tcp", "p2pwire over TCP")
local stream_number = Field.new("tcp.stream")
local HEADER = #MAGIC / 2 + 3 -- magic, kind, length; no record and no handshake message is shorter
local directions = {} -- stream and port -> {kind of its preamble, where each of its pieces begins -> ordinal}

function stream.init()
    directions = {}
end

local function piece_length(tvb, pinfo, at)
    if is_preamble(tvb, at) then
        return HEADER + tvb(at + HEADER - 2, 2):uint()
    end
    return 2 + tvb(at, 2):uint()
end

local function piece(tvb, pinfo, tree)
    local key = tostring(stream_number().value) .. ":" .. pinfo.src_port
    local direction = directions[key] or { count = 0, seen = {} }
    directions[key] = direction
    pinfo.cols.protocol = "p2pwire"
    local item = tree:add(p2pwire, tvb())
    local name
    if is_preamble(tvb, 0) then
        local _, title, kind = preamble(tvb, 0, item)
        direction.kind = kind
        name = title
    else
        local place = pinfo.number .. "/" .. tvb:offset()
        if direction.seen[place] == nil then
            direction.seen[place] = direction.count
            direction.count = direction.count + 1
        end
        -- An initiator sends two messages, a responder one.
        if direction.seen[place] < (direction.kind == INITIATOR and 2 or 1) then
            handshake_message(tvb, 0, item)
            name = "handshake message"
        else
            local after = message_at(tvb, 0, tvb:len(), item, "RecordHeader")
            item:add(FIELDS["p2pwire.record"], tvb(after))
            name = "record"
        end
    end
    item:append_text(", " .. name)
    pinfo.cols.info:append(" " .. name)
    return tvb:len()
end

function stream.dissector(tvb, pinfo, tree)
    pinfo.cols.info = ""
    dissect_tcp_pdus(tvb, tree, HEADER, piece_length, piece)
    return tvb:len()
end

local function heuristic(tvb, pinfo, tree)
    if not is_preamble(tvb, 0) then
        return false
    end
    pinfo.conversation = stream
    stream.dissector(tvb, pinfo, tree)
    return true
end
stream:register_heuristic("tcp", heuristic)
