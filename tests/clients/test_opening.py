"""Clients of channels whose messages are not here yet."""

from typing import Any

from recodex_monitor.channels.source import NotReadable
from tests.clients.support import StreamTestCase
from tests.support.clients import Browser
from tests.support.http import answer, request
from tests.support.settings import change


class AwayTests(StreamTestCase):
    """Clients of a channel whose messages the cluster's engine has, which is away."""

    def setUp(self) -> None:
        """Let all channels wait until they are loaded or refused."""
        super().setUp()
        self.waiting: list[Any] = []
        source = self.hub.source
        self.patch(source, "when_loaded", lambda *call: self.waiting.append(call[1:3]))

    def counts(self) -> dict[str, int]:
        """How many clients were refused, by reason."""
        return dict(self.factory.connections.refused.counts)

    def test_waited(self) -> None:
        """A client that has waited in vain is told the truth, whole, once, and counted."""
        for path in ("/events/other", "/channels/other", "/channels/other?wait=9"):
            browser = Browser(self.factory)
            browser.send(request(path))
            _, refuse = self.waiting.pop()
            refuse()
            found = answer(browser.take())
            self.assertEqual((found.status, found.headers["retry-after"]), (503, "30"))
            self.assertIn("text/plain", found.headers["content-type"])
            self.assertIn(b"the engine of the monitor's cluster is away", found.body)
            self.assertEqual((found.is_whole, browser.ended), (True, "closed"))
        self.assertEqual(self.counts(), {"engine away": 3})

    def test_known(self) -> None:
        """So is one whose channel is known not to be readable; by WebSocket with the code 1013."""

        def away(*_: object) -> None:
            raise NotReadable("the engine is away, and 'other' was not read before")

        self.patch(self.hub.source, "when_loaded", away)
        found = Browser(self.factory).get("/events/other")
        self.assertIn(b"the engine of the monitor's cluster is away", found.body)
        self.assertEqual(found.status, 503)
        ((_, close),) = self.follower("other").received()
        self.assertEqual(close, b"\x03\xf5the cluster's engine is away")
        self.assertEqual(self.counts(), {"engine away": 2})

    def test_full_by_then(self) -> None:
        """Where other channels took the room meanwhile, that is told, not the engine's fault."""
        change(self.hub.settings, max_channels=1)
        self.follower("first")
        browser = Browser(self.factory)
        browser.send(request("/events/other"))
        follower = self.follower("other")
        for begin, _ in self.waiting:
            begin()
        self.assertIn(b"no room for another channel", answer(browser.take()).body)
        ((_, close),) = follower.received()
        self.assertEqual(close, b"\x03\xf5too many channels")
        self.assertEqual(self.counts(), {"no room": 2})

    def test_stopping(self) -> None:
        """If the monitor stops meanwhile, that is the reason, which is not counted."""
        browser = Browser(self.factory)
        browser.send(request("/events/other"))
        browser.server.leave()
        found = answer(browser.take())
        self.assertEqual(found.status, 503)
        self.assertIn(b"The monitor stops or restarts", found.body)
        self.assertEqual(self.counts(), {})
