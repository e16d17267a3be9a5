"""HELLO's parameters and the numbers of extensions (SPEC.md, "HELLO" and "Extensions")."""

from __future__ import annotations

from p2pwire.connection.config import Config, Extension
from p2pwire.connection.events import LinkEstablished
from p2pwire.connection.grease import NAME_PREFIX, Grease
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import LAST_EXTENSION_FRAME, MAX_EXTENSIONS, HelloTag


def hello_parameters(config: Config, grease: Grease | None) -> tuple[msg.HelloParameter, ...]:
    """This side's parameters, ascending [FR-020]. Raises `ValueError` for what can not be said."""
    values: dict[int, bytes] = {}
    if config.agent:
        values[HelloTag.AGENT] = config.agent.encode()
    if config.record is not None:
        if _record_of(config.identity.public, config.record) is None:
            raise ValueError(f"record: {len(config.record)} bytes, must be a peer record of the own identity")
        values[HelloTag.OWN_RECORD] = config.record
    if config.observed is not None:
        values[HelloTag.OBSERVED_ADDRESS] = config.observed.encode()
    entries = [msg.Extension(e.name, e.base, e.count, e.params) for e in config.extensions]
    if grease is not None:
        # The highest number is the least likely to be taken; where it is, the list goes without GREASE.
        last = LAST_EXTENSION_FRAME
        if len(entries) < MAX_EXTENSIONS and all(e.base + e.count <= last for e in entries):
            entries.append(msg.Extension(grease.name, last, 1, b""))
        values[grease.tag] = grease.value
    if entries:
        values[HelloTag.EXTENSIONS] = msg.Extensions(tuple(entries)).encode()
    return tuple([msg.HelloParameter(tag, values[tag]) for tag in sorted(values)])


def read_hello(hello: msg.Hello, identity: bytes, table: ExtensionTable) -> LinkEstablished:
    """The other side's parameters, and their extensions in the table; unknown tags are ignored [FR-022]. Raises
    `DecodeError` [FR-023]."""
    values = {parameter.tag: parameter.value for parameter in hello.parameters}
    agent = values.get(HelloTag.AGENT)
    observed = values.get(HelloTag.OBSERVED_ADDRESS)
    extensions = values.get(HelloTag.EXTENSIONS)
    if extensions is not None:
        table.agree(msg.Extensions.decode(extensions).entries)
    return LinkEstablished(
        identity=identity,
        agent="" if agent is None else msg.Agent.decode(agent).name,
        record=_record_of(identity, values.get(HelloTag.OWN_RECORD)),
        observed=None if observed is None else msg.Address.decode(observed),
        extensions=table.agreed,
    )


def _record_of(identity: bytes, record: bytes | None) -> bytes | None:
    """A record that is well-formed and of this identity [FR-027]; any other costs nothing but itself [PX-030]."""
    try:
        return record if record is not None and msg.PeerRecord.decode(record).identity == identity else None
    except msg.DecodeError:
        return None


class ExtensionTable:
    """Which frame types belong to which extension, in both directions."""

    __slots__ = ("_own", "_theirs", "agreed")

    def __init__(self, own: tuple[Extension, ...]) -> None:
        self._own = own
        self._theirs: dict[str, msg.Extension] = {}
        self.agreed: frozenset[str] = frozenset()
        """Names that both sides listed."""

    def agree(self, theirs: tuple[msg.Extension, ...]) -> None:
        """The other side's list has come; names that one does not know are ignored [EX-009]."""
        own = {extension.name for extension in self._own}
        self._theirs = {entry.name: entry for entry in theirs if entry.name in own}
        self.agreed = frozenset(self._theirs)

    def incoming(self, frame_type: int) -> tuple[str, int] | None:
        """The agreed extension, and the index in it, of a frame type in one's own numbers."""
        for extension in self._own:
            if extension.base <= frame_type < extension.base + extension.count and extension.name in self.agreed:
                return extension.name, frame_type - extension.base
        return None

    def outgoing(self, name: str, index: int) -> int | None:
        """The frame type in the other side's numbers; None if it has no such [EX-005] [EX-006] [EX-007] [EX-012]
        [EX-023]."""
        entry = self._theirs.get(name)
        if entry is None or not 0 <= index < entry.count or name.startswith(NAME_PREFIX):
            return None
        return entry.base + index
