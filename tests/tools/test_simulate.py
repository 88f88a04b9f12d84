"""Tests of simulating the broker, without a network and without waiting."""

import argparse
import contextlib
import io
import random
import sys

import zmq
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import jobs, simulate
from recodex_monitor.tools.jobs import Frames


class FakeClock:
    """Time that passes only in ``sleep``."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Let time pass."""
        self.now += seconds


class FakeSocket:
    """A socket whose peer takes nothing before the time `ready` of the given clock."""

    def __init__(self, clock: FakeClock, ready: float = 0.0, error: int = zmq.EHOSTUNREACH) -> None:
        self.clock, self.ready, self.error = clock, ready, error
        self.sent: list[tuple[float, Frames]] = []

    def send_multipart(self, msg_parts: list[bytes], flags: int, /) -> None:
        """Take a message, or refuse it as a real non-blocking socket would."""
        assert flags == zmq.DONTWAIT
        if self.clock.now < self.ready:
            raise zmq.ZMQError(self.error)
        self.sent.append((self.clock.now, msg_parts))


class DeliverTests(SynchronousTestCase):
    """A message is sent as soon as the monitor takes it."""

    def setUp(self) -> None:
        """Make a clock."""
        self.clock = FakeClock()

    def test_at_once(self) -> None:
        """A message is addressed to the monitor, and sent at once."""
        socket = FakeSocket(self.clock)
        simulate.deliver(socket, [b"id", b"STARTED"], 5, self.clock)
        self.assertEqual(socket.sent, [(0.0, [b"recodex-monitor", b"id", b"STARTED"])])

    def test_waits(self) -> None:
        """It waits for a monitor that is not connected yet, or whose queue is full."""
        for error in (zmq.EHOSTUNREACH, zmq.EAGAIN):
            clock = FakeClock()
            socket = FakeSocket(clock, ready=3, error=error)
            simulate.deliver(socket, [b"id"], 5, clock)
            self.assertEqual(len(socket.sent), 1)
            self.assertAlmostEqual(clock.now, 3, places=1)

    def test_gives_up(self) -> None:
        """After the timeout, the error says how long it waited."""
        socket = FakeSocket(self.clock, ready=99)
        with self.assertRaisesRegex(TimeoutError, "within 5 s"):
            simulate.deliver(socket, [b"id"], 5, self.clock)
        self.assertAlmostEqual(self.clock.now, 5, places=1)

    def test_other_errors(self) -> None:
        """Any other error is raised at once."""
        socket = FakeSocket(self.clock, ready=99, error=zmq.ENOTSOCK)
        self.assertRaises(zmq.ZMQError, simulate.deliver, socket, [b"id"], 5, self.clock)
        self.assertEqual(self.clock.now, 0)


class PlayTests(SynchronousTestCase):
    """All messages are sent in order, at the given pace."""

    @given(st.integers(), st.integers(0, 5))
    def test_order(self, seed: int, tasks: int) -> None:
        """A monitor that connects late still gets every message in order."""
        clock = FakeClock()
        socket = FakeSocket(clock, ready=1)
        rng = random.Random(seed)
        messages = jobs.interleave(jobs.make_job(rng, tasks, name) for name in jobs.OUTCOMES)
        simulate.play(socket, messages, 0, 5, clock)
        self.assertEqual([parts[1:] for _, parts in socket.sent], messages)

    def test_pace(self) -> None:
        """The messages of a job are `pace` seconds apart; other jobs do not wait for it."""
        clock = FakeClock()
        socket = FakeSocket(clock)
        simulate.play(socket, [[b"a"], [b"b"], [b"a"], [b"b"], [b"a"]], 0.5, 5, clock)
        self.assertEqual([when for when, _ in socket.sent], [0, 0, 0.5, 0.5, 1])

    def test_full_speed(self) -> None:
        """With a pace of 0 no time passes."""
        clock = FakeClock()
        simulate.play(FakeSocket(clock), [[b"a"]] * 100, 0, 5, clock)
        self.assertEqual(clock.now, 0)


class SocketTests(SynchronousTestCase):
    """The broker's socket."""

    def test_bad_endpoint(self) -> None:
        """An endpoint that ZeroMQ refuses is named, with the form that it should have."""
        for endpoint in ("nowhere", "tcp://127.0.0.1", "", "http://127.0.0.1:7894"):
            with (
                self.assertRaisesRegex(ValueError, f"'{endpoint}' .*write tcp://HOST:PORT"),
                simulate.broker_socket(endpoint, 0),
            ):
                self.fail("the endpoint was taken")


class CommandTests(SynchronousTestCase):
    """The command's options and errors."""

    def setUp(self) -> None:
        """Make the command's parser and catch what it prints."""
        self.parser = argparse.ArgumentParser()
        simulate.add_arguments(self.parser)
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.stdout)
        self.patch(sys, "stderr", self.stderr)

    def run_with(self, messages: list[Frames], *arguments: str) -> int:
        """Run the command with a socket that keeps what is sent."""
        socket = FakeSocket(FakeClock())
        self.patch(simulate, "broker_socket", lambda *_: contextlib.nullcontext(socket))
        code = simulate.run(self.parser.parse_args(["--pace", "0", *arguments]))
        messages += [parts[1:] for _, parts in socket.sent]
        return code

    def test_channels(self) -> None:
        """The ids of all jobs are printed, and there is one job of each outcome by default."""
        sent: list[Frames] = []
        self.assertEqual(self.run_with(sent, "--seed", "1"), 0)
        channels = [channel.decode() for channel in jobs.channels(sent)]
        self.assertEqual(self.stdout.getvalue().splitlines(), channels)
        self.assertEqual(len(channels), len(jobs.OUTCOMES))

    def test_seed(self) -> None:
        """The same seed gives the same jobs; without a seed they differ."""
        played: list[list[Frames]] = [[], [], []]
        for sent, seed in zip(played, (["--seed", "7"], ["--seed", "7"], []), strict=True):
            self.run_with(sent, *seed)
        self.assertEqual(played[0], played[1])
        self.assertNotEqual(played[0], played[2])

    def test_outcomes_in_turn(self) -> None:
        """Several outcomes are used in turn."""
        sent: list[Frames] = []
        self.run_with(sent, "--jobs", "3", "--outcome", "rejected", "--outcome", "build-failure")
        counts = [sum(f[0] == channel for f in sent) for channel in jobs.channels(sent)]
        self.assertEqual(counts, [1, 3, 1])

    def test_capture(self) -> None:
        """A capture is sent in its order, and its channel ids are escaped for the terminal."""
        path = self.mktemp()
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"type": "zmq", "frames": ["b\\u001b", "STARTED"]}\n')
            file.write('{"type": "zmq", "frames": [{"b64": "//4="}]}\n')
        sent: list[Frames] = []
        self.assertEqual(self.run_with(sent, "--capture", path), 0)
        self.assertEqual(sent, [[b"b\x1b", b"STARTED"], [b"\xff\xfe"]])
        self.assertEqual(self.stdout.getvalue(), "b\\x1b\n\\xff\\xfe\n")

    def test_bad_capture(self) -> None:
        """For a capture that cannot be read, one line names it, and the exit code is 1."""
        bad = self.mktemp()
        with open(bad, "w", encoding="utf-8") as file:
            file.write("nonsense\n")
        for path, problem in ((bad, "line 1 "), (self.mktemp(), "No such file")):
            self.stderr.truncate(0)
            self.assertEqual(self.run_with([], "--capture", path), 1)
            self.assertRegex(self.stderr.getvalue(), f"{path}: {problem}[^\n]*\n$")

    def test_interrupted(self) -> None:
        """Ctrl-C ends it with 130, and nothing is printed."""
        self.patch(simulate, "play", _interrupt)
        self.assertEqual(self.run_with([], "--jobs", "1"), 130)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_usage(self) -> None:
        """Numbers out of range are wrong usage."""
        for option, value in (
            ("--jobs", "-1"), ("--tasks", "x"), ("--pace", "nan"), ("--pace", "-1"),
            ("--wait", "inf"), ("--timeout", "0"), ("--outcome", "lucky"), ("--seed", "x"),
        ):  # fmt: skip
            with self.assertRaises(SystemExit) as caught:
                self.parser.parse_args([option, value])
            self.assertEqual(caught.exception.code, 2)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
