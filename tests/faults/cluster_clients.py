"""Clients of all kinds that follow jobs, move between nodes at random, and resume there."""

import contextlib
import errno
import json
import random
import select
import socket
import threading
import time
import traceback
from collections.abc import Sequence

from tests.faults.clients import abort, close_code
from tests.faults.cluster_jobs import FINISHED, Job, Jobs
from tests.faults.cluster_kinds import KINDS
from tests.integration.cluster import Node
from tests.support.frames import CLOSE, PING, PONG, TEXT, frame

STAYS = 3.0
"""Seconds for which a client stays with a node, on average."""

UNANSWERED = 3.0
"""Seconds after which a client gives up a handshake."""

PATIENCE = 5.0
"""Seconds after which every fifth client leaves a job that says nothing for another one."""

RETRIES = 0.05, 0.3
"""Seconds until a client that has lost its node connects to another, at least and at most."""

MAY_CLOSE = (1001, 1005, 1012, 1013)
"""Codes by which a node may close a connection before the job has ended."""


class Student:
    """A client that follows one job after another.

    Attributes:
        job: that it follows; None if there are no more.
        socket: its connection; None if it has none.
        due: when it does something by itself: moves, connects, gives up a handshake.
    """

    def __init__(self, students: "Students", number: int) -> None:
        self._all = students
        self._is_patient = number % 5 > 0
        self._kind = KINDS[number % len(KINDS)]
        self.job: Job | None = None
        self.socket: socket.socket | None = None
        self.due = 0.0
        self._begin()

    def _begin(self) -> None:
        self.job = self._all.jobs.pick()
        self._start_over()
        self._heard_at = time.monotonic()
        if self.job is not None:
            self.job.followers += 1

    def _start_over(self) -> None:
        self._got: list[int] = []
        self._after, self._epoch, self._seq = "", "", 0

    def act(self, now: float) -> None:
        """Do what is due."""
        if self.socket is None:
            self._connect(now)
            return
        if self._head is not None:
            self._all.unanswered += 1
        else:
            self._all.moves += 1
            if self.job is not None and not self._is_patient and now > self._heard_at + PATIENCE:
                self.job.followers -= 1
                self._begin()
        self.leave(now)

    def _connect(self, now: float) -> None:
        if self.job is None:
            self.due = float("inf")
            return
        self.due = now + UNANSWERED
        self._head: bytes | None = b""
        self._connection = self._kind()
        if not self._kind.has_ids:
            self._start_over()
        address = self._all.chance.choice(self._all.nodes).address
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if self.socket.connect_ex(address) not in (0, errno.EINPROGRESS):
            self.leave(now)
            return
        self._all.epoll.register(self.socket, select.EPOLLOUT)
        self._all.by_number[self.socket.fileno()] = self

    def leave(self, now: float) -> None:
        """Disconnect; connect to some node soon."""
        if self.socket is not None:
            self._all.by_number.pop(self.socket.fileno(), None)
            abort(self.socket)
            self.socket = None
        self.due = now + self._all.chance.uniform(*RETRIES)

    def turn(self, events: int, now: float) -> None:
        """Send or receive."""
        assert self.socket is not None
        try:
            if events & select.EPOLLOUT:
                assert self.job is not None
                self.socket.sendall(self._connection.request(self.job.name, self._after))
                self._all.epoll.modify(self.socket, select.EPOLLIN)
                return
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if data:
            self._take(data, now)
        else:
            self._all.ends += 1
            self.leave(now)

    def _take(self, data: bytes, now: float) -> None:
        if self._head is not None:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            head, _, data = self._head.partition(b"\r\n\r\n")
            status = head.split()[1]
            if status not in (b"101", b"200"):
                self._all.refused += status != b"204"
                if status == b"204":
                    self._end()
                self.leave(now)
                return
            self._head = None
            self.due = now + self._all.chance.expovariate(1 / STAYS)
        for opcode, payload in self._connection.feed(data):
            if opcode == TEXT:
                if not self._hear(payload):
                    self.leave(now)
                    return
            elif opcode == PING and self.socket is not None:
                with contextlib.suppress(OSError):
                    self.socket.sendall(frame(PONG, payload))
            elif opcode == CLOSE:
                self._closed(close_code(payload), now)
                return
        if self._connection.is_over and self.socket is not None:
            self.leave(now)

    def _closed(self, code: int, now: float) -> None:
        self._all.ends += 1
        if code == 1000 and not self._kind.has_ids:
            self._end()
        elif code not in MAY_CLOSE:
            self._all.complain(f"a client by {self._kind.__name__} was closed with {code}")
        self.leave(now)

    def _hear(self, text: bytes) -> bool:
        """Take a message; returns whether more are to come."""
        told = json.loads(text)
        command = told["command"]
        if command == "PING":
            return True
        if command == "SUBSCRIBED":
            if self._after and not told["recovered"]:
                self._all.restarts += 1
                self._start_over()
        elif command in ("END", "REFUSED"):
            if command == "END":
                self._end()
            return False
        else:
            self._take_message(text, told)
        return True

    def _take_message(self, text: bytes, told: dict[str, str]) -> None:
        assert self.job is not None
        if self._kind.has_ids:
            epoch, _, seq = told["id"].partition(":")
            if int(seq) != self._seq + 1 or self._epoch not in ("", epoch):
                self._all.complain(f"{self.job.name}: {told['id']} after {self._after or 'none'}")
            self._after, self._epoch, self._seq = told["id"], epoch, int(seq)
            text = text[: text.rindex(b', "id": ')] + b"}"
        number = int(told["task_id"]) if told["command"] == "TASK" else FINISHED
        if not self.job.is_same(number, text):
            name = self._kind.__name__
            self._all.complain(
                f"{self.job.name}: a client by {name} got other bytes: {text[:99]!r}"
            )
        self._got.append(number)
        self._all.heard(self.job, len(self._got))
        self._heard_at = time.monotonic()

    def _end(self) -> None:
        assert self.job is not None
        self.job.lists[tuple(self._got)] += 1
        self.job.followers -= 1
        self._begin()


class Students:
    """Many of them, on one epoll in a thread.

    Attributes:
        moves: how often one went to another node by itself.
        ends: how often one lost its connection.
        refused: how often one was refused by HTTP.
        unanswered: how often one gave up a handshake.
        restarts: how often one that could resume had to begin again.
        deliveries: how many messages they got.
        news: how many of these nobody had got before.
        problems: what was wrong.
    """

    def __init__(self, nodes: Sequence[Node], jobs: Jobs, count: int) -> None:
        self.nodes, self.jobs = nodes, jobs
        self.moves = self.ends = self.refused = self.unanswered = self.restarts = 0
        self.deliveries = self.news = 0
        self._silence = 0.0
        self.problems: list[str] = []
        self.chance = random.Random(12)
        self.epoll = select.epoll()
        self.by_number: dict[int, Student] = {}
        self._heard = time.monotonic()
        self._members = [Student(self, number) for number in range(count)]
        for one in self._members:
            one.due = time.monotonic() + self.chance.uniform(0, 0.5)
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def complain(self, problem: str) -> None:
        """Note a problem; only the first ones are of interest."""
        if len(self.problems) < 20:
            self.problems.append(problem)

    def heard(self, job: Job | None, count: int) -> None:
        """Note that one has got a message of a job, the ``count``-th, maybe before all others."""
        self.deliveries += 1
        if job is not None and count > job.heard:
            self._silence, self._heard = self.silence, time.monotonic()
            job.heard = count
            self.news += 1

    @property
    def silence(self) -> float:
        """The longest time in which nobody got anything new, since ``forget_silence``."""
        return max(self._silence, time.monotonic() - self._heard)

    def forget_silence(self) -> None:
        """Measure anew how long nobody gets anything."""
        self._silence = 0.0

    @property
    def idle(self) -> bool:
        """Whether all have followed their jobs to the end."""
        return all(one.job is None for one in self._members)

    def _run(self) -> None:
        try:
            while not self._over:
                now = time.monotonic()
                for one in self._members:
                    if one.due <= now:
                        one.act(now)
                for number, events in self.epoll.poll(0.02, 500):
                    if number in self.by_number:
                        self.by_number[number].turn(events, now)
        except Exception:
            self.complain(traceback.format_exc())

    def close(self) -> None:
        """Disconnect all."""
        self._over = True
        self._thread.join()
        for one in self._members:
            one.leave(0)
        self.epoll.close()
