"""Tests of what `recodex-monitor status` prints."""

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
    """The lines about a monitor."""

    def test_all_is_well(self) -> None:
        """Each number has its line; counts of zero have none."""
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
        """Without a broker, the address for it is shown; without channels, there are none."""
        alone = MONITOR | {"broker": MONITOR["broker"] | {"connected": 0}, "channels": {}}
        lines = status.of_monitor(alone)
        self.assertIn("broker     is not connected at 127.0.0.1:7894", lines)
        self.assertIn("channels   none", lines)

    def test_refused_origins(self) -> None:
        """Each origin whose pages were refused has its line."""
        origin = {"origin": "https://evil.example", "count": 3, "last": MONITOR["now"] - 5}
        lines = status.of_monitor(MONITOR | {"refused_origins": [origin]})
        self.assertIn("refused    3 from pages of https://evil.example, the last 5 s ago", lines)

    def test_hints(self) -> None:
        """Causes of missing progress stand at the end."""
        hint = {"cause": "broker never connected", "text": "look there"}
        lines = status.of_monitor(MONITOR | {"hints": [hint]})
        self.assertEqual(lines[-1], "  broker never connected: look there")


class JobTests(SynchronousTestCase):
    """The lines about a job."""

    def test_timeline(self) -> None:
        """Each message has its time; those from before a restart say so."""
        lines = status.of_job(JOB)
        self.assertEqual(lines[:2], ["job", "runs"])
        self.assertIn("attempt 2: 1 COMPLETED", lines)
        self.assertIn("  before the restart  STARTED", lines)
        (line,) = (one for one in lines if "compile" in one)
        self.assertRegex(line, r"^  \d\d:\d\d:\d\d\.2  TASK compile COMPLETED$")
        self.assertIn("  websocket for 2 min, has got all", lines)
        self.assertEqual(lines[-1], "The monitor sees nothing that is wrong.")

    def test_forgotten(self) -> None:
        """Of a job that is kept no longer it is told when it ended and was removed."""
        at = {"ended_at": 700.0, "forgotten_at": 1000.0}
        forgotten = {"timeline": [], "followers": 0, "readers": [], "followed": 3}
        lines = status.of_job(JOB | forgotten | at)
        self.assertRegex(lines[2], r"^ended   1970-01-0\d \d\d:\d1:40$")
        self.assertRegex(lines[3], r"^removed 1970-01-0\d \d\d:\d6:40$")
        self.assertEqual(lines[4:6], ["", "followers: 0, 3 so far"])

    def test_long_timeline(self) -> None:
        """Of a long timeline the end is shown, and the number of messages before."""
        timeline = [{"at": 1.0, "command": f"C{number}"} for number in range(50)]
        lines = status.of_job(JOB | {"timeline": timeline, "omitted": 7})
        self.assertIn("  (37 messages before these)", lines)
        self.assertFalse(any(line.endswith(" C29") for line in lines))
        self.assertTrue(any(line.endswith(" C30") for line in lines))

    def test_slow_follower(self) -> None:
        """A follower that is behind is shown with its backlog, and its address if known."""
        follower = {"transport": "sse", "since": 990.0, "behind": 5, "address": "192.0.2.1"}
        lines = status.of_job(JOB | {"readers": [follower]})
        self.assertIn("  sse for 10 s, 5 bytes behind, 192.0.2.1", lines)
