# The messages of p2pwire/1, for Kaitai Struct. Written by `python -m p2pwire.generate` from the protocol's schema.
# A file of this type is the plaintext of a record: frames, one after another.
meta:
  id: p2pwire
  title: "p2pwire/1"
  license: MIT
  endian: be
  encoding: UTF-8
seq:
  - id: frames
    type: frame
    repeat: eos
types:
  frame:
    doc: "A frame: its header and its body."
    seq:
      - id: header
        type: frame_header
      - id: body
        size: header.length
        type:
          switch-on: header.type
          cases:
            'frame_type::hello': hello
            'frame_type::pad': pad
            'frame_type::close': close
            'frame_type::ping': ping
            'frame_type::pong': pong
            'frame_type::join': join
            'frame_type::refuse': refuse
            'frame_type::leave': leave
            'frame_type::object': object
            'frame_type::have': have
            'frame_type::lost': lost
            'frame_type::interest': interest
            'frame_type::credit': credit
            'frame_type::suggest': suggest
            'frame_type::request': request
            'frame_type::data': data
            'frame_type::reject': reject
            'frame_type::cancel': cancel
            'frame_type::peers': peers
            'frame_type::get_peers': get_peers
  preamble_header:
    doc: "Begins a preamble."
    seq:
      - id: magic
        doc: "the same for every stream of this protocol"
        contents: [0x89, 0x50, 0x32, 0x50, 0x57, 0x0d, 0x0a, 0x1a]
      - id: kind
        doc: "which body follows"
        type: u1
        enum: preamble_kind
      - id: length
        doc: "size of the body"
        type: u2
        valid:
          min: 4
          max: 512
  parameter:
    doc: "One parameter of a preamble or handshake payload."
    seq:
      - id: tag
        doc: "what the value is; an unknown tag is ignored"
        type: u1
      - id: value_length
        type: u1
      - id: value
        doc: "read by the tag's definition"
        size: value_length
  initiator_preamble:
    doc: "What the initiator can speak."
    seq:
      - id: versions_count
        type: u1
        valid:
          min: 1
          max: 16
      - id: versions
        doc: "versions offered, GREASE among them"
        type: u2
        enum: version
        repeat: expr
        repeat-expr: versions_count
      - id: suites_count
        type: u1
        valid:
          min: 1
          max: 16
      - id: suites
        doc: "suites offered in order of preference, GREASE among them"
        type: u2
        enum: suite
        repeat: expr
        repeat-expr: suites_count
      - id: key_suite
        doc: "the suite that message 1 is made for"
        type: u2
        enum: suite
      - id: parameters
        doc: "parameters"
        type: parameter
        repeat: eos
  responder_preamble:
    doc: "What the responder selected."
    seq:
      - id: version
        doc: "the highest common version"
        type: u2
        enum: version
      - id: suite
        doc: "the first suite of the initiator's list that the responder has"
        type: u2
        enum: suite
      - id: parameters
        doc: "parameters"
        type: parameter
        repeat: eos
  refusal:
    doc: "Why the responder does not go on, and what it can speak."
    seq:
      - id: reason
        doc: "why"
        type: u1
        enum: refusal_reason
      - id: versions_count
        type: u1
        valid:
          min: 1
          max: 16
      - id: versions
        doc: "versions that the responder speaks"
        type: u2
        enum: version
        repeat: expr
        repeat-expr: versions_count
      - id: suites_count
        type: u1
        valid:
          min: 1
          max: 16
      - id: suites
        doc: "suites that the responder has"
        type: u2
        enum: suite
        repeat: expr
        repeat-expr: suites_count
  handshake_header:
    doc: "Precedes each Noise message."
    seq:
      - id: length
        doc: "size of the message"
        type: u2
        valid:
          min: 1
          max: 1024
  handshake_payload:
    doc: "Who speaks: the payload of messages 2 and 3."
    seq:
      - id: identity
        doc: "Ed25519 public key"
        size: 32
      - id: signature
        doc: "over this handshake"
        size: 64
      - id: parameters
        doc: "parameters, used only after the signature is verified"
        type: parameter
        repeat: eos
  record_header:
    doc: "Precedes each encrypted record."
    seq:
      - id: length
        doc: "size of the ciphertext with its tag"
        type: u2
        valid:
          min: 17
          max: 65535
  frame_header:
    doc: "Precedes each frame's body."
    seq:
      - id: type
        doc: "frame type; even types are critical, odd ones are ignorable"
        type: u1
        enum: frame_type
      - id: length
        doc: "size of the body"
        type: u2
        valid:
          min: 0
          max: 65516
  address:
    doc: "Where a peer can be reached."
    seq:
      - id: type
        doc: "kind of address; unknown kinds are kept and not dialled"
        type: u1
        enum: address_type
      - id: value_length
        type: u1
      - id: value
        doc: "the address; a port comes last"
        size: value_length
  peer_record:
    doc: "Where a peer says it can be reached, signed by it."
    seq:
      - id: version
        doc: "version of this format"
        type: u1
        valid:
          min: 1
          max: 1
      - id: identity
        doc: "Ed25519 public key of the peer"
        size: 32
      - id: sequence
        doc: "when the record was made; a higher one replaces a lower one"
        type: u8
      - id: ttl
        doc: "how long the record is good for"
        type: u4
        valid:
          min: 60
          max: 86400
      - id: flags
        doc: "reserved: sent 0, ignored"
        type: u1
      - id: addresses_count
        type: u1
        valid:
          min: 0
          max: 8
      - id: addresses
        doc: "in order of preference"
        type: address
        repeat: expr
        repeat-expr: addresses_count
      - id: signature
        doc: "over all bytes before it"
        size: 64
  hello_parameter:
    doc: "One parameter of HELLO."
    seq:
      - id: tag
        doc: "what the value is; an unknown tag is ignored"
        type: u1
        enum: hello_tag
      - id: value_length
        type: u2
        valid:
          min: 0
          max: 65516
      - id: value
        doc: "read by the tag's definition"
        size: value_length
        type:
          switch-on: tag
          cases:
            'hello_tag::agent': agent
            'hello_tag::observed_address': address
            'hello_tag::extensions': extensions
  agent:
    doc: "The value of HELLO's parameter AGENT."
    seq:
      - id: name
        doc: "name and version of the implementation"
        size-eos: true
        type: str
  extension:
    doc: "One extension that the sender of HELLO understands."
    seq:
      - id: name_length
        type: u1
        valid:
          min: 1
          max: 32
      - id: name
        doc: "name and version of the extension"
        size: name_length
        type: str
      - id: base
        doc: "first frame type that the other side uses for it"
        type: u1
        valid:
          min: 128
          max: 254
      - id: count
        doc: "frame types that it takes, one after another"
        type: u1
        valid:
          min: 1
          max: 16
      - id: params_length
        type: u1
      - id: params
        doc: "read by the extension's definition"
        size: params_length
  extensions:
    doc: "The value of HELLO's parameter EXTENSIONS."
    seq:
      - id: entries
        doc: "extensions, one after another"
        type: extension
        repeat: eos
  hello:
    doc: "Limits and parameters of the sender; the first frame each way."
    seq:
      - id: max_requests
        doc: "requests that the receiver may have open"
        type: u2
        valid:
          min: 1
          max: 1024
      - id: max_handles
        doc: "topics that the receiver may have joined"
        type: u2
        valid:
          min: 1
          max: 1024
      - id: idle
        doc: "time without a record after which the link is dead; the smaller of both sides' binds"
        type: u2
        valid:
          min: 30
          max: 600
      - id: parameters
        doc: "parameters"
        type: hello_parameter
        repeat: eos
  pad:
    doc: "Bytes without meaning."
    seq:
      - id: data
        doc: "ignored"
        size-eos: true
  close:
    doc: "Why the link ends; the last frame."
    seq:
      - id: code
        doc: "why; an unknown code means INTERNAL"
        type: u2
        enum: close_code
      - id: frame_type
        doc: "type of the frame to blame; 0xFF for none"
        type: u1
      - id: detail
        doc: "a sentence for people"
        size-eos: true
        type: str
  ping:
    doc: "Asks for a PONG."
    seq:
      - id: data
        doc: "any bytes"
        size: 8
  pong:
    doc: "Answers a PING."
    seq:
      - id: data
        doc: "the bytes of the PING"
        size: 8
  join:
    doc: "Asks for and offers a topic."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: flags
        doc: "what the sender has and wants; reserved bits are sent 0 and ignored"
        type: u1
      - id: topic
        doc: "the topic's id"
        size: 32
      - id: cap
        doc: "proves that the sender knows the object's id"
        size: 32
  refuse:
    doc: "Answers a JOIN with no."
    seq:
      - id: handle
        doc: "the joiner's number for the topic"
        type: u2
      - id: code
        doc: "0: one answer for every reason"
        type: u1
        valid:
          min: 0
          max: 0
  leave:
    doc: "Ends a topic."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
  object:
    doc: "What the topic names."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: kind
        doc: "what the object is"
        type: u1
        enum: object_kind
      - id: length
        doc: "size of the object"
        type: u8
        valid:
          min: 0
          max: 70368744177664
      - id: root
        doc: "root of the object's tree; 32 zero bytes if the length is 0"
        size: 32
  span:
    doc: "Neighbouring units."
    seq:
      - id: first
        doc: "first unit"
        type: u2
      - id: last
        doc: "last unit, included"
        type: u2
  have:
    doc: "Units that the sender holds from now on."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: spans_count
        type: u2
        valid:
          min: 1
          max: 16378
      - id: spans
        doc: "added to what was announced before"
        type: span
        repeat: expr
        repeat-expr: spans_count
  lost:
    doc: "Units that the sender holds no longer."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: spans_count
        type: u2
        valid:
          min: 1
          max: 16378
      - id: spans
        doc: "removed from what was announced before"
        type: span
        repeat: expr
        repeat-expr: spans_count
  interest:
    doc: "Whether the sender would request if it had credit."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: on
        doc: "1 if it would"
        type: u1
        valid:
          min: 0
          max: 1
  credit:
    doc: "Total cost of requests that the receiver may ever spend on this link."
    seq:
      - id: blocks
        doc: "the initial credit included"
        type: u8
  suggest:
    doc: "Units that are cheap to serve now."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: first
        doc: "first unit"
        type: u2
      - id: last
        doc: "last unit, included"
        type: u2
  request:
    doc: "Asks for 2^level blocks of one file."
    seq:
      - id: id
        doc: "the requester's number for the request"
        type: u4
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: file
        doc: "index of the file in the manifest, 0 for a blob; 0xFFFFFFFF: the manifest itself"
        type: u4
      - id: block
        doc: "first block; a multiple of 2^level"
        type: u4
      - id: level
        doc: "logarithm of the count of blocks"
        type: u1
        valid:
          min: 0
          max: 6
  data:
    doc: "One block and its proof."
    seq:
      - id: id
        doc: "the requester's number for the request"
        type: u4
      - id: block
        doc: "number of the block"
        type: u4
      - id: proof_count
        type: u1
        valid:
          min: 0
          max: 32
      - id: proof
        doc: "sibling hashes, bottom-up"
        size: 32
        repeat: expr
        repeat-expr: proof_count
      - id: data
        doc: "the block's bytes"
        size-eos: true
  reject:
    doc: "Ends a request without (more) data."
    seq:
      - id: id
        doc: "the requester's number for the request"
        type: u4
      - id: code
        doc: "why"
        type: u1
        enum: reject_code
      - id: retry
        doc: "time to wait before a new request"
        type: u2
  cancel:
    doc: "The answer is no longer wanted."
    seq:
      - id: id
        doc: "the requester's number for the request"
        type: u4
  shared_record:
    doc: "A peer record and what the sender knows of it."
    seq:
      - id: flags
        doc: "reserved bits are sent 0 and ignored"
        type: u1
      - id: record_length
        type: u2
        valid:
          min: 1
          max: 512
      - id: record
        doc: "the peer record as its peer signed it"
        size: record_length
  peers:
    doc: "Peer records added, and peers no longer vouched for."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: added_count
        type: u1
        valid:
          min: 0
          max: 32
      - id: added
        doc: "records that are new or newer"
        type: shared_record
        repeat: expr
        repeat-expr: added_count
      - id: dropped_count
        type: u1
        valid:
          min: 0
          max: 64
      - id: dropped
        doc: "identities that the sender no longer vouches for"
        size: 32
        repeat: expr
        repeat-expr: dropped_count
  get_peers:
    doc: "Asks for PEERS."
    seq:
      - id: handle
        doc: "the sender's number for the topic"
        type: u2
      - id: max
        doc: "records wanted at most"
        type: u1
  manifest_header:
    doc: "Begins a manifest."
    seq:
      - id: magic
        doc: "four letters and the version of the format"
        contents: [0x50, 0x32, 0x50, 0x4d, 0x01]
      - id: count
        doc: "entries that follow"
        type: u4
        valid:
          min: 0
          max: 1048576
  manifest_entry:
    doc: "One file or empty directory."
    seq:
      - id: type
        doc: "what the entry is"
        type: u1
        enum: entry_type
      - id: path_length
        type: u2
        valid:
          min: 1
          max: 1024
      - id: path
        doc: "where it lies below the folder, components parted by '/'"
        size: path_length
        type: str
      - id: length
        doc: "size of the file; not there for an empty directory"
        if: type.to_i != 2
        type: u8
        valid:
          min: 0
          max: 70368744177664
      - id: root
        doc: "root of the file's tree; not there if the length is 0"
        if: type.to_i != 2 and length != 0
        size: 32
enums:
  version:
    1:
      id: p2pwire_1
      doc: "This specification."
  suite:
    1:
      id: xx_aesgcm
      doc: "Noise_XX_25519_AESGCM_SHA256; mandatory."
    2:
      id: xx_chachapoly
      doc: "Noise_XX_25519_ChaChaPoly_SHA256; optional, and keeps the negotiation in use."
    3:
      id: xxpsk0_aesgcm
      doc: "Noise_XXpsk0_25519_AESGCM_SHA256; for private networks that share a secret."
  preamble_kind:
    1:
      id: initiator
      doc: "Versions and suites offered."
    2:
      id: responder
      doc: "Version and suite selected."
    3:
      id: refusal
      doc: "Nothing in common, or not now."
  refusal_reason:
    1:
      id: no_version
      doc: "No common version."
    2:
      id: no_suite
      doc: "No common suite."
    3:
      id: use_suite
      doc: "Message 1 was made for another suite than the one selected; try once more with that one."
    4:
      id: busy
      doc: "Not now."
  frame_type:
    0:
      id: hello
      doc: "Limits and parameters; the first frame each way."
    1:
      id: pad
      doc: "Bytes without meaning."
    2:
      id: close
      doc: "The last frame: why the link ends."
    4:
      id: ping
      doc: "Asks for a PONG."
    6:
      id: pong
      doc: "Answers a PING with its bytes."
    16:
      id: join
      doc: "Asks for and offers a topic."
    18:
      id: refuse
      doc: "Answers a JOIN with no."
    20:
      id: leave
      doc: "Ends a topic."
    22:
      id: object
      doc: "What the topic names: kind, length and root."
    24:
      id: have
      doc: "Units that the sender holds from now on."
    26:
      id: lost
      doc: "Units that the sender holds no longer."
    28:
      id: interest
      doc: "Whether the sender would request if it had credit."
    30:
      id: credit
      doc: "The total cost of requests that the receiver may ever spend on this link."
    31:
      id: suggest
      doc: "Units that are cheap to serve now."
    32:
      id: request
      doc: "Asks for 2^level blocks."
    34:
      id: data
      doc: "One block and its proof."
    36:
      id: reject
      doc: "Ends a request without (more) data."
    38:
      id: cancel
      doc: "The answer is no longer wanted."
    48:
      id: peers
      doc: "Peer records added, and peers no longer vouched for."
    50:
      id: get_peers
      doc: "Asks for PEERS."
  close_code:
    0:
      id: none
      doc: "Done; nothing is wrong."
    1:
      id: internal
      doc: "The sender failed; the receiver did nothing wrong."
    2:
      id: protocol
      doc: "A rule about the form or order of frames was broken."
    3:
      id: unknown_frame
      doc: "A critical frame of an unknown type."
    4:
      id: limit
      doc: "More handles or open requests than announced."
    5:
      id: bad_data
      doc: "Content, proof or description does not match its hash."
    6:
      id: unsolicited
      doc: "DATA or REJECT that answers no open request."
    7:
      id: credit_exceeded
      doc: "A REQUEST costs more than the credit left."
    8:
      id: flood
      doc: "More control frames or peer records than the budget."
    9:
      id: timeout
      doc: "The other side was silent for too long."
    10:
      id: duplicate
      doc: "Another link to the same identity stays."
    11:
      id: self
      doc: "Both ends have the same identity."
    12:
      id: not_allowed
      doc: "Local policy forbids this peer."
    13:
      id: shutdown
      doc: "The sender stops."
    14:
      id: busy
      doc: "No room for this link."
  reject_code:
    1:
      id: not_available
      doc: "The block is not held."
    2:
      id: choked
      doc: "Granted credit is taken back."
    3:
      id: cancelled
      doc: "The requester cancelled."
    4:
      id: busy
      doc: "Not now."
    5:
      id: out_of_range
      doc: "No such file or block, or a level above the tree."
    6:
      id: not_joined
      doc: "The topic is no longer open."
  object_kind:
    0:
      id: blob
      doc: "The bytes of one file."
    1:
      id: manifest
      doc: "A list of files: a folder."
  entry_type:
    0:
      id: file
      doc: "A file."
    1:
      id: executable
      doc: "A file with the executable bit."
    2:
      id: empty_directory
      doc: "A directory without entries."
  address_type:
    1:
      id: tcp4
      doc: "IPv4 address (4 bytes) and port (u16)."
    2:
      id: tcp6
      doc: "IPv6 address (16 bytes) and port (u16)."
    3:
      id: relay
      doc: "Identity of a relay (32 bytes)."
    4:
      id: onion3
      doc: "Onion service, version 3: public key (32 bytes) and port (u16)."
    5:
      id: webrtc
      doc: "Identity of the relay that carries the signalling (32 bytes)."
  hello_tag:
    1:
      id: agent
      doc: "Name and version of the implementation, at most 64 bytes of UTF-8 without control characters."
    2:
      id: own_record
      doc: "The sender's own peer record, always sent by a peer that listens."
    3:
      id: observed_address
      doc: "The address from which the sender sees the receiver."
    4:
      id: extensions
      doc: "The extensions that the sender understands, one entry after another."
  join_flag:
    1:
      id: has_manifest
      doc: "The sender holds the whole manifest."
    2:
      id: upload_only
      doc: "The sender wants no content."
    4:
      id: wants_peers
      doc: "The sender wants PEERS unasked."
  shared_record_flag:
    1:
      id: reachable
      doc: "The sender itself dialled an address of this record with success."
