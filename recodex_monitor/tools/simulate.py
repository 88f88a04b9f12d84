"""`recodex-monitor simulate`: play the broker against a running monitor."""

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import zmq

from recodex_monitor.tools import jobs
from recodex_monitor.tools.jobs import Frames
from recodex_monitor.tools.terminal import printable

MONITOR = b"recodex-monitor"
_RETRY = 0.001


class Clock(Protocol):
    """The time functions that this module uses; the `time` module has them."""

    def monotonic(self) -> float:
        """Seconds since a fixed moment."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class Sender(Protocol):
    """The method of a `zmq.Socket` that this module uses."""

    def send_multipart(self, msg_parts: list[bytes], flags: int, /) -> object:
        """Send one message."""


@contextmanager
def broker_socket(
    endpoint: str, linger: float, prepare: "Callable[[zmq.Socket[bytes]], object] | None" = None
) -> Iterator["zmq.Socket[bytes]"]:
    """Connect a socket like the broker's to a monitor.

    At the end of the block the monitor has `linger` seconds to receive what was sent; after an
    exception, what it has not received is dropped. ``prepare`` is called with the socket before it
    connects.

    Raises:
        ValueError: the endpoint is not valid.
        TimeoutError: the monitor did not receive everything in time.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    try:
        # Sending before the monitor is connected must fail, not lose the message silently.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # Only for an IPv6 address: with this option a name is resolved to ::1 alone.
        socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        if prepare is not None:
            prepare(socket)
        _connect(socket, endpoint)
        yield socket
        socket.linger = math.ceil(linger * 1000)
    finally:
        begun = time.monotonic()
        socket.close()
        context.term()
    if time.monotonic() - begun >= linger:
        raise TimeoutError(f"the monitor at {endpoint} did not take the last messages")


def _connect(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    try:
        socket.connect(endpoint)
    except (zmq.ZMQError, TypeError) as error:
        why = str(error).removesuffix(f" (addr={endpoint!r})")
        raise ValueError(f"cannot connect to {endpoint!r} ({why}); write tcp://HOST:PORT") from None


def offer(socket: Sender, frames: Frames) -> bool:
    """Send one message to the monitor without waiting.

    Returns:
        False if the monitor is not connected yet, or its queue is full.

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
        TimeoutError: it has not taken it by then.
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
    """Send all messages in order, with `pace` seconds between two of one channel.

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
        "Send the messages of simulated jobs, or of a recorded capture, to a running monitor as "
        "the broker would. The channel ids are printed first, one per line."
    )
    parser.epilog = (
        "Outcomes: "
        + "; ".join(f"{name}: {meaning}" for name, meaning in jobs.OUTCOMES.items())
        + ". Exit codes: 0 everything was sent, 1 the monitor did not take it or the capture "
        "cannot be read, 2 wrong usage, 130 interrupted by Ctrl-C."
    )
    _add_job_options(parser)
    _add_pace_options(parser)


def _add_job_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "number of jobs, which run at the same time (default: %(default)s, one of each outcome)"
    add("--jobs", type=_count, default=len(jobs.OUTCOMES), metavar="N", help=text)
    text = "tasks of each job (default: %(default)s)"
    add("--tasks", type=_count, default=10, metavar="N", help=text)
    text = "how the jobs go; several are used in turn (default: all)"
    add("--outcome", action="append", choices=jobs.OUTCOMES, metavar="OUTCOME", help=text)
    add("--seed", type=int, metavar="N", help="the same seed gives the same jobs and ids")
    add("--capture", metavar="FILE", help="send this capture instead of simulated jobs")


def _add_pace_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "the monitor's address for the broker (default: %(default)s)"
    add("--zmq", default="tcp://127.0.0.1:7894", metavar="ENDPOINT", help=text)
    text = "time between two messages of a job; 0 for full speed (default: %(default)s)"
    add("--pace", type=_seconds, default=0.5, metavar="SECONDS", help=text)
    text = "time between printing the channel ids and the first message (default: 0)"
    add("--wait", type=_seconds, default=0.0, metavar="SECONDS", help=text)
    text = "how long to wait for the monitor to take a message (default: %(default)g)"
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
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, {least:g} or more")
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
    # On standard error, so that the channel ids can be piped while the bar is shown.
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
