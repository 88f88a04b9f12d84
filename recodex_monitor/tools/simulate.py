"""`recodex-monitor simulate`: play the broker against a running monitor."""

import argparse
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import zmq

from recodex_monitor.tools import jobs
from recodex_monitor.tools.jobs import Frames
from recodex_monitor.tools.progress import printable

MONITOR = b"recodex-monitor"
_RETRY = 0.001


class Clock(Protocol):
    """What this module needs of time; the `time` module has it."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class Sender(Protocol):
    """What this module needs of a socket to send; a `zmq.Socket` has it."""

    def send_multipart(self, msg_parts: list[bytes], flags: int, /) -> object:
        """Send one message."""


@contextmanager
def broker_socket(endpoint: str, linger: float) -> Iterator["zmq.Socket[bytes]"]:
    """Connect a socket like the broker's to a monitor.

    On leaving, the monitor is given `linger` seconds to take what was sent; after an
    exception what it has not taken is dropped.

    Raises:
        zmq.ZMQError: the endpoint is not one that can be connected to.
        TimeoutError: on leaving, the monitor did not take everything.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    try:
        # Without this, what is sent before the monitor is known would be lost silently.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # Only where it is asked for: a name would else be looked for at ::1 alone.
        socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        socket.connect(endpoint)
        yield socket
        socket.linger = math.ceil(linger * 1000)
    finally:
        begun = time.monotonic()
        socket.close()
        context.term()
    if time.monotonic() - begun >= linger:
        raise TimeoutError(f"the monitor at {endpoint} did not take the last messages")


def offer(socket: Sender, frames: Frames) -> bool:
    """Send one message to the monitor without waiting.

    Returns:
        False when the monitor is not connected yet or can take no more for now.

    Raises:
        zmq.ZMQError: sending failed for another reason.
    """
    try:
        socket.send_multipart([MONITOR, *frames], zmq.DONTWAIT)
    except zmq.ZMQError as error:
        if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
            raise
        return False
    return True


def deliver(socket: Sender, frames: Frames, timeout: float, clock: Clock = time) -> None:
    """Send one message, waiting up to `timeout` seconds until the monitor takes it.

    Raises:
        TimeoutError: it did not.
        zmq.ZMQError: sending failed.
    """
    deadline = clock.monotonic() + timeout
    while not offer(socket, frames):
        if clock.monotonic() >= deadline:
            raise TimeoutError(f"no {MONITOR.decode()} took a message within {timeout:g} s")
        clock.sleep(_RETRY)


def play(
    socket: Sender, messages: Iterable[Frames], pace: float, timeout: float, clock: Clock = time
) -> None:
    """Send all messages in order, `pace` seconds between two of one channel.

    Raises:
        TimeoutError: the monitor did not take a message within `timeout` seconds.
        zmq.ZMQError: sending failed.
    """
    for wait, frames in jobs.paced(messages, pace):
        if wait:
            clock.sleep(wait)
        deliver(socket, frames, timeout, clock)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor simulate`."""
    parser.description = (
        "Play the broker against a running monitor: send the messages of made-up jobs, or of "
        "a recorded capture. The channel ids are printed first, one a line."
    )
    parser.epilog = (
        "Outcomes: "
        + "; ".join(f"{name}: {meaning}" for name, meaning in jobs.OUTCOMES.items())
        + ". Exit codes: 0 everything was sent, 1 the monitor did not take it or the capture "
        "cannot be read, 2 wrong usage."
    )
    _add_job_options(parser)
    _add_pace_options(parser)


def _add_job_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "number of jobs, side by side (default: %(default)s, one of each outcome)"
    add("--jobs", type=_count, default=len(jobs.OUTCOMES), metavar="N", help=text)
    text = "tasks of each job (default: %(default)s)"
    add("--tasks", type=_count, default=10, metavar="N", help=text)
    text = "how jobs go; several are taken in turn (default: all)"
    add("--outcome", action="append", choices=jobs.OUTCOMES, metavar="OUTCOME", help=text)
    add("--seed", type=int, metavar="N", help="the same seed gives the same jobs and ids")
    add("--capture", metavar="FILE", help="play this capture instead of made-up jobs")


def _add_pace_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "where the monitor waits for the broker (default: %(default)s)"
    add("--zmq", default="tcp://127.0.0.1:7894", metavar="ENDPOINT", help=text)
    text = "time between the messages of a job, 0 is full speed (default: %(default)s)"
    add("--pace", type=_seconds, default=0.5, metavar="SECONDS", help=text)
    text = "time between printing the channel ids and the first message (default: 0)"
    add("--wait", type=_seconds, default=0.0, metavar="SECONDS", help=text)
    text = "how long the monitor may take to answer (default: %(default)g)"
    add("--timeout", type=_some_seconds, default=10.0, metavar="SECONDS", help=text)


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return value


def _seconds(text: str, least: float = 0.0) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {least:g} on")
    return value


def _some_seconds(text: str) -> float:
    return _seconds(text, 0.001)


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor simulate` and return its exit code."""
    try:
        _simulate(arguments)
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, zmq.ZMQError) as error:
        print(f"recodex-monitor simulate: {error}", file=sys.stderr)
        return 1
    return 0


def _simulate(arguments: argparse.Namespace) -> None:
    messages = _messages(arguments)
    channels = jobs.channels(messages)
    for channel in channels:
        print(printable(channel.decode(errors="backslashreplace")))
    sys.stdout.flush()
    with broker_socket(arguments.zmq, arguments.timeout) as socket:
        time.sleep(arguments.wait)
        play(socket, _tracked(messages), arguments.pace, arguments.timeout)
    print(f"sent {len(messages)} messages of {len(channels)} jobs", file=sys.stderr)


def _messages(arguments: argparse.Namespace) -> list[Frames]:
    if arguments.capture is not None:
        return _read_capture(arguments.capture)
    rng = random.Random(arguments.seed)
    outcomes = arguments.outcome or list(jobs.OUTCOMES)
    return jobs.interleave(
        jobs.make_job(rng, arguments.tasks, outcomes[number % len(outcomes)])
        for number in range(arguments.jobs)
    )


def _read_capture(path: str) -> list[Frames]:
    try:
        with open(path, encoding="utf-8") as lines:
            return jobs.read_capture(lines)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _tracked(messages: list[Frames]) -> Iterable[Frames]:
    # Standard error, so that the channel ids can be piped while the bar is watched.
    if not sys.stderr.isatty():
        return messages
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return _tracked_in_lines(messages)
    return track(messages, description="sending", console=Console(stderr=True))


def _tracked_in_lines(messages: list[Frames]) -> Iterator[Frames]:
    due = time.monotonic() + 1
    for sent, frames in enumerate(messages):
        if time.monotonic() >= due:
            print(f"sent {sent} of {len(messages)} messages", file=sys.stderr)
            due = time.monotonic() + 1
        yield frames
