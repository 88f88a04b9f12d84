"""Snapshots and long polls of a channel."""

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recodex_monitor.clients import stream_factory
from tests.clients.support import StreamTestCase, subscribed
from tests.support.clients import Browser
from tests.support.http import Answer, answer, request
from tests.support.messages import message


class SnapshotTestCase(StreamTestCase):
    """Clients of /channels."""

    def snapshot(self, found: Answer) -> dict[str, Any]:
        """The object in an answer, which must be whole."""
        self.assertEqual((found.status, found.is_whole), (200, True), found)
        self.assertEqual(found.headers["content-type"], "application/json")
        return dict(json.loads(found.body))

    def of(self, path: str) -> dict[str, Any]:
        """The object that is answered at once to a request."""
        return self.snapshot(Browser(self.factory).get(path))


class SnapshotTests(SnapshotTestCase):
    """Snapshots of the messages so far."""

    def test_running(self) -> None:
        """A snapshot has all messages so far with their ids, the last id, and no end."""
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
            "outcome": None,
            "age": 9.0,
            "broker": True,
        }
        self.clock.advance(9)
        self.assertEqual(self.of("/channels/job"), expected)

    def test_ended(self) -> None:
        """After an id of an ended channel come the later messages, possibly none, and the end."""
        self.publish("FINISHED")
        for number, due in ((1, [f"{self.epoch}:2"]), (2, [])):
            for wait in ("", "&wait=60"):
                found = self.of(f"/channels/job?after={self.epoch}:{number}{wait}")
                alias = self.of(f"/channels/job?lastEventId={self.epoch}:{number}{wait}")
                self.assertEqual(alias, found)
                self.assertEqual([each["id"] for each in found["messages"]], due)
                self.assertEqual(found["last"], f"{self.epoch}:2")
                self.assertEqual((found["recovered"], found["end"]), (True, "finished"))

    def test_unknown_channel(self) -> None:
        """An unknown channel has no messages, and asking for it does not create it."""
        for path in ("/channels/%22x", "/channels/%22x?wait=0", "/channels/%22x?after=x:1"):
            found = self.of(path)
            expected = {"channel": '"x', "recovered": False, "messages": [], "last": None}
            unknown = {"end": None, "outcome": None, "age": None, "broker": True}
            self.assertEqual(found, {**expected, **unknown})
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_forgotten(self) -> None:
        """Of a channel that is no longer kept, the end is told, and when it was removed."""
        self.publish("ENDED", "FAILED", "FINISHED")
        self.pass_time(self.hub.settings.channels.retention)
        self.hub.expire()
        self.pass_time(7)
        self.patch(stream_factory, "time", SimpleNamespace(time=lambda: 1000.0))
        for path in ("/channels/job", "/channels/job?wait=60"):
            expected = {
                "channel": "job",
                "recovered": False,
                "messages": [{"command": "FINISHED", "id": f"{self.epoch}:4"}],
                "last": f"{self.epoch}:4",
                "end": "finished",
                "outcome": "failed",
                "age": None,
                "broker": True,
                "forgotten": "failed",
                "forgotten_at": 993,
            }
            self.assertEqual(self.of(path), expected)
        self.assertEqual(self.of(f"/channels/job?after={self.epoch}:4")["messages"], [])

    def test_channel_that_is_waited_for(self) -> None:
        """A channel that so far has only a follower has no messages."""
        Browser(self.factory).get("/events/x")
        self.assertEqual(self.of("/channels/x")["messages"], [])

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.text(max_size=20) | st.just("x" * 9000), max_size=20), st.integers(0, 25))
    def test_any_log(self, tasks: list[str], number: int) -> None:
        """With any log a snapshot and a stream have the messages after the id."""
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
        self.assertEqual(body, subscribed(recovered=skipped > 0) + b"".join(events))


class LongPollTests(SnapshotTestCase):
    """Snapshots that wait for a message."""

    def test_bad_waits(self) -> None:
        """A wait that is not a whole number of seconds up to 60 is refused."""
        for wait in ("61", "-1", "1.5", "x", "%C2%B9", "1e1", "0" * 5000):
            self.assertEqual(Browser(self.factory).get(f"/channels/job?wait={wait}").status, 400)

    def test_wait_for_a_message(self) -> None:
        """A long poll is answered as soon as there are messages after the id, with all of them."""
        browser = Browser(self.factory)
        browser.send(request(f"/channels/job?after={self.epoch}:1&wait=60"))
        self.pass_time(59)
        self.assertEqual(browser.take(), b"")
        self.publish("ENDED", "UPLOADED")
        found = self.snapshot(answer(browser.take()))
        self.assertEqual([each["command"] for each in found["messages"]], ["ENDED", "UPLOADED"])
        self.assertEqual((found["recovered"], found["last"]), (True, f"{self.epoch}:3"))

    def test_nothing_comes(self) -> None:
        """When its time is up, or the monitor stops, a long poll is answered without messages."""
        polls = [Browser(self.factory) for _ in range(2)]
        for poll, wait in zip(polls, (30, 31), strict=True):
            poll.send(request(f"/channels/job?after={self.epoch}:1&wait={wait}"))
        self.pass_time(29)
        self.assertEqual([poll.ended for poll in polls], [None, None])
        self.pass_time(1)
        self.assertEqual([poll.ended for poll in polls], ["closed", None])
        self.factory.connections.close_all()
        for poll in polls:
            found = self.snapshot(answer(poll.take()))
            self.assertEqual((found["messages"], found["last"]), ([], f"{self.epoch}:1"))

    def test_poll_from_the_start(self) -> None:
        """A long poll without an id gets all messages, or waits for the first."""
        browser = Browser(self.factory)
        browser.send(request("/channels/x?wait=9"))
        self.assertEqual(browser.take(), b"")
        self.hub.publish([message("x", "STARTED")])
        self.assertEqual(len(self.snapshot(answer(browser.take()))["messages"]), 1)
        self.assertEqual(len(self.of("/channels/job?wait=9")["messages"]), 1)
