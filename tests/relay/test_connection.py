"""A connection to the engine: each command gets the reply that belongs to it."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay import connection
from recodex_monitor.relay.connection import EngineAway, EngineConnection, EngineError, packed


class ConnectionTests(SynchronousTestCase):
    """A connection whose other end is the test."""

    def setUp(self) -> None:
        """Connect."""
        self.now = 5.0
        self.link = EngineConnection(lambda: self.now)
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)

    def test_packed(self) -> None:
        """Commands are arrays of texts, of whatever bytes."""
        self.assertEqual(
            packed(("GET", b"\r\n", 12)), b"*3\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n$2\r\n12\r\n"
        )

    def test_replies(self) -> None:
        """Replies come in the order of the commands, in parts and together."""
        one, two, three = (self.link.call("GET", str(number)) for number in range(3))
        self.now = 9.0
        self.link.dataReceived(b"$1\r\na\r\n-WRONG type")
        self.assertEqual((self.successResultOf(one), self.link.heard_at), (b"a", 9.0))
        self.assertNoResult(two)
        self.link.dataReceived(b" of value\r\n:3\r\n")
        error = self.failureResultOf(two, EngineError).value
        self.assertEqual((error.code, str(error)), ("WRONG", "WRONG type of value"))
        self.assertEqual(self.successResultOf(three), 3)

    def test_messages(self) -> None:
        """What is no reply is a message; one that cannot be handled does not end the connection."""
        got: list[Any] = []
        self.link.on_message = got.append
        self.link.dataReceived(b"*2\r\n$7\r\nmessage\r\n$1\r\na\r\n")
        self.assertEqual(got, [[b"message", b"a"]])
        self.link.on_message = lambda _: 1 / 0
        self.link.dataReceived(b"*1\r\n$1\r\nb\r\n")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(self.transport.disconnecting)

    def test_lost(self) -> None:
        """Whoever waits for a reply is told, and so is whoever comes after that."""
        lost: list[bool] = []
        self.link.on_lost = lambda: lost.append(True)
        waiting: Deferred[Any] = self.link.call("PING")
        self.link.connectionLost(Failure(ConnectionError()))
        self.failureResultOf(waiting, EngineAway)
        self.failureResultOf(self.link.call("PING"), EngineAway)
        self.link.send("PING")
        self.assertEqual(lost, [True])

    def test_lost_by_tls(self) -> None:
        """What TLS did not like is told."""
        waiting: Deferred[Any] = self.link.call("PING")
        error = Exception([("SSL routines", "", "certificate verify failed")])
        self.link.connectionLost(Failure(error))
        text = str(self.failureResultOf(waiting, EngineAway).value)
        self.assertTrue(text.endswith("lost: certificate verify failed"))

    def test_bound(self) -> None:
        """Not more commands wait than the bound says."""
        self.patch(connection, "MAX_PENDING", 2)
        self.link.call("PING"), self.link.call("PING")
        self.failureResultOf(self.link.call("PING"), EngineAway)

    def test_another_protocol(self) -> None:
        """Something else than an engine is left."""
        aborted: list[bool] = []
        self.transport.abortConnection = lambda: aborted.append(True)  # type: ignore[method-assign]
        self.link.dataReceived(b"HTTP/1.1 400 Bad Request\r\n")
        self.assertEqual(aborted, [True])
