"""What can be said of one run of one case."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """The outcome of one run."""

    PASS = "pass"
    INFO = "info"
    """Something was measured, of which nothing is too little."""
    FAIL = "fail"
    WARN = "warn"
    """A SHOULD is not followed."""
    NOT_APPLICABLE = "n/a"
    """The subject says that it has not what the case needs."""
    BLOCKED = "blocked"
    """What it depends on failed."""
    UNTESTABLE = "untestable"
    """The subject could not be brought to where the case begins."""
    CRASH = "crash"
    """The subject or its adapter died, hung or spoke rubbish."""
    INCONCLUSIVE = "inconclusive"
    """It failed, and not each time that it was run again."""
    SUITE_ERROR = "suite-error"
    """The suite itself is at fault."""


RED: Final = frozenset({Verdict.FAIL, Verdict.UNTESTABLE, Verdict.CRASH, Verdict.INCONCLUSIVE, Verdict.SUITE_ERROR})
"""What is no success. A blocked run is not among them, since the run that blocks it is."""


class Kind(StrEnum):
    """How a subject failed."""

    NOT_REJECTED = "not-rejected"
    """It went on where it had to end the link."""
    WRONG_CODE = "wrong-code"
    """It ended the link for another reason than the one due."""
    SILENT_DROP = "silent-drop"
    """It ended the link without the CLOSE that is due, or gave no answer."""
    NOT_SILENT = "not-silent"
    """It sent what it must not send."""
    WRONG = "wrong"
    """It sent something else than what is due."""
    REJECTED = "rejected"
    """It ended the link where it must go on."""
    UNPROMPTED = "unprompted"
    """It ended the link with a code that it may use at any time (GN-014), where something else was due."""


class Failed(Exception):
    """A named check that the subject did not pass."""

    def __init__(self, check: str, kind: Kind, expected: str, actual: str) -> None:
        super().__init__(f"{check} ({kind}): expected {expected}; {actual}")
        self.check = check
        self.kind = kind
        self.expected = expected
        self.actual = actual


class Untestable(Exception):
    """The subject does not get to where the case begins."""


class Informed(Exception):
    """What was measured, of which nothing is too little to pass."""


class NotApplicable(Exception):
    """The subject declares that it lacks what the case needs."""


class AdapterFault(Exception):
    """The adapter died, hung, or broke its contract: one sentence that says how."""
