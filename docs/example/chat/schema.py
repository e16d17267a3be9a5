"""The extension `chat/1`: every byte of it, described once."""

from __future__ import annotations

from typing import Final

from chat.registry import MAX_LINE, MAX_SEEN
from p2pwire.wire.constructs import Checked, Counted, Doc, Message, Rest, Text, u32
from p2pwire.wire.rules import NoControls, Unique

SAY: Final = Message(
    "Say",
    "A line of a conversation.",
    "number" / u32 * "counts the sender's lines from 0",
    "text" / Text(Rest(1, MAX_LINE), NoControls()) * Doc("what was said", unit="UTF-8"),
)

SEEN: Final = Message(
    "Seen",
    "Which lines were shown to a person.",
    "numbers" / Checked(Counted(u32, u32, 1, MAX_SEEN), Unique()) * "lines of the receiver of this message",
)

MESSAGES: Final = (SAY, SEEN)
FRAMES: Final = (SAY, SEEN)
