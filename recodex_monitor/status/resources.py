"""Resources of ``twisted.web`` whose answers a function makes: pages and JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.network.static import File, read_file
from recodex_monitor.status.jobs import Query

_log = Logger()


class Answer(NamedTuple):
    """A response to a request."""

    status: int
    content: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def as_json(value: object, status: int = 200) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(value).encode() + b"\n")


def failure(status: int, why: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that reports an error."""
    return as_json({"error": why}, status)._replace(headers=headers)


def file(path: Path, status: int = 200) -> Answer:
    """An answer with a file.

    Raises:
        OSError: it cannot be read.
    """
    return answer_of(read_file(path), status)


def answer_of(read: File, status: int = 200) -> Answer:
    """An answer with a file that has been read."""
    return Answer(status, read.content, read.content_type)


NOT_FOUND = failure(404, "there is nothing at this path")


class Page(Resource):
    """A path whose answers a function makes; below it only its children exist."""

    def __init__(
        self, answer: Callable[[Any], Answer], methods: tuple[bytes, ...] = (b"GET", b"HEAD")
    ) -> None:
        super().__init__()
        self._answer = answer
        self._methods = methods

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Called by Twisted for what is below this path and is no child."""
        return constant(NOT_FOUND)

    def render(self, request: Any) -> Any:
        """Called by Twisted with a request for this path; returns the body."""
        if request.method not in self._methods:
            allowed = b", ".join(self._methods)
            why = f"only {allowed.decode()} is allowed here"
            return _head(request, failure(405, why, (b"Allow", allowed)))
        try:
            return self.respond(request)
        except Exception:
            _log.failure("a request to the status page failed")
            return _head(request, failure(500, "an internal error; the monitor's log has more"))

    def respond(self, request: Any) -> Any:
        """Answer a request whose method is allowed; returns the body, or NOT_DONE_YET."""
        return _head(request, self._answer(request))


def constant(answer: Answer) -> Page:
    """A path that always has the same answer."""
    return Page(lambda _: answer)


def _head(request: Any, answer: Answer) -> bytes:
    """Set the status and headers of an answer; returns the body, which is empty for HEAD."""
    request.setResponseCode(answer.status)
    request.setHeader(b"Content-Type", answer.content_type)
    for name, value in answer.headers:
        request.setHeader(name, value)
    if request.method == b"HEAD":
        request.setHeader(b"Content-Length", b"%d" % len(answer.content))
        return b""
    return answer.content


Load = Callable[[str, Callable[[], object], Callable[[], object]], None]
"""Calls its second argument once the channel's messages are loaded, or else its third.

See ``channels.source``.
"""


def at_once(_: str, call: Callable[[], object], __: Callable[[], object]) -> None:
    """Call at once; see Load."""
    call()


class Loaded(Page):
    """A path whose answer waits until a channel's messages are loaded."""

    def __init__(self, answer: Callable[[Any], Answer], load: Callable[..., None]) -> None:
        super().__init__(answer)
        self._load = load

    def respond(self, request: Any) -> Any:
        """Answer now or later; see Page."""
        told: list[bytes] = []
        has_waited = has_gone = False

        def answer() -> None:
            told.append(super(Loaded, self).respond(request))
            if has_waited and not has_gone:
                request.write(told[0])
                request.finish()

        def gone(_: object) -> None:
            nonlocal has_gone
            has_gone = True

        request.notifyFinish().addErrback(gone)
        self._load(answer, answer)
        has_waited = True
        return told[0] if told else NOT_DONE_YET


Ask = Callable[[Query, Callable[[dict[str, Any]], object]], None]
"""Calls its second argument with the jobs that a query finds, at once or later."""


class Jobs(Page):
    """A path that lists the jobs which the request's query finds."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(lambda _: NOT_FOUND)
        self._ask = ask

    def respond(self, request: Any) -> Any:
        """Answer now or later; see Page."""
        found: list[dict[str, Any]] = []
        query = query_of(request)
        if isinstance(query, Answer):
            return constant(query).respond(request)

        def load(call: Callable[[], object], _: object) -> None:
            def listed(jobs: dict[str, Any]) -> None:
                found.append(jobs)
                call()

            self._ask(query, listed)

        return Loaded(lambda _: as_json(found[0]), load).respond(request)


def query_of(request: Any) -> Query | Answer:
    """Which jobs a request asks for; the answer to it, if that is not allowed."""
    try:
        return Query.parse(request.args)
    except ValueError as error:
        return failure(400, str(error))


class Channels(Page):
    """A path with a child for every channel, named by its id."""

    def __init__(self, own: Page, one: Callable[[str], Answer], load: Load = at_once) -> None:
        super().__init__(lambda _: NOT_FOUND)
        self._own = own
        self._one = one
        self._load = load

    def respond(self, request: Any) -> Any:
        """Answer a request for the path itself; see Page."""
        return self._own.respond(request)

    def getChild(self, path: bytes, request: Any) -> Resource:
        """Called by Twisted with the beginning of an id, which may have slashes in it."""
        channel_id = b"/".join((path, *request.postpath)).decode(errors="replace")
        request.postpath.clear()

        def load(*calls: Callable[[], object]) -> None:
            try:
                self._load(channel_id, *calls)
            except NoRoom:
                calls[1]()

        return Loaded(lambda _: self._one(channel_id), load)
