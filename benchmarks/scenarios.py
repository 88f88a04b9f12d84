"""The scenarios, each a small function, and the rows of the table that they fill."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .contestants import JOURNAL, OURS, WATCHED
from .play import SENTINEL_CHANNEL, Play

Sizes = Mapping[str, int]
Result = dict[str, float]


@dataclass(frozen=True)
class Goal:
    """What our figure must not exceed.

    Attributes:
        nchan: as a ratio to Nchan's figure of the same run.
        original: as a ratio to the plain asyncio program's, where there is no Nchan.
        absolute: in the row's unit; for memory, which does not depend on the machine.
    """

    nchan: float | None = None
    original: float | None = None
    absolute: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table; lower is better everywhere.

    Attributes:
        variant: which variant of our monitor is to reach the goal.
        base: the key of another row: the line is what the variant adds to its figures, the
            variant's figure as a ratio to the plain monitor's.
    """

    key: str
    title: str
    unit: str
    goal: Goal | None = None
    variant: str = OURS
    base: str = ""


@dataclass(frozen=True)
class Scenario:
    """A scenario with its sizes, which are the arguments of its function.

    Attributes:
        name: what ``--scenario`` calls it.
        play: what is done, against one fresh contestant.
        rows: the rows that it fills.
        full: the sizes that the figures are for.
        quick: sizes for a run of two minutes in all.
        grows: the size that ``--scale`` varies; empty for a scenario that only it plays.
        growth: sizes besides `full` between which the figures should not change.
        growth_rows: the rows to compare between them, where these are not `rows`.
    """

    name: str
    play: Callable[..., Result]
    rows: tuple[Row, ...]
    full: Sizes
    quick: Sizes
    grows: str = ""
    growth: tuple[Sizes, ...] = ()
    growth_rows: tuple[Row, ...] = ()

    def points(self) -> list[Sizes]:
        """Return the sizes to compare, smallest first."""
        return sorted((*self.growth, self.full), key=lambda sizes: sizes[self.grows])


def flood(play: Play, channels: int, tasks: int) -> Result:
    """Whole jobs as fast as they go: server CPU per delivery, in µs.

    Every channel has one subscriber and gets its tasks in turns with all others, then
    FINISHED.  The closing handshakes are in it: the server closes, except Nchan, which
    knows no last message; there the client does.
    """
    play.open(channels, channels)
    with play.spending() as spent:
        answer = play.publish(channels, tasks, finish=True)
    return {"flood": spent.cpu * 1e6 / answer["received"]}


def steady(play: Play, subscribers: int, rate: int, seconds: int) -> Result:
    """One channel with many subscribers, a few messages a second: µs per delivery."""
    play.open(subscribers)
    with play.spending() as spent:
        answer = play.publish(1, rate * seconds, rate=rate)
    return {"steady": spent.cpu * 1e6 / answer["received"]}


def burst(play: Play, subscribers: int, messages: int) -> Result:
    """One channel with many subscribers, many messages at once: µs per delivery."""
    play.open(subscribers)
    with play.spending() as spent:
        answer = play.publish(1, messages)
    return {"burst": spent.cpu * 1e6 / answer["received"]}


def replay(play: Play, subscribers: int, messages: int) -> Result:
    """Late subscribers get a long history: µs per subscriber, and per message.

    The handshakes are done before the clock starts (Nchan subscribes by its handshake, so
    there they are in it).  Eight subscribers wait for their messages at a time.
    """
    play.publish(1, messages)
    play.open(subscribers, subscribe=False)
    with play.spending() as spent:
        play.subscribe(messages, window=8)
    each = spent.cpu * 1e6 / subscribers
    return {"replay": each, "replay-message": each / messages}


def ingest(play: Play, channels: int, messages: int) -> Result:
    """Messages that nobody follows yet, on many channels: µs per message.

    They are over when a subscriber of one more channel gets the message sent last.
    """
    play.open(1, first=SENTINEL_CHANNEL)
    with play.spending() as spent:
        play.publish(channels, messages)
        play.publish(1, 1, first=SENTINEL_CHANNEL)
    return {"ingest": spent.cpu * 1e6 / (channels * messages + 1)}


def paced(play: Play, channels: int, rate: int, seconds: int) -> Result:
    """Evenly spaced single deliveries: µs of CPU each, and the 99th percentile in ms.

    Latency is from the hand-over to libzmq (or to the HTTP connection) to the recv() in
    the same process that completes the frame.
    """
    play.open(channels, channels)
    with play.spending() as spent:
        answer = play.publish(channels, rate * seconds // channels, rate=rate)
    return {"paced": spent.cpu * 1e6 / answer["received"], "paced-p99": answer["latency_p99"]}


def connect(play: Play, clients: int) -> Result:
    """TCP connect, handshake and subscription, each to a channel of its own: µs per client.

    At most 100 handshakes run at a time.
    """
    with play.spending() as spent:
        play.open(clients, clients)
    return {"connect": spent.cpu * 1e6 / clients}


def idle(play: Play, subscribers: int) -> Result:
    """Growth of resident memory for each subscriber of a silent channel of its own: KB."""
    with play.spending() as spent:
        play.open(subscribers, subscribers)
    return {"idle": spent.memory / 1024 / subscribers}


def saved(play: Play, channels: int, messages: int) -> Result:
    """Growth of resident memory for each kept message of 80 bytes: bytes."""
    play.open(1, first=SENTINEL_CHANNEL)
    with play.spending() as spent:
        play.publish(channels, messages)
        play.publish(1, 1, first=SENTINEL_CHANNEL)
    return {"saved": spent.memory / (channels * messages)}


def handshake(play: Play, channels: int, messages: int) -> Result:
    """Handshakes every 20 ms while messages flood in: their times, in ms."""
    answer = play.publish(channels, messages, probe=20)
    return {"handshake-p50": answer["handshake_p50"], "handshake-max": answer["handshake_max"]}


def lag(play: Play, subscribers: int, rate: int, seconds: int) -> Result:
    """The slowest of many deliveries with many clients, and some coming and going: ms.

    Each delivery waits for nothing but the server's loop, so that a pause there (as for
    garbage collection) is the latency of the messages that come in it.
    """
    play.open(subscribers, subscribers)
    messages = max(1, rate * seconds // subscribers)
    answer = play.publish(subscribers, messages, rate=rate, probe=20)
    return {"lag-p99": answer["latency_p99"], "lag-max": answer["latency_max"]}


WITH_JOURNAL = "with the journal, to without"
WITH_PAGE = "with the status page open, to without"

SCENARIOS = (
    Scenario(
        "flood",
        flood,
        (
            Row("flood", "unicast flood, per delivery", "µs", Goal(nchan=0.7, original=0.3)),
            Row("flood-journal", WITH_JOURNAL, "", Goal(absolute=1.2), JOURNAL, "flood"),
        ),
        {"channels": 2000, "tasks": 30},
        {"channels": 1000, "tasks": 30},
        "channels",
        ({"channels": 10, "tasks": 3000}, {"channels": 10000, "tasks": 30}),
    ),
    Scenario(
        "steady",
        steady,
        (Row("steady", "fan-out, steady, per delivery", "µs", Goal(nchan=1.0, original=0.37)),),
        {"subscribers": 1000, "rate": 10, "seconds": 5},
        {"subscribers": 1000, "rate": 10, "seconds": 2},
        "subscribers",
        tuple({"subscribers": n, "rate": 10, "seconds": 5} for n in (100, 9000)),
    ),
    Scenario(
        "burst",
        burst,
        (Row("burst", "fan-out, burst, per delivery", "µs", Goal(nchan=0.1, original=0.04)),),
        {"subscribers": 1000, "messages": 200},
        {"subscribers": 1000, "messages": 200},
        "subscribers",
        tuple({"subscribers": n, "messages": 200} for n in (100, 9000)),
    ),
    Scenario(
        "replay",
        replay,
        (Row("replay", "replay of 1000, per subscriber", "µs", Goal(nchan=0.05, original=0.02)),),
        {"subscribers": 200, "messages": 1000},
        {"subscribers": 100, "messages": 1000},
        "messages",
        (
            {"subscribers": 2000, "messages": 10},
            {"subscribers": 1000, "messages": 100},
            {"subscribers": 50, "messages": 10000},
            {"subscribers": 10, "messages": 100000},
        ),
        (Row("replay-message", "replay, per message", "µs"),),
    ),
    Scenario(
        "ingest",
        ingest,
        (
            Row("ingest", "ingest, nobody there, per message", "µs", Goal(0.8, original=0.17)),
            Row("ingest-journal", WITH_JOURNAL, "", Goal(absolute=1.6), JOURNAL, "ingest"),
        ),
        {"channels": 1000, "messages": 100},
        {"channels": 1000, "messages": 50},
        "channels",
        ({"channels": 10, "messages": 10000}, {"channels": 10000, "messages": 10}),
    ),
    Scenario(
        "paced",
        paced,
        (
            Row("paced", "2000 deliveries/s, per delivery", "µs", Goal(original=0.5)),
            Row("paced-watched", WITH_PAGE, "", Goal(absolute=1.1), WATCHED, "paced"),
            Row("paced-p99", "2000 deliveries/s, p99 latency", "ms", Goal(original=0.5)),
        ),
        {"channels": 1000, "rate": 2000, "seconds": 5},
        {"channels": 1000, "rate": 2000, "seconds": 2},
        "channels",
        tuple({"channels": n, "rate": 2000, "seconds": 5} for n in (100, 9000)),
    ),
    Scenario(
        "connect",
        connect,
        (Row("connect", "connect and subscribe, per client", "µs", Goal(original=0.6)),),
        {"clients": 3000},
        {"clients": 1500},
        "clients",
        ({"clients": 100}, {"clients": 1000}, {"clients": 9000}),
    ),
    Scenario(
        "idle",
        idle,
        (Row("idle", "memory per idle subscriber", "KB", Goal(absolute=5.0)),),
        {"subscribers": 4000},
        {"subscribers": 1500},
        "subscribers",
        ({"subscribers": 100}, {"subscribers": 1000}, {"subscribers": 9000}),
    ),
    Scenario(
        "saved",
        saved,
        (Row("saved", "memory per saved message of 80 B", "B", Goal(absolute=200.0)),),
        {"channels": 1000, "messages": 200},
        {"channels": 500, "messages": 200},
        "messages",
        (
            {"channels": 10000, "messages": 10},
            {"channels": 1000, "messages": 100},
            {"channels": 100, "messages": 1000},
            {"channels": 10, "messages": 10000},
            {"channels": 2, "messages": 100000},
        ),
    ),
    Scenario(
        "handshake",
        handshake,
        (
            Row("handshake-p50", "handshake in a flood, median", "ms"),
            Row("handshake-max", "handshake in a flood, slowest", "ms", Goal(absolute=50.0)),
        ),
        {"channels": 2000, "messages": 150},
        {"channels": 1000, "messages": 50},
    ),
    Scenario(
        "lag",
        lag,
        (
            Row("lag-p99", "loop lag in a crowd, p99", "ms"),
            Row("lag-max", "loop lag in a crowd, slowest", "ms", Goal(absolute=10.0)),
        ),
        {"subscribers": 9000, "rate": 2000, "seconds": 9},
        {"subscribers": 2000, "rate": 2000, "seconds": 2},
    ),
)
