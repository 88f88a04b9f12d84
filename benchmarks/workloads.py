"""What the scenarios do to a contestant, each a small function that returns its figures."""

import contextlib

from .many_jobs import Followers, following
from .play import SENTINEL_CHANNEL, Play

Result = dict[str, float]


def flood(play: Play, channels: int, tasks: int) -> Result:
    """Whole jobs as fast as possible: server CPU per delivery, in µs.

    Every channel has one follower and gets its tasks in turn with all others, then FINISHED. The
    closing handshakes are included: the server closes, except for Nchan, which knows no last
    message; there the client closes.
    """
    play.open(channels, channels)
    with play.spending() as spent:
        answer = play.publish(channels, tasks, finish=True)
    return {"flood": spent.cpu * 1e6 / answer["received"]}


def steady(play: Play, followers: int, rate: int, seconds: int) -> Result:
    """One channel with many followers, a few messages per second: µs per delivery."""
    play.open(followers)
    with play.spending() as spent:
        answer = play.publish(1, rate * seconds, rate=rate)
    return {"steady": spent.cpu * 1e6 / answer["received"]}


def burst(play: Play, followers: int, messages: int) -> Result:
    """One channel with many followers, many messages at once: µs per delivery."""
    play.open(followers)
    with play.spending() as spent:
        answer = play.publish(1, messages)
    return {"burst": spent.cpu * 1e6 / answer["received"]}


def replay(play: Play, followers: int, messages: int) -> Result:
    """Late followers get a long history: µs per follower, and per message.

    The handshakes are made before the measurement starts (Nchan subscribes by its handshake, so
    there they are included). Eight followers wait for their messages at a time.
    """
    play.publish(1, messages)
    play.open(followers, subscribe=False)
    with play.spending() as spent:
        play.subscribe(messages, window=8)
    each = spent.cpu * 1e6 / followers
    return {"replay": each, "replay-message": each / messages}


def ingest(play: Play, channels: int, messages: int) -> Result:
    """Messages on many channels without followers: µs per message.

    The measurement ends when a follower of another channel gets the message that was sent last.
    """
    play.open(1, first=SENTINEL_CHANNEL)
    with play.spending() as spent:
        play.publish(channels, messages)
        play.publish(1, 1, first=SENTINEL_CHANNEL)
    return {"ingest": spent.cpu * 1e6 / (channels * messages + 1)}


def paced(play: Play, channels: int, rate: int, seconds: int) -> Result:
    """Evenly spaced single deliveries: µs of CPU each, and the 99th percentile in ms.

    Latency is the time from handing a message to libzmq (or to the HTTP connection) to the recv()
    in the same process that completes its frame.
    """
    play.open(channels, channels)
    with play.spending() as spent:
        answer = play.publish(channels, rate * seconds // channels, rate=rate)
    return {"paced": spent.cpu * 1e6 / answer["received"], "paced-p99": answer["latency_p99"]}


def connect(play: Play, clients: int) -> Result:
    """TCP connection, handshake and subscription, each to a channel of its own: µs per client.

    At most 100 handshakes run at a time.
    """
    with play.spending() as spent:
        play.open(clients, clients)
    return {"connect": spent.cpu * 1e6 / clients}


def idle(play: Play, followers: int) -> Result:
    """Growth of resident memory per follower, each on a silent channel of its own: KB."""
    with play.spending() as spent:
        play.open(followers, followers)
    return {"idle": spent.memory / 1024 / followers}


def saved(play: Play, channels: int, messages: int) -> Result:
    """Growth of resident memory per kept message of 80 bytes: bytes."""
    play.open(1, first=SENTINEL_CHANNEL)
    with play.spending() as spent:
        play.publish(channels, messages)
        play.publish(1, 1, first=SENTINEL_CHANNEL)
    return {"saved": spent.memory / (channels * messages)}


def handshake(play: Play, channels: int, messages: int) -> Result:
    """Handshakes every 20 ms while messages flood in: their times, in ms."""
    answer = play.publish(channels, messages, probe=20)
    return {"handshake-p50": answer["handshake_p50"], "handshake-max": answer["handshake_max"]}


def lag(play: Play, followers: int, rate: int, seconds: int) -> Result:
    """The slowest of many deliveries with many clients, some of which come and go: ms.

    A delivery waits only for the server's loop, so a pause there (such as a garbage collection) is
    the latency of the messages that come during it.
    """
    play.open(followers, followers)
    messages = max(1, rate * seconds // followers)
    answer = play.publish(followers, messages, rate=rate, probe=20)
    return {"lag-p99": answer["latency_p99"], "lag-max": answer["latency_max"]}


def jobs(play: Play, channels: int, clients: int, rate: int, seconds: int) -> Result:
    """Running jobs over clients of many jobs, as a ratio to a resuming client for each.

    Each kind has channels of its own, with one message before anybody follows, so that memory is
    that of following. The kinds take turns of a second, so that other work on the machine affects
    both alike.
    """
    kinds = {"jobs": (0, clients), "alone": (channels, 0)}
    cpu, memory, messages = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0), rate // channels
    with contextlib.ExitStack() as stack:
        followers: dict[str, Followers] = {}
        for kind, (first, count) in kinds.items():
            play.publish(channels, 1, first=first)
            with play.spending() as spent:
                open_clients = following(play.port, range(first, first + channels), count)
                followers[kind] = stack.enter_context(open_clients)
                followers[kind].wait(channels)
            memory[kind] = spent.memory
        for turn in range(1, seconds + 1):
            for kind, (first, _) in kinds.items():
                with play.spending() as spent:
                    play.publish(channels, messages, first=first, rate=rate)
                    followers[kind].wait(channels * (1 + turn * messages))
                cpu[kind] += spent.cpu
    return {
        "jobs-cpu": cpu["jobs"] / cpu["alone"],
        "jobs-memory": memory["jobs"] / memory["alone"],
    }
