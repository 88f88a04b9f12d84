"""What is read at a stop, with sockets and a clock that play along."""

import itertools
import os
import socket
from collections.abc import Callable

import zmq
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker import draining


class FakeTime:
    """A clock that goes on by what is slept, and by a tick whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """The time."""
        self.now += 0.001
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class FakeSocket:
    """A ZeroMQ socket with messages; notes what is done with it."""

    def __init__(self, case: "DrainTests") -> None:
        self.waiting = 0
        self.after_unbind = 0
        self._case = case

    def poll(self, timeout: int, flags: int) -> int:
        """Whether a message waits, after the timeout if none does."""
        assert flags == zmq.POLLIN
        if not self.waiting:
            self._case.time.sleep(timeout / 1000)
        return self.waiting

    def set(self, option: int, value: int) -> None:
        """Set an option."""
        assert option == zmq.RCVHWM
        assert value > 10**9
        self._case.did.append("raise the limit")

    def unbind(self, address: str) -> None:
        """Unbind; ZeroMQ may hand over more after that."""
        self._case.did.append(f"unbind {address}")
        self.waiting += self.after_unbind


class DrainTests(SynchronousTestCase):
    """A socket with one connection."""

    def setUp(self) -> None:
        """Make both; the broker hangs up once it is told to."""
        self.time = FakeTime()
        self.patch(draining, "time", self.time)
        self.did: list[str] = []
        self.read = 0
        self.ended: Callable[[], int] = lambda: 0
        self.on_read: Callable[[], None] = lambda: None
        self.socket = FakeSocket(self)
        self.addresses = ["tcp://127.0.0.1:9999"]
        self.ours, self.broker = socket.socketpair()
        self.addCleanup(self.broker.close)
        self.broker.setblocking(False)
        self.patch(draining, "accepted", lambda addresses: [self.ours])

    def read_turn(self) -> int:
        """Read one message, if there is one."""
        self.on_read()
        count = min(1, self.socket.waiting)
        self.socket.waiting -= count
        self.read += count
        return count

    def hang_up(self) -> None:
        """Close the broker's side, once the monitor has closed its own."""
        try:
            is_told = self.broker.recv(1) == b""
        except BlockingIOError:
            return
        if is_told:
            self.broker.shutdown(socket.SHUT_WR)
            self.on_read = lambda: None

    def drain(self) -> None:
        """Drain it."""
        draining.drain(self, self.ended)  # type: ignore[arg-type]

    def test_hangs_up(self) -> None:
        """All is read: at once, until the broker hangs up, and what comes after unbinding."""
        self.socket.waiting, self.socket.after_unbind = 5, 3
        self.on_read = self.hang_up
        self.drain()
        self.assertEqual(self.read, 8)
        self.assertEqual(self.did, ["raise the limit", "unbind tcp://127.0.0.1:9999"])
        self.assertEqual(self.ours.fileno(), -1)
        self.assertLess(self.time.now, 0.5)

    def test_does_not_hang_up(self) -> None:
        """A broker that stays is cut after the timeout."""
        self.drain()
        self.assertEqual(self.did[-1], "unbind tcp://127.0.0.1:9999")
        expected = draining.DRAIN_TIMEOUT + draining.DRAIN_PAUSE
        self.assertTrue(draining.DRAIN_TIMEOUT < self.time.now < expected + 0.1, self.time.now)

    def test_never_ends_to_send(self) -> None:
        """A broker that goes on sending is cut after the timeout, too."""

        def send() -> None:
            self.socket.waiting += not self.did

        self.on_read = send
        self.drain()
        self.assertLess(self.time.now, draining.DRAIN_TIMEOUT + 0.2)

    def test_pending_disconnects(self) -> None:
        """The limit stays while ZeroMQ goes on reporting connections that have ended."""
        counter = itertools.count()
        self.ended = lambda: next(counter)
        self.drain()
        self.assertEqual(self.did, ["unbind tcp://127.0.0.1:9999"])

    def test_no_connections(self) -> None:
        """Without a connection nothing is waited for but what ZeroMQ hands over last."""
        self.patch(draining, "accepted", lambda addresses: [])
        self.addCleanup(self.ours.close)
        self.socket.after_unbind = 2
        self.drain()
        self.assertEqual((self.did, self.read), (["unbind tcp://127.0.0.1:9999"], 2))
        self.assertLess(self.time.now, 2 * draining.DRAIN_PAUSE)


class HungUpTests(SynchronousTestCase):
    """Whether the other side has closed its end."""

    def test_states(self) -> None:
        """Not while it is open or something waits to be read; then, or after a reset, it has."""
        ours, other = socket.socketpair()
        self.addCleanup(ours.close)
        self.assertFalse(draining.hung_up(ours))
        other.send(b"x")
        other.close()
        self.assertFalse(draining.hung_up(ours))
        ours.recv(1)
        self.assertTrue(draining.hung_up(ours))

    def test_unconnected(self) -> None:
        """A socket that cannot be read from any more counts as hung up."""
        with socket.socket() as unconnected:
            self.assertTrue(draining.hung_up(unconnected))


class AcceptedTests(SynchronousTestCase):
    """The connections among the descriptors of the process."""

    def test_accepted(self) -> None:
        """Each at a socket file is found once; listening sockets and other connections are not."""
        paths = [os.path.abspath(self.mktemp()) for _ in range(2)]
        held = []
        for path in paths:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(path)
            listening.listen()
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            held += [listening, client, listening.accept()[0]]
        for one in held:
            self.addCleanup(one.close)
        before = len(os.listdir("/proc/self/fd"))
        (found,) = draining.accepted([f"ipc://{paths[0]}"])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        held[1].send(b"x")
        self.assertEqual(found.recv(1), b"x")
        found.close()
