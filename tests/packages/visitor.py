"""Visits a monitor at the addresses of the shipped configuration, in whatever network it runs.

``play CAPTURE...`` plays captures; ``job`` is a job and its follower, half before a line on
standard input and half after it; ``knock`` connects all the time until there is a line.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import websockets
from websockets.sync.client import connect

from tests.integration.support import Broker
from tests.integration.test_captures import Player

ADDRESS = ("127.0.0.1", 4567)
URL = "ws://127.0.0.1:4567/"
BROKER = "tcp://127.0.0.1:7894"
TASKS = 10


class Running:
    """A monitor that somebody else starts and stops."""

    url = URL
    broker = BROKER

    def start(self) -> None:
        """It runs."""


def play(captures: list[str]) -> int:
    """Play captures, each with channels of its own; returns how many differ."""
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
    """Play a job, and follow it over whatever happens in its middle; tells if all came once."""
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
    """Follow until the job's end, again and again as a page does; each time all comes anew."""
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
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)


def knock() -> int:
    """Connect every 10 ms; tells how often that was refused."""
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        ended.set()

    threading.Thread(target=listen).start()
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


if __name__ == "__main__":
    what = {"play": lambda: play(sys.argv[2:]), "job": job, "knock": knock}[sys.argv[1]]
    sys.exit(min(what(), 1))
