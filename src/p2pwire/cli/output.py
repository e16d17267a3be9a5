"""What a command says while it works: lines and bars for people, one JSON object a line for programs.

For programs every object has `event`: `listening` {address, id, uri}, `peer` {id, address, learned_from},
`progress` {done, total}, `complete` {path, bytes, seconds, sources}, `error` {code, message}. Everything goes to
standard output but errors and notices for people, which go to standard error.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from p2pwire.cli.text import part_text, printable, rate_text, short_id, size_text, time_text

EVENT_INTERVAL: Final = 0.2
"""seconds between two progress events for a program: enough for a smooth bar, few enough to read through a pipe."""

LINE_INTERVAL: Final = 1.0
"""seconds between two lines of progress in a pipe or a log."""


WIDE: Final = 80
"""columns of a terminal from which there is room for a rate."""


class Output(ABC):
    """Where a command reports to."""

    @abstractmethod
    def result(self, lines: list[str], fields: Mapping[str, object]) -> None:
        """What the user asked for: some lines of text, or one object."""

    @abstractmethod
    def listening(self, address: str, peer: str, uri: str, *, what: str = "", name: str | None = None) -> None:
        """Others can connect now. `what` describes to people what is shared; `name` names the peer among several."""

    @abstractmethod
    def name(self, peer: str, name: str) -> None:
        """From now on people call this peer by a name."""

    @abstractmethod
    def peer(self, peer: str, address: str | None, learned_from: str | None, agent: str) -> None:
        """A link to an authenticated peer is open; `learned_from` is the identity of the one who named it."""

    @abstractmethod
    def complete(self, path: str, size: int, seconds: float, sources: Mapping[str, int]) -> None:
        """Everything is verified and under its name."""

    @abstractmethod
    def trouble(self, code: str, message: str) -> None:
        """Something failed, and the command goes on."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A line of the story, for people only."""

    @abstractmethod
    def detail(self, text: str) -> None:
        """A line of the story that only --verbose shows."""

    def notice(self, text: str) -> None:
        """Something that the user may want to mend while the command goes on."""
        print(f"p2pwire: {printable(text)}", file=sys.stderr, flush=True)

    @abstractmethod
    def meter(self, label: str, *, events: bool = True) -> AbstractContextManager[Meter]:
        """A measure of progress, shown as long as the block lasts; without `events` to people only."""


class Meter:
    """Shows how far something has come; this one shows nothing."""

    def show(self, done: int, total: int, note: str = "", sources: Mapping[str, int] | None = None) -> None:
        """`done` of `total` bytes; `note` is a word or two about how, `sources` the bytes that came from each peer."""

    def wait(self, text: str) -> None:
        """Nothing can be measured yet; for people at a terminal."""


class JsonOutput(Output):
    """For programs."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def name(self, peer: str, name: str) -> None:
        pass

    def result(self, lines: list[str], fields: Mapping[str, object]) -> None:
        write_json(fields)

    def listening(self, address: str, peer: str, uri: str, *, what: str = "", name: str | None = None) -> None:
        write_event("listening", address=address, id=peer, uri=uri, **({"name": name} if name is not None else {}))

    def peer(self, peer: str, address: str | None, learned_from: str | None, agent: str) -> None:
        write_event("peer", id=peer, address=address, learned_from=learned_from)

    def complete(self, path: str, size: int, seconds: float, sources: Mapping[str, int]) -> None:
        write_event("complete", path=path, bytes=size, seconds=round(seconds, 3), sources=dict(sources))

    def trouble(self, code: str, message: str) -> None:
        write_event("error", code=code, message=printable(message))

    def say(self, text: str) -> None:
        pass

    def detail(self, text: str) -> None:
        pass

    @contextmanager
    def meter(self, label: str, *, events: bool = True) -> Iterator[Meter]:
        """See `Output`."""
        yield _EventMeter(with_sources=self._verbose) if events else Meter()


def write_event(event: str, **fields: object) -> None:
    """One event for programs."""
    write_json({"event": event, **fields})


def write_json(fields: Mapping[str, object]) -> None:
    """One object on a line of its own, there at once."""
    print(json.dumps(fields), flush=True)


class _EventMeter(Meter):
    def __init__(self, *, with_sources: bool) -> None:
        self._with_sources = with_sources
        self._last: tuple[int, int] | None = None
        self._due = 0.0

    def show(self, done: int, total: int, note: str = "", sources: Mapping[str, int] | None = None) -> None:
        now = time.monotonic()
        if (done, total) != self._last and (now >= self._due or done == total):
            self._last, self._due = (done, total), now + EVENT_INTERVAL
            more = {"sources": dict(sources)} if self._with_sources and sources is not None else {}
            write_event("progress", done=done, total=total, **more)


class TextOutput(Output):
    """For people: a bar on a terminal, plain lines elsewhere; NO_COLOR is honoured."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._names: dict[str, str] = {}
        self._terminal = sys.stdout.isatty()
        # The environment may ask for colours in a log; nothing else of a terminal belongs there.
        self._console = Console(force_terminal=self._terminal, highlight=False, markup=False, emoji=False)

    def result(self, lines: list[str], fields: Mapping[str, object]) -> None:
        for line in lines:
            self._line(line)

    def name(self, peer: str, name: str) -> None:
        self._names[peer] = name

    def _who(self, peer: str) -> str:
        return self._names.get(peer) or short_id(peer)

    def listening(self, address: str, peer: str, uri: str, *, what: str = "", name: str | None = None) -> None:
        who = f"{name} ({short_id(peer)})" if name is not None else f"peer {short_id(peer)}"
        if what:
            self.say(f"{who} shares {what} at {address}")
        else:
            self.detail(f"{who} listens at {address}")
        if what and name is None:
            self._line(uri)

    def peer(self, peer: str, address: str | None, learned_from: str | None, agent: str) -> None:
        where = f" at {address}" if address is not None else ""
        through = f", learned from {self._who(learned_from)}" if learned_from is not None else ""
        program = f" ({agent})" if self._verbose and agent else ""
        self.say(f"met {self._who(peer)}{where}{through}{program}")

    def complete(self, path: str, size: int, seconds: float, sources: Mapping[str, int]) -> None:
        self.say(f"{size_text(size)} verified in {time_text(seconds)} ({rate_text(size, seconds)})")
        for peer, part in sorted(sources.items(), key=lambda row: -row[1]):
            self.say(f"  {size_text(part)} from {self._who(peer)}")
        self._line(path)

    def trouble(self, code: str, message: str) -> None:
        self.notice(message)

    def say(self, text: str) -> None:
        if not self._quiet:
            self._line(text, wrap=self._terminal)

    def detail(self, text: str) -> None:
        if self._verbose:
            self.say(text)

    def notice(self, text: str) -> None:
        if self._terminal and sys.stderr.isatty():
            # On the same screen a bar may be below.
            self._line(f"p2pwire: {text}", wrap=True)
        else:
            super().notice(text)

    @contextmanager
    def meter(self, label: str, *, events: bool = True) -> Iterator[Meter]:
        """See `Output`."""
        if self._quiet:
            yield Meter()
        elif self._terminal:
            columns = (
                TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[amount]}", markup=False, table_column=Column(no_wrap=True)),
                _RateColumn(),
            )
            with Progress(
                *columns[: None if self._console.width >= WIDE else -1],
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                expand=True,
            ) as progress:
                yield _Bar(progress, label)
        else:
            yield _Lines(self, label)

    def _line(self, text: str, *, wrap: bool = False) -> None:
        # A URI or path is never broken: whoever copies it gets all of it.
        self._console.print(printable(text), soft_wrap=not wrap)
        if not self._terminal:
            sys.stdout.flush()


class _RateColumn(ProgressColumn):
    """How fast it goes."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """See rich."""
        return Text(rate_text(task.speed, 1) if task.speed else "")


class _Bar(Meter):
    """A bar at the bottom of a terminal; lines appear above it."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(printable(label), total=None, amount="")

    def wait(self, text: str) -> None:
        self._progress.update(self._task, amount=printable(text))

    def show(self, done: int, total: int, note: str = "", sources: Mapping[str, int] | None = None) -> None:
        amount = f"{part_text(done, total)}" + (f", {note}" if note else "")
        # An empty object is complete from the start; a bar of zero would pulse.
        self._progress.update(self._task, completed=done if total else 1, total=total or 1, amount=printable(amount))


class _Lines(Meter):
    """A line now and then."""

    def __init__(self, output: TextOutput, label: str) -> None:
        self._output = output
        self._label = label
        self._due = time.monotonic() + LINE_INTERVAL
        self._begun = False

    def show(self, done: int, total: int, note: str = "", sources: Mapping[str, int] | None = None) -> None:
        now = time.monotonic()
        if now < self._due and not (self._begun and done == total):
            return
        self._begun = done < total
        self._due = now + LINE_INTERVAL
        percent = f" ({done * 100 // total} %)" if total else ""
        rest = f", {note}" if note else ""
        self._output.say(f"{self._label}: {part_text(done, total)}{percent}{rest}")
