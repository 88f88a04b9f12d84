"""What the tests of clients share: a monitor's clients' side in memory."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http

from recodex_monitor.clients.stream_factory import StreamFactory
from tests.support.clients import Browser, service
from tests.support.messages import message

RUNNING = ("TASK", "t", "COMPLETED")
"""The frames of a message about a task, without the channel id."""

RUNNING_TEXT = '{"command": "TASK", "task_id": "t", "task_state": "COMPLETED"}'
"""The same message as clients get it."""


class ClientsTestCase(SynchronousTestCase):
    """A test with a hub and the clients' side of a monitor, on a clock of its own."""

    limits: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        """Make a service without channels and clients; the date of answers stands still."""
        self.patch(http, "datetimeToString", lambda: b"Thu, 01 Jan 1970 00:00:00 GMT")
        self.clock, self.hub, self.factory = service(**self.limits)

    def publish(self, *commands: str) -> None:
        """Publish messages of the channel ``job`` with these commands."""
        self.hub.publish([message("job", command) for command in commands])

    def publish_tasks(self, count: int) -> None:
        """Publish so many messages about a task of the channel ``job``."""
        self.hub.publish([message("job", *RUNNING)] * count)

    def follower(self, channel_id: str = "job", query: str = "x=1") -> Browser:
        """A WebSocket client that follows a channel."""
        browser = Browser(self.factory)
        browser.follow(channel_id, query)
        return browser

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a sweep every second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.factory.sweep()


class StreamTestCase(ClientsTestCase):
    """A test with a running job and clients over plain HTTP."""

    limits: dict[str, Any] = {"finish_timeout": 60}  # noqa: RUF012

    def setUp(self) -> None:
        """Publish the first message of the job; streams tell clients a fixed time to come back."""
        super().setUp()
        self.patch(StreamFactory, "retry_delay", lambda _: 3000)
        self.publish("STARTED")
        self.epoch = self.hub.channels["job"].epoch

    def event(self, number: int, *frames: str) -> bytes:
        """An event of the job: its message with these frames, and this number in its id."""
        text = message("job", *frames).text
        return b"id: %b:%d\ndata: %b\n\n" % (self.epoch.encode(), number, text)


def told(
    command: str, *, recovered: bool, age: float | None = 0.0, **more: object
) -> dict[str, object]:
    """The first message of the monitor, which has a broker; the last message of the job is new."""
    return {"command": command, "recovered": recovered, "age": age, "broker": True, **more}


def end_told(reason: str, outcome: str = "") -> dict[str, object]:
    """The last message of the monitor; the outcome is as the channel's end unless given."""
    return {"command": "END", "reason": reason, "outcome": outcome or reason}


def subscribed(*, recovered: bool = False, age: float | None = 0.0, **more: object) -> bytes:
    """The beginning of a stream: when to come back, and the first event."""
    text = json.dumps(told("SUBSCRIBED", recovered=recovered, age=age, **more))
    return b"retry: 3000\n\ndata: %b\n\n" % text.encode()


def end(reason: str, outcome: str = "") -> bytes:
    """The last event of a stream; the job's outcome is as the channel's end unless given."""
    return b"data: %b\n\n" % json.dumps(end_told(reason, outcome)).encode()
