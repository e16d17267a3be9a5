"""TR: transfer, as the side that serves, and what a topic's object is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.case import LISTEN, add, case
from p2pwire_conformance.content import BLOCK, NO_ROOT, File, Object, blob, folder
from p2pwire_conformance.link import Link
from p2pwire_conformance.message import Tree, flip
from p2pwire_conformance.protocol import constant
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

MANIFEST: Final[int] = constant("MANIFEST_FILE")
FIVE: Final = blob(4 * BLOCK + 100)
FOLDER: Final = folder({"a/x": 1000, "a-b": 3 * BLOCK + 1, "a/empty": 0, "dir": None, "z": BLOCK})


def request(id: int, handle: int, block: int = 0, level: int = 0, file: int = 0) -> Tree:
    """REQUEST."""
    return Tree("Request", id=id, handle=handle, file=file, block=block, level=level)


def _serving(t: Trial, shared: Object) -> tuple[Link, int]:
    link = t.open(share=[shared.recipe])
    handle, _ = link.open_topic(shared)
    return link, handle


# --- the subject serves ---


def _served(shared: Object, file: int, block: int, level: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link, handle = _serving(t, shared)
        link.send(request(7, handle, block, level, file))
        source = shared.file(file)
        for number in range(block, min(block + (1 << level), source.count)):
            found = link.expect("Data", "data", id=7, block=number)
            due = source.data_frame(7, block, number)
            if found["proof"] != due["proof"]:
                actual = f"{len(found['proof'])} came, {len(due['proof'])} are due, and they differ"
                link.fail("proof", Kind.WRONG, f"the hashes of block {number}", actual)
            if found["data"] != due["data"]:
                link.fail("data", Kind.WRONG, f"the bytes of block {number}", f"{len(found['data'])} others came")
        link.expect_open()

    return run


_REQUESTS: Final = {
    "TR-0001": (FIVE, 0, 0, 0), "TR-0002": (FIVE, 0, 3, 0), "TR-0003": (FIVE, 0, 4, 0), "TR-0004": (FIVE, 0, 0, 1),
    "TR-0005": (FIVE, 0, 2, 1), "TR-0006": (FIVE, 0, 4, 1), "TR-0007": (FIVE, 0, 0, 2), "TR-0008": (FIVE, 0, 4, 2),
    "TR-0009": (FIVE, 0, 0, 3), "TR-0010": (blob(BLOCK), 0, 0, 0), "TR-0011": (blob(1), 0, 0, 0),
    "TR-0012": (blob(BLOCK + 1), 0, 0, 1), "TR-0013": (blob(2 * BLOCK), 0, 1, 0),
    "TR-0014": (blob(64 * BLOCK), 0, 0, 6),
    "TR-0015": (blob(33 * BLOCK - 1), 0, 0, 5), "TR-0016": (blob(33 * BLOCK), 0, 32, 0),
    "TR-0020": (FOLDER, MANIFEST, 0, 0), "TR-0021": (FOLDER, 1, 0, 0), "TR-0022": (FOLDER, 2, 0, 2),
    "TR-0023": (FOLDER, 2, 1, 0), "TR-0024": (FOLDER, 4, 0, 0), "TR-0025": (FOLDER, 2, 3, 0),
}  # fmt: skip
for _id, (_object, _file, _block, _level) in _REQUESTS.items():
    _what = "blob" if not _object.kind else f"folder's file {_file:#x}"
    _blocks = _object.file(_file).count
    _title = (
        f"Requests 2^{_level} blocks from block {_block} of a {_what} of {_blocks} blocks. They come in ascending "
        "order, each with exactly the hashes that are new."
    )
    _cited = "TR-040 TR-050 TR-051 TR-052 TR-053 OB-001 OB-002" + (
        " OB-041 OB-042 OB-020" if _object.kind else " OB-040"
    )
    add(_id, _cited, _title, _served(_object, _file, _block, _level), features="share", depends="SA-0004")


def _rejected(shared: Object, tree: Tree, code: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link, handle = _serving(t, shared)
        link.send(tree.with_(handle=handle))
        link.expect("Reject", "reject", id=7, code=code, retry=0)
        link.expect_open()

    return run


_RANGE: Final[Mapping[str, tuple[str, Object, Tree]]] = {
    "TR-0030": ("the manifest of a blob", FIVE, request(7, 0, file=MANIFEST)),
    "TR-0031": ("file 1 of a blob", FIVE, request(7, 0, file=1)),
    "TR-0032": ("the block after a blob's last", FIVE, request(7, 0, block=5)),
    "TR-0033": ("the block 2^32 - 1", FIVE, request(7, 0, block=0xFFFFFFFF)),
    "TR-0034": ("a level above the height of the tree", FIVE, request(7, 0, level=4)),
    "TR-0035": ("level 1 of a file of one block", blob(100), request(7, 0, level=1)),
    "TR-0036": ("a file that a folder does not have", FOLDER, request(7, 0, file=5)),
    "TR-0037": ("an empty file", FOLDER, request(7, 0, file=0)),
    "TR-0038": ("a directory", FOLDER, request(7, 0, file=3)),
    "TR-0039": ("the block after a manifest's last", FOLDER, request(7, 0, file=MANIFEST, block=1)),
    "TR-0040": ("block 0 of an empty blob", blob(0), request(7, 0)),
}
for _id, (_what, _object, _tree) in _RANGE.items():
    _title = f"Requests {_what}. The subject rejects it with OUT_OF_RANGE and retry 0."
    add(_id, "TR-042 TR-061", _title, _rejected(_object, _tree, 5), features="share", depends="SA-0003")


@case("TR-0041", "TR-041", features="fetch")
def object_unknown(t: Trial) -> None:
    """Requests a block of an object that the subject has joined and does not know. It rejects with NOT_AVAILABLE."""
    sought = blob(3 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought, tell=False)
    link.send(request(7, handle))
    link.expect("Reject", "reject", id=7, code=1, retry=0)


@case("TR-0042", "TR-043", features="fetch")
def block_not_held(t: Trial) -> None:
    """Requests a block of an object that the subject knows and of which it holds nothing. It rejects with
    NOT_AVAILABLE."""
    sought = blob(3 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought)
    link.fence()
    link.send(request(7, handle, 1))
    link.expect("Reject", "reject", id=7, code=1, retry=0)


@case("TR-0049", "TR-043 TR-041", features="fetch")
def object_just_told(t: Trial) -> None:
    """Tells OBJECT and requests a block of it in one record, before the subject can have prepared anything. It rejects
    with NOT_AVAILABLE."""
    sought = blob(3 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought, tell=False)
    link.send(sought.object_frame(handle), request(7, handle, 1))
    link.expect("Reject", "reject", id=7, code=1, retry=0)


@case("TR-0043", "TR-027 TR-035", features="share", depends="SA-0004")
def interest_does_not_matter(t: Trial) -> None:
    """Requests a block after INTEREST off. The subject serves it."""
    link, handle = _serving(t, FIVE)
    link.send(Tree("Interest", handle=handle, on=0), request(7, handle, 1))
    link.expect("Data", id=7, block=1)


@case("TR-0044", "TR-031", features="share", depends="SA-0004")
def id_used_again(t: Trial) -> None:
    """Requests three blocks one after another under one id. The subject serves them."""
    link, handle = _serving(t, FIVE)
    for block in range(3):
        link.send(request(7, handle, block))
        link.expect("Data", id=7, block=block)


@case("TR-0045", "TR-038", features="share", depends="SA-0004")
def id_in_use(t: Trial) -> None:
    """Sends two REQUESTs of 4 blocks with one id in one record, so that the first is open when the second arrives. The
    subject closes with PROTOCOL."""
    t.need("requests", "queued")
    link, handle = _serving(t, FIVE)
    link.send(request(7, handle, 0, 2), request(7, handle, 4, 2))
    link.expect_close("PROTOCOL", blame=0x20)


@case("TR-0046", "TR-039 FR-025", features="share limits", depends="SA-0004")
def too_many_requests(t: Trial) -> None:
    """Sends three REQUESTs in one record where the subject's max_requests is 2. It closes with LIMIT (T13)."""
    t.need("requests", "queued")
    link = t.open(share=[FIVE.recipe], limits={"max_requests": 2})
    handle, _ = link.open_topic(FIVE)
    link.send(*(request(number, handle, number) for number in range(3)))
    link.expect_close("LIMIT", blame=0x20)


@case("TR-0047", "TR-040 TR-066", features="share", depends="SA-0004")
def cancelled(t: Trial) -> None:
    """Cancels a REQUEST of 4 blocks in the same record, and one that there is not. The subject ends the REQUEST once:
    with all blocks, or with one REJECT after some of them."""
    link, handle = _serving(t, FIVE)
    link.send(request(7, handle, 0, 2), Tree("Cancel", id=7), Tree("Cancel", id=99))
    due = 0
    while due < 4:
        found = link.next_frame()
        if found is None:
            link.fail("ended", Kind.SILENT_DROP, "DATA or REJECT", "nothing came")
        if found.name == "Reject" and found["id"] == 7:
            break
        if found.name == "Data":
            if found["block"] != due:
                link.fail("ended", Kind.WRONG, f"block {due}", f"{found} came")
            due += 1
    if any(one.name in ("Data", "Reject") for one in link.fence()):
        link.fail("ended-once", Kind.WRONG, "nothing after the end of the REQUEST", "more came")


@case("TR-0048", "TR-012 TR-016 OB-050", features="share")
def announces_all(t: Trial) -> None:
    """Opens the topic of a folder that the subject shares. It announces exactly the units that the folder has, and says
    that it has the manifest."""
    link = t.open(share=[FOLDER.recipe])
    link.open_topic(FOLDER)
    link.fence()
    if t.net == LISTEN or not _units(link):
        link.fence()
    if _units(link) != set(range(FOLDER.units)):
        link.fail("units", Kind.WRONG, f"units 0 to {FOLDER.units - 1}", f"{sorted(_units(link))} came")
    joins = [one for one in link.noticed if one.name == "Join"]
    if joins and not joins[-1]["flags"] & 1:
        link.fail("has-manifest", Kind.WRONG, "flag 1 in JOIN", f"{joins[-1]}")


def _units(link: Link) -> set[int]:
    found: set[int] = set()
    for one in link.noticed:
        if one.name == "Have":
            for span in one["spans"]:
                found.update(range(span["first"], span["last"] + 1))
    return found


# --- OBJECT and HAVE ---


def _described(change: Callable[[Tree], Tree], code: str | None) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        sought = blob(3 * BLOCK)
        link = t.open(fetch=[sought.oid.hex()])
        handle, _ = link.open_topic(sought, tell=False)
        link.send(change(sought.object_frame(handle)))
        if code is None:
            link.expect_open()
        else:
            link.expect_close(code, blame=0x16)

    return run


_OBJECTS: Final[Mapping[str, tuple[str, Callable[[Tree], Tree]]]] = {
    "TR-0060": ("another root", lambda tree: tree.with_(root=flip(3))),
    "TR-0061": ("another length (T15)", lambda tree: tree.with_(length=3 * BLOCK - 1)),
    "TR-0062": ("another kind", lambda tree: tree.with_(kind=1)),
    "TR-0063": ("length 0 and a root", lambda tree: tree.with_(length=0)),
    "TR-0064": ("length 0 and no root", lambda tree: tree.with_(length=0, root=NO_ROOT)),
    "TR-0065": ("the largest length", lambda tree: tree.with_(length=1 << 46)),
}
for _id, (_what, _change) in _OBJECTS.items():
    _title = f"Tells an OBJECT with {_what} than the topic has. The subject closes with BAD_DATA."
    add(
        _id,
        "TR-005 TR-006" if "0 and" in _what else "TR-005",
        _title,
        _described(_change, "BAD_DATA"),
        features="fetch",
    )


@case("TR-0066", "TR-004", features="fetch")
def second_object(t: Trial) -> None:
    """Tells the same OBJECT twice. The subject closes with PROTOCOL."""
    sought = blob(3 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought)
    link.send(sought.object_frame(handle))
    link.expect_close("PROTOCOL", blame=0x16)


def _unusable(kind: int, length: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        odd = Object(kind, _Sized(length), [], {})
        link = t.open(fetch=[odd.oid.hex()])
        _, theirs = link.open_topic(odd)
        link.expect("Leave", "leave", handle=theirs)
        link.expect_open()

    return run


class _Sized(File):
    """A file of which nothing but the length counts."""

    def __init__(self, length: int) -> None:
        super().__init__(b"x")
        self.data = _Length(length)


class _Length(bytes):
    """Bytes that are said to be more."""

    size: int

    def __new__(cls, size: int) -> _Length:
        made = super().__new__(cls, b"")
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


for _number, (_kind, _size, _what) in enumerate(
    ((7, 1000, "an unknown kind"), (1, 8, "a manifest of 8 bytes"), (1, (64 << 20) + 1, "a manifest above 64 MiB"))
):
    _title = f"Tells an OBJECT that gives the oid and is {_what}. The subject leaves the topic and blames nobody."
    add(f"TR-007{_number}", "TR-007", _title, _unusable(_kind, _size), features="fetch")


@case("TR-0074", "TR-017 TR-019 TR-033 OB-052", features="fetch")
def have_before_object(t: Trial) -> None:
    """Sends HAVE and LOST before OBJECT, of units that there are and that there are not, and of some twice. The subject
    goes on, and requests nothing before it knows the object."""
    sought = blob(3 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought, tell=False)
    everything = [Tree("Span", first=0, last=65535)]
    link.send(
        Tree("Have", handle=handle, spans=everything),
        Tree("Have", handle=handle, spans=[Tree("Span", first=1, last=1), Tree("Span", first=2, last=2)]),
        Tree("Lost", handle=handle, spans=[Tree("Span", first=3, last=65535)]),
        Tree("Lost", handle=handle, spans=[Tree("Span", first=9, last=9)]),
        Tree("Suggest", handle=handle, first=0, last=65535),
    )
    if any(one.name == "Request" for one in link.fence()):
        link.fail("request", Kind.WRONG, "no REQUEST before OBJECT", "one came")
    link.send(sought.object_frame(handle))
    link.expect("Request", "request", file=0)
