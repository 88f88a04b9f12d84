"""Changes of the owner, one after another."""

import gc
import warnings
from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.tasks import Tasks


class TaskTests(SynchronousTestCase):
    """Things that take time."""

    def setUp(self) -> None:
        """Begin with nothing to do."""
        self.tasks = Tasks()
        self.did: list[str] = []

    async def work(self, name: str, until: "Deferred[None] | None" = None) -> None:
        """Do something, which ends when it may."""
        self.did.append(name)
        if until is not None:
            await until
            self.did.append(f"{name} done")

    def add(self, name: str, until: "Deferred[None] | None" = None) -> None:
        """Let something be done."""
        self.tasks.add(lambda: self.work(name, until))

    def test_order(self) -> None:
        """The next begins when the one before it is done."""
        until: Deferred[None] = Deferred()
        self.add("a", until)
        self.add("b")
        self.assertEqual((self.did, self.tasks.is_working), (["a"], True))
        until.callback(None)
        self.assertEqual((self.did, self.tasks.is_working), (["a", "a done", "b"], False))
        self.successResultOf(self.tasks.done)

    def test_cancelled(self) -> None:
        """What is broken off is not done, but what follows is."""
        self.add("a", Deferred())
        self.add("b")
        self.tasks.cancel()
        self.assertEqual(self.did, ["a", "b"])
        self.tasks.cancel()

    def test_refused(self) -> None:
        """What the engine refuses again and again is logged once."""
        told: list[LogEvent] = []
        observer = cast("ILogObserver", told.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(2):
            for _ in range(3):
                until: Deferred[None] = Deferred()
                self.add("a", until)
                until.errback(EngineError("NOREPLICAS not enough good replicas"))
            self.add("b")
        refused = [one for one in told if "refused" in str(one.get("log_format"))]
        self.assertEqual(len(refused), 2)

    def test_failed(self) -> None:
        """What fails does not keep others; it is logged unless the engine is away."""
        for error, logged in ((EngineAway("lost"), 0), (ZeroDivisionError(), 1)):
            until: Deferred[None] = Deferred()
            self.add("a", until)
            until.errback(error)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)
        self.add("b")
        self.assertEqual(self.did[-1], "b")

    def test_never_begun(self) -> None:
        """What has not begun when a node stops leaves nothing behind, nor a warning."""
        self.add("a", Deferred())
        self.add("b")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del self.tasks
            gc.collect()
        self.assertFalse([one.message for one in told if "awaited" in str(one.message)])
