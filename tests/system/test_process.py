"""What a monitor asks of its process."""

import itertools
import os
from collections.abc import Callable

from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system.process import poll_lightly


class Watched(FileDescriptor):
    """The reading end of a pipe in which there is something; steps say what a read does."""

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


class PollLightlyTests(SynchronousTestCase):
    """A reactor with the small loop, run until something ends it."""

    def setUp(self) -> None:
        """A reactor of its own, whose clock goes on by a millisecond at each look."""
        self.reactor = EPollReactor()
        looks = itertools.count()
        self.patch(self.reactor, "seconds", lambda: next(looks) / 1000)
        poll_lightly(self.reactor)
        self.addCleanup(self.reactor._poller.close)

    def run_with(self, *steps: object) -> Watched:
        """Run with a connection that does this, one step a read."""
        watched = Watched(self.reactor, *steps)
        for descriptor in (watched.reading, watched.writing):
            self.addCleanup(os.close, descriptor)
        self.reactor.addReader(watched)
        self.reactor.run(installSignalHandlers=False)
        self.reactor.removeAll()
        return watched

    def test_small_loop(self) -> None:
        """Reads follow each other without the reactor's own loop, and without timed calls."""
        rounds = itertools.count()
        whole = self.reactor.runUntilCurrent
        self.patch(self.reactor, "runUntilCurrent", lambda: (next(rounds), whole()))
        watched = self.run_with(None, None, None, self.reactor.crash)
        self.assertEqual(watched.steps, [])
        # The first calls what was to be called when it runs.
        self.assertLessEqual(next(rounds), 2, "Twisted's loop polls by another way now")

    def test_lost(self) -> None:
        """A connection is lost where it says so; what it has called then comes."""
        self.reactor.callLater(0.001, self.reactor.crash)
        self.assertEqual(self.run_with(CONNECTION_LOST).lost, [type(CONNECTION_LOST)])

    def test_error(self) -> None:
        """An error of one is logged and ends it alone."""
        self.reactor.callLater(0.001, self.reactor.crash)
        self.assertEqual(self.run_with(ValueError("wrong")).lost, [ValueError])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def others_have_their_turn(self, later: Callable[[], object]) -> None:
        """A connection that always has something to read lets something else happen."""
        watched = self.run_with(later, *[None] * 100_000)
        self.assertGreater(len(watched.steps), 0)

    def test_later(self) -> None:
        """Reads do not keep a call for later waiting."""
        self.others_have_their_turn(
            lambda: _nothing(self.reactor.callLater(0.001, self.reactor.crash))
        )

    def test_at_once(self) -> None:
        """Nor one that is due."""
        self.others_have_their_turn(lambda: _nothing(self.reactor.callLater(0, self.reactor.crash)))

    def test_other_thread(self) -> None:
        """Nor one of another thread."""
        self.others_have_their_turn(lambda: self.reactor.callFromThread(self.reactor.crash))

    def test_stop(self) -> None:
        """Nor a stop."""
        self.others_have_their_turn(self.reactor.stop)


def _nothing(_: object) -> None:
    """What a read returns where all is well."""
