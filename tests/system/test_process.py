"""The event loop, the garbage collection and the open files of the process."""

import ast
import gc
import inspect
import itertools
import mmap
import os
import resource
from collections.abc import Callable
from textwrap import dedent

from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import twisted
from recodex_monitor.clients.connections import SPARE_FILES
from recodex_monitor.settings.schema import Limits
from recodex_monitor.system import process


class Watched(FileDescriptor):
    """The reading end of a pipe that has data; ``steps`` say what each read does."""

    def __init__(self, reactor: EPollReactor, *steps: object) -> None:
        super().__init__(reactor)
        self.steps = list(steps)
        self.reading, self.writing = os.pipe()
        os.write(self.writing, b"x")
        self.lost: list[type[BaseException] | None] = []

    def fileno(self) -> int:
        """Called by the reactor."""
        return self.reading

    def doRead(self) -> object:
        """Called by the reactor."""
        step = self.steps.pop(0)
        if callable(step):
            return step()
        if isinstance(step, ValueError):
            raise step
        return step

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor."""
        self.lost.append(reason.type)


class ReactorTestCase(SynchronousTestCase):
    """A reactor of its own, whose time goes on by a millisecond whenever it is asked for."""

    def setUp(self) -> None:
        """Make it."""
        self.patch(os, "environ", {})
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        looks = itertools.count()
        self.patch(self.reactor, "seconds", lambda: next(looks) / 1000)

    def run_with(self, *steps: object) -> Watched:
        """Run with a connection that does this, one step a read, until something stops it."""
        watched = Watched(self.reactor, *steps)
        for descriptor in (watched.reading, watched.writing):
            self.addCleanup(os.close, descriptor)
        self.reactor.addReader(watched)
        self.reactor.run(installSignalHandlers=False)
        self.reactor.removeAll()
        return watched


class LightLoopTests(ReactorTestCase):
    """A reactor with the light loop."""

    def setUp(self) -> None:
        """Give it the loop."""
        super().setUp()
        self.assertTrue(process.poll_lightly(self.reactor))

    def test_small_loop(self) -> None:
        """Reads follow each other without Twisted's own loop and its timed calls."""
        rounds = itertools.count()
        whole = self.reactor.runUntilCurrent
        self.patch(self.reactor, "runUntilCurrent", lambda: (next(rounds), whole()))
        watched = self.run_with(None, None, None, self.reactor.crash)
        self.assertEqual(watched.steps, [])
        # The first round calls what is to be called once the reactor runs.
        self.assertLessEqual(next(rounds), 2, "Twisted's loop polls in another way now")

    def test_lost(self) -> None:
        """A connection that reports its loss is closed, then timed calls get their turn."""
        self.reactor.callLater(0.001, self.reactor.crash)
        self.assertEqual(self.run_with(CONNECTION_LOST).lost, [type(CONNECTION_LOST)])

    def test_error(self) -> None:
        """An exception in one connection is logged and closes that connection only."""
        self.reactor.callLater(0.001, self.reactor.crash)
        self.assertEqual(self.run_with(ValueError("wrong")).lost, [ValueError])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def assert_not_starved(self, later: Callable[[], object]) -> None:
        """A connection that always has something to read does not keep other work from running."""
        watched = self.run_with(later, *[None] * 100_000)
        self.assertGreater(len(watched.steps), 0)

    def test_later(self) -> None:
        """Reads do not delay a timed call."""
        self.assert_not_starved(lambda: _nothing(self.reactor.callLater(0.001, self.reactor.crash)))

    def test_at_once(self) -> None:
        """Reads do not delay a call that is due at once."""
        self.assert_not_starved(lambda: _nothing(self.reactor.callLater(0, self.reactor.crash)))

    def test_other_thread(self) -> None:
        """Reads do not delay a call from another thread."""
        self.assert_not_starved(lambda: self.reactor.callFromThread(self.reactor.crash))

    def test_stop(self) -> None:
        """Reads do not delay a stop."""
        self.assert_not_starved(self.reactor.stop)


class PrivateFieldsTests(ReactorTestCase):
    """What the light loop relies on in Twisted."""

    def test_private_fields(self) -> None:
        """This Twisted has every field that the light loop uses, and it uses no other."""
        hint = "the monitor falls back to Twisted's loop until process.light_loop is adapted"
        unusable = list(process.unusable_fields(self.reactor))
        self.assertEqual(unusable, [], f"Twisted {twisted.__version__} differs: {hint}")
        tree = ast.parse(dedent(inspect.getsource(process.light_loop)))
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "reactor"
        }
        self.assertEqual(used - {"seconds"}, set(process.LOOP_FIELDS))


class OwnLoopTests(ReactorTestCase):
    """Where the light loop cannot or shall not be used, Twisted's own loop runs."""

    def assert_own_loop(self, reason: str) -> None:
        """The reactor keeps its loop, one line of the log says why, and it works."""
        with capturedLogs() as events:
            self.assertFalse(process.poll_lightly(self.reactor))
        (event,) = events
        self.assertIn(reason, event["log_format"].format(**event))
        self.assertNotIn("doIteration", vars(self.reactor))
        self.assertEqual(self.run_with(None, self.reactor.crash).steps, [])

    def test_environment(self) -> None:
        """An environment variable switches the light loop off."""
        os.environ[process.PLAIN_LOOP] = "1"
        self.assert_own_loop("RECODEX_MONITOR_PLAIN_LOOP is set")

    def test_changed_field(self) -> None:
        """A field of another type is noticed."""
        self.patch(self.reactor, "_justStopped", None)
        self.assert_own_loop("does not know this reactor (_justStopped)")

    def test_changed_loop(self) -> None:
        """A reactor that polls by another method is noticed."""
        self.patch(EPollReactor, "doIteration", lambda reactor, timeout: reactor.doPoll(timeout))
        self.assert_own_loop("does not know this reactor (doIteration)")

    def test_other_reactor(self) -> None:
        """So is a reactor that does not use epoll, which is left as it is."""
        reactor = MemoryReactorClock()
        with capturedLogs() as events:
            self.assertFalse(process.poll_lightly(reactor))
        self.assertEqual([event["what"] for event in events], ["epoll"])

    def test_missing_field(self) -> None:
        """A field that is gone is noticed."""
        del self.reactor._newTimedCalls
        self.assertEqual(list(process.unusable_fields(self.reactor)), ["_newTimedCalls"])


class GarbageTests(SynchronousTestCase):
    """The garbage collection."""

    def test_frozen(self) -> None:
        """What exists at the start is not looked at again, and collections are rare."""
        self.addCleanup(gc.unfreeze)
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        process.tame_garbage_collection()
        self.assertGreater(gc.get_freeze_count(), 1000)
        self.assertEqual(gc.get_threshold(), (50_000, 20, 100))


class FilesTests(SynchronousTestCase):
    """The limit of open files, and what the process takes."""

    def setUp(self) -> None:
        """Pretend limits."""
        self.set: list[tuple[int, int]] = []
        self.patch(resource, "getrlimit", lambda kind: (1024, 4096))
        self.patch(resource, "setrlimit", lambda kind, limits: self.set.append(limits))

    def test_raised(self) -> None:
        """The soft limit becomes the hard one, silently where that is enough."""
        with capturedLogs() as events:
            process.allow_open_files(3996, 100)
        self.assertEqual((self.set, events), ([(4096, 4096)], []))

    def test_too_few(self) -> None:
        """A hard limit that is too low is a warning that tells what to set."""
        with capturedLogs() as events:
            process.allow_open_files(16384, 100)
        (event,) = events
        text = formatEvent(event)
        self.assertIn("may open 4096 files, which is enough for 3996 clients", text)
        self.assertIn("LimitNOFILE=16484", text)
        self.assertIn("limits.max_connections to 3996", text)

    def test_usual(self) -> None:
        """The defaults fit the limits of systemd, of a login, of containers, and of no limit."""
        for hard in (524288, 1048576, 65536, 20000, resource.RLIM_INFINITY):
            self.patch(resource, "getrlimit", lambda kind, hard=hard: (1024, hard))
            with capturedLogs() as events:
                process.allow_open_files(Limits().max_connections, SPARE_FILES)
            self.assertEqual(events, [])

    def test_open_files(self) -> None:
        """A file that is opened counts, once it is closed it does not."""
        before = process.open_files()
        with open(os.devnull):
            self.assertEqual(process.open_files(), before + 1)
        self.assertEqual(process.open_files(), before)

    def test_memory(self) -> None:
        """Memory is what is resident, in bytes."""
        before = process.memory()
        # Not from malloc, which may still hold as much that is resident already.
        with mmap.mmap(-1, 2**24) as held:
            for page in range(0, len(held), mmap.PAGESIZE):
                held[page] = 1
            self.assertGreater(process.memory(), before + len(held) / 2)


def _nothing(_: object) -> None:
    """What a read returns when all is well."""
