"""Pages without ids whose connections are failed, because they may not know of close codes."""

from recodex_monitor.clients.failing import FAILURE
from recodex_monitor.settings.schema import Clients, Limits
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.frames import HANDSHAKE, TEXT, frame

ORIGIN = b"Origin: https://recodex.example.org\r\n\r\n"
LIMITS = Limits()


class FailingTests(ClientsTestCase):
    """A page that follows a job by its bare id."""

    def page(self, query: str = "x=1", channel_id: str = "job", origin: bytes = ORIGIN) -> Browser:
        """A page with this origin that follows a channel; an empty id sends none."""
        browser = Browser(self.factory)
        handshake = HANDSHAKE.replace(b"x=1", query.encode())
        browser.send(handshake.removesuffix(b"\r\n") + origin)
        if channel_id:
            browser.send(frame(TEXT, channel_id.encode()))
        self.assertTrue(browser.take().startswith(b"HTTP/1.1 101 "))
        return browser

    def failed(self, browser: Browser, before: bytes = b"") -> None:
        """Check that the last bytes are the frame, and then the end of TCP, not a reset."""
        self.assertEqual((browser.take(), browser.ended), (before + FAILURE, "closed"))
        self.assertEqual(self.hub.channels.get("job", None), None)

    def test_stop(self) -> None:
        """At a stop it is failed, whether it has sent its id or not; it is counted as 1012."""
        pages = self.page(), self.page(channel_id="")
        self.factory.connections.close_all()
        for browser in pages:
            self.failed(browser)
            browser.lose()
        self.assertEqual(dict(self.hub.counters.gone), {("websocket", "1012"): 2})

    def test_no_room(self) -> None:
        """So it is where there is no room for another channel."""
        self.hub.settings.limits = Limits(max_channels=1)
        self.follower()
        browser = self.page(channel_id="")
        browser.send(frame(TEXT, b"other"))
        self.assertEqual((browser.take(), browser.ended), (FAILURE, "closed"))

    def test_bug(self) -> None:
        """So it is after an internal error."""
        browser = self.page()
        browser.transport.broken = True
        self.publish("STARTED")
        self.assertEqual((browser.take(), browser.ended), (FAILURE, "closed"))
        self.flushLoggedErrors()

    def test_cut(self) -> None:
        """One that does not answer pings is failed, and the second time cut."""
        browser = self.page()
        self.pass_time(LIMITS.ping_interval + LIMITS.ping_timeout + 2)
        self.assertEqual((browser.take()[-2:], browser.ended), (FAILURE, "closed"))
        self.assertEqual(len(self.hub.channels["job"].subscriptions), 1)
        browser.server.cut()
        self.assertEqual(browser.ended, "aborted")

    def test_end(self) -> None:
        """One that has seen the end gets 1000 as ever, also if the monitor stops then."""
        browser = self.page()
        self.publish("FINISHED")
        self.factory.connections.close_all()
        self.assertEqual(browser.take(), frame_of(b'{"command": "FINISHED"}') + b"\x88\x02\x03\xe8")
        self.assertIsNone(browser.ended)

    def test_own_mistakes(self) -> None:
        """What it did wrong keeps its code."""
        browser = self.page(channel_id="")
        browser.send(frame(TEXT, b""))
        self.assertEqual(browser.close_code(), 1008)

    def test_others(self) -> None:
        """Programs, pages that resume, and all with the setting off get the code."""
        program, resuming = self.page(origin=b"\r\n"), self.page("after=")
        resuming.take()
        self.factory.connections.close_all()
        self.assertEqual([program.close_code(), resuming.close_code()], [1012, 1012])
        self.hub.settings.clients = Clients(fail_browsers=False)
        off = self.page()
        self.factory.connections.close_all()
        self.assertEqual(off.close_code(), 1012)


def frame_of(text: bytes) -> bytes:
    """A text frame of the monitor."""
    return bytes([0x81, len(text)]) + text
