"""Tests of the progress of a job."""

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.frames import text_frame
from recodex_monitor.status.tally import Tally
from recodex_monitor.tools import jobs
from recodex_monitor.tools.progress import Progress
from tests.support.messages import message


def _fed(*commands: str) -> Progress:
    """Feed commands; `+`, `-` and `/` are tasks completed, failed and skipped."""
    progress = Progress()
    states = {"+": "COMPLETED", "-": "FAILED", "/": "SKIPPED"}
    for command in commands:
        if command in states:
            progress.feed({"command": "TASK", "task_id": "x", "task_state": states[command]})
        else:
            progress.feed({"command": command})
    return progress


class ProgressTests(SynchronousTestCase):
    """The progress follows the messages of a job."""

    def test_states(self) -> None:
        """Each command of a normal job leads to its state."""
        commands = ["DOWNLOADED", "STARTED", "+", "ENDED", "UPLOADED", "FINISHED"]
        seen = [_fed(*commands[:n]).state for n in range(len(commands) + 1)]
        expected = ["waiting", "downloaded", "running", "running", "ended", "ended", "finished"]
        self.assertEqual(seen, expected)

    def test_counts(self) -> None:
        """Tasks are counted by how they ended."""
        progress = _fed("STARTED", "+", "-", "/", "/", "+", "+")
        self.assertEqual(progress.counts(), "3 completed, 1 failed, 2 skipped")
        self.assertEqual(progress.tasks, 6)

    def test_failed_tasks_alone(self) -> None:
        """A job with failed tasks finishes and has not failed."""
        progress = _fed("STARTED", "-", "/", "FINISHED")
        self.assertEqual((progress.state, progress.job_failed), ("finished", False))

    def test_failed_job(self) -> None:
        """A job that FAILED is over only with FINISHED, and stays failed."""
        progress = _fed("DOWNLOADED", "FAILED")
        self.assertEqual((progress.state, progress.over), ("failed", False))
        progress.feed({"command": "FINISHED"})
        self.assertEqual(
            (progress.state, progress.over, progress.job_failed), ("failed", True, True)
        )

    def test_restart(self) -> None:
        """ABORTED begins another attempt, with all counts at zero."""
        progress = _fed("STARTED", "+", "-", "ABORTED")
        self.assertEqual((progress.state, progress.tasks), ("restarting", 0))
        self.assertEqual(progress.counts(), "0 completed, 0 failed, 0 skipped, attempt 2")

    def test_failed_overtakes(self) -> None:
        """What FAILED has overtaken changes no state; only another attempt does."""
        progress = _fed("DOWNLOADED", "STARTED", "FAILED", "+", "ABORTED")
        self.assertEqual((progress.state, progress.job_failed), ("failed", True))
        self.assertEqual(progress.counts(), "1 completed, 0 failed, 0 skipped")
        progress.feed({"command": "DOWNLOADED"})
        self.assertEqual((progress.state, progress.job_failed), ("downloaded", False))
        self.assertEqual(progress.counts(), "0 completed, 0 failed, 0 skipped, attempt 2")

    def test_late_abort(self) -> None:
        """The old attempt's tasks and ABORTED behind the new one's DOWNLOADED change nothing."""
        begin = ("DOWNLOADED", "STARTED", "+", "+", "DOWNLOADED")
        expected = _fed(*begin, "STARTED", "-").counts()
        self.assertEqual(expected, "0 completed, 1 failed, 0 skipped, attempt 2")
        for rest in (("+", "ABORTED", "STARTED", "-"), ("STARTED", "-", "ABORTED")):
            progress = _fed(*begin, *rest)
            self.assertEqual((progress.counts(), progress.state), (expected, "running"))
        progress.feed({"command": "ABORTED"})
        self.assertEqual((progress.attempts, progress.state), (3, "restarting"))

    @given(st.lists(st.sampled_from(["DOWNLOADED", "STARTED", "ABORTED", "FAILED", "+", "-", "/"])))
    def test_any_order(self, commands: list[str]) -> None:
        """In any order of messages, the status page counts the same."""
        states = {"+": "COMPLETED", "-": "FAILED", "/": "SKIPPED"}
        tally = Tally()
        for one in commands:
            frames = ("TASK", "x", states[one]) if one in states else (one,)
            tally.feed(text_frame(message("job", *frames).text))
        progress = _fed(*commands)
        counted = (progress.attempts, progress.completed, progress.failed, progress.skipped)
        kinds = ("completed", "failed", "skipped")
        self.assertEqual((tally.attempts, *(tally.tasks[kind] for kind in kinds)), counted)

    def test_given_up(self) -> None:
        """After several ABORTED, FAILED makes it a failed job; no attempt follows the last one."""
        progress = _fed("ABORTED", "ABORTED", "ABORTED", "FAILED", "FINISHED")
        self.assertEqual((progress.attempts, progress.state), (3, "failed"))
        progress = _fed("STARTED", "+", "-", "ABORTED", "FAILED")
        self.assertEqual(progress.counts(), "1 completed, 1 failed, 0 skipped")

    def test_over_is_over(self) -> None:
        """Nothing after FINISHED changes anything."""
        progress = _fed("STARTED", "+", "FINISHED")
        for command in ("FAILED", "ABORTED", "STARTED", "TASK"):
            progress.feed({"command": command, "task_state": "FAILED"})
        self.assertEqual(progress, _fed("STARTED", "+", "FINISHED"))

    @given(st.dictionaries(st.text(), st.none() | st.integers() | st.lists(st.text())))
    def test_unknown_messages(self, message: dict[str, object]) -> None:
        """A message of another kind changes nothing, whatever its values are."""
        progress = Progress()
        for command in ({}, {"command": "PING"}, {"command": ["TASK"]}):
            progress.feed({**message, **command})
        self.assertEqual(progress, Progress())

    def test_unknown_task_state(self) -> None:
        """A task with an unknown state is not counted."""
        progress = _fed("STARTED")
        for state in (None, ["FAILED"], "LATE"):
            progress.feed({"command": "TASK", "task_state": state})
        self.assertEqual((progress.tasks, progress.state), (0, "running"))

    @given(st.integers(), st.integers(0, 30))
    def test_simulated_jobs(self, seed: int, tasks: int) -> None:
        """Simulated jobs end in the state that belongs to their outcome."""
        failing = {"build-failure", "rejected", "lost", "exhausted", "overtaken"}
        for outcome in jobs.OUTCOMES:
            progress = Progress()
            for frames in jobs.make_job(random.Random(seed), tasks, outcome):
                texts = [frame.decode() for frame in frames[1:]]
                keys = ("command", "task_id", "task_state")
                progress.feed(dict(zip(keys, texts, strict=False)))
            self.assertEqual(progress.job_failed, outcome in failing)
            self.assertEqual(progress.state, "failed" if outcome in failing else "finished")
