"""What a follower notes."""

import gzip
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor.answers import lines_of
from recodex_monitor.doctor.following import ByEvents, ByPolls, ByWebSocket
from tests.doctor.support import DIRECT


def answer(*pieces: bytes, encoding: str | None = None) -> Any:
    """An answer whose body comes in pieces."""
    rest = [*pieces, b""]
    return SimpleNamespace(read1=lambda _: rest.pop(0), getheader=lambda _: encoding)


class NoteTests(SynchronousTestCase):
    """What comes, and when."""

    def test_messages(self) -> None:
        """Each message has its time; the monitor's own are no messages."""
        times = iter(range(100))
        follower = ByWebSocket(DIRECT, "x", lambda: float(next(times)))
        for message in (
            {"command": "SUBSCRIBED"},
            {"command": "STARTED"},
            {"command": "TASK", "task_id": "task-1"},
            {"command": "PING"},
            {"command": "END"},
        ):
            follower._note(message)
        heard = follower.heard
        self.assertEqual((heard.opened, heard.messages), (0.0, {"STARTED": 1.0, "task-1": 2.0}))
        self.assertEqual((heard.beats, heard.is_over, heard.last), ([3.0], True, 3.0))

    def test_events(self) -> None:
        """Data are messages, comments signs of life, and the rest is nothing."""
        follower = ByEvents(DIRECT, "x", lambda: 1.0)
        for line in ("retry: 1", "", 'data: {"command": "STARTED"}', ": ", "id: a:1"):
            follower._take(line)
        self.assertEqual((follower.heard.messages, follower.heard.beats), ({"STARTED": 1.0}, [1.0]))

    def test_polls(self) -> None:
        """A poll goes on behind the last message, and an empty one is a sign of life."""
        follower = ByPolls(DIRECT, "x", lambda: 1.0)
        told: dict[str, Any] = {"messages": [{"command": "STARTED"}], "last": "a:1", "end": None}
        self.assertEqual(follower._take(told, ""), "a:1")
        self.assertEqual(follower._take({"messages": [], "last": None, "end": None}, "a:1"), "a:1")
        self.assertEqual((follower.heard.beats, follower.heard.is_over), ([1.0], False))
        follower._take({**told, "end": "finished"}, "a:1")
        self.assertTrue(follower.heard.is_over)


class AnswerTests(SynchronousTestCase):
    """Bodies as they come."""

    def test_lines(self) -> None:
        """Lines are put together from pieces, also of a compressed body."""
        self.assertEqual(list(lines_of(answer(b"a", b"b\nc\n", b"d"))), ["ab", "c"])
        packed = gzip.compress(b"ab\nc\n")
        pieces = packed[:7], packed[7:]
        self.assertEqual(list(lines_of(answer(*pieces, encoding="gzip"))), ["ab", "c"])
        with self.assertRaises(ValueError):
            list(lines_of(answer(b"no gzip", encoding="gzip")))
