"""Server-sent events to open pages."""

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import NOT_DONE_YET

from recodex_monitor.status.events import Events
from recodex_monitor.status.jobs import Query
from tests.status.test_resources import ask


class EventsTests(SynchronousTestCase):
    """Streams of events."""

    def setUp(self) -> None:
        """Make a path for streams, whose lists wait for ``answer``."""
        self.states = iter("abcdef")
        self.asked: list[tuple[Query, Callable[[Any], object]]] = []
        self.may_refresh = True
        self.events = Events(
            lambda: next(self.states),
            lambda *asked: self.asked.append(asked),
            lambda: self.may_refresh,
        )

    def answer(self) -> None:
        """Give each query its text."""
        asked, self.asked = self.asked, []
        for query, call in asked:
            call(query.text)

    def test_told(self) -> None:
        """A page gets the state and its jobs at once and with each ``tell``, until it has gone."""
        request = ask(self.events, values={b"text": [b"x"]})
        self.assertIs(request.body, NOT_DONE_YET)
        self.answer()
        self.events.tell()
        self.answer()
        parts = [b'{"status": "a"}', b'{"jobs": "x"}', b'{"status": "b"}', b'{"jobs": "x"}']
        self.assertEqual(request.written, [b"data: %b\n\n" % part for part in parts])
        self.events.tell()
        request.processingFailed(Failure(ConnectionLost()))
        self.answer()
        self.assertEqual(request.written[4:], [b'data: {"status": "c"}\n\n'])
        self.assertEqual(self.events.streams, set())
        self.events.tell()
        self.assertEqual(next(self.states), "d")

    def test_same_query(self) -> None:
        """What several pages list is looked for once; each page gets its own."""
        pages = [ask(self.events, values={b"text": [text]}) for text in (b"x", b"x", b"y")]
        self.answer()
        self.events.tell()
        self.assertEqual(sorted(query.text for query, _ in self.asked), ["x", "y"])
        self.answer()
        self.assertEqual([len(page.written) for page in pages], [4, 4, 4])
        self.assertEqual([page.written[3][6:-2] for page in pages[1:]], [_Y[0], _Y[1]])

    def test_not_too_often(self) -> None:
        """Where there are so many jobs that it is too early for a list, the state comes alone."""
        request = ask(self.events)
        self.answer()
        self.may_refresh = False
        self.events.tell()
        self.assertEqual((self.asked, len(request.written)), ([], 3))

    def test_wrong_query(self) -> None:
        """A query that is not allowed is answered by 400."""
        self.assertEqual(ask(self.events, values={b"page": [b"0"]}).responseCode, 400)

    def test_head(self) -> None:
        """HEAD opens no stream."""
        self.assertEqual(ask(self.events, b"HEAD").body, b"")
        self.assertEqual(self.events.streams, set())


_Y = (b'{"jobs": "x"}', b'{"jobs": "y"}')
