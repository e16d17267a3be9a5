"""What may happen on one link, as tables.

Two rules hold in this package:

1. A state changes only to what a cell of these tables says.
2. A cell is the state after the message, or the close code that the message costs, or `SILENT`: a handshake that fails
   and bytes that are no record end the carrier without a word [HS-032] [EN-005].

For what a side does of its own accord a cell is the state after it, or None where there is no such step.

SPEC.md's state × message tables, the diagrams and the exhaustive tests are made from the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from types import MappingProxyType
from typing import Final, TypeAlias

from p2pwire.wire.registry import CloseCode, FrameType


class _Key(Enum):
    """A key of the tables, looked up with every frame: its identity is quicker to hash than its name."""

    __hash__ = object.__hash__


@unique
class LinkState(_Key):
    """Where one side of a link stands; the value says what it waits for."""

    WAIT_RESPONSE = "initiator: flight 1 is sent, the responder's preamble comes next"
    WAIT_MESSAGE_2 = "initiator: the responder's preamble is read, message 2 comes next"
    WAIT_OFFER = "responder: the initiator's preamble comes next"
    WAIT_MESSAGE_1 = "responder: the initiator's preamble is read, message 1 comes next"
    WAIT_MESSAGE_3 = "responder: flight 2 is sent, message 3 comes next"
    WAIT_HELLO = "the handshake is over, HELLO comes next"
    OPEN = "HELLO is read"
    DRAINING = "CLOSE is sent: what still comes is discarded"
    CLOSED = "nothing comes or goes any more"


@unique
class LinkInput(_Key):
    """What can arrive on a link beside the frames that `FrameType` names."""

    PREAMBLE_INITIATOR = "the preamble of an initiator"
    PREAMBLE_RESPONDER = "the preamble of a responder"
    REFUSAL = "the preamble of a refusal"
    HANDSHAKE_MESSAGE = "a Noise message"
    EXTENSION = "a frame of an extension that both sides listed"
    UNKNOWN_CRITICAL = "a frame of an unknown even type"
    UNKNOWN_IGNORABLE = "a frame of an unknown odd type"
    END = "the end of the stream"


@unique
class TopicState(_Key):
    """Where one topic of a link stands."""

    FREE = "neither side has joined"
    ASKED = "own JOIN is sent, the answer is due"
    OPEN = "each side has sent JOIN and verified the other's cap"
    LEAVING = "this side ended the topic by LEAVE or REFUSE, the other side's end is due"


@unique
class TopicInput(_Key):
    """What can arrive about one topic."""

    JOIN = "JOIN of a known topic with the right cap"
    BAD_JOIN = "JOIN of an unknown topic, with a wrong cap, or unwelcome"
    JOIN_AGAIN = "JOIN of a live handle with the same topic and cap"
    JOIN_OTHER = "JOIN of a live handle with another topic or cap, or of a live topic under a second handle"
    REFUSE = "REFUSE of own handle"
    LEAVE = "LEAVE of the other's handle"
    CONTENT = "OBJECT, HAVE, LOST, INTEREST, SUGGEST, REQUEST, PEERS or GET_PEERS on the other's handle"
    STRAY = "one of these on a handle that was never joined"


@unique
class LinkStep(Enum):
    """What this side does to a link of its own accord."""

    SEND_CLOSE = "CLOSE goes out"
    SEND_REFUSAL = "a refusal goes out in place of flight 2"
    GIVE_UP = "the carrier is closed without a word"
    DRAINED = "the time or the bytes for draining are used up"


@unique
class TopicStep(Enum):
    """What this side does to a topic of its own accord."""

    SEND_JOIN = "own JOIN of a new handle goes out"
    SEND_LEAVE = "own LEAVE goes out"


class Silent(Enum):
    """The cell of a handshake that fails, and of bytes that are no record."""

    SILENT = "close without a word"


SILENT: Final = Silent.SILENT

Input: TypeAlias = LinkInput | FrameType
LinkCell: TypeAlias = LinkState | CloseCode | Silent
TopicCell: TypeAlias = TopicState | CloseCode

LINK_INPUTS: Final[tuple[Input, ...]] = (
    LinkInput.PREAMBLE_INITIATOR,
    LinkInput.PREAMBLE_RESPONDER,
    LinkInput.REFUSAL,
    LinkInput.HANDSHAKE_MESSAGE,
    *FrameType,
    LinkInput.EXTENSION,
    LinkInput.UNKNOWN_CRITICAL,
    LinkInput.UNKNOWN_IGNORABLE,
    LinkInput.END,
)
"""The columns of the link table, in the order of the tables of SPEC.md."""


def _row(otherwise: LinkCell, cells: Mapping[Input, LinkCell]) -> dict[Input, LinkCell]:
    """One row of the link table: the named cells, and one answer for every other input."""
    return {column: cells.get(column, otherwise) for column in LINK_INPUTS}


_NO_RECORD: Final[Mapping[Input, LinkCell]] = {
    LinkInput.PREAMBLE_INITIATOR: SILENT,
    LinkInput.PREAMBLE_RESPONDER: SILENT,
    LinkInput.REFUSAL: SILENT,
    LinkInput.HANDSHAKE_MESSAGE: SILENT,
}
"""After the handshake all bytes are records, and these do not decrypt [HS-008] [EN-005]."""

LINK_TABLE: Final[Mapping[LinkState, Mapping[Input, LinkCell]]] = MappingProxyType(
    {
        LinkState.WAIT_RESPONSE: _row(
            SILENT,
            {
                LinkInput.PREAMBLE_RESPONDER: LinkState.WAIT_MESSAGE_2,
                LinkInput.REFUSAL: LinkState.CLOSED,
                LinkInput.END: LinkState.CLOSED,
            },
        ),
        LinkState.WAIT_MESSAGE_2: _row(
            SILENT, {LinkInput.HANDSHAKE_MESSAGE: LinkState.WAIT_HELLO, LinkInput.END: LinkState.CLOSED}
        ),
        LinkState.WAIT_OFFER: _row(
            SILENT, {LinkInput.PREAMBLE_INITIATOR: LinkState.WAIT_MESSAGE_1, LinkInput.END: LinkState.CLOSED}
        ),
        LinkState.WAIT_MESSAGE_1: _row(
            SILENT, {LinkInput.HANDSHAKE_MESSAGE: LinkState.WAIT_MESSAGE_3, LinkInput.END: LinkState.CLOSED}
        ),
        LinkState.WAIT_MESSAGE_3: _row(
            SILENT, {LinkInput.HANDSHAKE_MESSAGE: LinkState.WAIT_HELLO, LinkInput.END: LinkState.CLOSED}
        ),
        LinkState.WAIT_HELLO: _row(
            CloseCode.PROTOCOL,
            {
                **_NO_RECORD,
                FrameType.HELLO: LinkState.OPEN,
                FrameType.CLOSE: LinkState.CLOSED,
                LinkInput.END: LinkState.CLOSED,
            },
        ),
        LinkState.OPEN: _row(
            LinkState.OPEN,
            {
                **_NO_RECORD,
                FrameType.HELLO: CloseCode.PROTOCOL,
                FrameType.CLOSE: LinkState.CLOSED,
                LinkInput.UNKNOWN_CRITICAL: CloseCode.UNKNOWN_FRAME,
                LinkInput.END: LinkState.CLOSED,
            },
        ),
        LinkState.DRAINING: _row(LinkState.DRAINING, {LinkInput.END: LinkState.CLOSED}),
        LinkState.CLOSED: _row(LinkState.CLOSED, {}),
    }
)
"""(state, what arrives) -> the state after it, or the close code that it costs."""

TOPIC_TABLE: Final[Mapping[TopicState, Mapping[TopicInput, TopicCell]]] = MappingProxyType(
    {
        TopicState.FREE: {
            TopicInput.JOIN: TopicState.OPEN,
            TopicInput.BAD_JOIN: TopicState.FREE,
            TopicInput.JOIN_AGAIN: CloseCode.PROTOCOL,
            TopicInput.JOIN_OTHER: CloseCode.PROTOCOL,
            TopicInput.REFUSE: TopicState.FREE,
            TopicInput.LEAVE: TopicState.FREE,
            TopicInput.CONTENT: TopicState.FREE,
            TopicInput.STRAY: CloseCode.PROTOCOL,
        },
        TopicState.ASKED: {
            TopicInput.JOIN: TopicState.OPEN,
            TopicInput.BAD_JOIN: TopicState.LEAVING,
            TopicInput.JOIN_AGAIN: CloseCode.PROTOCOL,
            TopicInput.JOIN_OTHER: CloseCode.PROTOCOL,
            TopicInput.REFUSE: TopicState.FREE,
            TopicInput.LEAVE: TopicState.ASKED,
            TopicInput.CONTENT: TopicState.ASKED,
            TopicInput.STRAY: CloseCode.PROTOCOL,
        },
        TopicState.OPEN: {
            TopicInput.JOIN: CloseCode.PROTOCOL,
            TopicInput.BAD_JOIN: CloseCode.PROTOCOL,
            TopicInput.JOIN_AGAIN: TopicState.OPEN,
            TopicInput.JOIN_OTHER: CloseCode.PROTOCOL,
            TopicInput.REFUSE: TopicState.FREE,
            TopicInput.LEAVE: TopicState.FREE,
            TopicInput.CONTENT: TopicState.OPEN,
            TopicInput.STRAY: CloseCode.PROTOCOL,
        },
        TopicState.LEAVING: {
            TopicInput.JOIN: TopicState.LEAVING,
            TopicInput.BAD_JOIN: TopicState.LEAVING,
            TopicInput.JOIN_AGAIN: TopicState.LEAVING,
            TopicInput.JOIN_OTHER: CloseCode.PROTOCOL,
            TopicInput.REFUSE: TopicState.FREE,
            TopicInput.LEAVE: TopicState.FREE,
            TopicInput.CONTENT: TopicState.LEAVING,
            TopicInput.STRAY: CloseCode.PROTOCOL,
        },
    }
)
"""(state, what arrives) -> the state after it, or the close code that it costs.

A topic that is FREE or ASKED has no live handle that JOIN could repeat: that cell is there for completeness.
"""

_NO_STEPS: Final[Mapping[LinkStep, LinkState | None]] = dict.fromkeys(LinkStep)
_HALF_OPEN_STEPS: Final = {**_NO_STEPS, LinkStep.GIVE_UP: LinkState.CLOSED}
_RECORD_STEPS: Final = {**_HALF_OPEN_STEPS, LinkStep.SEND_CLOSE: LinkState.DRAINING}

LINK_STEPS: Final[Mapping[LinkState, Mapping[LinkStep, LinkState | None]]] = MappingProxyType(
    {
        LinkState.WAIT_RESPONSE: _HALF_OPEN_STEPS,
        LinkState.WAIT_MESSAGE_2: _HALF_OPEN_STEPS,
        LinkState.WAIT_OFFER: {**_HALF_OPEN_STEPS, LinkStep.SEND_REFUSAL: LinkState.DRAINING},
        LinkState.WAIT_MESSAGE_1: _HALF_OPEN_STEPS,
        LinkState.WAIT_MESSAGE_3: _HALF_OPEN_STEPS,
        LinkState.WAIT_HELLO: _RECORD_STEPS,
        LinkState.OPEN: _RECORD_STEPS,
        LinkState.DRAINING: {**_NO_STEPS, LinkStep.DRAINED: LinkState.CLOSED},
        LinkState.CLOSED: _NO_STEPS,
    }
)
"""(state, own step) -> the state after it; None: there is no such step."""

TOPIC_STEPS: Final[Mapping[TopicState, Mapping[TopicStep, TopicState | None]]] = MappingProxyType(
    {
        TopicState.FREE: {TopicStep.SEND_JOIN: TopicState.ASKED, TopicStep.SEND_LEAVE: None},
        TopicState.ASKED: {TopicStep.SEND_JOIN: None, TopicStep.SEND_LEAVE: TopicState.LEAVING},
        TopicState.OPEN: {TopicStep.SEND_JOIN: None, TopicStep.SEND_LEAVE: TopicState.LEAVING},
        TopicState.LEAVING: {TopicStep.SEND_JOIN: None, TopicStep.SEND_LEAVE: None},
    }
)
"""(state, own step) -> the state after it; None: there is no such step, and asking for it is the caller's mistake."""


def next_link_state(state: LinkState, arrived: Input) -> LinkCell:
    """The cell of the link table for this state and input."""
    return LINK_TABLE[state][arrived]


def step_link(state: LinkState, step: LinkStep) -> LinkState | None:
    """The state after an own step; None if there is no such step."""
    return LINK_STEPS[state][step]


def next_topic_state(state: TopicState, arrived: TopicInput) -> TopicCell:
    """The cell of the topic table for this state and input."""
    return TOPIC_TABLE[state][arrived]


def step_topic(state: TopicState, step: TopicStep) -> TopicState | None:
    """The state after an own step; None if there is no such step."""
    return TOPIC_STEPS[state][step]
