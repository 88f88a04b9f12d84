"""The trial: a job of the doctor's, played into the broker's port and followed as pages do."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from recodex_monitor.channels.trials import PREFIX
from recodex_monitor.doctor import broker_side
from recodex_monitor.doctor.broker_side import CannotPlay
from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.following import KINDS, Follower, Heard, wait_until
from recodex_monitor.doctor.state import ask, settings_of
from recodex_monitor.doctor.ways import TIMEOUT, Way

FIRST = ("DOWNLOADED", "STARTED", "task-1")
"""What is sent before the silence."""

LAST = ("task-2", "FINISHED")
"""What is sent after it."""

PACE = 0.15
"""Seconds between two messages, so that whoever collects them is noticed."""

SETTLED, LATE = 2 * TIMEOUT, 1.5
"""Seconds to wait for a connection and for its handshake; for what should come at once."""


@dataclass
class Trial:
    """A trial that was played.

    Attributes:
        endpoint: where it was played.
        sent: when each message was sent, by its name.
        silence: seconds of silence in it.
        resumed: when the silence was over.
        direct: what the followers of the monitor's own listener heard.
        public: what those of the public address heard.
        readers: addresses of the followers, as the monitor knows them, with their transports;
            None where it does not tell.
        problem: why it could not be played, or not to its end.
    """

    endpoint: str = ""
    sent: dict[str, float] = field(default_factory=dict)
    silence: float = 0.0
    resumed: float = 0.0
    direct: list[Heard] = field(default_factory=list)
    public: list[Heard] = field(default_factory=list)
    readers: list[tuple[str, str]] | None = None
    problem: CannotPlay | None = None


def play(context: Context, public: Way | None) -> Trial:
    """Play a job and follow it, straight and by a public address; leaves nothing behind.

    From another machine, where the broker's port is not known, there is no job: what then can be
    followed is silence.
    """
    channel_id = f"{PREFIX}{uuid.uuid4()}"
    ways = [way for way in (context.direct, public) if way is not None]
    followers = [kind(way, channel_id, time.monotonic) for way in ways for kind in KINDS]
    trial = Trial(
        direct=[one.heard for one in followers if not one.way.is_public],
        public=[one.heard for one in followers if one.way.is_public],
    )
    try:
        for one in followers:
            one.start()
        wait_until(lambda: all(one.is_settled for one in followers), SETTLED)
        if context.has_job:
            _play(trial, context, channel_id, followers)
        else:
            _be_silent(trial, followers, context.idle)
    except CannotPlay as problem:
        trial.problem = problem
    finally:
        for one in followers:
            one.stop()
    return trial


def _play(trial: Trial, context: Context, channel_id: str, followers: list[Follower]) -> None:
    trial.endpoint = _endpoint(context)
    with broker_side.broker(trial.endpoint, context.settings.zeromq, context.curve) as socket:
        _send(trial, socket, channel_id, FIRST)
        wait_until(lambda: _have(followers, FIRST), LATE)
        trial.readers = _readers(context, channel_id)
        _be_silent(trial, followers, context.idle)
        _send(trial, socket, channel_id, LAST)
        wait_until(lambda: all(one.heard.ended for one in followers), LATE)


def _send(trial: Trial, socket: Any, channel_id: str, names: tuple[str, ...]) -> None:
    for name in names:
        frames = [name] if name.isupper() else ["TASK", name, "COMPLETED"]
        trial.sent[name] = time.monotonic()
        broker_side.send(socket, channel_id, *frames)
        time.sleep(PACE)


def _have(followers: list[Follower], names: tuple[str, ...]) -> bool:
    return all(one.heard.ended or one.heard.messages.keys() >= {*names} for one in followers)


def _be_silent(trial: Trial, followers: list[Follower], seconds: float) -> None:
    """Wait, unless nobody is left who could be cut off."""
    begun = time.monotonic()
    wait_until(lambda: all(one.heard.ended for one in followers), seconds)
    trial.resumed = time.monotonic()
    trial.silence = trial.resumed - begun


def _endpoint(context: Context) -> str:
    """Where the broker must send a job: to this monitor or, in a cluster, to the owner."""
    if context.zmq is not None:
        return context.zmq
    owner = context.owner
    if owner is None:
        return broker_side.endpoint_of(context.settings)
    host = owner["status"].rpartition(":")[0].strip("[]")
    settings = settings_of(ask(context, "/api/status", owner["status"]))
    if not host or settings is None:
        raise CannotPlay(
            f"no job was played: {owner['name']} owns, and its status page cannot be asked",
            "Run this there, or give its address for the broker by --zmq.",
            is_wrong=False,
        )
    return broker_side.endpoint_of(settings, host)


def _readers(context: Context, channel_id: str) -> list[tuple[str, str]] | None:
    """The followers of the trial, on all nodes, each with its transport and its address."""
    nodes = (context.cluster or {}).get("nodes", ())
    own = (context.cluster or {}).get("node")
    places = [None, *(one["status"] for one in nodes if one["status"] and one["name"] != own)]
    path = f"/api/channels/{quote(channel_id, '')}"
    answers = [told for place in places if (told := ask(context, path, place)) is not None]
    if not answers:
        return None
    return [_reader(one) for told in answers for one in told["readers"]]


def _reader(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["transport"], one.get("address", "")
