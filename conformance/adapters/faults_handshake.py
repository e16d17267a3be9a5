"""Faults of the reference in the handshake: versions, suites, keys, proofs, identities, and more than one link."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs
from p2pwire.connection import connection, handshake, inbox, incoming, records
from p2pwire.connection.state import LinkInput, LinkState
from p2pwire.connection.timers import Timer, Timers
from p2pwire.crypto import identity, noise
from p2pwire.node import admission, dialer, dialrules, meeting
from p2pwire.wire.registry import CloseCode, FrameType

from faults import cell, mutant, without_tag, without_timer

# --- versions and suites ---


@mutant
def suite_by_own_order() -> None:
    decode = handshake.InitiatorPreamble.decode

    def sorted_suites(data: Any) -> Any:
        found = decode(data)
        return attrs.evolve(found, suites=tuple(sorted(found.suites)))

    handshake.InitiatorPreamble.decode = sorted_suites


@mutant
def wrong_suite_accepted() -> None:
    decode = handshake.ResponderPreamble.decode

    def always_one(data: Any) -> Any:
        return attrs.evolve(decode(data), suite=1)

    handshake.ResponderPreamble.decode = always_one


@mutant
def duplicates_in_lists_accepted() -> None:
    decode = handshake.InitiatorPreamble.decode

    def lenient(data: bytes) -> Any:
        count = data[0]
        listed = dict.fromkeys(data[1 + 2 * n : 3 + 2 * n] for n in range(count))
        return decode(bytes([len(listed)]) + b"".join(listed) + data[1 + 2 * count :])

    handshake.InitiatorPreamble.decode = lenient


def _offers(change: Any) -> None:
    """Read offers in another way."""
    decode = handshake.InitiatorPreamble.decode
    handshake.InitiatorPreamble.decode = lambda data: change(decode, bytes(data))


def _lists(change: Any) -> None:
    """Send other lists: `change` takes the handshake, its versions and its suites."""
    right = handshake.Handshake._lists
    handshake.Handshake._lists = lambda self: change(self, *right(self))


def _initiates(shake: Any) -> bool:
    return shake._role is connection.Role.INITIATOR


@mutant
def message_1_missing() -> None:
    flight = handshake.Handshake.flight_1

    def shorter(self: Any) -> bytes:
        flight(self)
        return self._offer

    handshake.Handshake.flight_1 = shorter


def _one_byte_early(state: LinkState, byte: bytes, owner: Any, method: str) -> None:
    """Send the first byte of what a method gives as soon as a state is entered, and the rest when it is due."""
    enter, right = connection.Connection._enter, getattr(owner, method)
    early = set()

    def entered(self: Any, after: LinkState) -> None:
        enter(self, after)
        if after is state:
            self._outbox.add_plain(byte)
            early.add(state)

    def rest(self: Any, *given: Any) -> Any:
        found = right(self, *given)
        if early:
            early.clear()
            assert found[:1] == byte
            return found[1:]
        return found

    connection.Connection._enter = entered
    setattr(owner, method, rest)


@mutant
def speaks_first() -> None:
    begin, flight = connection.Connection.__init__, handshake.Handshake.flight_2

    def eager(self: Any, role: Any, *given: Any, **named: Any) -> None:
        begin(self, role, *given, **named)
        if role is connection.Role.RESPONDER:
            self._outbox.add_plain(b"\x89")

    connection.Connection.__init__ = eager
    handshake.Handshake.flight_2 = lambda self: flight(self)[1:]


@mutant
def answers_before_message_1() -> None:
    _one_byte_early(LinkState.WAIT_MESSAGE_1, b"\x89", handshake.Handshake, "flight_2")


@mutant
def message_3_before_message_2() -> None:
    _one_byte_early(LinkState.WAIT_MESSAGE_2, b"\0", handshake.Handshake, "message_3")


@mutant
def record_before_message_3() -> None:
    _one_byte_early(LinkState.WAIT_MESSAGE_3, b"\0", records.RecordSealer, "seal")


@mutant
def kind_unchecked() -> None:
    take, kinds = connection.Connection._on_preamble, connection._PREAMBLES

    def lenient(self: Any, raw: bytes) -> None:
        waits = self._state is LinkState.WAIT_OFFER
        due = LinkInput.PREAMBLE_INITIATOR if waits else LinkInput.PREAMBLE_RESPONDER
        connection._PREAMBLES = {kind: due for kind in range(256) if waits or kind != 3}
        try:
            take(self, raw)
        finally:
            connection._PREAMBLES = kinds

    connection.Connection._on_preamble = lenient


@mutant
def bytes_after_a_preamble_ignored() -> None:
    for preamble in (handshake.InitiatorPreamble, handshake.ResponderPreamble):

        def lenient(data: Any, decode: Any = preamble.decode) -> Any:
            try:
                return decode(data)
            except connection.DecodeError:
                return decode(data[:-1])

        preamble.decode = lenient


@mutant
def parameters_in_any_order() -> None:
    def lenient(decode: Any, data: bytes) -> Any:
        try:
            return decode(data)
        except connection.DecodeError:
            at = _suites_of(data)[0]
            return decode(data[: at + 2])

    _offers(lenient)


def _suites_of(data: bytes) -> tuple[int, list[bytes]]:
    """Where key_suite begins in an offer, and the suites before it."""
    start = 2 + 2 * data[0]
    count = data[start - 1]
    return start + 2 * count, [data[start + 2 * n : start + 2 * n + 2] for n in range(count)]


@mutant
def parameters_out_of_order() -> None:
    encode = handshake.encode_preamble

    def wrong(preamble: Any) -> bytes:
        raw = encode(preamble) + b"\x0b\0\x0a\0"
        return raw[:9] + (len(raw) - 11).to_bytes(2, "big") + raw[11:]

    handshake.encode_preamble = wrong


@mutant
def unknown_parameter_rejected() -> None:
    def strict(decode: Any, data: bytes) -> Any:
        found = decode(data)
        if found.parameters:
            raise connection.SilentFault("an unknown tag")
        return found

    _offers(strict)


@mutant
def version_not_listed() -> None:
    _lists(lambda shake, versions, suites: ((2,) if _initiates(shake) else versions, suites))


@mutant
def suite_1_not_accepted() -> None:
    suites = handshake.Handshake._suites
    handshake.Handshake._suites = lambda self: (
        suites(self) if _initiates(self) else tuple(suite for suite in suites(self) if suite != 1)
    )


@mutant
def suite_1_not_offered() -> None:
    _lists(lambda shake, versions, suites: (versions, (2,)) if _initiates(shake) else (versions, suites))
    right = handshake.Handshake.flight_1

    def other(self: Any) -> bytes:
        self.suite = 2
        return right(self)

    handshake.Handshake.flight_1 = other


@mutant
def suites_in_order_of_number() -> None:
    _lists(lambda shake, versions, suites: (versions, tuple(sorted(suites))))


@mutant
def key_suite_of_another_message_1() -> None:
    start = handshake.Handshake._start
    handshake.Handshake._start = lambda self, suite: start(
        self, handshake.Suite.XX_AESGCM if _initiates(self) and suite == 2 else suite
    )


@mutant
def key_suite_is_grease() -> None:
    def greased(self: Any) -> bytes:
        body = b"\1\0\1\2\x0a\x0a\0\1\x0a\x0a"
        self._offer = bytes.fromhex("89503250570d0a1a01000a") + body
        noise = self._start(handshake.Suite.XX_AESGCM)
        noise.begin_message()
        return self._offer + handshake.encode_message(noise.finish_message(b""))

    handshake.Handshake.flight_1 = greased


@mutant
def key_suite_unchecked() -> None:
    def lenient(decode: Any, data: bytes) -> Any:
        try:
            return decode(data)
        except connection.DecodeError:
            at, suites = _suites_of(data)
            return decode(data[:at] + (suites or [b"\0\1"])[0] + data[at + 2 :])

    _offers(lenient)


@mutant
def suite_3_without_a_secret() -> None:
    suites, noise = handshake.Handshake._suites, handshake.NoiseHandshake
    handshake.Handshake._suites = lambda self: suites(self) if _initiates(self) else (*suites(self), 3)
    handshake.NoiseHandshake = lambda **given: noise(
        **(given | ({"psk": bytes(32)} if given["suite"] == 3 and given["psk"] is None else {}))
    )


@mutant
def first_version_only() -> None:
    _offers(lambda decode, data: attrs.evolve(decode(data), versions=decode(data).versions[:1]))


@mutant
def unknown_version_rejected() -> None:
    def strict(decode: Any, data: bytes) -> Any:
        found = decode(data)
        if any(version != 1 for version in found.versions) and 1 in found.versions:
            raise connection.SilentFault("an unknown version")
        if any(suite > 3 for suite in found.suites) and 1 in found.suites:
            raise connection.SilentFault("an unknown suite")
        return found

    _offers(strict)


@mutant
def grease_selected() -> None:
    read = handshake.Handshake.read_offer

    def greased(self: Any, raw: bytes) -> Any:
        found = read(self, raw)
        if found is None and b"\x1a\x1a" in raw:
            self._response = self._response[:11] + b"\x1a\x1a" + self._response[13:]
            self._response_hash = hashlib.sha256(self._response).digest()
        return found

    handshake.Handshake.read_offer = greased


def _refusing(due: Any, said: Any) -> None:
    """Refuse with another reason than is due; with None, silently."""
    refuse = handshake.Handshake._refuse

    def wrong(self: Any, reason: Any) -> Any:
        if reason is due and said is None:
            raise connection.SilentFault("nothing is said")
        return refuse(self, said if reason is due else reason)

    handshake.Handshake._refuse = wrong


@mutant
def no_version_unsaid() -> None:
    _refusing(handshake.RefusalReason.NO_VERSION, None)


@mutant
def no_suite_called_no_version() -> None:
    _refusing(handshake.RefusalReason.NO_SUITE, handshake.RefusalReason.NO_VERSION)


@mutant
def use_suite_called_no_suite() -> None:
    _refusing(handshake.RefusalReason.USE_SUITE, handshake.RefusalReason.NO_SUITE)


@mutant
def version_unchecked() -> None:
    decode = handshake.ResponderPreamble.decode
    handshake.ResponderPreamble.decode = lambda data: attrs.evolve(decode(data), version=1)


@mutant
def private_offers_more() -> None:
    _lists(lambda shake, versions, suites: (versions, (3, 1) if 3 in suites else suites))


@mutant
def private_refuses() -> None:
    handshake.Handshake._refuse = lambda self, reason: handshake.Refusing(
        handshake.encode_preamble(handshake.Refusal(reason, *self._lists())), reason
    )


@mutant
def private_takes_refusals() -> None:
    read = handshake.Handshake.read_refusal

    def open_minded(self: Any, raw: bytes) -> Any:
        config = self._config
        self._config = attrs.evolve(config, psk=None)
        try:
            return read(self, raw)
        finally:
            self._config = config

    handshake.Handshake.read_refusal = open_minded


@mutant
def refusal_lists_one_suite() -> None:
    _lists(lambda shake, versions, suites: (versions, suites if _initiates(shake) else suites[:1]))


@mutant
def stays_after_a_refusal() -> None:
    step = connection.Connection._step
    connection.Connection._step = lambda self, which: (
        None if which is connection.LinkStep.SEND_REFUSAL else step(self, which)
    )


@mutant
def order_of_the_refusal_counts() -> None:
    read = handshake.Handshake.read_refusal

    def wrong(self: Any, raw: bytes) -> Any:
        refusal = handshake.Refusal.decode(raw[11:])
        if refusal.reason != handshake.RefusalReason.USE_SUITE:
            return read(self, raw)
        wanted = next(suite for suite in refusal.suites if suite in self._suites())
        return handshake.RefusalReason.USE_SUITE, handshake.Suite(wanted)

    handshake.Handshake.read_refusal = wrong


@mutant
def wanted_suite_unreported() -> None:
    read = handshake.Handshake.read_refusal
    handshake.Handshake.read_refusal = lambda self, raw: (read(self, raw)[0], None)


@mutant
def unknown_refusal_ignored() -> None:
    take = connection.Connection._on_preamble
    connection.Connection._on_preamble = lambda self, raw: None if raw[8] == 3 and raw[11] > 4 else take(self, raw)


@mutant
def refusal_not_followed() -> None:
    take = connection.Connection._on_preamble
    connection.Connection._on_preamble = lambda self, raw: None if raw[8] == 3 and raw[11] != 3 else take(self, raw)


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

    def zero(self: Any, token: Any) -> None:
        try:
            mix(self, token)
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
    _lists(
        lambda shake, versions, suites: (
            (versions, (shake.suite,))
            if _initiates(shake) and shake._config.key_suite is not None
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
        (handshake.Parameter(0x31, heard[-1]),) if heard and _initiates(self) else parameters(self)
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
    _lists(
        lambda shake, versions, suites: (versions, suites[:1]) if failed and _initiates(shake) else (versions, suites)
    )


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
    def room(self: Any, live: Any, remote: Any) -> bool:
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
