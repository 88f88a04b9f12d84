"""Slow clients of event streams and other answers that follow a channel, and their memory."""

import gc
from collections import Counter

from recodex_monitor.channels.channel import CHUNK_SIZE
from tests.clients.support import StreamTestCase
from tests.support.clients import Browser
from tests.support.http import answer, request


class MemoryTests(StreamTestCase):
    """What is left of lost connections."""

    def test_lost_connection_leaves_nothing(self) -> None:
        """A lost connection leaves no subscription, no admission and no reference cycle."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = self.things()
        for path in ("/events/job", "/channels/x?wait=9", "/channels/job", "/", "/none"):
            browser = Browser(self.factory)
            browser.send(request(path))
            browser.lose()
            # So does a real transport.
            browser.transport.protocol = browser.transport.producer = None
            del browser
        self.assertEqual(self.hub.channels["job"].subscriptions, set())
        self.assertEqual(self.factory.connections.clients, set())
        self.pass_time(100)
        self.assertEqual(self.things(), before)

    @staticmethod
    def things() -> Counter[str]:
        """The number of objects of each class that belongs to a connection."""
        kinds = ("EventStream", "Snapshot", "Request", "Connection", "Delivery", "Transport")
        names = (type(each).__name__ for each in gc.get_objects())
        return Counter(name for name in names if name.endswith(kinds))


class SlowReaderTests(StreamTestCase):
    """Clients that take less than there is."""

    def test_one_slice(self) -> None:
        """A client that takes nothing of a long log is sent one chunk of it."""
        self.publish_tasks(10_000)
        for path in ("/events/job", "/channels/job", "/channels/job?wait=9"):
            browser = Browser(self.factory)
            browser.transport.full = True
            # What is written first, head and first event, does not pause such a client yet.
            browser.get(path)
            self.assertLess(len(browser.take()), 2 * CHUNK_SIZE)
            browser.lose()

    def test_goes_on(self) -> None:
        """A client that takes a chunk at a time gets every byte once."""
        self.publish_tasks(10_000)
        self.publish("FINISHED")
        for path in ("/events/job", "/channels/job"):
            fast, slow = Browser(self.factory), Browser(self.factory)
            fast.send(request(path))
            self.pass_time(1)
            slow.transport.full = True
            slow.send(request(path))
            for _ in range(100):
                slow.resume()
            bodies = [answer(one.take()).body.partition(b"}\n\n")[2] for one in (slow, fast)]
            self.assertEqual(*bodies)
            self.assertEqual(slow.ended, "closed")

    def test_endless_readers(self) -> None:
        """A client that reads the rest too slowly is cut off in the end."""
        self.publish_tasks(40_000)
        self.publish("FINISHED")
        browsers = [Browser(self.factory) for _ in range(3)]
        for browser, path in zip(browsers, ("/events/job", "/channels/job", "/"), strict=True):
            browser.transport.full = True
            browser.get(path)
        for _ in range(59):
            self.pass_time(1)
            for browser in browsers[:2]:
                browser.resume()
        self.assertEqual([browser.ended for browser in browsers], [None, None, "closed"])
        self.pass_time(2)
        self.assertEqual([browser.ended for browser in browsers], ["aborted"] * 3)

    def test_little_is_held(self) -> None:
        """A long snapshot is never held in memory as a whole."""
        self.publish_tasks(10_000)
        browser = Browser(self.factory)
        browser.send(request("/channels/job"))
        self.pass_time(1)
        self.assertEqual(browser.ended, "closed")
        self.assertLess(max(map(len, browser.transport.stream)), 2 * CHUNK_SIZE)
