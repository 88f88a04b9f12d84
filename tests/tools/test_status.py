"""What `recodex-monitor status` prints."""

import argparse
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import status

MONITOR: dict[str, Any] = {
    "settings": {"version": "2.0.0"},
    "uptime": 3700,
    "now": 1000.0,
    "broker": {"connected": 1, "since": 940.0, "last": 998.0, "address": "127.0.0.1:7894"},
    "channels": {"running": 3, "failing": 0, "finished": 2},
    "followers": 5,
    "slow": 1,
    "totals": {"messages": 70, "deliveries": 350},
    "memory": 64 << 20,
    "open_files": 12,
    "ends": {"finished": 0},
    "dropped": {"no command": 4},
    "limits": {},
    "hints": [],
}

JOB: dict[str, Any] = {
    "id": "job",
    "going_on": "runs",
    "now": 1000.0,
    "messages": 2,
    "attempts": 2,
    "tasks": {"COMPLETED": 1, "FAILED": 0},
    "omitted": 0,
    "timeline": [
        {"at": None, "command": "STARTED"},
        {"at": 990.26, "command": "TASK", "task_id": "compile", "task_state": "COMPLETED"},
    ],
    "followers": 1,
    "readers": [{"transport": "websocket", "since": 880.0, "behind": 0}],
    "hints": [],
}


class MonitorTests(SynchronousTestCase):
    """A monitor."""

    def test_all_is_well(self) -> None:
        """There is a line for each thing, and none for counts of nothing."""
        text = "\n".join(status.of_monitor(MONITOR))
        for line in (
            "version    2.0.0, up for ",
            "channels   3 running, 2 finished",
            "followers  5, of them 1 slow",
            "so far     70 messages, 350 deliveries",
            "process    64 MB, 12 open files",
            "dropped    4 no command",
        ):
            self.assertIn(line, text)
        self.assertIn("broker     connected for 1 min, last message 2 s ago", text)
        for heading in ("ended", "limits", "Why students"):
            self.assertNotIn(heading, text)

    def test_nothing_there(self) -> None:
        """Without a broker the line says where it is awaited; without channels there are none."""
        alone = MONITOR | {"broker": MONITOR["broker"] | {"connected": 0}, "channels": {}}
        lines = status.of_monitor(alone)
        self.assertIn("broker     is not connected at 127.0.0.1:7894", lines)
        self.assertIn("channels   none", lines)

    def test_hints(self) -> None:
        """What is wrong stands at the end, with its cause."""
        hint = {"cause": "broker never connected", "text": "look there"}
        lines = status.of_monitor(MONITOR | {"hints": [hint]})
        self.assertEqual(lines[-1], "  broker never connected: look there")


class JobTests(SynchronousTestCase):
    """A job."""

    def test_timeline(self) -> None:
        """Each message has its time, and those before a restart say so."""
        lines = status.of_job(JOB)
        self.assertEqual(lines[:2], ["job", "runs"])
        self.assertIn("attempt 2: 1 COMPLETED", lines)
        self.assertIn("  before the restart  STARTED", lines)
        (line,) = (one for one in lines if "compile" in one)
        self.assertRegex(line, r"^  \d\d:\d\d:\d\d\.2  TASK compile COMPLETED$")
        self.assertIn("  websocket for 2 min, has got all", lines)
        self.assertEqual(lines[-1], "The monitor sees nothing that is wrong.")

    def test_long_timeline(self) -> None:
        """Of a long one the end is shown, and how much there was before."""
        timeline = [{"at": 1.0, "command": f"C{number}"} for number in range(50)]
        lines = status.of_job(JOB | {"timeline": timeline, "omitted": 7})
        self.assertIn("  (37 messages before these)", lines)
        self.assertFalse(any(line.endswith(" C29") for line in lines))
        self.assertTrue(any(line.endswith(" C30") for line in lines))

    def test_reader_that_is_late(self) -> None:
        """A reader that has not got all is shown with what it lacks, and its address if told."""
        reader = {"transport": "sse", "since": 990.0, "behind": 5, "address": "192.0.2.1"}
        lines = status.of_job(JOB | {"readers": [reader]})
        self.assertIn("  sse for 10 s, 5 bytes behind, 192.0.2.1", lines)


class PlaceTests(SynchronousTestCase):
    """Whom to ask."""

    def test_wrong_url(self) -> None:
        """What is no address is told with what would be one."""
        for url in ("ftp://host", "host:80", "http://", "http://[", "http://host:x"):
            arguments = argparse.Namespace(url=url, config=None, token=None)
            error = self.assertRaises(status.CannotAsk, status._place, arguments)
            self.assertIn("write http://HOST:PORT", str(error))

    def test_url_and_token(self) -> None:
        """A URL and a token are taken as they were given."""
        arguments = argparse.Namespace(url="http://[::1]:81", config=None, token="secret")
        connection, token = status._place(arguments)
        self.assertEqual((connection.host, connection.port, token), ("::1", 81, "secret"))
