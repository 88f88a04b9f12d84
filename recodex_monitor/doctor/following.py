"""Followers of the trial: as a page does, by WebSocket, by an event stream and by long polls.

Each runs in a thread of its own and notes what comes, and when. Nothing is judged here.
"""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from recodex_monitor.doctor.answers import Refusal, lines_of, pieces_of
from recodex_monitor.doctor.ways import TIMEOUT, Way
from recodex_monitor.follow import decode

POLL_WAIT = 25
"""Seconds for which a page lets a long poll wait."""

_MAX_BODY = 4096
_OWN = ("SUBSCRIBED", "PING", "END")


@dataclass
class Heard:
    """What a follower has heard.

    Attributes:
        kind: how it followed: ``websocket``, ``events`` or ``poll``.
        address: its own address, as its connection has it; empty where it has none.
        opened: when the server had answered, and the job was followed.
        messages: when each came, by what was sent.
        beats: when the monitor's own signs of life came.
        refusal: an answer that was none.
        error: why its connection failed or ended early.
        ended: when its connection ended; None while it lasts.
        is_over: whether the monitor has told the job's end.
    """

    kind: str
    address: str = ""
    opened: float | None = None
    messages: dict[str, float] = field(default_factory=dict)
    beats: list[float] = field(default_factory=list)
    refusal: Refusal | None = None
    error: str = ""
    ended: float | None = None
    is_over: bool = False

    @property
    def last(self) -> float | None:
        """When something came last."""
        return max((*self.messages.values(), *self.beats), default=self.opened)


class Follower(ABC):
    """A follower in a thread.

    Attributes:
        way: by which it follows.
        heard: what has come so far.
    """

    kind: str

    def __init__(self, way: Way, channel_id: str, seconds: Callable[[], float]) -> None:
        """Follow nothing yet."""
        self.way = way
        self.heard = Heard(self.kind)
        self._channel_id = channel_id
        self._seconds = seconds
        self._closing: list[Callable[[], object]] = []
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up."""
        self._is_stopped = True
        for close in tuple(self._closing):
            with suppress(OSError):
                close()
        self._thread.join(2)

    @property
    def is_settled(self) -> bool:
        """Whether it follows, or has failed."""
        return self.heard.opened is not None or self.heard.ended is not None

    @abstractmethod
    def _follow(self) -> None:
        """Follow until the job's end."""

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            # Any failure is a finding.
            if not self._is_stopped:
                self.heard.error = self.heard.error or _reason(error)
        self.heard.ended = self._seconds()

    def _note(self, message: dict[str, Any]) -> None:
        command = message.get("command")
        if command == "SUBSCRIBED":
            self.heard.opened = self.heard.opened or self._seconds()
        elif command == "END":
            self.heard.is_over = True
        elif command in _OWN:
            self.heard.beats.append(self._seconds())
        else:
            name = str(message.get("task_id") or command)
            self.heard.messages.setdefault(name, self._seconds())

    def _connected(self, link: Any) -> None:
        name = link.getsockname()
        self.heard.address = name[0] if isinstance(name, tuple) else ""


class ByWebSocket(Follower):
    """Follows by WebSocket."""

    kind = "websocket"

    def _follow(self) -> None:
        from websockets.exceptions import ConnectionClosed, InvalidStatus
        from websockets.sync.client import connect

        link = self.way.connect()
        self._connected(link)
        try:
            connection = connect(
                self.way.url(after=""),
                sock=link,
                additional_headers=self.way.headers(),
                open_timeout=TIMEOUT,
                close_timeout=1,
                ping_interval=None,
                proxy=None,
                ssl=self.way.tls,
                server_hostname=self.way.host if self.way.tls else None,
            )
        except InvalidStatus as error:
            answer = error.response
            body = bytes(answer.body or b"")[:_MAX_BODY].decode(errors="replace")
            location = answer.headers.get("Location", "")
            self.heard.refusal = Refusal(answer.status_code, body, location)
            link.close()
            return
        self._closing.append(connection.close)
        with connection:
            connection.send(self._channel_id)
            try:
                while not self.heard.is_over:
                    self._note(decode(connection.recv()))
            except ConnectionClosed as error:
                if not self._is_stopped:
                    self.heard.error = str(error)


class OverHttp(Follower):
    """What both ways over plain HTTP share."""

    def _ask(self, target: str, accept: str) -> tuple[HTTPConnection, HTTPResponse]:
        connection = self.way.request(target, accept)
        link = connection.sock
        assert link is not None
        self._connected(link)
        self._closing[:] = [lambda: link.shutdown(2)]
        # A proxy that buffers may keep the whole answer back for long.
        link.settimeout(None)
        return connection, connection.getresponse()

    def _is_refused(self, answer: HTTPResponse) -> bool:
        if answer.status == 200:
            return False
        body = b"".join(pieces_of(answer))[:_MAX_BODY].decode(errors="replace")
        self.heard.refusal = Refusal(answer.status, body, answer.getheader("Location") or "")
        return True


class ByEvents(OverHttp):
    """Follows by an event stream."""

    kind = "events"

    def _follow(self) -> None:
        target = self.way.path("events", self._channel_id)
        connection, answer = self._ask(target, "text/event-stream")
        with connection.sock or answer:
            if self._is_refused(answer):
                return
            kind = (answer.getheader("Content-Type") or "").partition(";")[0]
            if kind != "text/event-stream":
                raise ValueError(f"the answer is {kind or 'of no type'}, and no event stream")
            for line in lines_of(answer):
                self._take(line)
        if not self.heard.is_over and not self._is_stopped:
            self.heard.error = "the stream ended before the job did"

    def _take(self, line: str) -> None:
        if line.startswith("data:"):
            self._note(decode(line.removeprefix("data:")))
        elif line.startswith(":"):
            self.heard.beats.append(self._seconds())


class ByPolls(OverHttp):
    """Follows by long polls."""

    kind = "poll"

    def _follow(self) -> None:
        after = ""
        while not self.heard.is_over:
            target = self.way.path("channels", self._channel_id, after=after, wait=str(POLL_WAIT))
            # An answer comes with the first message only, so the request must do.
            begun = threading.Timer(0.3, self._begun)
            begun.daemon = True
            begun.start()
            connection, answer = self._ask(target, "application/json")
            begun.cancel()
            with connection.sock or answer:
                if self._is_refused(answer):
                    return
                self._begun()
                text = b"".join(pieces_of(answer))
                after = self._take(json.loads(text), after)

    def _begun(self) -> None:
        self.heard.opened = self.heard.opened or self._seconds()

    def _take(self, told: dict[str, Any], after: str) -> str:
        for message in told["messages"]:
            self._note(message)
        if not told["messages"]:
            self.heard.beats.append(self._seconds())
        self.heard.is_over = told.get("end") is not None
        return str(told.get("last") or after)


KINDS: tuple[type[Follower], ...] = (ByWebSocket, ByEvents, ByPolls)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds, for so long at most; returns whether it does."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True
