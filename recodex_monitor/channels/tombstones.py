"""What is remembered of channels that are no longer kept: how they ended, not what was said."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.message import finished


class Tombstone(NamedTuple):
    """What is left of a channel that was removed.

    Attributes:
        id: of the channel.
        end: how it had ended; None if it had not.
        at: when it was removed, in seconds of the hub's clock.
        epoch: of the channel.
        messages: how many it had.
        outcome: how its job had gone; None if it had not ended.
        followers: how many clients had followed it, since it began or the last restart before that.
        kept: seconds from its end to its removal; 0 if it had not ended.
    """

    id: str
    end: End | None
    at: float
    epoch: str
    messages: int
    outcome: End | None
    followers: int = 0
    kept: int = 0

    @classmethod
    def of(cls, channel: Channel, at: float, ended: float | None = None) -> "Tombstone":
        """The tombstone of a channel that is removed now, and ended when ``ended`` says."""
        how = channel.end, at, channel.epoch, channel.count, channel.outcome
        kept = 0 if ended is None else round(at - ended)
        return cls(channel.id, *how, channel.joined, kept)

    def text(self) -> str:
        """All but the time, as a text without line breaks of its own; see ``parse``."""
        how = f"{self.end or '-'} {self.outcome or '-'}"
        return f"{how} {self.messages} {self.followers} {self.kept} {self.epoch} {self.id}"

    @classmethod
    def parse(cls, text: str, at: float) -> "Tombstone":
        """The tombstone whose text this is, with its time.

        Raises:
            ValueError: the text is none that ``text`` makes.
        """
        end, outcome, messages, followers, kept, epoch, channel_id = text.split(" ", 6)
        how = _end(end), at, epoch, int(messages), _end(outcome)
        return cls(channel_id, *how, int(followers), int(kept))

    def channel(self) -> Channel:
        """The channel that had ended, as far as it is remembered: with FINISHED alone.

        That is its last message, with the id that it had, so a client that resumes after it is
        complete, and one that missed others does not take it for that of another job.
        """
        channel = Channel(self.id, self.epoch)
        channel.skip(self.messages - 1)
        channel.append(finished(self.id).text)
        channel.end, channel.outcome, channel.forgotten = self.end, self.outcome, self.at
        return channel


def _end(text: str) -> End | None:
    return None if text == "-" else End(text)


class Tombstones:
    """The tombstones of the channels that were removed last, by id."""

    def __init__(self, most: Callable[[], int]) -> None:
        """Begin without tombstones; ``most`` gives how many are kept."""
        self._most = most
        self._kept: OrderedDict[str, Tombstone] = OrderedDict()

    def add(self, tombstones: Iterable[Tombstone]) -> None:
        """Keep tombstones, and as many of the newest as there may be."""
        for one in tombstones:
            self._kept[one.id] = one
            self._kept.move_to_end(one.id)
        while len(self._kept) > self._most():
            self._kept.popitem(last=False)

    def get(self, channel_id: str) -> Tombstone | None:
        """The tombstone of a channel; None if there is none."""
        return self._kept.get(channel_id)

    def reopen(self, channel_id: str) -> None:
        """Note that there is a channel of this id again, which has not ended."""
        found = self._kept.get(channel_id)
        if found is not None and found.end is not None:
            del self._kept[channel_id]

    def channel(self, channel_id: str) -> Channel | None:
        """A channel that had ended, as ``Tombstone.channel`` has it; None if there is none."""
        found = self._kept.get(channel_id)
        return None if found is None or found.end is None else found.channel()
