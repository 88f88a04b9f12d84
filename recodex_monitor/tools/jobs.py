"""What the broker sends about a job: simulated, or read from a recorded capture.

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
    "overtaken": "the broker's FAILED overtakes the last worker's ABORTED",
}
"""The ways a simulated job can go, each with what it means."""

_BEGIN = [[b"DOWNLOADED"], [b"STARTED"]]
_END = [[b"ENDED"], [b"UPLOADED"], [b"FINISHED"]]
_WITHOUT_TASKS = {
    "build-failure": (b"DOWNLOADED", b"FAILED", b"FINISHED"),
    "rejected": (b"FAILED",),
    "overtaken": (b"DOWNLOADED", b"FAILED", b"ABORTED"),
}


def make_job(rng: random.Random, tasks: int, outcome: str) -> list[Frames]:
    """Simulate all messages of one job, on a channel of its own.

    Args:
        rng: the only source of randomness; the same state gives the same job.
        tasks: the number of tasks of the job, 0 or more. Outcomes that end a job early
            report fewer of them.
        outcome: a key of `OUTCOMES`.

    Raises:
        ValueError: the outcome is not known.
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
        case "restarted":
            return [*_aborted(rng, tasks), *_BEGIN, *_tasks(tasks), *_END]
        case "lost":
            return [*_BEGIN, *_some_tasks(rng, tasks), [b"FAILED"]]
        case "exhausted":
            return [*(frames for _ in range(3) for frames in _aborted(rng, tasks)), [b"FAILED"]]
    if outcome in _WITHOUT_TASKS:
        return [[command] for command in _WITHOUT_TASKS[outcome]]
    raise ValueError(f"{outcome} is not an outcome")


def _task(number: int, state: bytes = b"COMPLETED") -> Frames:
    # Every test runs the program, then judges its output.
    step = "judge" if number % 2 else "run"
    return [b"TASK", f"test_{number // 2 + 1:02}.{step}".encode(), state]


def _tasks(count: int) -> list[Frames]:
    return [_task(number) for number in range(count)]


def _some_tasks(rng: random.Random, count: int) -> list[Frames]:
    return _tasks(rng.randint(count // 3, count * 2 // 3))


def _aborted(rng: random.Random, count: int) -> list[Frames]:
    return [*_BEGIN, *_some_tasks(rng, count), [b"ABORTED"]]


def _failing_tasks(rng: random.Random, count: int) -> list[Frames]:
    # Only tests with both steps: if the run fails, its judge is skipped.
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
    """Merge the messages of jobs that run at the same time.

    Each job's order is kept. The jobs take turns: one message of each before the next of any.
    """
    return [frames for one_each in zip_longest(*jobs) for frames in one_each if frames is not None]


def channels(messages: Iterable[Frames]) -> list[bytes]:
    """The channel ids of messages, each once, in the order of their first appearance."""
    return list(dict.fromkeys(frames[0] for frames in messages))


def paced(messages: Iterable[Frames], pace: float) -> Iterator[tuple[float, Frames]]:
    """Add to each message how long to wait before it is sent.

    Yields:
        Seconds to wait, and the message to send then. The order is kept, and the waits
        between two messages of one channel sum to at least `pace` seconds.
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
        lines: JSON Lines; those of another type than `zmq` are skipped. A frame is a string,
            or `{"b64": ...}` if it is not printable ASCII.

    Returns:
        The messages in their recorded order.

    Raises:
        ValueError: a line does not belong to a capture; the text names its number.
    """
    messages = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if record["type"] == "zmq":
                messages.append(_frames(record["frames"]))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ValueError(f"line {number} does not belong to a capture") from error
    return messages


def _frames(recorded: object) -> Frames:
    if not isinstance(recorded, list) or not recorded:
        raise ValueError("a message is a list of at least one frame")
    return [_frame(frame) for frame in recorded]


def _frame(recorded: str | dict[str, str]) -> bytes:
    if isinstance(recorded, str):
        return recorded.encode()
    return base64.b64decode(recorded["b64"], validate=True)
