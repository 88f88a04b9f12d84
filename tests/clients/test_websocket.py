"""WebSocket connections of clients in memory: what they get, and how they end."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.schema import Limits
from tests.clients.support import RUNNING, RUNNING_TEXT, ClientsTestCase
from tests.support.clients import Browser, service
from tests.support.frames import BINARY, CLOSE, HANDSHAKE, TEXT, frame
from tests.support.messages import message
from tests.support.settings import change

LIMITS = Limits()


class FollowingTests(ClientsTestCase):
    """What a client gets that follows a channel."""

    def test_replay_then_live_then_end(self) -> None:
        """A client gets the history, then each new message, then 1000 without a reason."""
        self.hub.publish([message("job", "DOWNLOADED")])
        browser = Browser(self.factory)
        browser.follow("job")
        self.assertEqual(browser.texts(), ['{"command": "DOWNLOADED"}'])
        self.hub.publish([message("job", *RUNNING), message("job", "FINISHED")])
        received = browser.received()
        self.assertEqual(
            received,
            [
                (TEXT, RUNNING_TEXT.encode()),
                (TEXT, b'{"command": "FINISHED"}'),
                (CLOSE, b"\x03\xe8"),
            ],
        )

    def test_late_client_gets_all_and_the_end(self) -> None:
        """A client that connects after the end gets the whole history and the same close."""
        self.hub.publish([message("job", "STARTED"), message("job", "FINISHED")])
        browser = Browser(self.factory)
        browser.follow("job")
        opcodes = [opcode for opcode, _ in browser.received()]
        self.assertEqual(opcodes, [TEXT, TEXT, CLOSE])

    def test_head_and_id_in_one_packet(self) -> None:
        """An id that comes with the handshake is not lost."""
        self.hub.publish([message("job", "STARTED")])
        browser = Browser(self.factory)
        browser.send(HANDSHAKE + frame(TEXT, b"job"))
        self.assertIn(b'{"command": "STARTED"}', browser.take())

    def test_all_of_a_turn_in_one_write(self) -> None:
        """All messages that are published at once go out in one write."""
        browser = Browser(self.factory)
        browser.follow("job")
        self.hub.publish([message("job", *RUNNING)] * 50)
        self.assertEqual(len(browser.transport.stream), 1)

    def test_second_message_is_ignored(self) -> None:
        """Messages that a client sends after the channel id change nothing."""
        browser = Browser(self.factory)
        browser.follow("job")
        browser.send(frame(TEXT, b"other") + frame(BINARY, b"x"))
        self.hub.publish([message("other", "STARTED"), message("job", "STARTED")])
        self.assertEqual(browser.texts(), ['{"command": "STARTED"}'])
        self.assertNotIn(browser.server, self.hub.channels["other"].subscriptions)

    def test_lost_connection_leaves_nothing(self) -> None:
        """A lost connection leaves no subscription, and no channel that has no messages."""
        browser = Browser(self.factory)
        browser.follow("job")
        browser.lose()
        self.assertEqual(self.hub.channels, {})
        self.assertEqual(self.factory.connections.clients, set())


class ClosingTests(ClientsTestCase):
    """How connections end."""

    def setUp(self) -> None:
        """Connect a client."""
        super().setUp()
        self.browser = Browser(self.factory)

    def test_wrong_first_messages(self) -> None:
        """Each wrong first message is answered by its own close code."""
        wrong = {
            1002: frame(TEXT, b"job", mask=None),
            1003: frame(BINARY, b"job"),
            1007: frame(TEXT, b"\xff\xfe"),
            1008: frame(TEXT, b""),
            1009: frame(TEXT, b"x" * (LIMITS.max_channel_id + 1)),
        }
        for code, data in wrong.items():
            browser = Browser(self.factory)
            browser.open()
            browser.send(data)
            self.assertEqual(browser.close_code(), code)
        self.assertEqual(self.hub.channels, {})

    def test_violation_after_the_id_ends_the_subscription(self) -> None:
        """Nothing is written after a close frame that Autobahn sends by itself."""
        self.browser.follow("job")
        self.browser.send(frame(TEXT, b"job", mask=None))
        self.hub.publish([message("job", "STARTED")])
        self.assertEqual(self.browser.close_code(), 1002)

    def test_both_close_frames(self) -> None:
        """After both close frames TCP is closed at once, without a reset."""
        self.hub.publish([message("job", "FINISHED")])
        self.browser.follow("job")
        self.assertIsNone(self.browser.ended)
        self.browser.send(frame(CLOSE, b"\x03\xe8"))
        self.assertEqual(self.browser.ended, "closed")

    def test_client_closes(self) -> None:
        """A client's close frame is answered, and its subscription ends."""
        self.browser.follow("job")
        self.browser.send(frame(CLOSE, b"\x03\xe8"))
        self.assertEqual(self.browser.close_code(), 1000)
        self.assertEqual(self.browser.ended, "closed")
        self.assertEqual(self.hub.channels, {})

    def test_bug_in_one_client(self) -> None:
        """If writing to a client fails it is closed with 1011; others are not affected."""
        self.browser.follow("job")
        other = Browser(self.factory)
        other.follow("job")

        self.browser.transport.broken = True
        self.hub.publish([message("job", "STARTED")])
        self.assertEqual(self.browser.close_code(), 1011)
        self.assertEqual(other.texts(), ['{"command": "STARTED"}'])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class StopTests(ClientsTestCase):
    """The monitor stops."""

    def setUp(self) -> None:
        """Connect a client."""
        super().setUp()
        self.browser = Browser(self.factory)

    def test_stop_sends_what_is_due_first(self) -> None:
        """A client gets everything that is due, and then 1012."""
        self.browser.follow("job")
        self.browser.pause()
        self.hub.publish([message("job", "STARTED")])
        gone = self.factory.connections.close_all()
        self.assertEqual(self.browser.received(), [])
        self.browser.resume()
        (text, close) = self.browser.received()
        self.assertEqual(text, (TEXT, b'{"command": "STARTED"}'))
        self.assertEqual(close[1][:2], b"\x03\xf4")
        self.assertNoResult(gone)
        self.browser.lose()
        self.successResultOf(gone)

    def test_stop_with_clients_without_a_channel(self) -> None:
        """Clients in their handshake get 503, those without a channel 1012."""
        opened = Browser(self.factory)
        opened.open()
        self.factory.connections.close_all()
        self.assertEqual(opened.close_code(), 1012)
        self.assertTrue(self.browser.take().startswith(b"HTTP/1.1 503 "))

    def test_stop_without_clients(self) -> None:
        """Without clients the stop does not wait."""
        self.browser.lose()
        self.successResultOf(self.factory.connections.close_all())


class LimitTests(SynchronousTestCase):
    """Limits of what a client may send."""

    def test_limits_that_change(self) -> None:
        """A new limit for ids holds at once, one for messages for clients that connect later."""
        _, _, factory = service(max_channel_id=100, max_client_message=100)
        there = Browser(factory)
        there.send(HANDSHAKE)
        change(factory.settings, max_channel_id=200, max_client_message=200)
        factory.subscribers.limits_changed()
        newcomer = Browser(factory)
        there.take()
        there.send(frame(TEXT, b"x" * 150))
        self.assertEqual(there.close_code(), 1009)
        newcomer.follow("x" * 150)
        self.assertEqual(newcomer.received(), [])

    def test_long_ids(self) -> None:
        """An id beyond its limit is closed with 1009, even if the message is within its own."""
        _, hub, factory = service(max_channel_id=50)
        browser = Browser(factory)
        browser.follow("x" * 51)
        self.assertEqual(browser.close_code(), 1009)
        self.assertEqual(hub.channels, {})

    def test_talking_on(self) -> None:
        """A client that sends more messages than are ignored is closed with 1008."""
        _, _, factory = service(ignored_messages=3)
        browser = Browser(factory)
        browser.follow("job")
        browser.send(frame(TEXT, b"x") * 3)
        self.assertEqual(browser.received(), [])
        browser.send(frame(TEXT, b"x"))
        self.assertEqual(browser.close_code(), 1008)

    def test_endless_fragments(self) -> None:
        """A message in too many fragments is closed with 1008."""
        _, _, factory = service(ignored_messages=3)
        browser = Browser(factory)
        browser.open()
        browser.send(b"\x01\x80abcd" + b"\x00\x80abcd" * 5)
        self.assertEqual(browser.close_code(), 1008)

    def test_no_room_for_a_channel(self) -> None:
        """A client whose channel is beyond the limit of channels is closed with 1013."""
        _, hub, factory = service()
        change(hub.settings, max_channels=1)
        Browser(factory).follow("job")
        browser = Browser(factory)
        browser.follow("other")
        self.assertEqual(browser.close_code(), 1013)
