"""Of several primaries, nodes use the one that had the latest owner."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay.connection import EngineAway
from recodex_monitor.relay.dialing import Dialer, Facts, Session
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.primaries import LOOK_EVERY, TIMEOUT, Primaries
from recodex_monitor.settings.engines import EngineAddress

OLD, NEW = EngineAddress("old"), EngineAddress("new")


class LookingTests(SynchronousTestCase):
    """A node that has a session with a server."""

    def setUp(self) -> None:
        """Have a session with the old primary."""
        self.clock = Clock()
        self.lease: bytes | None = None
        self.generations: dict[EngineAddress, Any] = {OLD: 5, NEW: succeed(6)}
        self.left: list[str] = []
        engine: Any = SimpleNamespace(
            session=SimpleNamespace(address=OLD), call=self.call, restart=self.left.append
        )
        self.engine = engine
        dialer: Any = SimpleNamespace(
            addresses=(OLD, NEW),
            reactor=self.clock,
            keys=Keys("rx"),
            generation_of=self.generations.get,
        )
        self.dialer = dialer
        self.primaries = Primaries(dialer, engine)

    def call(self, *words: str) -> "Deferred[Any]":
        """Answer as the old primary."""
        return succeed(self.lease if words[0] == "GET" else b"%d" % self.generations[OLD])

    def may_take(self) -> "Deferred[bool]":
        """Ask whether the lease may be taken."""
        return ensureDeferred(self.primaries.may_take_lease())

    def test_superseded(self) -> None:
        """It owns nowhere but at the latest primary, and goes there."""
        self.assertFalse(self.successResultOf(self.may_take()))
        self.assertEqual(len(self.left), 1)

    def test_held(self) -> None:
        """Nothing is asked while the lease is held."""
        self.lease, self.generations[NEW] = b"token node", fail(AssertionError("asked"))
        self.assertTrue(self.successResultOf(self.may_take()))
        self.generations[NEW].addErrback(lambda _: None)

    def test_latest(self) -> None:
        """It stays where the latest owner was, or where that cannot be told."""
        for other in (succeed(5), succeed(-1), fail(OSError("refused")), fail(EngineAway("gone"))):
            self.generations[NEW] = other
            self.assertTrue(self.successResultOf(self.may_take()))
        self.assertEqual(self.left, [])

    def test_dead(self) -> None:
        """One that does not answer is not waited for."""
        self.generations[NEW] = Deferred()
        asked = self.may_take()
        self.assertNoResult(asked)
        self.clock.advance(TIMEOUT)
        self.assertTrue(self.successResultOf(asked))

    def test_one(self) -> None:
        """With one server nothing is asked."""
        self.dialer.addresses = (OLD,)
        self.assertTrue(self.successResultOf(self.may_take()))

    def test_tick(self) -> None:
        """It looks from time to time, whoever owns."""
        self.lease = b"token node"
        for _ in range(LOOK_EVERY):
            self.assertEqual(self.left, [])
            self.successResultOf(ensureDeferred(self.primaries.tick()))
        self.assertEqual(len(self.left), 1)


class DialingTests(SynchronousTestCase):
    """A node that has none."""

    def test_latest(self) -> None:
        """All are dialled; the session with the latest is kept, and the others end."""
        aborted: list[EngineAddress] = []

        class Dialing(Dialer):
            async def _session(self, address: EngineAddress, opened: list[Any]) -> Session:
                if address.host == "dead":
                    raise OSError("refused")
                if address.host == "silent":
                    await Deferred()
                one: Any = SimpleNamespace(abort=lambda: aborted.append(address))
                return Session(one, one, address, Facts(), {"old": 5, "new": 6}[address.host])

        clock = Clock()
        addresses = (EngineAddress("dead"), OLD, NEW, EngineAddress("silent"))
        dialed = ensureDeferred(Dialing(addresses, None, Keys("rx"), 4.5, clock).dial())
        self.assertNoResult(dialed)
        clock.advance(1)
        self.assertIs(self.successResultOf(dialed).address, NEW)
        self.assertEqual(aborted, [OLD, OLD])
        self.assertEqual(clock.getDelayedCalls(), [])
        why = self.failureResultOf(
            ensureDeferred(Dialing(addresses[:1], None, Keys("rx"), 4.5, clock).dial()), EngineAway
        )
        self.assertIn("refused", str(why.value))
