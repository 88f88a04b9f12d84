"""All open connections: how many there may be, and how they end."""

import resource

from recodex_monitor.settings.schema import Limits
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser, service
from tests.support.frames import CLOSE, HANDSHAKE
from tests.support.http import answer
from tests.support.messages import message

LIMITS = Limits()


class RoomTests(ClientsTestCase):
    """Connections that are open at the same time."""

    def test_far_too_many_connections(self) -> None:
        """Connections beyond twice the limit of clients are closed at once, of any protocol."""
        _, _, factory = service(max_connections=2)
        clients = [Browser(factory) for _ in range(4)]
        clients[0].follow("job")
        clients[1].get("/events/job")
        self.assertIsNone(factory.buildProtocol(None))
        for client in clients:
            client.lose()
        self.assertEqual(factory.connections.clients, set())
        Browser(factory).follow("job")

    def test_no_descriptors(self) -> None:
        """A connection that would take one of the spare file descriptors is closed at once."""
        _, _, factory = service()
        allowed = (100, 4096)
        self.patch(resource, "getrlimit", lambda _: allowed)
        clients = [Browser(factory) for _ in range(75)]
        self.assertIsNone(factory.buildProtocol(None))
        clients[0].lose()
        self.assertIsNotNone(factory.buildProtocol(None))

    def test_limit_for_all_protocols(self) -> None:
        """WebSocket and plain HTTP share one limit; the answer says when to try again."""
        _, _, factory = service(max_connections=2)
        followers = [Browser(factory), Browser(factory)]
        followers[0].follow("job")
        followers[1].get("/events/job")
        refused = Browser(factory).get("/channels/job")
        self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "30"))
        browser = Browser(factory)
        browser.send(HANDSHAKE)
        self.assertTrue(browser.take().startswith(b"HTTP/1.1 503 "))
        followers[0].lose()
        self.assertEqual(Browser(factory).get("/channels/job").status, 200)


class TimeoutTests(ClientsTestCase):
    """Requests that do not come in time."""

    def test_late_head(self) -> None:
        """A client that does not send a whole head in time is cut off, even if it sends slowly."""
        clock, _, factory = service()
        silent, slow, follower = Browser(factory), Browser(factory), Browser(factory)
        follower.follow("job")
        for _ in range(int(LIMITS.handshake_timeout)):
            self.assertEqual((silent.ended, slow.ended), (None, None))
            clock.advance(1)
            slow.send(b"G")
            factory.sweep()
        self.assertEqual((silent.ended, slow.ended), ("aborted", "aborted"))
        self.assertIsNone(follower.ended)

    def test_no_handshake(self) -> None:
        """A client that does not finish its handshake in time is cut off."""
        browser = Browser(self.factory)
        browser.send(HANDSHAKE[:-2])
        self.pass_time(LIMITS.handshake_timeout)
        self.assertEqual(browser.ended, "aborted")


class StopTests(ClientsTestCase):
    """The monitor stops."""

    def test_all_kinds(self) -> None:
        """Clients without a head get 503, others what their protocol has for it."""
        _, hub, factory = service()
        hub.publish([message("job", "STARTED")])
        waiting, subscriber, stream = Browser(factory), Browser(factory), Browser(factory)
        waiting.send(b"GET /")
        subscriber.follow("job")
        subscriber.take()
        stream.get("/events/job")
        gone = factory.connections.close_all()
        self.assertEqual(answer(waiting.take()).headers["retry-after"], "30")
        self.assertEqual(subscriber.received()[0][0], CLOSE)
        self.assertEqual(stream.more(), (b"", True))
        for client in (waiting, subscriber, stream):
            self.assertNoResult(gone)
            client.lose()
        self.successResultOf(gone)

    def test_cut(self) -> None:
        """Connections of any protocol can be cut off."""
        _, _, factory = service()
        clients = [Browser(factory), Browser(factory), Browser(factory)]
        clients[1].follow("job")
        clients[2].get("/events/job")
        factory.connections.abort_all()
        self.assertEqual([client.ended for client in clients], ["aborted"] * 3)
