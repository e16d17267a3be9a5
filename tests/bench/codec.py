"""The generated codec against interpreted construct, message by message: ratios from one run, nothing asserted.

python -m tests.bench.codec
"""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

from p2pwire.wire import messages as msg
from tests.wire.oracle import SCHEMA, plain

SMALL = [
    msg.Ping(b"12345678"),
    msg.Join(1, 0, bytes(32), bytes(32)),
    msg.Object(1, 0, 5, bytes(32)),
    msg.Have(1, (msg.Span(4, 5),)),
    msg.Interest(1, True),
    msg.Credit(128),
    msg.Request(1, 2, 3, 64, 6),
    msg.Reject(1, 2, 500),
    msg.Cancel(1),
]


def best(call: Callable[[], object], times: int) -> float:
    """Seconds of one call in the best of several runs: what the machine does beside can only add."""
    return min(repeat(call, number=times, repeat=7)) / times


def main() -> None:
    """Print a table."""
    print(f"{'message':10} {'decode us':>10} {'x construct':>12} {'encode us':>10} {'x construct':>12}")
    for message in SMALL:
        kind, raw, value = type(message), message.encode(), plain(message)
        schema, decode = SCHEMA[kind.__name__], kind.decode
        reading, writing = best(lambda: decode(raw), 1000), best(message.encode, 1000)  # noqa: B023 - called at once
        parsing = best(lambda: schema.parse(raw), 100)  # noqa: B023 - called at once
        building = best(lambda: schema.build(value), 100)  # noqa: B023 - called at once
        print(
            f"{kind.__name__:10} {reading * 1e6:10.2f} {parsing / reading:12.1f}"
            f" {writing * 1e6:10.2f} {building / writing:12.1f}"
        )


if __name__ == "__main__":
    main()
