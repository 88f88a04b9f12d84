"""Event streams: events, resuming, and forgotten jobs."""

from recodex_monitor.settings.schema import Limits
from tests.clients.support import RUNNING, StreamTestCase, end, subscribed
from tests.support.clients import Browser
from tests.support.messages import message
from tests.support.settings import change

LIMITS = Limits()


class EventStreamTests(StreamTestCase):
    """What a client of /events gets."""

    def setUp(self) -> None:
        """Make a client."""
        super().setUp()
        self.browser = Browser(self.factory)

    def test_replay_then_live_then_end(self) -> None:
        """A client gets the history, then each new message, then how the channel ended."""
        first = self.browser.get("/events/job")
        self.assertEqual(first.body, subscribed() + self.event(1, "STARTED"))
        self.hub.publish([message("job", *RUNNING)])
        self.assertEqual(self.browser.more(), (self.event(2, *RUNNING), False))
        self.publish("FINISHED")
        self.assertEqual(self.browser.more(), (self.event(3, "FINISHED") + end("finished"), True))
        self.assertEqual(self.browser.ended, "closed")

    def test_headers(self) -> None:
        """The headers keep proxies from storing, changing, compressing or delaying a stream."""
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
        """With HTTP/1.0 the body is not chunked, and ends with the connection."""
        first = self.browser.get("/events/job", version="1.0")
        self.assertEqual(first.body, subscribed() + self.event(1, "STARTED"))
        self.publish("FINISHED")
        self.assertEqual(self.browser.take(), self.event(2, "FINISHED") + end("finished"))
        self.assertEqual(self.browser.ended, "closed")

    def test_failed(self) -> None:
        """A job that has failed for good ends with a FINISHED of the monitor and its own reason."""
        self.browser.get("/events/job")
        self.publish("FAILED")
        self.browser.take()
        self.clock.advance(10)
        self.hub.expire()
        self.assertEqual(self.browser.more(), (self.event(3, "FINISHED") + end("failed"), True))

    def test_all_of_a_turn_in_one_write(self) -> None:
        """All messages that are published at once go out in one write."""
        self.browser.get("/events/job")
        self.publish_tasks(50)
        self.assertEqual(len(self.browser.transport.stream), 1)

    def test_unknown_channel(self) -> None:
        """A stream waits for an unknown channel, which is removed with the last stream."""
        self.assertEqual(self.browser.get("/events/x%20%C4%8D").body, subscribed(age=None))
        self.hub.publish([message("x č", "STARTED")])
        self.assertTrue(self.browser.take())
        other = Browser(self.factory)
        other.get("/events/other")
        other.lose()
        self.assertEqual(set(self.hub.channels), {"job", "x č"})

    def test_comments(self) -> None:
        """A client hears something at least every 15 s, and no comments while messages come."""
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
        """No comments pile up for a client that takes nothing; later it gets them again."""
        self.browser.get("/events/job")
        self.browser.pause()
        self.pass_time(10 * LIMITS.event_comment)
        self.assertEqual(self.browser.take(), b"")
        self.browser.resume()
        self.pass_time(LIMITS.event_comment)
        self.assertEqual(self.browser.more(), (b": \n\n", False))

    def test_stop(self) -> None:
        """When the monitor stops, a client gets what is due, and no END: it will connect again."""
        self.browser.get("/events/job")
        self.browser.pause()
        self.publish("ENDED")
        gone = self.factory.connections.close_all()
        self.assertEqual(self.browser.take(), b"")
        self.browser.resume()
        self.assertEqual(self.browser.more(), (self.event(2, "ENDED"), True))
        self.assertNoResult(gone)
        self.browser.lose()
        self.successResultOf(gone)

    def test_bug_in_one_client(self) -> None:
        """If writing to a client fails it is cut off; others are not affected."""
        self.browser.get("/events/job")
        other = Browser(self.factory)
        other.get("/events/job")
        self.browser.transport.broken = True
        self.publish("ENDED")
        self.assertEqual(self.browser.ended, "aborted")
        self.assertEqual(other.more(), (self.event(2, "ENDED"), False))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.browser.resume()
        self.browser.lose()

    def test_no_room_for_a_channel(self) -> None:
        """A client whose channel is beyond the limit of channels gets 503."""
        change(self.hub.settings, max_channels=1)
        Browser(self.factory).get("/events/job")
        for path in ("/events/other", "/channels/other?wait=9"):
            refused = Browser(self.factory).get(path)
            self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "30"))
            self.assertTrue(refused.is_whole)
            self.assertEqual(Browser(self.factory).get(path, method="HEAD").status, 503)
            self.assertIn(b"no room for another channel", refused.body)
        for method in ("GET", "HEAD"):
            for path in ("/channels/other", "/channels/job?wait=9"):
                self.assertEqual(Browser(self.factory).get(path, method=method).status, 200)


class ResumeTests(StreamTestCase):
    """Streams that begin after an id."""

    def setUp(self) -> None:
        """Make a client."""
        super().setUp()
        self.browser = Browser(self.factory)

    def test_resume(self) -> None:
        """A stream begins after the id in the header Last-Event-ID, or else in the query."""
        self.publish("ENDED", "UPLOADED")
        due = {1: self.event(2, "ENDED") + self.event(3, "UPLOADED"), 3: b""}
        for number, events in due.items():
            name = f"{self.epoch}:{number}"
            for path, header in (
                ("/events/job", f"Last-Event-ID: {name}"),
                (f"/events/job?after={name}", "X: y"),
                (f"/events/job?after={self.epoch}:2", f"Last-Event-ID: {name}"),
                (f"/events/job?x=y&after={self.epoch}%3A{number}", "X: y"),
                (f"/events/job?lastEventId={name}", "X: y"),
                (f"/events/job?lastEventId={name}&after={self.epoch}:2", "X: y"),
                (f"/events/job?after={self.epoch}:2&lastEventId={self.epoch}%3A{number}", "X: y"),
                (f"/events/job?lastEventId={self.epoch}:2", f"Last-Event-ID: {name}"),
            ):
                body = Browser(self.factory).get(path, header).body
                self.assertEqual(body, subscribed(recovered=True) + events, (path, header))

    def test_not_recovered(self) -> None:
        """After any other id a client gets all messages."""
        for after in ("", "x", f"{self.epoch}:2", "other:1", f"{self.epoch}:1:1", "%ff"):
            body = Browser(self.factory).get(f"/events/job?after={after}").body
            self.assertEqual(body, subscribed() + self.event(1, "STARTED"))

    def test_nothing_follows_the_end(self) -> None:
        """A client that has all messages of an ended channel gets 204, any other the rest."""
        self.publish("FINISHED")
        nothing = self.browser.get("/events/job", f"Last-Event-ID: {self.epoch}:2")
        self.assertEqual((nothing.status, nothing.body), (204, b""))
        self.assertEqual(self.browser.ended, "closed")
        body = Browser(self.factory).get("/events/job", f"Last-Event-ID: {self.epoch}:1").body
        self.assertEqual(
            body, subscribed(recovered=True) + self.event(2, "FINISHED") + end("finished")
        )
        whole = Browser(self.factory).get("/events/job", "Last-Event-ID: x:2")
        self.assertTrue(whole.is_whole)
        self.assertIn(b"STARTED", whole.body)


class ForgottenTests(StreamTestCase):
    """Streams of a channel that ended and is no longer kept."""

    def setUp(self) -> None:
        """Let it be removed."""
        super().setUp()
        self.publish("ENDED", "FINISHED")
        self.pass_time(self.hub.settings.channels.retention)
        self.hub.expire()
        self.assertEqual(self.hub.channels, {})

    def test_end(self) -> None:
        """A stream has FINISHED and the end at once, and is over."""
        for after in ("", "x:3", f"{self.epoch}:1"):
            got = Browser(self.factory).get(f"/events/job?after={after}")
            self.assertTrue(got.is_whole)
            first = subscribed(age=None, forgotten="finished")
            self.assertEqual(got.body, first + self.event(3, "FINISHED") + end("finished"))

    def test_resume(self) -> None:
        """After the last message nothing follows, so the answer is 204; before it, FINISHED."""
        for method in ("GET", "HEAD"):
            found = Browser(self.factory).get(f"/events/job?after={self.epoch}:3", method=method)
            self.assertEqual(found.status, 204)
        got = Browser(self.factory).get(f"/events/job?after={self.epoch}:2")
        tail = self.event(3, "FINISHED") + end("finished")
        first = subscribed(recovered=True, age=None, forgotten="finished")
        self.assertEqual(got.body, first + tail)
