"""The reserve of a full channel."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.attempts import OUTCOME, has_failed
from recodex_monitor.channels.channel import End
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import Message, parse
from recodex_monitor.channels.reserve import RESERVED_BYTES, RESERVED_MESSAGES
from tests.support.settings import live


def said(*frames: str) -> Message:
    """A message of the broker about a job."""
    return parse([b"job", *map(str.encode, frames)])


def hub_with(**limits: Any) -> Hub:
    """A hub with these limits."""
    return Hub(Clock(), live(**limits))


class ReserveTests(SynchronousTestCase):
    """What comes into a full channel."""

    def test_outcome_of_a_full_channel(self) -> None:
        """What decides how the job went is added to a full channel, and its log says the same."""
        for limits in (
            {"max_channel_messages": 1},
            {"max_channel_bytes": 1000},
            {"max_history_bytes": 100_000},
        ):
            for commands, failed in (
                (("FAILED",), True),
                (("FAILED", "B", "STARTED", "C"), False),
                (("FAILED", "DOWNLOADED", "FAILED"), True),
            ):
                hub = hub_with(**limits)
                size = limits.get("max_history_bytes", 1000)
                hub.publish([said("A", "x" * size), said("B"), *map(said, commands)])
                channel = hub.channels["job"]
                self.assertEqual(channel in hub.retention.failing, failed)
                self.assertEqual(has_failed(channel.log), failed, (limits, commands))
                self.assertEqual(channel.count, 1 + len([*filter(OUTCOME.__contains__, commands)]))
                hub.publish([said("FINISHED")])
                self.assertEqual(channel.outcome, End.FAILED if failed else End.FINISHED)

    def test_reserve(self) -> None:
        """What a full channel takes beyond its limits is bounded."""
        for limits in ({"max_channel_messages": 1}, {"max_channel_bytes": 1000}):
            hub = hub_with(**limits)
            hub.publish([said("A", "x" * 1000)])
            hub.publish([said("FAILED"), said("STARTED")] * 10_000)
            channel = hub.channels["job"]
            self.assertLess(len(channel.log), RESERVED_BYTES + 2000)
            if "max_channel_messages" in limits:
                self.assertEqual(channel.count, 1 + RESERVED_MESSAGES)
            self.assertTrue(channel.is_full)
