"""Nodes and parts of nodes with an engine in memory, whose time the test lets pass."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel, Subscription
from recodex_monitor.channels.frames import spans
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import Message, parse
from recodex_monitor.relay import engine
from recodex_monitor.relay.connection import EngineAway, EngineError, Word
from recodex_monitor.relay.engine import Script
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.mirror import Mirror
from recodex_monitor.relay.relay import Relay
from recodex_monitor.settings.schema import Channels, Cluster, Limits, LiveSettings
from recodex_monitor.timing.clock import LoopClock
from tests.support.fake_engine import FakeDialer, FakeServer, packed


def said(*numbers: int, channel: str = "job", ends: bool = False) -> list[Message]:
    """The broker's messages about tasks with these numbers, and FINISHED if it ends there."""
    frames = [[channel.encode(), b"TASK", b"%d" % number, b"COMPLETED"] for number in numbers]
    if ends:
        frames.append([channel.encode(), b"FINISHED"])
    return [*map(parse, frames)]


def texts(*numbers: int, ends: bool = False) -> list[bytes]:
    """The texts of these messages."""
    return [message.text for message in said(*numbers, ends=ends)]


def log(channel: Channel | None) -> list[bytes]:
    """The texts of a hub's channel."""
    return [bytes(channel.log[span]) for span in spans(channel.log)] if channel is not None else []


class Follower(Subscription):
    """A follower that reads at once, and notes whether it has to begin again."""

    def __init__(self, hub: Hub, channel: str = "job", *, has_ids: bool = False) -> None:
        super().__init__()
        self.got: list[bytes] = []
        self.is_restarted = False
        self._has_ids = has_ids
        hub.subscribe(channel, self)
        hub.wake(self)

    @property
    def has_ids(self) -> bool:
        """Whether it knows the messages by their ids."""
        return self._has_ids

    def wake(self) -> bool:
        """Read everything."""
        while frames := self.read():
            self.got += [frames[span] for span in spans(frames)]
        return False

    def restart(self) -> None:
        """Begin again."""
        self.is_restarted = True

    def abandon(self) -> None:
        """Never called."""
        raise AssertionError("a follower was abandoned")


class DirectEngine:
    """An engine for one part of the relay: it does a command at once, or when it is told to.

    Attributes:
        server: what does them.
        is_up: whether it is there.
        is_slow: whether commands wait for ``answer``.
        names: that were subscribed to.
        called: the commands, without their arguments.
    """

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.is_up, self.is_slow = True, False
        self.names: list[bytes] = []
        self.called: list[str] = []
        self._waiting: list[tuple[tuple[Word, ...], Deferred[Any]]] = []

    def call(self, *words: Word) -> "Deferred[Any]":
        """Do a command."""
        self.called.append(str(words[0]))
        if self.is_slow and self.is_up:
            self._waiting.append((words, Deferred()))
            return self._waiting[-1][1]
        return self._do(words)

    def _do(self, words: tuple[Word, ...]) -> "Deferred[Any]":
        if not self.is_up:
            return fail(EngineAway("away"))
        try:
            return succeed(self.server.do([*map(packed, words)]))
        except EngineError as error:
            return fail(error)

    def answer(self, *, is_lost: bool = False) -> None:
        """Do what waits; ``is_lost`` if the replies do not arrive."""
        waiting, self._waiting = self._waiting, []
        for words, reply in waiting:
            done = self._do(words)
            if is_lost:
                done.addErrback(lambda _: None)
                done = fail(EngineAway("lost"))
            done.chainDeferred(reply)

    def run(self, script: Script, keys: Sequence[Word], values: Sequence[Word]) -> "Deferred[Any]":
        """Run a script."""
        return self.call("EVALSHA", script.sha, len(keys), *keys, *values)

    def subscribe(self, names: Sequence[bytes]) -> None:
        """Subscribe to names."""
        self.names += names

    def unsubscribe(self, names: Sequence[bytes]) -> None:
        """Subscribe no more."""
        self.names = [name for name in self.names if name not in names]


class PartTestCase(SynchronousTestCase):
    """A hub and an engine, for one part between them."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.keys = Keys("rx")
        self.server = FakeServer(self.clock.seconds, self.keys)
        self.engine = DirectEngine(self.server)
        self.live = LiveSettings(Channels(retention=30, idle_timeout=60), Limits())
        self.hub = Hub(self.clock, self.live)
        self.mirror = Mirror(self.hub, self.clock)

    def pushed(self, *numbers: int, epoch: str = "7", ends: bool = False) -> None:
        """Let the engine have these tasks of the job, from its first message on."""
        new = [(text, b"%d" % at) for at, text in enumerate(texts(*numbers, ends=ends), 1)]
        self.server.data[self.keys.stream("job")] = [
            (int(at), epoch, {b"m": text, b"t": b"0"} | self._end(text)) for text, at in new
        ]

    def _end(self, text: bytes) -> dict[bytes, bytes]:
        return {b"e": b"finished"} if b"FINISHED" in text else {}

    @property
    def streamed(self) -> list[bytes]:
        """The texts that the engine has of the job."""
        return [fields[b"m"] for _, _, fields in self.server.stream(self.keys.stream("job"))]

    @property
    def logged(self) -> list[bytes]:
        """The texts that the hub has of the job."""
        return log(self.hub.channels.get("job"))


class Node:
    """A node; the broker's side of which is a flag."""

    def __init__(
        self, machine: Any, name: str, channels: Channels | None = None, **settings: Any
    ) -> None:
        """Start it.

        Args:
            machine: has the clock, the keys and the server.
            name: of the node.
            channels: settings of channels; by default they last long.
            settings: of the cluster.
        """
        self.machine = machine
        self.is_bound = False
        self.is_taken = False
        self.clock = LoopClock(machine.clock)
        channels = channels or Channels(retention=10_000, idle_timeout=10_000)
        live = LiveSettings(channels, Limits())
        self.hub = Hub(self.clock, live)
        self.dialer = FakeDialer(machine.server, machine.keys, machine.clock)
        # Whoever loses patience gives up the order of what is handed over.
        given: dict[str, Any] = {"name": name, "lease": 1.5, "patience": 1000, **settings}
        cluster = Cluster(**given)
        dialer: Any = self.dialer
        self.relay = Relay(cluster, live, self.hub, self.clock, dialer)
        self.relay.start(self)

    @property
    def peers(self) -> "Node":
        """The connections from brokers."""
        return self

    connected = 1

    def startService(self) -> None:
        """Listen for the broker."""
        if self.is_taken:
            raise OSError(98, "Address already in use")
        self.is_bound = True

    def stopService(self) -> None:
        """Listen no more."""
        self.is_bound = False


class NodesTestCase(SynchronousTestCase):
    """Nodes with one engine."""

    def setUp(self) -> None:
        """Make the engine."""
        self.patch(engine, "JITTER", 0.0)
        self.clock = Clock()
        self.keys = Keys("rx")
        self.server = FakeServer(self.clock.seconds, self.keys)
        self.nodes: list[Node] = []

    def node(self, **settings: Any) -> Node:
        """Start another node."""
        node = Node(self, f"n{len(self.nodes)}", **settings)
        self.nodes.append(node)
        self.addCleanup(node.relay.stop)
        return node

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            for node in self.nodes:
                node.clock.tick()
            while self.server.step():
                pass

    def cut(self, node: Node, *, is_heard: bool = False) -> None:
        """Cut a node off from the engine."""
        node.dialer.is_cut = True
        node.dialer.cut(is_heard=is_heard)

    def has(self, node: Node, *numbers: int) -> None:
        """Check what a node has of the job."""
        self.assertEqual(log(node.hub.channels.get("job")), texts(*numbers))
