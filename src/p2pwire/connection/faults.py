"""What the other side did wrong: raised inside the connection only, and turned into CLOSE and `Closed` by it."""

from __future__ import annotations

from p2pwire.wire.registry import NO_FRAME_TYPE, CloseCode


class LinkFault(Exception):
    """The other side broke a rule; `code` is what it costs."""

    def __init__(self, code: CloseCode, text: str, frame_type: int = NO_FRAME_TYPE) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.frame_type = frame_type


class SilentFault(Exception):
    """The handshake failed: the carrier is closed without a word; `code` is for the caller's eyes only."""

    def __init__(self, text: str, code: CloseCode = CloseCode.PROTOCOL) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
