"""A libtorrent session: `share VERSION CIPHER TORRENT FILE`, or `fetch VERSION CIPHER TORRENT DIRECTORY PORT…`.

Tuned for this: TCP alone, no limits, no discovery, deep request queues, large buffers, two hashing threads. Everything
that could wait for something else than data is off, and connections begin within 50 ms: with the default tick of half a
second they begin after about 0.4 s.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final, cast

import libtorrent

from tests.bench.processes import say, serve, usage

MIB: Final = 1 << 20
PIECE: Final = {"v1": 4 * MIB, "v2": MIB}
"""The piece lengths with which each version was fastest."""

FORCED, DISABLED = 0, 2
PLAIN_ONLY, RC4_ONLY = 1, 2
POLL: Final = 0.005


def settings(cipher: str) -> dict[str, Any]:
    """The session's settings; `cipher` is clear or rc4."""
    encrypted = cipher == "rc4"
    policy = FORCED if encrypted else DISABLED
    return {
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
        "connection_speed": 500,
        "torrent_connect_boost": 255,
        "unchoke_slots_limit": -1,
        "max_out_request_queue": 3000,
        "max_allowed_in_request_queue": 6000,
        "request_queue_time": 10,
        "send_buffer_low_watermark": MIB,
        "send_buffer_watermark": 8 * MIB,
        "send_buffer_watermark_factor": 200,
        "max_queued_disk_bytes": 256 * MIB,
        "hashing_threads": 2,
        "aio_threads": 4,
        "tick_interval": 50,
        "rate_limit_ip_overhead": False,
        "in_enc_policy": policy,
        "out_enc_policy": policy,
        "allowed_enc_level": RC4_ONLY if encrypted else PLAIN_ONLY,
        "prefer_rc4": encrypted,
        "alert_mask": libtorrent.alert.category_t.status_notification | libtorrent.alert.category_t.error_notification,
    }


def write_torrent(source: Path, target: Path, version: str) -> None:
    """The torrent file of one file."""
    warnings.simplefilter("ignore", DeprecationWarning)  # what replaces these calls came with 2.1
    storage = libtorrent.file_storage()
    libtorrent.add_files(storage, str(source))
    only = libtorrent.create_torrent.v1_only if version == "v1" else libtorrent.create_torrent.v2_only
    torrent = libtorrent.create_torrent(storage, PIECE[version], only)
    libtorrent.set_piece_hashes(torrent, str(source.parent))
    target.write_bytes(libtorrent.bencode(torrent.generate()))


def begin(cipher: str, torrent: str, directory: str) -> tuple[Any, Any]:
    """A session and its torrent, running."""
    session = libtorrent.session(cast(Any, settings(cipher)))
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent)
    parameters.save_path = directory
    parameters.flags &= ~(libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    return session, session.add_torrent(parameters)


def share(cipher: str, torrent: str, path: str) -> None:
    session, handle = begin(cipher, torrent, os.path.dirname(path))
    while not handle.status().is_seeding:
        time.sleep(POLL)
    say(port=session.listen_port())
    serve({"usage": usage})


def fetch(cipher: str, torrent: str, directory: str, ports: list[int]) -> None:
    session, handle = begin(cipher, torrent, directory)
    while handle.status().state != libtorrent.torrent_status.states.downloading:
        time.sleep(POLL)
    say(ready=True)
    sys.stdin.readline()
    cpu, begun = process_time(), perf_counter()
    for port in ports:
        handle.connect_peer(("127.0.0.1", port))
    while not handle.status().is_finished:
        session.wait_for_alert(50)
        session.pop_alerts()
    seconds, spent = perf_counter() - begun, usage()
    handle.flush_cache()
    while not any(isinstance(alert, libtorrent.cache_flushed_alert) for alert in session.pop_alerts()):
        session.wait_for_alert(1000)
    say(seconds=seconds, path=os.path.join(directory, handle.status().name), cpu=spent["cpu"] - cpu, peak=spent["peak"])


def main(role: str, version: str, cipher: str, torrent: str, place: str, *ports: str) -> None:
    """Be one of them, or write the torrent file."""
    if role == "share":
        share(cipher, torrent, place)
    elif role == "fetch":
        fetch(cipher, torrent, place, [int(port) for port in ports])
    else:
        write_torrent(Path(place), Path(torrent), version)
        say(torrent=torrent, version=libtorrent.__version__)


if __name__ == "__main__":
    main(*sys.argv[1:])
