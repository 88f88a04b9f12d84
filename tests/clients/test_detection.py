"""The switch behind the public port, with clients in memory."""

import weakref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.schema import Limits
from tests.support.clients import (
    CLOSE,
    HANDSHAKE,
    TEXT,
    Browser,
    answer,
    frame,
    message,
    request,
    service,
)

LIMITS = Limits()
GET = request("/channels/job")
LINES = (
    *(b"GET /events/job HTTP/1.1", b"GET / HTTP/1.1", b"HEAD / HTTP/1.0", b"Host: a", b""),
    *(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"\xff"),
    *(b"Content-Length: 1", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b" folded"),
)


class SwitchTests(SynchronousTestCase):
    """Who gets a connection."""

    def setUp(self) -> None:
        """A service with a channel."""
        _, self.hub, self.factory = service()
        self.hub.publish([message("job", "STARTED")])

    def test_by_the_head(self) -> None:
        """A head with an upgrade is WebSocket's, at any path and in any case; others are not."""
        for path in (b"/ws", b"/events/job", b"/channels/job", b"/"):
            browser = Browser(self.factory)
            head = HANDSHAKE.replace(b"/ws", path).replace(b"Upgrade:", b"uPGRADE:")
            browser.send(head + frame(TEXT, b"job"))
            self.assertIn(b'{"command": "STARTED"}', browser.take())
        for header in ("X-Upgrade: websocket", "X: Upgrade: websocket"):
            self.assertEqual(Browser(self.factory).get("/channels/job", header).status, 200)

    def test_byte_by_byte(self) -> None:
        """A head may come in any pieces, for WebSocket and for plain HTTP."""
        for head, status in ((HANDSHAKE, 101), (GET, 200)):
            browser = Browser(self.factory)
            for byte in head[:-1]:
                browser.send(bytes([byte]))
            self.assertEqual(browser.take(), b"")
            browser.send(head[-1:])
            self.assertEqual(int(browser.take().split()[1]), status)

    def test_head_and_more_in_pieces(self) -> None:
        """What comes behind the head in the same packet as its end is not lost."""
        data = HANDSHAKE + frame(TEXT, b"job")
        for cut in range(len(HANDSHAKE) - 5, len(HANDSHAKE) + 5):
            browser = Browser(self.factory)
            browser.send(data[:cut])
            browser.send(data[cut:])
            self.assertIn(b'{"command": "STARTED"}', browser.take())

    def test_nothing_stays(self) -> None:
        """What a connection was before its head was there has gone then."""
        for head in (HANDSHAKE, request("/events/job")):
            browser = Browser(self.factory)
            first = weakref.ref(browser.server)
            browser.send(head[:1])
            self.assertIsNone(first())
            waiting = weakref.ref(browser.server)
            browser.send(head[1:])
            self.assertIsNone(waiting())
            self.assertEqual(len(self.factory.reception.connections), 1)
            browser.lose()

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(LINES) | st.binary(max_size=20), max_size=8))
    def test_every_head_is_answered(self, lines: list[bytes]) -> None:
        """A head of whatever lines is answered, and the connection ends or is a stream."""
        browser = Browser(self.factory)
        browser.send(b"\r\n".join(lines) + b"\r\n\r\n")
        data = browser.take()
        self.assertTrue(data.startswith(b"HTTP/1."), data)
        is_stream = b"text/event-stream" in data
        self.assertEqual(browser.ended, None if is_stream else "closed", data)
        self.assertNotIn(b"raceback", data)
        browser.lose()


class BoundTests(SynchronousTestCase):
    """What a client may take before it is admitted."""

    def test_late_head(self) -> None:
        """A client whose head is not there in time is cut off, whatever of it came and when."""
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

    def test_long_head(self) -> None:
        """A head beyond the limit gets 431, in one packet or many; one at the limit is served."""
        for head in (HANDSHAKE, GET):
            _, _, factory = service(max_handshake_size=2000)
            padding = b"X: " + b"x" * (2000 - len(head) - 5) + b"\r\n"
            for data in (padding, b"X" + padding):
                padded = head[:-2] + data + b"\r\n"
                whole, pieces = Browser(factory), Browser(factory)
                whole.send(padded + b"x" * 3000)
                for start in range(0, len(padded), 100):
                    if not pieces.ended:
                        pieces.send(padded[start : start + 100])
                for browser in (whole, pieces):
                    served = browser.take().startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 "))
                    self.assertEqual(served, len(padded) == 2000)

    def test_endless_head(self) -> None:
        """A head that goes on beyond the limit gets 431 and no more is read."""
        _, _, factory = service(max_handshake_size=2000)
        browser = Browser(factory)
        browser.send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000)
        refused = answer(browser.take())
        self.assertEqual((refused.status, refused.is_whole), (431, True))
        self.assertEqual(browser.ended, "closed")

    def test_far_too_many_connections(self) -> None:
        """Beyond twice as many connections as places the next is closed at once, of any kind."""
        _, _, factory = service(max_connections=2)
        clients = [Browser(factory) for _ in range(4)]
        clients[0].follow("job")
        clients[1].get("/events/job")
        self.assertIsNone(factory.buildProtocol(None))
        for client in clients:
            client.lose()
        self.assertEqual(factory.reception.connections, set())
        Browser(factory).follow("job")

    def test_places_are_for_all(self) -> None:
        """WebSocket and plain HTTP share the places; who finds none is told when to come again."""
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


class StopTests(SynchronousTestCase):
    """The monitor stops."""

    def test_all_kinds(self) -> None:
        """Who waits for a head gets 503, the others what their protocol has for it."""
        _, hub, factory = service()
        hub.publish([message("job", "STARTED")])
        waiting, subscriber, stream = Browser(factory), Browser(factory), Browser(factory)
        waiting.send(b"GET /")
        subscriber.follow("job")
        subscriber.take()
        stream.get("/events/job")
        gone = factory.reception.close_all()
        self.assertEqual(answer(waiting.take()).headers["retry-after"], "30")
        self.assertEqual(subscriber.received()[0][0], CLOSE)
        self.assertEqual(stream.more(), (b"", True))
        for client in (waiting, subscriber, stream):
            self.assertNoResult(gone)
            client.lose()
        self.successResultOf(gone)

    def test_cut(self) -> None:
        """Who does not go is cut, of any kind."""
        _, _, factory = service()
        clients = [Browser(factory), Browser(factory), Browser(factory)]
        clients[1].follow("job")
        clients[2].get("/events/job")
        factory.reception.abort_all()
        self.assertEqual([client.ended for client in clients], ["aborted"] * 3)
