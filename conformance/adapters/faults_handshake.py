"""Faults of the reference in the handshake: versions, suites, keys, proofs, identities, and more than one link."""

from __future__ import annotations

from typing import Any

import attrs
from p2pwire.connection import connection, handshake, inbox, incoming, records
from p2pwire.connection.state import LinkState
from p2pwire.connection.timers import Timer, Timers
from p2pwire.crypto import identity, noise
from p2pwire.node import admission, dialer, dialrules, meeting
from p2pwire.wire.registry import CloseCode, FrameType

from faults import cell, mutant, without_tag, without_timer
from faults_versions import initiates, lists

# --- the handshake ---


@mutant
def magic_unchecked() -> None:
    preamble = inbox.Inbox.preamble

    def blind(self: Any) -> bytes | None:
        size = min(len(self._rest), len(inbox.MAGIC))
        self._rest[:size] = inbox.MAGIC[:size]
        return preamble(self)

    inbox.Inbox.preamble = blind


@mutant
def second_hello_accepted() -> None:
    cell(LinkState.OPEN, FrameType.HELLO, LinkState.OPEN)
    first = incoming._HANDLERS[FrameType.HELLO]
    incoming._HANDLERS[FrameType.HELLO] = lambda session, frame: session.established or first(session, frame)


@mutant
def signature_unchecked() -> None:
    handshake.verify = lambda *given: True


@mutant
def small_order_identity_accepted() -> None:
    identity.is_acceptable_key = lambda key: True


@mutant
def responder_hash_unsigned() -> None:
    verify = identity.verify
    # Whoever checks a shorter text accepts the signature that leaves preamble_R out.
    handshake.verify = lambda key, purpose, content, s: (
        verify(key, purpose, content, s) or verify(key, purpose, content[:32], s)
    )


@mutant
def ephemeral_constant() -> None:
    begin = handshake.Handshake.__init__

    def constant(self: Any, config: Any, role: Any, random: Any, grease: Any) -> None:
        begin(self, config, role, lambda size: b"\7" * size, grease)

    handshake.Handshake.__init__ = constant


@mutant
def expected_identity_unchecked() -> None:
    def met(self: Any, found: bytes) -> bytes:
        self.identity = found
        return found

    connection.Connection._met = met


@mutant
def no_handshake_timeout() -> None:
    without_timer(Timer.HANDSHAKE)


@mutant
def payload_in_message_1_accepted() -> None:
    handshake.Handshake.read_message_1 = lambda self, message: self._read(message)


@mutant
def handshake_message_of_any_length() -> None:
    inbox.MAX_HANDSHAKE_MESSAGE = 65535


@mutant
def bytes_after_message_3_dropped() -> None:
    keyed = inbox.Inbox.decrypt_with

    def dropping(self: Any, cipher: Any) -> None:
        self.clear()
        keyed(self, cipher)

    inbox.Inbox.decrypt_with = dropping


@mutant
def secret_not_mixed() -> None:
    shake = handshake.NoiseHandshake
    handshake.NoiseHandshake = lambda **given: shake(**(given | ({"psk": bytes(32)} if given["suite"] == 3 else {})))


@mutant
def binding_made_up() -> None:
    start = handshake.Handshake._start

    def bound(self: Any, suite: Any) -> Any:
        self._config = attrs.evolve(self._config, binding=b"tcp")
        return start(self, suite)

    handshake.Handshake._start = bound


@mutant
def low_order_accepted() -> None:
    public, mix = noise.NoiseHandshake._public_key, noise.NoiseHandshake._mix_secret

    def any_key(self: Any, key: bytes) -> Any:
        return noise.X25519PublicKey.from_public_bytes(key)

    def zero(self: Any, *keys: Any) -> None:
        try:
            mix(self, *keys)
        except noise.HandshakeFailed:
            self._failed = False
            self._symmetric.mix_key(bytes(32))

    assert public is not any_key
    noise.NoiseHandshake._public_key, noise.NoiseHandshake._mix_secret = any_key, zero


@mutant
def keys_swapped() -> None:
    split = noise.NoiseHandshake.split
    noise.NoiseHandshake.split = lambda self: split(self)[::-1]


@mutant
def static_key_kept() -> None:
    begin = handshake.Handshake.__init__

    def kept(self: Any, *given: Any) -> None:
        begin(self, *given)
        self._static_seed = b"\7" * 32

    handshake.Handshake.__init__ = kept


@mutant
def purposes_swapped() -> None:
    right = identity.Identity.sign
    other = {
        identity.Purpose.HANDSHAKE_INITIATOR: identity.Purpose.HANDSHAKE_RESPONDER,
        identity.Purpose.HANDSHAKE_RESPONDER: identity.Purpose.HANDSHAKE_INITIATOR,
    }
    identity.Identity.sign = lambda self, purpose, content: right(self, other.get(purpose, purpose), content)


@mutant
def tags_of_the_handshake_unchecked() -> None:
    begin, decrypt = noise.CipherState.__init__, noise._SymmetricState.decrypt_and_hash
    keys: dict[int, bytes] = {}

    def kept(self: Any, suite: Any, key: bytes) -> None:
        begin(self, suite, key)
        keys[id(self)] = key

    def lenient(self: Any, sealed: bytes) -> bytes:
        cipher = self._cipher
        try:
            return decrypt(self, sealed)
        except noise.DecryptionFailed:
            plain = without_tag(keys[id(cipher)], cipher._nonce(), bytes(sealed))
            cipher.n += 1
            self.mix_hash(bytes(sealed))
            return plain

    noise.CipherState.__init__, noise._SymmetricState.decrypt_and_hash = kept, lenient


@mutant
def acts_on_what_does_not_verify() -> None:
    begin, right = noise.CipherState.__init__, records.RecordOpener.open
    keys: dict[int, bytes] = {}

    def kept(self: Any, suite: Any, key: bytes) -> None:
        begin(self, suite, key)
        keys[id(self)] = key

    def hasty(self: Any, ciphertext: Any) -> bytes:
        try:
            return right(self, ciphertext)
        except noise.DecryptionFailed:
            cipher = self._cipher
            plain = without_tag(keys[id(cipher)], cipher._nonce(), bytes(ciphertext))
            if plain[:1] != bytes([FrameType.PING]):
                raise
            cipher.n += 1
            return plain

    noise.CipherState.__init__, records.RecordOpener.open = kept, hasty


@mutant
def payload_half_read() -> None:
    decode = handshake.HandshakePayload.decode

    def lenient(data: Any) -> Any:
        try:
            return decode(data)
        except connection.DecodeError:
            return decode(data[:96])

    handshake.HandshakePayload.decode = lenient


def _accepting(which: Any) -> None:
    """Take a proof of certain identities without looking."""
    right = handshake.verify
    handshake.verify = lambda key, *given: which(bytes(key)) or right(key, *given)


@mutant
def non_canonical_identity_accepted() -> None:
    _accepting(lambda key: int.from_bytes(key, "little") & ((1 << 255) - 1) >= (1 << 255) - 19)


@mutant
def identity_off_the_curve_accepted() -> None:
    prime = (1 << 255) - 19

    def off(key: bytes) -> bool:
        y = int.from_bytes(key, "little") & ((1 << 255) - 1)
        d = -121665 * pow(121666, -1, prime)
        square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
        return y < prime and pow(square, (prime - 1) // 2, prime) not in (0, 1)

    _accepting(off)


@mutant
def high_s_accepted() -> None:
    order = (1 << 252) + 27742317777372353535851937790883648493
    right = handshake.verify

    def lenient(key: Any, purpose: Any, content: Any, signature: Any) -> bool:
        s = int.from_bytes(bytes(signature)[32:], "little") % order
        return right(key, purpose, content, bytes(signature)[:32] + s.to_bytes(32, "little"))

    handshake.verify = lenient


@mutant
def met_before_it_is_proved() -> None:
    verify = handshake.verify
    own: set[bytes] = set()
    begin = handshake.Handshake.__init__

    def knowing(self: Any, config: Any, *given: Any) -> None:
        begin(self, config, *given)
        own.add(config.identity.public)

    handshake.Handshake.__init__ = knowing
    handshake.verify = lambda key, *given: bytes(key) in own or verify(key, *given)


@mutant
def handshake_ends_with_hello() -> None:
    start = Timers.start
    Timers.start = lambda self, which, seconds: start(self, Timer.HANDSHAKE if which is Timer.HELLO else which, seconds)
    stop = Timers.stop
    Timers.stop = lambda self, which: stop(self, Timer.HANDSHAKE if which is Timer.HELLO else which)


@mutant
def says_why_a_handshake_failed() -> None:
    give_up = connection.Connection._give_up

    def telling(self: Any, code: CloseCode, text: str) -> None:
        if self._handshake is None:
            give_up(self, code, text)
            return
        self._outbox.add_plain(text.encode())
        self._enter(LinkState.DRAINING)
        self._report(code, text)

    connection.Connection._give_up = telling


@mutant
def flight_2_is_padded() -> None:
    flight = handshake.Handshake.flight_2
    handshake.Handshake.flight_2 = lambda self: flight(self) + bytes(1400)


# --- itself, and other links ---


@mutant
def itself_taken_for_a_duplicate() -> None:
    _instead(CloseCode.SELF, CloseCode.DUPLICATE)


def _instead(due: CloseCode, said: CloseCode) -> None:
    """Close with another code than the one due."""
    close = connection.Connection._close
    connection.Connection._close = lambda self, code, *given: close(self, said if code is due else code, *given)


@mutant
def itself_met_silently() -> None:
    check = connection.Connection._met

    def silent(self: Any, found: bytes) -> bytes:
        if found == self._config.identity.public:
            raise connection.SilentFault("that is me", CloseCode.SELF)
        return check(self, found)

    connection.Connection._met = silent


@mutant
def restarted_peer_waits() -> None:
    admission.Admission.replace_older = lambda self, link: None


@mutant
def newer_duplicate_closed() -> None:
    def settle(self: Any, link: Any) -> None:
        for other in self.others(link):
            if other.established and other.outbound is link.outbound:
                self._close_duplicate(max(link, other, key=lambda one: one.offered_at))

    admission.Admission.settle_duplicates = settle


@mutant
def second_attempt_with_one_suite() -> None:
    lists(
        lambda shake, versions, suites: (
            (versions, (shake.suite,))
            if initiates(shake) and shake._config.key_suite is not None
            else (versions, suites)
        )
    )


@mutant
def second_attempt_tells_of_the_refusal() -> None:
    read, parameters = handshake.Handshake.read_refusal, handshake.Handshake._parameters
    heard: list[bytes] = []

    def listening(self: Any, raw: bytes) -> Any:
        heard.append(raw[-8:])
        return read(self, raw)

    handshake.Handshake.read_refusal = listening
    handshake.Handshake._parameters = lambda self: (
        (handshake.Parameter(0x31, heard[-1]),) if heard and initiates(self) else parameters(self)
    )


@mutant
def second_attempt_with_the_same_key() -> None:
    begin = handshake.Handshake.__init__

    def kept(self: Any, config: Any, role: Any, *given: Any) -> None:
        begin(self, config, role, *given)
        if role is connection.Role.INITIATOR:
            self._ephemeral_seed = config.identity.seed

    handshake.Handshake.__init__ = kept


@mutant
def attempts_without_end() -> None:
    def retry(self: Any, link: Any) -> bool:
        if link.attempt is None or link.wanted_suite is None:
            return False
        self._begin(meeting.Attempt(link.attempt.target, link.attempt.grease, link.wanted_suite))
        return True

    meeting.Meeting._retry = retry


@mutant
def lists_shortened_after_a_failure() -> None:
    failed: list[bool] = []
    report = connection.Connection._report

    def noting(self: Any, *given: Any, **named: Any) -> None:
        if self.identity is None:
            failed.append(True)
        report(self, *given, **named)

    connection.Connection._report = noting
    lists(lambda shake, versions, suites: (versions, suites[:1]) if failed and initiates(shake) else (versions, suites))


@mutant
def any_number_of_half_open_links() -> None:
    admission.HALF_OPEN_PER_GROUP = 1 << 20


@mutant
def any_number_of_inbound_links() -> None:
    begin = admission.Admission.__init__
    admission.Admission.__init__ = lambda self, core, identity, most: begin(self, core, identity, 1 << 20)


@mutant
def half_open_links_of_this_machine_counted() -> None:
    admits = admission.Admission.admits

    def strict(self: Any, remote: Any) -> bool:
        live = [link for link in self._inbound if not link.over and not link.identity]
        return len(live) < 12 and admits(self, remote)

    admission.Admission.admits = strict


@mutant
def outbound_links_make_room() -> None:
    def room(self: Any, remote: Any) -> bool:
        for link in list(self._core.links.values()):
            if link.outbound and not link.over:
                self._core.send(link, admission.CloseLink(CloseCode.BUSY, "the room is needed"))
        return True

    admission.Admission._make_room = room


@mutant
def second_link_made() -> None:
    connection.Connection._check_wanted = lambda self, identity: None


@mutant
def crossing_links_judged_the_other_way() -> None:
    settle = admission.Admission.settle_duplicates

    def other_way(self: Any, link: Any) -> None:
        own, self._identity = self._identity, bytes(byte ^ 0xFF for byte in self._identity)
        try:
            settle(self, link)
        finally:
            self._identity = own

    admission.Admission.settle_duplicates = other_way


@mutant
def duplicates_dialled_again() -> None:
    closed = dialer.Dialer.closed
    dialer.Dialer.closed = lambda self, identity, now, *, target=None, reconnect=True: closed(
        self, identity, now, target=target
    )


@mutant
def waits_equally_long() -> None:
    begin = dialrules.Backoff.__init__

    def stiff(self: Any, minimum: float, maximum: float, jitter: float, random: Any) -> None:
        begin(self, minimum, maximum, 0.0, random)

    dialrules.Backoff.__init__ = stiff
