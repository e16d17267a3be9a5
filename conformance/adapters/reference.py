"""Lets the suite judge the reference: PCTL/1 on one side, a `Node` with its disk in memory on the other."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import selectors
import socket
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

from p2pwire import __version__
from p2pwire.connection.commands import CloseLink, LocalProtocolError, SendExtension
from p2pwire.connection.config import Extension, Limits, Role, Timeouts
from p2pwire.content.objects import topic_of
from p2pwire.content.uri import Uri, UriError
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.noise import derive_psk
from p2pwire.node import events as ev
from p2pwire.node.actions import Action, Dial, HangUp, ReadBlocks, ResumeReading, Transmit
from p2pwire.node.address import Endpoint
from p2pwire.node.dialer import Anchor
from p2pwire.node.node import Node, NodeConfig
from p2pwire.node.swarm import Resource
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.identity_file import MIN_NETWORK_SECRET
from p2pwire.storage.memory import MemoryFile, share_bytes, share_folder
from p2pwire.storage.names import NameRules
from p2pwire.storage.scan import scan
from p2pwire.testing.disks import Disk
from p2pwire.testing.pair import seeded
from p2pwire.wire.registry import CloseCode

ABOUT: dict[str, Any] = {
    "pctl": 1, "impl": "p2pwire-python", "version": __version__, "spec": ["p2pwire/1"], "clock": "virtual",
    "roles": ["initiator", "responder"], "net": ["listen", "dial", "inline"], "via": ["tcp"],
    "features": [
        "identity", "chacha", "psk", "share", "fetch", "extensions", "expected", "limits", "timeouts", "record",
        "events", "joins", "links", "dials", "uris", "actions", "hold", "count", "files",
        "anchors", "memory",
        "frames", "clock", "fails",
    ],
    "choices": {"requests": "queued"},
}  # fmt: skip
STARTED = time.monotonic()
REMOTE = "127.0.0.1:7000"
"""Where an inline link comes from that is not told."""


def content_of(spec: dict[str, Any]) -> bytes:
    """Bytes as PCTL tells them: a pattern and a length."""
    found = bytes.fromhex(spec["hex"])
    size: int = spec["length"]
    return (found * (size // max(1, len(found)) + 1))[:size]


def shared(spec: dict[str, Any]) -> Any:
    """A blob or a folder as PCTL tells it."""
    if spec["kind"] == "blob":
        return share_bytes(content_of(spec["bytes"]))
    files = {
        f["path"]: MemoryFile(content_of(f["bytes"]), f["type"] == 1) if "bytes" in f else None for f in spec["files"]
    }
    return share_folder(files)


class Run:
    """One node with its links; each has a socket, or none and a buffer in its place."""

    def __init__(self, config: dict[str, Any], role: str, inline: bool) -> None:
        self.role, self.inline, self.virtual = Role[role.upper()], inline, 0.0
        self.events: list[dict[str, Any]] = []
        self.sockets: dict[int, socket.socket | None] = {}
        self.unsent: dict[int, bytearray] = {}
        self.waiting: dict[int, bytearray] = {}
        self.at_end: set[int] = set()
        self.told: dict[int, Told] = {}
        self.held = self.dials = False
        self.parked: list[Action] | None = None
        self.lost: set[bytes] = set()
        self.listener: socket.socket | None = None
        self.disk = Disk()
        self.on_disk = "directory" in config
        if self.on_disk:
            names = NameRules(**config.get("names", {}))
            self.disk.storage = FileSystemStorage(Path(config["directory"]), names=names)
        identity = Identity.from_seed(bytes.fromhex(config.get("identity", "")) or os.urandom(32))
        random = seeded(config["seed"]) if "seed" in config else os.urandom
        timeouts = Timeouts(**{name: ms / 1000 for name, ms in config.get("timeouts", {}).items()})
        secret = config.get("network_secret")
        if secret is not None and len(secret) < 2 * MIN_NETWORK_SECRET:
            raise ValueError(f"a network secret of {len(secret) // 2} bytes, as short as its files must not be")
        self.unix = config.get("unix_time", 1_800_000_000) - self.now
        node_config = NodeConfig(
            suites=tuple(config.get("suites", (1, 2))), psk=derive_psk(bytes.fromhex(secret)) if secret else None,
            limits=Limits(**config.get("limits", {})), timeouts=timeouts,
            extensions=tuple(Extension(**e) for e in config.get("extensions", ())),
        )  # fmt: skip
        self.node = Node(identity, node_config, now=self.now, unix_time=self.unix + self.now, random=random)
        self.expected = bytes.fromhex(config["expected"]) if "expected" in config else None
        if "anchors" in config:
            self.node.add_anchors(map(anchor, config["anchors"]), self.now)
        if "listening" in config:
            self.node.set_listening([endpoint(text) for text in config["listening"]], self.now, self.unix + self.now)
        self.oids: dict[bytes, str] = {}
        for spec in config.get("share", ()):
            self.share(spec)
        for oid in config.get("fetch", ()):
            self.fetch(bytes.fromhex(oid))

    @property
    def now(self) -> float:
        return self.virtual if self.inline else time.monotonic() - STARTED

    def share(self, spec: dict[str, Any]) -> None:
        content = shared(spec)
        self.disk.keep(content)
        self.node.share(Resource(content.info, content.manifest, content.trees, content.held), self.now)
        self.oids[content.info.topic] = content.info.oid.hex()

    def fetch(self, oid: bytes, **more: Any) -> None:
        self.oids[topic_of(oid)] = oid.hex()
        self.node.fetch(oid, self.now, **more)

    def open(self, carrier: socket.socket | None, address: str = REMOTE) -> int | None:
        remote = endpoint(address) if carrier is None else Endpoint.parse(*carrier.getpeername()[:2])
        if self.role is Role.RESPONDER and self.expected is None:
            link = self.node.accepted(remote, self.now)
        else:
            link = self.node.attach(self.role, self.now, remote=remote, expected=self.expected)
        if link is None:
            if carrier is not None:
                carrier.close()
            return None
        self.opened(link, carrier)
        return link

    def opened(self, link: int, carrier: socket.socket | None) -> None:
        self.told[link] = Told()
        self.sockets[link], self.unsent[link], self.waiting[link] = carrier, bytearray(), bytearray()
        if carrier is not None:
            carrier.setblocking(False)
            carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pump()

    def receive(self, link: int, data: bytes) -> None:
        """Bytes of a link, b"" at its end."""
        self.waiting[link] += data
        if not data:
            self.at_end.add(link)
        self.feed(link)

    def feed(self, link: int) -> None:
        """Give the node what waits, as far as it wants it."""
        while link in self.waiting and self.node.wants_data(link) and (self.waiting[link] or link in self.at_end):
            piece = bytes(self.waiting[link][:65536])
            del self.waiting[link][:65536]
            if not piece:
                self.at_end.discard(link)
            self.node.receive_data(link, piece, self.now)
            self.pump()

    def pump(self) -> None:
        """Do all that the node asks for."""
        while (action := self.node.next_action()) is not None:
            match action:
                case Transmit(link):
                    self.transmit(link)
                case HangUp(link):
                    self.hang_up(link)
                case ResumeReading(link):
                    self.feed(link)
                case Dial(dial=dial):
                    if self.dials:
                        self.say("dial", dial=dial, addr=str(action.endpoint))
                    else:
                        self.node.dial_failed(dial, "the suite is not to be dialled", self.now)
                case _ if self.parked is not None:
                    self.parked.append(action)
                case _:
                    self.work(action)
        while (event := self.node.next_event()) is not None:
            self.tell(event)

    def work(self, action: Any) -> None:
        """Do disk work."""
        try:
            if isinstance(action, ReadBlocks) and action.topic in self.lost:
                raise OSError("the content is gone")
            self.node.disk_done(action.ticket, self.disk.work(action), self.now)
        except Exception as error:
            self.node.disk_failed(action.ticket, error, self.now)

    def transmit(self, link: int) -> None:
        while link in self.unsent and not self.unsent[link] and not self.held:
            data = b"".join(self.node.data_to_send(link, self.now))
            if self.sockets[link] is None:
                told = self.told[link]
                told.tx += data
                told.ended = told.ended or (not data and self.node.output_ended(link))
            else:
                self.unsent[link] += data
                self.flush(link)
            if not data:
                return

    def flush(self, link: int) -> None:
        carrier = self.sockets[link]
        assert carrier is not None
        try:
            while self.unsent[link]:
                del self.unsent[link][: carrier.send(self.unsent[link])]
            if self.node.output_ended(link):
                carrier.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self.unsent[link].clear()

    def hang_up(self, link: int) -> None:
        if link not in self.sockets:
            return
        carrier = self.sockets.pop(link)
        if carrier is None:
            self.told[link].ended = self.told[link].closed = True
        else:
            with suppress(OSError):
                carrier.send(self.unsent[link])
            carrier.close()
        del self.unsent[link], self.waiting[link]

    def tell(self, event: ev.NodeEvent) -> None:
        match event:
            case ev.PeerConnected():
                self.say("link", identity=event.identity.hex())
            case ev.PeerDisconnected():
                self.say("closed", code=int(event.code), by_peer=event.by_peer, truncated=event.truncated)
            case ev.LinkFailed():
                self.say("refused", text=event.reason, **({} if event.suite is None else {"suite": int(event.suite)}))
            case ev.FetchComplete():
                found = b"" if self.on_disk else self.disk.finished(event.topic)
                if isinstance(found, dict):
                    found = b"".join(found[path] or b"" for path in found)
                self.say("fetched", oid=self.oids[event.topic], sha256=hashlib.sha256(found or b"").hexdigest())
            case ev.FetchFailed():
                self.say("failed", oid=self.oids[event.topic], text=str(event.error))

    def say(self, event: str, **fields: Any) -> None:
        self.events.append({"ev": event, **fields})

    def on_time(self, ms: int = 0) -> None:
        """Let time go by, timer after timer."""
        end = self.now + ms / 1000
        while (due := self.node.next_timeout()) is not None and due <= end:
            self.virtual = max(self.virtual, due)
            self.node.handle_timeout(self.now, self.unix + self.now)
            self.pump()
        self.virtual = end

    def close(self) -> None:
        self.disk.close_all()
        for carrier in [*self.sockets.values(), self.listener]:
            if carrier is not None:
                carrier.close()

    # --- actions ---

    def do(self, action: str, args: dict[str, Any]) -> dict[str, Any]:
        do = getattr(self, f"do_{action}", None)
        if do is None:
            return {"skip": f"action:{action}"}
        try:
            return do(**args) or {}
        except (UriError, ValueError, LocalProtocolError) as error:
            return {"error": str(error)}
        finally:
            self.pump()

    def do_close(self) -> None:
        self.node.close(self.now)

    def do_open(self, **given: str) -> dict[str, Any]:
        link = self.open(None, given["from"])
        return {} if link is None else {"link": link - 1}

    def do_dialled(self, dial: int, ok: bool) -> dict[str, Any] | None:
        if not ok:
            self.node.dial_failed(dial, "nobody is there", self.now)
            return None
        link = self.node.dial_succeeded(dial, self.now)
        self.opened(link, None)
        return {"link": link - 1}

    def do_fetch(self, oid: str = "", uri: str = "", peers: tuple[str, ...] = ()) -> None:
        if uri:
            said = Uri.parse(uri)
            given = [Endpoint.parse(peer.host, peer.port) for peer in said.peers]
            self.fetch(said.oid, peers=given, identity=said.identity, length=said.length)
        else:
            self.fetch(bytes.fromhex(oid), peers=[endpoint(text) for text in peers])

    def do_share(self, content: dict[str, Any]) -> None:
        self.share(content)

    def do_forget(self, oid: str) -> None:
        self.node.forget(topic_of(bytes.fromhex(oid)), self.now)

    def do_lose(self, oid: str) -> None:
        self.lost.add(topic_of(bytes.fromhex(oid)))

    def do_uri(self, oid: str, length: int, name: str, peers: list[str], identity: str) -> dict[str, Any]:
        given = tuple((found.host, found.port) for found in map(endpoint, peers))
        return {"uri": str(Uri(bytes.fromhex(oid), length, name, given, bytes.fromhex(identity)))}

    def do_hold(self, what: str, on: bool) -> None:
        if what == "output":
            self.held = on
            for link in list(self.sockets):
                self.transmit(link)
        elif on:
            self.parked = []
        else:
            parked, self.parked = self.parked or [], None
            for action in parked:
                self.work(action)

    def do_anchors(self) -> dict[str, Any]:
        kept = self.node.anchors()
        return {
            "anchors": [
                {"identity": one.identity.hex(), "addr": str(one.endpoint), "topics": [t.hex() for t in one.topics]}
                for one in kept
            ]
        }

    def do_memory(self, on: bool) -> dict[str, Any]:
        gc.collect()
        if on:
            tracemalloc.start()
            return {}
        bytes_now = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return {"bytes": bytes_now}

    def do_count(self) -> dict[str, Any]:
        return {"records": len(self.node._links.meeting._book)}

    def do_extension(self, name: str, index: int, hex: str) -> None:
        for link in list(self.node._core.links.values()):
            link.connection.send(SendExtension(name, index, bytes.fromhex(hex)), self.now)
            self.node._core.unsettle(link)
        self.node._links.rest()

    def do_clock(self, unix_time: float) -> None:
        self.unix = unix_time - self.now
        self.node.handle_timeout(self.now, unix_time)

    def do_fail(self) -> None:
        for link in list(self.node._core.links.values()):
            self.node._core.send(link, CloseLink(CloseCode.INTERNAL, "as it was told to"))
        self.node._links.rest()

    def do_scan(self, path: str) -> dict[str, Any]:
        content = scan(path)
        info = content.info
        content.close()
        return {"oid": info.oid.hex()}


class Told:
    """What an inline link has to say since it was last asked, and whether that is all."""

    def __init__(self) -> None:
        self.tx, self.ended, self.closed = bytearray(), False, False

    def take(self) -> dict[str, Any]:
        answer = {"tx": self.tx.hex(), "ended": self.ended, "closed": self.closed}
        self.tx = bytearray()
        return answer


def anchor(given: dict[str, Any]) -> Anchor:
    """A peer remembered from an earlier run."""
    topics = frozenset(bytes.fromhex(topic) for topic in given["topics"])
    return Anchor(bytes.fromhex(given["identity"]), endpoint(given["addr"]), topics)


def endpoint(text: str) -> Endpoint:
    """An address as PCTL writes it."""
    host, _, port = text.rpartition(":")
    return Endpoint.parse(host.strip("[]"), int(port))


class Control:
    """PCTL/1 on stdin and stdout, and the sockets of all runs in one loop."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        op, run = request["op"], self.runs.get(request.get("run", ""))
        if op == "hello":
            return ABOUT
        if op == "start":
            return self.start(request)
        if run is None:
            return {"skip": "run"}
        if op == "stop":
            self.runs.pop(request["run"]).close()
        elif op == "do":
            return run.do(request["action"], request["args"])
        elif op in ("rx", "tick"):
            if op == "tick":
                run.on_time(request["ms"])
            elif request["hex"] or request.get("eof"):
                data, link = bytes.fromhex(request["hex"]), request.get("link", 0) + 1
                step = request.get("piece") or len(data) or 1
                for at in range(0, len(data) or 1, step):
                    if link in run.sockets:
                        run.receive(link, data[at : at + step])
            return self.taken(run)
        else:
            return {"skip": f"op:{op}"}
        return {}

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        net = request["net"]
        config = request["config"]
        try:
            run = self.runs[request["run"]] = Run(config, request["role"], net == "inline")
        except ValueError as error:
            return {"error": str(error)}
        if net == "inline":
            run.dials = config.get("dials", False)
            run.open(None, config.get("remote", REMOTE))
            return self.taken(run)
        if net == "dial":
            host, _, port = request["addr"].rpartition(":")
            run.open(socket.create_connection((host, int(port)), 5))
            return {}
        run.listener = socket.create_server(("127.0.0.1", 0))
        return {"addr": f"127.0.0.1:{run.listener.getsockname()[1]}"}

    def taken(self, run: Run) -> dict[str, Any]:
        first, *more = sorted(run.told)
        others = [{"link": link - 1, **run.told[link].take()} for link in more]
        events, run.events = run.events, []
        return {**run.told[first].take(), "events": events, "links": others}

    def serve(self) -> None:
        pending = b""
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(0, selectors.EVENT_READ, None)
                self.watch(selector)
                for key, events in selector.select(self.wait()):
                    if key.data is None:
                        data = os.read(0, 1 << 20)
                        if not data:
                            return
                        *lines, pending = (pending + data).split(b"\n")
                        for line in lines:
                            request = json.loads(line)
                            self.print({"re": request["op"], **self.answer(request)})
                    else:
                        self.ready(key.data[0], key.data[1], events)
            for name, run in self.runs.items():
                if not run.inline:
                    run.on_time()
                    while run.events:
                        self.print({**run.events.pop(0), "run": name})

    def watch(self, selector: selectors.BaseSelector) -> None:
        for run in self.runs.values():
            if run.listener is not None:
                selector.register(run.listener, selectors.EVENT_READ, (run, None))
            for link, carrier in run.sockets.items():
                wanted = selectors.EVENT_READ * run.node.wants_data(link) | selectors.EVENT_WRITE * bool(
                    run.unsent[link]
                )
                if carrier is not None and wanted:
                    selector.register(carrier, wanted, (run, link))

    def ready(self, run: Run, link: int | None, events: int) -> None:
        if run not in self.runs.values():
            return
        if link is None:
            assert run.listener is not None
            carrier = run.listener.accept()[0]
            try:
                run.open(carrier)
            except OSError:  # it was reset before it could be taken
                carrier.close()
            return
        carrier = run.sockets.get(link)
        if link in run.sockets and events & selectors.EVENT_WRITE:
            run.flush(link)
            run.transmit(link)
            run.pump()
        if link in run.sockets and carrier is not None and events & selectors.EVENT_READ:
            try:
                data = carrier.recv(1 << 16)
            except OSError:
                run.node.link_lost(link, run.now)
                run.pump()
                return
            run.receive(link, data)

    def wait(self) -> float | None:
        due = [
            t - run.now for run in self.runs.values() if not run.inline and (t := run.node.next_timeout()) is not None
        ]
        return max(0.0, min(due)) if due else None

    def print(self, message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    Control().serve()
