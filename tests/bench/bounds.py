"""What the machine can do at all: ciphers, hashes, keys and loopback, without any protocol around them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from p2pwire.wire.registry import BLOCK_SIZE, RECORD_TAG
from tests.bench.processes import Child
from tests.bench.run import Case, Run, repeated

MIB: Final = 1 << 20
GIB: Final = 1 << 30
CALL: Final = 256 * 1024
"""bytes of one call to the system."""
NONCE: Final = bytes(12)
SPAN: Final = 16 * MIB
"""bytes of the file that is read and written."""


def measure(run: Run) -> None:
    """Each by itself, and what follows for a transfer."""
    per_call = {
        "AES-256-GCM encrypt 16 KiB": (encrypt(16384), 16384),
        "AES-256-GCM encrypt 64 KiB": (encrypt(65536), 65536),
        "AES-256-GCM decrypt 16 KiB": (decrypt(16384), 16384),
        "AES-256-GCM decrypt 64 KiB": (decrypt(65536), 65536),
        "SHA-256 of 16 KiB": (hash_blocks(), MIB),
        "read 256 KiB": (read_file(run.directory / "read.bin"), SPAN),
        "write 256 KiB": (write_file(run.directory / "write.bin"), SPAN),
    }
    sizes = {name: size / GIB for name, (_, size) in per_call.items()}
    cases: dict[str, Case] = {name: run.rate(repeated(work, 1)) for name, (work, _) in per_call.items()}
    rates = {name: [value * sizes[name] for value in found] for name, found in run.interleave(cases).items()}
    moved = [loopback(64 * MIB if run.quick else 4 * GIB) for _ in range(run.rounds)]
    for name, found in rates.items():
        run.add(f"bounds/{name}", "GiB/s", found)
    run.add("bounds/loopback socket", "GiB/s", [each["rate"] for each in moved])
    run.add(
        "bounds/one thread each side",
        "MiB/s",
        [slower_side(rates, each, number) for number, each in enumerate(moved)],
        note="receive, decrypt, hash and write, or read, encrypt and send, whichever takes longer",
    )
    keys(run)


def slower_side(rates: dict[str, list[float]], moved: dict[str, float], number: int) -> float:
    """MiB/s of a transfer by one thread on each side that does only what no transfer can leave out."""
    receiving = moved["receiving"] + sum(
        1 / rates[name][number] for name in ("AES-256-GCM decrypt 64 KiB", "SHA-256 of 16 KiB", "write 256 KiB")
    )
    sending = moved["sending"] + sum(1 / rates[name][number] for name in ("AES-256-GCM encrypt 64 KiB", "read 256 KiB"))
    return 1024 / max(receiving, sending)


def loopback(size: int) -> dict[str, float]:
    """GiB/s between two processes, and seconds of each one's processor time for a GiB."""
    with Child("roles.sockets", "send", size) as sender:
        port = sender.answer()["port"]
        with Child("roles.sockets", "receive", port) as receiver:
            receiver.answer()
            done = receiver.ask("go")
            sent = sender.ask("usage")
    scale = GIB / size
    return {"rate": 1 / (done["seconds"] * scale), "receiving": done["cpu"] * scale, "sending": sent["cpu"] * scale}


def encrypt(size: int) -> Callable[[], object]:
    """Encrypts so many bytes into a buffer."""
    plain, out = memoryview(bytearray(os.urandom(size))), memoryview(bytearray(size + RECORD_TAG))
    return partial(AESGCM(bytes(32)).encrypt_into, NONCE, plain, b"", out)


def decrypt(size: int) -> Callable[[], object]:
    """Decrypts to so many bytes in a buffer."""
    cipher, out = AESGCM(bytes(32)), memoryview(bytearray(size))
    sealed = cipher.encrypt(NONCE, os.urandom(size), b"")
    return partial(cipher.decrypt_into, NONCE, sealed, b"", out)


def hash_blocks() -> Callable[[], object]:
    """Hashes 1 MiB, block by block."""
    data = memoryview(bytearray(os.urandom(MIB)))

    def work() -> None:
        for at in range(0, MIB, BLOCK_SIZE):
            sha256(data[at : at + BLOCK_SIZE]).digest()

    return work


def read_file(path: Path) -> Callable[[], object]:
    """Reads 16 MiB from a file that is there already."""
    path.write_bytes(os.urandom(SPAN))
    buffer = memoryview(bytearray(CALL))

    def work() -> None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return work


def write_file(path: Path) -> Callable[[], object]:
    """Writes 16 MiB to a new file."""
    data = os.urandom(CALL)

    def work() -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(SPAN // CALL):
                file.write(data)

    return work


def keys(run: Run) -> None:
    """Operations a second with the keys of handshakes and records."""
    own, other = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key().public_bytes_raw()
    signing = Ed25519PrivateKey.generate()
    public, message = signing.public_key().public_bytes_raw(), os.urandom(64)
    signature = signing.sign(message)
    operations: dict[str, Callable[[], object]] = {
        "X25519 new key": lambda: X25519PrivateKey.generate().public_key().public_bytes_raw(),
        "X25519 agreement": lambda: own.exchange(X25519PublicKey.from_public_bytes(other)),
        "Ed25519 sign": lambda: signing.sign(message),
        "Ed25519 verify": lambda: Ed25519PublicKey.from_public_bytes(public).verify(signature, message),
    }
    cases = {name: run.rate(repeated(work, 10)) for name, work in operations.items()}
    for name, found in run.interleave(cases).items():
        run.add(f"bounds/{name}", "1/s", found)
