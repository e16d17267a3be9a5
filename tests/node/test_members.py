from __future__ import annotations

import attrs
import pytest

from p2pwire.node.members import Members
from tests.node.peers import identity


@attrs.define(eq=False)
class Told:
    told: int = 0


def test_numbers_are_used_again_once_everyone_was_told() -> None:
    members, listener = Members(limit=4096), Told()
    for number in range(2000):
        member = members.enter(identity(number), lambda: [listener])
        assert member is not None
        assert member.number < 80
        assert members.at(member.number) is member
        assert members.get(identity(number)) is member
        members.retire(member)


def test_a_number_is_kept_while_someone_has_still_to_be_told() -> None:
    members, listener = Members(), Told()
    kept = members.enter(identity("kept"), lambda: [listener])
    assert kept is not None
    listener.told |= kept.bit
    members.retire(kept)
    for number in range(500):
        member = members.enter(identity(number), lambda: [listener])
        assert member is not None
        assert member.number != kept.number
        members.retire(member)
    assert members.enter(identity("kept"), lambda: [listener]) is kept
    for number in range(500):
        other = members.enter(identity((number,)), lambda: [Told()])
        assert other is not None
        assert other is not kept
        members.retire(other)
    assert members.get(identity("kept")) is kept


def test_when_all_numbers_are_in_use_the_longest_gone_are_forgotten_untold() -> None:
    members, listener = Members(limit=9), Told()
    present = [members.enter(identity(number), lambda: [listener]) for number in range(8)]
    assert members.enter(identity("more"), lambda: [listener]) is None
    for member in present:
        assert member is not None
        listener.told |= member.bit
    for member in present[:4]:
        assert member is not None
        members.retire(member)
    found = members.enter(identity("more"), lambda: [listener])
    assert found is not None
    assert members.get(identity(0)) is None
    assert members.get(identity(3)) is not None
    assert listener.told.bit_count() == 6
    assert not listener.told & found.bit


def test_a_number_out_of_use_names_nobody() -> None:
    members = Members()
    for number in range(200):
        member = members.enter(identity(number), list)
        assert member is not None
        members.retire(member)
    members.enter(identity("last"), list)
    free = next(number for number in range(64) if members._numbers[number] is None)
    with pytest.raises(LookupError):
        members.at(free)
