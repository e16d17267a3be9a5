"""Whole handshakes, both sides in one thread and in memory, against others and against their key operations alone.

p2pwire's goes from nothing to two connections that have proved both identities and heard each other's HELLO.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.state import LinkState
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.noise import StaticKey
from tests.bench import rivals, tls
from tests.bench.link import NOW, carry, take
from tests.bench.run import Case, Run, repeated

AGREEMENTS: Final = 3
"""of each side in XX: ee, es, se."""


def shake_hands(configs: tuple[Config, Config]) -> tuple[Connection, Connection]:
    """Both ends of a link that is open."""
    near, far = (
        Connection(role, config, now=NOW, random=os.urandom) for role, config in zip(Role, configs, strict=True)
    )
    ends = ((near, far), (far, near))
    while near.state is not LinkState.OPEN or far.state is not LinkState.OPEN:
        if not sum(carry(source, target) + len(take(target)) for source, target in ends):
            raise RuntimeError(f"the handshake stopped: {near}, {far}")
    return near, far


def key_operations() -> Callable[[], None]:
    """What XX with a signature of each side can not do without: two keys, six agreements, two signatures and checks."""
    statics = [X25519PrivateKey.generate() for _ in range(2)]
    signers = [Ed25519PrivateKey.generate() for _ in range(2)]
    publics = [signer.public_key().public_bytes_raw() for signer in signers]
    heard = [static.public_key().public_bytes_raw() for static in statics]
    message = os.urandom(64)

    def work() -> None:
        for side in range(2):
            own = X25519PrivateKey.generate()
            own.public_key().public_bytes_raw()
            for key in (own, own, statics[side]):
                key.exchange(X25519PublicKey.from_public_bytes(heard[side]))
            signature = signers[side].sign(message)
            Ed25519PublicKey.from_public_bytes(publics[side]).verify(signature, message)

    return work


def noiseprotocol() -> Callable[[], None]:
    """XX of the package noiseprotocol, with the same primitives and no signatures."""
    from noise.connection import Keypair, NoiseConnection

    keys = [X25519PrivateKey.generate().private_bytes_raw() for _ in range(2)]

    def work() -> None:
        near, far = (NoiseConnection.from_name(b"Noise_XX_25519_AESGCM_SHA256") for _ in range(2))
        near.set_as_initiator()
        far.set_as_responder()
        for end, key in zip((near, far), keys, strict=True):
            end.set_keypair_from_private_bytes(Keypair.STATIC, key)
            end.start_handshake()
        for source, target in ((near, far), (far, near), (near, far)):
            target.read_message(source.write_message())
        if not (near.handshake_finished and far.handshake_finished):
            raise RuntimeError("noiseprotocol: the handshake is not finished")

    return work


class _Stream:
    """One end of a stream in memory, as py-libp2p wants it."""

    def __init__(self, outgoing: Any, incoming: Any, *, is_initiator: bool) -> None:
        self._outgoing, self._incoming = outgoing, incoming
        self._rest = b""
        self.is_initiator = is_initiator

    async def write(self, data: bytes) -> None:
        await self._outgoing.send(bytes(data))

    async def read(self, n: int | None = None) -> bytes:
        if not self._rest:
            self._rest = await self._incoming.receive()
        size = len(self._rest) if n is None else n
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def close(self) -> None:
        """Nothing to close."""

    def get_remote_address(self) -> tuple[str, int]:
        return "127.0.0.1", 1


def libp2p_noise(times: int) -> Callable[[], int]:
    """Noise of py-libp2p, under trio, so often."""
    import trio
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
    from libp2p.peer.id import ID
    from libp2p.security.noise.transport import Transport

    keys = [create_new_key_pair() for _ in range(2)]
    transports = [Transport(libp2p_keypair=key, noise_privkey=create_noise_key_pair().private_key) for key in keys]
    expected = ID.from_pubkey(keys[1].public_key)

    async def once() -> None:
        to_far, at_far = trio.open_memory_channel[bytes](16)
        to_near, at_near = trio.open_memory_channel[bytes](16)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transports[1].secure_inbound, _Stream(to_near, at_far, is_initiator=False))
            near = _Stream(to_far, at_near, is_initiator=True)
            await transports[0].secure_outbound(near, expected)

    async def all_of_them() -> None:
        for _ in range(times):
            await once()

    def work() -> int:
        trio.run(all_of_them)
        return times

    return work


def measure(run: Run) -> None:
    """Handshakes a second of processor time."""
    certificate = run.directory / "handshake.pem"
    tls.write_certificate(certificate)
    # A static key for each process, as nodes have.
    near, far = (
        Config(Identity.from_seed(os.urandom(32)), static=StaticKey.from_seed(os.urandom(32))) for _ in range(2)
    )
    times = 1 if run.quick else 10
    cases: dict[str, Case] = {
        "p2pwire": run.rate(repeated(partial(shake_hands, (near, far)), times)),
        "key operations": run.rate(repeated(key_operations(), times)),
        "TLS 1.3 mutual": run.rate(repeated(partial(tls.handshake, *tls.mutual_contexts(certificate)), times)),
    }
    with run.rival("noiseprotocol"):
        cases["noiseprotocol XX"] = run.rate(repeated(noiseprotocol(), times))
    with run.rival("libp2p"):
        work = libp2p_noise(times)
        cases["py-libp2p noise"] = run.rate(lambda: work)
    with run.rival("aioquic"):
        configurations = rivals.aioquic_configurations(str(certificate))
        cases["aioquic"] = run.rate(repeated(partial(rivals.aioquic_handshake, configurations), times))
    names = {"noiseprotocol XX": "noiseprotocol", "py-libp2p noise": "libp2p", "aioquic": "aioquic"}
    notes = {
        "p2pwire": "XX, two signatures, HELLO both ways",
        "key operations": "2 new keys, 6 agreements, 2 signatures made and checked",
        "noiseprotocol XX": "no signatures, no HELLO",
        "aioquic": "the server's certificate alone",
    }
    samples = run.interleave(cases, names)
    others = [f"handshake/{name}" for name in cases if name not in ("p2pwire", "key operations")]
    for name, found in samples.items():
        ours = name == "p2pwire"
        limit = "handshake/key operations" if ours else None
        against, note = others if ours else (), notes.get(name, "")
        run.add(f"handshake/{name}", "1/s", found, against=against, limit=limit, note=note)
