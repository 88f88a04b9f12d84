"""Server-sent events to the pages that are open: the state, and the jobs that each one lists."""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from recodex_monitor.status.jobs import Query
from recodex_monitor.status.resources import Answer, Ask, Page, constant, query_of


@implementer(IPushProducer)
class EventStream:
    """Server-sent events to one open page.

    Attributes:
        query: which jobs the page lists.
    """

    def __init__(self, streams: "set[EventStream]", request: Any, query: Query) -> None:
        self.query = query
        self._streams = streams
        self._request = request
        self._is_paused = False
        streams.add(self)
        request.registerProducer(self, True)
        request.notifyFinish().addErrback(lambda _: self.stopProducing())

    def tell(self, event: bytes) -> None:
        """Send an event, unless the page has not yet read the previous one."""
        if not self._is_paused:
            self._request.write(event)

    def pauseProducing(self) -> None:
        """Called by the transport when the page takes no more."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """Called by the transport when the page reads again."""
        self._is_paused = False

    def stopProducing(self) -> None:
        """Called by the transport when the connection has ended."""
        self._streams.discard(self)


class Events(Page):
    """A stream for each open page: ``{"status": ...}``, ``{"jobs": ...}``, and again.

    Attributes:
        streams: of the pages that are open.
    """

    def __init__(
        self, status: Callable[[], object], ask: Ask, may_refresh: Callable[[], bool]
    ) -> None:
        """Make a path without streams.

        Args:
            status: describes the monitor.
            ask: lists jobs.
            may_refresh: whether it is time to list them again; see ``Jobs.may_refresh``.
        """
        head = ((b"X-Accel-Buffering", b"no"),)
        super().__init__(lambda _: Answer(200, b"", b"text/event-stream", head))
        self.streams: set[EventStream] = set()
        self._status = status
        self._ask = ask
        self._may_refresh = may_refresh

    def respond(self, request: Any) -> Any:
        """Begin a stream; see Page."""
        query = query_of(request)
        if isinstance(query, Answer):
            return constant(query).respond(request)
        super().respond(request)
        if request.method == b"HEAD":
            return b""
        stream = EventStream(self.streams, request, query)
        stream.tell(_event({"status": self._status()}))
        self._list(query, {stream})
        return NOT_DONE_YET

    def tell(self) -> None:
        """Send the current state to all open pages, and their jobs unless those are too many."""
        if not self.streams:
            return
        event = _event({"status": self._status()})
        for stream in tuple(self.streams):
            stream.tell(event)
        if self._may_refresh():
            by_query: dict[Query, set[EventStream]] = {}
            for stream in self.streams:
                by_query.setdefault(stream.query, set()).add(stream)
            for query, streams in by_query.items():
                self._list(query, streams)

    def _list(self, query: Query, streams: set[EventStream]) -> None:
        def tell(jobs: object) -> None:
            event = _event({"jobs": jobs})
            for stream in streams & self.streams:
                stream.tell(event)

        self._ask(query, tell)


def _event(state: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(state).encode()
