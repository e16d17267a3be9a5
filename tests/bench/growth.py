"""How the cost grows with the size of things: each is done at several sizes, and an exponent is fitted.

1 is linear; a quadratic would show as 2. Cost is processor time of this process. Where whole peers take part, both
sides of everything are in it, in memory and in virtual time (`p2pwire.testing.network`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time
from typing import Final

import attrs

from p2pwire.connection.config import Limits
from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import Tree
from p2pwire.content.units import Layout
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.record import sign_record
from p2pwire.node.address import Endpoint
from p2pwire.node.bans import Bans
from p2pwire.node.dialer import Dialer, DialFailure
from p2pwire.node.node import NodeConfig
from p2pwire.node.peerbook import Origin, Outcome, PeerBook
from p2pwire.node.picker import Picker
from p2pwire.storage.memory import share_bytes, share_folder
from p2pwire.storage.scan import scan
from p2pwire.testing.network import Host, Network
from p2pwire.wire.registry import BLOCK_SIZE, MAX_HANDLES, EntryType
from tests.bench.figures import exponent
from tests.bench.run import Run

CREDIT: Final = 64
"""Blocks asked of the picker at once."""
HOUR: Final = 3600.0
UNIX_TIME: Final = 1_800_000_000
PER_SOURCE: Final = 64
"""records that one source names."""


@attrs.frozen
class Growth:
    """Something whose cost grows."""

    sizes: Sequence[int]
    quick_sizes: Sequence[int]
    prepare: Callable[[Run, int], Callable[[], object]]
    """For a size: what is to be timed."""


def measure(run: Run) -> None:
    """An exponent of each, once a round."""
    for name, growth in GROWTHS.items():
        sizes = growth.quick_sizes if run.quick else growth.sizes
        rounds = [[(size, cost(run, growth, size)) for size in sizes] for _ in range(1 if run.quick else ROUNDS)]
        costs = {size: median(points[place][1] for points in rounds) for place, size in enumerate(sizes)}
        run.results.points[name] = list(costs.items())
        shown = ", ".join(f"{size}: {seconds:.3g} s" for size, seconds in costs.items())
        run.say(f"  {name}: {shown}")
        run.add(f"growth/{name}", "exponent", [exponent(points) for points in rounds], less=True, note=shown)


ROUNDS: Final = 3


def cost(run: Run, growth: Growth, size: int) -> float:
    """Seconds of processor time."""
    work = growth.prepare(run, size)
    begun = process_time()
    work()
    return process_time() - begun


# --- blocks ---


def build_tree(run: Run, blocks: int) -> Callable[[], object]:
    """The hash tree of a file of so many blocks, from its leaves."""
    leaves = os.urandom(32 * blocks)
    return lambda: Tree.from_leaves(blocks * BLOCK_SIZE, leaves)


def pick_blocks(run: Run, blocks: int) -> Callable[[], object]:
    """Choose, ask for and receive every block of a file from two links that have all of it."""
    layout = Layout.of_lengths([blocks * BLOCK_SIZE])

    def work() -> None:
        picker = Picker(layout, os.urandom)
        for link in (1, 2):
            picker.link_added(link)
            picker.units_added(link, [(0, layout.unit_count - 1)])
        now = 0.0
        while picker.remaining:
            for link in (1, 2):
                request = picker.next_request(link, CREDIT, now)
                if request is None:
                    continue
                for block in range(request.global_first, request.global_first + request.count):
                    picker.block_received(link, block)
                picker.request_ended(link, request)
            now += 1.0

    return work


def move_file(run: Run, blocks: int) -> Callable[[], object]:
    """A file from one node to another."""
    content = share_bytes(os.urandom(blocks * BLOCK_SIZE))

    def work() -> None:
        network = Network("file")
        bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1")
        bob.share(content)
        finish(network, (alice, alice.fetch(content, bob)))

    return work


def finish(network: Network, *wanted: tuple[Host, bytes]) -> None:
    """Let time go by until these hosts have these topics. Raises RuntimeError if that does not come."""
    waiting = list(wanted)

    def done() -> bool:
        # Asked after every step: what is complete is not asked for again.
        while waiting and waiting[-1][0].complete(waiting[-1][1]):
            waiting.pop()
        return not waiting

    if not network.run(HOUR, until=done):
        raise RuntimeError(f"{len(waiting)} of {len(wanted)} fetches are not complete after an hour")


# --- files ---


def encode_manifest(run: Run, files: int) -> Callable[[], object]:
    """The manifest of so many files, made and read."""
    root = bytes(range(32))
    entries = [Entry(EntryType.FILE, f"{number // 100:06}/{number:08}.bin", 1000, root) for number in range(files)]
    return lambda: Manifest.decode(Manifest.from_entries(entries).data)


def hash_files(run: Run, files: int) -> Callable[[], object]:
    """The id of a folder of so many tiny files."""
    folder = run.directory / f"files {files}"
    if not folder.exists():
        for number in range(files):
            directory = folder / f"{number // 100:06}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{number:08}").write_bytes(number.to_bytes(16, "big"))
    return lambda: scan(folder).close()


def move_folder(run: Run, files: int) -> Callable[[], object]:
    """A folder of so many tiny files from one node to another."""
    content = share_folder({f"{number // 100:06}/{number:08}": number.to_bytes(16, "big") for number in range(files)})

    def work() -> None:
        network = Network("folder")
        bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1")
        bob.share(content)
        finish(network, (alice, alice.fetch(content, bob)))

    return work


# --- peers and objects ---


def address(number: int) -> str:
    """An address of its own /16 for each of 256 hosts, and then within them."""
    return f"{20 + number % 200}.{number // 200 % 250}.{number // 50_000}.1"


def serve_links(run: Run, links: int) -> Callable[[], object]:
    """One node that serves so many others, each of which fetches four blocks."""
    content = share_bytes(os.urandom(4 * BLOCK_SIZE))

    def work() -> None:
        network = Network("links")
        bob = network.host("bob", "1.2.0.1", NodeConfig(max_inbound=links))
        bob.share(content)
        others = [network.host(f"peer {number}", address(number), listens=False) for number in range(links)]
        finish(network, *[(other, other.fetch(content, bob)) for other in others])

    return work


def move_objects(run: Run, objects: int) -> Callable[[], object]:
    """So many objects of one block from one node to another, over one link."""
    contents = [share_bytes(os.urandom(1000)) for _ in range(objects)]
    config = NodeConfig(limits=Limits(max_handles=MAX_HANDLES))

    def work() -> None:
        network = Network("objects")
        bob, alice = network.host("bob", "1.2.0.1", config), network.host("alice", "1.3.0.1", config)
        for content in contents:
            bob.share(content)
        finish(network, *[(alice, alice.fetch(content, bob)) for content in contents])

    return work


def meet_peers(run: Run, peers: int) -> Callable[[], object]:
    """Learn of so many peers, and dial them one after another in vain."""
    topic = bytes(32)
    own = Identity.from_seed(b"\xff" * 32)
    records = []
    for number in range(peers):
        identity = Identity.from_seed(number.to_bytes(32, "big"))
        where = Endpoint.parse(address(number), 4000).to_address()
        records.append(sign_record(identity, sequence=UNIX_TIME, ttl=3600, flags=0, addresses=[where]))
    origins = [
        Origin.of(number.to_bytes(32, "little"), Endpoint.parse(address(7 * number), 4000))
        for number in range(1 + peers // PER_SOURCE)
    ]

    def work() -> None:
        # Signatures cost the same for each, and would hide what the rest does.
        book = PeerBook(own.public, random=os.urandom, verify=lambda record, raw: True)
        dialer = Dialer(book, Bans(), random=os.urandom)
        dialer.want(topic, 0.0)
        for number, record in enumerate(records):
            if book.offer(record, origins[number // PER_SOURCE], UNIX_TIME, topic=topic) is not Outcome.STORED:
                raise RuntimeError(f"record {number} was not stored")
            for changed in book.take_changes():
                dialer.refresh(changed, 0.0)
        now = 0.0
        for _ in range(peers):
            while (target := dialer.next(now)) is not None:
                dialer.failed(target, DialFailure.UNREACHABLE, now)
            now = dialer.next_timeout(now) or now + 1.0

    return work


GROWTHS: Final = {
    "blocks in a tree": Growth((10**4, 10**5, 10**6), (256, 1024), build_tree),
    "blocks picked": Growth((10**4, 10**5, 10**6), (256, 1024), pick_blocks),
    "blocks of a file moved": Growth((512, 2048, 8192), (16, 64), move_file),
    "files in a manifest": Growth((10**3, 10**4, 10**5), (100, 400), encode_manifest),
    "files hashed": Growth((10**3, 10**4, 10**5), (100, 400), hash_files),
    "files of a folder moved": Growth((10**2, 10**3, 10**4), (10, 40), move_folder),
    "links": Growth((100, 300, 1000), (2, 8), serve_links),
    "objects moved": Growth((100, 300, 1000), (2, 8), move_objects),
    "peers known": Growth((1024, 4096, 16384), (64, 256), meet_peers),
}
"""What is measured."""
