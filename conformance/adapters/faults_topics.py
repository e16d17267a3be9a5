"""Faults of the reference in topics and handles."""

from __future__ import annotations

from typing import Any

from p2pwire.connection import events as ev
from p2pwire.connection import incoming, outgoing, topics
from p2pwire.connection.session import Session
from p2pwire.connection.state import TopicInput, TopicState, TopicStep, next_topic_state, step_topic
from p2pwire.node import joining, meeting
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType, JoinFlag

from faults import mutant


def _cells(changes: dict[tuple[TopicState, TopicInput], Any]) -> None:
    """Change cells of the table of topics."""
    topics.next_topic_state = lambda state, arrived: changes.get((state, arrived), next_topic_state(state, arrived))


@mutant
def handle_65535_rejected() -> None:
    join = topics.Topics.join

    def signed(self: Any, frame: Any) -> Any:
        if frame.handle > 0x7FFF:
            raise topics.LinkFault(CloseCode.PROTOCOL, "a negative handle")
        return join(self, frame)

    topics.Topics.join = signed


@mutant
def used_numbers_forgotten() -> None:
    of_remote = topics.Topics.of_remote

    def forgetful(self: Any, handle: int) -> Any:
        self._used = 0
        return of_remote(self, handle)

    topics.Topics.of_remote = forgetful


@mutant
def one_handle_for_all_topics() -> None:
    topics.Topics._free_handle = lambda self: 7


@mutant
def joins_beyond_max_handles() -> None:
    topics.Topics.can_join = lambda self: True
    joining.Joining._room = lambda self, link: len(link.waiting)


@mutant
def joins_what_is_left() -> None:
    def eager(session: Any, command: Any) -> None:
        found = session.topics.get(command.topic)
        if found is not None and found.state is TopicState.LEAVING:
            session.outbox.add(
                msg.Join(found.local + 9, JoinFlag(0), found.name, session.topics.own_cap(found.name)).encode_frame()
            )
            return
        right(session, command)

    commands = dict(outgoing._COMMANDS)
    right = commands[outgoing.cmd.Join]
    commands[outgoing.cmd.Join] = eager
    outgoing._COMMANDS = commands


@mutant
def join_repeated_with_another_cap() -> None:
    say = Session.say_join

    def other(self: Any, topic: Any, *, answer: bool) -> None:
        if topic.state is TopicState.OPEN and not answer:
            flags = self.topics.catalogue[topic.name].flags
            topic.flags_told = flags
            self.outbox.add(msg.Join(topic.local, flags, topic.name, bytes(32)).encode_frame())
        else:
            say(self, topic, answer=answer)

    Session.say_join = other


@mutant
def flags_never_change() -> None:
    say = Session.say_join
    Session.say_join = lambda self, topic, *, answer: (
        say(self, topic, answer=answer) if answer or topic.state is not TopicState.OPEN else None
    )


@mutant
def always_says_has_manifest() -> None:
    def say(self: Any, topic: Any, *, answer: bool) -> None:
        topic.flags_told = self.topics.catalogue[topic.name].flags
        flags = topic.flags_told | JoinFlag.HAS_MANIFEST
        join = msg.Join(topic.local, flags, topic.name, self.topics.own_cap(topic.name))
        self.outbox.add(join.encode_frame(), answer=answer)

    Session.say_join = say


@mutant
def cap_of_a_constant_hash() -> None:
    topics.Topics.own_cap = lambda self, name: topics.cap(self.catalogue[name].oid, self._initiator, bytes(32))


@mutant
def joins_unasked() -> None:
    meeting.Meeting._topics_for = lambda self, link: sorted(self._core.swarms)


@mutant
def joins_soon_after_a_refusal() -> None:
    joining.REJOIN_DELAY = 5.0


@mutant
def join_again_closes() -> None:
    _cells({(TopicState.OPEN, TopicInput.JOIN_AGAIN): CloseCode.PROTOCOL})


@mutant
def other_join_accepted() -> None:
    _cells({(TopicState.OPEN, TopicInput.JOIN_OTHER): TopicState.OPEN})


@mutant
def join_again_while_leaving_closes() -> None:
    _cells({(TopicState.LEAVING, TopicInput.JOIN_AGAIN): CloseCode.PROTOCOL})


@mutant
def other_join_while_leaving_ignored() -> None:
    _cells({(TopicState.LEAVING, TopicInput.JOIN_OTHER): TopicState.LEAVING})


@mutant
def join_while_left_refused() -> None:
    classify = topics.Topics._classify

    def strict(self: Any, join: Any) -> Any:
        arrived, topic = classify(self, join)
        if arrived is TopicInput.JOIN and topic.state is TopicState.LEAVING:
            return TopicInput.BAD_JOIN, topic
        return arrived, topic

    topics.Topics._classify = strict
    _cells({(TopicState.LEAVING, TopicInput.BAD_JOIN): TopicState.LEAVING})


@mutant
def limit_before_refusal() -> None:
    join = topics.Topics.join

    def early(self: Any, frame: Any) -> Any:
        if self._live_remote() >= self._max_remote:
            raise topics.LinkFault(CloseCode.LIMIT, "too many topics")
        return join(self, frame)

    topics.Topics.join = early


@mutant
def crossing_join_answered() -> None:
    handle = incoming._HANDLERS[FrameType.JOIN]

    def eager(session: Any, frame: Any) -> bool:
        before = session.topics.get(frame.topic)
        asked = before is not None and before.state is TopicState.ASKED
        counted = bool(handle(session, frame))
        after = session.topics.get(frame.topic)
        if asked and after is not None and after.state is TopicState.OPEN:
            session.outbox.add(
                msg.Join(after.local + 1, JoinFlag(0), after.name, session.topics.own_cap(after.name)).encode_frame()
            )
        return counted

    incoming._HANDLERS[FrameType.JOIN] = eager


@mutant
def join_unanswered() -> None:
    say = Session.say_join

    def quiet(self: Any, topic: Any, *, answer: bool) -> None:
        if answer:
            topic.flags_told = self.topics.catalogue[topic.name].flags
        else:
            say(self, topic, answer=answer)

    Session.say_join = quiet


@mutant
def refuses_without_a_join() -> None:
    handle = incoming._HANDLERS[FrameType.LEAVE]

    def eager(session: Any, frame: Any) -> bool:
        if session.topics._by_remote.get(frame.handle) is None:
            session.outbox.add(msg.Refuse(frame.handle, 0).encode_frame())
        return bool(handle(session, frame))

    incoming._HANDLERS[FrameType.LEAVE] = eager


@mutant
def refused_handle_kept() -> None:
    join = topics.Topics.join

    def keeping(self: Any, frame: Any) -> Any:
        kept = self.__class__.kept.setdefault(id(self), set())
        if frame.handle in kept:
            raise topics.LinkFault(CloseCode.PROTOCOL, "this handle is in use")
        answer = join(self, frame)
        if answer.topic.state is TopicState.FREE:
            kept.add(frame.handle)
        return answer

    topics.Topics.kept = {}
    topics.Topics.join = keeping


@mutant
def wrong_cap_does_not_end_own_handle() -> None:
    _cells({(TopicState.ASKED, TopicInput.BAD_JOIN): TopicState.ASKED})


@mutant
def refuse_of_free_handle_closes() -> None:
    _cells({(TopicState.FREE, TopicInput.REFUSE): CloseCode.PROTOCOL})


@mutant
def leave_of_ended_handle_closes() -> None:
    _cells({(TopicState.FREE, TopicInput.LEAVE): CloseCode.PROTOCOL})


@mutant
def leave_of_ended_handle_answered() -> None:
    handle = incoming._HANDLERS[FrameType.LEAVE]

    def eager(session: Any, frame: Any) -> bool:
        if session.topics._by_remote.get(frame.handle) is None:
            session.outbox.add(msg.Leave(frame.handle).encode_frame())
        return bool(handle(session, frame))

    incoming._HANDLERS[FrameType.LEAVE] = eager


@mutant
def refuse_of_open_topic_ignored() -> None:
    incoming._HANDLERS[FrameType.REFUSE] = lambda session, frame: True


@mutant
def refuse_of_open_topic_unanswered() -> None:
    def quiet(session: Any, frame: Any) -> bool:
        ended = session.topics.refuse(frame.handle)
        if ended is not None:
            topic, before = ended
            if before is TopicState.OPEN:
                session.events.append(ev.TopicClosed(topic.name))
            session.events.append(ev.TopicRefused(topic.name))
        return ended is None

    incoming._HANDLERS[FrameType.REFUSE] = quiet


@mutant
def own_leave_frees_the_handle() -> None:
    topics.step_topic = lambda state, step: TopicState.FREE if step is TopicStep.SEND_LEAVE else step_topic(state, step)


@mutant
def leave_answered_twice() -> None:
    handle = incoming._HANDLERS[FrameType.LEAVE]

    def chatty(session: Any, frame: Any) -> bool:
        topic = session.topics._by_remote.get(frame.handle)
        leaving = topic is not None and topic.state is TopicState.LEAVING
        counted = bool(handle(session, frame))
        if leaving and topic is not None:
            session.outbox.add(msg.Leave(topic.local).encode_frame())
        return counted

    incoming._HANDLERS[FrameType.LEAVE] = chatty


@mutant
def object_before_the_cap() -> None:
    say = Session.say_join

    def hasty(self: Any, topic: Any, *, answer: bool) -> None:
        say(self, topic, answer=answer)
        offer = self.topics.catalogue[topic.name]
        if offer.info is not None:
            self.say_object(topic, offer.info)

    Session.say_join = hasty


@mutant
def frames_on_ended_handles_close() -> None:
    of_remote = topics.Topics.of_remote

    def strict(self: Any, handle: int) -> Any:
        found = of_remote(self, handle)
        if found is None:
            raise topics.LinkFault(CloseCode.PROTOCOL, "this handle has ended")
        return found

    topics.Topics.of_remote = strict


@mutant
def request_on_ended_handle_ignored() -> None:
    handle = incoming._HANDLERS[FrameType.REQUEST]
    incoming._HANDLERS[FrameType.REQUEST] = lambda session, frame: (
        session.topics.of_remote(frame.handle) is not None and handle(session, frame)
    )


@mutant
def object_of_an_earlier_opening_remembered() -> None:
    heard: dict[int, set[bytes]] = {}
    handle = incoming._HANDLERS[FrameType.OBJECT]

    def strict(session: Any, frame: Any) -> bool:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None:
            names = heard.setdefault(id(session), set())
            if topic.name in names:
                raise topics.LinkFault(CloseCode.PROTOCOL, "a second OBJECT")
            names.add(topic.name)
        return bool(handle(session, frame))

    incoming._HANDLERS[FrameType.OBJECT] = strict


@mutant
def requests_forgotten_with_the_topic() -> None:
    def leave(self: Any, topic: Any) -> None:
        self.outbox.add(msg.Leave(topic.local).encode_frame(), answer=True)
        for request in self.serving.of_topic(topic.name):
            self.serving.end(request)
            self.events.append(ev.RequestWithdrawn(request))

    Session.say_leave = leave


@mutant
def own_requests_forgotten_with_the_topic() -> None:
    say = Session.say_leave

    def leave(self: Any, topic: Any) -> None:
        say(self, topic)
        for number, asked in list(self.requests._open.items()):
            if asked.topic == topic.name:
                del self.requests._open[number]

    Session.say_leave = leave


@mutant
def first_topic_of_a_number() -> None:
    first: dict[tuple[int, int], Any] = {}
    of_remote = topics.Topics.of_remote

    def stale(self: Any, handle: int) -> Any:
        found = of_remote(self, handle)
        return first.setdefault((id(self), handle), found) if found is not None else None

    join = topics.Topics.join

    def remember(self: Any, frame: Any) -> Any:
        answer = join(self, frame)
        if answer.topic.state is TopicState.OPEN:
            first.setdefault((id(self), frame.handle), answer.topic)
        return answer

    topics.Topics.of_remote, topics.Topics.join = stale, remember


@mutant
def reserved_join_flags_refused() -> None:
    handle = incoming._HANDLERS[FrameType.JOIN]

    def strict(session: Any, frame: Any) -> bool:
        if int(frame.flags) & 0xF8:
            raise topics.LinkFault(CloseCode.PROTOCOL, "reserved flags")
        return bool(handle(session, frame))

    incoming._HANDLERS[FrameType.JOIN] = strict
