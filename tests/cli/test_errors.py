"""What ends a command: one code and one sentence for all that the world can do."""

from __future__ import annotations

import pytest

from p2pwire.cli.errors import failure_of
from p2pwire.content.manifest import Manifest, ManifestError


def test_a_manifest_that_breaks_the_rules_is_no_mistake_of_ours() -> None:
    with pytest.raises(ManifestError) as broken:
        Manifest.decode(b"P2PM\x01" + b"\x00\x00\x00\x01" + b"\x00\x00\x04../x" + bytes(8))
    for error in (broken.value, ExceptionGroup("of a task group", [broken.value])):
        failure = failure_of(error)
        assert failure is not None
        assert failure.code == "bad-manifest"
        assert failure.message.startswith("what the URI names is no folder that can be used: ")


def test_what_only_a_mistake_can_cause_is_none() -> None:
    assert failure_of(KeyError("x")) is None
