"""``recodex-monitor backup`` beside a monitor that saves all the time."""

import subprocess
import time
from contextlib import closing
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.frames import spans
from recodex_monitor.history.database import connect
from recodex_monitor.history.records import load
from recodex_monitor.history.timestamps import moment
from tests.integration.support import COMMAND, connected_broker, running_monitor
from tests.integration.test_delivery import task
from tests.integration.test_history import HISTORY

JOBS = [f"job-{number}" for number in range(20)]


class BackupTests(SynchronousTestCase):
    """Copies of the history of a monitor while jobs go on."""

    def test_under_load(self) -> None:
        """A copy has all jobs as they were at one moment, from the beginning, without a hole."""
        with running_monitor(history=HISTORY) as monitor, connected_broker(monitor) as broker:
            numbers = count()

            def send() -> None:
                number = b"%d" % next(numbers)
                broker.send_all([(job.encode(), b"TASK", number, b"COMPLETED") for job in JOBS])
                time.sleep(0.001)

            for _ in range(500):
                send()
            copy = monitor.folder / "copy.db"
            made = subprocess.Popen(
                [*COMMAND, "backup", "-c", str(monitor.config), str(copy)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=copy.parent,
            )
            while made.poll() is None:
                send()
            self.assertEqual(made.communicate()[0], self.told(copy))
            self.assertNotIn("cannot save", monitor.logged())
            found = self.counted(copy)
            self.assertTrue(1 < found <= next(numbers), found)

    def told(self, copy: Path) -> str:
        """What the command prints of a copy."""
        return f"{copy}: {len(JOBS)} channels, {copy.stat().st_size} bytes\n"

    def counted(self, copy: Path) -> int:
        """How many messages each job has in a copy, at least."""
        with closing(connect(str(copy))) as db:
            channels = [channel for channel, _ in load(db, moment()).channels]
        counts = [channel.count for channel in channels]
        self.assertLessEqual(max(counts), min(counts) + 1)
        for channel in channels:
            texts = [bytes(channel.log[span]).decode() for span in spans(channel.log, 0)]
            self.assertEqual(texts, [task(number) for number in range(channel.count)])
        return min(counts)
