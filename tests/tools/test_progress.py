"""Tests of what a student sees of a job."""

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import jobs
from recodex_monitor.tools.progress import Progress, printable


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
        """Each command of a normal job has its word."""
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
        """A job that FAILED is over with FINISHED only, and stays failed."""
        progress = _fed("DOWNLOADED", "FAILED")
        self.assertEqual((progress.state, progress.over), ("failed", False))
        progress.feed({"command": "FINISHED"})
        self.assertEqual(
            (progress.state, progress.over, progress.job_failed), ("failed", True, True)
        )

    def test_restart(self) -> None:
        """ABORTED begins another attempt, from nothing."""
        progress = _fed("STARTED", "+", "-", "FAILED", "ABORTED")
        self.assertEqual((progress.state, progress.tasks), ("restarting", 0))
        self.assertFalse(progress.job_failed)
        self.assertEqual(progress.counts(), "0 completed, 0 failed, 0 skipped, attempt 2")

    def test_given_up(self) -> None:
        """Aborts and then FAILED is a failed job."""
        progress = _fed("ABORTED", "ABORTED", "ABORTED", "FAILED", "FINISHED")
        self.assertEqual((progress.attempts, progress.state), (4, "failed"))

    def test_over_is_over(self) -> None:
        """Nothing after FINISHED changes anything."""
        progress = _fed("STARTED", "+", "FINISHED")
        for command in ("FAILED", "ABORTED", "STARTED", "TASK"):
            progress.feed({"command": command, "task_state": "FAILED"})
        self.assertEqual(progress, _fed("STARTED", "+", "FINISHED"))

    @given(st.dictionaries(st.text(), st.none() | st.integers() | st.lists(st.text())))
    def test_unknown_messages(self, message: dict[str, object]) -> None:
        """What is no message of a job changes nothing, whatever its values are."""
        progress = Progress()
        for command in ({}, {"command": "PING"}, {"command": ["TASK"]}):
            progress.feed({**message, **command})
        self.assertEqual(progress, Progress())

    def test_unknown_task_state(self) -> None:
        """A task that ended in no known way is not counted."""
        progress = _fed("STARTED")
        for state in (None, ["FAILED"], "LATE"):
            progress.feed({"command": "TASK", "task_state": state})
        self.assertEqual((progress.tasks, progress.state), (0, "running"))

    @given(st.integers(), st.integers(0, 30))
    def test_made_up_jobs(self, seed: int, tasks: int) -> None:
        """Simulated jobs end in the state that their outcome says."""
        failing = {"build-failure", "rejected", "lost", "exhausted"}
        for outcome in jobs.OUTCOMES:
            progress = Progress()
            for frames in jobs.make_job(random.Random(seed), tasks, outcome):
                texts = [frame.decode() for frame in frames[1:]]
                keys = ("command", "task_id", "task_state")
                progress.feed(dict(zip(keys, texts, strict=False)))
            self.assertEqual(progress.job_failed, outcome in failing)
            self.assertEqual(progress.state, "failed" if outcome in failing else "finished")


class PrintableTests(SynchronousTestCase):
    """Text from outside cannot do anything to a terminal."""

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """The result is printable, and the same where the text already was."""
        self.assertTrue(printable(text).isprintable())
        self.assertEqual(printable(printable(text)), printable(text))
        if text.isprintable():
            self.assertEqual(printable(text), text)

    def test_examples(self) -> None:
        """Control characters, turned direction and lone surrogates are spelt out."""
        for text, shown in (
            ("\x1b[31m\n", r"\x1b[31m\n"),
            ("\u202e", r"\u202e"),
            ("\ud800", r"\ud800"),
            ("žluťoučký 😀", "žluťoučký 😀"),
        ):
            self.assertEqual(printable(text), shown)
