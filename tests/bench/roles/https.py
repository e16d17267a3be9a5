"""HTTPS with Python's ssl, and a SHA-256 of the whole file: `share CERTIFICATE FILE`, or `fetch DIGEST FILE PORT`.

As lean as sockets allow: 256 KiB buffers, one request, nothing parsed but the length.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from hashlib import sha256
from time import perf_counter, process_time
from typing import Final

from tests.bench.processes import say, serve, usage

BUFFER: Final = 256 * 1024
RECORD: Final = 16 * 1024


def share(certificate: str, path: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer, args=(listener, context, path), daemon=True).start()
    say(port=listener.getsockname()[1])
    serve({"usage": usage})


def answer(listener: socket.socket, context: ssl.SSLContext, path: str) -> None:
    """Send the file to one client."""
    plain, _ = listener.accept()
    with context.wrap_socket(plain, server_side=True) as sock, open(path, "rb", buffering=0) as file:
        sock.recv(BUFFER)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % os.fstat(file.fileno()).st_size)
        buffer = memoryview(bytearray(BUFFER))
        while size := file.readinto(buffer):
            sock.sendall(buffer[:size])
        sock.recv(1)


def fetch(digest: str, path: str, port: int) -> None:
    say(ready=True)
    sys.stdin.readline()
    cpu, begun = process_time(), perf_counter()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    hashed = sha256()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as sock, open(path, "wb", 0) as file:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = bytearray()
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        left = int(head.split(b"Content-Length: ")[1].split()[0])
        buffer = memoryview(bytearray(BUFFER))
        while left:
            filled = 0
            # Several records at a time: the fewer calls, the less each byte costs.
            while filled < left and BUFFER - filled >= RECORD:
                if not (size := sock.recv_into(buffer[filled:])):
                    raise EOFError("the server has hung up")
                filled += size
            hashed.update(buffer[:filled])
            file.write(buffer[:filled])
            left -= filled
        if hashed.hexdigest() != digest:
            raise ValueError("the file has another SHA-256")
        seconds, spent = perf_counter() - begun, usage()
    say(seconds=seconds, path=path, cpu=spent["cpu"] - cpu, peak=spent["peak"])


def main(role: str, *arguments: str) -> None:
    """Be the server or the client."""
    if role == "share":
        share(*arguments)
    else:
        digest, path, port = arguments
        fetch(digest, path, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
