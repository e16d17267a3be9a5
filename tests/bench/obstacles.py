"""What stands in the way of the targets: said on the page of those that are missed, without figures of its own."""

from __future__ import annotations

from typing import Final

from tests.bench.targets import Target

OBSTACLES: Final = (
    (
        "bulk",
        " clear",
        """\
libtorrent in clear has no cipher on either side, and its threads hash and write while others receive. p2pwire decrypts,
checks and keeps account of each block under one interpreter's lock. Threads of its own gain nothing here: a block is
hashed in less time than the lock takes from one core to the other, and the sender has its share of both.""",
    ),
    ("bulk", " rc4", "What Python does for each block weighs more than the cipher that libtorrent has in addition."),
    ("bulk", "https", "TLS has no blocks: no requests, no proofs, and one hash over the whole file, all of it in C."),
    (
        "bulk",
        "lean loop",
        """\
What the loop lacks: a choice among blocks and peers, proofs from the root down, deadlines, and storage that can go on
after a crash.""",
    ),
    (
        "bulk",
        "p2pwire blocking",
        """\
An event loop turns once for each readiness of a socket and each piece of work that a thread has done; who blocks waits
in the kernel.""",
    ),
    ("codec", "", "Each message is an object of its own, made once all of its fields have been checked."),
    ("link", "", "Records are sealed and opened, and each message passes the rules of its topic on both sides."),
    (
        "handshake",
        "",
        """\
The hashes, key derivations and records of Noise, and HELLO with its signed record, are Python around short calls of the
library.""",
    ),
    (
        "memory",
        "",
        "The library's cipher contexts are the largest part of an idle link, buffers of a process that moves.",
    ),
    (
        "hash",
        "loop over small files",
        """\
A folder is walked first, each file is looked at before and after it is read, and a manifest is written and checked:
more calls for each file. They are short, and nearly all of them need the interpreter's lock, so a second core helps
little.""",
    ),
    (
        "hash",
        "",
        """\
Content is read before it is hashed: each byte is copied once out of the page cache, and each block has a second, short
hash in the tree, of which the call costs more than the hashing. The figures of reading and SHA-256 show how far a loop
gets that does nothing else, in a process for each core.""",
    ),
    ("growth", "", "What is larger fits less into the processor's caches, and Python's collector has more to look at."),
)
"""Bench, part of the other's name, and one sentence or two; the first that fits counts."""


def obstacle(target: Target) -> str:
    """What stands in the way of a target. Raises ValueError if nobody has said it."""
    for bench, other, text in OBSTACLES:
        if target.figure.startswith(f"{bench}/") and (not other or any(other in key for key in target.over)):
            return " ".join(text.split())
    raise ValueError(f"nothing is known of what stands in the way of: {target.text}")
