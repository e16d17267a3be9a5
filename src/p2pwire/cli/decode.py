"""`p2pwire decode`: what bytes say, field by field, what is wrong with them, and which requirement says so."""

from __future__ import annotations

import string
from typing import Final

import attrs
import click

from p2pwire.cli.arguments import reporting
from p2pwire.cli.errors import CommandError
from p2pwire.cli.output import Output
from p2pwire.cli.text import count_text
from p2pwire.crypto.record import verify_record
from p2pwire.generate.describe import Kind, Row, describe, guess
from p2pwire.wire.messages import PeerRecord
from p2pwire.wire.registry import MAX_MANIFEST_LENGTH

MAX_DECODED: Final = 4 * MAX_MANIFEST_LENGTH
"""bytes explained at once: the largest manifest, in hex with spaces, and more of a stream than anybody reads."""

_SIGNATURE_REQUIREMENT: Final = "PX-027"


@click.command()
@click.argument("file", type=click.Path(), default="-")
@click.option(
    "--as", "kind", type=click.Choice([kind.value for kind in Kind]), help="What the bytes are; else it is guessed."
)
@click.option("--hex", "from_hex", is_flag=True, help="FILE holds hexadecimal digits, with or without spaces.")
@reporting
def decode(output: Output, file: str, kind: str | None, from_hex: bool) -> None:
    """Explain the bytes in FILE, or on standard input: offset, length, field, value, and what is wrong with them.

    A stream (all that one side of a connection sent), a preamble, the payload of a handshake message, records, the
    frames within them, a manifest, or a peer record. Exits with 1 if something is wrong.
    """
    with click.open_file(file, "rb") as source:
        data = source.read(MAX_DECODED + 1)
    if len(data) > MAX_DECODED:
        raise CommandError("too-long", f"{file} has more than {MAX_DECODED} bytes")
    if from_hex:
        data = _digits(data)
    taken = guess(data) if kind is None else Kind(kind)
    problems = []
    for row in describe(data, taken):
        _show(output, row)
        if row.problem is not None:
            problems.append(row)
    if taken is Kind.PEER_RECORD and not problems and (forged := _forged(data)) is not None:
        _show(output, forged)
        problems.append(forged)
    if problems:
        raise CommandError("malformed", _summary(problems, taken))
    output.say(f"{count_text(len(data), 'byte')}: {taken.value}, nothing wrong")


def _digits(text: bytes) -> bytes:
    """The bytes that hexadecimal digits stand for."""
    try:
        return bytes.fromhex(text.decode("ascii"))
    except UnicodeDecodeError as error:
        raise CommandError("malformed", f"byte {error.start} is no hexadecimal digit and no space") from None
    except ValueError:
        wrong = [at for at, code in enumerate(text) if chr(code) not in string.hexdigits + string.whitespace]
        reason = f"byte {wrong[0]} is no hexadecimal digit and no space" if wrong else "a digit has no partner"
        raise CommandError("malformed", reason) from None


def _forged(data: bytes) -> Row | None:
    """The row of a peer record's signature if it is wrong."""
    record = PeerRecord.decode(data)
    if verify_record(record, data):
        return None
    size = len(record.signature)
    problem = "it is not the identity's signature of the bytes before it"
    path, kind = "PeerRecord.signature", f"bytes[{size}]"
    return Row(len(data) - size, size, path, kind, "", problem, _SIGNATURE_REQUIREMENT)


def _show(output: Output, row: Row) -> None:
    lines = [f"{row.offset:>8} {row.length:>6}  {row.path}" + (f"  {row.value}" if row.value else "")]
    if row.problem is not None:
        lines.append(f"{'':>8} {'!':>6}  {_problem(row)}")
    output.result(lines, {"event": "field", **attrs.asdict(row)})


def _problem(row: Row) -> str:
    return f"{row.problem} [{row.requirement}]" if row.requirement is not None else f"{row.problem}"


def _summary(problems: list[Row], taken: Kind) -> str:
    first = problems[0]
    if len(problems) == 1:
        return f"as {taken.value}, {first.path or 'something'} at byte {first.offset} is wrong: {_problem(first)}"
    where = f"the first is {first.path or 'something'} at byte {first.offset}"
    return f"as {taken.value}, {len(problems)} things are wrong, {where}: {_problem(first)}"
