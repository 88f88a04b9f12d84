"""How channels end, and how long they are kept."""

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel, End
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.message import parse
from tests.support.channels import (
    ADDED,
    GRACE,
    IDLE,
    RETENTION,
    HubTestCase,
    frames,
)
from tests.support.settings import change


class EndTests(HubTestCase):
    """What ends a channel, and what does not."""

    def test_finished(self) -> None:
        """FINISHED ends a channel for its followers when they have read it."""
        follower = self.follow()
        self.publish("A", "FINISHED")
        self.assertEqual((follower.got, follower.end), (frames("A", "FINISHED"), End.FINISHED))
        self.assertEqual(self.hub.channels["job"].subscriptions, set())

    def test_paused_at_the_end(self) -> None:
        """A follower that paused reads to the end, even after the channel was removed."""
        follower = self.follow()
        follower.room = 1
        self.publish("x" * CHUNK_SIZE, "FINISHED")
        self.let_pass(2 * RETENTION)
        self.assertEqual((self.hub.channels, follower.end), ({}, None))
        follower.resume()
        self.assertEqual(follower.got, frames("x" * CHUNK_SIZE, "FINISHED"))
        self.assertEqual(follower.end, End.FINISHED)

    def test_nothing_after_the_end(self) -> None:
        """Messages after the end are dropped and counted, and do not extend the retention."""
        self.publish("FINISHED", "A")
        self.let_pass(RETENTION - 1)
        self.publish("FINISHED")
        self.assertEqual(self.follow().got, frames("FINISHED"))
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 2})
        self.let_pass(1)
        self.assertEqual(self.hub.channels, {})

    def test_retention(self) -> None:
        """An ended channel is kept for its retention; after that, its end alone is remembered."""
        self.publish("A", "FINISHED")
        self.let_pass(RETENTION - 1)
        late = self.follow()
        self.assertEqual((late.got, late.end), (frames("A", "FINISHED"), End.FINISHED))
        self.let_pass(1)
        too_late = self.follow()
        self.assertEqual((too_late.got, too_late.end), (frames(ADDED), End.FINISHED))
        self.assertEqual(self.hub.channels, {})

    def test_same_id_again(self) -> None:
        """A message for a channel that ended and is kept no longer begins another one."""
        self.publish("A", "FINISHED")
        self.let_pass(RETENTION)
        self.publish("B")
        again = self.follow()
        self.assertEqual((again.got, again.end), (frames("B"), None))

    def test_failed(self) -> None:
        """FAILED with nothing after it ends a channel after the grace, by an added FINISHED."""
        follower = self.follow()
        self.publish("FAILED")
        self.let_pass(GRACE - 1)
        self.assertEqual((follower.got, follower.end), (frames("FAILED"), None))
        self.let_pass(1)
        late = self.follow()
        for one in (follower, late):
            self.assertEqual((one.got, one.end), (frames("FAILED", ADDED), End.FAILED))

    def test_failed_and_another_attempt(self) -> None:
        """FAILED followed by another attempt within the grace does not end a channel."""
        for command in ("DOWNLOADED", "STARTED"):
            follower = self.follow(command)
            self.publish("FAILED", channel_id=command)
            self.let_pass(GRACE - 1)
            self.publish(command, channel_id=command)
            self.let_pass(GRACE + 1)
            self.assertEqual((follower.got, follower.end), (frames("FAILED", command), None))

    def test_failed_overtakes(self) -> None:
        """What the broker's FAILED has overtaken is passed on, and the grace begins anew."""
        for command in ("ABORTED", "TASK", "ENDED", "UPLOADED", "FAILED", "x"):
            follower = self.follow(command)
            self.publish("DOWNLOADED", "FAILED", channel_id=command)
            self.let_pass(GRACE - 1)
            self.publish(command, channel_id=command)
            self.let_pass(GRACE - 1)
            got = frames("DOWNLOADED", "FAILED", command)
            self.assertEqual((follower.got, follower.end), (got, None))
            self.let_pass(1)
            self.assertEqual((follower.got, follower.end), (got + frames(ADDED), End.FAILED))

    def test_attempt_after_what_was_overtaken(self) -> None:
        """An attempt that begins after FAILED and ABORTED goes on, whatever follows."""
        follower = self.follow()
        self.publish("FAILED", "ABORTED", "DOWNLOADED", "ABORTED", "TASK")
        self.let_pass(GRACE + 1)
        self.assertIsNone(follower.end)

    def test_failed_again(self) -> None:
        """A second FAILED restarts the grace."""
        self.publish("FAILED")
        self.let_pass(GRACE - 1)
        self.publish("FAILED")
        self.let_pass(GRACE - 1)
        self.assertIsNone(self.follow().end)
        self.let_pass(1)
        self.assertEqual(self.follow().end, End.FAILED)

    def test_failed_then_finished(self) -> None:
        """After FAILED and the worker's own FINISHED, none is added."""
        self.publish("FAILED", "FINISHED")
        self.let_pass(GRACE)
        late = self.follow()
        self.assertEqual((late.got, late.end), (frames("FAILED", "FINISHED"), End.FINISHED))

    def test_outcome(self) -> None:
        """A job has failed if its last attempt said so, however its channel ended."""
        jobs = {
            ("FINISHED",): "finished",
            ("DOWNLOADED", "FAILED", "FINISHED"): "failed",
            ("FAILED", "TASK", "ABORTED", "FINISHED"): "failed",
            ("FAILED", "ABORTED", "STARTED", "FINISHED"): "finished",
            ("FAILED",): "failed",
            ("TASK",): "expired",
        }
        for number, commands in enumerate(jobs):
            self.publish(*commands, channel_id=str(number))
        channels = list(self.hub.channels.values())
        self.let_pass(IDLE)
        self.assertEqual([one.outcome for one in channels], list(jobs.values()))
        self.assertEqual(self.hub.counters.outcomes, {"finished": 2, "failed": 3, "expired": 1})
        self.assertEqual(self.hub.counters.ends, {"finished": 4, "failed": 1, "expired": 1})

    def test_after_failed(self) -> None:
        """Messages after the end by FAILED are dropped, like those after FINISHED."""
        self.publish("FAILED")
        self.let_pass(GRACE)
        self.publish("FINISHED")
        self.assertEqual(self.follow().got, frames("FAILED", ADDED))
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 1})

    def test_expired(self) -> None:
        """Silence after the last message ends a channel, by an added FINISHED."""
        follower = self.follow()
        self.publish("A")
        self.let_pass(IDLE - 1)
        self.publish("ABORTED")
        self.let_pass(IDLE - 1)
        self.assertIsNone(follower.end)
        self.let_pass(1)
        late = self.follow()
        for one in (follower, late):
            self.assertEqual((one.got, one.end), (frames("A", "ABORTED", ADDED), End.EXPIRED))
        self.let_pass(RETENTION)
        self.assertEqual(self.hub.channels, {})

    def test_nobody_published(self) -> None:
        """A channel without messages does not expire while somebody follows it."""
        follower = self.follow()
        self.let_pass(2 * IDLE)
        self.publish("A")
        self.assertEqual((follower.got, follower.end), (frames("A"), None))


class RestoreTests(HubTestCase):
    """Channels of an earlier run."""

    def restore(self, *commands: str, end: End | None = None, age: float = 0) -> None:
        """Restore a channel with these messages that ended ``age`` seconds ago."""
        channel = Channel("job")
        for command in commands:
            text = parse([b"job", command.encode()]).text
            channel.extend(text_frame(text), 1)
        channel.end = end
        self.hub.restore([(channel, age)])

    def test_rest_of_retention(self) -> None:
        """An ended channel is kept for the rest of its retention."""
        self.restore("FINISHED", end=End.FINISHED, age=RETENTION - 1)
        self.assertEqual(self.follow().end, End.FINISHED)
        self.let_pass(1)
        self.assertEqual(self.hub.channels, {})

    def test_outcome(self) -> None:
        """How the job of an ended channel went is known from its messages."""
        self.restore("DOWNLOADED", "FAILED", "FINISHED", end=End.FINISHED)
        self.assertEqual(self.hub.channels["job"].outcome, End.FAILED)

    def test_failed(self) -> None:
        """A channel whose last message is FAILED has the whole grace from now on."""
        self.restore("TASK", "FAILED")
        self.let_pass(GRACE - 1)
        self.assertIsNone(self.hub.channels["job"].end)
        self.let_pass(1)
        self.assertEqual(self.hub.channels["job"].end, End.FAILED)

    def test_failed_overtakes(self) -> None:
        """So has one where FAILED overtook the last messages."""
        self.restore("DOWNLOADED", "FAILED", "TASK", "ABORTED")
        self.let_pass(GRACE)
        self.assertEqual(self.hub.channels["job"].end, End.FAILED)

    def test_running(self) -> None:
        """A running channel goes on, and its silence counts from now on."""
        self.restore("FAILED", "STARTED", "TASK")
        self.let_pass(IDLE - 1)
        self.assertIsNone(self.hub.channels["job"].end)
        self.let_pass(1)
        self.assertEqual(self.hub.channels["job"].end, End.EXPIRED)

    def test_no_room(self) -> None:
        """Where the limits leave no room, a restored channel is evicted at once."""
        change(self.hub.settings, max_history_bytes=1024)
        self.restore(*["TASK"] * 100)
        self.assertEqual((self.hub.channels, self.hub.retention.history_bytes), ({}, 0))
