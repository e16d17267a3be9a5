"""Room for links: how many come in, who has to go, what is of no more use, and how all of it ends."""

from __future__ import annotations

import pytest

from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Extension, Limits, Role, Timeouts
from p2pwire.crypto.record import sign_record
from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.admission import CLOSING_INBOUND
from p2pwire.node.events import ExtensionReceived, LinkFailed, PeerConnected, PeerDisconnected
from p2pwire.node.node import NodeConfig
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    CONTROL_BURST,
    DRAIN_TIMEOUT,
    HALF_OPEN_PER_GROUP,
    HANDSHAKE_TIMEOUT,
    MAX_FRAME_BODY,
    REJOIN_DELAY,
    CloseCode,
    RefusalReason,
    Suite,
)
from tests.connection.remote import identity
from tests.node.hosts import Stranger, blob, connected, hosts, lasting, of, when


def endpoint(text: str, port: int = 5000) -> Endpoint:
    return Endpoint.parse(text, port)


def accept(host: Host, text: str, port: int = 5000) -> int | None:
    link = host.node.accepted(endpoint(text, port), host.network.now)
    host.pump()
    return link


# --- extensions ---


def test_an_application_can_not_flood_the_other_side_with_frames_of_its_extension() -> None:
    network = Network("extensions")
    config = NodeConfig(extensions=(Extension("chat/1", 0x80, 1),))
    alice, bob = hosts(network, "alice", "bob", config=config)
    content = blob()
    bob.share(content)
    alice.fetch(content, bob)
    network.run(5)
    (link,) = (info.link for info in alice.node.peers())
    sent = 0

    def talk(body: bytes, pause: float) -> None:
        nonlocal sent
        while True:
            alice.node.send_extension(link, "chat/1", 0, body, network.now)
            alice.pump()
            network.run(pause)
            sent += 1

    for body, pause in ((b"x", 0.001), (bytes(MAX_FRAME_BODY), 0.1)):
        with pytest.raises(LocalProtocolError, match="flood"):
            talk(body, pause)
        network.run(60)
    assert [event.index for event in of(bob, ExtensionReceived)] == [0] * sent
    assert sent > CONTROL_BURST / 4
    assert [info.link for info in alice.node.peers()] == [link]


# --- inbound ---


def test_half_open_links_of_one_network_are_few_and_make_room_when_their_time_is_over() -> None:
    network = Network("half open")
    (bob,) = hosts(network, "bob")
    for number in range(HALF_OPEN_PER_GROUP):
        assert accept(bob, f"9.9.9.{number}") is not None
    assert accept(bob, "9.9.9.99") is None
    assert accept(bob, "9.9.8.99") is not None  # another /24
    for number in range(HALF_OPEN_PER_GROUP):
        assert accept(bob, f"2001:470:1:{number}::1") is not None
    assert accept(bob, "2001:470:1:ffff::1") is None
    assert accept(bob, "2001:470:2::1") is not None  # another /48
    assert accept(bob, "::ffff:9.9.9.50") is None  # is that IPv4 address
    network.run(HANDSHAKE_TIMEOUT + 0.1)
    assert not bob.node._core.links
    assert accept(bob, "9.9.9.99") is not None


def test_loopback_and_carriers_without_addresses_are_not_counted_as_half_open() -> None:
    network = Network("loopback")
    (bob,) = hosts(network, "bob")
    assert all(accept(bob, "127.0.0.1", port) is not None for port in range(5000, 5100))
    assert all(bob.node.accepted(None, network.now) is not None for _ in range(50))


def test_a_finished_handshake_is_not_half_open() -> None:
    network = Network("finished")
    (bob,) = hosts(network, "bob")
    for number in range(3 * HALF_OPEN_PER_GROUP):
        Stranger(bob, f"9.9.9.{number}:5000", name=f"{number}").open()
    assert len(bob.node.peers()) == 3 * HALF_OPEN_PER_GROUP


def crowded(maximum: int) -> tuple[Network, Host]:
    network = Network("crowded")
    return network, network.host("bob", "1.2.0.1", NodeConfig(max_inbound=maximum))


def test_the_largest_group_makes_room_its_least_useful_link_first() -> None:
    _, bob = crowded(6)
    content = blob(1)
    bob.share(content)
    crowd = [Stranger(bob, f"9.9.{n}.1:5000", name=f"crowd {n}").open() for n in range(4)]
    others = [Stranger(bob, f"8.{n}.1.1:5000", name=f"other {n}").open() for n in range(2)]
    for stranger in crowd[:3]:
        stranger.say(stranger.join_topic(content))
    newcomer = Stranger(bob, "7.1.1.1:5000", name="newcomer").open()
    # The one of the crowd that has no topic.
    assert [stranger.wait().close is not None for stranger in crowd] == [False, False, False, True]
    assert crowd[3].close is not None
    assert crowd[3].close.code == CloseCode.BUSY
    assert not any(stranger.wait().close for stranger in (*others, newcomer))
    assert len(bob.node.peers()) == 6
    # Then one that has, but only while its group is larger than the newcomer's would be.
    Stranger(bob, "6.1.1.1:5000", name="next").open()
    assert sum(stranger.wait().close is not None for stranger in crowd) == 2
    assert len(bob.node.peers()) == 6


def test_a_group_that_is_as_large_as_any_gets_no_further_room_from_those_of_use() -> None:
    _, bob = crowded(4)
    content = blob(1)
    bob.share(content)
    strangers = [Stranger(bob, f"{9 - n % 2}.9.{n}.1:5000", name=f"{n}").open() for n in range(4)]
    for stranger in strangers:
        stranger.say(stranger.join_topic(content))
    assert accept(bob, "9.9.77.1") is None
    assert accept(bob, "8.9.77.1") is None
    assert not any(stranger.wait().close for stranger in strangers)
    assert accept(bob, "7.7.77.1") is not None


def test_outbound_links_make_no_room_for_inbound_ones() -> None:
    network, bob = crowded(2)
    others = hosts(network, "a", "b", "c")
    content = blob(1)
    for other in others:
        other.share(content)
    bob.fetch(content, *others)
    when(5, network, lambda: len(connected(bob)) == 3)
    for number in range(20):
        accept(bob, f"{20 + number}.1.1.1")
    network.run(1)
    assert connected(bob) == {other.identity for other in others}


def test_links_that_linger_do_not_add_up() -> None:
    network, bob = crowded(2)
    # Strangers who never end their direction: each that was closed to make room lingers.
    for number in range(2 + CLOSING_INBOUND):
        Stranger(bob, f"{20 + number}.1.1.1:5000", name=f"{number}").open()
    assert len(bob.node._core.links) == 2 + CLOSING_INBOUND
    assert len(bob.node.peers()) == 2
    assert accept(bob, "9.9.9.9") is None
    network.run(DRAIN_TIMEOUT + 0.1)
    assert len(bob.node._core.links) == 2
    assert accept(bob, "9.9.9.9") is not None


# --- useless links ---


def test_a_link_that_is_of_no_more_use_is_closed_after_a_while() -> None:
    network = Network("useless")
    bob, charlie, alice = hosts(network, "bob", "charlie", "alice")
    content = blob(3)
    topic = bob.share(content)
    charlie.fetch(content, bob)
    alice.fetch(content, bob)
    when(20, network, lambda: alice.complete(topic) and charlie.complete(topic))
    alice.forget(topic)
    charlie.forget(topic)
    assert lasting(alice)
    network.run(200)
    assert not lasting(alice)
    assert {event.code for event in of(alice, PeerDisconnected)} <= {CloseCode.NONE, CloseCode.DUPLICATE}
    connections = len(of(alice, PeerConnected))
    network.run(2000)
    assert len(of(alice, PeerConnected)) == connections


def test_a_link_that_its_user_asked_for_stays_while_the_topic_is_wanted() -> None:
    network = Network("patient")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(3)
    alice.fetch(content, bob)
    network.run(1000)
    assert len(lasting(alice)) == 1
    bob.share(content)
    when(2, network, lambda: alice.complete(content.info.topic))


def test_a_refused_topic_is_asked_for_again_once_a_minute() -> None:
    network = Network("refused")
    (bob,) = hosts(network, "bob")
    content = blob(1)
    bob.fetch(content)
    stranger = Stranger(bob, dialled=True).open()
    bob.node.add_peers(content.info.topic, [endpoint("9.9.9.9")], network.now)
    bob.pump()
    for minute in range(1, 5):
        stranger.wait(0.0)
        joins = stranger.heard(msg.Join)
        assert len(joins) == minute
        assert len({join.handle for join in joins}) == minute
        stranger.say(msg.Refuse(joins[-1].handle, 0))
        stranger.wait(REJOIN_DELAY - 0.5)
        assert len(stranger.heard(msg.Join)) == minute
        stranger.say(msg.Pad(b""))
        stranger.wait(0.6)


# --- streams of the caller's own ---


def test_a_stream_of_the_callers_own_is_good_for_every_topic_there_is_and_will_be() -> None:
    network = Network("attached")
    (bob,) = hosts(network, "bob")
    first, second = blob(1, "first"), blob(1, "second")
    bob.fetch(first)
    for dialled in (True, False):
        stranger = Stranger(bob, name=f"{dialled}", dialled=dialled)
        if not dialled:
            stranger.host.node._core.links[stranger.link].given = True
        stranger.open().wait()
        assert [join.topic for join in stranger.heard(msg.Join)] == [first.info.topic]
    third = bob.fetch(second)
    assert [join.topic for join in stranger.wait().heard(msg.Join)] == [first.info.topic, third]


def test_the_caller_of_a_stream_is_told_which_suite_is_wanted_and_nothing_is_dialled() -> None:
    network = Network("suite")
    (alice,) = hosts(network, "alice")
    link = alice.node.attach(Role.INITIATOR, network.now)
    alice.node.data_to_send(link, network.now)
    refusal = msg.Refusal(RefusalReason.USE_SUITE, (1,), (int(Suite.XX_CHACHAPOLY),))
    alice.node.receive_data(link, msg.encode_preamble(refusal), network.now)
    alice.pump()
    assert [event.suite for event in of(alice, LinkFailed)] == [Suite.XX_CHACHAPOLY]


@pytest.mark.parametrize("right", [True, False])
def test_who_is_expected_at_the_end_of_a_stream_has_to_be_there(right: bool) -> None:
    network = Network("expected")
    (alice,) = hosts(network, "alice")
    expected = identity("stranger" if right else "someone else").public
    stranger = Stranger(alice, dialled=True, expected=expected)
    stranger.settle()
    stranger.feed(stranger.answer())
    assert len(stranger.raw) > 0 if right else not stranger.raw  # message 3, or nothing at all [ID-010]
    assert (alice.node._core.links == {}) is not right


@pytest.mark.parametrize("scope", [None, Scope.PRIVATE, Scope.LOOPBACK])
def test_the_scope_of_a_stream_is_what_its_caller_says(scope: Scope | None) -> None:
    network = Network("scope")
    (bob,) = hosts(network, "bob")
    content = blob(1)
    topic = bob.share(content)
    stranger = Stranger(bob, dialled=True, scope=scope).open()
    stranger.wait().say(stranger.join_topic(content))
    named = {text: named_peer(text, network) for text in ("127.0.0.1", "10.9.9.9", "9.9.9.9")}
    stranger.say(msg.Peers(0, tuple(msg.SharedRecord(0, record) for record in named.values()), ()))
    network.run(3)
    dialled = {event.endpoint.host for event in of(bob, LinkFailed) if event.endpoint is not None}
    reach = {None: 1, Scope.PRIVATE: 2, Scope.LOOPBACK: 3}[scope]
    assert dialled == set(("9.9.9.9", "10.9.9.9", "127.0.0.1")[:reach])  # [PX-073] [PX-074]
    assert bob.node.progress(topic).peers == 1


def named_peer(host: str, network: Network) -> bytes:
    """The signed record of a peer at an address."""
    address = Endpoint.parse(host, 7000).to_address()
    sequence = int(network.unix_time)
    return sign_record(identity(host), sequence=sequence, ttl=3600, flags=0, addresses=[address])


# --- the end ---


def test_close_says_shutdown_hangs_up_and_leaves_nothing() -> None:
    network = Network("close")
    bob, alice, charlie = hosts(network, "bob", "alice", "charlie")
    content = blob(1000)
    bob.share(content)
    bob.uplink = 500_000
    for host in (alice, charlie):
        host.fetch(content, bob)
    network.run(3)
    bob.stop()
    assert not bob.node._core.links
    for host in (alice, charlie):
        (over,) = [event for event in of(host, PeerDisconnected) if event.identity == bob.identity]
        assert (over.code, over.by_peer, over.truncated) == (CloseCode.SHUTDOWN, True, False)


def test_after_close_nothing_is_dialled_or_accepted_and_dials_that_succeed_are_hung_up() -> None:
    network = Network("closed")
    (alice,) = hosts(network, "alice")
    node = alice.node
    node.fetch(blob(1).info.oid, network.now, peers=[endpoint("9.9.9.9"), endpoint("9.9.8.9")])
    dials = [action for action in iter(node.next_action, None) if isinstance(action, act.Dial)]
    assert len(dials) == 2
    node.close(network.now)
    link = node.dial_succeeded(dials[0].dial, network.now)
    assert [action for action in iter(node.next_action, None) if isinstance(action, act.HangUp)] == [act.HangUp(link)]
    node.dial_failed(dials[1].dial, "refused", network.now)
    node.add_peers(blob(1).info.topic, [endpoint("9.9.7.9")], network.now)
    assert node.next_action() is None
    assert node.accepted(endpoint("9.9.9.9"), network.now) is None
    assert node.next_timeout() is None


def test_a_broken_carrier_is_a_truncation_and_leaves_nothing() -> None:
    network = Network("broken")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(1000)
    bob.share(content)
    bob.uplink = 500_000
    alice.fetch(content, bob)
    network.run(2)
    (link,) = alice.node._core.links
    network.cut(alice, bob)
    assert link not in alice.node._core.links
    (over,) = of(alice, PeerDisconnected)
    assert over.truncated
    assert over.code is CloseCode.NONE


def test_mistakes_of_the_caller_are_named() -> None:
    network = Network("mistakes")
    (alice,) = hosts(network, "alice")
    node = alice.node
    with pytest.raises(ValueError, match="ticket 7 is not open"):
        node.disk_done(7, None, 0.0)
    with pytest.raises(ValueError, match="ticket 8 is not open"):
        node.disk_failed(8, OSError(), 0.0)
    with pytest.raises(ValueError, match="dial 9 is not in progress"):
        node.dial_succeeded(9, 0.0)
    with pytest.raises(ValueError, match="dial 9 is not in progress"):
        node.dial_failed(9, "", 0.0)
    with pytest.raises(KeyError):
        node.progress(b"unknown")
    # What may simply be late is no mistake.
    node.receive_data(99, b"late", 0.0)
    node.link_lost(99, 0.0)
    node.forget(b"unknown", 0.0)
    node.add_peers(b"unknown", [endpoint("9.9.9.9")], 0.0)
    assert node.data_to_send(99, 0.0) == []
    assert not node.wants_data(99)
    assert node.output_ended(99)
    assert node.next_action() is None


def test_nothing_secret_is_shown() -> None:
    network = Network("secrets")
    private = network.host("private", "1.2.0.1", NodeConfig(psk=b"secret key of the private networ"))
    content = blob(1)
    private.fetch(content)
    shown = repr((private.config, private.node, private.node._core, private.events, private.node._core.catalogue))
    assert "secret key" not in shown
    assert repr(content.info.oid) not in shown
    assert str(content.info.oid.hex()) not in shown


def test_limits_and_timers_of_the_config_are_those_of_the_links() -> None:
    network = Network("config")
    config = NodeConfig(limits=Limits(max_requests=7, max_handles=5, idle=40), timeouts=Timeouts(handshake=3.0))
    bob = network.host("bob", "1.2.0.1", config)
    stranger = Stranger(bob).handshake()
    (hello,) = stranger.heard(msg.Hello)
    assert (hello.max_requests, hello.max_handles, hello.idle) == (7, 5, 40)
    accept(bob, "8.8.8.8")
    assert len(bob.node._core.links) == 2
    network.run(3.1)
    assert len(bob.node._core.links) == 1
