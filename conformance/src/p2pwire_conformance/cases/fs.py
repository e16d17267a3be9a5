"""FS: what a subject does to the disk, on which the suite looks, too."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from p2pwire_conformance.case import INLINE, RESPONDER, case
from p2pwire_conformance.cases.tr import FIVE
from p2pwire_conformance.content import BLOCK, File, Object, crafted, entry, folder, manifest, pattern
from p2pwire_conformance.link import Link
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind, Untestable

SMALL: Final = folder({"a": 1000, "d/b": 2 * BLOCK})


def disk(id: str, citations: str, features: str = "") -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Enter a case with a directory that suite and subject both see."""
    return case(id, citations, roles=RESPONDER, nets=INLINE, features=f"fetch files events {features}")


@contextmanager
def _place() -> Iterator[Path]:
    """A directory for the subject, alone in one of its own."""
    with tempfile.TemporaryDirectory(prefix="p2pwire-conformance-") as made:
        place = Path(made) / "here"
        place.mkdir()
        yield place


def _begin(t: Trial, place: Path, sought: Object, *, again: bool = False, **config: Any) -> Link:
    """A link on which the subject seeks the object and knows who has it."""
    start = t.restart if again else t.start
    start(fetch=[sought.oid.hex()], directory=str(place), **config)
    link = t.connect()
    link.shake()
    link.hello()
    handle, _ = link.open_topic(sought, flags=sought.kind)
    if sought.units:
        link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=sought.units - 1)]))
    return link


def _serve(link: Link, sought: Object, most: int = 10**6) -> set[tuple[int, int]]:
    """Answer REQUESTs, with so many blocks at most, while they come: the blocks that were requested."""
    asked: set[tuple[int, int]] = set()
    sent = 0
    while True:
        found = [one for one in link.fence() if one.name == "Request"]
        for one in found:
            file = sought.file(one["file"])
            for block in range(one["block"], min(one["block"] + (1 << one["level"]), file.count)):
                asked.add((one["file"], block))
                if sent < most:
                    link.send(file.data_frame(one["id"], one["block"], block))
                    sent += 1
        if not found:
            return asked


def _paths(place: Path) -> set[Path]:
    return set(place.rglob("*"))


def _outcome(t: Trial, link: Link, name: str) -> dict[str, Any]:
    """The subject told of the end of the fetch, this one."""
    link.fence()
    found = t.running.events(name)
    if not found:
        link.fail("outcome", Kind.WRONG, f"the event {name!r}", "it did not come")
    return found[0]


def _final_name(t: Trial, sought: Object) -> str:
    """How the subject calls a finished object."""
    with _place() as place:
        link = _begin(t, place, sought)
        _serve(link, sought)
        _outcome(t, link, "fetched")
        names = [path.name for path in place.iterdir() if not path.name.startswith(".")]
    if len(names) != 1:
        raise Untestable(f"the finished object has {len(names)} names")
    return names[0]


@disk("FS-0001", "FS-001 FS-003")
def writes_below_its_directory(t: Trial) -> None:
    """Has the subject fetch a folder. What is new on the disk lies below the directory that was chosen, and is nothing
    but files with one name each and directories."""
    with _place() as place:
        link = _begin(t, place, SMALL)
        _serve(link, SMALL)
        _outcome(t, link, "fetched")
        outside = [path for path in place.parent.iterdir() if path != place]
        if outside:
            link.fail("outside", Kind.WRONG, "nothing beside the directory", str(outside[0].name))
        for path in _paths(place):
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) and (not stat.S_ISREG(found.st_mode) or found.st_nlink != 1):
                link.fail("kinds", Kind.WRONG, "files with one name, and directories", path.name)


@disk("FS-0002", "FS-002")
def follows_no_links(t: Trial) -> None:
    """Puts a symbolic link to another directory where the subject will put a folder (T19). Nothing comes to lie in the
    other directory."""
    name = _final_name(t, SMALL)
    with _place() as place:
        other = place.parent / "other"
        other.mkdir()
        (place / name).symlink_to(other)
        link = _begin(t, place, SMALL, again=True)
        _serve(link, SMALL)
        link.fence()
        if any(other.iterdir()):
            link.fail("followed", Kind.WRONG, "nothing in the directory to which the link leads", "something is there")


@disk("FS-0003", "FS-004 FS-006")
def reserved_names(t: Trial) -> None:
    """Has the subject fetch a folder with a file "con", where the system reserves that name. The fetch fails, and the
    file is there under no name."""
    odd = folder({"con": 1000})
    _not_stored(t, odd, pattern(1000), {"reserved": True})


@disk("FS-0004", "FS-005 FS-006")
def colliding_names(t: Trial) -> None:
    """Has the subject fetch a folder with the files "A" and "a", where both are one name. The fetch fails."""
    odd = folder({"A": 1000, "a": 2000})
    _not_stored(t, odd, pattern(2000, 1), {"folds_case": True})


def _not_stored(t: Trial, odd: Object, data: bytes, names: dict[str, bool]) -> None:
    with _place() as place:
        link = _begin(t, place, odd, names=names)
        _serve(link, odd)
        _outcome(t, link, "failed")
        if any(path.is_file() and path.read_bytes() == data for path in _paths(place)):
            link.fail("stored", Kind.WRONG, "no file with the content", "there is one")


@disk("FS-0005", "FS-005")
def something_is_there(t: Trial) -> None:
    """Puts another file where the subject will put what it fetches. The fetch fails, and the file is as it was."""
    name = _final_name(t, FIVE)
    with _place() as place:
        (place / name).write_bytes(b"the user's own")
        link = _begin(t, place, FIVE, again=True)
        _serve(link, FIVE)
        if (place / name).read_bytes() != b"the user's own":
            link.fail("overwritten", Kind.WRONG, "the user's file as it was", "it is another one")
        _outcome(t, link, "failed")


@disk("FS-0006", "FS-007 TR-008")
def reserves_nothing(t: Trial) -> None:
    """Tells OBJECT of 64 MiB, and serves one block. The subject's files take less than 1 MiB of the disk."""
    big = Object(0, _Zeros(4096), [], {})
    with _place() as place:
        t.start(fetch=[big.oid.hex()], directory=str(place))
        link = t.connect()
        link.shake()
        link.hello()
        handle, _ = link.open_topic(big)
        link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=7, last=7)]))
        asked = link.expect("Request", block=7)
        link.send(Tree("Data", id=asked["id"], block=7, proof=big.main.siblings(7, big.main.height), data=bytes(BLOCK)))
        link.fence()
        taken = sum(path.lstat().st_blocks * 512 for path in _paths(place))
        if taken > 1 << 20:
            link.fail("reserved", Kind.WRONG, "less than 1 MiB on the disk", f"{taken} bytes")


class _Zeros(File):
    """So many blocks of zeros, a power of two."""

    def __init__(self, count: int) -> None:
        super().__init__(bytes(BLOCK))
        self.data = _Long(count * BLOCK)
        self.count = count
        leaf = self.levels[0][0]
        self._nodes = [leaf]
        while 1 << (len(self._nodes) - 1) < count:
            self._nodes.append(hashlib.sha256(self._nodes[-1] * 2).digest())
        self.levels = [[node] for node in self._nodes]

    def siblings(self, block: int, count: int) -> list[bytes]:
        """All nodes of one height are one."""
        return self._nodes[:count]


class _Long(bytes):
    size: int

    def __new__(cls, size: int) -> _Long:
        made = super().__new__(cls, b"")
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


@disk("FS-0007", "FS-008")
def nothing_under_its_name_too_early(t: Trial) -> None:
    """Serves the subject three of five blocks, and then the others. Before, nothing is where the file is in the end."""
    with _place() as place:
        link = _begin(t, place, FIVE)
        _serve(link, FIVE, 0)
        early = _paths(place)
        link = _begin(t, place, FIVE, again=True)
        _serve(link, FIVE)
        _outcome(t, link, "fetched")
        whole = [path for path in _paths(place) if path.is_file() and path.read_bytes() == FIVE.main.data]
        if not whole or set(whole) & early:
            link.fail("early", Kind.WRONG, "the whole file, under a name that was not there before", str(whole))


@disk("FS-0008", "FS-009")
def looks_at_what_is_there(t: Trial) -> None:
    """Serves the subject three of five blocks, ends it, spoils one of the blocks on the disk and starts it again. It
    requests that block again and what is missing, and not the two that are right."""
    with _place() as place:
        link = _begin(t, place, FIVE)
        _serve(link, FIVE, 3)
        t.pass_time(5.0, link)
        stored = [block for block in range(5) if _spoil(place, block, dry=True)]
        if len(stored) < 2:
            raise Untestable("what is stored cannot be found on the disk")
        t.restart()
        _spoil(place, stored[0])
        link = _begin(t, place, FIVE, again=True)
        asked = {block for _, block in _serve(link, FIVE)}
        due = set(range(5)) - set(stored[1:])
        if asked != due:
            link.fail("asked", Kind.WRONG, f"REQUESTs for the blocks {sorted(due)}", f"for {sorted(asked)}")


def _spoil(place: Path, number: int, *, dry: bool = False) -> bool:
    """Find a block of `FIVE` on the disk, where it belongs in a file, and flip a bit of it unless `dry`."""
    data, at = FIVE.main.block(number), number * BLOCK
    for path in _paths(place):
        if path.is_file() and path.read_bytes()[at : at + len(data)] == data:
            if not dry:
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(bytes([data[0] ^ 1]))
            return True
    return False


@disk("FS-0009", "FS-010")
def permissions(t: Trial) -> None:
    """Has the subject fetch a folder with a file that may be executed and one that may not. Their modes are so, and
    give nothing beyond what the user's mask allows."""
    run, plain = File(b"run"), File(b"plain")
    odd = crafted(manifest([entry(0, "plain", plain), entry(1, "run", run)]), [plain, run])
    mask = os.umask(0)
    os.umask(mask)
    with _place() as place:
        link = _begin(t, place, odd)
        _serve(link, odd)
        _outcome(t, link, "fetched")
        for path in _paths(place):
            mode = path.lstat().st_mode
            if path.name in ("run", "plain") and bool(mode & 0o100) != (path.name == "run"):
                link.fail("executable", Kind.WRONG, "the right to execute for type 1 alone", f"{path.name}: {mode:o}")
            if stat.S_IMODE(mode) & (~(0o777 & ~mask)):
                link.fail("mode", Kind.WRONG, f"no bit beyond {0o777 & ~mask:o}", f"{path.name}: {mode:o}")


@disk("FS-0010", "FS-012")
def control_characters_in_names(t: Trial) -> None:
    """Has the subject fetch a folder whose file name has a control character, and fails for another reason (T20). What
    it tells its user has no control character."""
    odd = folder({"a\x9b31m:": 1000})
    with _place() as place:
        link = _begin(t, place, odd, names={"reserved": True})
        _serve(link, odd)
        text = _outcome(t, link, "failed")["text"]
        if any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text):
            link.fail("escaped", Kind.WRONG, "text without control characters", repr(text))


@case("OB-0010", "OB-035", roles=RESPONDER, nets=INLINE, features="files")
def symbolic_links_are_not_shared(t: Trial) -> None:
    """Has the subject make a manifest of a directory with a file and a symbolic link. The link is not in it."""
    link = t.open()
    with _place() as place:
        (place / "a").write_bytes(pattern(1000))
        (place.parent / "secret").write_bytes(b"secret")
        (place / "b").symlink_to(place.parent / "secret")
        found = t.do("scan", path=str(place))["oid"]
    if found != folder({"a": 1000}).oid.hex():
        link.fail("manifest", Kind.WRONG, "the manifest of the file alone", "another one")
