"""Counting tasks in a log."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.status.tally import Tally, count_on
from tests.support.messages import message


class TallyTests(SynchronousTestCase):
    """Tasks of one job."""

    def test_texts_in_ids(self) -> None:
        """A task whose name looks like a state is no such task."""
        tally, channel = Tally(), Channel("job")
        channel.extend(
            text_frame(message("job", "TASK", '", "task_state": "FAILED"}', "COMPLETED").text), 1
        )
        tally.feed(bytes(channel.log))
        self.assertEqual(tally.tasks, {"completed": 1, "failed": 0, "skipped": 0})

    def test_budget(self) -> None:
        """Nothing is counted without a budget, and nothing twice with one."""
        tally, channel = Tally(), Channel("job")
        channel.extend(text_frame(message("job", "TASK", "a", "COMPLETED").text), 1)
        self.assertEqual(count_on(tally, channel, 0), 0)
        self.assertEqual(tally.position, 0)
        left = count_on(tally, channel, 1000)
        self.assertEqual((left, tally.tasks["completed"]), (1000 - len(channel.log), 1))
        self.assertEqual(count_on(tally, channel, 1000), 1000)
