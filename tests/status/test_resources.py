"""Resources, with the requests that Twisted's own tests use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.status.jobs import Query
from recodex_monitor.status.resources import Answer, Channels, Jobs, Page, as_json, constant, file


class Request(DummyRequest):
    """A request whose producer waits to be called.

    Attributes:
        body: what the resource returned.
    """

    body: Any = None

    def registerProducer(self, producer: object, is_streaming: bool) -> None:
        """Called by the resource."""


def ask(
    resource: Any, method: bytes = b"GET", values: dict[bytes, list[bytes]] | None = None
) -> Request:
    """A request that a resource has rendered."""
    request = Request([])
    request.method = method
    request.args = values or {}
    request.body = resource.render(request)
    return request


class PageTests(SynchronousTestCase):
    """A path that a function answers."""

    def test_answer(self) -> None:
        """The answer's status, headers and content are sent."""
        request = ask(Page(lambda _: Answer(418, b"tea", b"text/plain", ((b"X-Pot", b"1"),))))
        self.assertEqual((request.responseCode, request.body), (418, b"tea"))
        self.assertEqual(request.responseHeaders.getRawHeaders(b"X-Pot"), [b"1"])

    def test_head(self) -> None:
        """HEAD gets the length of what GET would get, and no body."""
        request = ask(Page(lambda _: as_json([1, 2])), b"HEAD")
        self.assertEqual(request.body, b"")
        self.assertEqual(request.responseHeaders.getRawHeaders(b"Content-Length"), [b"7"])

    def test_failure(self) -> None:
        """A function that fails is logged, and answered by 500 without its text."""
        request = ask(Page(lambda _: 1 / 0))  # type: ignore[arg-type, return-value]
        self.assertEqual(request.responseCode, 500)
        self.assertNotIn(b"division", request.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_missing_file(self) -> None:
        """A file that cannot be read is an error of the start, not of a request."""
        self.assertRaises(OSError, file, Path("missing.html"))


class JobsTests(SynchronousTestCase):
    """The list of jobs."""

    def test_waits(self) -> None:
        """The answer is what the request's query finds, when that is found."""
        asked: list[Any] = []
        jobs = Jobs(lambda query, call: asked.append((query, call)))
        request = ask(jobs, values={b"state": [b"failed"], b"page": [b"2"]})
        self.assertIs(request.body, NOT_DONE_YET)
        ((query, call),) = asked
        self.assertEqual(query, Query(state="failed", page=2))
        call({"total": 1})
        self.assertEqual(request.written, [b'{"total": 1}\n'])

    def test_wrong_query(self) -> None:
        """A query that is not allowed is answered by 400, which says what is."""
        request = ask(Jobs(lambda *_: None), values={b"sort": [b"colour"]})
        self.assertEqual(request.responseCode, 400)
        self.assertIn(b"urgent, id, messages", request.body)


class ChannelsTests(SynchronousTestCase):
    """A path below which every channel has one."""

    def test_id(self) -> None:
        """The id is all that follows, slashes included."""
        channels = Channels(constant(as_json("all")), as_json)
        request = DummyRequest([b"b", b"c"])
        page = channels.getChild(b"a", request)
        self.assertEqual(ask(page).body, b'"a/b/c"\n')
        self.assertEqual(request.postpath, [])

    def test_waits(self) -> None:
        """The answer waits for the channel's messages, as long as somebody waits for it."""
        waiting: list[Callable[[], object]] = []

        def load(_: str, call: Callable[[], object], __: Callable[[], object]) -> None:
            waiting.append(call)

        channels = Channels(constant(as_json("all")), as_json, load)
        first, second = (ask(channels.getChild(b"a", DummyRequest([]))) for _ in range(2))
        self.assertIs(first.body, NOT_DONE_YET)
        second.processingFailed(Failure(ConnectionLost()))
        for call in waiting:
            call()
        self.assertEqual((first.written, second.written), ([b'"a"\n'], []))
        self.assertEqual((first.finished, second.finished), (1, 0))

    def test_cannot_wait(self) -> None:
        """If the messages cannot be had, the answer is what is known without them."""

        def load(_: str, call: Callable[[], object], __: Callable[[], object]) -> None:
            raise NoRoom("the engine is away")

        channels = Channels(constant(as_json("all")), as_json, load)
        self.assertEqual(ask(channels.getChild(b"a", DummyRequest([]))).body, b'"a"\n')
