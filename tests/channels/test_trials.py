"""Trials: what the doctor sends passes through and leaves no trace."""

from typing import Any

from recodex_monitor.channels.channel import End
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.trials import KEPT, MOST, SILENT
from tests.support.channels import ADDED, GRACE, IDLE, RETENTION, HubTestCase, frames, message
from tests.support.settings import live

TRIAL = "doctor_1"


class Saved:
    """A journal that remembers whose messages it was given."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def save(self, channels: Any) -> None:
        """Called by the hub."""
        self.ids += [channel.id for channel in channels]

    def forget(self, channel: Any, tombstone: Any = None) -> None:
        """Called by the hub."""
        assert tombstone is None or channel.id != TRIAL


class TrialTests(HubTestCase):
    """Jobs of the doctor's."""

    def setUp(self) -> None:
        """Keep the channels in a journal, too."""
        super().setUp()
        self.journal = Saved()
        settings = live(retention=RETENTION, failed_grace=GRACE, idle_timeout=IDLE)
        self.hub = Hub(self.clock, settings, self.journal)

    def test_passes(self) -> None:
        """Followers get it, early and late, and its end."""
        early = self.follow(TRIAL)
        self.publish("A", "FINISHED", "B", channel_id=TRIAL)
        late = self.follow(TRIAL)
        for one in (early, late):
            self.assertEqual((one.got, one.end), (frames("A", "FINISHED"), End.FINISHED))

    def test_no_trace(self) -> None:
        """It is not counted, not saved, and gone with its tombstone in seconds."""
        self.publish("A", "FINISHED", channel_id=TRIAL)
        counters = self.hub.counters
        self.assertEqual((sum(counters.commands.values()), counters.last), (0, None))
        self.assertEqual((sum(counters.ends.values()), self.journal.ids), (0, []))
        self.let_pass(int(KEPT) + 1)
        retention = self.hub.retention
        self.assertEqual(
            (self.hub.channels, retention.trials, retention.history_bytes), ({}, {}, 0)
        )
        self.assertIsNone(retention.find(TRIAL))

    def test_beside_others(self) -> None:
        """What comes in the same turn for other channels is counted and saved."""
        self.hub.publish([message("A", TRIAL), message("STARTED"), message("A", TRIAL)])
        self.assertEqual((self.hub.counters.last, self.journal.ids), (0, ["job"]))
        self.assertEqual(sum(self.hub.counters.commands.values()), 1)

    def test_left_open(self) -> None:
        """One that is left open ends after a while, and nobody is left waiting."""
        follower = self.follow(TRIAL)
        self.publish("A", channel_id=TRIAL)
        self.let_pass(int(SILENT))
        self.assertEqual(follower.end, End.EXPIRED)
        self.assertTrue(follower.got.endswith(frames(ADDED)))
        self.let_pass(int(KEPT) + 1)
        self.assertEqual((self.hub.channels, sum(self.hub.counters.ends.values())), ({}, 0))

    def test_limit(self) -> None:
        """Of many such ids some are ordinary channels, so that nobody hides in them."""
        for number in range(MOST + 3):
            self.publish("A", channel_id=f"doctor_{number}")
        self.assertEqual(len(self.hub.retention.trials), MOST)
        self.assertEqual(sum(self.hub.counters.commands.values()), 3)

    def test_begin(self) -> None:
        """Whoever wants to know is told of each trial that begins, once."""
        begun: list[int] = []
        self.hub.retention.trials.on_begin = lambda: begun.append(1)
        self.publish("A", "B", channel_id=TRIAL)
        self.publish("A")
        self.assertEqual(begun, [1])
