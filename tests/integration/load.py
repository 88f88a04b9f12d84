"""A broker that sends all the time, and clients that follow its jobs across restarts."""

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import quote
from uuid import uuid4

import zmq
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

TASKS = 36  # so that a job has 40 messages

Message = dict[str, object]


class Address(Protocol):
    """The address of a monitor for clients."""

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""

    @property
    def url(self) -> str:
        """Its WebSocket URL."""


def as_object(frames: list[bytes]) -> Message:
    """The object that a client gets for a message of the broker, without its id."""
    texts = [frame.decode() for frame in frames]
    return dict(zip(("command", "task_id", "task_state"), texts, strict=False))


class Load:
    """The broker: plays jobs of 40 messages, several at a time, until it is stopped.

    Attributes:
        sent: what was sent, by channel.
        full: how often ZeroMQ could queue no more for an absent monitor; the real broker would
            have lost that message.
    """

    def __init__(self, address: str, *, together: int, pause: float) -> None:
        """Connect.

        Args:
            address: the monitor's, for the broker.
            together: how many jobs run at a time.
            pause: seconds between two messages.
        """
        self.sent: dict[str, list[list[bytes]]] = defaultdict(list)
        self.full = 0
        self._together, self._pause = together, pause
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(address)

    def play(self, on_job: Callable[[str], None], stopping: threading.Event) -> None:
        """Play jobs; begin no more once `stopping` is set."""
        jobs: list[Iterator[None]] = []
        while jobs or not stopping.is_set():
            while len(jobs) < self._together and not stopping.is_set():
                name = f"student_{uuid4()}"
                on_job(name)
                jobs.append(self._job(name))
            jobs = [job for job in jobs if next(job, job) is None]

    def _job(self, name: str) -> Iterator[None]:
        tasks = [[b"TASK", b"task %d" % number, b"COMPLETED"] for number in range(TASKS)]
        for message in ([b"DOWNLOADED"], [b"STARTED"], *tasks, [b"ENDED"], [b"FINISHED"]):
            self.sent[name].append(message)
            self.send(name, message)
            time.sleep(self._pause)
            yield

    def send(self, name: str, message: list[bytes]) -> None:
        """Send one message, as soon as the monitor, or ZeroMQ's queue for it, accepts it."""
        frames = [b"recodex-monitor", name.encode(), *message]
        first = True
        while True:
            try:
                self._socket.send_multipart(frames, zmq.DONTWAIT)
                return
            except zmq.ZMQError as error:
                self.full += first and error.errno == zmq.EAGAIN
                first = False
                time.sleep(0.005)

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()
        self._context.term()


class Follower(threading.Thread):
    """A client that connects again whenever it is disconnected; subclasses say how it reads.

    Attributes:
        got: the messages, without their ids.
        gaps: reconnects after which the monitor could not resume.
        connects: how often it connected, or tried to.
        refused: how often the connection was refused.
    """

    def __init__(self, monitor: Address, channel: str) -> None:
        super().__init__(daemon=True)
        self.monitor, self.channel = monitor, channel
        self.got: list[Message] = []
        self.after = ""
        self.gaps = 0
        self.connects = 0
        self.refused = 0
        self.ended = False

    def run(self) -> None:
        """Follow the channel to its end."""
        while not self.ended:
            self.connects += 1
            try:
                for each in self.read():
                    self.take(each)
            except (ConnectionRefusedError, InvalidStatus):
                self.refused += 1
            except (OSError, WebSocketException, http.client.HTTPException, EOFError):
                pass
            if not self.ended:
                time.sleep(random.uniform(0.01, 0.2))

    def read(self) -> Iterator[Message]:
        """Connect, and yield what comes until the connection ends."""
        raise NotImplementedError

    def take(self, message: Message) -> None:
        """Process an object that came."""
        command = message["command"]
        if command == "END":
            self.ended = True
        elif command == "SUBSCRIBED":
            self.gaps += bool(self.after) and not message["recovered"]
        elif command != "PING":
            self.after = str(message.pop("id"))
            self.got.append(message)

    def request(self, path: str) -> http.client.HTTPResponse:
        """Send a request over HTTP."""
        connection = http.client.HTTPConnection(*self.monitor.address, timeout=40)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status not in (200, 204):
            raise ConnectionRefusedError(answer.status)
        return answer


class OverWebSocket(Follower):
    """Resumes over WebSocket, as progress.js does first."""

    def read(self) -> Iterator[Message]:
        """See Follower."""
        with connect(f"{self.monitor.url}?after={self.after}", open_timeout=20) as socket:
            socket.send(self.channel)
            for text in socket:
                yield json.loads(text)


class OverEvents(Follower):
    """Resumes by event streams."""

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
    """Resumes by long polls."""

    def read(self) -> Iterator[Message]:
        """See Follower."""
        path = f"/channels/{quote(self.channel)}?after={self.after}&wait=25"
        with self.request(path) as answer:
            poll = json.loads(answer.read())
        yield {"command": "SUBSCRIBED", "recovered": poll["recovered"]}
        yield from poll["messages"]
        if poll["end"]:
            yield {"command": "END", "reason": poll["end"]}


class WithoutIds(Follower):
    """A page without ids, which starts from the beginning when it is disconnected."""

    def read(self) -> Iterator[Message]:
        """See Follower."""
        with connect(self.monitor.url, open_timeout=20) as socket:
            socket.send(self.channel)
            self.got = []
            for text in socket:
                yield json.loads(text)
            self.ended = socket.close_code == 1000

    def take(self, message: Message) -> None:
        """See Follower."""
        self.got.append(message)
