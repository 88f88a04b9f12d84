"""A broker that never stops: it plays jobs one after another, some at a time."""

import random
import threading
import time
from collections import Counter

import zmq

FINISHED = -1
"""Stands for the last message of a job in lists of numbers."""

TOGETHER = 10
"""Jobs at a time."""

SHORTEST, LONGEST = 20, 400
"""Messages of a job."""

REPEATED_AFTER = 30.0
"""Seconds after which a job that has not ended for all is finished again while others run."""


class Job:
    """A job, what was sent of it, and what clients got.

    Attributes:
        name: its channel.
        length: how many tasks it is to have.
        sent: how many were sent.
        finished: when FINISHED was sent; 0 before.
        lists: the numbers of messages that clients got, and how many clients got these.
        followers: how many clients follow it now.
        heard: the most messages that a client has got of it.
    """

    def __init__(self, name: str, length: int) -> None:
        self.name = name
        self.length = length
        self.sent = 0
        self.finished = 0.0
        self.lists: Counter[tuple[int, ...]] = Counter()
        self.followers = self.heard = 0
        self._hashes: dict[int, int] = {}

    def is_same(self, number: int, text: bytes) -> bool:
        """Whether a message has the bytes that it had for all other clients."""
        return self._hashes.setdefault(number, hash(text)) == hash(text)

    @property
    def is_reordered(self) -> bool:
        """Whether clients got its messages in another order than they were sent."""
        return any(list(numbers[:-1]) != sorted(numbers[:-1]) for numbers in self.lists)

    def problems(self, *, may_reorder: bool) -> list[str]:
        """What is wrong with the lists."""
        if len(self.lists) > 1:
            lengths = {len(numbers): count for numbers, count in self.lists.items()}
            return [f"clients of {self.name} got different messages: {lengths}"]
        for numbers in self.lists:
            if len(set(numbers)) < len(numbers) or numbers[-1] != FINISHED:
                return [f"{self.name} has messages twice: {str(numbers)[:100]}"]
            if self.is_reordered and not may_reorder:
                return [f"{self.name} is not in order: {str(numbers)[:100]}"]
        return []

    def lost(self) -> int:
        """How many of its messages no client got, if clients followed it to its end."""
        return sum(self.sent + 1 - len(numbers) for numbers in self.lists)


class Jobs:
    """The broker, in a thread.

    Attributes:
        all: all jobs so far.
        running: those that clients can be sent to.
        held: how often the broker had to wait since nobody took its messages.
        repeated: how many jobs had to be finished again: the first time got lost.
        pace: messages a second.
        padding: is put into every message.
        repeats: whether to finish jobs again while others run: FINISHED may be lost with an owner.
    """

    def __init__(self, address: str, pace: float) -> None:
        self.all: list[Job] = []
        self.running: list[Job] = []
        self.held = self.repeated = 0
        self.pace = pace
        self.padding = b""
        self.repeats = False
        self._chance = random.Random(11)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 0)
        # Refused instead of dropped silently, so that it is known what has left the broker.
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.connect(address)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._play)
        for _ in range(TOGETHER):
            self._begin()
        self._thread.start()

    @property
    def messages(self) -> int:
        """How many were sent."""
        return sum(one.sent + bool(one.finished) for one in self.all)

    def pick(self) -> Job | None:
        """A job to follow; None if there will be none."""
        return None if self._stopping.is_set() else self._chance.choice(self.running)

    def _begin(self) -> None:
        job = Job(f"job-{len(self.all)}", self._chance.randint(SHORTEST, LONGEST))
        self.all.append(job)
        self.running = [*self.running, job]

    def _play(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            due = max(due + 1 / self.pace, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
            if self.repeats:
                self.finish_again(REPEATED_AFTER)
            job = self._chance.choice(self.running)
            if job.sent < job.length:
                job.sent += self._send(job, b"TASK", b"%d" % job.sent, b"COMPLETED" + self.padding)
            elif self._send(job, b"FINISHED"):
                job.finished = time.monotonic()
                self.running = [one for one in self.running if one is not job]
                self._begin()
        for job in self.running:
            while not self._send(job, b"FINISHED"):
                time.sleep(0.05)
            job.finished = time.monotonic()
        self.running = []

    def _send(self, job: Job, *frames: bytes) -> bool:
        try:
            self._socket.send_multipart(
                [b"recodex-monitor", job.name.encode(), *frames], zmq.NOBLOCK
            )
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self.held += 1
            return False
        return True

    def finish(self) -> None:
        """Finish the jobs that run, and begin no more."""
        self._stopping.set()
        self._thread.join()

    def finish_again(self, after: float = 8.0) -> None:
        """Finish those again that clients follow still: FINISHED may be lost.

        To be called after ``finish``.

        Args:
            after: seconds from the first time.
        """
        for job in self.all:
            if job.followers and job.finished and time.monotonic() > job.finished + after:
                self._send(job, b"FINISHED")
                job.finished = time.monotonic()
                self.repeated += 1

    def close(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self._thread.join()
        self._socket.close()
        self._context.term()
