"""What people may see of a running monitor: read from its parts, which know nothing of this.

All that it tells is made of plain values, as JSON has them. Times are seconds of the wall clock.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, Protocol

from recodex_monitor.broker.peers import Peers
from recodex_monitor.channels.channel import Channel, Subscription
from recodex_monitor.channels.counters import taken
from recodex_monitor.channels.frames import spans
from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.connections import Reception
from recodex_monitor.status import diagnosis
from recodex_monitor.status.tally import TALLIED, Tally, count
from recodex_monitor.system.process import memory, open_files
from recodex_monitor.timing.clock import Clock

SAMPLE = 10.0
"""Seconds between two samples."""

SAMPLES = 90
"""Samples that are kept: 15 minutes."""

ROWS = 200
"""Channels that are listed."""

LOOKS = 10_000
"""Channels that are looked at to find those."""

MESSAGES = 500
"""Messages of a channel that are shown, the last ones."""

FOLLOWERS = 100
"""Followers of a channel that are shown."""


class BrokerSide(Protocol):
    """The part of the broker's service that people want to know of."""

    peers: Peers
    dropped: Mapping[str, int]
    addresses: list[Any]


class Totals(NamedTuple):
    """Numbers that only grow, and who is there.

    Attributes:
        messages: that came of the broker.
        connects: readers that began.
        deliveries: messages that readers got.
        bytes: of them, as they stand in the logs.
        followers: readers now.
        slow: readers that do not take what is due.
        refused: clients that were refused, by reason.
    """

    messages: int
    connects: int
    deliveries: int
    bytes: int
    followers: int
    slow: int
    refused: Mapping[str, int]


class View:
    """Looks at a hub, its readers and the broker."""

    def __init__(
        self,
        hub: Hub,
        reception: Reception,
        broker: BrokerSide,
        clock: Clock,
        *,
        settings: Mapping[str, Any],
        show_addresses: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Look at these.

        Args:
            hub: has the channels.
            reception: knows the connections.
            broker: knows the broker.
            clock: the time of all of them.
            settings: as they are shown, and ``channels`` as a hub has them.
            show_addresses: whether clients' addresses are told.
            wall: the time of the wall clock in seconds.
        """
        self.hub = hub
        self.reception = reception
        self.broker = broker
        self.settings = settings
        self.lag = 0.0
        self.seconds = clock.seconds
        self.started = clock.seconds()
        self.samples: deque[tuple[float, float, Totals]] = deque(maxlen=SAMPLES + 1)
        self._show_addresses = show_addresses
        self._wall = wall
        self._tallies: dict[str, Tally] = {}
        self._taken = (0, 0)

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self.seconds() - self.started

    def totals(self) -> Totals:
        """The numbers now; takes some 0.2 us a reader."""
        counts = self.hub.counts
        followers = slow = 0
        deliveries, size = counts.messages, counts.bytes
        for channel in self.hub.channels.values():
            followers += len(channel.subscriptions)
            end, count = len(channel.log), channel.count
            for one in channel.subscriptions:
                # Nearly all have read all.
                all_read = one.position == end
                messages, length = (count, end) if all_read and not one.origin else taken(one)
                deliveries += messages
                size += length
                slow += not all_read and one.waits
        # A reader that goes on after its channel was let go is counted when it has gone.
        self._taken = max(self._taken[0], deliveries), max(self._taken[1], size)
        messages, connects = sum(counts.commands.values()), sum(counts.joined.values())
        refused = dict(self.reception.refused.counts)
        return Totals(messages, connects, *self._taken, followers, slow, refused)

    def sample(self) -> None:
        """Note the numbers for the charts; call it every SAMPLE."""
        self.samples.append((self.seconds(), self.lag, self.totals()))
        self.lag = 0.0

    def lagged(self, lag: float) -> None:
        """Note how many seconds too late the loop came to something."""
        self.lag = max(self.lag, lag)

    def charts(self) -> dict[str, list[float]]:
        """Each sample's numbers, rates a second, and the longest lag in milliseconds."""
        charts: dict[str, list[float]] = {
            name: [] for name in ("followers", "connects", "deliveries", "messages", "lag")
        }
        for (before, _, old), (at, lag, new) in zip(
            self.samples, islice(self.samples, 1, None), strict=False
        ):
            passed = max(at - before, 0.001)
            charts["followers"].append(new.followers)
            charts["lag"].append(round(lag * 1000, 1))
            for name in ("connects", "deliveries", "messages"):
                grown = getattr(new, name) - getattr(old, name)
                charts[name].append(round(grown / passed, 2))
        return charts

    def refused(self) -> dict[str, int]:
        """Clients that were refused while samples were kept, by reason."""
        before = self.samples[0][2].refused if self.samples else {}
        now = self.reception.refused.counts
        grown = {reason: count - before.get(reason, 0) for reason, count in now.items()}
        return {reason: count for reason, count in grown.items() if count}

    def states(self) -> dict[str, int]:
        """Channels by what they are at."""
        hub = self.hub
        failing, ended = len(hub.failing), len(hub.ended)
        running = len(hub.silent) - failing
        waiting = len(hub.channels) - ended - running - failing
        return {"running": running, "failing": failing, "waiting": waiting, "ended": ended}

    def status(self) -> dict[str, Any]:
        """All but the channels."""
        counts, totals = self.hub.counts, self.totals()
        broker = self._broker()
        hints = [*diagnosis.of_broker(broker), *diagnosis.of_clients(None, self.refused())]
        return {
            "now": self._wall(),
            "uptime": self.uptime,
            "broker": self._broker_told(broker),
            "followers": totals.followers,
            "slow": totals.slow,
            "connections": len(self.reception.connections),
            "totals": {name: getattr(totals, name) for name in Totals._fields[:4]},
            "channels": self.states(),
            "history_bytes": self.hub.history_bytes,
            "ends": dict(counts.ends),
            "dropped": self.dropped(),
            "limits": dict(counts.limits),
            "commands": counts.commands,
            "hints": [hint._asdict() for hint in hints],
            "memory": memory(),
            "open_files": open_files(),
            "every": SAMPLE,
            "charts": self.charts(),
            "settings": self.settings,
        }

    def dropped(self) -> dict[str, int]:
        """What was dropped, refused or let go, by what it was and why."""
        parts: dict[str, Mapping[str, int]] = {
            "broker message": self.broker.dropped,
            "message": self.hub.dropped.counts,
            "client": self.reception.refused.counts,
            "channel": self.hub.evicted.counts,
        }
        return {
            f"{what}: {reason}": count
            for what, counts in parts.items()
            for reason, count in counts.items()
        }

    def channels(self) -> list[dict[str, Any]]:
        """The newest channels to which something was published."""
        newest = islice(reversed(self.hub.channels.values()), LOOKS)
        shown = list(islice((channel for channel in newest if channel.count), ROWS))
        known, self._tallies = self._tallies, {}
        budget = TALLIED
        for channel in shown:
            tally = self._tallies[channel.epoch] = known.get(channel.epoch) or Tally()
            budget = count(tally, channel, budget)
        return [self._row(channel, self._tallies[channel.epoch]) for channel in shown]

    def _row(self, channel: Channel, tally: Tally) -> dict[str, Any]:
        return {
            "id": channel.id,
            "state": self._state(channel),
            "began": self._moment(channel.began / 100),
            "last": self._moment(self._last(channel)),
            "messages": channel.count,
            "tasks": tally.tasks,
            "attempts": tally.attempts,
            "followers": len(channel.subscriptions),
        }

    def channel(self, channel_id: str) -> dict[str, Any]:
        """All about one channel, whether it exists or not."""
        channel = self.hub.channels.get(channel_id) or Channel(channel_id)
        tally = self._tallies.get(channel.epoch) or Tally()
        count(tally, channel, TALLIED)
        job, broker = self._job(channel), self._broker()
        hints = diagnosis.hints(job, broker, self.refused())
        return {
            **self._row(channel, tally),
            "now": self._wall(),
            "known": channel_id in self.hub.channels,
            "going_on": diagnosis.going_on(job),
            "hints": [hint._asdict() for hint in hints],
            "omitted": max(0, channel.count - MESSAGES),
            "timeline": list(self._timeline(channel)),
            "readers": [self._reader(one) for one in islice(channel.subscriptions, FOLLOWERS)],
            "cuts": job.cuts,
        }

    def _timeline(self, channel: Channel) -> Iterator[dict[str, Any]]:
        """The last messages, with None as the time of those that came before a restart."""
        first = max(0, channel.count - MESSAGES)
        untimed = channel.count - len(channel.times)
        texts = spans(channel.log, channel.position(first))
        for number, text in enumerate(texts, first):
            at = None
            if number >= untimed:
                at = self._moment((channel.began + channel.times[number - untimed]) / 100)
            yield {"number": number + 1, "at": at, **json.loads(channel.log[text])}

    def _reader(self, one: Subscription) -> dict[str, Any]:
        reader = one.reader
        told = {
            "transport": reader.kind if reader is not None else "other",
            "since": self._moment(one.since),
            "behind": one.behind,
            "slow": _is_slow(one),
        }
        if self._show_addresses and reader is not None:
            told["address"] = reader.address
        return told

    def _job(self, channel: Channel) -> diagnosis.Job:
        hub, ago = self.hub, self._ago
        failing = hub.failing.get(channel)
        cuts = [one.lasted for one in hub.counts.cuts if one.id == channel.id]
        return diagnosis.Job(
            messages=channel.count,
            last=_last_text(channel),
            last_ago=ago(self._last(channel)),
            failed_ago=ago(failing),
            grace=hub.bounds.failed_grace,
            end=channel.end,
            ended_ago=ago(hub.ended.get(channel)),
            retention=hub.bounds.retention,
            followers=len(channel.subscriptions),
            slow=sum(map(_is_slow, channel.subscriptions)),
            forgotten=None if channel.count else self._forgotten(channel.id),
            cuts=cuts[-FOLLOWERS:],
        )

    def _forgotten(self, channel_id: str) -> tuple[str, float] | None:
        for one in reversed(self.hub.counts.forgotten):
            if one.id == channel_id:
                return one.end or "", self.seconds() - one.at
        return None

    def _broker(self) -> diagnosis.Broker:
        peers, counts = self.broker.peers, self.hub.counts
        return diagnosis.Broker(
            where=", ".join(map(str, self.broker.addresses)),
            peers=peers.connected,
            seen=peers.count,
            failures=peers.failures,
            gone_ago=self._ago(peers.gone_at),
            messages=sum(counts.commands.values()),
            last_ago=self._ago(counts.last),
        )

    def _broker_told(self, broker: diagnosis.Broker) -> dict[str, Any]:
        return {
            "connected": broker.peers,
            "since": self._moment(self.broker.peers.since),
            "seen": broker.seen,
            "failed_handshakes": broker.failures,
            "gone": self._moment(self.broker.peers.gone_at),
            "last": self._moment(self.hub.counts.last),
            "address": broker.where,
        }

    def _state(self, channel: Channel) -> str:
        if channel.end is not None:
            return channel.end.value
        if channel in self.hub.failing:
            return "failing"
        return "running" if channel.count else "waiting"

    @staticmethod
    def _last(channel: Channel) -> float | None:
        """When the last message came; None where none has since the start."""
        return (channel.began + channel.times[-1]) / 100 if channel.times else None

    def _ago(self, at: float | None) -> float | None:
        return None if at is None else self.seconds() - at

    def _moment(self, at: float | None) -> float | None:
        """A time of the clock as one of the wall's."""
        return None if at is None else round(self._wall() - self.seconds() + at, 2)


def _is_slow(subscription: Subscription) -> bool:
    return subscription.waits and subscription.behind > 0


def _last_text(channel: Channel) -> str:
    """The last message in short."""
    if not channel.count:
        return ""
    *_, last = spans(channel.log, channel.position(channel.count - 1))
    return " ".join(str(value)[:80] for value in json.loads(channel.log[last]).values())
