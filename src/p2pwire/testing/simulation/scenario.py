"""Scenarios as data, read from TOML or JSON, with errors that name the field, the value and the limit."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from p2pwire.node.asking import AskingConfig
from p2pwire.node.node import NodeConfig
from p2pwire.node.outflow import OutflowConfig
from p2pwire.node.picker import PickerConfig
from p2pwire.node.uploads import UploadConfig
from p2pwire.testing.attackers import ATTACKERS

MOST_HOSTS: Final = 10_000
"""hosts of a scenario: what one process can hold, with a few links each."""

MOST_BLOCKS: Final = 1 << 20
"""blocks of all resources together: 16 GiB, which a machine may have."""

FOREVER: Final = 2**31
"""more of anything than a scenario has."""

T = TypeVar("T")


class ScenarioError(ValueError):
    """A scenario says what cannot be: `field` is its place, as in `events[2].at`."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


def number(default: float, low: float, high: float) -> Any:
    """A field for a number within limits, both included."""
    return attrs.field(default=default, metadata={"type": float, "low": low, "high": high}, converter=_floating)


def whole(default: int, low: int, high: int) -> Any:
    """A field for a whole number within limits, both included."""
    return attrs.field(default=default, metadata={"type": int, "low": low, "high": high})


def choice(default: str, *names: str) -> Any:
    """A field for one of some words."""
    return attrs.field(default=default, metadata={"type": str, "names": names})


def maybe(low: float, high: float) -> Any:
    """A field for a number within limits, or nothing."""
    return attrs.field(default=None, metadata={"type": float, "low": low, "high": high, "optional": True})


def numbers(low: float, high: float, most: int = MOST_HOSTS) -> Any:
    """A field for a list of numbers within limits."""
    return attrs.field(default=(), metadata={"type": float, "low": low, "high": high, "most": most}, converter=tuple)


def _whole_numbers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(values)


def _floating(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check(instance: Any) -> None:
    """Hold every field of an instance against its limits. Raises `ScenarioError`."""
    for field in attrs.fields(type(instance)):
        limits, value = field.metadata, getattr(instance, field.name)
        if "most" in limits:
            if len(value) > limits["most"]:
                raise ScenarioError(field.name, f"{len(value)} values, at most {limits['most']}")
            for index, item in enumerate(value):
                _check_one(f"{field.name}[{index}]", item, limits)
        elif "type" in limits and not (value is None and limits.get("optional")):
            _check_one(field.name, value, limits)


def _check_one(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    kind = limits["type"]
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise ScenarioError(name, f"is {value!r}, must be {_KINDS[kind]}")
    if "names" in limits and value not in limits["names"]:
        raise ScenarioError(name, f"is {value!r}, must be one of {', '.join(limits['names'])}")
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise ScenarioError(name, f"is {value}, must be {limits['low']} to {limits['high']}")


_KINDS: Final = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


@attrs.frozen
class Policy:
    """What nodes do that the protocol leaves to them: to see what each part of it contributes."""

    __attrs_post_init__ = _check

    picker: str = choice("rarest", "rarest", "random")
    """Which block is asked for first."""
    window: str = choice("adaptive", "adaptive", "fixed")
    """How many are asked of a link at a time: as many as come within a second, or always 256."""
    serving: str = choice("rarest", "rarest", "turns")
    """Whose block goes out first: the one that fewest hold, or all in turn."""
    handing: str = choice("late", "late", "early")
    """When it is settled what goes out next: as the uplink gets free, or as soon as it is asked for."""
    duplicates: int = whole(2, 0, 8)
    """Further links that are asked for a block at the end."""
    slots: int = whole(8, 1, 1000)
    """Upload slots, half of which go by received rate."""

    def config(self) -> NodeConfig:
        """For the nodes."""
        rates = self.slots // 2
        asking = AskingConfig() if self.window == "adaptive" else AskingConfig(first_window=256, queue_time=FOREVER)
        outflow = OutflowConfig(
            rarest_first=self.serving == "rarest", least=OutflowConfig().least if self.handing == "late" else FOREVER
        )
        picks = PickerConfig().random_picks if self.picker == "rarest" else FOREVER
        return NodeConfig(
            asking=asking,
            outflow=outflow,
            picker=PickerConfig(random_picks=picks, endgame_duplicates=self.duplicates),
            uploads=UploadConfig(slots=self.slots, rate_slots=rates, lot_slots=min(1, self.slots - rates)),
        )


@attrs.frozen
class Paths:
    """The ways between hosts, all alike; seconds and bytes."""

    __attrs_post_init__ = _check

    latency: float = number(0.02, 0, 60)
    jitter: float = number(0.0, 0, 60)
    segment: int = whole(65536, 1, 65536)
    """Bytes that come in one piece, at most."""
    ragged: bool = attrs.field(default=False, metadata={"type": bool})
    """Whether pieces have any size up to that."""
    resets: float = number(0.0, 0, 1)
    """How likely each piece is to break its connection."""


@attrs.frozen
class Churn:
    """Hosts that crash and return, at random; the seed of the run decides when."""

    __attrs_post_init__ = _check

    crashes: float = number(0.0, 0, 100)
    """Per host, on average."""
    within: float = number(60.0, 0, 1e6)
    """Seconds from the beginning in which they happen."""
    away: float = number(30.0, 0, 1e6)
    """Seconds until a host is back, at most."""
    power: float = number(0.25, 0, 1)
    """How many of them are power failures, of which the others hear nothing, and which take unsynced blocks."""
    seeds: bool = attrs.field(default=True, metadata={"type": bool})
    """Whether those crash too that have everything."""


@attrs.frozen
class Disks:
    """The disks of all hosts."""

    __attrs_post_init__ = _check

    delay: float = number(0.0, 0, 60)
    jitter: float = number(0.0, 0, 60)
    rate: float | None = maybe(1, 1e12)
    """Bytes per second."""
    unsynced: float = number(0.0, 0, 3600)
    """Seconds for which a disk lies about what it has written."""


@attrs.frozen
class Clocks:
    """Clocks that differ: each host draws its own, up to these."""

    __attrs_post_init__ = _check

    offset: float = number(0.0, 0, 1e6)
    """Seconds between monotonic clocks."""
    drift: float = number(0.0, 0, 0.01)
    """Part by which a clock may be fast or slow."""
    wrong_by: float = number(0.0, 0, 1e6)
    """Seconds by which the time of day may be wrong."""


EVENTS: Final = ("crash", "power", "start", "partition", "heal", "cut", "half-open", "clock", "full", "room")


@attrs.frozen
class Event:
    """Something that happens at a time, to hosts by number: those that have everything come first, from 0 on.

    `crash` and `power` (a crash of which nobody hears) and `start`: those hosts. `partition`: those against all others,
    until `heal`. `cut` and `half-open`: all connections between the first and the second host. `clock`: their time of
    day jumps by an hour. `full`: their disks take nothing more, until `room`.
    """

    at: float = number(0.0, 0, 1e6)
    """Seconds from the beginning."""
    kind: str = choice("heal", *EVENTS)
    hosts: tuple[int, ...] = attrs.field(
        default=(), metadata={"type": int, "low": 0, "high": MOST_HOSTS, "most": MOST_HOSTS}, converter=_whole_numbers
    )

    def __attrs_post_init__(self) -> None:
        _check(self)
        if self.kind in ("cut", "half-open") and len(self.hosts) != 2:
            raise ScenarioError("hosts", f"{len(self.hosts)} hosts, {self.kind} takes 2")


@attrs.frozen
class Attack:
    """Hostile hosts of one kind, at addresses of their own, which aim at all others (`p2pwire.testing.attackers`)."""

    __attrs_post_init__ = _check

    kind: str = choice("liar", *ATTACKERS)
    count: int = whole(1, 1, MOST_HOSTS)
    at: float = number(0.0, 0, 1e6)
    """Seconds from the beginning."""


def _attacks(attacks: Iterable[Attack]) -> tuple[Attack, ...]:
    return tuple(attacks)


def _in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(events)


@attrs.frozen
class Scenario:
    """One swarm, from its beginning to the end of all fetches. Rates are in bytes per second, times in seconds."""

    name: str = attrs.field(default="scenario", metadata={"type": str})
    about: str = attrs.field(default="", metadata={"type": str})
    """What it is for, in a sentence."""
    seeds: int = whole(1, 1, MOST_HOSTS)
    """Hosts that have everything at the beginning."""
    leechers: int = whole(10, 1, MOST_HOSTS)
    """Hosts that fetch."""
    resources: int = whole(1, 1, 1000)
    """Objects; each is held by one of the seeds in turn, and fetched by all leechers."""
    blocks: int = whole(64, 1, MOST_BLOCKS)
    """Of 16 KiB, in each object."""
    peers: int = whole(6, 1, 1000)
    """Other hosts that each leecher is told of: it dials these, and others dial it."""
    knows_seed: bool = attrs.field(default=False, metadata={"type": bool})
    """Whether every leecher is told of a seed; else as many are as give it as many links as others have."""
    exchange: bool = attrs.field(default=True, metadata={"type": bool})
    """Whether hosts have records of their own, so that peers tell each other of them."""
    uplink: float = number(16384.0, 0, 1e12)
    """Of every host; 0: no limit."""
    uplinks: tuple[float, ...] = numbers(1, 1e12)
    """Instead: those of the leechers, which take turns."""
    seed_uplink: float | None = maybe(1, 1e12)
    """Instead: that of the seeds."""
    downlink: float = number(0.0, 0, 1e12)
    """Of every host; 0: no limit."""
    unreachable: float = number(0.0, 0, 1)
    """The part of the leechers that can dial, and not be dialled."""
    join_within: float = number(0.0, 0, 1e6)
    """Seconds within which leechers come, at random."""
    late: int = whole(0, 0, MOST_HOSTS)
    """The last of the leechers, which come only at `late_at`."""
    late_at: float = number(0.0, 0, 1e6)
    limit: float = number(3600.0, 1, 1e7)
    """Seconds after which the run has failed."""
    paths: Paths = attrs.field(factory=Paths, metadata={"part": Paths})
    disks: Disks = attrs.field(factory=Disks, metadata={"part": Disks})
    clocks: Clocks = attrs.field(factory=Clocks, metadata={"part": Clocks})
    churn: Churn = attrs.field(factory=Churn, metadata={"part": Churn})
    policy: Policy = attrs.field(factory=Policy, metadata={"part": Policy})
    events: tuple[Event, ...] = attrs.field(default=(), converter=_in_order, metadata={"parts": Event})
    attackers: tuple[Attack, ...] = attrs.field(default=(), converter=_attacks, metadata={"parts": Attack})

    def __attrs_post_init__(self) -> None:
        _check(self)
        if self.seeds + self.leechers > MOST_HOSTS:
            raise ScenarioError("leechers", f"is {self.leechers}, {self.seeds} seeds leave {MOST_HOSTS - self.seeds}")
        if self.resources * self.blocks > MOST_BLOCKS:
            raise ScenarioError("blocks", f"is {self.blocks}, {self.resources} resources leave {MOST_BLOCKS}")
        if self.late > self.leechers:
            raise ScenarioError("late", f"is {self.late}, there are {self.leechers} leechers")
        for index, event in enumerate(self.events):
            for host in event.hosts:
                if host >= self.seeds + self.leechers:
                    text = f"has host {host}, the last is {self.seeds + self.leechers - 1}"
                    raise ScenarioError(f"events[{index}].hosts", text)

    @property
    def hosts(self) -> int:
        """How many there are."""
        return self.seeds + self.leechers

    @property
    def is_flash_crowd(self) -> bool:
        """Whether the bound of Mundinger, Weber and Weiss (2008) speaks of it: one object at one host, equal uplinks
        that are all that limits, everybody there from the beginning to the end, and reachable."""
        plain = not (self.events or self.churn.crashes or self.join_within or self.late or self.uplinks)
        plain = plain and not (self.unreachable or self.attackers)
        alone = self.seeds == self.resources == 1 and self.seed_uplink in (None, self.uplink)
        return plain and alone and self.uplink > 0 and not self.downlink

    def to_table(self) -> dict[str, Any]:
        """What a file would say: only what differs from the defaults."""
        return _table(self)


def _table(instance: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    plain = type(instance)()
    for field in attrs.fields(type(instance)):
        value = getattr(instance, field.name)
        if value == getattr(plain, field.name):
            continue
        if "part" in field.metadata:
            found[field.name] = _table(value)
        elif "parts" in field.metadata:
            found[field.name] = [_table(item) for item in value]
        else:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def of_table(table: Mapping[str, Any], **changes: Any) -> Scenario:
    """A scenario from what a file says. Raises `ScenarioError`."""
    return _read(Scenario, {**table, **changes}, "")


def changed(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """The same with other values; fields of parts are named as in `policy.picker`. Raises `ScenarioError`."""
    table = scenario.to_table()
    for name, value in changes.items():
        *parts, last = name.split(".")
        place = table
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ScenarioError(name, f"{part} has no fields")
        place[last] = value
    return of_table(table)


def _read(kind: type[T], table: object, where: str) -> T:
    if not isinstance(table, Mapping):
        raise ScenarioError(where.rstrip(".") or "scenario", f"is {table!r}, must be a table")
    known = {field.name: field for field in attrs.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in table.items():
        place = f"{where}{name}"
        if name not in known:
            raise ScenarioError(place, f"there is no such field, only {', '.join(known)}")
        limits = known[name].metadata
        if "part" in limits:
            values[name] = _read(limits["part"], value, f"{place}.")
        elif "parts" in limits or "most" in limits:
            if not isinstance(value, list | tuple):
                raise ScenarioError(place, f"is {value!r}, must be a list")
            values[name] = value
            if "parts" in limits:
                values[name] = [_read(limits["parts"], item, f"{place}[{n}].") for n, item in enumerate(value)]
        else:
            values[name] = value
    try:
        return kind(**values)
    except ScenarioError as error:
        raise ScenarioError(f"{where}{error.field}", str(error).partition(": ")[2]) from None


def bundled() -> list[str]:
    """The names of the scenarios that come with the library."""
    found = files(__package__).joinpath("scenarios").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in found if entry.name.endswith(".toml"))


def load(name: str, **changes: Any) -> Scenario:
    """A bundled scenario by its name, or one from a file (.toml or .json), with some fields changed.

    Raises `ScenarioError` for a name that is neither, and for what the file says; `OSError` if it cannot be read.
    """
    if name in bundled():
        text = files(__package__).joinpath("scenarios", f"{name}.toml").read_text(encoding="utf-8")
        return of_table({"name": name, **tomllib.loads(text)}, **changes)
    path = Path(name)
    read = _READERS.get(path.suffix)
    if read is None:
        raise ScenarioError("scenario", f"is {name!r}, must be a .toml or .json file, or one of {', '.join(bundled())}")
    try:
        table = read(path.read_text(encoding="utf-8"))
    except ValueError as error:  # those of both readers, and of the decoding, are
        raise ScenarioError("scenario", f"{name} cannot be read: {error}") from None
    if not isinstance(table, dict):
        raise ScenarioError("scenario", f"{name} holds {type(table).__name__}, must be a table")
    return of_table({"name": path.stem, **table}, **changes)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {".toml": tomllib.loads, ".json": json.loads}
