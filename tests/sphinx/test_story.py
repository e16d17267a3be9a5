"""The story of Alice, Bob and Charlie is what happened."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from p2pwire.sphinx.sequence import svg_sequence, text_sequence
from p2pwire.sphinx.story import BLOCKS, UPLINK, alice_bob_charlie
from tests.sphinx.project import ROOT


def test_alice_learns_of_charlie_and_takes_from_both() -> None:
    story = alice_bob_charlie()
    text = text_sequence(story)
    assert [step.time for step in story.steps] == sorted(step.time for step in story.steps)
    assert "Alice: learns of Charlie from Bob" in text
    (end,) = (step for step in story.steps if step.text.startswith("has all"))
    given = {name: int(size) for size, name in re.findall(r"(\d+) bytes from (\w+)", end.text)}
    assert given.keys() == {"Bob", "Charlie"}
    assert sum(given.values()) > BLOCKS * 16384
    for source in given:
        (data,) = (step for step in story.steps if step.text.startswith("DATA") and step.sender == source)
        # The blocks with their hashes and headers.
        assert int(data.detail.split()[-2]) > given[source]
    # Sooner than one of them could have sent it; and one answer to JOIN told all, on both links.
    assert end.time - story.steps[0].time < sum(given.values()) / UPLINK
    for source in given:
        (answer,) = (step for step in story.steps if step.sender == source and step.text.startswith("JOIN"))
        assert (answer.receiver, answer.text) == ("Alice", "JOIN, OBJECT, HAVE, PEERS")
    (told,) = (step.text for step in story.steps if step.sender == "Alice" and "OBJECT" in step.text)
    assert "PEERS" in told
    # Alice hears of Charlie before she dials him.
    learned = next(step.time for step in story.steps if "learns" in step.text)
    dialled = next(step.time for step in story.steps if (step.sender, step.receiver) == ("Alice", "Charlie"))
    assert learned <= dialled


def test_it_is_the_same_each_time() -> None:
    assert alice_bob_charlie() == alice_bob_charlie()


def test_the_drawing_says_what_the_text_says() -> None:
    story = alice_bob_charlie()
    svg = ElementTree.fromstring(svg_sequence(story, identifier="x"))
    assert svg.findtext("{*}desc") == text_sequence(story)
    shown = [each.text for each in svg.iter("{http://www.w3.org/2000/svg}text")]
    for step in story.steps:
        assert step.text in shown
        assert not step.detail or step.detail in shown


def test_the_page_speaks_of_nothing_else() -> None:
    page = (ROOT / "docs" / "story.md").read_text(encoding="utf-8")
    text = text_sequence(alice_bob_charlie())
    named = set(re.findall(r"\b[A-Z]{4,}\b", page))
    assert named
    for name in named:
        assert re.search(rf"\b{name}\b", text), name
