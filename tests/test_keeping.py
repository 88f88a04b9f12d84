"""Ids, ends and restoring are the same, whether memory, a file or a cluster keeps channels.

One contract, which all that keeps channels must hold: a client is told the same by each of them.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.event_ids import count_at
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import Message, finished
from recodex_monitor.settings.schema import Channels
from tests.history.support import Monitor, folder
from tests.relay.support import Node, NodesTestCase, log
from tests.support.messages import message
from tests.support.settings import live

RETENTION, GRACE, IDLE = 30, 10, 60

TASK = ("TASK", "1", "COMPLETED")


class Keeping:
    """What keeps channels, with the test's clock."""

    def hub(self) -> Hub:
        """What serves clients now."""
        raise NotImplementedError

    def publish(self, messages: list[Message]) -> None:
        """Take the broker's messages, and have them where clients see them."""
        raise NotImplementedError

    def let_pass(self, seconds: int) -> None:
        """Let time pass, with what is done every second."""
        raise NotImplementedError

    def restart(self) -> None:
        """Let the process that served be killed, and another one serve."""

    is_kept = True
    """Whether channels outlive the process."""


class Memory(Keeping):
    """One process without a file."""

    is_kept = False

    def __init__(self, case: SynchronousTestCase) -> None:
        self.clock = Clock()
        self._hub = Hub(
            self.clock, live(retention=RETENTION, failed_grace=GRACE, idle_timeout=IDLE)
        )

    def hub(self) -> Hub:
        """The only one."""
        return self._hub

    def publish(self, messages: list[Message]) -> None:
        """Publish them."""
        self._hub.publish(messages)

    def let_pass(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.clock.advance(1)
            self._hub.expire()


class File(Keeping):
    """One process with a history file."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.monitor = Monitor(folder(case), Clock()).start()
        case.addCleanup(self.monitor.close)

    def hub(self) -> Hub:
        """That of the present process."""
        return self.monitor.hub

    def publish(self, messages: list[Message]) -> None:
        """Publish them."""
        self.monitor.hub.publish(messages)

    def let_pass(self, seconds: int) -> None:
        """Let time pass."""
        self.monitor.let_pass(seconds)

    def restart(self) -> None:
        """Start with the file that a kill leaves."""
        self.monitor = self.monitor.after_kill().start()


class Nodes(Keeping):
    """A cluster, of which the owner is killed."""

    def __init__(self, case: "ClusterTests") -> None:
        self.case = case
        case.nodes += [self._start(), self._start()]
        case.pass_time(5)

    def _start(self) -> Node:
        channels = Channels(retention=RETENTION, failed_grace=GRACE, idle_timeout=IDLE)
        node = Node(self.case, f"n{len(self.case.nodes)}", channels)
        self.case.addCleanup(node.relay.stop)
        return node

    @property
    def owner(self) -> Node:
        """The node that owns."""
        return next(node for node in self.case.nodes if node.is_bound)

    def hub(self) -> Hub:
        """The owner's."""
        return self.owner.hub

    def publish(self, messages: list[Message]) -> None:
        """Let the owner have them."""
        self.owner.relay.publish(messages)
        self.case.pass_time(0.5)

    def let_pass(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.case.pass_time(1)
            for node in self.case.nodes:
                node.relay.expire()

    def restart(self) -> None:
        """Kill the owner, until another one is there."""
        gone = self.owner
        self.case.cut(gone)
        gone.relay.stop()
        self.case.nodes.remove(gone)
        self.case.nodes.append(self._start())
        self.case.pass_time(3)


class Contract:
    """What a client may rely on; a test case beside it has ``keeping``."""

    keeping: Keeping

    def say(self, *commands: tuple[str, ...], channel: str = "job") -> None:
        """The broker says something."""
        self.keeping.publish([message(channel, *command) for command in commands])

    def found(self, channel: str = "job") -> Channel:
        """What is known of a channel, once it is loaded."""
        hub = self.keeping.hub()
        hub.source.when_loaded(channel, lambda: None, lambda: None)
        self.keeping.let_pass(1)
        found = hub.retention.find(channel)
        assert found is not None
        return found

    def restart(self) -> None:
        """Let another process serve, where channels outlive the first."""
        if self.keeping.is_kept:
            self.keeping.restart()

    def told(self, channel: Channel) -> tuple[object, ...]:
        """All that clients are told of a channel."""
        return channel.epoch, channel.count, log(channel), channel.end, channel.outcome

    def check(self, *values: object) -> None:
        """Check that the first value equals each of the others."""
        for value in values[1:]:
            assert value == values[0], (value, values[0])

    def test_ids(self) -> None:
        """Messages are counted from 1; an id is that of one message for ever, and of no other."""
        self.say(TASK, TASK)
        self.say(TASK)
        first = self.found()
        ids = [f"{first.epoch}:{number}" for number in range(1, 6)]
        self.restart()
        self.say(TASK)
        channel = self.found()
        self.check([count_at(channel, one) for one in ids], [1, 2, 3, 4, None])
        for other in ("", "1", f"{first.epoch}:0", f"x{first.epoch}:1"):
            self.check(count_at(channel, other), None)

    def test_restored(self) -> None:
        """What was said and how it ended is told by the next process as by the first."""
        self.say(TASK, channel="running")
        self.say(TASK, ("FAILED", "why"), channel="failing")
        self.say(TASK, ("FINISHED",), channel="done")
        self.say(TASK, ("FAILED", "why"), ("FINISHED",), channel="failed")
        names = ("running", "failing", "done", "failed")
        before = [self.told(self.found(name)) for name in names]
        self.restart()
        self.check([self.told(self.found(name)) for name in names], before)
        ends = [(self.found(name).end, self.found(name).outcome) for name in names[2:]]
        self.check(ends, [(End.FINISHED, End.FINISHED), (End.FINISHED, End.FAILED)])

    def test_nothing_after_the_end(self) -> None:
        """What comes after the end is dropped, also by the next process."""
        self.say(TASK, ("FINISHED",), TASK)
        before = self.told(self.found())
        self.restart()
        self.say(TASK)
        self.check(self.told(self.found()), before)
        self.check(before[1:4:2], (2, End.FINISHED))

    def test_ended_by_time(self) -> None:
        """Silence ends a channel as FINISHED does, of which the last message then tells."""
        for restarts in (False, True):
            names = [f"failing{restarts}", f"silent{restarts}"]
            self.say(TASK, ("FAILED", "why"), channel=names[0])
            self.say(TASK, channel=names[1])
            if restarts:
                self.restart()
            self.keeping.let_pass(GRACE + 4)
            failing, silent = map(self.found, names)
            self.check((failing.end, failing.outcome, failing.count), (End.FAILED, End.FAILED, 3))
            self.check(silent.end, None)
            self.keeping.let_pass(IDLE - GRACE)
            silent = self.found(names[1])
            self.check((silent.end, silent.outcome, silent.count), (End.EXPIRED, End.EXPIRED, 2))
            self.check(log(silent)[-1], finished(names[1]).text)

    def test_forgotten(self) -> None:
        """After its retention, it is known how a channel ended, and which id its end had."""
        self.say(TASK, ("FAILED", "why"), ("FINISHED",))
        before = self.found()
        self.keeping.let_pass(RETENTION + 2)
        for _ in range(2):
            gone = self.found()
            self.check(self.told(gone)[:2], (before.epoch, 3))
            self.check((gone.end, gone.outcome), (End.FINISHED, End.FAILED))
            self.check(log(gone), [finished("job").text])
            self.check(count_at(gone, f"{before.epoch}:3"), 3)
            self.check(count_at(gone, f"{before.epoch}:1"), None)
            self.restart()

    def test_another_life(self) -> None:
        """A job that is evaluated again has another epoch: no id is that of two messages."""
        self.say(TASK, ("FINISHED",))
        before = self.found()
        self.keeping.let_pass(RETENTION + 2)
        self.restart()
        self.say(TASK)
        after = self.found()
        self.check((after.count, after.end), (1, None))
        self.check(before.epoch != after.epoch, True)
        self.check(count_at(after, f"{before.epoch}:1"), None)


class MemoryTests(Contract, SynchronousTestCase):
    """Memory."""

    def setUp(self) -> None:
        """Begin."""
        self.keeping = Memory(self)


class FileTests(Contract, SynchronousTestCase):
    """The history file."""

    def setUp(self) -> None:
        """Begin."""
        self.keeping = File(self)


class ClusterTests(Contract, NodesTestCase):
    """A cluster."""

    def setUp(self) -> None:
        """Begin."""
        super().setUp()
        self.keeping = Nodes(self)
