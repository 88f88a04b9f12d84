"""A client's id counts as unknown only if the engine, being whole, does not have it."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay.certainty import TIMEOUT, Certainty
from recodex_monitor.relay.connection import EngineAway
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.parts import Role

OURS = "0123456789abcdef"


class Node:
    """A node with an engine and a follower.

    Attributes:
        fence: token and run, as the engine has them; None while it is away.
        reads: those that are under way.
    """

    def __init__(self) -> None:
        self.role = Role.EDGE
        self.fence: list[bytes | None] | None = [b"theirs", b"run"]
        self.reads: list[tuple[Any, Any]] = []
        self.engine = SimpleNamespace(facts=SimpleNamespace(run="run"), call=self._call)
        self.channels: dict[str, Any] = {}
        hub = SimpleNamespace(channels=self.channels)
        self.follower = SimpleNamespace(hub=hub, when_loaded=self._read)

    def _call(self, *words: object) -> "Deferred[Any]":
        return fail(EngineAway("away")) if self.fence is None else succeed(self.fence)

    def _read(self, _: str, call: Any, refuse: Any, *, anew: bool) -> None:
        assert anew
        self.reads.append((call, refuse))

    def have(self, count: int) -> None:
        """Let the hub have so many messages of the job."""
        self.channels["job"] = SimpleNamespace(epoch="7", skipped=0, count=count)


class CertaintyTests(SynchronousTestCase):
    """What is done about an id that the hub does not have."""

    def setUp(self) -> None:
        """Have a node that does not have the message."""
        self.clock = Clock()
        self.node = Node()
        self.node.have(50)
        lease: Any = SimpleNamespace(token=OURS)
        node: Any = self.node
        self.certainty = Certainty(node, Keys("rx"), lease, self.clock)

    def look(self, after: str = "7:80") -> "Deferred[bool]":
        """Look for a message."""
        return ensureDeferred(self.certainty.look("job", after))

    def test_there(self) -> None:
        """Nothing is asked for what is there."""
        self.node.fence = None
        self.assertTrue(self.certainty.has("job", ""))
        self.assertTrue(self.certainty.has("job", "7:50"))
        self.assertFalse(self.certainty.has("job", "8:50"))
        self.assertFalse(self.certainty.has("other", "7:50"))
        self.assertTrue(self.successResultOf(self.look("7:50")))

    def test_behind(self) -> None:
        """An edge reads the channel again, whatever it finds."""
        look = self.look()
        self.assertNoResult(look)
        self.node.have(80)
        self.node.reads[0][0]()
        self.assertTrue(self.successResultOf(look))
        look = self.look("9:1")
        self.node.reads[1][0]()
        self.assertTrue(self.successResultOf(look))

    def test_not_whole(self) -> None:
        """It reads only what an owner has made sure of, and waits for that."""
        for run in (None, b"earlier run"):
            self.node.fence, self.node.reads = [b"theirs", run], []
            look = self.look()
            self.clock.pump([0.1] * 5)
            self.assertEqual(self.node.reads, [])
            self.node.fence = [b"theirs", b"run"]
            self.clock.advance(0.1)
            self.node.reads[0][0]()
            self.assertTrue(self.successResultOf(look))

    def test_emptied_meanwhile(self) -> None:
        """A read does not count if the engine lost its data meanwhile."""
        look = self.look()
        self.node.fence = [None, None]
        self.node.reads[0][0]()
        self.assertNoResult(look)
        self.node.fence = [b"theirs", b"run"]
        self.clock.advance(0.1)
        self.node.reads[1][0]()
        self.assertTrue(self.successResultOf(look))

    def test_owner(self) -> None:
        """An owner has everything, unless another one owns by now."""
        self.node.role, self.node.fence = Role.OWNER, [OURS.encode(), b"run"]
        self.assertTrue(self.successResultOf(self.look()))
        self.node.fence = [b"theirs", b"run"]
        look = self.look()
        self.clock.advance(0.1)
        self.assertEqual(self.node.reads, [])
        self.node.role = Role.EDGE
        self.clock.advance(0.1)
        self.node.reads[0][0]()
        self.assertTrue(self.successResultOf(look))

    def test_away(self) -> None:
        """If it cannot be known, that is said soon."""
        self.node.fence = None
        look = self.look()
        self.clock.pump([0.1] * int(TIMEOUT * 10 - 2))
        self.assertNoResult(look)
        self.clock.pump([0.1] * 4)
        self.assertFalse(self.successResultOf(look))
        self.node.fence = [b"theirs", b"run"]
        look = self.look()
        for _ in range(40):
            while self.node.reads:
                self.node.reads.pop()[1]()
            self.clock.advance(0.1)
        self.assertFalse(self.successResultOf(look))
