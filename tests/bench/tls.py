"""TLS for the rivals: certificates of the benchmark's own, and both ends of a session in memory."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME: Final = "localhost"

Session: TypeAlias = tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]
"""One end, what comes to it, and what it has to send."""


def write_certificate(path: Path) -> None:
    """A self-signed certificate and its key (Ed25519, as p2pwire's identities are) in one file."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))


def mutual_contexts(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Client and server of TLS 1.3, each of which asks for the other's certificate and checks it."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    for context in (client, server):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate)
        context.load_verify_locations(certificate)
    server.num_tickets = 0
    return client, server


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[Session, Session]:
    """Both ends of a session that is set up."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    from_client, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, from_client)
    far = server.wrap_bio(to_server, from_server, server_side=True)
    waiting = [near, far]
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            else:
                waiting.remove(end)
            to_server.write(from_client.read())
            to_client.write(from_server.read())
    return (near, to_client, from_client), (far, to_server, from_server)
