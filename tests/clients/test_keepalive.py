"""Timeouts, pings and heartbeats of WebSocket clients."""

import json

from recodex_monitor.settings.schema import Limits
from tests.clients.support import RUNNING, ClientsTestCase
from tests.support.clients import Browser, service
from tests.support.frames import PING, PONG, TEXT, frame
from tests.support.messages import message

LIMITS = Limits()


class TimeoutTests(ClientsTestCase):
    """Clients that do not do something in time."""

    def setUp(self) -> None:
        """Connect a client."""
        super().setUp()
        self.browser = Browser(self.factory)

    def test_no_id(self) -> None:
        """A client that sends no channel id in time is closed with 1008."""
        self.browser.open()
        self.pass_time(LIMITS.subscribe_timeout - 1)
        self.assertEqual(self.browser.received(), [])
        self.pass_time(1)
        self.assertEqual(self.browser.close_code(), 1008)

    def test_close_frame_without_answer(self) -> None:
        """A client that has everything and does not answer the close frame is disconnected."""
        self.hub.publish([message("job", "FINISHED")])
        self.browser.follow("job")
        self.pass_time(LIMITS.close_timeout)
        self.assertEqual(self.browser.ended, "closed")

    def test_slow_reader_is_waited_for(self) -> None:
        """A client that has not read everything yet is waited for, even after a close frame."""
        self.hub.publish([message("job", "FINISHED")])
        self.browser.transport.unacknowledged = 1000
        self.browser.follow("job")
        self.pass_time(10 * LIMITS.close_timeout)
        self.assertIsNone(self.browser.ended)

    def test_endless_readers(self) -> None:
        """A client that reads an ended channel too slowly is cut off in the end."""
        clock, hub, factory = service(finish_timeout=60)
        hub.publish([message("job", *RUNNING)] * 40_000 + [message("job", "FINISHED")])
        browser = Browser(factory)
        browser.transport.full = True
        browser.follow("job")
        for _ in range(59):
            clock.advance(1)
            factory.sweep()
            browser.resume()
            browser.send(frame(PONG))
        self.assertIsNone(browser.ended)
        clock.advance(1)
        factory.sweep()
        self.assertEqual(browser.ended, "aborted")


class PingTests(ClientsTestCase):
    """Clients that have vanished are cut off, and slow ones are not."""

    def setUp(self) -> None:
        """A client that follows a channel and has all messages."""
        super().setUp()
        self.browser = self.follower()

    def test_vanished_client(self) -> None:
        """A silent client is pinged, and cut off within 45 s if it does not answer."""
        self.pass_time(LIMITS.ping_interval)
        self.assertEqual(self.browser.received(), [(PING, b"")])
        self.pass_time(45 - LIMITS.ping_interval)
        self.assertEqual(self.browser.ended, "aborted")

    def test_client_that_answers(self) -> None:
        """A client that answers pings stays connected."""
        for _ in range(10):
            self.pass_time(LIMITS.ping_interval)
            self.browser.send(frame(PONG))
        self.assertIsNone(self.browser.ended)

    def test_reader_that_makes_progress(self) -> None:
        """A client that has not come to the ping yet, but takes bytes, stays connected."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        transport = self.browser.transport
        transport.unacknowledged = 500_000
        for _ in range(20):
            self.pass_time(10)
            transport.unacknowledged -= 10_000
        self.assertIsNone(self.browser.ended)

    def test_long_replay_before_the_ping(self) -> None:
        """A client that is still reading a long replay, all in its kernel, stays connected."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        self.pass_time(100)
        self.assertIsNone(self.browser.ended)

    def test_reader_that_makes_no_progress(self) -> None:
        """A client that takes nothing at all is cut off."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        self.browser.transport.unacknowledged = 500_000
        self.pass_time(45)
        self.assertEqual(self.browser.ended, "aborted")


class HeartbeatTests(ClientsTestCase):
    """How a client that resumes knows that its connection is alive."""

    def resuming(self) -> Browser:
        """A client that resumes, and has all messages so far."""
        browser = self.follower(query="after=")
        browser.take()
        return browser

    def after_sweep(self, browser: Browser, seconds: float) -> list[object]:
        """The commands that a client gets in these seconds, in which it answers pings."""
        browser.send(frame(PONG))
        self.clock.advance(seconds)
        self.factory.sweep()
        texts = [payload for opcode, payload in browser.received() if opcode == TEXT]
        return [json.loads(text)["command"] for text in texts]

    def test_silence(self) -> None:
        """A client hears something at least every 25 s, and no heartbeat while messages come."""
        browser = self.resuming()
        for _ in range(3):
            self.publish("STARTED")
            self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat - 1), ["STARTED"])
        self.assertEqual(self.after_sweep(browser, 1), ["PING"])
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), ["PING"])

    def test_without_ids(self) -> None:
        """A client that does not resume, and would not understand heartbeats, gets none."""
        browser = self.follower()
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), [])

    def test_slow_reader(self) -> None:
        """No heartbeats pile up for a client that takes nothing; later it gets them again."""
        browser = self.resuming()
        browser.pause()
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), [])
        browser.resume()
        self.assertEqual(self.after_sweep(browser, LIMITS.heartbeat), ["PING"])
