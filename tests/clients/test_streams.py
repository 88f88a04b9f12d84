"""Channels over plain HTTP, with clients in memory."""

import gc
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE
from recodex_monitor.settings.schema import Limits
from tests.support.clients import Answer, Browser, answer, message, request, service

LIMITS = Limits()
RUNNING = ("TASK", "t", "COMPLETED")


def event(epoch: str, number: int, *frames: str) -> bytes:
    """An event of a text/event-stream."""
    return b"id: %b:%d\ndata: %b\n\n" % (epoch.encode(), number, message("job", *frames).text)


def subscribed(recovered: bool = False) -> bytes:
    """The first event of a stream."""
    return b'data: {"command": "SUBSCRIBED", "recovered": %b}\n\n' % json.dumps(recovered).encode()


def end(reason: str) -> bytes:
    """The last event of a stream."""
    return b'data: {"command": "END", "reason": "%b"}\n\n' % reason.encode()


class StreamTestCase(SynchronousTestCase):
    """A service, and its clients over plain HTTP."""

    def setUp(self) -> None:
        """A service with a running job."""
        self.clock, self.hub, self.factory = service(finish_timeout=60)
        self.publish("STARTED")
        self.epoch = self.hub.channels["job"].epoch

    def publish(self, *commands: str) -> None:
        """Let the broker say something about the job."""
        self.hub.publish([message("job", command) for command in commands])

    def publish_tasks(self, count: int) -> None:
        """Let so many tasks of the job end."""
        self.hub.publish([message("job", *RUNNING)] * count)

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with the sweep of every second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.factory.sweep()

    def event(self, number: int, *frames: str) -> bytes:
        """An event of the job."""
        return event(self.epoch, number, *frames)


class EventStreamTests(StreamTestCase):
    """What a client of /events gets."""

    def setUp(self) -> None:
        """A client."""
        super().setUp()
        self.browser = Browser(self.factory)

    def test_replay_then_live_then_end(self) -> None:
        """All there was, then what comes, then the reason of the end, and the body's end."""
        first = self.browser.get("/events/job")
        self.assertEqual(first.body, subscribed() + self.event(1, "STARTED"))
        self.hub.publish([message("job", *RUNNING)])
        self.assertEqual(self.browser.more(), (self.event(2, *RUNNING), False))
        self.publish("FINISHED")
        self.assertEqual(self.browser.more(), (self.event(3, "FINISHED") + end("finished"), True))
        self.assertEqual(self.browser.ended, "closed")

    def test_headers(self) -> None:
        """Nobody stores, changes, compresses or holds back a stream."""
        first = self.browser.get("/events/job")
        expected = {
            "content-type": "text/event-stream",
            "cache-control": "no-store, no-transform",
            "x-accel-buffering": "no",
            "content-encoding": "identity",
            "connection": "close",
        }
        self.assertEqual(first.status, 200)
        self.assertLessEqual(expected.items(), first.headers.items())

    def test_old_protocol(self) -> None:
        """By HTTP/1.0, as proxies speak it, the body has no chunks and ends with the connection."""
        first = self.browser.get("/events/job", version="1.0")
        self.assertEqual(first.body, subscribed() + self.event(1, "STARTED"))
        self.publish("FINISHED")
        self.assertEqual(self.browser.take(), self.event(2, "FINISHED") + end("finished"))
        self.assertEqual(self.browser.ended, "closed")

    def test_failed(self) -> None:
        """A job that the broker gave up ends with a FINISHED of ours and its own reason."""
        self.browser.get("/events/job")
        self.publish("FAILED")
        self.browser.take()
        self.clock.advance(10)
        self.hub.expire()
        self.assertEqual(self.browser.more(), (self.event(3, "FINISHED") + end("failed"), True))

    def test_all_of_a_turn_in_one_write(self) -> None:
        """Messages that were read in one turn cost a stream one write."""
        self.browser.get("/events/job")
        self.publish_tasks(50)
        self.assertEqual(len(self.browser.transport.stream), 1)

    def test_unknown_channel(self) -> None:
        """A channel that nobody has heard of is waited for, and goes with who waits."""
        self.assertEqual(self.browser.get("/events/x%20%C4%8D").body, subscribed())
        self.hub.publish([message("x č", "STARTED")])
        self.assertTrue(self.browser.take())
        other = Browser(self.factory)
        other.get("/events/other")
        other.lose()
        self.assertEqual(set(self.hub.channels), {"job", "x č"})

    def test_resume(self) -> None:
        """Behind the id that a client had last, by its header, else by the query."""
        self.publish("ENDED", "UPLOADED")
        due = {1: self.event(2, "ENDED") + self.event(3, "UPLOADED"), 3: b""}
        for number, events in due.items():
            name = f"{self.epoch}:{number}"
            for path, header in (
                ("/events/job", f"Last-Event-ID: {name}"),
                (f"/events/job?after={name}", "X: y"),
                (f"/events/job?after={self.epoch}:2", f"Last-Event-ID: {name}"),
                (f"/events/job?x=y&after={self.epoch}%3A{number}", "X: y"),
            ):
                body = Browser(self.factory).get(path, header).body
                self.assertEqual(body, subscribed(True) + events, (path, header))

    def test_not_recovered(self) -> None:
        """Behind any other id there is everything."""
        for after in ("", "x", f"{self.epoch}:2", "other:1", f"{self.epoch}:1:1", "%ff"):
            body = Browser(self.factory).get(f"/events/job?after={after}").body
            self.assertEqual(body, subscribed() + self.event(1, "STARTED"))

    def test_nothing_follows_the_end(self) -> None:
        """A client that has all of an ended channel gets 204, one that has not the rest."""
        self.publish("FINISHED")
        nothing = self.browser.get("/events/job", f"Last-Event-ID: {self.epoch}:2")
        self.assertEqual((nothing.status, nothing.body), (204, b""))
        self.assertEqual(self.browser.ended, "closed")
        body = Browser(self.factory).get("/events/job", f"Last-Event-ID: {self.epoch}:1").body
        self.assertEqual(body, subscribed(True) + self.event(2, "FINISHED") + end("finished"))
        whole = Browser(self.factory).get("/events/job", "Last-Event-ID: x:2")
        self.assertTrue(whole.is_whole)
        self.assertIn(b"STARTED", whole.body)

    def test_comments(self) -> None:
        """A client hears something every so often, and no comments while messages come."""
        self.browser.get("/events/job")
        for number in range(2, 5):
            self.pass_time(LIMITS.event_comment - 1)
            self.publish("ENDED")
            self.assertEqual(self.browser.more(), (self.event(number, "ENDED"), False))
        self.pass_time(LIMITS.event_comment - 1)
        self.assertEqual(self.browser.more(), (b"", False))
        self.pass_time(1)
        self.assertEqual(self.browser.more(), (b": \n\n", False))
        self.pass_time(2 * LIMITS.event_comment)
        self.assertEqual(self.browser.more(), (b": \n\n" * 2, False))

    def test_no_comments_to_pile_up(self) -> None:
        """A client that takes nothing gets no comments, and gets them again later."""
        self.browser.get("/events/job")
        self.browser.server.pauseProducing()
        self.pass_time(10 * LIMITS.event_comment)
        self.assertEqual(self.browser.take(), b"")
        self.browser.server.resumeProducing()
        self.pass_time(LIMITS.event_comment)
        self.assertEqual(self.browser.more(), (b": \n\n", False))

    def test_stop(self) -> None:
        """When the monitor stops a client gets what is due, and no END: it shall come again."""
        self.browser.get("/events/job")
        self.browser.server.pauseProducing()
        self.publish("ENDED")
        gone = self.factory.reception.close_all()
        self.assertEqual(self.browser.take(), b"")
        self.browser.server.resumeProducing()
        self.assertEqual(self.browser.more(), (self.event(2, "ENDED"), True))
        self.assertNoResult(gone)
        self.browser.lose()
        self.successResultOf(gone)

    def test_lost_connection_leaves_nothing(self) -> None:
        """A client that goes takes its subscription and its place with it, and no cycle stays."""
        self.browser.lose()
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
        self.assertEqual(self.factory.reception.connections, set())
        self.pass_time(100)
        self.assertEqual(self.things(), before)

    @staticmethod
    def things() -> Counter[str]:
        """How many objects of the kinds that a connection has there are."""
        kinds = ("EventStream", "Snapshot", "Request", "Connection", "Delivery", "Transport")
        names = (type(each).__name__ for each in gc.get_objects())
        return Counter(name for name in names if name.endswith(kinds))

    def test_bug_in_one_client(self) -> None:
        """A client whose writing fails is cut; the others do not notice."""
        self.browser.get("/events/job")
        other = Browser(self.factory)
        other.get("/events/job")
        self.browser.transport.broken = True
        self.publish("ENDED")
        self.assertEqual(self.browser.ended, "aborted")
        self.assertEqual(other.more(), (self.event(2, "ENDED"), False))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.browser.server.resumeProducing()
        self.browser.lose()

    def test_no_room_for_a_channel(self) -> None:
        """A client for whose channel there is no room gets 503."""
        self.hub.bounds = replace(self.hub.bounds, max_channels=1)
        Browser(self.factory).get("/events/job")
        for path in ("/events/other", "/channels/other?wait=9"):
            refused = Browser(self.factory).get(path)
            self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "30"))
            self.assertTrue(refused.is_whole)
        self.assertEqual(Browser(self.factory).get("/channels/other").status, 200)


class SlowReaderTests(StreamTestCase):
    """Clients that take less than there is."""

    def test_one_slice(self) -> None:
        """A client that takes nothing of a long log is written one slice of it."""
        self.publish_tasks(10_000)
        for path in ("/events/job", "/channels/job", "/channels/job?wait=9"):
            browser = Browser(self.factory)
            browser.transport.full = True
            # What is written first, head and first event, does not pause such a client yet.
            browser.get(path)
            self.assertLess(len(browser.take()), 2 * CHUNK_SIZE)
            browser.lose()

    def test_goes_on(self) -> None:
        """A client that takes a slice at a time gets every byte, once."""
        self.publish_tasks(10_000)
        self.publish("FINISHED")
        for path in ("/events/job", "/channels/job"):
            fast, slow = Browser(self.factory), Browser(self.factory)
            fast.send(request(path))
            self.pass_time(1)
            slow.transport.full = True
            slow.send(request(path))
            for _ in range(100):
                slow.server.resumeProducing()
            self.assertEqual(answer(slow.take()).body, answer(fast.take()).body)
            self.assertEqual(slow.ended, "closed")

    def test_endless_readers(self) -> None:
        """A reader to whom nothing more comes and who takes a little now and then is cut."""
        self.publish_tasks(40_000)
        self.publish("FINISHED")
        browsers = [Browser(self.factory) for _ in range(3)]
        for browser, path in zip(browsers, ("/events/job", "/channels/job", "/"), strict=True):
            browser.transport.full = True
            browser.get(path)
        for _ in range(59):
            self.pass_time(1)
            for browser in browsers[:2]:
                browser.server.resumeProducing()
        self.assertEqual([browser.ended for browser in browsers], [None, None, "closed"])
        self.pass_time(2)
        self.assertEqual([browser.ended for browser in browsers], ["aborted"] * 3)

    def test_little_is_held(self) -> None:
        """A long snapshot is never in memory as a whole."""
        self.publish_tasks(10_000)
        browser = Browser(self.factory)
        browser.send(request("/channels/job"))
        self.pass_time(1)
        self.assertEqual(browser.ended, "closed")
        self.assertLess(max(map(len, browser.transport.stream)), 2 * CHUNK_SIZE)


class SnapshotTests(StreamTestCase):
    """What a client of /channels gets."""

    def snapshot(self, found: Answer) -> dict[str, Any]:
        """The object of a whole answer."""
        self.assertEqual((found.status, found.is_whole), (200, True), found)
        self.assertEqual(found.headers["content-type"], "application/json")
        return dict(json.loads(found.body))

    def of(self, path: str) -> dict[str, Any]:
        """The object that is answered at once."""
        return self.snapshot(Browser(self.factory).get(path))

    def test_running(self) -> None:
        """All messages up to now, each with its id, the last of these, and no end."""
        self.publish("ENDED")
        expected = {
            "channel": "job",
            "recovered": False,
            "messages": [
                {"command": "STARTED", "id": f"{self.epoch}:1"},
                {"command": "ENDED", "id": f"{self.epoch}:2"},
            ],
            "last": f"{self.epoch}:2",
            "end": None,
        }
        self.assertEqual(self.of("/channels/job"), expected)

    def test_ended(self) -> None:
        """How a channel has ended is told with what follows the id, also when nothing does."""
        self.publish("FINISHED")
        for number, due in ((1, [f"{self.epoch}:2"]), (2, [])):
            for wait in ("", "&wait=60"):
                found = self.of(f"/channels/job?after={self.epoch}:{number}{wait}")
                self.assertEqual([each["id"] for each in found["messages"]], due)
                self.assertEqual(found["last"], f"{self.epoch}:2")
                self.assertEqual((found["recovered"], found["end"]), (True, "finished"))

    def test_unknown_channel(self) -> None:
        """A channel that nobody has heard of has no messages, and does not come into being."""
        for path in ("/channels/%22x", "/channels/%22x?wait=0", "/channels/%22x?after=x:1"):
            found = self.of(path)
            expected = {"channel": '"x', "recovered": False, "messages": [], "last": None}
            self.assertEqual(found, {**expected, "end": None})
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_channel_that_is_waited_for(self) -> None:
        """A channel of which somebody waits for the first message has none."""
        Browser(self.factory).get("/events/x")
        self.assertEqual(self.of("/channels/x")["messages"], [])

    def test_bad_waits(self) -> None:
        """A wait that is no whole number of seconds up to 60 is refused."""
        for wait in ("61", "-1", "1.5", "x", "%C2%B9", "1e1", "0" * 5000):
            self.assertEqual(Browser(self.factory).get(f"/channels/job?wait={wait}").status, 400)

    def test_wait_for_a_message(self) -> None:
        """A long poll is answered as soon as something follows the id, with all that does."""
        browser = Browser(self.factory)
        browser.send(request(f"/channels/job?after={self.epoch}:1&wait=60"))
        self.pass_time(59)
        self.assertEqual(browser.take(), b"")
        self.publish("ENDED", "UPLOADED")
        found = self.snapshot(answer(browser.take()))
        self.assertEqual([each["command"] for each in found["messages"]], ["ENDED", "UPLOADED"])
        self.assertEqual((found["recovered"], found["last"]), (True, f"{self.epoch}:3"))

    def test_nothing_comes(self) -> None:
        """At the end of the time, or when the monitor stops, a long poll says that nothing came."""
        polls = [Browser(self.factory) for _ in range(2)]
        for poll, wait in zip(polls, (30, 31), strict=True):
            poll.send(request(f"/channels/job?after={self.epoch}:1&wait={wait}"))
        self.pass_time(29)
        self.assertEqual([poll.ended for poll in polls], [None, None])
        self.pass_time(1)
        self.assertEqual([poll.ended for poll in polls], ["closed", None])
        self.factory.reception.close_all()
        for poll in polls:
            found = self.snapshot(answer(poll.take()))
            self.assertEqual((found["messages"], found["last"]), ([], f"{self.epoch}:1"))

    def test_poll_from_the_start(self) -> None:
        """A long poll without an id waits for a channel's first message, or gets all there is."""
        browser = Browser(self.factory)
        browser.send(request("/channels/x?wait=9"))
        self.assertEqual(browser.take(), b"")
        self.hub.publish([message("x", "STARTED")])
        self.assertEqual(len(self.snapshot(answer(browser.take()))["messages"]), 1)
        self.assertEqual(len(self.of("/channels/job?wait=9")["messages"]), 1)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.text(max_size=20) | st.just("x" * 9000), max_size=20), st.integers(0, 25))
    def test_any_log(self, tasks: list[str], number: int) -> None:
        """Of any log a snapshot and a stream are the messages behind the id."""
        self.setUp()
        self.hub.publish([message("job", "TASK", task) for task in tasks])
        texts = [message("job", "STARTED").text]
        texts += [message("job", "TASK", task).text for task in tasks]
        skipped = number if 0 < number <= len(texts) else 0
        numbered = list(enumerate(texts, 1))[skipped:]
        after = f"?after={self.epoch}:{number}"

        found = self.of(f"/channels/job{after}")
        due = [json.loads(text) | {"id": f"{self.epoch}:{each}"} for each, text in numbered]
        self.assertEqual((found["messages"], found["recovered"]), (due, skipped > 0))
        body = Browser(self.factory).get(f"/events/job{after}").body
        events = [b"id: %b:%d\ndata: %b\n\n" % (self.epoch.encode(), *each) for each in numbered]
        self.assertEqual(body, subscribed(skipped > 0) + b"".join(events))
