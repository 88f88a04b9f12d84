"""Tests of the demo's jobs, without a monitor."""

import asyncio
import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import demo_jobs
from recodex_monitor.tools.local_monitor import MonitorError


class StepTests(SynchronousTestCase):
    """Of the steps that run side by side, the first to end ends all."""

    def test_first(self) -> None:
        """The others are cancelled."""
        cancelled = []

        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def short() -> None:
            await asyncio.sleep(0)

        asyncio.run(demo_jobs.until_first(endless(), short(), endless()))
        self.assertEqual(cancelled, [True, True])

    def test_error(self) -> None:
        """What it raises is raised."""

        async def fail() -> None:
            raise MonitorError("it is gone")

        with self.assertRaises(MonitorError):
            asyncio.run(demo_jobs.until_first(asyncio.Event().wait(), fail()))


class JobTests(SynchronousTestCase):
    """What students see of a job, and whether that is all."""

    def make(self, *commands: str) -> demo_jobs.Job:
        """A job of which the broker sends these commands."""
        return demo_jobs.Job("normal", [[b"job", one.encode()] for one in commands])

    def test_lost(self) -> None:
        """Messages that have not come are counted, and a wrong order is told apart."""
        for got, lost in (("ABC", 0), ("AC", 1), ("", 3), ("ABBC", None), ("BAC", None)):
            job = self.make(*"AB", "FINISHED")
            for one in got:
                job.feed({"command": "FINISHED" if one == "C" else one})
            self.assertEqual(job.lost, lost)

    def test_end(self) -> None:
        """The monitor adds the end, where the broker does not send it."""
        job = self.make("FAILED")
        job.feed({"command": "FAILED"})
        job.feed({"command": "FINISHED"})
        self.assertEqual(job.lost, 0)

    def test_task(self) -> None:
        """A task is compared with all of its frames."""
        job = demo_jobs.make_jobs(7, 3)[0]
        self.assertEqual(job.channel, "demo-7")
        for _, *frames in job.messages:
            keys = ("command", "task_id", "task_state")
            job.feed(dict(zip(keys, map(bytes.decode, frames), strict=False)))  # type: ignore
        self.assertEqual(job.lost, 0)

    def test_outcomes(self) -> None:
        """There is a job of every outcome."""
        made = demo_jobs.make_jobs(1, 3)
        self.assertEqual(tuple(job.outcome for job in made), demo_jobs.OUTCOMES)

    def test_lines(self) -> None:
        """Without a terminal a job has a line when its state changes, not for each task."""
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        job = demo_jobs.Job("normal", [[b"job", b"STARTED"]])
        with demo_jobs.lines() as show:
            for command in ("STARTED", "TASK", "TASK", "FINISHED"):
                job.progress.feed({"command": command, "task_state": "COMPLETED"})
                show(job)
        self.assertEqual(
            output.getvalue().splitlines(),
            [
                "normal: running, 0 completed, 0 failed, 0 skipped",
                "normal: finished, 2 completed, 0 failed, 0 skipped",
            ],
        )
