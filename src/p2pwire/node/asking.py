"""Asking: what is requested of which link, how much at a time, and what follows when the answer fails to come.

Changes links' `hungry`, `interested`, `sated`, `asked`, `numbers`, `in_flight` and `quiet_until`, and swarms' `idle`.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import Final

import attrs

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.node.alarms import Alarms
from p2pwire.node.core import Core
from p2pwire.node.flights import PickedRequest
from p2pwire.node.link import Asked, Link
from p2pwire.node.picker import Picker
from p2pwire.node.swarm import Phase, Swarm
from p2pwire.wire.registry import SNUB_TIMEOUTS, JoinFlag, RejectCode

REQUEST_BATCH: Final = 32
"""blocks of room, or a part of the window if that is more, for which further requests wait while more than so many
blocks are on their way."""

BACKLOG: Final = 1024
"""verified blocks of one resource that wait for the disk above which no more is asked for: 16 MiB."""

FAIR_REQUEST: Final = 16
"""blocks that a topic may ask for at a time, however many other topics of the link wait for their turn."""

WINDOW_PARTS: Final = 4
"""requests, at least, into which what may be asked of a link is cut: the other side can answer them in any order."""

DEFAULT_RETRY: Final = 1.0
"""seconds before a link is asked again that refused without saying when."""

ENDGAME_STEP: Final = 0.1
"""seconds between two looks, at least, at what may be asked of one more link at the end."""

INTEREST_COST: Final = 2
"""counted frames that it takes to turn INTEREST off and on again."""

WAIT_FACTOR: Final = 1.5
"""times as long as usual that one of the last blocks is waited for before it is asked of another link."""

WAIT_LONGEST: Final = 30.0
"""seconds, at most, before that is done: by then the request has timed out anyway."""

WAITS_AVERAGED: Final = 8
"""answers over which it is looked how long is usual."""

MOST_MOVES: Final = 3
"""times that a request gives way to one to another link; later ones stand beside each other, so that not all of them
begin to wait anew for ever."""

_NOT_HELD: Final = (RejectCode.NOT_AVAILABLE, RejectCode.OUT_OF_RANGE)


@attrs.frozen
class AskingConfig:
    """How far ahead blocks are asked of one link."""

    first_window: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    """Blocks asked of the first links, before it is known how quickly they come."""
    least_window: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    """Blocks asked of one link however long they take: one that takes longer than `queue_time` needs no second one
    behind it to keep the link busy, and the second one may come sooner from another link."""
    slow_window: int = 2
    """A link is slow of which no more blocks than so many are asked at a time."""
    beyond: int = attrs.field(default=2, validator=attrs.validators.ge(0))
    """Blocks asked of a slow link beyond its window, one by one, which no other link holds."""
    pipeline: int = attrs.field(default=256, validator=attrs.validators.ge(1))
    """Blocks asked of one link and not come yet: 4 MiB keep a link of 300 Mbit/s and 100 ms busy."""
    queue_time: float = 1.0
    """Seconds that a block may take, beside the round trip. What takes longer waits in the other side's queue, while
    others might send it: so less is asked for."""


class Asking:
    """All requests of a node."""

    def __init__(self, core: Core, config: AskingConfig) -> None:
        self._core = core
        self._config = config
        self._endgames: Alarms[Swarm] = Alarms(core.horizon)

    # --- what may be asked for ---

    def begin(self, swarm: Swarm, picker: Picker) -> None:
        """There is something to ask for, of all links of the swarm."""
        swarm.picker = picker
        swarm.moves.clear()
        for number in swarm.links:
            self.link_opened(swarm, self._core.links[number])

    def end(self, swarm: Swarm) -> None:
        """There is nothing to ask for any more."""
        swarm.picker = None
        swarm.idle.clear()
        self._endgames.cancel(swarm)
        self.review_interest(swarm)

    def link_opened(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link."""
        if swarm.picker is None:
            return
        swarm.picker.link_added(link.id)
        if swarm.phase is Phase.MANIFEST:
            self.manifest_offered(swarm, link)
        else:
            swarm.picker.units_added(link.id, link.connection.peer_units(swarm.topic))
            self._holdings_changed(swarm, link)

    def link_closed(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link no longer; what was asked of it may be asked of others."""
        link.hungry.pop(swarm.topic, None)
        link.interested.pop(swarm.topic, None)
        link.sated.pop(swarm.topic, None)
        swarm.idle.pop(link.id, None)
        if swarm.picker is not None:
            swarm.picker.link_removed(link.id)
            self._core.restless[swarm] = None

    def manifest_offered(self, swarm: Swarm, link: Link) -> None:
        """The other side's flags say whether it has the manifest."""
        picker = swarm.picker
        if picker is not None and swarm.phase is Phase.MANIFEST and JoinFlag.HAS_MANIFEST in swarm.links[link.id]:
            picker.units_added(link.id, [(0, picker.total_blocks - 1)])
            self._holdings_changed(swarm, link)

    def units_changed(self, swarm: Swarm, link: Link, event: ev.UnitsChanged) -> None:
        """The other side holds more, or less."""
        if swarm.picker is not None and swarm.phase is Phase.CONTENT:
            swarm.picker.units_added(link.id, event.added)
            if event.removed:
                swarm.picker.units_removed(link.id, event.removed)
            self._whet_if_of_use(swarm, swarm.picker, (link.id,))
            self._tell_interest(swarm, link)

    def _holdings_changed(self, swarm: Swarm, link: Link) -> None:
        self._whet(swarm, link)
        self._tell_interest(swarm, link)

    def _whet(self, swarm: Swarm, link: Link) -> None:
        """There may be something to ask the link for."""
        swarm.idle.pop(link.id, None)
        link.hungry[swarm.topic] = swarm
        self._core.unsettle(link)

    def _whet_if_of_use(self, swarm: Swarm, picker: Picker, links: Collection[int]) -> None:
        """The same for those of some links of which something would be asked now."""
        of_use = picker.askable(links, self._core.now)
        for number in links:
            link = self._core.links[number]
            if number in of_use:
                self._whet(swarm, link)
            elif swarm.topic not in link.hungry:
                swarm.idle[number] = None
        if swarm.idle:
            self._await_endgame(swarm)

    def wake(self) -> None:
        """Look again at the idle links of the swarms in which something has become open."""
        if not self._core.restless:
            return
        restless, self._core.restless = self._core.restless, {}
        for swarm in restless:
            if swarm.picker is not None and swarm.idle:
                self._whet_if_of_use(swarm, swarm.picker, tuple(swarm.idle))

    # --- interest ---

    def review_interest(self, swarm: Swarm) -> None:
        """Less is missing now: links of which something was wanted may have nothing more."""
        for number in swarm.links:
            self._tell_interest(swarm, self._core.links[number])

    def _tell_interest(self, swarm: Swarm, link: Link) -> None:
        wants = swarm.picker is not None and swarm.picker.wants_anything(link.id)
        if wants:
            link.sated.pop(swarm.topic, None)
            if swarm.topic not in link.interested and link.established:
                link.interested[swarm.topic] = None
                self._core.send(link, cmd.TellInterest(swarm.topic, True))  # [TR-025]
        elif swarm.topic in link.interested:
            link.sated[swarm.topic] = swarm
            self._core.unsettle(link)

    def lose_interest(self, link: Link) -> None:
        """Turn INTEREST off where nothing is wanted, as far as the control frames allow [TR-026] [KA-023]."""
        while link.sated and link.may_say(INTEREST_COST, self._core.now):
            topic, _ = link.sated.popitem()
            del link.interested[topic]
            self._core.send_counted(link, cmd.TellInterest(topic, False), INTEREST_COST)

    # --- how far ahead ---

    def established(self, link: Link) -> None:
        """A new link: what is usual on the others is asked of it at first."""
        link.delay = self._core.now - link.opened_at
        windows = [other.window for other in self._core.links.values() if other.answered]
        link.window = -(-sum(windows) // len(windows)) if windows else self._config.first_window
        link.window = min(max(link.window, self._config.least_window), self._config.pipeline)

    def answered(self, link: Link, request: int, blocks: int) -> None:
        """Blocks came: ask for more at a time as long as they come soon, and for less when they do not."""
        link.answered = True
        asked = link.asked[request]
        took = self._core.now - asked.picked.at
        swarm, usual = asked.swarm, asked.swarm.usual_wait
        swarm.usual_wait = usual + (took - usual) / WAITS_AVERAGED if usual else took
        asked.picker.patience = min(WAIT_LONGEST, max(asked.picker.least_patience, WAIT_FACTOR * swarm.usual_wait))
        if took <= self._config.queue_time + link.delay:
            link.window = min(link.window + blocks, self._config.pipeline)
        else:
            link.window = max(link.window - blocks, self._config.least_window)

    # --- requests ---

    def fill(self, link: Link) -> None:
        """Ask a link for as much as it may be asked for; its topics take turns."""
        if not link.hungry:
            return
        connection, now = link.connection, self._core.now
        if now < link.quiet_until:
            return
        while link.hungry and connection.requests_left:
            room = min(connection.credit, link.window - link.in_flight)
            if room < 1 and connection.credit:
                room = self._beyond(link)
            part = max(link.window // WINDOW_PARTS, 1)
            if room < 1 or room < max(REQUEST_BATCH, part) < link.in_flight:
                return  # credit comes in drops, and many small requests cost more than a few large ones
            topic, swarm = next(iter(link.hungry.items()))
            del link.hungry[topic]
            if swarm.picker is None:
                continue
            share = max(room // (len(link.hungry) + 1), FAIR_REQUEST)
            most = room if swarm.sequential else part
            disk_lags = swarm.backlog > BACKLOG
            picked = None if disk_lags else swarm.picker.next_request(link.id, min(room, share, most), now)
            if picked is None:
                swarm.idle[link.id] = None
                self._await_endgame(swarm)
            else:
                link.hungry[topic] = swarm
                self._ask(swarm, swarm.picker, link, picked)

    def _beyond(self, link: Link) -> int:
        """Blocks that may be asked of a slow link beyond its window, which it alone holds: so that a source always has
        a request for what it has sent to nobody, and need not send again what others could pass on."""
        config = self._config
        if link.window > config.slow_window or link.in_flight >= link.window + config.beyond:
            return 0
        swarm = next(iter(link.hungry.values()))
        return int(swarm.picker is not None and swarm.picker.holds_alone(link.id))

    def _ask(self, swarm: Swarm, picker: Picker, link: Link, picked: PickedRequest) -> None:
        found = swarm.file(picked.file)
        assert found is not None
        number = link.request_id()
        command = cmd.RequestBlocks(number, swarm.topic, picked.file, picked.block, picked.level, *found)
        link.connection.send(command, self._core.now)
        link.asked[number] = Asked(swarm, picker, picked)
        link.numbers[picked] = number
        link.in_flight += picked.count
        if picker.endgame and picked.count == 1:
            self._give_up_others(swarm, picker, link, picked)

    def _give_up_others(self, swarm: Swarm, picker: Picker, link: Link, picked: PickedRequest) -> None:
        """One of the last blocks has been asked of a further link, since it does not come: what was asked of others
        for it alone is cancelled. It costs them nothing if it still waits there, and mostly it does."""
        moves = swarm.moves.get(picked.global_first, 0)
        for holder, old in picker.asked_for(picked.global_first):
            other = self._core.links[holder]
            asked = other.asked[other.numbers[old]]
            if holder != link.id and old.count == 1 and not asked.cancelled and moves < MOST_MOVES:
                swarm.moves[picked.global_first] = moves + 1
                asked.cancelled = True
                self._core.send(other, cmd.CancelRequest(other.numbers[old]))

    def arrived(self, picker: Picker, link: Link, first: int, count: int) -> None:
        """Neighbouring blocks came: what was asked of others and is useless now is cancelled."""
        for holder, picked in picker.block_received(link.id, first, count):
            other = self._core.links[holder]
            number = other.numbers[picked]
            other.asked[number].cancelled = True
            self._core.send(other, cmd.CancelRequest(number))

    def request_ended(self, link: Link, event: ev.RequestEnded) -> None:
        """An own request is over; what it did not bring is asked for elsewhere, or again."""
        asked = link.asked.pop(event.request)
        del link.numbers[asked.picked]
        swarm, missing = asked.swarm, asked.picked.count - event.blocks
        link.in_flight -= missing
        not_held = event.code in _NOT_HELD
        if event.code is not None and not not_held and not asked.cancelled and link.id in swarm.links:
            again = self._core.now + (event.retry or DEFAULT_RETRY)
            link.quiet_until = max(link.quiet_until, again)  # [TR-064]
        if swarm.picker is not asked.picker:
            return
        swarm.picker.request_ended(link.id, asked.picked, unavailable=not_held)
        if missing:
            self._core.restless[swarm] = None
            if link.id in swarm.links:
                self._holdings_changed(swarm, link)

    def timed_out(self, link: Link, event: ev.RequestsTimedOut) -> bool:
        """Nothing came: others are asked. Says whether this one is snubbed, and asked no more until something comes."""
        for asked in link.asked.values():
            asked.cancelled = True
        for swarm in {asked.swarm: None for asked in link.asked.values()}:
            if swarm.picker is not None and link.id in swarm.links:
                swarm.picker.release(link.id)
                self._core.restless[swarm] = None
        if event.count >= SNUB_TIMEOUTS:
            link.quiet_until = inf  # [TM-013] [TM-014]
        return link.quiet_until == inf

    def forgive(self, link: Link) -> bool:
        """A verified block came: whether its link was snubbed until now."""
        snubbed = link.quiet_until == inf
        if snubbed:
            link.quiet_until = self._core.now
        return snubbed

    # --- the end of a swarm ---

    def _await_endgame(self, swarm: Swarm) -> None:
        assert swarm.picker is not None
        due = swarm.picker.next_timeout(self._core.now)
        if due is not None:
            self._endgames.set(swarm, max(due, self._core.now + ENDGAME_STEP))

    def on_time(self) -> None:
        """Blocks that are long in flight may be asked of further links."""
        for swarm in self._endgames.due(self._core.now):
            self._core.restless[swarm] = None

    def next_timeout(self) -> float | None:
        """When `on_time` has something to do."""
        return self._endgames.next()
