"""What a resource says of itself while it is still being opened."""

from __future__ import annotations

import pytest

from p2pwire.connection.events import RequestReceived
from p2pwire.content.merkle import BLOCK
from p2pwire.content.objects import ObjectInfo
from p2pwire.node.swarm import Phase, Swarm
from p2pwire.wire.registry import MANIFEST_FILE, ObjectKind, RejectCode

INFO = ObjectInfo(ObjectKind.BLOB, 3 * BLOCK, bytes(range(32)))


def request(file: int, block: int, level: int) -> RequestReceived:
    return RequestReceived(1, INFO.topic, file, block, level)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request(0, 0, 0), RejectCode.NOT_AVAILABLE),
        (request(0, 2, 1), RejectCode.NOT_AVAILABLE),
        (request(0, 4, 0), RejectCode.OUT_OF_RANGE),
        (request(0, 0, 3), RejectCode.OUT_OF_RANGE),
        (request(1, 0, 0), RejectCode.OUT_OF_RANGE),
        (request(MANIFEST_FILE, 0, 0), RejectCode.OUT_OF_RANGE),
    ],
)
def test_a_request_may_come_before_the_storage_has_told_what_it_has(asked: RequestReceived, code: RejectCode) -> None:
    swarm = Swarm.sought(INFO.oid, length=None, sequential=False)
    assert swarm.judge(asked) is RejectCode.NOT_AVAILABLE
    assert swarm.size is None
    swarm.info, swarm.phase = INFO, Phase.OPENING
    assert swarm.judge(asked) is code
    assert swarm.size == INFO.length


@pytest.mark.parametrize("spans", [(), ((3, 3),), ((2, 5), (9, 9)), ((0, 65535),), ((4, 3000), (10, 10)), ((6, 2000),)])
def test_a_count_of_holders_is_good_until_it_may_have_changed(spans: tuple[tuple[int, int], ...]) -> None:
    swarm = Swarm.sought(INFO.oid, length=None, sequential=False)
    swarm.holders = {unit: unit % 3 for unit in range(12)}
    swarm.holders_changed(spans)
    changed = {unit for first, last in spans for unit in range(first, last + 1)}
    assert swarm.holders == {unit: unit % 3 for unit in range(12) if unit not in changed}
