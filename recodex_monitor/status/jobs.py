"""Lists the jobs: filtered by state, searched by a part of the id, sorted, and by the page.

However many channels there are, the reactor is never held up: each list is made in time slices, and
those that open pages ask for again and again look at RATE channels a second at most.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.retention import Retention
from recodex_monitor.status.diagnosis import QUIET
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices

PAGE = 50
"""Jobs on a page."""

MAX_PAGES = 40
"""Pages of a list, at most; to find a job among more, filter, search or sort."""

RATE = 20_000
"""Channels that are looked at in a second, at most, to keep the lists of open pages up to date."""

STATES = ("failing", "failed", "silent", "running", "waiting", "expired", "finished")
"""The states of jobs; see ``state_of``."""

SORTS = ("urgent", "id", "messages", "followers", "began", "last")
"""By what lists may be sorted; ``urgent`` is failures first, then silent jobs, then the others."""

_BATCH = 100
"""Channels that are looked at in a step of a time slice."""

_MAX_TEXT = 512
_URGENCY = {"failing": 0, "failed": 1, "expired": 1, "silent": 2, "running": 3, "waiting": 4}
_LAST = len(_URGENCY)
_LONGEST_FIRST = ("silent", "waiting")


class Query(NamedTuple):
    """Which jobs are listed.

    Attributes:
        state: those in this state; all, if empty.
        text: those with this in their ids.
        sort: one of SORTS.
        reverse: whether the order is the other way round: the newest, the most first.
        page: from 1.
    """

    state: str = ""
    text: str = ""
    sort: str = "urgent"
    reverse: bool = False
    page: int = 1

    @classmethod
    def parse(cls, values: Mapping[bytes, list[bytes]]) -> "Query":
        """The query of a request.

        Args:
            values: of the URL: ``state``, ``text``, ``sort`` (with ``-`` before it: the other way
                round) and ``page``.

        Raises:
            ValueError: one of them is not allowed; its text says what is.
        """
        given = {
            key: values.get(key.encode(), [b""])[0].decode(errors="replace")
            for key in ("state", "text", "sort", "page")
        }
        sort = given["sort"] or "urgent"
        if given["state"] and given["state"] not in STATES:
            raise ValueError(f"state must be one of {', '.join(STATES)}")
        if sort.removeprefix("-") not in SORTS:
            raise ValueError(f"sort must be one of {', '.join(SORTS)}, with or without - before it")
        page = given["page"] or "1"
        if not (page.isascii() and page.isdigit() and 1 <= int(page[:9]) <= MAX_PAGES):
            raise ValueError(f"page must be from 1 to {MAX_PAGES}; filter or search for the rest")
        text = given["text"][:_MAX_TEXT]
        return cls(given["state"], text, sort.removeprefix("-"), sort[0] == "-", int(page))


class Listing(NamedTuple):
    """The jobs that a query finds.

    Attributes:
        query: that was asked.
        counts: how many there are in each state with the text in their ids, whatever the query's
            state.
        channels: those on the query's page.
    """

    query: Query
    counts: Mapping[str, int]
    channels: list[Channel]

    @property
    def total(self) -> int:
        """How many jobs there are on all pages."""
        return self.counts[self.query.state] if self.query.state else sum(self.counts.values())

    def described(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The listing as plain values; ``rows`` describe its channels."""
        return {
            "channels": rows,
            "total": self.total,
            "counts": {state: self.counts[state] for state in STATES},
            "page": self.query.page,
            "pages": min(MAX_PAGES, max(1, -(-self.total // PAGE))),
            "per_page": PAGE,
        }


def state_of(channel: Channel, retention: Retention, now: float) -> str:
    """The state of a job.

    That is how it went, where it has ended; else ``failing`` where FAILED came and no attempt began
    after it, ``silent`` where no message has come for QUIET seconds, ``waiting`` where none has
    come at all, or ``running``.
    """
    if channel.outcome is not None:
        return channel.outcome.value
    if channel in retention.failing:
        return "failing"
    heard = retention.running.get(channel)
    if heard is None:
        return "running" if channel.count else "waiting"
    return "silent" if now - heard >= QUIET else "running"


Key = Callable[[Channel, str, Retention], Any]


def _urgency(channel: Channel, state: str, retention: Retention) -> tuple[int, float]:
    rank = _URGENCY.get(state, _LAST)
    if state in _LONGEST_FIRST:
        return rank, retention.running.get(channel) or channel.began / 100
    if channel.end is not None:
        return rank, -retention.ended.get(channel, 0.0)
    return rank, -channel.began


def _heard(channel: Channel, state: str, retention: Retention) -> float:
    """When the last message came; for a job that has ended, when it ended."""
    if channel.end is not None:
        return retention.ended.get(channel, 0.0)
    return retention.running.get(channel) or channel.began / 100


_KEYS: dict[str, Key] = {
    "urgent": _urgency,
    "id": lambda channel, *_: channel.id,
    "messages": lambda channel, *_: channel.count,
    "followers": lambda channel, *_: len(channel.subscriptions),
    "began": lambda channel, *_: channel.began,
    "last": _heard,
}


class _Search:
    """A query that is being answered, step by step."""

    def __init__(self, query: Query, retention: Retention, now: float) -> None:
        self._query = query
        self._retention = retention
        self._now = now
        self._channels = list(retention.channels.values())
        self._key = _KEYS[query.sort]
        # Of equals the newest come first, unless the oldest are asked for.
        self._newer = 1 if query.reverse or query.sort == "began" else -1
        self._most = query.page * PAGE
        self._counts: Counter[str] = Counter()
        self._best: list[tuple[Any, int, Channel]] = []
        self._at = len(self._channels)

    def step(self) -> bool:
        """Look at the next channels, the newest first; returns whether there are more."""
        stop, self._at = self._at, max(0, self._at - _BATCH)
        wanted, text = self._query.state, self._query.text
        found = []
        for number in range(self._at, stop):
            channel = self._channels[number]
            if channel.is_trial or (text and text not in channel.id):
                continue
            state = state_of(channel, self._retention, self._now)
            self._counts[state] += 1
            if not wanted or state == wanted:
                key = self._key(channel, state, self._retention)
                found.append((key, self._newer * number, channel))
        self._keep(found)
        return self._at > 0

    def _keep(self, found: list[tuple[Any, int, Channel]]) -> None:
        reverse, best = self._query.reverse, self._best
        if len(best) == self._most:
            worst = best[-1][:2]
            found = [one for one in found if (one[:2] > worst if reverse else one[:2] < worst)]
        if found:
            best += found
            best.sort(key=lambda one: one[:2], reverse=reverse)
            del best[self._most :]

    def listing(self) -> Listing:
        """What was found."""
        return Listing(
            self._query, self._counts, [one[2] for one in self._best[self._most - PAGE :]]
        )


class Jobs:
    """Answers queries, one after another, in time slices."""

    def __init__(self, retention: Retention, clock: Clock) -> None:
        """Begin without queries.

        Args:
            retention: has the channels.
            clock: tells the time, and calls later.
        """
        self._retention = retention
        self._clock = clock
        self._asked: dict[Query, list[Callable[[Listing], object]]] = {}
        self._next: deque[Query] = deque()
        self._search: _Search | None = None
        self._work = TimeSlices(clock, self._steps)
        self._rested_at = 0.0

    @property
    def may_refresh(self) -> bool:
        """Whether lists that are only to be kept up to date may be asked for again; see RATE."""
        return not self._asked and self._clock.seconds() >= self._rested_at

    def ask(self, query: Query, call: Callable[[Listing], object]) -> None:
        """Call with the jobs that a query finds: at once where there are few, or else later."""
        if query in self._asked:
            self._asked[query].append(call)
            return
        self._asked[query] = [call]
        self._next.append(query)
        self._work()

    def _steps(self) -> Iterator[None]:
        while self._next:
            if self._search is None:
                now, count = self._clock.seconds(), len(self._retention.channels)
                self._search = _Search(self._next[0], self._retention, now)
                self._rested_at = max(now, self._rested_at) + count / RATE
            elif not self._search.step():
                found, self._search = self._search.listing(), None
                for call in self._asked.pop(self._next.popleft()):
                    call(found)
            yield


assert set(_URGENCY) | {End.FINISHED.value} == set(STATES)
