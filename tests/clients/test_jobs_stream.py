"""Many channels as one event stream."""

import json
from typing import Any

from recodex_monitor.channels.channel import CHUNK_SIZE
from recodex_monitor.clients.jobs_stream import Follow, followed_in
from tests.clients.support import RUNNING, StreamTestCase, end_told, told
from tests.support.clients import Browser
from tests.support.messages import message


def parsed(body: bytes) -> list[tuple[str | None, dict[str, Any]]]:
    """The id and the data of each event; comments and ``retry`` are left out."""
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            found.append((fields.get("id"), json.loads(fields["data"])))
    return found


def brief(body: bytes) -> list[tuple[str, str]]:
    """The channel and the command of each event."""
    return [(data["channel"], data["command"]) for _, data in parsed(body)]


class ParseTests(StreamTestCase):
    """Which channels a query names."""

    def test_followed(self) -> None:
        """Ids are percent-encoded, so that only the separator is an ``@``; each counts once."""
        for query, found in (
            (b"follow=a", [Follow("a", "")]),
            (b"x=1&follow=a@e:1&follow=b", [Follow("a", "e:1"), Follow("b", "")]),
            (b"follow=a%40b@e%3A1", [Follow("a@b", "e:1")]),
            (b"follow=a+b%20%C5%BD", [Follow("a+b \u017d", "")]),
            (b"follow=a&follow=a@e:1", [Follow("a", "")]),
            (b"follow=", [Follow("", "")]),
            (b"", []),
            (b"follow&unfollow=a", []),
        ):
            self.assertEqual(followed_in(b"/events?" + query), found, query)


class JobsStreamTests(StreamTestCase):
    """A stream of many channels."""

    limits = {"max_channels_per_request": 3, "max_channels": 3, "finish_timeout": 60}  # noqa: RUF012

    def get(self, query: str, *headers: str, method: str = "GET") -> tuple[Browser, Any]:
        """Send a request; returns the client, and what is answered at once."""
        browser = Browser(self.factory)
        return browser, browser.get(f"/events?{query}", *headers, method=method)

    def tell(self, channel_id: str, *commands: str) -> None:
        """Publish messages of a channel with these commands."""
        self.hub.publish([message(channel_id, command) for command in commands])

    def test_resumed(self) -> None:
        """The channel of the last event goes on after it, whichever way the client names its id."""
        self.tell("job", "ENDED")
        number = f"{self.epoch}:1"
        for query, *headers in (
            ("follow=b&follow=job", f"Last-Event-ID: {number}"),
            (f"follow=b&follow=job&lastEventId={number}",),
            (f"follow=b&follow=job@{self.epoch}:2&lastEventId={self.epoch}%3A1",),
        ):
            _, answer = self.get(query, *headers)
            recovered = [data["recovered"] for _, data in parsed(answer.body) if "age" in data]
            self.assertEqual(recovered, [False, True], query)
            self.assertEqual(brief(answer.body)[-1], ("job", "ENDED"), query)

    def test_events(self) -> None:
        """Each event has its channel first, messages their ids; the answer ends with the last."""
        browser, answer = self.get("follow=job&follow=b")
        self.assertEqual(
            (answer.status, answer.headers["content-type"]), (200, "text/event-stream")
        )
        self.assertTrue(answer.body.startswith(b"retry: 3000\n\n"))
        first = {"channel": "job", **told("SUBSCRIBED", recovered=False)}
        number = f"{self.epoch}:1"
        started = {"channel": "job", "command": "STARTED", "id": number}
        other = {"channel": "b", **told("SUBSCRIBED", recovered=False, age=None)}
        self.assertEqual(parsed(answer.body), [(None, first), (number, started), (None, other)])
        self.tell("b", "FINISHED")
        body, is_over = browser.more()
        self.assertEqual(brief(body), [("b", "FINISHED"), ("b", "END")])
        self.assertFalse(is_over)
        self.tell("job", "FINISHED")
        body, is_over = browser.more()
        self.assertEqual(parsed(body)[-1], (None, {"channel": "job", **end_told("finished")}))
        self.assertEqual((is_over, browser.ended), (True, "closed"))
        browser.lose()
        self.assertEqual(dict(self.hub.counters.gone), {("jobs-events", "done"): 1})

    def test_resume(self) -> None:
        """A channel is resumed after its own id, or after ``Last-Event-ID`` if that is its own."""
        self.tell("job", "ENDED", "UPLOADED")
        for query, headers, recovered, due in (
            ("follow=job@{0}:1", (), True, ["ENDED", "UPLOADED"]),
            ("follow=job@x:1", (), False, ["STARTED", "ENDED", "UPLOADED"]),
            ("follow=job", ("Last-Event-ID: {0}:2",), True, ["UPLOADED"]),
            ("follow=job@{0}:1", ("Last-Event-ID: {0}:2",), True, ["UPLOADED"]),
            ("follow=job@{0}:1", ("Last-Event-ID: x:2",), True, ["ENDED", "UPLOADED"]),
        ):
            asked = [each.format(self.epoch) for each in (query, *headers)]
            _, answer = self.get(*asked)
            (_, first), *others = parsed(answer.body)
            self.assertEqual(first["recovered"], recovered)
            self.assertEqual([data["command"] for _, data in others], due)

    def test_over(self) -> None:
        """If all have ended and nothing follows, it is 204; else what is left, and the end."""
        self.tell("job", "FINISHED")
        self.tell("b", "FINISHED")
        other = self.hub.channels["b"].epoch
        both = f"follow=job@{self.epoch}:2&follow=b@{other}:1"
        for method in ("GET", "HEAD"):
            browser, answer = self.get(both, method=method)
            self.assertEqual((answer.status, browser.ended), (204, "closed"))
        browser, answer = self.get(f"follow=job@{self.epoch}:2&follow=b")
        due = [("job", "SUBSCRIBED"), ("job", "END")]
        due += [("b", "SUBSCRIBED"), ("b", "FINISHED"), ("b", "END")]
        self.assertEqual(brief(answer.body), due)
        self.assertEqual(browser.ended, "closed")

    def test_wrong_queries(self) -> None:
        """No channel, too many, or ids that are no text are answered by 400."""
        many = "&".join(f"follow={number}" for number in range(4))
        for query in ("", "x=1", many, "follow=%ff", "follow=%zz", "follow=a@%ff"):
            browser, answer = self.get(query)
            self.assertEqual((answer.status, browser.ended), (400, "closed"), query)
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_refused(self) -> None:
        """A channel that cannot be followed is refused; the others are not."""
        self.get("follow=job&follow=b&follow=c")
        browser, answer = self.get("follow=&follow=e&follow=job")
        refused = [(data["channel"], data.get("reason")) for _, data in parsed(answer.body)[:2]]
        self.assertEqual(refused, [("", "id"), ("e", "room")])
        self.assertEqual(brief(answer.body)[2:], [("job", "SUBSCRIBED"), ("job", "STARTED")])
        browser, answer = self.get("follow=e")
        self.assertEqual(brief(answer.body), [("e", "REFUSED")])
        self.assertEqual(browser.ended, "closed")

    def test_head(self) -> None:
        """HEAD gets the headers, and follows nothing."""
        browser, answer = self.get("follow=b", method="HEAD")
        self.assertEqual((answer.status, answer.body, browser.ended), (200, b"", "closed"))
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_comment(self) -> None:
        """A comment comes after silence on the stream."""
        browser, _ = self.get("follow=job&follow=b")
        self.pass_time(14)
        self.assertEqual(browser.more(), (b"", False))
        self.pass_time(1)
        self.assertEqual(browser.more(), (b": \n\n", False))

    def test_stop(self) -> None:
        """When the monitor stops, the answer ends after what is due, without END."""
        browser, _ = self.get("follow=job&follow=b")
        browser.pause()
        self.tell("b", "STARTED")
        self.factory.connections.close_all()
        self.assertEqual(browser.more(), (b"", False))
        browser.resume()
        body, is_over = browser.more()
        self.assertEqual((brief(body), is_over), ([("b", "STARTED")], True))

    def test_lost(self) -> None:
        """With the connection all its subscriptions end."""
        browser, _ = self.get("follow=job&follow=b")
        browser.lose()
        self.pass_time(20)
        self.assertEqual(set(self.hub.channels), {"job"})
        self.assertEqual(len(self.hub.channels["job"].subscriptions), 0)
        self.assertEqual({cut.id for cut in self.hub.counters.cuts}, {"job", "b"})

    def test_slow(self) -> None:
        """A slow reader misses nothing, and its channels take turns."""
        browser, _ = self.get("follow=job&follow=b")
        browser.pause()
        self.hub.publish([message("job", *RUNNING)] * (3 * CHUNK_SIZE // 60))
        self.tell("b", "STARTED")
        browser.transport.full = True
        order: list[str] = []
        for _ in range(5):
            browser.resume()
            order += sorted({channel for channel, _ in brief(browser.more()[0])})
        self.assertEqual(order, ["job", "b", "job", "job", "job"])
