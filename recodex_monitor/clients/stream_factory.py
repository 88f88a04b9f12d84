"""Makes streams, and calls them when their time is up."""

import time
from collections.abc import Callable, Iterator
from random import randint
from typing import Any

from recodex_monitor.channels.event_ids import count_at
from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.following import Shared
from recodex_monitor.clients.jobs_stream import Follow, JobsStream
from recodex_monitor.clients.snapshots import MAX_WAIT, Snapshot
from recodex_monitor.clients.streams import EventStream, Timed
from recodex_monitor.network.tokens import Token
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.timeouts import Timeouts

RETRY_DELAY = (1000, 5000)
"""Milliseconds after which an EventSource connects again, at least and at most."""


class StreamFactory:
    """Makes streams, and calls them when their time is up.

    Attributes:
        hub: has the channels.
        announcements: makes the monitor's own messages.
        access: decides who may follow what.
        seconds: tells the time.
        silent: event streams, due for a comment some time after something was sent.
        polls: long polls, by the seconds for which they wait.
    """

    def __init__(self, hub: Hub, settings: LiveSettings, clock: Clock, shared: Shared) -> None:
        """Begin without streams.

        Args:
            hub: has the channels.
            settings: have the time between two comments.
            clock: tells the time.
            shared: what clients of many channels share.
        """
        self.hub = hub
        self.announcements = shared.announcements
        self.access = shared.access
        self._shared = shared
        self.seconds = clock.seconds
        self.silent = Timeouts[Timed](lambda: settings.limits.event_comment)
        self.polls = [Timeouts[Timed](_always(wait)) for wait in range(MAX_WAIT + 1)]
        self.sweep = TimeSlices(clock, self._sweep_steps)
        """Calls the streams whose time is up; call it every second."""

    def event_stream(self, request: Any, channel_id: str) -> EventStream:
        """Make an answer to this request that sends the channel's messages as events."""
        return EventStream(self, request, channel_id)

    def jobs_stream(self, request: Any, follows: list[Follow], token: Token | None) -> JobsStream:
        """Make an answer to this request that sends the messages of many channels as events."""
        return JobsStream(self, self._shared, request, follows, token)

    def snapshot(self, request: Any, channel_id: str, wait: int) -> Snapshot:
        """Make an answer with the messages so far, which may wait some seconds for the first."""
        return Snapshot(self, request, channel_id, wait)

    def retry_delay(self) -> int:
        """Milliseconds after which an EventSource is to connect again when it is cut off.

        They are random, so that not all clients come back at once after a restart.
        """
        return randint(*RETRY_DELAY)

    def wall(self, at: float) -> float:
        """A time of ``seconds`` as seconds of the wall clock."""
        return time.time() - self.seconds() + at

    def is_over(self, channel_id: str, after: str) -> bool:
        """Whether a channel has ended with the message that has this id."""
        channel = self.hub.retention.find(channel_id)
        if channel is None or channel.end is None:
            return False
        return count_at(channel, after) == channel.count

    def _sweep_steps(self) -> Iterator[None]:
        now = self.seconds()
        for timeouts in (self.silent, *self.polls):
            for stream in timeouts.pop_due(now):
                stream.timed_out()
                yield


def _always(wait: int) -> Callable[[], float]:
    return lambda: wait
