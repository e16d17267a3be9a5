"""A few nodes, and anything that may happen to them in any order: nothing breaks, nothing grows, no byte is wrong."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from p2pwire.node import actions as act
from p2pwire.node.events import PeerBanned, PeerDisconnected
from p2pwire.storage.memory import share_bytes
from p2pwire.testing.network import Host, Network
from p2pwire.wire.registry import CloseCode
from tests.node.consistency import check
from tests.node.hosts import blob, folder, has_content, of

CONTENTS = (blob(70), folder(4, 40_000), share_bytes(b"small"), folder(300, 4, "large manifest"), share_bytes(b""))
HOSTS = 4
"""The last one does not listen."""

DISK_WORK = (act.OpenDownload, act.StoreManifest, act.WriteBlocks, act.ReadBlocks, act.FinishDownload)
HONEST = {CloseCode.NONE, CloseCode.DUPLICATE, CloseCode.SHUTDOWN, CloseCode.TIMEOUT, CloseCode.BUSY}
"""How links between honest peers may end."""

some_host = st.integers(0, HOSTS - 1)
some_content = st.integers(0, len(CONTENTS) - 1)
a_while = st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.3, 2.0])
"""Seconds that go by after something was done."""


class DiskError(Exception):
    """What a disk says that is told to fail."""


class Nodes(RuleBasedStateMachine):
    """Hosts of one network; each content is shared by some, and fetched by others."""

    @initialize(seed=st.integers(0, 2**16), latency=st.sampled_from([0.0, 0.02, 0.3]))
    def begin(self, seed: int, latency: float) -> None:
        self.network = Network(str(seed), latency=latency)
        self.hosts = [self.network.host(f"{n}", f"{n + 1}.2.0.1", listens=n != HOSTS - 1) for n in range(HOSTS)]
        for host in self.hosts:
            host.uplink = 2_000_000
        self.shared: dict[tuple[int, int], None] = {}
        self.fetched: dict[tuple[int, int], None] = {}
        for content in range(len(CONTENTS)):
            self.share(content % 2, content)

    def known(self, host: int, content: int) -> bool:
        return (host, content) in self.shared or (host, content) in self.fetched

    def up(self, number: int) -> Host | None:
        host = self.hosts[number]
        return host if host.up else None

    # --- what users do ---

    @rule(number=some_host, content=some_content)
    def share(self, number: int, content: int) -> None:
        host = self.up(number)
        if host is not None and not self.known(number, content):
            self.shared[number, content] = None
            host.share(CONTENTS[content])

    @rule(
        number=some_host,
        content=some_content,
        peers=st.lists(some_host, min_size=1, max_size=3),
        sequential=st.booleans(),
        after=a_while,
    )
    def fetch(self, number: int, content: int, peers: list[int], sequential: bool, after: float) -> None:
        host = self.up(number)
        if host is not None and not self.known(number, content):
            self.fetched[number, content] = None
            host.fetch(CONTENTS[content], *(self.hosts[peer] for peer in peers), sequential=sequential)
            self.network.run(after)

    @rule(number=some_host, content=some_content, after=a_while)
    def forget(self, number: int, content: int, after: float) -> None:
        host = self.up(number)
        if host is not None:
            self.shared.pop((number, content), None)
            self.fetched.pop((number, content), None)
            host.forget(CONTENTS[content].info.topic)
            self.network.run(after)

    @rule(number=some_host, content=some_content, peer=some_host)
    def add_peer(self, number: int, content: int, peer: int) -> None:
        host = self.up(number)
        if host is not None:
            host.node.add_peers(CONTENTS[content].info.topic, [self.hosts[peer].endpoint], self.network.now)
            host.pump()

    # --- what the world does ---

    @rule(seconds=st.sampled_from([0.02, 0.1, 1.0, 5.0, 70.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.network.run(seconds)

    @rule(one=some_host, other=some_host, after=a_while)
    def cut(self, one: int, other: int, after: float) -> None:
        self.network.cut(self.hosts[one], self.hosts[other])
        self.network.run(after)

    @rule(number=some_host, silently=st.booleans(), after=a_while)
    def crash(self, number: int, silently: bool, after: float) -> None:
        if self.hosts[number].up:
            self.hosts[number].crash(silently=silently)
            self.network.run(after)

    @rule(number=some_host, after=a_while)
    def start(self, number: int, after: float) -> None:
        if not self.hosts[number].up:
            self.hosts[number].start()
            self.network.run(after)

    @rule(side=st.lists(some_host, max_size=2))
    def partition(self, side: list[int]) -> None:
        self.network.partition([self.hosts[number] for number in side])

    @rule(after=a_while)
    def heal(self, after: float) -> None:
        self.network.heal()
        self.network.run(after)

    @rule(number=some_host, delay=st.sampled_from([0.0, 0.02, 0.5, 30.0]), jitter=st.sampled_from([0.0, 0.1]))
    def slow_disk(self, number: int, delay: float, jitter: float) -> None:
        self.hosts[number].disk.delay = delay
        self.hosts[number].disk.jitter = jitter

    @rule(number=some_host, kind=st.sampled_from(DISK_WORK))
    def break_disk(self, number: int, kind: type) -> None:
        self.hosts[number].disk.fault = lambda action: DiskError() if isinstance(action, kind) else None

    @rule(number=some_host)
    def mend_disk(self, number: int) -> None:
        self.hosts[number].disk.fault = lambda action: None

    @rule(number=some_host, ago=st.floats(0, 100), unix_time=st.floats(0, 4e9))
    def timers_come_early_and_clocks_jump(self, number: int, ago: float, unix_time: float) -> None:
        host = self.up(number)
        if host is not None:
            host.node.handle_timeout(self.network.now - ago, unix_time)
            host.pump()

    # --- what holds ---

    @invariant()
    def parts_agree(self) -> None:
        for host in getattr(self, "hosts", []):
            if host.up:
                check(host.node)
                # Each piece of disk work is answered once: what is not, is in hand.
                assert set(host.node._core._tickets) == set(host._in_hand)

    @invariant()
    def nothing_wrong_is_ever_complete(self) -> None:
        for number, content in getattr(self, "fetched", {}):
            if self.hosts[number].complete(CONTENTS[content].info.topic):
                assert has_content(self.hosts[number], CONTENTS[content])

    @invariant()
    def honest_peers_blame_nobody(self) -> None:
        for host in getattr(self, "hosts", []):
            assert not of(host, PeerBanned)
            assert {event.code for event in of(host, PeerDisconnected)} <= HONEST

    @rule()
    def in_the_end_all_that_can_be_had_is_had(self) -> None:
        """When all is well again, and stays so for long enough, every fetch that has a source is complete."""
        self.network.heal()
        for host in self.hosts:
            host.disk.delay = host.disk.jitter = 0.0
            host.disk.fault = lambda action: None
            if not host.up:
                host.start()
        for number, content in [*self.shared, *self.fetched]:
            self.try_again(number, content)
        self.network.run(3000)
        for number, content in self.fetched:
            if any(shared == content for _, shared in self.shared):
                assert has_content(self.hosts[number], CONTENTS[content])

    def try_again(self, number: int, content: int) -> None:
        """Begin anew what a disk has failed, and tell of all who can be dialled."""
        host, topic = self.hosts[number], CONTENTS[content].info.topic
        if host.failure(topic) is not None:
            host.forget(topic)
            host.fetch(CONTENTS[content])
        elif (number, content) in self.shared and host.node.progress(topic).done < host.node.progress(topic).total:
            host.forget(topic)  # its disk has lost some of it
            host.share(CONTENTS[content])
        reachable = [peer.endpoint for peer in self.hosts if peer.listens and peer is not host]
        host.node.add_peers(topic, reachable, self.network.now)
        host.pump()


TestNodes = Nodes.TestCase
TestNodes.settings = settings(max_examples=20, stateful_step_count=40)
