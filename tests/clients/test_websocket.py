"""The browsers' side, with browsers in memory."""

import resource
from dataclasses import replace

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE
from recodex_monitor.settings.schema import Limits
from tests.support.clients import (
    BINARY,
    CLOSE,
    HANDSHAKE,
    PING,
    PONG,
    TEXT,
    Browser,
    frame,
    message,
    service,
)

LIMITS = Limits()
CHANGEABLE = {"_valid_events", "_results"}
"""Attributes that connections share and that nothing changes: for listeners that there are none."""

RUNNING = ("TASK", "t", "COMPLETED")
RUNNING_TEXT = '{"command": "TASK", "task_id": "t", "task_state": "COMPLETED"}'


class FollowingTests(SynchronousTestCase):
    """What a client that follows a channel gets."""

    def setUp(self) -> None:
        """A service without channels."""
        self.clock, self.hub, self.factory = service()

    def test_replay_then_live_then_end(self) -> None:
        """A client gets what there was, then each new message, then 1000 without a reason."""
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
        """Who joins after the end gets the whole list and the same close."""
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

    def test_no_subprotocol_and_no_compression(self) -> None:
        """The handshake's answer names neither, nor the server's software."""
        browser = Browser(self.factory)
        browser.send(HANDSHAKE)
        answer = browser.take().lower()
        for header in (b"sec-websocket-protocol", b"sec-websocket-extensions", b"server:"):
            self.assertNotIn(header, answer)

    def test_all_of_a_turn_in_one_write(self) -> None:
        """Messages that were read in one turn cost a subscriber one write."""
        browser = Browser(self.factory)
        browser.follow("job")
        self.hub.publish([message("job", *RUNNING)] * 50)
        self.assertEqual(len(browser.transport.stream), 1)

    def test_second_message_is_ignored(self) -> None:
        """What a client says after its id changes nothing."""
        browser = Browser(self.factory)
        browser.follow("job")
        browser.send(frame(TEXT, b"other") + frame(BINARY, b"x"))
        self.hub.publish([message("other", "STARTED"), message("job", "STARTED")])
        self.assertEqual(browser.texts(), ['{"command": "STARTED"}'])
        self.assertNotIn(browser.server, self.hub.channels["other"].subscriptions)

    def test_lost_connection_leaves_nothing(self) -> None:
        """A client that goes takes its subscription, and its unknown channel, with it."""
        browser = Browser(self.factory)
        browser.follow("job")
        browser.lose()
        self.assertEqual(self.hub.channels, {})
        self.assertEqual(self.factory.reception.connections, set())


class LeanTests(SynchronousTestCase):
    """What connections share, and what they let go of."""

    def test_shared_attributes_do_not_change(self) -> None:
        """A new Autobahn that gives connections something else to change is noticed here."""
        _, _, factory = service()
        changeable = {
            name
            for name, value in vars(factory.subscribers.protocol).items()
            if isinstance(value, list | dict | set | bytearray) or hasattr(value, "append")
        }
        self.assertEqual(changeable - set(WebSocketServerProtocol.CONFIG_ATTRS), CHANGEABLE)

    def test_connections_do_not_meet(self) -> None:
        """Messages in fragments of two connections, in turns, are kept apart."""
        _, hub, factory = service()
        first, second = Browser(factory), Browser(factory)
        for browser in (first, second):
            browser.open()
        for part in (b"\x01\x82\0\0\0\0\xc3", b"\xc3"):
            first.send(part)
        second.send(b"\x01\x81\0\0\0\0x")
        first.send(b"\x80\x81\0\0\0\0y")
        second.send(b"\x80\x81\0\0\0\0y")
        self.assertEqual(first.close_code(), 1007)
        self.assertEqual(set(hub.channels), {"xy"})

    def test_little_is_kept(self) -> None:
        """A connection that follows a channel has few attributes, after either handshake."""
        _, _, factory = service()
        for head in (HANDSHAKE, HANDSHAKE.replace(b"Host: ", b"Host:  ")):
            browser = Browser(factory)
            browser.send(head)
            browser.send(frame(TEXT, b"job") + frame(PING))
            self.assertLessEqual(len(vars(browser.server)), 12)


class ClosingTests(SynchronousTestCase):
    """How connections end."""

    def setUp(self) -> None:
        """A client that is connected."""
        self.clock, self.hub, self.factory = service()
        self.browser = Browser(self.factory)

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with the sweep of every second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.factory.sweep()

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
        """Nothing is written behind a close frame that Autobahn sends by itself."""
        self.browser.follow("job")
        self.browser.send(frame(TEXT, b"job", mask=None))
        self.hub.publish([message("job", "STARTED")])
        self.assertEqual(self.browser.close_code(), 1002)

    def test_no_id(self) -> None:
        """A client that sends no id is closed with 1008 after the time for it."""
        self.browser.open()
        self.pass_time(LIMITS.subscribe_timeout - 1)
        self.assertEqual(self.browser.received(), [])
        self.pass_time(1)
        self.assertEqual(self.browser.close_code(), 1008)

    def test_no_handshake(self) -> None:
        """A client that does not finish its handshake is cut off after the time for it."""
        self.browser.send(HANDSHAKE[:-2])
        self.pass_time(LIMITS.handshake_timeout)
        self.assertEqual(self.browser.ended, "aborted")

    def test_both_close_frames(self) -> None:
        """After both close frames TCP is closed at once, and not by a reset."""
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

    def test_close_frame_without_answer(self) -> None:
        """A client that has got all and does not answer the close frame is not waited for."""
        self.hub.publish([message("job", "FINISHED")])
        self.browser.follow("job")
        self.pass_time(LIMITS.close_timeout)
        self.assertEqual(self.browser.ended, "closed")

    def test_slow_reader_is_waited_for(self) -> None:
        """A client that has not got all yet is not cut off after its close frame."""
        self.hub.publish([message("job", "FINISHED")])
        self.browser.transport.unacknowledged = 1000
        self.browser.follow("job")
        self.pass_time(10 * LIMITS.close_timeout)
        self.assertIsNone(self.browser.ended)

    def test_stop_sends_what_is_due_first(self) -> None:
        """When the monitor stops, a client gets all that is due and then 1012."""
        self.browser.follow("job")
        self.browser.server.pauseProducing()
        self.hub.publish([message("job", "STARTED")])
        gone = self.factory.reception.close_all()
        self.assertEqual(self.browser.received(), [])
        self.browser.server.resumeProducing()
        (text, close) = self.browser.received()
        self.assertEqual(text, (TEXT, b'{"command": "STARTED"}'))
        self.assertEqual(close[1][:2], b"\x03\xf4")
        self.assertNoResult(gone)
        self.browser.lose()
        self.successResultOf(gone)

    def test_stop_with_clients_without_a_channel(self) -> None:
        """When the monitor stops, clients in the handshake get 503, those without an id 1012."""
        opened = Browser(self.factory)
        opened.open()
        self.factory.reception.close_all()
        self.assertEqual(opened.close_code(), 1012)
        self.assertTrue(self.browser.take().startswith(b"HTTP/1.1 503 "))

    def test_stop_without_clients(self) -> None:
        """When there is nobody to wait for, stopping does not wait."""
        self.browser.lose()
        self.successResultOf(self.factory.reception.close_all())

    def test_bug_in_one_client(self) -> None:
        """A client whose writing fails is closed with 1011; the others do not notice."""
        self.browser.follow("job")
        other = Browser(self.factory)
        other.follow("job")

        self.browser.transport.broken = True
        self.hub.publish([message("job", "STARTED")])
        self.assertEqual(self.browser.close_code(), 1011)
        self.assertEqual(other.texts(), ['{"command": "STARTED"}'])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class SlowReaderTests(SynchronousTestCase):
    """Clients that take less than there is."""

    def setUp(self) -> None:
        """A client that follows a channel."""
        self.clock, self.hub, self.factory = service()
        self.browser = Browser(self.factory)
        self.browser.follow("job")

    def test_paused_client_stays_where_it_is(self) -> None:
        """A client that takes no more is written no more, and later goes on where it was."""
        self.browser.server.pauseProducing()
        self.hub.publish([message("job", *RUNNING)] * 1000)
        self.assertEqual(self.browser.transport.stream, [])
        self.browser.server.resumeProducing()
        self.assertEqual(self.browser.texts(), [RUNNING_TEXT] * 1000)

    def test_pause_within_a_write(self) -> None:
        """A client that takes one slice of a long log is written one slice, whole frames."""
        transport = self.browser.transport
        transport.full = True
        self.hub.publish([message("job", *RUNNING)] * 1000)
        self.assertEqual(len(transport.stream), 1)
        self.assertLess(len(transport.stream[0]), CHUNK_SIZE + 200)
        self.assertEqual(set(self.browser.texts()), {RUNNING_TEXT})

    def test_ping_is_answered(self) -> None:
        """A client's ping is answered with its payload."""
        self.browser.send(frame(PING, b"hello"))
        self.assertEqual(self.browser.received(), [(PONG, b"hello")])

    def test_no_answer_to_pings_while_paused(self) -> None:
        """A client that pings and does not read makes nothing grow."""
        self.browser.server.pauseProducing()
        self.browser.send(frame(PING, b"hello") * 100)
        self.assertEqual(self.browser.transport.stream, [])


class PingTests(SynchronousTestCase):
    """Clients that have vanished are noticed, slow ones are not cut."""

    def setUp(self) -> None:
        """A client that follows a channel and has got what there is."""
        self.clock, self.hub, self.factory = service()
        self.browser = Browser(self.factory)
        self.browser.follow("job")

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with the sweep of every second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.factory.sweep()

    def test_vanished_client(self) -> None:
        """A client of which nothing is heard is pinged, and gone within 45 s."""
        self.pass_time(LIMITS.ping_interval)
        self.assertEqual(self.browser.received(), [(PING, b"")])
        self.pass_time(45 - LIMITS.ping_interval)
        self.assertEqual(self.browser.ended, "aborted")

    def test_client_that_answers(self) -> None:
        """A client that answers pings stays."""
        for _ in range(10):
            self.pass_time(LIMITS.ping_interval)
            self.browser.send(frame(PONG))
        self.assertIsNone(self.browser.ended)

    def test_reader_that_makes_progress(self) -> None:
        """A client that does not get to the ping but takes bytes stays."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        transport = self.browser.transport
        transport.unacknowledged = 500_000
        for _ in range(20):
            self.pass_time(10)
            transport.unacknowledged -= 10_000
        self.assertIsNone(self.browser.ended)

    def test_long_replay_before_the_ping(self) -> None:
        """A client whose kernel has all of a long replay, itself still reading, stays."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        self.pass_time(100)
        self.assertIsNone(self.browser.ended)

    def test_reader_that_makes_no_progress(self) -> None:
        """A client that takes nothing at all is cut off."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        self.browser.transport.unacknowledged = 500_000
        self.pass_time(45)
        self.assertEqual(self.browser.ended, "aborted")


class LimitTests(SynchronousTestCase):
    """What happens at the limits of clients."""

    def refusal(self, browser: Browser, head: bytes = HANDSHAKE) -> bytes:
        """The answer to a handshake that is refused, which ends the connection."""
        browser.send(head)
        self.assertEqual(browser.ended, "closed")
        return browser.take()

    def test_too_many_clients(self) -> None:
        """A client without a place gets 503 and when to try again; others find one later."""
        _, _, factory = service(max_connections=1)
        first, second = Browser(factory), Browser(factory)
        first.open()
        answer = self.refusal(second)
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertIn(b"Retry-After: 30\r\n", answer)
        first.lose()
        second.lose()
        Browser(factory).open()

    def test_far_too_many_connections(self) -> None:
        """Beyond twice as many connections as places the next is closed at once."""
        _, _, factory = service(max_connections=1)
        Browser(factory), Browser(factory)
        self.assertIsNone(factory.buildProtocol(None))

    def test_other_origins(self) -> None:
        """A page that may not connect gets 403."""
        _, _, factory = service(allowed_origins=("https://recodex.example.org",))
        head = HANDSHAKE[:-2] + b"Origin: %s\r\n\r\n"
        answer = self.refusal(Browser(factory), head % b"https://evil.example")
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), answer)
        allowed = Browser(factory)
        allowed.send(head % b"https://recodex.example.org")
        self.assertTrue(allowed.take().startswith(b"HTTP/1.1 101 "))

    def test_long_heads(self) -> None:
        """A head beyond the limit gets 431, in one packet or many; one within it may be long."""
        _, _, factory = service(max_handshake_size=2000)
        line = b"X: " + b"x" * 400 + b"\r\n"
        head = HANDSHAKE[:-2] + 5 * line + b"\r\n"
        answer = self.refusal(Browser(factory), head)
        self.assertTrue(answer.startswith(b"HTTP/1.1 431 "), answer)
        slow = Browser(factory)
        for byte in head[:2001]:
            slow.send(bytes([byte]))
        self.assertTrue(slow.take().startswith(b"HTTP/1.1 431 "))
        allowed = Browser(factory)
        allowed.send(HANDSHAKE[:-2] + 3 * line + b"\r\n" + frame(TEXT, b"x" * 50) + b"x" * 2000)
        self.assertTrue(allowed.take().startswith(b"HTTP/1.1 101 "))

    def test_limits_that_change(self) -> None:
        """What bounds ids changes at once; what bounds messages, for who connects from then on."""
        _, _, factory = service(max_channel_id=100, max_client_message=100)
        there = Browser(factory)
        there.send(HANDSHAKE)
        factory.limits.max_channel_id = factory.limits.max_client_message = 200
        factory.subscribers.limits_changed()
        newcomer = Browser(factory)
        there.take()
        there.send(frame(TEXT, b"x" * 150))
        self.assertEqual(there.close_code(), 1009)
        newcomer.follow("x" * 150)
        self.assertEqual(newcomer.received(), [])

    def test_long_ids(self) -> None:
        """An id beyond its limit is closed with 1009, though the message was not too long."""
        _, hub, factory = service(max_channel_id=50)
        browser = Browser(factory)
        browser.follow("x" * 51)
        self.assertEqual(browser.close_code(), 1009)
        self.assertEqual(hub.channels, {})

    def test_talking_on(self) -> None:
        """A client that says more after its id than is ignored is closed with 1008."""
        _, _, factory = service(ignored_messages=3)
        browser = Browser(factory)
        browser.follow("job")
        browser.send(frame(TEXT, b"x") * 3)
        self.assertEqual(browser.received(), [])
        browser.send(frame(TEXT, b"x"))
        self.assertEqual(browser.close_code(), 1008)

    def test_endless_fragments(self) -> None:
        """A message in ever more fragments is closed with 1008 too."""
        _, _, factory = service(ignored_messages=3)
        browser = Browser(factory)
        browser.open()
        browser.send(b"\x01\x80abcd" + b"\x00\x80abcd" * 5)
        self.assertEqual(browser.close_code(), 1008)

    def test_no_room_for_a_channel(self) -> None:
        """A client for whose channel there is no room is closed with 1013."""
        _, hub, factory = service()
        hub.bounds = replace(hub.bounds, max_channels=1)
        Browser(factory).follow("job")
        browser = Browser(factory)
        browser.follow("other")
        self.assertEqual(browser.close_code(), 1013)

    def test_endless_readers(self) -> None:
        """A reader of an ended channel that takes a little now and then is cut in the end."""
        clock, hub, factory = service(finish_timeout=60)
        hub.publish([message("job", *RUNNING)] * 40_000 + [message("job", "FINISHED")])
        browser = Browser(factory)
        browser.transport.full = True
        browser.follow("job")
        for _ in range(59):
            clock.advance(1)
            factory.sweep()
            browser.server.resumeProducing()
            browser.send(frame(PONG))
        self.assertIsNone(browser.ended)
        clock.advance(1)
        factory.sweep()
        self.assertEqual(browser.ended, "aborted")

    def test_no_descriptors(self) -> None:
        """A client for whom there is no file descriptor to spare is closed at once."""
        _, _, factory = service()
        allowed = (100, 4096)
        self.patch(resource, "getrlimit", lambda _: allowed)
        clients = [Browser(factory) for _ in range(75)]
        self.assertIsNone(factory.buildProtocol(None))
        clients[0].lose()
        self.assertIsNotNone(factory.buildProtocol(None))
