"""What the broker sends about a job: made up, or read from a recorded capture.

A message is the list of its frames: channel id, command and, with `TASK`, task id and
task state. Nothing here does any I/O.
"""

import base64
import json
import random
import uuid
from collections.abc import Iterable, Iterator
from itertools import zip_longest

Frames = list[bytes]

OUTCOMES = {
    "normal": "all tasks are completed",
    "failing": "some tasks fail and what depends on them is skipped",
    "fatal": "a task fails that the whole job depends on, so no further task runs",
    "build-failure": "the job cannot be built",
    "restarted": "a worker gives up half-way and another one starts the job again",
    "rejected": "no worker can take the job",
    "lost": "the last worker dies half-way",
    "exhausted": "three workers give up, and the broker does so too",
}
"""The ways a simulated job can go, each with what it means."""

_BEGIN = [[b"DOWNLOADED"], [b"STARTED"]]
_END = [[b"ENDED"], [b"UPLOADED"], [b"FINISHED"]]


def make_job(rng: random.Random, tasks: int, outcome: str) -> list[Frames]:
    """Make up all messages of one job, on a channel of its own.

    Args:
        rng: where all chance comes from; the same state gives the same job.
        tasks: the number of tasks of the job, 0 or more. Outcomes that end a job early
            report fewer of them.
        outcome: a key of `OUTCOMES`.

    Raises:
        ValueError: there is no such outcome.
    """
    channel = f"student_{uuid.UUID(int=rng.getrandbits(128), version=4)}".encode()
    return [[channel, *rest] for rest in _story(rng, tasks, outcome)]


def _story(rng: random.Random, tasks: int, outcome: str) -> list[Frames]:
    match outcome:
        case "normal":
            return [*_BEGIN, *_tasks(tasks), *_END]
        case "failing":
            return [*_BEGIN, *_failing_tasks(rng, tasks), *_END]
        case "fatal":
            return [*_BEGIN, *_fatal_tasks(rng, tasks), *_END]
        case "build-failure":
            return [[b"DOWNLOADED"], [b"FAILED"], [b"FINISHED"]]
        case "restarted":
            return [*_aborted(rng, tasks), *_BEGIN, *_tasks(tasks), *_END]
        case "rejected":
            return [[b"FAILED"]]
        case "lost":
            return [*_BEGIN, *_some_tasks(rng, tasks), [b"FAILED"]]
        case "exhausted":
            return [*(frames for _ in range(3) for frames in _aborted(rng, tasks)), [b"FAILED"]]
    raise ValueError(f"no such outcome: {outcome}")


def _task(number: int, state: bytes = b"COMPLETED") -> Frames:
    # Every test runs the program and then judges what it printed.
    step = "judge" if number % 2 else "run"
    return [b"TASK", f"test_{number // 2 + 1:02}.{step}".encode(), state]


def _tasks(count: int) -> list[Frames]:
    return [_task(number) for number in range(count)]


def _some_tasks(rng: random.Random, count: int) -> list[Frames]:
    return _tasks(rng.randint(count // 3, count * 2 // 3))


def _aborted(rng: random.Random, count: int) -> list[Frames]:
    return [*_BEGIN, *_some_tasks(rng, count), [b"ABORTED"]]


def _failing_tasks(rng: random.Random, count: int) -> list[Frames]:
    # Only tests that have both steps, so that there is something to skip.
    failing = rng.sample(range(max(1, count // 2)), k=max(1, count // 6))
    bad = {number for test in failing for number in (2 * test, 2 * test + 1)}
    return [
        _task(number, (b"FAILED", b"SKIPPED")[number % 2]) if number in bad else _task(number)
        for number in range(count)
    ]


def _fatal_tasks(rng: random.Random, count: int) -> list[Frames]:
    if count == 0:
        return []
    last = rng.randrange(count)
    return [*_tasks(last), _task(last, b"FAILED")]


def interleave(jobs: Iterable[list[Frames]]) -> list[Frames]:
    """Put the messages of jobs that run side by side in one order.

    Every job's own order is kept. One message of each job that still has one comes
    before the next message of any.
    """
    return [frames for turn in zip_longest(*jobs) for frames in turn if frames is not None]


def channels(messages: Iterable[Frames]) -> list[bytes]:
    """Return the channel ids of messages, each once, in the order they first appear."""
    return list(dict.fromkeys(frames[0] for frames in messages))


def paced(messages: Iterable[Frames], pace: float) -> Iterator[tuple[float, Frames]]:
    """Say how long to wait before each message.

    Yields:
        Seconds to wait, and the message that is then due. The order stays as it is, and
        between two messages of one channel there are at least `pace` seconds of waiting.
    """
    since_wait: set[bytes] = set()
    for frames in messages:
        wait = 0.0
        if frames[0] in since_wait:
            since_wait.clear()
            wait = pace
        since_wait.add(frames[0])
        yield wait, frames


def read_capture(lines: Iterable[str]) -> list[Frames]:
    """Read what the broker sent from a recorded capture.

    Args:
        lines: JSON Lines. Only those of type `zmq` count. A frame is a string, or
            `{"b64": ...}` where it is not printable ASCII.

    Returns:
        The messages in their recorded order.

    Raises:
        ValueError: a line is not what a capture has; the text names the line.
    """
    messages = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if record["type"] == "zmq":
                messages.append(_frames(record["frames"]))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ValueError(f"line {number} is not one of a capture") from error
    return messages


def _frames(recorded: object) -> Frames:
    if not isinstance(recorded, list) or not recorded:
        raise ValueError("a message is a list of at least one frame")
    return [_frame(frame) for frame in recorded]


def _frame(recorded: str | dict[str, str]) -> bytes:
    if isinstance(recorded, str):
        return recorded.encode()
    return base64.b64decode(recorded["b64"], validate=True)
