"""Running a scenario: hosts are made, everything happens, and it is told how it went."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import partial
from random import Random

import attrs

from p2pwire.storage.memory import SharedMemory, share_bytes
from p2pwire.testing.attackers import ATTACKERS
from p2pwire.testing.attackers.attacker import FIRST_GROUP
from p2pwire.testing.clocks import Clock
from p2pwire.testing.network import Host, Network, Reach, Way, address
from p2pwire.testing.network.network import GROUPS
from p2pwire.testing.simulation.scenario import Event, Scenario
from p2pwire.wire.registry import BLOCK_SIZE


@attrs.frozen
class Outcome:
    """How a run went. Times are in the network's seconds, sizes in bytes."""

    scenario: str
    seed: str
    failures: tuple[str, ...]
    """What should not have been; none: all is well."""
    fetches: int
    """That were to complete."""
    complete: int
    time: float
    """When the last of them was; the end of the run, if one was not."""
    bound: float | None
    """For flash crowds: the time that no schedule can beat."""
    sent: int
    """Bytes of content that were sent by hosts that were up at the end, over links that were."""
    wasted: int
    """Bytes of them that came to somebody who had them."""
    trace: str
    """A digest of all bytes that arrived anywhere, and when."""

    @property
    def ratio(self) -> float | None:
        """The time over the bound."""
        return self.time / self.bound if self.bound else None


def bound(scenario: Scenario) -> float:
    """Seconds that a flash crowd takes at least, whatever anyone does: (1 + floor(log2 N)/M) times what one host needs
    to send everything, for N leechers and M blocks. From Mundinger, Weber and Weiss (2008), where parts move one by one
    and nothing but uplinks takes time."""
    alone = scenario.blocks * BLOCK_SIZE / scenario.uplink
    return (1 + math.floor(math.log2(scenario.leechers)) / scenario.blocks) * alone


def expand(scenario: Scenario, seed: str) -> Scenario:
    """The same with all that is left to chance beforehand written down: churn becomes events."""
    churn = scenario.churn
    if not churn.crashes:
        return scenario
    random = Random(f"{seed}/churn")
    events = list(scenario.events)
    for host in range(0 if churn.seeds else scenario.seeds, scenario.hosts):
        free_at = 0.0
        for at in sorted(random.uniform(0, churn.within) for _ in range(_about(churn.crashes, random))):
            if at < free_at:
                continue  # it is away
            free_at = at + random.uniform(0, churn.away)
            kind = "power" if random.random() < churn.power else "crash"
            events += [Event(round(at, 3), kind, (host,)), Event(round(free_at, 3), "start", (host,))]
    return attrs.evolve(scenario, churn=attrs.evolve(churn, crashes=0.0), events=tuple(events))


def _about(mean: float, random: Random) -> int:
    return int(mean) + (random.random() < mean % 1)


class Simulation:
    """One run of a scenario, to be looked at while it goes on."""

    def __init__(self, scenario: Scenario, seed: str = "0", *, check: Callable[[Host], None] | None = None) -> None:
        """`check` is called with each host whenever its node has come to rest; what it raises is a failure."""
        self.scenario = scenario = expand(scenario, seed)
        self.seed = seed
        self.failures: list[str] = []
        paths = scenario.paths
        self.network = Network(seed, keeps_events=False)
        self.network.usual = Way(paths.latency, paths.jitter, paths.segment, paths.ragged, paths.resets)
        self.network.watch = check
        self.random = Random(f"{seed}/scenario")
        self.contents: list[SharedMemory] = [_content(seed, n, scenario.blocks) for n in range(scenario.resources)]
        self.hosts: list[Host] = []
        self.known: list[list[int]] = []
        """host -> the hosts that it is told of."""

    def run(self) -> Outcome:
        """All of it."""
        try:
            self.begin()
            self._go()
        except Exception as error:  # whatever it is, it is what the run has found
            self.failures.append(f"{type(error).__name__} at {self.network.now:.3f} s: {error}")
        return self.outcome()

    # --- the beginning ---

    def begin(self) -> None:
        """Make the hosts, and plan what happens to them."""
        scenario = self.scenario
        config = scenario.policy.config()
        hidden = self._hidden()
        for number in range(scenario.hosts):
            name = f"seed{number}" if number < scenario.seeds else f"host{number}"
            host = self.network.host(name, address(number), config, record=scenario.exchange, clock=self._clock())
            host.uplink = self._uplink(number)
            host.downlink = scenario.downlink or None
            host.reach = Reach.SILENT if number in hidden else Reach.OPEN
            disks = scenario.disks
            host.disk.delay, host.disk.jitter = disks.delay, disks.jitter
            host.disk.rate, host.disk.unsynced = disks.rate, disks.unsynced
            self.hosts.append(host)
        self._draw_peers(hidden)
        for number, content in enumerate(self.contents):
            self.hosts[number % scenario.seeds].share(content)
        for number in range(scenario.seeds, scenario.hosts):
            late = number >= scenario.hosts - scenario.late
            at = scenario.late_at if late else self.random.uniform(0, scenario.join_within)
            self.network.at(at, partial(self._join, number))
        for event in scenario.events:
            self.network.at(event.at, partial(self._happen, event))
        for place, attack in enumerate(scenario.attackers):
            kind, group = ATTACKERS[attack.kind], FIRST_GROUP + place * GROUPS // 64
            attacker = kind(self.network, self.contents, self.hosts, count=attack.count, group=group)
            self.network.at(attack.at, attacker.begin)

    def _clock(self) -> Clock:
        clocks, random = self.scenario.clocks, self.random
        drift = random.uniform(-clocks.drift, clocks.drift)
        return Clock(random.uniform(0, clocks.offset), 1 + drift, random.uniform(-clocks.wrong_by, clocks.wrong_by))

    def _hidden(self) -> set[int]:
        """Who cannot be dialled."""
        scenario = self.scenario
        leechers = list(range(scenario.seeds, scenario.hosts))
        return set(self.random.sample(leechers, int(scenario.unreachable * len(leechers))))

    def _uplink(self, number: int) -> float | None:
        scenario = self.scenario
        if number < scenario.seeds:
            return scenario.seed_uplink or scenario.uplink or None
        if scenario.uplinks:
            return scenario.uplinks[(number - scenario.seeds) % len(scenario.uplinks)]
        return scenario.uplink or None

    def _draw_peers(self, hidden: set[int]) -> None:
        """Whom each leecher is told of: at random, each about as often as the others, and never nobody."""
        scenario = self.scenario
        self.known = [[] for _ in range(scenario.hosts)]
        everyone = [number for number in range(scenario.hosts) if number not in hidden]
        hat: list[int] = []
        for number in range(scenario.seeds, scenario.hosts):
            wanted = min(scenario.peers, len(everyone) - (number not in hidden))
            chosen: dict[int, None] = {}
            if scenario.knows_seed:
                chosen[self.random.randrange(scenario.seeds)] = None
            while len(chosen) < wanted:
                if not hat:
                    hat = self.random.sample(everyone, len(everyone))
                other = hat.pop()
                if other != number:
                    chosen[other] = None
            self.known[number] = list(chosen)
        self._introduce_seeds()

    def _introduce_seeds(self) -> None:
        """Let every seed have as many links as the others, who dial about as many as dial them."""
        scenario = self.scenario
        for seed in range(scenario.seeds):
            strangers = [n for n in range(scenario.seeds, scenario.hosts) if seed not in self.known[n]]
            missing = 2 * scenario.peers - (scenario.leechers - len(strangers))
            for number in self.random.sample(strangers, min(max(missing, 0), len(strangers))):
                self.known[number].append(seed)

    def _join(self, number: int) -> None:
        host = self.hosts[number]
        if host.up:
            for content in self.contents:
                host.fetch(content, *(self.hosts[other] for other in self.known[number]))

    # --- what happens ---

    def _happen(self, event: Event) -> None:
        chosen = [self.hosts[number] for number in event.hosts]
        match event.kind:
            case "partition":
                self.network.partition(chosen)
            case "heal":
                self.network.heal()
            case "cut":
                self.network.cut(*chosen)
            case "half-open":
                self.network.half_open(*chosen)
            case _:
                for host in chosen:
                    self._befall(event.kind, host)

    def _befall(self, kind: str, host: Host) -> None:
        match kind:
            case "crash" | "power":
                if host.up:
                    host.crash(silently=kind == "power")
            case "start":
                if not host.up:
                    host.start()
                    self._fetch_what_was_missed(host)
            case "clock":
                host.clock = attrs.evolve(host.clock, wrong_by=host.clock.wrong_by + 3600)
            case "full":
                host.disk.capacity = host.disk.used
            case "room":
                host.disk.capacity = None
                self._begin_anew(host)

    def _fetch_what_was_missed(self, host: Host) -> None:
        """Who was away when it was to join does so when it is back."""
        number = self.hosts.index(host)
        if number >= self.scenario.seeds and not any(host.node.knows(content.info.topic) for content in self.contents):
            self._join(number)

    def _begin_anew(self, host: Host) -> None:
        number = self.hosts.index(host)
        for content in self.contents:
            if host.up and host.failure(content.info.topic) is not None:
                host.forget(content.info.topic)
                host.fetch(content, *(self.hosts[other] for other in self.known[number]))

    def _go(self) -> None:
        last = max((event.at for event in self.scenario.events), default=0.0)
        left = {
            (host, content.info.topic): None for host in self.hosts[self.scenario.seeds :] for content in self.contents
        }
        while left and self.network.now < self.scenario.limit:
            self.network.run(1.0)
            if self.network.now < last:
                continue
            for host, topic in list(left):
                if host.complete(topic) or not host.up:
                    del left[host, topic]

    # --- the end ---

    def outcome(self) -> Outcome:
        """How it has gone so far."""
        scenario = self.scenario
        fetchers = [host for host in self.hosts[scenario.seeds :] if host.up]
        done: list[float] = []
        for host in fetchers:
            for content in self.contents:
                self._judge(host, content, done)
        time = max(done, default=0.0) if not self.failures else self.network.now
        sent = sum(peer.bytes_sent for host in self.hosts if host.up for peer in host.node.peers())
        needed = sum(content.info.length for content in self.contents) * len(fetchers)
        return Outcome(
            scenario=scenario.name,
            seed=self.seed,
            failures=tuple(self.failures),
            fetches=len(fetchers) * len(self.contents),
            complete=len(done),
            time=time,
            bound=bound(scenario) if scenario.is_flash_crowd else None,
            sent=sent,
            wasted=max(0, sent - needed),
            trace=self.network.trace,
        )

    def _judge(self, host: Host, content: SharedMemory, done: list[float]) -> None:
        topic, at = content.info.topic, host.completed_at(content.info.topic)
        if at is None:
            failure = host.failure(topic)
            why = "not complete" if failure is None else f"failed: {failure}"
            self.failures.append(f"{host.name}: {why}, with {_held(host, topic)} bytes of {content.info.length}")
        elif not _equal(host.content(topic), content):
            self.failures.append(f"{host.name}: complete, and not what was shared")
        else:
            done.append(at)


def _held(host: Host, topic: bytes) -> int:
    return host.node.progress(topic).done if host.node.knows(topic) else 0


def _equal(found: object, content: SharedMemory) -> bool:
    return isinstance(found, bytes) and found == content.read_blocks(0, 0, content.held.total)


def _content(seed: str, number: int, blocks: int) -> SharedMemory:
    return share_bytes(hashlib.shake_128(f"{seed}/content/{number}".encode()).digest(blocks * BLOCK_SIZE))


def simulate(scenario: Scenario, seed: str = "0", *, check: Callable[[Host], None] | None = None) -> Outcome:
    """Run a scenario once. The same scenario and seed give the same outcome, to the byte."""
    return Simulation(scenario, seed, check=check).run()
