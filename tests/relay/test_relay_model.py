"""Nodes in any order of events: each follower's list is the log."""

import json
import os
import re

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Subscription
from recodex_monitor.channels.message import Message, parse
from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.relay import engine, late
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.parts import Role
from tests.relay.support import Follower, Node
from tests.relay.support import log as texts_in
from tests.support.fake_engine import FakeServer

CHANNELS = ("a", "b", "c")
NODES = 3


def shown(texts: list[bytes]) -> str:
    """Messages, as short as can be."""
    return " ".join(re.sub(r"\D", "", text.decode()) or "END" for text in texts)


class Following(Follower):
    """A follower that joins once its channel is loaded, and which begins again if it has to.

    Attributes:
        got: the texts that it has read.
        is_begun: whether its channel was loaded.
    """

    def __init__(self, node: Node, channel_id: str, *, has_ids: bool) -> None:
        Subscription.__init__(self)  # it is not in the hub yet
        self.got = []
        self._has_ids = has_ids
        self.node = node
        self.channel_id = channel_id
        self.ended = self.is_begun = self.has_left = False

    def wake(self) -> bool:
        """Read everything."""
        super().wake()
        self.ended = self.channel.end is not None
        return False

    def restart(self) -> None:
        """Begin again, as a client does that was cut off."""
        self.node.machine.follow(self.node, self.channel_id, has_ids=self._has_ids)
        self.has_left = True


class Machine(RuleBasedStateMachine):
    """Three nodes, one engine, a broker that talks to whoever listens."""

    @initialize()
    def begin(self) -> None:
        """All nodes start, and one owns."""
        self.clock = Clock()
        self.keys = Keys("rx")
        self.server = FakeServer(self.clock.seconds, self.keys)
        self.logs: dict[str, list[bytes]] = {name: [] for name in CHANNELS}
        self.followers: list[Following] = []
        self.nodes = [Node(self, f"n{number}") for number in range(NODES)]
        self.talks_to: Node | None = None
        self.number = 0
        self.snapshot = self.server.copy()
        self.epochs: dict[str, str] = {}
        self.may_renew = False
        self.settle(100)

    def pass_time(self, seconds: float, steps: int = 1000) -> None:
        """Let time pass, and the engine do what waits."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            for node in self.nodes:
                node.clock.tick()
            self.serve(steps)

    def serve(self, steps: int) -> None:
        """Let the engine do some commands."""
        while steps and self.server.step():
            steps -= 1

    def settle(self, seconds: int) -> None:
        """Let everything come to rest."""
        self.server.is_up = True
        for node in self.nodes:
            node.dialer.is_cut = False
        self.pass_time(seconds)

    @rule(channel=st.sampled_from(CHANNELS), count=st.integers(1, 5), end=st.booleans())
    def speak(self, channel: str, count: int, end: bool) -> None:
        """The broker says something, if somebody listens."""
        if self.talks_to is None or not self.talks_to.is_bound:
            self.talks_to = next((one for one in self.nodes if one.is_bound), None)
        if self.talks_to is None:
            return
        log = self.logs[channel]
        if log and b"FINISHED" in log[-1]:
            return
        messages: list[Message] = []
        for _ in range(count):
            self.number += 1
            messages.append(parse([channel.encode(), b"TASK", b"%d" % self.number, b"COMPLETED"]))
        if end and self.number > 30:
            messages.append(parse([channel.encode(), b"FINISHED"]))
        log += [message.text for message in messages]
        self.talks_to.relay.publish(messages)

    @rule(node=st.integers(0, NODES - 1), channel=st.sampled_from(CHANNELS), has_ids=st.booleans())
    def join(self, node: int, channel: str, has_ids: bool = False) -> None:
        """Somebody follows a channel, by its id alone or by the ids of messages."""
        self.follow(self.nodes[node], channel, has_ids=has_ids)

    def follow(self, node: Node, channel: str, *, has_ids: bool) -> None:
        """Follow a channel on a node."""
        one = Following(node, channel, has_ids=has_ids)

        def begin() -> None:
            if not one.has_left:
                node.hub.subscribe(channel, one)
                one.is_begun = True
                node.hub.wake(one)

        def refuse() -> None:
            one.has_left = True

        try:
            node.hub.source.when_loaded(channel, begin, refuse)
        except NoRoom:
            return
        self.followers.append(one)

    @precondition(lambda self: self.followers)
    @rule(index=st.integers(0, 100))
    def leave(self, index: int) -> None:
        """A follower leaves."""
        one = self.followers.pop(index % len(self.followers))
        one.has_left = True
        if one.is_begun:
            one.node.hub.unsubscribe(one)

    @rule(steps=st.integers(1, 6))
    def some_commands(self, steps: int) -> None:
        """The engine does a few commands."""
        self.serve(steps)

    @rule(tenths=st.integers(1, 40), steps=st.sampled_from([0, 1, 3, 1000]))
    def wait(self, tenths: int, steps: int) -> None:
        """Time passes while the engine is slow or not."""
        self.pass_time(tenths / 10, steps)

    @rule(node=st.integers(0, NODES - 1), is_heard=st.booleans())
    def cut_once(self, node: int, is_heard: bool) -> None:
        """The connections of a node are lost, before a command arrives or before its reply does."""
        self.nodes[node].dialer.cut(is_heard=is_heard)

    @precondition(lambda self: self.owner is not None)
    @rule(is_heard=st.booleans(), channel=st.sampled_from(CHANNELS), tenths=st.integers(0, 60))
    def isolate_owner(self, is_heard: bool, channel: str, tenths: int) -> None:
        """The owner, to which the broker talks, loses the engine until another has taken over."""
        owner = self.owner
        assert owner is not None
        self.speak(channel, 2, end=False)
        owner.dialer.is_cut = True
        owner.dialer.cut(is_heard=is_heard)
        self.speak(channel, 1, end=False)
        self.pass_time(tenths / 10)
        self.speak(channel, 2, end=False)
        owner.dialer.is_cut = False
        self.pass_time(0.3)
        self.speak(channel, 1, end=False)

    @rule(node=st.integers(0, NODES - 1), is_cut=st.booleans())
    def cut_for_longer(self, node: int, is_cut: bool) -> None:
        """A node cannot reach the engine, or can again."""
        dialer = self.nodes[node].dialer
        dialer.is_cut = is_cut
        if is_cut:
            dialer.cut()

    @rule(node=st.integers(0, NODES - 1), is_heard=st.booleans())
    def crash(self, node: int, is_heard: bool) -> None:
        """A node's process is killed, and another one starts; what it alone had is lost."""
        gone = self.nodes[node]
        others = [one for one in self.nodes if one is not gone]
        if any(one.relay.role is Role.YIELDING for one in others):
            return
        gone.dialer.is_cut, gone.is_bound = True, False
        gone.relay.stop()
        gone.dialer.cut(is_heard=is_heard)
        self.lose(others)
        for one in self.followers:
            one.has_left = one.has_left or one.node is gone
        self.followers = [one for one in self.followers if not one.has_left]
        self.nodes[node] = Node(self, f"n{node}")

    def lose(self, nodes: list[Node]) -> None:
        """Take from the logs what neither these nodes nor the engine have."""
        late = b" ".join(self.server.data.get(b"rx:late", []))
        pending = [one for node in nodes for one in node.relay.publisher.intake.pending.values()]
        waiting = {text for one in pending for text in one.texts}
        owners = [node for node in nodes if node.relay.role is Role.OWNER]
        for channel, log in self.logs.items():
            kept = {fields[b"m"] for _, _, fields in self.server.stream(self.keys.stream(channel))}
            for node in owners:
                kept.update(texts_in(node.hub.channels.get(channel)))
            escaped = [json.dumps(text.decode()).encode() for text in log]
            self.logs[channel] = [
                text
                for text, inner in zip(log, escaped, strict=True)
                if text in waiting or text in kept or inner in late
            ]

    @rule(node=st.integers(0, NODES - 1))
    def terminate(self, node: int) -> None:
        """A node is stopped by SIGTERM, and started again."""
        ensureDeferred(self.nodes[node].relay.give_up(5.0))
        self.pass_time(6)
        others = [one.relay.role for at, one in enumerate(self.nodes) if at != node]
        if Role.YIELDING in others:
            self.settle(30)
        self.crash(node, is_heard=True)

    @rule(is_up=st.booleans())
    def stop_engine(self, is_up: bool) -> None:
        """The engine ends, with its data kept, or is back."""
        if self.server.is_up and not is_up:
            self.server.is_up, self.may_renew = False, True
            self.server.restart(*self.server.copy())
        self.server.is_up = is_up

    @rule()
    def take_snapshot(self) -> None:
        """The engine writes its data to the disk."""
        # Late messages that are there again after another owner has taken them are repeated.
        if not self.server.data.get(b"rx:late") and not self.server.data.get(b"rx:yielding"):
            self.snapshot = self.server.copy()

    @property
    def owner(self) -> Node | None:
        """The owner that will be there to send again what the engine loses."""
        owners = [one for one in self.nodes if one.relay.role is Role.OWNER]
        if len(owners) != 1 or owners[0].dialer.is_cut:
            return None
        token = owners[0].relay._lease.token.encode()
        fence = self.server.data.get(b"rx:fence", {}).get("token")
        busy = any(one.relay.role in (Role.TAKING, Role.YIELDING) for one in self.nodes)
        return owners[0] if token == fence and not busy else None

    @precondition(lambda self: self.owner is not None and not self.server.data.get(b"rx:late"))
    @rule(is_empty=st.booleans(), node=st.integers(0, NODES - 1))
    def lose_data(self, is_empty: bool, node: int) -> None:
        """The engine comes back with an old state, or none."""
        self.server.restart(*(({}, {}) if is_empty else self.snapshot))
        self.server.is_up = True
        self.recover(node)

    @precondition(lambda self: self.owner is not None and not self.server.data.get(b"rx:late"))
    @rule(node=st.integers(0, NODES - 1))
    def flush(self, node: int) -> None:
        """Somebody empties the engine."""
        self.server.is_up = True
        self.server.data.clear()
        self.server.expires.clear()
        self.recover(node)

    def recover(self, node: int) -> None:
        """Let the owner send again what was lost, while the connections of a node are lost."""
        self.may_renew = True
        self.serve(7)
        self.nodes[node].dialer.cut(is_heard=True)
        self.pass_time(5)

    @invariant()
    def nothing_wrong_is_read(self) -> None:
        """What a follower has read is the beginning of the log."""
        for one in getattr(self, "followers", ()):
            if not one.has_left:
                log = self.logs[one.channel_id]
                assert one.got == log[: len(one.got)], (shown(one.got), shown(log))

    @invariant()
    def epochs_are_kept(self) -> None:
        """A channel has another epoch only where the engine may have lost data."""
        for channel in CHANNELS if hasattr(self, "epochs") else ():
            entries = self.server.stream(self.keys.stream(channel))
            if entries and not self.may_renew:
                assert self.epochs.setdefault(channel, entries[-1][1]) == entries[-1][1]

    def teardown(self) -> None:
        """In the end, all followers have read everything."""
        if not hasattr(self, "nodes"):
            return
        self.settle(60)
        states = [(one.relay.role.value, one.is_bound) for one in self.nodes]
        assert sorted(states) == [("edge", False), ("edge", False), ("owner", True)], states
        for one in self.followers:
            if not one.has_left:
                assert one.is_begun
                log = self.logs[one.channel_id]
                assert one.got == log, (one.node.relay.role, shown(one.got), shown(log))
        owner = next(one for one in self.nodes if one.is_bound)
        assert not owner.relay.publisher.intake.pending
        for node in self.nodes:
            node.relay.stop()


class MachineTestCase(SynchronousTestCase):
    """Without chance, and with patience: whoever loses it gives up the order of messages."""

    def setUp(self) -> None:
        """Set what the machine needs."""
        self.patch(engine, "JITTER", 0.0)
        self.patch(late, "HOLD_TIMEOUT", 1000.0)


class AnyOrderTests(MachineTestCase):
    """Any order of events."""

    def test_lists_are_the_log(self) -> None:
        """Whatever is lost, cut or slow: each follower gets each message once, and in order."""
        run_state_machine_as_test(
            Machine,
            settings=settings(
                deadline=None,
                max_examples=int(os.environ.get("RELAY_EXAMPLES", 30)),
                # The same examples in every run, unless more are asked for.
                derandomize="RELAY_EXAMPLES" not in os.environ,
                database=None,
                stateful_step_count=40,
                suppress_health_check=list(HealthCheck),
            ),
        )
