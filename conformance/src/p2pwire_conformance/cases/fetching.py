"""TR: transfer, as the side that fetches, and manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.case import LISTEN, RESPONDER, add, case
from p2pwire_conformance.cases.tr import FIVE, FOLDER, MANIFEST
from p2pwire_conformance.content import BLOCK, File, Object, blob, crafted, entry, folder, manifest
from p2pwire_conformance.link import Frame, Link, ping
from p2pwire_conformance.message import Tree, flip
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind


def _fetching(t: Trial, sought: Object, *, have: int | None = None) -> tuple[Link, int]:
    """A link on which the subject fetches what the suite has: (link, the subject's handle)."""
    link = t.open(fetch=[sought.oid.hex()])
    handle, theirs = link.open_topic(sought, flags=sought.kind)
    units = sought.units if have is None else have
    if units:
        link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=units - 1)]))
    return link, theirs


def _serve(link: Link, sought: Object, blocks: int) -> None:
    """Answer REQUESTs until so many different blocks were sent, granting what they cost."""
    sent: set[tuple[int, int]] = set()
    total = 64
    while len(sent) < blocks:
        found = link.expect("Request", "request")
        file = sought.file(found["file"])
        if found["level"] > file.height or found["block"] >= file.count:
            link.fail("request-range", Kind.WRONG, "a REQUEST within the file", f"{found} came")
        total += 1 << found["level"]
        for block in range(found["block"], min(found["block"] + (1 << found["level"]), file.count)):
            link.send(file.data_frame(found["id"], found["block"], block))
            sent.add((found["file"], block))
        link.send(Tree("Credit", blocks=total))


def _fetches(sought: Object) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link, _ = _fetching(t, sought)
        _serve(link, sought, sought.units + (sought.main.count if sought.kind else 0))
        told = t.event("fetched")
        due = hashlib.sha256(b"".join(file.data for file in sought.files)).hexdigest()
        if told.get("sha256") != due:
            link.fail("content", Kind.WRONG, f"content {due[:16]}…", f"{told.get('sha256')}")

    return run


_FETCHED: Final[Mapping[str, tuple[str, Object]]] = {
    "TR-0080": ("a blob of one byte", blob(1)),
    "TR-0081": ("a blob of one block", blob(BLOCK)),
    "TR-0082": ("a blob of 5 blocks", FIVE),
    "TR-0083": ("a blob of 70 blocks, more than the initial credit", blob(70 * BLOCK - 5)),
    "TR-0084": ("an empty blob", blob(0)),
    "TR-0085": ("a folder of five entries", FOLDER),
    "TR-0086": ("an empty folder", folder({})),
    "TR-0087": ("a folder whose manifest has two blocks", folder({f"{'n' * 200}{n:03d}": 1 for n in range(70)})),
}
for _id, (_what, _object) in _FETCHED.items():
    _title = f"Has the subject fetch {_what} and serves it. The subject ends with exactly these bytes."
    add(_id, "OB-013 OB-014 TR-033 TR-034 TR-060 TM-012", _title, _fetches(_object), features="fetch events")


@case("TR-0088", "TR-025", features="fetch")
def tells_interest(t: Trial) -> None:
    """Offers what the subject fetches. It says INTEREST on."""
    link, _ = _fetching(t, FIVE)
    link.expect("Request")
    link.fence()
    if not any(one.name == "Interest" and one["on"] == 1 for one in link.noticed):
        link.fail("interest", Kind.WRONG, "INTEREST with on = 1", "none came")


Answer = Callable[[File, Frame], list[Tree]]


def _lies(answer: Answer, code: str, sought: Object = FIVE) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link, _ = _fetching(t, sought)
        found = link.expect("Request", "request")
        file = sought.file(found["file"])
        link.send(*answer(file, found))
        link.expect_close(code, blame=0x22)

    return run


def _good(file: File, asked: Frame, off: int = 0) -> Tree:
    return file.data_frame(asked["id"], asked["block"], asked["block"] + off)


def _wrong(change: Callable[[File, Frame, Tree], Tree]) -> Answer:
    """One DATA that is right but for this change."""
    return lambda file, asked: [change(file, asked, _good(file, asked))]


def _other_block(file: File, asked: Frame, tree: Tree) -> Tree:
    size = len(tree["data"])
    return tree.with_(data=file.block((asked["block"] + 1) % file.count)[:size].ljust(size))


_LIES: Final[Mapping[str, tuple[str, str, str, Answer]]] = {
    "TR-0100": (
        "TR-054",
        "UNSOLICITED",
        "DATA with the id of no REQUEST",
        _wrong(lambda file, asked, tree: tree.with_(id=asked["id"] ^ 1 << 31)),
    ),
    "TR-0101": (
        "TR-055",
        "UNSOLICITED",
        "DATA with the block after the one that is due",
        _wrong(lambda file, asked, tree: tree.with_(block=asked["block"] + 1)),
    ),
    "TR-0102": (
        "TR-055 TR-054",
        "UNSOLICITED",
        "the first block of a REQUEST twice",
        lambda file, asked: [_good(file, asked)] * 2,
    ),
    "TR-0103": (
        "TR-056 OB-003",
        "BAD_DATA",
        "a proof with a hash too few",
        _wrong(lambda file, asked, tree: tree.with_(proof=tree["proof"][:-1])),
    ),
    "TR-0104": (
        "TR-056 OB-003",
        "BAD_DATA",
        "a proof with a hash too many",
        _wrong(lambda file, asked, tree: tree.with_(proof=[*tree["proof"], bytes(32)])),
    ),
    "TR-0105": (
        "TR-057",
        "BAD_DATA",
        "a block that is a byte short",
        _wrong(lambda file, asked, tree: tree.with_(data=tree["data"][:-1])),
    ),
    "TR-0106": (
        "TR-058 TR-059",
        "BAD_DATA",
        "a block with a bit flipped",
        _wrong(lambda file, asked, tree: tree.with_(data=flip(0))),
    ),
    "TR-0107": (
        "TR-058",
        "BAD_DATA",
        "a proof whose last hash is another",
        _wrong(lambda file, asked, tree: tree.with_(proof=[*tree["proof"][:-1], bytes([7] * 32)])),
    ),
    "TR-0108": (
        "TR-058",
        "BAD_DATA",
        "a proof whose first hash is another",
        _wrong(lambda file, asked, tree: tree.with_(proof=[bytes([7] * 32), *tree["proof"][1:]])),
    ),
    "TR-0109": ("TR-058", "BAD_DATA", "another block's bytes with the right proof", _wrong(_other_block)),
}
for _id, (_cited, _code, _what, _answer) in _LIES.items():
    _title = f"Answers a REQUEST with {_what} (T14). The subject closes with {_code}."
    add(_id, _cited, _title, _lies(_answer, _code), features="fetch", depends="TR-0082")


@case("TR-0110", "TR-054 TR-071", features="fetch", depends="TR-0082")
def data_after_reject(t: Trial) -> None:
    """Rejects a REQUEST, and answers it all the same. The subject closes with UNSOLICITED."""
    link, _ = _fetching(t, FIVE)
    found = link.expect("Request")
    link.send(Tree("Reject", id=found["id"], code=1), _good(FIVE.main, found))
    link.expect_close("UNSOLICITED")


@case("TR-0111", "TR-063", features="fetch", depends="TR-0082")
def rejected_twice(t: Trial) -> None:
    """Rejects a REQUEST twice. The subject closes with UNSOLICITED."""
    link, _ = _fetching(t, FIVE)
    reject = Tree("Reject", id=link.expect("Request")["id"], code=1)
    link.send(reject, reject)
    link.expect_close("UNSOLICITED", blame=0x24)


@case("TR-0112", "TR-054 TR-063")
def data_unasked(t: Trial) -> None:
    """Sends DATA where nothing was requested (T16). The subject closes with UNSOLICITED."""
    link = t.open()
    link.send(Tree("Data", id=0, data=b"x"))
    link.expect_close("UNSOLICITED", blame=0x22)


@case("TR-0113", "TR-062", features="fetch", depends="TR-0082")
def rejected_in_every_way(t: Trial) -> None:
    """Rejects REQUESTs with each code that may be, with retry where it may be. The subject goes on."""
    link, _ = _fetching(t, FIVE)
    found = link.expect("Request")
    link.send(Tree("Reject", id=found["id"], code=2, retry=1))
    link.fence()


@case("TR-0114", "TR-070 TR-076", roles=RESPONDER, nets=LISTEN, features="fetch", depends="TR-0106")
def banned(t: Trial) -> None:
    """Sends bad data, and comes back with the same identity. The subject closes the new link with NOT_ALLOWED."""
    link, _ = _fetching(t, FIVE)
    found = link.expect("Request")
    link.send(_good(FIVE.main, found).with_(data=flip(0)))
    link.expect_close("BAD_DATA")
    link.finish()
    again = t.connect("again", identity=link.identity)
    again.shake()
    again.expect_close("NOT_ALLOWED")


@case("TR-0115", "TR-072", roles=RESPONDER, nets=LISTEN, features="fetch", depends="TR-0106")
def neighbours_not_banned(t: Trial) -> None:
    """Sends bad data, and comes back from the same address with another identity. The subject takes the new link."""
    link, _ = _fetching(t, FIVE)
    found = link.expect("Request")
    link.send(_good(FIVE.main, found).with_(data=flip(0)))
    link.expect_close("BAD_DATA")
    again = t.connect("again")
    again.shake()
    again.hello()
    again.send(ping())
    again.expect("Pong")


# --- manifests ---


def _bad_manifest(raw: bytes) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        sought = crafted(raw)
        link, theirs = _fetching(t, sought, have=0)
        found = link.expect("Request", "request", file=MANIFEST)
        link.send(*(sought.main.data_frame(found["id"], found["block"], n) for n in range(sought.main.count)))
        link.expect("Leave", "leave", handle=theirs)
        link.expect_open()

    return run


_X: Final = File(b"x")


def _paths(*paths: str | bytes) -> bytes:
    return manifest([entry(0, path, _X) for path in paths])


_MANIFESTS: Final[Mapping[str, tuple[str, str, bytes]]] = {
    "TR-0130": ("OB-021", "paths in descending order", _paths("b", "a")),
    "TR-0131": ("OB-021", "a path twice", _paths("a", "a")),
    "TR-0132": ("OB-021", "'a-b' before 'a/b', by bytes and not by components", _paths("a-b", "a/b")),
    "TR-0133": ("OB-022", "a file that is another's directory", _paths("a", "a/b")),
    "TR-0134": ("OB-023", "a byte after the last entry", _paths("a") + b"\0"),
    "TR-0135": ("OB-023", "an entry that is cut short", _paths("a")[:-1]),
    "TR-0136": ("OB-023", "a count one too high", manifest([entry(0, "a", _X)], count=2)),
    "TR-0137": ("OB-023", "a count one too low", manifest([entry(0, "a", _X), entry(0, "b", _X)], count=1)),
    "TR-0138": ("OB-024", "another magic", b"P2PM\x02" + _paths("a")[5:]),
    "TR-0139": ("OB-024", "a count above 2^20", manifest([], count=(1 << 20) + 1)),
    "TR-0140": ("OB-025", "an unknown entry type", manifest([entry(3, "a", _X)])),
    "TR-0141": ("OB-024", "a length above 2^46", manifest([entry(0, "a", _X).with_(length=(1 << 46) + 1)])),
    "TR-0142": (
        "OB-027",
        "lengths above 2^46 together",
        manifest([entry(0, p, _X).with_(length=1 << 46) for p in "ab"]),
    ),
    "TR-0143": ("OB-030", "the path '..'", _paths("..")),
    "TR-0144": ("OB-030", "a component '..'", _paths("a/../../b")),
    "TR-0145": ("OB-030", "a component '.'", _paths("./a")),
    "TR-0146": ("OB-029", "a leading '/'", _paths("/etc/passwd")),
    "TR-0147": ("OB-029", "a trailing '/'", _paths("a/")),
    "TR-0148": ("OB-029", "an empty component", _paths("a//b")),
    "TR-0149": ("OB-029", "33 components", _paths("/".join("a" * 33))),
    "TR-0150": ("OB-029", "a component of 256 bytes", _paths("a" * 256)),
    "TR-0151": ("OB-031", "a backslash", _paths("a\\b")),
    "TR-0152": ("OB-031", "a zero byte", _paths("a\0b")),
    "TR-0153": ("OB-031", "a line feed", _paths("a\nb")),
    "TR-0154": ("OB-031", "the byte 0x7F", _paths("a\x7f")),
    "TR-0155": ("OB-028", "a path that is no UTF-8", _paths(b"a\xff")),
    "TR-0156": ("OB-028", "an overlong encoding", _paths(b"a\xc0\xafb")),
    "TR-0157": ("OB-028", "a surrogate", _paths(b"a\xed\xa0\x80")),
    "TR-0158": ("OB-028", "an empty path", _paths("")),
    "TR-0159": (
        "OB-022",
        "an empty directory that is another's directory",
        manifest([entry(2, "a"), entry(0, "a/b", _X)]),
    ),
}
for _id, (_cited, _what, _raw) in _MANIFESTS.items():
    _title = f"Serves a folder whose manifest has {_what} (T18, T19). The subject leaves the topic and blames nobody."
    add(_id, f"{_cited} OB-033 OB-034", _title, _bad_manifest(_raw), features="fetch", depends="TR-0085")


def _odd_manifest(path: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        sought = crafted(_paths(path), [_X])
        link, _ = _fetching(t, sought)
        found = link.expect("Request", "request", file=MANIFEST)
        link.send(sought.main.data_frame(found["id"], 0, 0))
        link.expect("Request", "accepted", file=0)

    return run


for _number, (_what, _path) in enumerate(
    (
        ("a name in two Unicode forms", "é/é"),
        ("a name reserved elsewhere", "con"),
        ("a name with a trailing dot and space", "a. "),
        ("a component of 255 bytes and 32 components", "/".join(["a" * 255, *("b" * 31)])),
        ("names that differ in case alone", "A/a"),
        ("a zero-width character", "a\u200bb"),
    )
):
    _title = f"Serves a folder whose manifest has {_what}. It is valid: the subject requests the file."
    add(f"TR-016{_number}", "OB-032 OB-029", _title, _odd_manifest(_path), features="fetch", depends="TR-0085")
