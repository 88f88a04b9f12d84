"""Tests a monitor at the addresses of the shipped configuration, from inside its network.

Most commands run until a line comes on standard input:

- ``play CAPTURE...`` plays captures.
- ``job`` plays half a job with a client before the line, and the other half after it.
- ``knock`` connects again and again.
- ``broker`` is connected as the broker.
- ``load`` plays 100 jobs at a time with 300 clients; with ``refusing``, the monitor may refuse
  connections.
- ``takeover`` plays a job during which another monitor takes over.
"""

import asyncio
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import websockets
from websockets.sync.client import connect

from tests.integration.load import Follower, Load, OverEvents, OverWebSocket, WithoutIds, as_object
from tests.integration.support import Broker
from tests.integration.test_captures import Player

ADDRESS = ("127.0.0.1", 4567)
URL = "ws://127.0.0.1:4567/"
BROKER = "tcp://127.0.0.1:7894"
TASKS = 10
TOGETHER = 100
PAUSE = 1 / 300  # between two messages: the broker keeps those of a restart that takes 3 seconds


class Running:
    """A monitor that is started and stopped from outside."""

    address = ADDRESS
    url = URL
    broker = BROKER

    def start(self) -> None:
        """Do nothing: it runs."""


def play(captures: list[str]) -> int:
    """Play captures, each with its own channels; returns how many differ."""
    differing = 0
    for number, capture in enumerate(captures):
        lines = Path(capture).read_text().replace("student_", f"s{number}_").splitlines()
        player = Player(Running())  # type: ignore[arg-type]
        clients = asyncio.run(player.play([json.loads(line) for line in lines]))
        if clients:
            print(f"{capture}: {clients} got something else", file=sys.stderr)
            differing += 1
    return differing


def job() -> int:
    """Play and follow a job, also over what happens in its middle; returns 1 on a loss."""
    texts: list[str] = []
    channel = f"upgrade-{time.time()}"
    broker = Broker(BROKER)
    following = threading.Thread(target=_follow, args=(channel, texts), daemon=True)
    following.start()
    for number in range(TASKS):
        broker.send(*(part.encode() for part in (channel, "TASK", f"{number}", "COMPLETED")))
        if number == TASKS // 2:
            _wait_until(lambda: len(texts) > TASKS // 2)
            print("half", flush=True)
            sys.stdin.readline()
    broker.send(channel.encode(), b"FINISHED")
    following.join(30)
    broker.close()
    tasks = [json.loads(text).get("task_id") for text in texts]
    wanted = [*map(str, range(TASKS)), None]
    if tasks != wanted:
        print(f"{tasks} instead of {wanted}", file=sys.stderr)
    return int(tasks != wanted)


def _follow(channel: str, texts: list[str]) -> None:
    """Follow to the job's end; connect again as a page does, and get everything again."""
    while True:
        with connect(URL, open_timeout=30, proxy=None) as client:
            client.send(channel)
            texts.clear()
            try:
                while True:
                    texts.append(str(client.recv()))
            except websockets.ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == 1000:
                    return
        time.sleep(0.1)


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)


def broker() -> int:
    """Stay connected as the broker, which has sent something."""
    ended = _line()
    connected = Broker(BROKER)
    connected.send(f"visit-{time.time()}".encode(), b"STARTED")
    print("connected", flush=True)
    ended.wait()
    connected.close()
    return 0


def knock() -> int:
    """Connect every 10 ms; returns how often that was refused."""
    ended = _line()
    print("knocking", flush=True)
    count = refused = 0
    while not ended.wait(0.01):
        count += 1
        try:
            socket.create_connection(ADDRESS, timeout=30).close()
        except OSError:
            refused += 1
    print(f"{refused} of {count} connections refused", file=sys.stderr)
    return refused


def _line() -> threading.Event:
    """An event that is set by a line on standard input."""
    come = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        come.set()

    threading.Thread(target=listen, daemon=True).start()
    return come


def load(*, refusing: bool) -> int:
    """Play jobs all the time, each with a client of every kind; returns how much went wrong.

    Args:
        refusing: whether connections may be refused.
    """
    followers: list[Follower] = []

    def follow(channel: str) -> None:
        for kind in (OverWebSocket, OverEvents, WithoutIds):
            follower = kind(Running(), channel)
            follower.start()
            followers.append(follower)

    stopping = _line()
    broker = Load(BROKER, together=TOGETHER, pause=PAUSE)
    playing = threading.Thread(target=broker.play, args=(follow, stopping))
    began = time.monotonic()
    playing.start()
    _wait_until(lambda: len(followers) >= 3 * TOGETHER and all(one.got for one in followers))
    print("all follow", flush=True)
    playing.join()
    seconds = time.monotonic() - began
    for one in followers:
        one.join(30)
    broker.close()
    refused = sum(one.refused for one in followers)
    return _told(broker, followers, seconds) + (0 if refusing else refused)


def _told(broker: Load, followers: list[Follower], seconds: float) -> int:
    """Print the result of a load; returns how many followers did not get all.

    Messages that ZeroMQ did not hold were sent again, as how long a change takes depends on the
    machine.
    """
    due = {name: [as_object(each) for each in sent] for name, sent in broker.sent.items()}
    sent = sum(map(len, due.values()))
    wrong = [one for one in followers if not one.ended or one.gaps or one.got != due[one.channel]]
    again = sum(one.connects - 1 for one in followers)
    refused = sum(one.refused for one in followers)
    print(
        f"{sent} messages, {sent / seconds:.0f} a second, {broker.full} more than ZeroMQ holds; "
        f"{len(followers)} followers, {again} reconnects, {refused} of them refused; "
        f"{len(wrong)} did not get each message once and in order",
        file=sys.stderr,
    )
    for one in wrong[:5]:
        print(f"{one.channel} by {type(one).__name__}: {len(one.got)} messages", file=sys.stderr)
    return len(wrong)


def takeover() -> int:
    """Send a job to a monitor and its successor; returns 1 if the successor lost anything."""
    channel = f"takeover-{time.time()}"
    sent: list[str] = []
    left: list[int] = []  # how many were sent when the first had gone

    def watch() -> None:
        with connect(URL, proxy=None) as client, suppress(websockets.ConnectionClosed):
            client.send(channel)
            for _ in client:
                pass
        left.append(len(sent))

    stopping = _line()
    broker = Broker(BROKER)
    threading.Thread(target=watch, daemon=True).start()
    print("sending", flush=True)
    for number in itertools.count():
        sent.append(str(number))
        broker.send(channel.encode(), b"TASK", sent[-1].encode(), b"COMPLETED")
        if stopping.wait(0.01):
            break
    broker.send(channel.encode(), b"FINISHED")
    texts: list[str] = []
    _follow(channel, texts)
    broker.close()
    tasks = [json.loads(text).get("task_id") for text in texts[:-1]]
    lost = len(sent) - len(tasks)
    print(f"{lost} of {len(sent)} messages lost, {left} sent to the first", file=sys.stderr)
    # One more may be in transit before ZeroMQ notices that the first is gone.
    return int(not left or tasks != sent[lost:] or lost > left[0] + 1)


def main(what: str, *rest: str) -> int:
    """Run a command; returns how much went wrong."""
    if what == "play":
        return play(list(rest))
    if what == "load":
        return load(refusing="refusing" in rest)
    return {"job": job, "broker": broker, "knock": knock, "takeover": takeover}[what]()


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
