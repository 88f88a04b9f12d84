"""The journal: what is published is saved before any client sees it, and restored unchanged."""

from typing import Any
from unittest import mock

from recodex_monitor.channels.channel import CHUNK_SIZE, End
from recodex_monitor.channels.message import FAILED, Message
from tests.history.support import GRACE, RETENTION, JournalTestCase, State
from tests.support.channels import Follower
from tests.support.messages import message
from tests.support.settings import change


class SaveTests(JournalTestCase):
    """What is saved is restored."""

    def test_before_anybody_sees_it(self) -> None:
        """What wakes a subscription is in the file already, even an end that the monitor adds."""
        seen: list[State] = []
        wake = self.monitor.hub._wake_steps

        def check() -> Any:
            seen.append(self.monitor.state())
            self.assertEqual(self.killed().state(), seen[-1])
            return wake()

        self.patch(self.monitor.hub._flush, "_steps", check)
        self.monitor.publish("job", "A", FAILED)
        self.monitor.let_pass(GRACE)
        self.assertEqual(seen[-1]["job"][3], End.FAILED)

    def test_all_of_a_channel(self) -> None:
        """Epoch, number of messages, log, end and the ends of chunks are as before."""
        texts = [f"{number} {'x' * (number * 997 % 40_000)}" for number in range(60)]
        for start in range(0, 60, 7):
            batch = [Message("job", "A", text.encode()) for text in texts[start : start + 7]]
            self.monitor.hub.publish(batch)
        self.monitor.publish("job", "FINISHED")
        self.assertEqual(self.killed().state(), self.monitor.state())
        (channel,) = self.killed().hub.channels.values()
        for count in range(61):
            position = self.monitor.hub.channels["job"].position(count)
            self.assertEqual(channel.position(count), position)
            self.assertLess(len(channel.chunk(position)), 3 * CHUNK_SIZE + 40_000)

    def test_ids_of_any_text(self) -> None:
        """A channel may have any id that a broker can send."""
        for name in ("a b", " ", "\0", "ž\U0001f600", "x" * 500, "\n"):
            self.monitor.publish(name, "A")
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_stopped(self) -> None:
        """After a stop one file, without a WAL, has everything."""
        self.monitor.publish("job", "A")
        self.monitor.journal.close()
        self.assertFalse((self.monitor.folder / "history.db-wal").exists())
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_no_channel_without_messages(self) -> None:
        """A channel without messages is not saved, though a client waits for them."""
        reader = Follower(self.monitor.hub, self.clock)
        self.assertEqual(self.killed().hub.channels, {})
        self.monitor.hub.unsubscribe(reader)
        self.monitor.publish("job", "A")
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_gone_in_the_turn_in_which_it_came(self) -> None:
        """A channel that is evicted in the turn in which it began does not come back."""
        change(self.monitor.hub.settings, max_channels=2)
        self.monitor.publish("old", "A")
        batch = [message(name, "A") for name in ("old", "one", "two", "three")]
        self.monitor.hub.publish(batch)
        self.assertEqual(set(self.monitor.state()), {"two", "three"})
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_forgotten(self) -> None:
        """How channels had ended that are no longer kept is known after a restart."""
        self.monitor.publish("job", "A", "FAILED", "FINISHED")
        self.monitor.publish("again", "A", "FINISHED")
        before = self.monitor.hub.channels["job"]
        self.monitor.let_pass(RETENTION + 5)
        self.monitor.publish("again", "B")
        tombstones = self.killed().hub.retention.tombstones
        found = tombstones.get("job")
        assert found is not None
        self.assertEqual((found.end, found.messages), ("finished", 3))
        self.assertEqual((found.epoch, self.clock.seconds() - found.at), (before.epoch, 5))
        self.assertIsNone(tombstones.get("again"))

    def test_forgotten_in_full(self) -> None:
        """Of a job that is no longer kept, a restart loses nothing of what is remembered."""
        Follower(self.monitor.hub, self.clock, client=mock.Mock(kind="websocket")).start()
        self.monitor.publish("job", "A", "FAILED", "FINISHED")
        self.monitor.publish("a b\n", "A")
        change(self.monitor.hub.settings, max_channels=1)
        self.monitor.let_pass(RETENTION + 1)
        self.monitor.publish("evicts", "A")
        for name in ("job", "a b\n"):
            before = self.monitor.hub.retention.tombstones.get(name)
            self.monitor.let_pass(1)
            self.assertEqual(self.killed().hub.retention.tombstones.get(name), before)

    def test_the_same_id_again(self) -> None:
        """Of two successive channels with one id, the second is restored."""
        self.monitor.publish("job", "A", "FINISHED")
        self.monitor.let_pass(RETENTION)
        self.monitor.publish("job", "B")
        self.assertEqual(self.killed().state(), self.monitor.state())
