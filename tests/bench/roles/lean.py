"""The leanest loop: what a transfer in Python costs without a protocol. `share FILE`, or `fetch LEAVES FILE PORT…`.

AES-256-GCM records of three blocks, as p2pwire fills its own; each block checked against a list of hashes that is there
beforehand; one thread on each side; nothing negotiated, nothing bounded, nothing that could go wrong. The receiver asks
each sender for a chunk, and for the next before that one has ended.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import threading
from collections import deque
from hashlib import sha256
from time import perf_counter, process_time
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2pwire.wire.registry import BLOCK_SIZE, RECORD_TAG
from tests.bench.processes import say, serve, usage

KEY: Final = bytes(32)
RECORD: Final = 3 * BLOCK_SIZE
BATCH: Final = 5
"""records sent, and written, together: as many as make about 256 KiB."""
SLOT: Final = 2 + RECORD + RECORD_TAG
CHUNK: Final = 85 * RECORD
"""bytes asked for at once, about 4 MiB."""
AHEAD: Final = 2
ASK: Final = struct.Struct(">QQ")
HASH: Final = 32


def share(path: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer, args=(listener, path), daemon=True).start()
    say(port=listener.getsockname()[1])
    serve({"usage": usage})


def answer(listener: socket.socket, path: str) -> None:
    """Send one receiver what it asks for."""
    sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    encrypt = AESGCM(KEY).encrypt_into
    plain, sealed = memoryview(bytearray(BATCH * RECORD)), memoryview(bytearray(BATCH * SLOT))
    counter = 0
    with sock, open(path, "rb", buffering=0) as file:
        while question := sock.recv(ASK.size, socket.MSG_WAITALL):
            offset, end = ASK.unpack(question)
            while offset < end:
                size = os.preadv(file.fileno(), [plain[: min(BATCH * RECORD, end - offset)]], offset)
                filled = 0
                for at in range(0, size, RECORD):
                    length = min(RECORD, size - at)
                    stop = filled + 2 + length + RECORD_TAG
                    sealed[filled : filled + 2] = (length + RECORD_TAG).to_bytes(2, "big")
                    encrypt(counter.to_bytes(12, "big"), plain[at : at + length], b"", sealed[filled + 2 : stop])
                    counter += 1
                    filled = stop
                sock.sendall(sealed[:filled])
                offset += size


class Source:
    """The receiver's end of one connection."""

    def __init__(self, port: int, chunks: deque[tuple[int, int]], file: int, leaves: bytes) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._chunks, self._file, self._leaves = chunks, file, leaves
        self._decrypt = AESGCM(KEY).decrypt_into
        self._counter = 0
        self._sealed = memoryview(bytearray(1 << 20))
        self._start = self._end = 0
        self._plain = memoryview(bytearray(BATCH * RECORD))
        self._filled = self._offset = 0
        self._asked: deque[tuple[int, int]] = deque()
        for _ in range(AHEAD):
            self._ask()

    def _ask(self) -> None:
        if self._chunks:
            self._asked.append(chunk := self._chunks.popleft())
            self.sock.sendall(ASK.pack(*chunk))

    def receive(self) -> bool:
        """Take what has come; whether more is to come."""
        if len(self._sealed) - self._end < 2 * SLOT:
            rest = self._end - self._start
            self._sealed[:rest] = self._sealed[self._start : self._end]
            self._start, self._end = 0, rest
        size = self.sock.recv_into(self._sealed[self._end :])
        if not size:
            raise EOFError("the sender has hung up")
        self._end += size
        sealed, start, end = self._sealed, self._start, self._end
        while end - start > 2 and end - start >= (stop := 2 + (sealed[start] << 8 | sealed[start + 1])):
            self._open(sealed[start + 2 : start + stop])
            start += stop
        self._start, self._end = (0, 0) if start == end else (start, end)
        return bool(self._asked)

    def _open(self, record: memoryview) -> None:
        length = len(record) - RECORD_TAG
        first, last = self._asked[0]
        if not self._filled:
            self._offset = max(first, self._offset)
        filled = self._filled + length
        self._decrypt(self._counter.to_bytes(12, "big"), record, b"", self._plain[self._filled : filled])
        self._counter += 1
        self._filled = filled
        ended = self._offset + filled == last
        if ended or filled == BATCH * RECORD:
            self._keep()
        if ended:
            self._asked.popleft()
            self._offset = 0
            self._ask()

    def _keep(self) -> None:
        data, leaf = self._plain[: self._filled], self._offset // BLOCK_SIZE * HASH
        for at in range(0, self._filled, BLOCK_SIZE):
            if sha256(data[at : at + BLOCK_SIZE]).digest() != self._leaves[leaf : leaf + HASH]:
                raise ValueError(f"the block at {self._offset + at} is not what it should be")
            leaf += HASH
        os.pwrite(self._file, data, self._offset)
        self._offset += self._filled
        self._filled = 0


def fetch(leaves: str, path: str, ports: list[int]) -> None:
    with open(leaves, "rb") as file:
        size, hashes = int.from_bytes(file.read(8), "big"), file.read()
    say(ready=True)
    sys.stdin.readline()
    cpu, begun = process_time(), perf_counter()
    chunks = deque((start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))
    target = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    sources = [Source(port, chunks, target, hashes) for port in ports]
    if len(sources) == 1:
        while sources[0].receive():
            pass
    else:
        receive_all(sources)
    seconds, spent = perf_counter() - begun, usage()
    say(seconds=seconds, path=path, cpu=spent["cpu"] - cpu, peak=spent["peak"])


def receive_all(sources: list[Source]) -> None:
    """From whichever has something."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            if source._asked:
                selector.register(source.sock, selectors.EVENT_READ, source)
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.receive():
                    selector.unregister(key.fileobj)


def main(role: str, *arguments: str) -> None:
    """Be the sender or the receiver."""
    if role == "share":
        share(*arguments)
    else:
        leaves, path, *ports = arguments
        fetch(leaves, path, [int(port) for port in ports])


if __name__ == "__main__":
    main(*sys.argv[1:])
