"""The ways in which the suite's own side can be wrong on purpose."""

from __future__ import annotations

from enum import StrEnum


class Bug(StrEnum):
    """One fault of the suite's side of a link."""

    OTHER_ROLE_SIGNED = "signs with the purpose of the other role"
    OTHER_HASH_SIGNED = "signs h as it is before the last Diffie-Hellman"
    ANSWER_NOT_SIGNED = "leaves preamble_R out of what it signs"
    OTHER_KEY_SIGNED = "signs with another key than that of its identity"
    SIGNATURE_ZERO = "sends 64 zero bytes as its signature"
    UNIVERSAL_SIGNATURE = "sends the signature that verifies for keys of small order"
    HIGH_S = "sends a signature whose S has the group order added"
    OTHER_PROLOGUE = "hashes another preamble_I than it saw"
    OTHER_STATIC = "uses another static key than the one it sent"
    NOISE_FLIPPED = "flips a bit of its last handshake message"
    NOISE_SHORT = "cuts a byte off its last handshake message"
    NOISE_LONG = "appends a byte to its last handshake message"
    PAYLOAD_SHORT = "cuts a byte off its handshake payload"
    PAYLOAD_EMPTY = "sends an empty handshake payload"
    TLV_ORDER = "sends two TLVs of one tag in its handshake payload"
    TLV_LYING = "sends a TLV whose length goes past the payload"
    BAD_TAG = "flips a bit of a record's tag"
    BAD_CIPHERTEXT = "flips a bit of a record's ciphertext"
    SKIPPED_COUNTER = "leaves a record's number out"
    REUSED_COUNTER = "uses the number of the record before once more"
    OTHER_DIRECTION = "encrypts with the key of the other direction"
    PLAINTEXT = "does not encrypt a record"
    NO_REKEY = "keeps its key after 65536 records"
