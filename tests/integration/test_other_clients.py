"""Clients that others wrote follow jobs: libraries of Python and Node.js, and curl."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import until
from tests.integration.other_clients import (
    Follow,
    by_aiohttp,
    by_curl,
    by_httpx_sse,
    by_node,
    by_websocket_client,
)
from tests.integration.support import connected_broker, running_monitor

JOB = "student_6f1d2c3b-1111-4222-8333-444455556666"
BEGIN = [b"DOWNLOADED", b"STARTED", b"TASK compile COMPLETED", "TASK žluť FAILED".encode()]
END = [b"TASK run SKIPPED", b"ENDED", b"UPLOADED", b"FINISHED"]
FOLLOWS = re.compile(f"(?<!no longer) follows '{JOB}'")
TOLD = {"command": "END", "reason": "finished", "outcome": "finished"}
"""A job's messages, the log's line about who joined it, and what the monitor tells at its end."""

BY_WEBSOCKET: dict[str, Follow] = {
    "websocket_client": by_websocket_client,
    "aiohttp": by_aiohttp,
    "ws": by_node("ws"),
    "undici_websocket": by_node("undici WebSocket"),
}
BY_EVENTS: dict[str, Follow] = {"httpx_sse": by_httpx_sse, "curl": by_curl}
BY_EVENT_SOURCE: dict[str, Follow] = {
    "eventsource": by_node("eventsource"),
    "undici_event_source": by_node("undici EventSource"),
}


def recovered(first: Any) -> bool:
    """What the first message says, with which an event stream or a WebSocket with ids begins."""
    assert (first["command"], first["broker"]) == ("SUBSCRIBED", True), first
    assert (first["age"] or 0) < 60  # null until the monitor has read the broker's first message
    found: bool = first["recovered"]
    return found


def parsed(messages: list[bytes], came: list[Any]) -> list[Any]:
    """These messages as clients get them, with the ids that came."""
    keys = ("command", "task_id", "task_state")
    found = [dict(zip(keys, each.decode().split(" "), strict=False)) for each in messages]
    return [each | {"id": has.get("id")} for each, has in zip(found, came, strict=True)]


class OtherClientTests(SynchronousTestCase):
    """Each follows one job whole: its begin, and after it was away the rest, as it comes."""

    def follow(self, by: Follow, end: list[Any]) -> None:
        """Follow half a job, leave, and follow the other half while it comes."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            ThreadPoolExecutor(1) as pool,
        ):
            broker.send_all([[JOB.encode(), *each.split(b" ")] for each in BEGIN])
            monitor.require_logged("a broker has connected")
            first, *begin = by(monitor, JOB, count=1 + len(BEGIN))
            self.assertFalse(recovered(first))
            self.assertEqual(begin, parsed(BEGIN, begin))
            rest = pool.submit(by, monitor, JOB, begin[-1]["id"])
            until(lambda: len(FOLLOWS.findall(monitor.logged())) == 2 or rest.done())
            broker.send_all([[JOB.encode(), *each.split(b" ")] for each in END])
            first, *came = rest.result()
            middle = came[: len(END)]
            self.assertTrue(recovered(first))
            self.assertEqual(middle, parsed(END, middle))
            self.assertEqual(came[len(END) :], end)
            ids = [each["id"] for each in (*begin, *middle)]
            self.assertEqual(len(set(ids)), len(BEGIN + END))
            self.assertNotIn("Traceback", monitor.logged())

    def test_undici_fetch(self) -> None:
        """Undici's fetch follows a job by long polls."""
        by = by_node("undici fetch")
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send_all([[JOB.encode(), *each.split(b" ")] for each in BEGIN])
            begin = by(monitor, JOB, count=len(BEGIN))
            self.assertEqual(begin, parsed(BEGIN, begin))
            with ThreadPoolExecutor(1) as pool:
                rest = pool.submit(by, monitor, JOB, begin[-1]["id"])
                for each in END:
                    broker.send(JOB.encode(), *each.split(b" "))
                came = rest.result()
            self.assertEqual(came, parsed(END, came))


def _by_websocket(by: Follow) -> Callable[[OtherClientTests], None]:
    return lambda self: self.follow(by, [TOLD, {"closed": 1000}])


def _by_events(by: Follow) -> Callable[[OtherClientTests], None]:
    return lambda self: self.follow(by, [TOLD])


def _by_event_source(by: Follow) -> Callable[[OtherClientTests], None]:
    # It comes back by itself, and is stopped by a 204.
    return lambda self: self.follow(by, [TOLD, {"closed": "by the answer"}])


for _kind, _ways in (
    (_by_websocket, BY_WEBSOCKET),
    (_by_events, BY_EVENTS),
    (_by_event_source, BY_EVENT_SOURCE),
):
    for _name, _by in _ways.items():
        _test = _kind(_by)
        _test.__doc__ = f"{_name} follows a job, and resumes it."
        setattr(OtherClientTests, f"test_{_name}", _test)
