"""`recodex-monitor status --watch`."""

import io
import os
import shutil
import sys
import time
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.cli import main
from recodex_monitor.tools import status_watch
from recodex_monitor.tools.status_client import CannotAsk
from recodex_monitor.tools.status_watch import screen
from tests.tools.test_status import JOB, MONITOR

HINT = {"cause": "disconnected", "text": "the broker has gone.", "remedy": "Look " + "there " * 20}


def row(number: int, **values: Any) -> dict[str, Any]:
    """A job in the list."""
    plain: dict[str, Any] = {
        "id": f"student_{number}",
        "state": "running",
        "tasks": {"completed": 3, "failed": 1},
    }
    plain |= {"attempts": 1, "followers": 2, "began": 900.0, "last": 990.0}
    return plain | values


def listed(*rows: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """The answer to /api/channels."""
    count = len(rows) if total is None else total
    return {"channels": [*rows], "total": count, "counts": {"running": count, "failed": 0}}


class ScreenTests(SynchronousTestCase):
    """What stands on the screen."""

    def test_lines(self) -> None:
        """The jobs stand below the numbers, each with its state, tasks and times."""
        lines = screen(MONITOR, listed(row(1), row(2, last=None, tasks={})), 104, 24)
        self.assertIn("The monitor sees nothing that is wrong.", lines)
        self.assertIn("broker connected, 5 followers, 1 slow, 64 MB", lines)
        self.assertIn("jobs: 2 running", lines)
        first, second = lines[-3:-1]
        self.assertEqual(
            first.split(), ["running", "+3", "-1", "1", "2", "1", "min", "10", "s", "student_1"]
        )
        self.assertEqual(" ".join(second.split()), "running - 1 2 1 min - student_2")

    def test_problems(self) -> None:
        """What is wrong stands on top, wrapped and with its remedy."""
        lines = screen(MONITOR | {"hints": [HINT]}, listed(), 60, 24)
        wrong = [line for line in lines if line.startswith("!")]
        self.assertEqual(lines[1 : len(wrong) + 1], wrong)
        self.assertTrue(all(len(line) <= 60 for line in wrong))
        self.assertEqual(" ".join(wrong).count("there"), 20)

    def test_narrow(self) -> None:
        """An id of 44 characters stands there whole also where there is no room for all columns."""
        job = f"student_{'x' * 36}"
        for width in (80, 103, 104):
            lines = screen(MONITOR, listed(row(1, id=job)), width, 24)
            self.assertTrue(lines[-2].endswith(f" {job}"))
            self.assertLessEqual(len(lines[-2]), width)

    def test_size(self) -> None:
        """There are as many jobs as there is room for, and the number of the others."""
        rows = [row(number) for number in range(50)]
        for width, height in ((80, 24), (40, 12), (200, 60)):
            lines = screen(MONITOR, listed(*rows, total=1234), width, height)
            self.assertLessEqual(len(lines), height)
            self.assertLessEqual(max(map(len, lines[4:])), width)
        self.assertEqual(lines[-1], "and 1184 more")


class CommandTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """Let the monitor answer, and Ctrl-C be pressed at the third sleep."""
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.asked: list[str] = []
        self.patch(status_watch, "ask", self.ask)
        self.patch(status_watch, "find_target", lambda _: None)
        self.patch(time, "sleep", mock.Mock(side_effect=[None, None, KeyboardInterrupt]))

    def ask(self, _: object, path: str) -> dict[str, Any]:
        """What the monitor answers."""
        self.asked.append(path)
        if len(self.asked) == 3:
            raise CannotAsk("nothing listens there")
        if path.startswith("/api/channels/"):
            return JOB
        return MONITOR if path == "/api/status" else listed(row(1, id="\x1b[31mred"))

    def test_monitor(self) -> None:
        """It is shown again and again until Ctrl-C, also after a monitor that did not answer."""
        self.assertEqual(main(["status", "--watch", "--state", "failed", "--text", "a b"]), 0)
        text = self.out.getvalue()
        self.assertEqual(text.count("jobs: 1 running"), 2)
        self.assertIn("nothing listens there", text)
        self.assertIn("/api/channels?state=failed&text=a+b&sort=urgent", self.asked)
        self.assertNotIn("\x1b", text)

    def test_job(self) -> None:
        """One job can be watched, too."""
        self.assertEqual(main(["status", "--watch", "job"]), 0)
        self.assertEqual(self.asked, ["/api/channels/job"] * 3)
        self.assertEqual(self.out.getvalue().count("followers: 1"), 2)

    def test_small_screen(self) -> None:
        """What is wrong with a job is seen whole on a small screen, which has fewer messages."""
        said = [{"at": 990.0, "command": "TASK", "task_id": f"t{one}"} for one in range(20)]
        hint = {"cause": "silent", "text": "nothing came. " * 10, "remedy": "Look at the worker."}
        told = JOB | {"timeline": said, "hints": [hint], "advice": "Please wait."}
        self.patch(status_watch, "ask", lambda *_: told)
        size = os.terminal_size((50, 24))
        self.patch(shutil, "get_terminal_size", lambda: size)
        self.assertEqual(main(["status", "--watch", "job"]), 0)
        lines = self.out.getvalue().split("\n\n\n")[0].splitlines()
        self.assertTrue(all(len(line) <= 50 for line in lines))
        text = " ".join(" ".join(lines).split())
        self.assertIn("Look at the worker.", text)
        self.assertIn("To tell the student: Please wait.", text)
        self.assertIn("TASK t19", text)
        self.assertNotIn("TASK t1 ", text)

    def test_terminal(self) -> None:
        """On a terminal it has a screen of its own, which it leaves at the end."""
        self.patch(status_watch, "on_terminal", lambda: True)
        self.assertEqual(main(["status", "--watch"]), 0)
        text = self.out.getvalue()
        self.assertTrue(text.startswith("\x1b[?1049h"))
        self.assertTrue(text.endswith("\x1b[?1049l"))
        self.assertIn("\\x1b[31mred", text)
        self.assertIn("\x1b[36mrunning", text)

    def test_without_watch(self) -> None:
        """What chooses among jobs that are not listed is wrong usage."""
        error = io.StringIO()
        self.patch(sys, "stderr", error)
        for option in ("--state=failed", "--text=x", "--sort=-last"):
            self.assertEqual(main(["status", option]), 2)
        self.assertIn("add --watch", error.getvalue())
        self.assertEqual(self.asked, [])

    def test_no_answer(self) -> None:
        """Where the first look has no answer, it says why and fails."""
        self.asked += ["", ""]
        error = io.StringIO()
        self.patch(sys, "stderr", error)
        self.assertEqual(main(["status", "--watch"]), 1)
        self.assertIn("nothing listens there", error.getvalue())
