"""Asking: an owner that lost the engine lets the broker go only if another node owns."""

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay import asking
from recodex_monitor.relay.asking import Asking
from tests.relay.support import NodesTestCase, said, texts


class AskingTests(SynchronousTestCase):
    """Other nodes, whose answers the test gives."""

    def setUp(self) -> None:
        """Ask nobody yet."""
        self.asked: dict[str, Deferred[bool]] = {}
        self.why: list[str] = []
        self.asking = Asking(lambda: self, self.ask)

    async def ask(self, address: str) -> bool:
        """Ask a node."""
        self.asked[address] = Deferred()
        return await self.asked[address]

    def step_down(self, why: str) -> None:
        """Become an edge."""
        self.why.append(why)

    def test_one_owns(self) -> None:
        """All are asked at once, those whose address is known; one yes is enough."""
        self.asking.begin(["a", "", "b"])
        self.asking.begin(["c"])
        self.assertEqual([*self.asked], ["a", "b"])
        self.asked["a"].callback(False)
        self.assertEqual(self.why, [])
        self.asked["b"].callback(True)
        self.assertEqual(len(self.why), 1)

    def test_none_owns(self) -> None:
        """Then it stays the owner, and may ask again."""
        for _ in range(2):
            self.asking.begin(["a"])
            self.asked.pop("a").callback(False)
        self.assertEqual(self.why, [])


class QuestionTests(SynchronousTestCase):
    """What is asked."""

    def test_question(self) -> None:
        """It is a request that needs no token; an endless answer is not read."""
        question = asking._Question()
        transport = StringTransport()
        question.makeConnection(transport)
        self.assertTrue(transport.value().startswith(b"GET /ownerz HTTP/1.0\r\n"))
        question.dataReceived(b"HTTP/1.0 200 OK\r\n\r\n")
        self.assertFalse(transport.disconnecting)
        question.dataReceived(b"x" * asking.MOST)
        self.assertTrue(transport.disconnecting)
        question.connectionLost(Failure(ConnectionError()))
        self.assertIn(b"200 OK", self.successResultOf(question.answer))


class CutOffTests(NodesTestCase):
    """An owner that is cut off from the engine."""

    def test_another_owns(self) -> None:
        """After its patience it asks, lets the broker go at once, and hands over when it can."""
        one, two = self.node(patience=4), self.node(patience=4)
        self.pass_time(5)
        one, two = (one, two) if one.is_bound else (two, one)
        asked: list[str] = []

        async def ask(address: str) -> bool:
            asked.append(address)
            return two.is_bound

        one.relay.asking.ask = ask
        one.relay.nodes.told[two.relay.name] = {"name": two.relay.name, "status": "there:1"}
        self.cut(one)
        one.relay.publish(said(1))
        self.pass_time(3)
        self.assertEqual((asked, one.is_bound, two.is_bound), ([], True, True))
        self.pass_time(3)
        self.assertEqual((asked[0], one.is_bound), ("there:1", False))
        one.dialer.is_cut = False
        self.pass_time(8)
        self.has(two, 1)
        self.assertEqual(texts(1), [entry[2][b"m"] for entry in self.server.stream(b"rx:c:job")])
