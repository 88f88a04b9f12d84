"""What a monitor asks of its process."""

import os
from typing import Any

from twisted.internet import epollreactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.process import call_directly


class Watched(FileDescriptor):
    """The reading end of a pipe in which there is something."""

    def __init__(self, reactor: epollreactor.EPollReactor, error: Exception | None = None) -> None:
        super().__init__(reactor)
        self.error = error
        self.reading, self.writing = os.pipe()
        os.write(self.writing, b"x")
        self.callers: list[str] = []
        self.lost: list[type[BaseException] | None] = []

    def fileno(self) -> int:
        """Called by the reactor."""
        return self.reading

    def doRead(self) -> Exception | None:
        """Called by the reactor."""
        if self.error is not None:
            raise self.error
        return CONNECTION_LOST

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor."""
        self.lost.append(reason.type)


class CallDirectlyTests(SynchronousTestCase):
    """Connections that are called without a log context."""

    def polled(self, error: Exception | None = None) -> Watched:
        """What a reactor has called, once."""
        module: Any = epollreactor
        self.patch(module, "log", module.log)
        call_directly()
        called: list[object] = []
        direct = module.log.callWithLogger

        def call(*args: object) -> object:
            called.append(args[0])
            return direct(*args)

        module.log.callWithLogger = call
        reactor = epollreactor.EPollReactor()
        watched = Watched(reactor, error)
        reactor.addReader(watched)
        reactor.doPoll(0)
        self.assertEqual(called, [watched], "Twisted calls connections by another way now")
        reactor.removeAll()
        for descriptor in (watched.reading, watched.writing):
            os.close(descriptor)
        reactor._poller.close()
        return watched

    def test_called(self) -> None:
        """A connection is called, and lost where it says so, as without this."""
        self.assertEqual(self.polled().lost, [type(CONNECTION_LOST)])

    def test_error(self) -> None:
        """An error of one is logged and ends it alone, as without this."""
        self.assertEqual(self.polled(ValueError("wrong")).lost, [ValueError])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
