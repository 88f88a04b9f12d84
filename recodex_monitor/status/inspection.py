"""Describes a running monitor to administrators: the whole, the list of jobs, and one job.

All values are plain, as JSON has them. Times are seconds of the wall clock (Unix time).
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from recodex_monitor.channels.channel import Channel, Subscription
from recodex_monitor.channels.tombstones import Tombstone
from recodex_monitor.status import cluster, diagnosis, refusals, tally, timeline
from recodex_monitor.status.advice import advice
from recodex_monitor.status.jobs import Jobs, Query, state_of
from recodex_monitor.status.problems import problems
from recodex_monitor.status.statistics import SAMPLE, SAMPLES, Statistics, Totals
from recodex_monitor.status.tally import Tally, count_on
from recodex_monitor.system.process import memory, open_files

TALLIES = 1000
"""Channels whose tasks are remembered as counted, at most."""

RECENT = SAMPLE * SAMPLES
"""Seconds for which followers that were cut off are listed."""

FOLLOWERS = 100
"""Followers of a channel that are shown."""


class Inspection:
    """Describes the monitor, its channels and one channel; changes nothing."""

    def __init__(
        self,
        statistics: Statistics,
        *,
        settings: Mapping[str, Any],
        show_addresses: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Describe the monitor that the statistics are read from.

        Args:
            statistics: has the numbers and the monitor's parts.
            settings: to be shown, without secrets; replaced on a reload.
            show_addresses: whether clients' addresses are shown.
            wall: the time of the wall clock in seconds.
        """
        self.settings = settings
        self._statistics = statistics
        self.hub = statistics.hub
        self.seconds = statistics.seconds
        self._show_addresses = show_addresses
        self._wall = wall
        self.jobs = Jobs(self.hub.retention, statistics.clock)
        self._tallies: OrderedDict[str, Tally] = OrderedDict()

    def status(self) -> dict[str, Any]:
        """The monitor as a whole, without its channels."""
        counts, totals = self.hub.counters, self._statistics.totals()
        broker, told = self._broker(), self._statistics.cluster()
        connections = self._statistics.connections
        origins = [(one.origin, one.count) for one in connections.refused_origins]
        refused = self._statistics.refused(), connections.refused.details
        hints = [
            *cluster.hints(told),
            *diagnosis.of_broker(cluster.broker(told, broker)),
            *problems(self._statistics.seen(totals)),
            *diagnosis.of_clients(None, *refused, origins),
        ]
        return {
            "now": self._wall(),
            "uptime": self._statistics.uptime,
            "broker": self._broker_told(broker),
            "followers": totals.followers,
            "slow": totals.slow,
            "connections": len(self._statistics.connections.clients),
            "totals": {name: getattr(totals, name) for name in Totals._fields[:4]},
            "channels": self._statistics.states(),
            "history_bytes": self.hub.retention.history_bytes,
            "ends": dict(counts.ends),
            "outcomes": dict(counts.outcomes),
            "dropped": self._statistics.dropped(),
            **refusals.describe(self._statistics.connections, self._moment),
            "limits": dict(counts.limits),
            "commands": counts.commands,
            "hints": [hint._asdict() for hint in hints],
            "memory": memory(),
            "open_files": open_files(),
            "every": SAMPLE,
            "charts": self._statistics.charts(),
            "settings": self.settings,
            **({"cluster": told} if told is not None else {}),
        }

    def list_jobs(self, query: Query, call: Callable[[dict[str, Any]], object]) -> None:
        """Call with the jobs that a query finds, described; see ``Jobs.ask``."""
        self.jobs.ask(query, lambda found: call(found.described(self._rows(found.channels))))

    def _rows(self, channels: list[Channel]) -> list[dict[str, Any]]:
        budget, rows = tally.TALLIED, []
        for channel in channels:
            counted = self._tally(channel)
            budget = count_on(counted, channel, budget)
            rows.append(self._row(channel, counted))
        return rows

    def _tally(self, channel: Channel) -> Tally:
        """The tally of a channel so far; those of the TALLIES channels used last are kept."""
        counted = self._tallies.pop(channel.epoch, None) or Tally()
        self._tallies[channel.epoch] = counted
        while len(self._tallies) > TALLIES:
            self._tallies.popitem(last=False)
        return counted

    def _row(self, channel: Channel, counted: Tally) -> dict[str, Any]:
        return {
            "id": channel.id,
            "state": state_of(channel, self.hub.retention, self.seconds()),
            "end": channel.end,
            "outcome": channel.outcome,
            "began": self._moment(channel.began / 100),
            "last": self._moment(self._last(channel)),
            "messages": channel.count,
            "tasks": counted.tasks,
            "attempts": counted.attempts,
            "followers": len(channel.subscriptions),
            "followed": channel.joined,
        }

    def channel(self, channel_id: str) -> dict[str, Any]:
        """One channel in detail, whether it exists or not."""
        known = self.hub.channels.get(channel_id)
        channel = known or Channel(channel_id)
        counted = self._tally(channel) if known else Tally()
        count_on(counted, channel, tally.TALLIED)
        said = timeline.timeline(channel, counted.attempts, self._moment)
        job, told = self._job(channel), self._statistics.cluster()
        broker = cluster.broker(told, self._broker())
        details = self._statistics.connections.refused.details
        refused = self._statistics.refused()
        hints = [*cluster.hints(told), *diagnosis.hints(job, broker, refused, details)]
        return {
            **self._row(channel, counted),
            "now": self._wall(),
            "age": job.last_ago,
            "broker": broker.peers > 0,
            **self._unknown(channel_id),
            "known": known is not None,
            "going_on": diagnosis.going_on(job),
            "advice": advice(job, broker),
            "hints": [hint._asdict() for hint in hints],
            "omitted": channel.count - len(said),
            "timeline": said,
            "attempts_made": timeline.attempts(said, is_over=channel.end is not None),
            "readers": [self._follower(one) for one in islice(channel.subscriptions, FOLLOWERS)],
            "cuts": job.cuts,
        }

    def _unknown(self, channel_id: str) -> dict[str, Any]:
        """The values that differ for a channel that is no longer kept, or never was."""
        found = self.hub.retention.tombstones.get(channel_id)
        nothing = {"forgotten": None, "forgotten_at": None, "ended_at": None}
        if channel_id in self.hub.channels:
            ended = self.hub.retention.ended.get(self.hub.channels[channel_id])
            return {**nothing, "ended_at": self._moment(ended)}
        if found is None:
            return {**nothing, "state": "unknown", "began": None}
        return {
            "forgotten": found.outcome,
            "forgotten_at": self._moment(found.at),
            "ended_at": None if found.end is None else self._moment(found.at - found.kept),
            "messages": found.messages,
            "followed": found.followers,
            "end": found.end,
            "outcome": found.outcome,
            "state": "forgotten",
            "began": None,
        }

    def _follower(self, one: Subscription) -> dict[str, Any]:
        client = one.client
        told = {
            "transport": client.kind if client is not None else "other",
            "since": self._moment(one.since),
            "behind": one.behind,
            "slow": _is_slow(one),
        }
        # The doctor compares its own address with what the proxy passes on.
        shows = self._show_addresses or one.channel.is_trial
        if shows and client is not None:
            told["address"] = client.address
        return told

    def _job(self, channel: Channel) -> diagnosis.Job:
        hub, ago = self.hub, self._ago
        failing = hub.retention.failing.get(channel)
        forgotten = None if channel.count else hub.retention.tombstones.get(channel.id)
        recent = self.seconds() - RECENT
        cuts = [
            one.lasted for one in hub.counters.cuts if one.id == channel.id and one.at >= recent
        ]
        return diagnosis.Job(
            messages=channel.count,
            last=timeline.last_text(channel),
            last_ago=ago(self._last(channel)),
            failed_ago=ago(failing),
            grace=hub.settings.channels.failed_grace,
            end=channel.end,
            outcome=channel.outcome,
            ended_ago=ago(hub.retention.ended.get(channel)),
            retention=hub.settings.channels.retention,
            followers=len(channel.subscriptions),
            slow=sum(map(_is_slow, channel.subscriptions)),
            forgotten=forgotten and _forgotten(forgotten, self.seconds()),
            cuts=cuts[-FOLLOWERS:],
        )

    def _broker(self) -> diagnosis.Broker:
        peers, counts = self._statistics.broker.peers, self.hub.counters
        return diagnosis.Broker(
            where=", ".join(map(str, self._statistics.broker.addresses)),
            peers=peers.connected,
            seen=peers.count,
            failures=peers.failures,
            causes=peers.causes,
            refused=peers.refused,
            gone_ago=self._ago(peers.gone_at),
            messages=sum(counts.commands.values()),
            last_ago=self._ago(counts.last),
        )

    def _broker_told(self, broker: diagnosis.Broker) -> dict[str, Any]:
        return {
            "connected": broker.peers,
            "since": self._moment(self._statistics.broker.peers.since),
            "seen": broker.seen,
            "failed_handshakes": broker.failures,
            "causes": dict(broker.causes),
            "refused": broker.refused,
            "gone": self._moment(self._statistics.broker.peers.gone_at),
            "last": self._moment(self.hub.counters.last),
            "address": broker.where,
        }

    def _last(self, channel: Channel) -> float | None:
        """When the last message came; see Retention.last_message."""
        return self.hub.retention.last_message(channel)

    def _ago(self, at: float | None) -> float | None:
        return None if at is None else self.seconds() - at

    def _moment(self, at: float | None) -> float | None:
        """A time of the monotonic clock as wall clock time."""
        return None if at is None else round(self._wall() - self.seconds() + at, 2)


def _forgotten(one: Tombstone, now: float) -> diagnosis.Forgotten:
    ago = now - one.at
    ended_ago = None if one.end is None else ago + one.kept
    return diagnosis.Forgotten(ago, one.outcome, ended_ago, one.messages, one.followers, one.end)


def _is_slow(subscription: Subscription) -> bool:
    return subscription.is_paused and subscription.behind > 0
