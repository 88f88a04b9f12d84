"""Trials: the jobs by which ``recodex-monitor doctor`` tries the way from the broker to browsers.

They take the way of every job, but are counted nowhere and saved nowhere, and are removed soon
after their end, without a tombstone.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recodex_monitor.channels.channel import Channel

PREFIX = "doctor_"
"""With which the ids of such channels begin."""

MOST = 20
"""Trials at a time, so that little is left out of the numbers; others are ordinary channels."""

SILENT = 120.0
"""Seconds of silence after which a trial ends."""

KEPT = 5.0
"""Seconds for which a trial is kept after its end."""


def is_trial(channel_id: str | None) -> bool:
    """Whether this is the id of a trial."""
    return channel_id is not None and channel_id.startswith(PREFIX)


class Trials(dict["Channel", float]):
    """The channels that are trials now, each with the time at which it ends or is removed.

    Times are in seconds of the hub's clock.

    Attributes:
        on_begin: called when the first message of a trial has come.
    """

    def __init__(self) -> None:
        """Begin without trials."""
        super().__init__()
        self.on_begin: Callable[[], object] | None = None

    def opened(self, channel: "Channel") -> None:
        """Take a new channel for a trial, if its id says so and there are not too many."""
        if is_trial(channel.id) and len(self) < MOST:
            channel.is_trial = True
            self[channel] = math.inf

    def begins(self, channel: "Channel") -> None:
        """Note that a message is about to be added to a channel; see ``on_begin``."""
        if channel.is_trial and not channel.count and self.on_begin is not None:
            self.on_begin()

    def heard(self, channel: "Channel", now: float) -> None:
        """Note a message of a trial."""
        self[channel] = now + SILENT

    def ended(self, channel: "Channel", now: float) -> None:
        """Note the end of a trial."""
        self[channel] = now + KEPT

    def kept_out(self, channels: "dict[Channel, None]") -> "dict[Channel, None]":
        """These channels without the trials."""
        return {one: None for one in channels if one not in self} if self else channels

    def due(self, now: float, *, has_ended: bool) -> Iterator["Channel"]:
        """Those that have ended and are to be removed, or else those that are to end."""
        for channel, at in tuple(self.items()):
            if at <= now and (channel.end is not None) == has_ended:
                yield channel
