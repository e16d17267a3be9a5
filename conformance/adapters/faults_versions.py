"""Faults of the reference in versions and suites."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs
from p2pwire.connection import connection, handshake, records
from p2pwire.connection.state import LinkInput, LinkState

from faults import mutant


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


def lists(change: Any) -> None:
    """Send other lists: `change` takes the handshake, its versions and its suites."""
    right = handshake.Handshake._lists
    handshake.Handshake._lists = lambda self: change(self, *right(self))


def initiates(shake: Any) -> bool:
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
    lists(lambda shake, versions, suites: ((2,) if initiates(shake) else versions, suites))


@mutant
def suite_1_not_accepted() -> None:
    suites = handshake.Handshake._suites
    handshake.Handshake._suites = lambda self: (
        suites(self) if initiates(self) else tuple(suite for suite in suites(self) if suite != 1)
    )


@mutant
def suite_1_not_offered() -> None:
    lists(lambda shake, versions, suites: (versions, (2,)) if initiates(shake) else (versions, suites))
    right = handshake.Handshake.flight_1

    def other(self: Any) -> bytes:
        self.suite = 2
        return right(self)

    handshake.Handshake.flight_1 = other


@mutant
def suites_in_order_of_number() -> None:
    lists(lambda shake, versions, suites: (versions, tuple(sorted(suites))))


@mutant
def key_suite_of_another_message_1() -> None:
    start = handshake.Handshake._start
    handshake.Handshake._start = lambda self, suite: start(
        self, handshake.Suite.XX_AESGCM if initiates(self) and suite == 2 else suite
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
    handshake.Handshake._suites = lambda self: suites(self) if initiates(self) else (*suites(self), 3)
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
    lists(lambda shake, versions, suites: (versions, (3, 1) if 3 in suites else suites))


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
    lists(lambda shake, versions, suites: (versions, suites if initiates(shake) else suites[:1]))


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
