"""A monitor that is stopped or killed again and again, under load, with clients that resume."""

import http.client
import itertools
import json
import random
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import zmq
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.integration.support import Monitor

RESTARTS = 25  # of each kind
TOGETHER = 12
TASKS = 36  # so that a job has 40 messages
PAUSE = 0.0025  # between two messages of the broker, so that it keeps less than it can

Message = dict[str, object]


def as_object(frames: list[bytes]) -> Message:
    """What a client gets for a message of the broker, without its id."""
    texts = [frame.decode() for frame in frames]
    return dict(zip(("command", "task_id", "task_state"), texts, strict=False))


class Load:
    """The broker: jobs of 40 messages, so many at a time, as long as it is wanted.

    Attributes:
        sent: what was sent, by channel.
    """

    def __init__(self, address: str) -> None:
        self.sent: dict[str, list[list[bytes]]] = defaultdict(list)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(address)

    def play(self, on_job: Callable[[str], None], stopping: threading.Event) -> None:
        """Play jobs, and begin no more once it stops."""
        names = itertools.count()
        jobs: list[Iterator[None]] = []
        while jobs or not stopping.is_set():
            while len(jobs) < TOGETHER and not stopping.is_set():
                name = f"student_{next(names)}"
                on_job(name)
                jobs.append(self._job(name))
            jobs = [job for job in jobs if next(job, job) is None]

    def _job(self, name: str) -> Iterator[None]:
        tasks = [[b"TASK", b"task %d" % number, b"COMPLETED"] for number in range(TASKS)]
        for message in ([b"DOWNLOADED"], [b"STARTED"], *tasks, [b"ENDED"], [b"FINISHED"]):
            self.sent[name].append(message)
            self.send(name, message)
            time.sleep(PAUSE)
            yield

    def send(self, name: str, message: list[bytes]) -> None:
        """Send one message, as soon as the monitor, or ZeroMQ for it, takes it."""
        frames = [b"recodex-monitor", name.encode(), *message]
        while True:
            try:
                self._socket.send_multipart(frames, zmq.DONTWAIT)
                return
            except zmq.ZMQError:
                time.sleep(0.005)

    def close(self) -> None:
        """Be done."""
        self._socket.close()
        self._context.term()


class Follower(threading.Thread):
    """A client that resumes whenever it is cut off; a subclass says how it reads.

    Attributes:
        got: the messages, without their ids.
        gaps: reconnects after which the monitor had lost its place.
    """

    def __init__(self, monitor: Monitor, channel: str) -> None:
        super().__init__(daemon=True)
        self.monitor, self.channel = monitor, channel
        self.got: list[Message] = []
        self.after = ""
        self.gaps = 0
        self.ended = False

    def run(self) -> None:
        """Follow the channel to its end."""
        while not self.ended:
            try:
                for each in self.read():
                    self.take(each)
            except (OSError, WebSocketException, http.client.HTTPException, EOFError):
                pass
            time.sleep(random.uniform(0.01, 0.2))

    def read(self) -> Iterator[Message]:
        """Connect, and yield what comes until the connection ends."""
        raise NotImplementedError

    def take(self, message: Message) -> None:
        """Take in an object that came."""
        command = message["command"]
        if command == "END":
            self.ended = True
        elif command == "SUBSCRIBED":
            self.gaps += bool(self.after) and not message["recovered"]
        elif command != "PING":
            self.after = str(message.pop("id"))
            self.got.append(message)

    def request(self, path: str) -> http.client.HTTPResponse:
        """Ask over HTTP."""
        connection = http.client.HTTPConnection(*self.monitor.address, timeout=40)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status not in (200, 204):
            raise ConnectionError(answer.status)
        return answer


class OverWebSocket(Follower):
    """As progress.js does at first."""

    def read(self) -> Iterator[Message]:
        """See Follower."""
        with connect(f"{self.monitor.url}?after={self.after}", open_timeout=20) as socket:
            socket.send(self.channel)
            for text in socket:
                yield json.loads(text)


class OverEvents(Follower):
    """By the event stream."""

    def read(self) -> Iterator[Message]:
        """See Follower."""
        with self.request(f"/events/{quote(self.channel)}?after={self.after}") as answer:
            if answer.status == 204:
                self.ended = True
            event_id = ""
            for line in answer:
                name, _, value = line.decode().strip().partition(": ")
                if name == "id":
                    event_id = value
                elif name == "data":
                    yield json.loads(value) | ({"id": event_id} if event_id else {})
                    event_id = ""


class OverPolls(Follower):
    """By long polls."""

    def read(self) -> Iterator[Message]:
        """See Follower."""
        path = f"/channels/{quote(self.channel)}?after={self.after}&wait=25"
        with self.request(path) as answer:
            poll = json.loads(answer.read())
        yield {"command": "SUBSCRIBED", "recovered": poll["recovered"]}
        yield from poll["messages"]
        if poll["end"]:
            yield {"command": "END", "reason": poll["end"]}


class RestartTests(SynchronousTestCase):
    """Jobs of 40 messages run all the time, and each has a client of every kind."""

    def setUp(self) -> None:
        """Start a monitor with a history, the broker, and a client of each kind for each job."""
        random.seed(4567)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        history = {"file": str(Path(folder.name) / "history.db")}
        self.monitor = Monitor(folder.name, history=history)
        self.monitor.start()
        self.addCleanup(self.monitor.stop)
        self.load = Load(self.monitor.broker)
        self.addCleanup(self.load.close)
        self.followers: list[Follower] = []
        self.stopping = threading.Event()
        self.playing = threading.Thread(target=self.load.play, args=(self.follow, self.stopping))
        self.playing.start()
        self.addCleanup(self.playing.join)
        self.addCleanup(self.stopping.set)

    def follow(self, channel: str) -> None:
        """Let a client of each kind follow a channel."""
        for kind in (OverWebSocket, OverEvents, OverPolls):
            follower = kind(self.monitor, channel)
            follower.start()
            self.followers.append(follower)

    def restart(self, number: int) -> None:
        """Stop the monitor by this signal at a random moment, and start it again."""
        time.sleep(random.uniform(0.05, 0.5))
        self.monitor.stop(number)
        self.monitor.start()

    def to_the_end(self) -> None:
        """Let all jobs end, also those whose FINISHED was lost with a monitor."""
        self.stopping.set()
        self.playing.join()
        for channel in self.load.sent:
            self.load.send(channel, [b"FINISHED"])
        for follower in self.followers:
            follower.join(30)
            self.assertTrue(follower.ended, f"{follower.channel} by {type(follower).__name__}")

    def missing(self) -> int:
        """How many messages no client got; fails if one got any of them twice, or out of order."""
        missing = 0
        for channel, sent in self.load.sent.items():
            due = [as_object(each) for each in sent]
            lists = [each.got for each in self.followers if each.channel == channel]
            self.assertEqual(lists, [lists[0]] * 3, channel)
            rest = iter(due)
            self.assertTrue(all(each in rest for each in lists[0]), f"order in {channel}")
            missing += len(due) - len(lists[0])
        return missing

    def test_stopped(self) -> None:
        """Stopped by SIGTERM, a monitor loses nothing: every client gets every message once."""
        for _ in range(RESTARTS):
            self.restart(signal.SIGTERM)
        self.to_the_end()
        self.assertEqual(self.missing(), 0)
        self.assertEqual(sum(each.gaps for each in self.followers), 0)

    def test_killed(self) -> None:
        """Killed, it loses what it had not read, and nothing that any client has seen."""
        for _ in range(RESTARTS):
            self.restart(signal.SIGKILL)
        self.to_the_end()
        missing, sent = self.missing(), sum(map(len, self.load.sent.values()))
        print(f"\n{RESTARTS} kills: {missing} of {sent} messages were received and not yet read")
        self.assertEqual(sum(each.gaps for each in self.followers), 0)
